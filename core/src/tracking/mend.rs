//! Text that is nearly JSON in UTF-8, as some senders write it, made JSON: what was meant is put in
//! the place of what came, or what says that it is not known.
//!
//! None of it runs for a request that needs no mending.

use alloc::string::String;

/// What was put in the place of what no reader of JSON takes, over the events of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Repairs {
    /// Characters that became U+FFFD: half a surrogate pair, escaped or as three bytes of its own,
    /// and other bytes in strings that are not UTF-8.
    pub characters: u64,
    /// Values that became `null`: the bare words `NaN`, `Infinity` and `-Infinity`, and numbers that
    /// are too large for a double.
    pub numbers: u64,
}

/// Bytes, and what is put in their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Edit {
    /// Where they begin.
    at: usize,
    /// How many there are.
    len: usize,
    with: Replacement,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Replacement {
    Character(char),
    Null,
}

impl Replacement {
    fn len(self) -> usize {
        match self {
            Self::Character(character) => character.len_utf8(),
            Self::Null => NULL.len(),
        }
    }
}

const NULL: &str = "null";

/// Makes UTF-8 of bytes that are not. Two surrogates of three bytes each, which is how a UTF-16
/// string becomes bytes one unit at a time (CESU-8, and base64 in some browsers' libraries),
/// become the character that they stand for; a lone one, and whatever else is not UTF-8, becomes
/// U+FFFD, as the Encoding standard has it.
///
/// # Errors
///
/// The first byte outside of strings that is not UTF-8: nothing that it could stand for is JSON.
#[cold]
pub(super) fn utf8(bytes: &[u8], repairs: &mut Repairs) -> Result<String, usize> {
    let mut text = String::with_capacity(bytes.len());
    let mut strings = Strings::default();
    let mut copied = 0;
    for edit in not_utf8(bytes) {
        let valid = bytes.get(copied..edit.at).unwrap_or_default();
        if !strings.is_inside_behind(valid) {
            return Err(edit.at);
        }
        text.push_str(core::str::from_utf8(valid).unwrap_or_default());
        if let Replacement::Character(character) = edit.with {
            text.push(character);
            repairs.characters += u64::from(character == char::REPLACEMENT_CHARACTER);
        }
        // The character may be what a backslash escapes, which is then no JSON.
        strings.escaped = false;
        copied = edit.at + edit.len;
    }
    let rest = bytes.get(copied..).unwrap_or_default();
    text.push_str(core::str::from_utf8(rest).unwrap_or_default());
    Ok(text)
}

/// Where in `bytes` that is which is at `at` in what [`utf8`] made of them.
#[cold]
pub(super) fn before_utf8(bytes: &[u8], at: usize) -> usize {
    original(at, not_utf8(bytes))
}

/// Puts `null` in the place of what JSON has no number for and Python and others write as bare words
/// all the same; `None` where there is no such word. Whether the rest is JSON is not looked at.
#[cold]
pub(super) fn words(text: &str, repairs: &mut Repairs) -> Option<String> {
    let mut mended = String::new();
    let mut copied = 0;
    for edit in not_numbers(text) {
        mended.push_str(text.get(copied..edit.at).unwrap_or_default());
        mended.push_str(NULL);
        copied = edit.at + edit.len;
        repairs.numbers += 1;
    }
    mended.push_str(text.get(copied..).unwrap_or_default());
    (copied > 0).then_some(mended)
}

/// Where in `text` that is which is at `at` in what [`words`] made of it.
#[cold]
pub(super) fn before_words(text: &str, at: usize) -> usize {
    original(at, not_numbers(text))
}

fn original(at: usize, edits: impl Iterator<Item = Edit>) -> usize {
    // How far the edits up to here moved the text.
    let (mut removed, mut added) = (0, 0);
    for edit in edits {
        let new_at = edit.at + added - removed;
        if at < new_at {
            break;
        }
        if at < new_at + edit.with.len() {
            return edit.at;
        }
        removed += edit.len;
        added += edit.with.len();
    }
    at + removed - added
}

