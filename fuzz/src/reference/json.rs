//! JSON (RFC 8259) as a tree that keeps every digit and every escape.

/// A value. Numbers and strings are as they were written, strings with their quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    /// `null`, `true`, `false` or a number.
    Plain(String),
    /// A string.
    Text(String),
    /// An array.
    Array(Vec<Json>),
    /// An object: names and values.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Without white space between its tokens, halves of surrogate pairs, and numbers that are too
    /// large for a double.
    pub fn compact(&self) -> String {
        match self {
            Self::Plain(text) if text.parse::<f64>().is_ok_and(f64::is_infinite) => "null".into(),
            Self::Plain(text) => text.clone(),
            Self::Text(text) => whole(text),
            Self::Array(items) => {
                let items: Vec<String> = items.iter().map(Self::compact).collect();
                format!("[{}]", items.join(","))
            }
            Self::Object(members) => {
                let members: Vec<String> = members
                    .iter()
                    .map(|(name, value)| format!("{}:{}", whole(name), value.compact()))
                    .collect();
                format!("{{{}}}", members.join(","))
            }
        }
    }
}

/// A string as written, with `\ufffd` for each half of a surrogate pair that stands alone.
pub fn whole(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if first != '\\' {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        match (unit(rest), rest.get(6..).and_then(unit)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => {
                out.push_str(&rest[..12]);
                rest = &rest[12..];
            }
            (Some(0xd800..=0xdfff), _) => {
                out.push_str("\\ufffd");
                rest = &rest[6..];
            }
            (Some(_), _) => {
                out.push_str(&rest[..6]);
                rest = &rest[6..];
            }
            (None, _) => {
                out.push_str(&rest[..2]);
                rest = &rest[2..];
            }
        }
    }
    out
}

/// The number behind `\u` at the start of `text`.
fn unit(text: &str) -> Option<u32> {
    u32::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok()
}

/// What a string says.
pub fn unescaped(text: &str) -> String {
    let text = whole(text);
    let mut out = String::new();
    let mut rest = &text[1..text.len() - 1];
    while let Some(first) = rest.chars().next() {
        if first != '\\' {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        if let Some(high) = unit(rest) {
            let low = rest.get(6..).and_then(unit);
            let (code, len) = match (high, low) {
                (0xd800..=0xdbff, Some(low)) => {
                    (0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00), 12)
                }
                _ => (high, 6),
            };
            out.push(char::from_u32(code).expect("pairs are whole"));
            rest = &rest[len..];
            continue;
        }
        out.push(match rest.as_bytes()[1] {
            b'b' => '\x08',
            b'f' => '\x0c',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            other => char::from(other),
        });
        rest = &rest[2..];
    }
    out
}

/// The value that is the whole text; `None` where it is not JSON, and has no bare word in it that
/// some writers have for what is no number.
pub fn read(text: &str) -> Option<Json> {
    let mut reader = Reader { rest: text };
    let value = reader.value()?;
    reader.space();
    reader.rest.is_empty().then_some(value)
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn take(&mut self, token: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(token)?;
        Some(())
    }

    fn value(&mut self) -> Option<Json> {
        self.space();
        match self.rest.bytes().next()? {
            b'{' => {
                self.take("{")?;
                let mut members = Vec::new();
                self.space();
                if self.take("}").is_some() {
                    return Some(Json::Object(members));
                }
                loop {
                    self.space();
                    let name = self.string()?;
                    self.space();
                    self.take(":")?;
                    members.push((name, self.value()?));
                    self.space();
                    if self.take(",").is_none() {
                        self.take("}")?;
                        return Some(Json::Object(members));
                    }
                }
            }
            b'[' => {
                self.take("[")?;
                let mut items = Vec::new();
                self.space();
                if self.take("]").is_some() {
                    return Some(Json::Array(items));
                }
                loop {
                    items.push(self.value()?);
                    self.space();
                    if self.take(",").is_none() {
                        self.take("]")?;
                        return Some(Json::Array(items));
                    }
                }
            }
            b'"' => self.string().map(Json::Text),
            _ => {
                for word in ["null", "true", "false"] {
                    if self.take(word).is_some() {
                        return Some(Json::Plain(word.to_owned()));
                    }
                }
                for word in ["NaN", "Infinity", "-Infinity"] {
                    if self.take(word).is_some() {
                        return Some(Json::Plain("null".to_owned()));
                    }
                }
                self.number()
            }
        }
    }

    fn string(&mut self) -> Option<String> {
        let start = self.rest;
        self.take("\"")?;
        loop {
            let first = self.rest.chars().next()?;
            self.rest = &self.rest[first.len_utf8()..];
            match first {
                '"' => return Some(start[..start.len() - self.rest.len()].to_owned()),
                '\\' => match self.rest.bytes().next()? {
                    b'u' => {
                        let digits = self.rest.get(1..5)?;
                        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                            return None;
                        }
                        self.rest = &self.rest[5..];
                    }
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {
                        self.rest = &self.rest[1..];
                    }
                    _ => return None,
                },
                '\0'..='\x1f' => return None,
                _ => {}
            }
        }
    }

    fn digits(&mut self) -> usize {
        let len = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        self.rest = &self.rest[len..];
        len
    }

    fn number(&mut self) -> Option<Json> {
        let start = self.rest;
        let _ = self.take("-");
        let whole = self.rest;
        match self.digits() {
            0 => return None,
            len if len > 1 && whole.starts_with('0') => return None,
            _ => {}
        }
        if self.take(".").is_some() && self.digits() == 0 {
            return None;
        }
        if self.rest.starts_with(['e', 'E']) {
            self.rest = &self.rest[1..];
            if self.rest.starts_with(['+', '-']) {
                self.rest = &self.rest[1..];
            }
            if self.digits() == 0 {
                return None;
            }
        }
        Some(Json::Plain(start[..start.len() - self.rest.len()].to_owned()))
    }
}
