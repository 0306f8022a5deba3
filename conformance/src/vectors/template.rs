//! Bytes with placeholders: what is sent, or a pattern for what is answered.

use std::collections::BTreeMap;

/// Numbers that were found under a name.
pub type Captures = BTreeMap<String, u64>;

/// How much later than the vector was written a time may be told, in seconds.
const LATER: u64 = 5;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Bytes(Vec<u8>),
    /// `{?}`
    AnyNumber,
    /// `{name}`, or `{name>other}`
    Number {
        name: String,
        above: Option<String>,
    },
    /// `{~100}`
    About(u64),
    /// `{...}`
    Text,
    /// `{*}`
    Lines,
}

/// Bytes with placeholders. The README of the vectors has the syntax.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

/// What comparing found.
#[derive(Debug, PartialEq, Eq)]
pub enum Matched {
    /// The template stands at the start of the input, in so many bytes.
    Yes(usize),
    /// It may, once more has come.
    More,
    /// It does not.
    No,
}

impl Template {
    /// Reads the text of a line.
    ///
    /// # Errors
    /// A sentence about what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut template = Self::default();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            if first == '{' {
                let (body, behind) = rest[1..]
                    .split_once('}')
                    .ok_or("a `{` has no `}`: write `\\{` for the byte")?;
                template.push(placeholder(body)?);
                rest = behind;
            } else {
                let (bytes, used) = character(rest)?;
                template.push(Piece::Bytes(bytes));
                rest = &rest[used..];
            }
        }
        Ok(template)
    }

    /// Puts `other` behind this one.
    pub fn extend(&mut self, other: Self) {
        for piece in other.0 {
            self.push(piece);
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn push(&mut self, piece: Piece) {
        match (self.0.last_mut(), piece) {
            (Some(Piece::Bytes(bytes)), Piece::Bytes(more)) => bytes.extend(more),
            (_, piece) => self.0.push(piece),
        }
    }

    /// The bytes, with numbers that were captured before.
    ///
    /// # Errors
    /// A sentence, where a placeholder stands for bytes that only an answer could tell.
    pub fn bytes(&self, captures: &Captures) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        for piece in &self.0 {
            match piece {
                Piece::Bytes(more) => bytes.extend_from_slice(more),
                Piece::Number { name, above: None } => {
                    let number =
                        captures.get(name).ok_or(format!("{{{name}}} is not known yet"))?;
                    bytes.extend_from_slice(number.to_string().as_bytes());
                }
                other => return Err(format!("{other:?} cannot be sent")),
            }
        }
        Ok(bytes)
    }

    /// Bytes that match, with numbers of its own making for what is captured.
    pub fn example(&self, captures: &mut Captures) -> Vec<u8> {
        const FIRST: u64 = 1000;
        let mut bytes = Vec::new();
        for piece in &self.0 {
            match piece {
                Piece::Bytes(more) => bytes.extend_from_slice(more),
                Piece::AnyNumber => bytes.push(b'7'),
                Piece::Number { name, .. } => {
                    let next = FIRST + u64::try_from(captures.len()).unwrap_or_default();
                    let number = captures.entry(name.clone()).or_insert(next);
                    bytes.extend_from_slice(number.to_string().as_bytes());
                }
                Piece::About(number) => bytes.extend_from_slice(number.to_string().as_bytes()),
                Piece::Text => bytes.push(b'x'),
                Piece::Lines => {}
            }
        }
        bytes
    }

    /// Compares with the start of `input`; numbers found are kept in `captures`.
    pub fn matches(&self, input: &[u8], captures: &mut Captures) -> Matched {
        matches(&self.0, input, 0, captures)
    }
}

fn matches(pieces: &[Piece], input: &[u8], at: usize, captures: &mut Captures) -> Matched {
    let Some((first, rest)) = pieces.split_first() else {
        return Matched::Yes(at);
    };
    let here = &input[at..];
    match first {
        Piece::Bytes(bytes) if here.starts_with(bytes) => {
            matches(rest, input, at + bytes.len(), captures)
        }
        Piece::Bytes(bytes) if bytes.starts_with(here) => Matched::More,
        Piece::Bytes(_) => Matched::No,
        Piece::Text => match here.iter().position(|&byte| byte == b'\r') {
            Some(end) => matches(rest, input, at + end, captures),
            None => Matched::More,
        },
        Piece::Lines => {
            let mut at = at;
            loop {
                let mut found = captures.clone();
                let matched = matches(rest, input, at, &mut found);
                if matched != Matched::No {
                    *captures = found;
                    return matched;
                }
                match input[at..].iter().position(|&byte| byte == b'\n') {
                    Some(end) => at += end + 1,
                    None => return Matched::More,
                }
            }
        }
        Piece::AnyNumber | Piece::Number { .. } | Piece::About(_) => {
            let digits = here.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if digits == here.len() {
                return Matched::More;
            }
            let number =
                std::str::from_utf8(&here[..digits]).ok().and_then(|text| text.parse().ok());
            let Some(number) = number else {
                return Matched::No;
            };
            let right = match first {
                Piece::About(about) => (about.saturating_sub(LATER)..=*about).contains(&number),
                Piece::Number { name, above } => {
                    let above = above.as_ref().map_or(Some(&0), |above| captures.get(above));
                    let right = captures.get(name).map_or_else(
                        || above.is_some_and(|&above| number > above),
                        |&known| known == number,
                    );
                    captures.insert(name.clone(), number);
                    right
                }
                _ => true,
            };
            if right { matches(rest, input, at + digits, captures) } else { Matched::No }
        }
    }
}

