//! The grammar of JSON (RFC 8259) in one pass: a text is checked, its members and elements are found as they
//! were received, and what the copy of a value needs to know of it is noted on the way. Nothing recurses, so
//! depth costs no stack. What it takes is what `serde_json` takes, which judges it in tests and fuzzing.

use alloc::vec::Vec;

use super::error::RecordFault;
use super::json::Unreadable;
use super::limits::TrackingLimits;
use crate::swar;

/// How deep a value may be, and how much may be in an object or array of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) depth: usize,
    pub(super) array: usize,
    pub(super) properties: usize,
}

impl Bounds {
    /// Of a value that is only skipped.
    pub(super) const NONE: Self =
        Self { depth: usize::MAX, array: usize::MAX, properties: usize::MAX };

    /// The bounds of a property.
    pub(super) const fn of(limits: &TrackingLimits) -> Self {
        Self { depth: limits.depth, array: limits.array, properties: limits.properties }
    }
}

/// A stretch of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TextRange {
    pub(super) start: usize,
    pub(super) end: usize,
}

impl TextRange {
    /// It, of the text that it was found in.
    pub(super) fn of(self, text: &str) -> &str {
        text.get(self.start..self.end).unwrap_or_default()
    }
}

/// A value, or a member's name, as it was received.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) range: TextRange,
    /// It is within its bounds, and there is nothing in it that a copy might have to leave out or to change: no
    /// white space between tokens, no escape, no number that may be too large to be read.
    pub(super) is_plain: bool,
}

/// An object or array that is not closed yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Level {
    is_array: bool,
    count: usize,
}

/// Reads one text from its begin to its end.
#[derive(Clone, Debug)]
pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    levels: Vec<Level>,
    /// Which bound the last value is over.
    fault: Option<RecordFault>,
}

impl<'a> Scanner<'a> {
    /// At the begin of `text`; `levels` is scratch space.
    pub(super) fn new(text: &'a str, levels: Vec<Level>) -> Self {
        Self { text, at: 0, levels, fault: None }
    }

    /// The scratch space, for the next one.
    pub(super) fn into_levels(self) -> Vec<Level> {
        self.levels
    }

    /// What it reads.
    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    /// How far it is.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Which bound the value is over that was read last.
    pub(super) fn fault(&self) -> Option<RecordFault> {
        self.fault
    }

    /// What stands next.
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Goes behind white space; whether there was some.
    pub(super) fn skip_space(&mut self) -> bool {
        let before = self.at;
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
        self.at != before
    }