/// What is not UTF-8.
fn not_utf8(bytes: &[u8]) -> impl Iterator<Item = Edit> {
    let mut from = 0;
    core::iter::from_fn(move || {
        let rest = bytes.get(from..)?;
        let error = core::str::from_utf8(rest).err()?;
        let at = from + error.valid_up_to();
        let bad = bytes.get(at..).unwrap_or_default();
        let behind = bad.get(3..).unwrap_or_default();
        let (len, with) = match (surrogate(bad), surrogate(behind)) {
            (Some(high @ 0xd800..=0xdbff), Some(low @ 0xdc00..=0xdfff)) => {
                (6, char::decode_utf16([high, low]).next().and_then(Result::ok))
            }
            (Some(_), _) => (3, None),
            (None, _) => (error.error_len().unwrap_or(bad.len()), None),
        };
        from = at + len;
        let character = with.unwrap_or(char::REPLACEMENT_CHARACTER);
        Some(Edit { at, len, with: Replacement::Character(character) })
    })
}

/// Words that stand for a number which is none.
fn not_numbers(text: &str) -> impl Iterator<Item = Edit> {
    let bytes = text.as_bytes();
    let mut from = 0;
    core::iter::from_fn(move || {
        loop {
            let rest = bytes.get(from..)?;
            let at = from + memchr::memchr3(b'"', b'N', b'I', rest)?;
            let rest = bytes.get(at..)?;
            if rest.starts_with(b"\"") {
                from = at + string_len(rest);
                continue;
            }
            let begin = at - usize::from(bytes.get(..at)?.ends_with(b"-"));
            let word = bytes.get(begin..)?;
            let len = word.iter().position(|&byte| is_between_tokens(byte)).unwrap_or(word.len());
            from = begin + len;
            let is_word = matches!(word.get(..len)?, b"NaN" | b"Infinity" | b"-Infinity");
            let before = begin.checked_sub(1).and_then(|at| bytes.get(at));
            if is_word && before.is_none_or(|&byte| is_between_tokens(byte)) {
                return Some(Edit { at: begin, len, with: Replacement::Null });
            }
        }
    })
}

/// White space, and what stands beside a value.
fn is_between_tokens(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b',' | b':' | b'[' | b']' | b'{' | b'}' | b'"')
}

/// How long the string is that `text` begins with, quotes included.
pub(super) fn string_len(text: &[u8]) -> usize {
    let mut len = 1;
    while let Some(run) = memchr::memchr2(b'"', b'\\', text.get(len..).unwrap_or_default()) {
        len += run;
        if text.get(len) == Some(&b'"') {
            return len + 1;
        }
        len += 2;
    }
    text.len()
}

/// The surrogate that the first three bytes stand for.
fn surrogate(bytes: &[u8]) -> Option<u16> {
    match *bytes {
        [0xed, second @ 0xa0..=0xbf, third @ 0x80..=0xbf, ..] => {
            Some(0xd000 | u16::from(second & 0x3f) << 6 | u16::from(third & 0x3f))
        }
        _ => None,
    }
}

/// Tells whether a place in JSON text is inside of a string.
#[derive(Clone, Copy, Debug, Default)]
struct Strings {
    inside: bool,
    escaped: bool,
}

impl Strings {
    /// Whether what comes behind `text`, which continues what was given before, is in a string.
    fn is_inside_behind(&mut self, text: &[u8]) -> bool {
        for &byte in text {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'"' => self.inside = !self.inside,
                b'\\' => self.escaped = self.inside,
                _ => {}
            }
        }
        self.inside
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mended(bytes: &[u8]) -> Result<(String, u64), usize> {
        let mut repairs = Repairs::default();
        let text = utf8(bytes, &mut repairs)?;
        Ok((text, repairs.characters))
    }

