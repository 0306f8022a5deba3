//! JSON text as members and elements, and what is wrong with text that is none.

use alloc::vec::Vec;

use serde_core::Deserialize as _;
use serde_core::de::IgnoredAny;
use serde_json::{Deserializer, Error};

use super::error::DecodeError;
use super::mend;
use super::scan::{Bounds, Scanner};

/// The text is not JSON, or not of the type that was asked for; [`rejection`] tells which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

/// Most objects and arrays within each other. It is far more than any record may have, and so few that
/// nothing has to be looked at in a text which is no longer than this.
pub(super) const MAX_NESTING: usize = 16 * 1024;

/// Whether objects and arrays are nested deeper than [`MAX_NESTING`]. Readers of JSON remember every level,
/// so that this costs much more than other text; looked at before, it costs next to nothing.
pub(super) fn is_nested_too_deep(text: &[u8]) -> bool {
    let mut opened = 0;
    let may_be = text.len() > MAX_NESTING
        // Short enough for a sum in a byte, which compilers make of whole vectors.
        && text.chunks(usize::from(u8::MAX)).any(|chunk| {
            let is_opened = |byte: &u8| u8::from(matches!(byte, b'[' | b'{'));
            opened += usize::from(chunk.iter().map(is_opened).sum::<u8>());
            opened > MAX_NESTING
        });
    may_be && has_deep_nesting(text)
}

#[cold]
fn has_deep_nesting(text: &[u8]) -> bool {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => at += mend::string_len(text.get(at..).unwrap_or_default()) - 1,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_NESTING {
            return true;
        }
        at += 1;
    }
    false
}

/// Hands over the members of an object, each name with its quotes. After a member that `take`
/// refuses no other is handed over, but the text is still checked to its end: that it is not JSON
/// goes before what is wrong with its members.
pub(super) fn members<'a, E>(
    object: &'a str,
    mut take: impl FnMut(&'a str, &'a str) -> Result<(), E>,
) -> Result<Result<(), E>, Unreadable> {
    whole(object, |scanner| {
        scanner.object(|scanner, name| {
            let value = scanner.value(Bounds::NONE)?;
            Ok(take(name.range.of(object), value.range.of(object)))
        })
    })
}

/// Hands over the elements of an array; otherwise like [`members`].
pub(super) fn elements<'a, E>(
    array: &'a str,
    mut take: impl FnMut(&'a str) -> Result<(), E>,
) -> Result<Result<(), E>, Unreadable> {
    whole(array, |scanner| {
        scanner.array(|scanner| Ok(take(scanner.value(Bounds::NONE)?.range.of(array))))
    })
}

/// What `read` makes of a text, to the end of which it has to come.
fn whole<'a, T>(
    text: &'a str,
    read: impl FnOnce(&mut Scanner<'a>) -> Result<T, Unreadable>,
) -> Result<T, Unreadable> {
    let mut scanner = Scanner::new(text, Vec::new());
    scanner.skip_space();
    let found = read(&mut scanner)?;
    scanner.end()?;
    Ok(found)
}

/// What is wrong with a text that is not readable as events.
#[cold]
pub(super) fn rejection(text: &str) -> DecodeError {
    let mut json = Deserializer::from_str(text);
    if let Err(error) = IgnoredAny::deserialize(&mut json) {
        let at = offset(text, &error);
        // A number that ends too early is invalid to serde_json, even where the text ends with it.
        let in_number = text.ends_with(['-', '+', '.', 'e', 'E']) && at + 1 == text.len();
        if error.is_eof() || in_number {
            return DecodeError::JsonCut { length: text.len() };
        }
        return DecodeError::Json { at };
    }
    match json.end() {
        Err(error) => DecodeError::JsonTrailing { at: offset(text, &error) },
        Ok(()) => DecodeError::NotEvents,
    }
}

