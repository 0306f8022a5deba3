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
}

/// Bytes, and what is put in their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Edit {
    /// Where they begin.
    at: usize,
    /// How many there are.
    len: usize,
    with: char,
}

impl Edit {
    fn new_len(&self) -> usize {
        self.with.len_utf8()
    }
}

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
        text.push(edit.with);
        // The character may be what a backslash escapes, which is then no JSON.
        strings.escaped = false;
        copied = edit.at + edit.len;
        repairs.characters += u64::from(edit.with == char::REPLACEMENT_CHARACTER);
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

fn original(at: usize, edits: impl Iterator<Item = Edit>) -> usize {
    // How far the edits up to here moved the text.
    let (mut removed, mut added) = (0, 0);
    for edit in edits {
        let new_at = edit.at + added - removed;
        if at < new_at {
            break;
        }
        if at < new_at + edit.new_len() {
            return edit.at;
        }
        removed += edit.len;
        added += edit.new_len();
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
        Some(Edit { at, len, with: with.unwrap_or(char::REPLACEMENT_CHARACTER) })
    })
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
    fn places_are_told_as_they_came() {
        let bytes = b"\"\xed\xa0\xbd\xed\xb8\x80\xff-\"!";
        assert_eq!(mended(bytes).unwrap().0, "\"😀\u{fffd}-\"!");
        let places: [usize; 12] = core::array::from_fn(|at| before_utf8(bytes, at));
        assert_eq!(places, [0, 1, 1, 1, 1, 7, 7, 7, 8, 9, 10, 11]);
    }
}