    #[test]
    fn bytes_become_what_they_were_meant_to_be() {
        let cases: &[(&[u8], &str, u64)] = &[
            (b"\"\xed\xa0\xbd\xed\xb8\x80\"", "\"\u{1f600}\"", 0),
            (b"\"\xed\xa0\x80\xed\xb0\x80\"", "\"\u{10000}\"", 0),
            (b"\"\xed\xaf\xbf\xed\xbf\xbf\"", "\"\u{10ffff}\"", 0),
            // A whole one beside a pair, and pairs that touch.
            ("\"😀\"".as_bytes(), "\"😀\"", 0),
            (b"\"\xed\xa0\xbd\xed\xb8\x80\xed\xa0\xbd\xed\xb8\x81\"", "\"😀😁\"", 0),
            // Lone ones: the first half, the second, both in the wrong order, twice the first.
            (b"\"\xed\xa0\xbd\"", "\"\u{fffd}\"", 1),
            (b"\"\xed\xb8\x80\"", "\"\u{fffd}\"", 1),
            (b"\"\xed\xb8\x80\xed\xa0\xbd\"", "\"\u{fffd}\u{fffd}\"", 2),
            (b"\"\xed\xa0\xbd\xed\xa0\xbd\xed\xb8\x80\"", "\"\u{fffd}😀\"", 1),
            (b"\"\xed\xa0\xbdx\xed\xb8\x80\"", "\"\u{fffd}x\u{fffd}\"", 2),
            // Cut off within a surrogate, which is no surrogate then.
            (b"\"\xed\xa0\"", "\"\u{fffd}\u{fffd}\"", 2),
            (b"\"\xed\xa0\xbd\xed\xb8\"", "\"\u{fffd}\u{fffd}\u{fffd}\"", 3),
            // Latin-1, a lone continuation, a cut character, an overlong NUL, what is beyond.
            (b"\"caf\xe9\"", "\"caf\u{fffd}\"", 1),
            (b"\"\x80\"", "\"\u{fffd}\"", 1),
            (b"\"\xf0\x9f\x98\"", "\"\u{fffd}\"", 1),
            (b"\"\xc0\x80\"", "\"\u{fffd}\u{fffd}\"", 2),
            (b"\"\xf4\x90\x80\x80\"", "\"\u{fffd}\u{fffd}\u{fffd}\u{fffd}\"", 4),
            (b"\"\\\"\xff\\\\\"", "\"\\\"\u{fffd}\\\\\"", 1),
            (b"\"\\\xff\",\"\xff", "\"\\\u{fffd}\",\"\u{fffd}", 2),
            // At the end of the text.
            (b"\"\xf0\x9f", "\"\u{fffd}", 1),
        ];
        for (bytes, text, replaced) in cases {
            assert_eq!(mended(bytes), Ok(((*text).into(), *replaced)), "{bytes:x?}");
        }
    }

    #[test]
    fn outside_of_strings_nothing_is_mended() {
        for (bytes, at) in [
            (&b"\xff"[..], 0),
            (b"{\xe9", 1),
            (b"{\"a\\\"\":\xed\xa0\xbd\xed\xb8\x80", 7),
            (b"\"\\\\\"\xff", 4),
            (b"\\\"\xe9\"\xff", 4),
        ] {
            assert_eq!(mended(bytes), Err(at), "{bytes:x?}");
        }
    }

    #[test]
    fn bare_words_become_null_where_a_value_may_be() {
        let cases = [
            ("NaN", "null", 1),
            ("-Infinity", "null", 1),
            ("[NaN,Infinity, -Infinity\n]", "[null,null, null\n]", 3),
            (r#"{"a":NaN,"b" : -Infinity }"#, r#"{"a":null,"b" : null }"#, 2),
            // In strings, whatever their escapes, they are text.
            (r#"["NaN","\"NaN","\\",NaN]"#, r#"["NaN","\"NaN","\\",null]"#, 1),
        ];
        for (text, expected, count) in cases {
            let mut repairs = Repairs::default();
            assert_eq!(words(text, &mut repairs).as_deref(), Some(expected), "{text}");
            assert_eq!(repairs.numbers, count, "{text}");
        }
        for text in [
            "",
            "nan",
            "NaNs",
            "xNaN",
            "--Infinity",
            "+Infinity",
            "-NaN",
            "Inf",
            "1NaN",
            "N",
            "-",
            "\"NaN",
            "\"\\\"NaN\"",
            "NaN-Infinity",
            "Infinity\u{a0}",
        ] {
            assert_eq!(words(text, &mut Repairs::default()), None, "{text}");
        }
    }

    #[test]
    fn places_are_told_as_they_came() {
        let bytes = b"\"\xed\xa0\xbd\xed\xb8\x80\xff-\"!";
        assert_eq!(mended(bytes).unwrap().0, "\"😀\u{fffd}-\"!");
        let places: [usize; 12] = core::array::from_fn(|at| before_utf8(bytes, at));
        assert_eq!(places, [0, 1, 1, 1, 1, 7, 7, 7, 8, 9, 10, 11]);

        assert_eq!(words("[NaN,-Infinity]", &mut Repairs::default()).unwrap(), "[null,null]");
        let places: [usize; 11] = core::array::from_fn(|at| before_words("[NaN,-Infinity]", at));
        assert_eq!(places, [0, 1, 1, 1, 1, 4, 5, 5, 5, 5, 14]);
    }
}
