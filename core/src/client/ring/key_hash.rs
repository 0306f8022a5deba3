//! Where on the ring a key lies.

use md5::{Digest as _, Md5};

/// The hash that puts a key on the ring; a server's points are always MD5.
///
/// ```
/// use windhover_core::client::ring::{KeyHash, Member, Naming, Ring};
///
/// // twemproxy's `hash: fnv1a_64` in place of MD5: keys lie elsewhere, the servers' points do not.
/// let members = [Member::new(b"10.0.0.1:11211", 1), Member::new(b"10.0.0.2:11211", 1)];
/// let md5 = Ring::new(&members, Naming::TwemproxyAddress)?;
/// let fnv = md5.clone().with_key_hash(KeyHash::Fnv1a64);
/// assert_eq!(fnv.total_points(), md5.total_points());
/// let keys = (0..100).map(|number| format!("user:{number}"));
/// assert!(keys.into_iter().any(|key| md5.owner(key.as_bytes()) != fnv.owner(key.as_bytes())));
/// # Ok::<(), windhover_core::client::ring::RingError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyHash {
    /// The first four bytes of MD5, little-endian: libmemcached's weighted ketama, and twemproxy
    /// with `hash: md5`.
    #[default]
    Md5,
    /// What twemproxy takes where no `hash:` is configured, and calls `fnv1a_64`: FNV-1a with the
    /// 64-bit offset and prime cut to 32 bits. A byte above 127 counts as its signed value, as on
    /// machines where C's `char` is signed (x86-64); a twemproxy on ARM puts such keys elsewhere.
    Fnv1a64,
}

impl KeyHash {
    /// Where `key` lies.
    pub(super) fn of(self, key: &[u8]) -> u32 {
        match self {
            Self::Md5 => {
                let [first, ..] = points_of(Md5::new_with_prefix(key));
                first
            }
            Self::Fnv1a64 => key.iter().fold(0x8422_2325, |hash: u32, &byte| {
                (hash ^ i32::from(byte.cast_signed()).cast_unsigned()).wrapping_mul(0x1b3)
            }),
        }
    }
}

/// The four points that one digest stands for.
pub(super) fn points_of(digest: Md5) -> [u32; 4] {
    let bytes: [u8; 16] = digest.finalize().into();
    let all = u128::from_le_bytes(bytes);
    #[expect(clippy::cast_possible_truncation, reason = "each takes its 32 bits")]
    [all as u32, (all >> 32) as u32, (all >> 64) as u32, (all >> 96) as u32]
}

/// Two bytes: what stands between the first `open` and the next `close` in a key is hashed instead
/// of the whole key, so that keys can be kept together (twemproxy's `hash_tag: "{}"`).
///
/// A key without both, or with nothing between them, is hashed whole.
///
/// ```
/// use windhover_core::client::ring::{HashTag, Member, Naming, Ring};
///
/// let servers = ["10.0.0.1:11211", "10.0.0.2:11211", "10.0.0.3:11211"];
/// let members = servers.map(|name| Member::new(name.as_bytes(), 1));
/// let tag = HashTag { open: b'{', close: b'}' };
/// let ring = Ring::new(&members, Naming::Libmemcached)?.with_hash_tag(tag);
/// assert_eq!(ring.owner(b"user:{7}:name"), ring.owner(b"user:{7}:mail"));
/// assert_eq!(ring.owner(b"user:{7}:name"), ring.owner(b"7"));
/// # Ok::<(), windhover_core::client::ring::RingError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HashTag {
    /// Begins the part that counts.
    pub open: u8,
    /// Ends it.
    pub close: u8,
}

impl HashTag {
    /// The part of `key` that is hashed.
    pub(super) fn of(self, key: &[u8]) -> &[u8] {
        let tagged = key.iter().position(|&byte| byte == self.open).and_then(|open| {
            let rest = key.get(open + 1..).unwrap_or_default();
            let end = rest.iter().position(|&byte| byte == self.close)?;
            rest.get(..end)
        });
        tagged.filter(|part| !part.is_empty()).unwrap_or(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn md5_is_cut_to_its_first_bytes() {
        // RFC 1321: the digest of nothing begins d4 1d 8c d9.
        assert_eq!(KeyHash::Md5.of(b""), 0xd98c_1dd4);
    }

    #[test]
    fn fnv_is_cut_to_32_bits() {
        assert_eq!(KeyHash::Fnv1a64.of(b""), 0x8422_2325);
        // The low half of FNV-1a 64 of "a", 0xaf63dc4c8601ec8c: the high half never matters to it.
        assert_eq!(KeyHash::Fnv1a64.of(b"a"), 0x8601_ec8c);
    }

    #[test]
    fn a_tag_is_the_first_part_that_is_not_empty() {
        let tag = HashTag { open: b'{', close: b'}' };
        for (key, part) in [
            ("{user1}:name", "user1"),
            ("a{b}c{d}", "b"),
            ("a{b{c}d", "b{c"),
            ("a}b{c}", "c"),
            ("a{}b{c}", "a{}b{c}"),
            ("a{b", "a{b"),
            ("a}b", "a}b"),
            ("", ""),
        ] {
            assert_eq!(tag.of(key.as_bytes()), part.as_bytes(), "{key}");
        }
    }

    #[test]
    fn a_tag_may_end_as_it_begins() {
        let tag = HashTag { open: b'$', close: b'$' };
        assert_eq!(tag.of(b"a$b$c"), b"b");
        assert_eq!(tag.of(b"a$b"), b"a$b");
    }
}