    /// Goes behind `byte`, if that is what stands next.
    fn skip(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Nothing but white space is left.
    pub(super) fn end(&mut self) -> Result<(), Unreadable> {
        self.skip_space();
        if self.at == self.text.len() { Ok(()) } else { Err(Unreadable) }
    }

    /// Reads the object that stands next. `take` is given each name, and has to read the value. Behind one that
    /// it refuses the rest is only checked: that a text is not JSON goes before what is wrong with its members.
    pub(super) fn object<E>(
        &mut self,
        take: impl FnMut(&mut Self, Token) -> Result<Result<(), E>, Unreadable>,
    ) -> Result<Result<(), E>, Unreadable> {
        self.items([b'{', b'}'], Self::name, take)
    }

    /// Reads the array that stands next. `take` has to read an element; otherwise like [`object`](Self::object).
    pub(super) fn array<E>(
        &mut self,
        mut take: impl FnMut(&mut Self) -> Result<Result<(), E>, Unreadable>,
    ) -> Result<Result<(), E>, Unreadable> {
        self.items([b'[', b']'], |_| Ok(()), |scanner, ()| take(scanner))
    }

    /// Reads what stands between brackets: of each item `begin` what is before its value, `take` the value.
    #[inline]
    fn items<T, E>(
        &mut self,
        [open, close]: [u8; 2],
        begin: impl Fn(&mut Self) -> Result<T, Unreadable>,
        mut take: impl FnMut(&mut Self, T) -> Result<Result<(), E>, Unreadable>,
    ) -> Result<Result<(), E>, Unreadable> {
        if !self.skip(open) {
            return Err(Unreadable);
        }
        self.skip_space();
        if self.skip(close) {
            return Ok(Ok(()));
        }
        let mut taken = Ok(());
        loop {
            let begun = begin(self)?;
            if taken.is_ok() {
                taken = take(self, begun)?;
            } else {
                self.value(Bounds::NONE)?;
            }
            self.skip_space();
            if !self.skip(b',') {
                return if self.skip(close) { Ok(taken) } else { Err(Unreadable) };
            }
            self.skip_space();
        }
    }

    /// Goes behind a name and its colon, to the value. White space between them is none of the name's.
    fn name(&mut self) -> Result<Token, Unreadable> {
        let start = self.at;
        if !self.skip(b'"') {
            return Err(Unreadable);
        }
        let is_plain = self.rest_of_string()?;
        let name = Token { range: TextRange { start, end: self.at }, is_plain };
        if self.skip(b':') {
            self.skip_space();
            return Ok(name);
        }
        self.skip_space();
        if !self.skip(b':') {
            return Err(Unreadable);
        }
        self.skip_space();
        Ok(name)
    }

    /// Reads the value that stands next, whatever it is, to its end, also when it is over its bounds.
    pub(super) fn value(&mut self, bounds: Bounds) -> Result<Token, Unreadable> {
        let start = self.at;
        self.fault = None;
        let is_plain = match self.peek() {
            Some(b'{' | b'[') => self.nested(bounds)?,
            _ => self.scalar()?,
        };
        Ok(Token { range: TextRange { start, end: self.at }, is_plain })
    }

    /// Goes behind a value that is neither an object nor an array; whether it is plain.
    #[inline]
    fn scalar(&mut self) -> Result<bool, Unreadable> {
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                self.rest_of_string()
            }
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => Err(Unreadable),
        }
    }

    fn word(&mut self, word: &str) -> Result<bool, Unreadable> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        if !rest.starts_with(word.as_bytes()) {
            return Err(Unreadable);
        }
        self.at += word.len();
        Ok(true)
    }

    /// Goes behind an object or array; whether it is plain.
    fn nested(&mut self, bounds: Bounds) -> Result<bool, Unreadable> {
        self.levels.clear();
        let mut is_plain = true;
        loop {
            // Here a value begins.
            if let Some(opened @ (b'{' | b'[')) = self.peek() {
                self.at += 1;
                if self.levels.len() >= bounds.depth {
                    self.fault.get_or_insert(RecordFault::TooDeep { limit: bounds.depth });
                }
                is_plain &= !self.skip_space();
                let is_array = opened == b'[';
                if !self.skip(if is_array { b']' } else { b'}' }) {
                    self.levels.push(Level { is_array, count: 0 });
                    is_plain &= self.begin_item(bounds)?;
                    continue;
                }
            } else {
                is_plain &= self.scalar()?;
            }
            // And here it has ended, and perhaps what it stands in.
            loop {
                let Some(level) = self.levels.last() else {
                    return Ok(is_plain && self.fault.is_none());
                };
                let close = if level.is_array { b']' } else { b'}' };
                is_plain &= !self.skip_space();
                if self.skip(b',') {
                    is_plain &= !self.skip_space();
                    is_plain &= self.begin_item(bounds)?;
                    break;
                }
                if !self.skip(close) {
                    return Err(Unreadable);
                }
                self.levels.pop();
            }
        }
    }

    /// Counts one more member or element, and goes to its value; whether all up to there is plain.
    fn begin_item(&mut self, bounds: Bounds) -> Result<bool, Unreadable> {
        let Some(level) = self.levels.last_mut() else { return Err(Unreadable) };
        level.count += 1;
        if level.is_array {
            if level.count > bounds.array {
                self.fault.get_or_insert(RecordFault::ArrayTooLong { limit: bounds.array });
            }
            return Ok(true);
        }
        if level.count > bounds.properties {
            self.fault.get_or_insert(RecordFault::ObjectTooLarge { limit: bounds.properties });
        }
        let name = self.name()?;
        Ok(name.is_plain && self.at == name.range.end + 1)
    }

    /// Goes behind the string whose first quote was read; whether there is no escape in it.
    #[inline]
    fn rest_of_string(&mut self) -> Result<bool, Unreadable> {
        let text = self.text.as_bytes();
        let mut is_plain = true;
        loop {
            let rest = text.get(self.at..).unwrap_or_default();
            self.at += swar::find_in_rest(text, rest, |eight| {
                swar::equal(eight, b'"') | swar::equal(eight, b'\\') | swar::below(eight, b' ')
            });
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(is_plain);
                }
                Some(b'\\') => {
                    is_plain = false;
                    self.escape()?;
                }
                // A control character, or the end.
                _ => return Err(Unreadable),
            }
        }
    }

    #[cold]
    fn escape(&mut self) -> Result<(), Unreadable> {
        match self.text.as_bytes().get(self.at + 1..) {
            Some([b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..]) => self.at += 2,
            Some([b'u', digits @ ..])
                if digits.len() >= 4 && digits.iter().take(4).all(u8::is_ascii_hexdigit) =>
            {
                self.at += 6;
            }
            _ => return Err(Unreadable),
        }
        Ok(())
    }

    /// Goes behind a number; whether it surely is none that is too large to be read.
    fn number(&mut self) -> Result<bool, Unreadable> {
        let start = self.at;
        self.skip(b'-');
        // No other digit stands behind a leading zero.
        if !self.skip(b'0') {
            self.digits()?;
        }
        if self.skip(b'.') {
            self.digits()?;
        }
        let mut has_exponent = false;
        if let Some(b'e' | b'E') = self.peek() {
            has_exponent = true;
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        // The shortest one that is too large is 2e308; without an exponent it has 309 digits.
        let length = self.at - start;
        Ok(length <= 308 && (length < 5 || !has_exponent))
    }

    /// Goes behind digits, of which there has to be one.
    fn digits(&mut self) -> Result<(), Unreadable> {
        let before = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at > before { Ok(()) } else { Err(Unreadable) }
    }
}

