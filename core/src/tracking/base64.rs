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
            return Some((
                at,
                match bytes.next()? {
                    b'\r' | b'\n' | b'\t' => continue,
                    // A space is a `+` that a form took for one.
                    b' ' | b'-' => b'+',
                    b'_' => b'/',
                    symbol => symbol,
                },
            ));
        }
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