fn placeholder(body: &str) -> Result<Piece, String> {
    let is_name =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase());
    if let Some((count, text)) = body.split_once('*').filter(|(count, _)| !count.is_empty()) {
        let count: usize = count.parse().map_err(|_| format!("`{count}` is no number of times"))?;
        let template = Template::parse(text)?;
        return Ok(Piece::Bytes(template.bytes(&Captures::new())?.repeat(count)));
    }
    match body {
        "?" => Ok(Piece::AnyNumber),
        "..." => Ok(Piece::Text),
        "*" => Ok(Piece::Lines),
        name if is_name(name) => Ok(Piece::Number { name: name.to_owned(), above: None }),
        _ => {
            if let Some(about) = body.strip_prefix('~').and_then(|about| about.parse().ok()) {
                return Ok(Piece::About(about));
            }
            match body.split_once('>') {
                Some((name, above)) if is_name(name) && is_name(above) => {
                    Ok(Piece::Number { name: name.to_owned(), above: Some(above.to_owned()) })
                }
                _ => Err(format!("`{{{body}}}` is no placeholder")),
            }
        }
    }
}

/// The bytes of the first character of `text`, an escape among them, and how long it was.
fn character(text: &str) -> Result<(Vec<u8>, usize), String> {
    let Some(escape) = text.strip_prefix('\\') else {
        let length = text.chars().next().map_or(0, char::len_utf8);
        return Ok((text.as_bytes()[..length].to_vec(), length));
    };
    let byte = match escape.as_bytes().first() {
        Some(b'r') => b'\r',
        Some(b'n') => b'\n',
        Some(b't') => b'\t',
        Some(b'0') => 0,
        Some(&byte @ (b'\\' | b'{')) => byte,
        Some(b'x') => {
            let hex = escape.get(1..3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
            return hex
                .map(|byte| (vec![byte], 4))
                .ok_or_else(|| "`\\x` wants two hexadecimal digits".to_owned());
        }
        _ => return Err(format!("`{}` is no escape", text.chars().take(2).collect::<String>())),
    };
    Ok((vec![byte], 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> Template {
        Template::parse(text).unwrap()
    }

    fn on(text: &str, input: &str) -> Matched {
        template(text).matches(input.as_bytes(), &mut Captures::new())
    }

    #[test]
    fn escapes_and_repetition_are_bytes() {
        let bytes = |text| template(text).bytes(&Captures::new()).unwrap();
        assert_eq!(bytes(r"a\r\n\t\0\x7f\\\{b"), b"a\r\n\t\0\x7f\\{b");
        assert_eq!(bytes(r"{3*ab\n}c"), b"ab\nab\nab\nc");
        assert!(Template::parse("{").is_err() && Template::parse(r"\q").is_err());
        assert!(Template::parse("{UPPER}").is_err() && Template::parse(r"\xg0").is_err());
    }

    #[test]
    fn numbers_are_captured_and_compared() {
        let mut captures = Captures::new();
        assert_eq!(template("c{a} {b>a}!").matches(b"c12 13!", &mut captures), Matched::Yes(7));
        assert_eq!(template("cas {a}").bytes(&captures).unwrap(), b"cas 12");
        assert_eq!(template("{a}!").matches(b"13!", &mut captures.clone()), Matched::No);
        assert_eq!(template("{b}!").matches(b"13!", &mut captures), Matched::Yes(3));
        assert_eq!(on("{a} {b>a}!", "12 12!"), Matched::No);
        assert_eq!(on("t{~100}\r", "t98\r"), Matched::Yes(4));
        assert_eq!(on("t{~100}\r", "t90\r"), Matched::No);
        assert_eq!(on("{?}\r", "x\r"), Matched::No);
    }

    #[test]
    fn lines_and_texts_are_skipped() {
        assert_eq!(on(r"{*}END\r\n", "STAT a 1\r\nSTAT b 2\r\nEND\r\n"), Matched::Yes(25));
        assert_eq!(on(r"{*}END\r\n", "END\r\n"), Matched::Yes(5));
        assert_eq!(on(r"{*}END\r\n", "STAT a 1\r\n"), Matched::More);
        assert_eq!(on(r"V {...}\r\n", "V 1.6 x\r\n"), Matched::Yes(9));
        assert_eq!(on(r"V {...}\r\n", "V 1.6"), Matched::More);
    }

    #[test]
    fn what_is_cut_short_is_asked_for() {
        let whole = "HD c5 t99\r\n";
        for end in 0..whole.len() {
            assert_eq!(on(r"HD c{a} t{~100}\r\n", &whole[..end]), Matched::More, "{end}");
        }
    }

    #[test]
    fn an_example_matches() {
        let text = r"{*}HD c{a} {b>a} {a} {?} {~9} {...}\r\n";
        let example = template(text).example(&mut Captures::new());
        let matched = template(text).matches(&example, &mut Captures::new());
        assert_eq!(matched, Matched::Yes(example.len()));
    }
}
