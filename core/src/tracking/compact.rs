//! JSON text without the white space between its tokens, and with every string and number such that
//! any consumer can parse it. The text is known to be valid; nothing recurses, so depth costs no stack.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;

use super::error::RecordFault;
use super::mend::Repairs;
use super::scan::{Scanner, TextRange, Token};

/// What stands for a character that cannot be known (U+FFFD).
const REPLACEMENT: &str = "\\ufffd";

/// A value as it is passed on.
#[derive(Clone, Debug, Default)]
pub(super) struct Value {
    /// Where it was received.
    range: TextRange,
    /// It, if that is not what was received.
    changed: Option<Box<str>>,
}

impl Value {
    /// The value that `scanner` has just read: its tokens as they came, without white space between them, with
    /// clean strings (see [`string`]) and with `null` for numbers that nobody can hold.
    ///
    /// # Errors
    ///
    /// It is over its bounds.
    #[inline]
    pub(super) fn new(
        scanner: &Scanner<'_>,
        token: Token,
        repairs: &mut Repairs,
    ) -> Result<Self, RecordFault> {
        if token.is_plain {
            return Ok(Self { range: token.range, changed: None });
        }
        Self::changed(scanner, token.range, repairs)
    }

    #[cold]
    fn changed(
        scanner: &Scanner<'_>,
        range: TextRange,
        repairs: &mut Repairs,
    ) -> Result<Self, RecordFault> {
        match scanner.fault() {
            Some(fault) => Err(fault),
            None => Ok(Self { range, changed: copy(range.of(scanner.text()), repairs) }),
        }
    }

    /// It, of the text that it was received in.
    #[inline]
    pub(super) fn of<'a>(&'a self, text: &'a str) -> &'a str {
        match &self.changed {
            Some(changed) => changed,
            None => self.range.of(text),
        }
    }

    /// Where it was received, if it is passed on like that.
    #[inline]
    pub(super) fn received(&self) -> Option<TextRange> {
        self.changed.is_none().then_some(self.range)
    }
}

/// The copy of a value, if anything of it has to be left out or changed.
fn copy(text: &str, repairs: &mut Repairs) -> Option<Box<str>> {
    let mut copy = Copy::of(text);
    while let Some(byte) = copy.peek() {
        match byte {
            b' ' | b'\n' | b'\r' | b'\t' => copy.replace(1, ""),
            b'"' => copy.string(),
            b'-' | b'0'..=b'9' => copy.number(),
            _ => copy.keep(1),
        }
    }
    match copy.finish(repairs) {
        Cow::Owned(changed) => Some(changed.into()),
        Cow::Borrowed(_) => None,
    }
}

/// Whether the JSON readers that consumers have by default can hold a number: `serde_json` refuses the
/// whole text for one that is too large for a double, Python for one of 4,301 digits, and what
/// JavaScript makes of it (infinity) cannot be written again.
fn is_readable(number: &str) -> bool {
    // The shortest one that is too large is 2e308; without an exponent it has 309 digits.
    let may_be_too_large = number.len() > 308
        || number.len() >= 5 && number.bytes().any(|byte| matches!(byte, b'e' | b'E'));
    !may_be_too_large || serde_json::from_str::<f64>(number).is_ok_and(f64::is_finite)
}

/// A string, given with its quotes, in which every escape is as it came, but for a surrogate
/// without its other half, which senders make when they cut a string in the middle of an emoji: it
/// becomes U+FFFD, because strict parsers refuse the whole text for it.
pub(super) fn string<'a>(text: &'a str, repairs: &mut Repairs) -> Cow<'a, str> {
    if memchr::memchr(b'\\', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let mut copy = Copy::of(text);
    copy.string();
    copy.finish(repairs)
}

/// A copy of a text that is made when something in it is replaced, and not before.
struct Copy<'a> {
    text: &'a str,
    /// How far the text was looked at.
    at: usize,
    /// How far it was copied.
    copied: usize,
    made: String,
    repairs: Repairs,
}

impl<'a> Copy<'a> {
    fn of(text: &'a str) -> Self {
        Self { text, at: 0, copied: 0, made: String::new(), repairs: Repairs::default() }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn keep(&mut self, bytes: usize) {
        self.at += bytes;
    }

    fn replace(&mut self, bytes: usize, with: &str) {
        self.made.push_str(self.text.get(self.copied..self.at).unwrap_or_default());
        self.made.push_str(with);
        self.at += bytes;
        self.copied = self.at;
    }

    fn finish(mut self, repairs: &mut Repairs) -> Cow<'a, str> {
        if self.copied == 0 {
            return Cow::Borrowed(self.text);
        }
        repairs.characters += self.repairs.characters;
        repairs.numbers += self.repairs.numbers;
        self.made.push_str(self.text.get(self.copied..).unwrap_or_default());
        Cow::Owned(self.made)
    }

