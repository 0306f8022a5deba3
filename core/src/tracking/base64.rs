//! Base64 as senders of events write it: RFC 4648 §4 and §5 in one alphabet, with the damage that
//! queries and mail do to it undone before the `base64` crate decodes it.

use alloc::vec::Vec;

use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::{DecodeError, Engine as _};

use super::form;

/// Padding never gets to it; what the last symbol holds beyond the last whole byte is ignored.
static ENGINE: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// The text is not base64, seen at this byte of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotBase64 {
    pub(super) at: usize,
}

/// Puts what `text` stands for in `into`, whose content is replaced, as is that of `scratch`.
///
/// `text` is a value of a form, still percent-encoded. Standard and URL-safe symbols may be mixed;
/// padding may be missing, short or long; line breaks are skipped; what the last symbol holds
/// beyond the last whole byte is ignored. Refused are any other byte, anything behind the padding,
/// and a last symbol that holds no whole byte.
pub(super) fn decode_into(
    text: &[u8],
    scratch: &mut Vec<u8>,
    into: &mut Vec<u8>,
) -> Result<(), NotBase64> {
    if decode_fours(text, into) { Ok(()) } else { decode_slowly(text, scratch, into) }
}

/// What a symbol of either alphabet, or a `+` that a form took for a space, puts into 24 bits as the first,
/// second, third or fourth of four; [`NO_SYMBOL`] for every other byte.
static BITS: [[u32; 256]; 4] = [bits(18), bits(12), bits(6), bits(0)];
const NO_SYMBOL: u32 = 1 << 24;

const fn bits(shift: u32) -> [u32; 256] {
    let mut table = [NO_SYMBOL; 256];
    let mut rest: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bits = 0;
    while let [symbol, behind @ ..] = rest {
        table[*symbol as usize] = bits;
        bits += 1 << shift;
        rest = behind;
    }
    table[b'-' as usize] = table[b'+' as usize];
    // As a form has it: `+` itself is a space there.
    table[b' ' as usize] = table[b'+' as usize];
    table[b'_' as usize] = table[b'/' as usize];
    table
}

#[inline]
fn three_bytes(four: [u8; 4]) -> u32 {
    let [firsts, seconds, thirds, fourths] = &BITS;
    let [first, second, third, fourth] = four.map(usize::from);
    firsts[first] | seconds[second] | thirds[third] | fourths[fourth]
}

/// Decodes four symbols at a time, in one pass; `false` where `text` is not base64.
fn decode_fours(text: &[u8], into: &mut Vec<u8>) -> bool {
    into.clear();
    // Slots that exist take bytes without asking for room.
    into.resize(text.len() / 4 * 3 + 3, 0);
    let (mut rest, mut filled) = (text, 0);
    loop {
        let slots = into.get_mut(filled..).unwrap_or_default();
        let mut fours = 0;
        for (four, slot) in rest.as_chunks().0.iter().zip(slots.as_chunks_mut().0) {
            let bits = three_bytes(*four);
            if bits >= NO_SYMBOL {
                break;
            }
            let [_, bytes @ ..] = bits.to_be_bytes();
            *slot = bytes;
            fours += 1;
        }
        rest = rest.get(4 * fours..).unwrap_or_default();
        filled += 3 * fours;
        // The next four are percent-encoded, or have a line break among them, or are the last.
        let mut bytes = form::decoded(rest);
        let (mut four, mut found) = ([b'A'; 4], 0);
        for slot in &mut four {
            match next_symbol(&mut bytes) {
                None | Some(b'=') => break,
                Some(symbol) => *slot = symbol,
            }
            found += 1;
        }
        let bits = three_bytes(four);
        if bits >= NO_SYMBOL || found == 1 {
            return false;
        }
        let [_, three @ ..] = bits.to_be_bytes();
        if let Some(slot) = into.get_mut(filled..).and_then(<[u8]>::first_chunk_mut) {
            *slot = three;
        }
        if found == 4 {
            (rest, filled) = (bytes.encoded(), filled + 3);
            continue;
        }
        into.truncate(filled + found * 3 / 4);
        return core::iter::from_fn(|| next_symbol(&mut bytes)).all(|symbol| symbol == b'=');
    }
}

/// The same in two passes, which know where something is wrong.
#[cold]
fn decode_slowly(text: &[u8], scratch: &mut Vec<u8>, into: &mut Vec<u8>) -> Result<(), NotBase64> {
    scratch.clear();
    scratch.reserve(text.len());
    let mut padded = false;
    let mut behind_padding = None;
    for (at, symbol) in symbols(text) {
        match symbol {
            b'=' => padded = true,
            _ if padded => {
                behind_padding = Some(at);
                break;
            }
            _ => scratch.push(symbol),
        }
    }
    into.clear();
    let at = match (ENGINE.decode_vec(scratch, into), behind_padding) {
        (Ok(()), None) => return Ok(()),
        (Err(DecodeError::InvalidByte(index, _)), _) => symbols(text).nth(index).map(|(at, _)| at),
        (_, behind_padding) => behind_padding,
    };
    Err(NotBase64 { at: at.unwrap_or(text.len()) })
}