/// Lines and columns, both counted from 1, as a number of bytes.
fn offset(text: &str, error: &Error) -> usize {
    let mut line_ends = memchr::memchr_iter(b'\n', text.as_bytes());
    let line = match error.line() {
        0 | 1 => 0,
        line => line_ends.nth(line - 2).map_or(0, |line_end| line_end + 1),
    };
    (line + error.column()).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use std::string::String;
    use std::vec::Vec;

    use super::*;

    #[test]
    fn members_and_elements_stay_as_received() {
        let mut found = Vec::new();
        let taken = members(
            " { \"a\\u0062\" : [ 1 ] , \"\\ud83d\":\"\\ude00\", \"n\":-0.10e999 }\n",
            |name, value| {
                found.push((name, value));
                Ok::<_, ()>(())
            },
        );
        assert_eq!(taken, Ok(Ok(())));
        assert_eq!(
            found,
            [(r#""a\u0062""#, "[ 1 ]"), (r#""\ud83d""#, r#""\ude00""#), (r#""n""#, "-0.10e999")]
        );

        let mut found = Vec::new();
        let taken = elements("[ {\"a\": 1} , [],null ]", |element| {
            found.push(element);
            Ok::<_, ()>(())
        });
        assert_eq!(taken, Ok(Ok(())));
        assert_eq!(found, ["{\"a\": 1}", "[]", "null"]);
    }

    #[test]
    fn what_is_not_json_goes_before_what_is_refused() {
        let mut seen = 0;
        let mut refuse = |_: &str| {
            seen += 1;
            Err("refused")
        };
        assert_eq!(elements("[1,2]", &mut refuse), Ok(Err("refused")));
        assert_eq!(elements("[1,2", &mut refuse), Err(Unreadable));
        assert_eq!(seen, 2);
        assert_eq!(members(r#"{"a":1,"b":}"#, |_, _| Err(())), Err(Unreadable));
        assert_eq!(members("[]", |_, _| Err(())), Err(Unreadable));
    }

    #[test]
    fn nesting_is_bounded_whatever_stands_beside_it() {
        let levels = |n: usize, open: &str, close: &str| open.repeat(n) + &close.repeat(n);
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}"), (r#"["]}",{"\"]":"#, "}]")] {
            let at_once = open.matches(['[', '{']).count();
            let most = MAX_NESTING / at_once;
            assert!(!is_nested_too_deep(levels(most, open, close).as_bytes()), "{open}");
            assert!(is_nested_too_deep(levels(most + 1, open, close).as_bytes()), "{open}");
            // Cut off, it is as deep.
            assert!(is_nested_too_deep(open.repeat(most + 1).as_bytes()), "{open}");
        }
        // Many beside each other, and in strings, are not deep.
        for flat in ["[],", r#"{"a":[{}]},"#, r#""[[[","{","]","#] {
            assert!(!is_nested_too_deep(flat.repeat(MAX_NESTING + 1).as_bytes()), "{flat}");
        }
        assert!(!is_nested_too_deep("]".repeat(MAX_NESTING + 1).as_bytes()));
        assert!(!is_nested_too_deep("\"".repeat(MAX_NESTING + 1).as_bytes()));
    }

    #[test]
    fn depth_takes_no_stack() {
        let deep = |n: usize| std::format!("{}{}", "[".repeat(n), "]".repeat(n));
        let object = std::format!(r#"{{"a":{}}}"#, deep(1_000_000));
        let mut length = 0;
        let taken = members(&object, |_, value| {
            length = value.len();
            Ok::<_, ()>(())
        });
        assert_eq!(taken, Ok(Ok(())));
        assert_eq!(length, 2_000_000);
        let open = String::from("[").repeat(1_000_000);
        assert_eq!(rejection(&open), DecodeError::JsonCut { length: 1_000_000 });
    }

    #[test]
    fn errors_are_found_on_their_line() {
        let cases = [
            ("{\"a\":x}", DecodeError::Json { at: 5 }),
            ("{\n\"a\":x}", DecodeError::Json { at: 6 }),
            ("{\n\"a\":\n\nx}", DecodeError::Json { at: 8 }),
            ("{}\n\n x", DecodeError::JsonTrailing { at: 5 }),
            ("{\n\n", DecodeError::JsonCut { length: 3 }),
            ("[-", DecodeError::JsonCut { length: 2 }),
            ("[1.5e", DecodeError::JsonCut { length: 5 }),
            ("\"\\ud83d\"", DecodeError::NotEvents),
            ("1e999", DecodeError::NotEvents),
        ];
        for (text, expected) in cases {
            assert_eq!(rejection(text), expected, "{text}");
        }
    }
}
