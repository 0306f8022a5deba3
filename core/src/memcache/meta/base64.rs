//! Binary keys in base64 (flag `b`), read as leniently as memcached reads them.

/// The value of a digit of the standard alphabet; padding counts as 0.
const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        b'=' => Some(0),
        _ => None,
    }
}

/// Gives the bytes of each group of four digits to `take`; whether `encoded` is base64.
fn groups(encoded: &[u8], mut take: impl FnMut(&[u8]) -> bool) -> bool {
    let digits = encoded.iter().filter(|&&byte| digit(byte).is_some()).count();
    if digits == 0 || digits % 4 != 0 {
        return false;
    }
    let (mut group, mut filled, mut padding) = (0u32, 0, 0usize);
    for &byte in encoded {
        let Some(value) = digit(byte) else {
            continue;
        };
        padding += usize::from(byte == b'=');
        group = (group << 6) | u32::from(value);
        filled += 1;
        if filled == 4 {
            let [_, bytes @ ..] = group.to_be_bytes();
            let Some(bytes) = 3usize.checked_sub(padding).and_then(|count| bytes.get(..count))
            else {
                return false;
            };
            if bytes.is_empty() || !take(bytes) {
                return false;
            }
            if padding > 0 {
                return true;
            }
            (group, filled) = (0, 0);
        }
    }
    true
}

/// Whether memcached would decode it.
pub(crate) fn decodes(encoded: &[u8]) -> bool {
    groups(encoded, |_| true)
}

/// Decodes a key of the standard alphabet into the start of `into`; `None` where it is no base64 or
/// `into` is too short (three bytes for four digits are enough).
///
/// As in memcached, bytes that are no digits are skipped, and nothing is read behind padding.
///
/// ```
/// use windhover_core::memcache::meta::{decode_key, encode_key};
///
/// let mut room = [0; 32];
/// let encoded = encode_key(b"\x00key", &mut room).map(<[u8]>::to_vec);
/// assert_eq!(encoded.as_deref(), Some(&b"AGtleQ=="[..]));
/// assert_eq!(decode_key(b"AGtleQ==", &mut room), Some(&b"\x00key"[..]));
/// assert_eq!(decode_key(b"AGtle", &mut room), None);
/// ```
pub fn decode_key<'b>(encoded: &[u8], into: &'b mut [u8]) -> Option<&'b [u8]> {
    let mut used = 0;
    let whole = groups(encoded, |bytes| {
        let Some(room) = into.get_mut(used..used + bytes.len()) else {
            return false;
        };
        room.copy_from_slice(bytes);
        used += bytes.len();
        true
    });
    if whole { into.get(..used) } else { None }
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Encodes a binary key into the start of `into`, with padding; `None` where it is too short (four
/// bytes are wanted for every three that are begun). The encoded form is what
/// [`Limits::key`](crate::memcache::Limits::key) bounds.
///
/// ```
/// use windhover_core::memcache::meta::encode_key;
///
/// // A key with a byte that no line may hold.
/// let mut room = [0; 8];
/// assert_eq!(encode_key(b"\nkey", &mut room), Some(&b"CmtleQ=="[..]));
/// assert_eq!(encode_key(b"too long", &mut room), None);
/// ```
pub fn encode_key<'b>(key: &[u8], into: &'b mut [u8]) -> Option<&'b [u8]> {
    let mut used = 0;
    for bytes in key.chunks(3) {
        let mut group = [0; 4];
        for (place, byte) in group.iter_mut().skip(1).zip(bytes) {
            *place = *byte;
        }
        let group = u32::from_be_bytes(group);
        let room = into.get_mut(used..used + 4)?;
        for (place, byte) in room.iter_mut().enumerate() {
            let [.., at] = (group >> (18 - 6 * place)).to_be_bytes();
            let digit = DIGITS.get(usize::from(at & 63)).filter(|_| place <= bytes.len());
            *byte = digit.copied().unwrap_or(b'=');
        }
        used += 4;
    }
    into.get(..used)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn as_memcached_reads_it() {
        let mut room = [0; 64];
        for (encoded, decoded) in [
            (&b"Zm9v"[..], Some(&b"foo"[..])),
            (b"Zm9v!!", Some(b"foo")),
            (b"Z m\x009v", Some(b"foo")),
            (b"Zm8=", Some(b"fo")),
            (b"Zg==", Some(b"f")),
            (b"Zm8=Zm8=", Some(b"fo")),
            (b"", None),
            (b"!!!!", None),
            (b"a", None),
            (b"Zm9", None),
            (b"====", None),
            (b"Z===", None),
        ] {
            assert_eq!(decode_key(encoded, &mut room), decoded, "{}", encoded.escape_ascii());
            assert_eq!(decodes(encoded), decoded.is_some());
        }
        assert_eq!(decode_key(b"Zm9vZm9v", &mut [0; 5]), None, "no room");
        assert_eq!(encode_key(b"foo", &mut [0; 3]), None, "no room");
        assert_eq!(encode_key(b"", &mut room), Some(&b""[..]));
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes(key in proptest::collection::vec(any::<u8>(), 1..190)) {
            let (mut encoded, mut decoded) = ([0; 256], [0; 256]);
            let encoded = encode_key(&key, &mut encoded).unwrap();
            prop_assert_eq!(encoded.len(), key.len().div_ceil(3) * 4);
            prop_assert_eq!(decode_key(encoded, &mut decoded), Some(&key[..]));
        }
    }
}