#[cfg(test)]
mod tests {
    use std::string::String;
    use std::vec::Vec;

    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;

    /// The whole text as a value.
    fn scan(text: &str, bounds: Bounds) -> Result<Token, Unreadable> {
        let mut scanner = Scanner::new(text, Vec::new());
        scanner.skip_space();
        let token = scanner.value(bounds)?;
        scanner.end()?;
        Ok(token)
    }

    /// What `serde_json` finds, without the white space around it.
    fn judged(text: &str) -> Option<&str> {
        serde_json::from_str::<&RawValue>(text).ok().map(RawValue::get)
    }

    /// JSON, and what is nearly JSON.
    const VALUES: &[&str] = &[
        "",
        " ",
        "null",
        "nul",
        "nulls",
        "true",
        "false",
        "fals",
        "tru e",
        "True",
        "NaN",
        "0",
        "-0",
        "-",
        "01",
        "-01",
        "1.",
        ".5",
        "1.5",
        "1.5.",
        "1e",
        "1e+",
        "1e+5",
        "1E-05",
        "1e5.5",
        "+1",
        "1 2",
        "0x1",
        "1-",
        "--1",
        "-a",
        "00",
        "0e0",
        "0.0e-0",
        r#""""#,
        r#"""#,
        r#""a"#,
        r#""a\"#,
        r#""\"""#,
        r#""\u12"#,
        r#""\u12g4""#,
        r#""\u1234""#,
        r#""\ud83d""#,
        r#""\uD83D\u""#,
        r#""\x""#,
        r#""\/\b\f\n\r\t\\""#,
        "\"a\u{1f}\"",
        "\"\u{7f}é😀\"",
        "\"a\tb\"",
        "\"a\nb\"",
        "\"12345678\u{0}\"",
        "[]",
        "[ ]",
        "[,]",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1,2]",
        "[1}",
        "[",
        "]",
        "[[]",
        "[[]]]",
        "[[],[ ]]",
        "{}",
        "{ }",
        "{,}",
        "{1:2}",
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a":1,}"#,
        r#"{"a":1]"#,
        r#"{"a" : 1 , "b":[ {"c":{}} ]}"#,
        r#"{"a"1}"#,
        r#"{"a":1 "b":2}"#,
        "{a:1}",
        "{null:1}",
        r#"{"a":1}}"#,
        r#"{"a":1} x"#,
        r#"{"a":{"b":[1,{"c":2}]}}"#,
        "\u{a0}1",
        "\u{b}1",
        "\u{feff}1",
        "{\"é\":\"é\"}",
        "{\"\\ud83d\":1}",
        "[\"\\ud83d\"]",
        "1e999",
        "[1e999]",
    ];

    #[test]
    fn what_is_json_is_what_serde_json_takes() {
        for &value in VALUES {
            for text in [
                String::from(value),
                std::format!(" {value}\n"),
                std::format!("[{value}]"),
                std::format!("[1,{value} ,[]]"),
                std::format!("{{\"a\":{value}}}"),
                std::format!("{{\"a\" : \r\n{value}\t,\"b\":{{}}}}"),
            ] {
                let found = scan(&text, Bounds::NONE).ok().map(|token| token.range.of(&text));
                assert_eq!(found, judged(&text), "{text:?}");
            }
        }
    }

    #[test]
    fn a_value_is_plain_where_a_copy_has_nothing_to_change() {
        for plain in [
            "1",
            "-1.5",
            "1e30",
            "\"a b\"",
            "null",
            "[]",
            "{}",
            r#"[1,{"a b":[" , "]},true]"#,
            "\"é\"",
        ] {
            assert!(scan(plain, Bounds::NONE).unwrap().is_plain, "{plain}");
        }
        for changed in [
            r#""\n""#,
            "[ ]",
            "{ }",
            "[1 ]",
            "[ 1]",
            "[1 ,2]",
            "[1, 2]",
            r#"{"a" :1}"#,
            r#"{"a": 1}"#,
            r#"{"a":1 }"#,
            r#"{ "a":1}"#,
            r#"{"\n":1}"#,
            r#"["\n"]"#,
            "1e308",
            "[-1e30]",
            "[[ ]]",
        ] {
            assert!(!scan(changed, Bounds::NONE).unwrap().is_plain, "{changed}");
        }
        assert!(scan(&"1".repeat(308), Bounds::NONE).unwrap().is_plain);
        assert!(!scan(&"1".repeat(309), Bounds::NONE).unwrap().is_plain);
    }

    #[test]
    fn the_first_bound_that_is_passed_is_told_of_what_is_json_to_its_end() {
        let bounds = Bounds { depth: 2, array: 1, properties: 1 };
        let fault = |text| {
            let mut scanner = Scanner::new(text, Vec::new());
            let is_plain = scanner.value(bounds)?.is_plain;
            scanner.end()?;
            assert!(!is_plain || scanner.fault().is_none());
            Ok(scanner.fault())
        };
        for good in ["[[ ]]", "[{}]", "[ 1 ]", "{ \"a\" : [ \",\" ] }", "1", "\"[[[\""] {
            assert_eq!(fault(good), Ok(None), "{good}");
        }
        let too_long = RecordFault::ArrayTooLong { limit: 1 };
        let too_deep = RecordFault::TooDeep { limit: 2 };
        assert_eq!(fault("[1,[[[]]]]"), Ok(Some(too_long)));
        assert_eq!(fault("[[[1,2]],3]"), Ok(Some(too_deep)));
        assert_eq!(fault(r#"{"a":[],"b":1}"#), Ok(Some(RecordFault::ObjectTooLarge { limit: 1 })));
        assert_eq!(fault("[1,2"), Err(Unreadable));
    }

    /// Text that is JSON more often than not.
    fn nearly_json() -> impl Strategy<Value = String> {
        const PIECES: [&str; 33] = [
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"",
            "\\",
            " ",
            "\n",
            "null",
            "true",
            "false",
            "0",
            "-",
            "1",
            "25",
            ".",
            "e",
            "E",
            "+",
            "a",
            "\\u",
            "00e9",
            "d83d",
            "\\n",
            "é",
            "\u{1}",
            "\"a\"",
            "\"a\":",
            "{\"a\":1}",
            "[1,2]",
            "\"long enough for eight bytes\"",
        ];
        let value = proptest::collection::vec(prop::sample::select(&PIECES[..]), 0..12);
        value.prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn serde_json_agrees(text in nearly_json(), around in 0..4) {
            let text = match around {
                0 => text,
                1 => std::format!("[{text}]"),
                2 => std::format!("{{\"a\":{text}}}"),
                _ => std::format!("[\"{text}\"]"),
            };
            let found = scan(&text, Bounds::NONE).ok().map(|token| token.range.of(&text));
            prop_assert_eq!(found, judged(&text), "{:?}", text);
        }

        #[test]
        fn serde_json_agrees_on_json_with_a_byte_of_it_changed(
            mut text in proptest::sample::select(&[
                r#"{"event":"a\u00e9b","properties":{"token":"t","n":[1,-2.5e+10,{"x":null}],"b":true}}"#,
                r#"[{"a":[[],{}]}, {"b" : "\"\\" , "c":false} , 0.1 ]"#,
            ][..]).prop_map(String::from),
            at in any::<prop::sample::Index>(),
            with in prop::sample::select(&b"{}[],:\"\\ 0-.eEtn\x01a"[..]),
        ) {
            let at = at.index(text.len());
            text.replace_range(at..=at, core::str::from_utf8(&[with]).unwrap());
            let found = scan(&text, Bounds::NONE).ok().map(|token| token.range.of(&text));
            prop_assert_eq!(found, judged(&text), "{:?}", text);
        }
    }
}
