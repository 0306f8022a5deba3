//! Form encoding as the WHATWG URL standard has it (`application/x-www-form-urlencoded`), for
//! queries and bodies alike, without copying what needs no decoding.

use alloc::string::String;
use alloc::vec::Vec;

/// The pairs of name and value in a form, both still encoded; a pair without `=` has an empty
/// value, and empty pairs are skipped.
pub(super) fn pairs(form: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = form;
    core::iter::from_fn(move || {
        while !rest.is_empty() {
            let (pair, tail) = split_at_byte(rest, b'&');
            rest = tail;
            if !pair.is_empty() {
                return Some(split_at_byte(pair, b'='));
            }
        }
        None
    })
}

/// The pairs of name and value of a query or a form, decoded; what is not UTF-8 becomes U+FFFD.
///
/// ```
/// use windhover_core::tracking::form_pairs;
///
/// let pairs: Vec<_> = form_pairs("a=1+2&b%20=%C3%A9").collect();
/// assert_eq!(pairs, [("a".into(), "1 2".into()), ("b ".into(), "é".into())]);
/// ```
pub fn form_pairs(form: &str) -> impl Iterator<Item = (String, String)> {
    let text = |encoded| {
        let bytes: Vec<u8> = decoded(encoded).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    pairs(form.as_bytes()).map(move |(name, value)| (text(name), text(value)))
}

/// What comes before and behind the first `byte`.
fn split_at_byte(bytes: &[u8], byte: u8) -> (&[u8], &[u8]) {
    let at = memchr::memchr(byte, bytes).unwrap_or(bytes.len());
    let (before, behind) = bytes.split_at(at);
    (before, behind.get(1..).unwrap_or_default())
}

/// The bytes that an encoded name or value stands for: `+` is a space, `%XX` a byte. A `%` that no
/// two hexadecimal digits follow stands for itself, as it does in every browser.
pub(super) fn decoded(encoded: &[u8]) -> Decoded<'_> {
    Decoded { rest: encoded }
}

/// See [`decoded`].
#[derive(Clone)]
pub(super) struct Decoded<'a> {
    rest: &'a [u8],
}

impl<'a> Decoded<'a> {
    /// What is not decoded yet.
    pub(super) fn encoded(&self) -> &'a [u8] {
        self.rest
    }
}

impl Iterator for Decoded<'_> {
    type Item = u8;

    #[inline]
    fn next(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(match byte {
            b'%' => match percent_encoded(self.rest) {
                Some((byte, rest)) => {
                    self.rest = rest;
                    byte
                }
                None => b'%',
            },
            b'+' => b' ',
            byte => byte,
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.rest.len() / 3, Some(self.rest.len()))
    }
}

/// The byte that the two hexadecimal digits behind a `%` stand for, and what follows them.
#[inline]
pub(super) fn percent_encoded(behind_percent: &[u8]) -> Option<(u8, &[u8])> {
    let ([high, low], rest) = behind_percent.split_first_chunk()?;
    let (high, low) = (hex_digit(*high), hex_digit(*low));
    (high | low < 16).then_some((high << 4 | low, rest))
}

/// The value of a hexadecimal digit in either case, or 255.
#[inline]
pub(super) const fn hex_digit(digit: u8) -> u8 {
    HEX[digit as usize]
}

/// A table, because event data in a query is percent-encoded at every quote.
const HEX: [u8; 256] = {
    let mut table = [255; 256];
    let mut value = 0;
    while value < 16 {
        table[b"0123456789abcdef"[value as usize] as usize] = value;
        table[b"0123456789ABCDEF"[value as usize] as usize] = value;
        value += 1;
    }
    table
};

/// Puts the bytes that `encoded` stands for in `into`, whose content is replaced.
pub(super) fn decode_into(encoded: &[u8], into: &mut Vec<u8>) {
    into.clear();
    // Decoding never makes anything longer. Slots that exist take a byte without asking for room.
    into.resize(encoded.len(), 0);
    let mut filled = 0;
    for (slot, byte) in into.iter_mut().zip(decoded(encoded)) {
        *slot = byte;
        filled += 1;
    }
    into.truncate(filled);
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn pairs_keep_their_order_and_may_lack_a_value() {
        let pairs: Vec<_> = pairs(b"&a=1&&b&=c&d==&").collect();
        let expected: [(&[u8], &[u8]); 4] = [(b"a", b"1"), (b"b", b""), (b"", b"c"), (b"d", b"=")];
        assert_eq!(pairs, expected);
    }

    #[test]
    fn a_percent_sign_without_two_digits_stands_for_itself() {
        let cases: &[(&[u8], &[u8])] = &[
            (b"", b""),
            (b"a+b%20c", b"a b c"),
            (b"%7b%7D", b"{}"),
            (b"100%", b"100%"),
            (b"%4", b"%4"),
            (b"%zz%41", b"%zzA"),
            (b"%%41", b"%A"),
            (b"%e2%82%ac", "€".as_bytes()),
        ];
        let mut out = Vec::new();
        for (encoded, expected) in cases {
            decode_into(encoded, &mut out);
            assert_eq!(&out, expected);
        }
    }
}