/// What a form may have made of each symbol and of the padding, undone: with the place of each.
fn symbols(text: &[u8]) -> impl Iterator<Item = (usize, u8)> {
    let mut bytes = form::decoded(text);
    core::iter::from_fn(move || {
        loop {
            let at = text.len() - bytes.encoded().len();
            if let Some(symbol) = symbol(bytes.next()?) {
                return Some((at, symbol));
            }
        }
    })
}

fn next_symbol(bytes: &mut form::Decoded<'_>) -> Option<u8> {
    bytes.find_map(symbol)
}

/// A byte as a symbol of the standard's alphabet; `None` for a line break.
fn symbol(byte: u8) -> Option<u8> {
    Some(match byte {
        b'\r' | b'\n' | b'\t' => return None,
        // A space is a `+` that a form took for one.
        b' ' | b'-' => b'+',
        b'_' => b'/',
        symbol => symbol,
    })
}

#[cfg(test)]
mod tests {
    use std::format;
    use std::string::String;
    use std::vec::Vec;

    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    use super::*;

    fn decode(text: &str) -> Result<Vec<u8>, NotBase64> {
        let mut out = Vec::new();
        decode_into(text.as_bytes(), &mut Vec::new(), &mut out).map(|()| out)
    }

    #[test]
    fn what_senders_write_is_accepted() {
        let cases: &[(&str, &[u8])] = &[
            ("", b""),
            ("TWE=", b"Ma"),
            ("TWE", b"Ma"),
            ("TQ==", b"M"),
            ("TQ=", b"M"),
            ("TQ", b"M"),
            ("TWFu", b"Man"),
            ("TWFu===", b"Man"),
            ("+/8=", b"\xfb\xff"),
            ("-_8=", b"\xfb\xff"),
            (" /8=", b"\xfb\xff"),
            ("%2B%2f8%3D", b"\xfb\xff"),
            ("%2D%5F8%3d%0D%0A", b"\xfb\xff"),
            ("TW\r\nFuTW\nFu\n", b"ManMan"),
            ("TWFuTWFuTWFuTWFuTW%46u", b"ManManManManMan"),
            // The last symbol of "TR" holds four bits too many: they may be anything.
            ("TR==", b"M"),
            ("TWF=", b"Ma"),
        ];
        for (text, expected) in cases {
            assert_eq!(decode(text).as_deref(), Ok(*expected), "{text:?}");
            let mut slowly = Vec::new();
            assert_eq!(decode_slowly(text.as_bytes(), &mut Vec::new(), &mut slowly), Ok(()));
            assert_eq!(slowly, *expected, "{text:?}");
        }
    }

    #[test]
    fn garbage_is_refused_where_it_is() {
        let cases = [
            ("T", 1),
            ("TWFuT", 5),
            ("TWE=x", 4),
            ("TWE=TWE=", 4),
            ("TWE*", 3),
            ("TW%zz", 2),
            ("TW%2", 2),
            ("TW%2A", 2),
            ("TWFuTWFuTWFu{", 12),
            ("TWFu\0", 4),
            ("TWFu\u{e9}", 4),
        ];
        for (text, at) in cases {
            assert_eq!(decode(text), Err(NotBase64 { at }), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn both_ways_agree(text in "([A-Za-z0-9+/_ -]{0,9}(=|%|%2[bBfF]|%3D|\r\n|\t|\\*|%0A|%41)?){0,4}") {
            let (mut at_once, mut slowly) = (Vec::new(), Vec::new());
            let is_decoded = decode_fours(text.as_bytes(), &mut at_once);
            let decoded = decode_slowly(text.as_bytes(), &mut Vec::new(), &mut slowly);
            prop_assert_eq!(is_decoded, decoded.is_ok());
            if is_decoded {
                prop_assert_eq!(at_once, slowly);
            }
        }

        #[test]
        fn every_encoding_of_the_standard_is_decoded(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            breaks in proptest::collection::vec(any::<prop::sample::Index>(), 0..4),
        ) {
            for engine in [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD] {
                let text = engine.encode(&bytes);
                prop_assert_eq!(decode(&text), Ok(bytes.clone()));
                prop_assert_eq!(decode(&text.replace('+', " ")), Ok(bytes.clone()));
                let percent: String = text
                    .bytes()
                    .flat_map(|byte| format!("%{byte:02x}").into_bytes())
                    .map(char::from)
                    .collect();
                prop_assert_eq!(decode(&percent), Ok(bytes.clone()));
                let mut broken = text;
                for at in &breaks {
                    broken.insert(at.index(broken.len() + 1), '\n');
                }
                prop_assert_eq!(decode(&broken), Ok(bytes.clone()));
            }
        }
    }
}