    /// Goes behind the number that comes next.
    fn number(&mut self) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let length = rest.bytes().take_while(is_part).count();
        if is_readable(rest.get(..length).unwrap_or_default()) {
            self.keep(length);
        } else {
            self.replace(length, "null");
            self.repairs.numbers += 1;
        }
    }

    /// Goes behind the string that comes next.
    fn string(&mut self) {
        self.keep(1);
        loop {
            let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
            match memchr::memchr2(b'"', b'\\', rest) {
                Some(run) => self.keep(run),
                None => return self.keep(rest.len()),
            }
            if self.peek() == Some(b'"') {
                return self.keep(1);
            }
            match (self.code_unit(0), self.code_unit(6)) {
                (None, _) => self.keep(2),
                (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => self.keep(12),
                (Some(0xd800..=0xdfff), _) => {
                    self.replace(6, REPLACEMENT);
                    self.repairs.characters += 1;
                }
                (Some(_), _) => self.keep(6),
            }
        }
    }

    /// The UTF-16 code unit of the `\uXXXX` that is so many bytes ahead.
    fn code_unit(&self, ahead: usize) -> Option<u16> {
        let digits = self.text.get(self.at + ahead..)?.strip_prefix("\\u")?.get(..4)?;
        u16::from_str_radix(digits, 16).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::format;
    use std::vec::Vec;

    use super::*;
    use crate::tracking::scan::{Bounds, Scanner};

    fn value(text: &str, repairs: &mut Repairs) -> (String, bool) {
        let mut scanner = Scanner::new(text, Vec::new());
        let token = scanner.value(Bounds::NONE).unwrap();
        let value = Value::new(&scanner, token, repairs).unwrap();
        (value.of(text).into(), value.received().is_some())
    }

    #[test]
    fn of_a_string_only_a_lone_surrogate_is_changed() {
        let cases = [
            (r#""plain""#, r#""plain""#),
            (r#""a\n\"\\b\/c\u00e9""#, r#""a\n\"\\b\/c\u00e9""#),
            (r#""\u0000\u2028""#, r#""\u0000\u2028""#),
            (r#""\ud83d\ude00""#, r#""\ud83d\ude00""#),
            (r#""\uD83D\uDE00x""#, r#""\uD83D\uDE00x""#),
            (r#""cut \ud83d""#, r#""cut \ufffd""#),
            (r#""\ude00 cut""#, r#""\ufffd cut""#),
            (r#""\ud83d\n""#, r#""\ufffd\n""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\ude00\ud83d""#, r#""\ufffd\ufffd""#),
            (r#""\\ud83d""#, r#""\\ud83d""#),
            (r#"" a : \" ] ""#, r#"" a : \" ] ""#),
            (r#""é\u00e9\\""#, r#""é\u00e9\\""#),
        ];
        for (text, expected) in cases {
            let mut repairs = Repairs::default();
            assert_eq!(string(text, &mut repairs), expected);
            let replaced = expected.matches(REPLACEMENT).count() as u64;
            assert_eq!(repairs.characters, replaced, "{text}");
            assert_eq!(value(text, &mut Repairs::default()).0, expected);
        }
    }

    #[test]
    fn only_what_changes_is_copied() {
        for text in ["1.0", r#""a \n""#, r#"{"a":[1,{"b":"c , d"}],"e":{}}"#] {
            assert_eq!(value(text, &mut Repairs::default()), (text.into(), true), "{text}");
        }
        let text = "{ \"a b\" :\t[ 1 ,\r\n\"\\ud83d \" ] }";
        let compact = value(text, &mut Repairs::default());
        assert_eq!(compact, (r#"{"a b":[1,"\ufffd "]}"#.into(), false));
    }

    #[test]
    fn a_number_that_no_reader_can_hold_becomes_null() {
        let digits = |count: usize| "1".repeat(count);
        let kept = [
            "0",
            "-0",
            "-0.0",
            "1e5",
            "1E+05",
            "1e308",
            "-1.7976931348623157e+308",
            "1e-999",
            "0e999",
            "0.0e99999999999999999999",
            "12345678901234567890123456789",
            &digits(308),
            &format!("-{}", digits(308)),
            &format!("0.{}", digits(5000)),
            &format!("{}e-4990", digits(5000)),
        ];
        let nulled = [
            "1e309",
            "-2e308",
            "1e999",
            "1E+0999",
            "10e308",
            "1e99999999999999999999",
            "1.8e308",
            "0.1e310",
            &digits(310),
            &digits(5000),
            &format!("-{}.5", digits(5000)),
            &format!("{}e5", digits(305)),
        ];
        let compact = |text: &str| {
            let mut repairs = Repairs::default();
            (value(text, &mut repairs).0, repairs.numbers)
        };
        for number in kept {
            for text in [number.into(), format!("[{number}]"), format!("{{\"a\":[1,{number}]}}")] {
                assert_eq!(compact(&text), (text.clone(), 0), "{text}");
            }
        }
        for number in nulled {
            assert_eq!(compact(number), ("null".into(), 1), "{number}");
            let text = format!("{{\"a\" : [1,{number} ,\"{number}\",{number}]}}");
            let expected = format!("{{\"a\":[1,null,\"{number}\",null]}}");
            assert_eq!(compact(&text), (expected, 2), "{text}");
        }
    }
}
