//! Flags, read from their line one by one.

use core::iter::FusedIterator;

use super::{ArithmeticMode, SetMode};
use crate::memcache::{key, number};

/// A flag: its letter and what stands behind it up to the next space.
///
/// ```
/// use windhover_core::memcache::meta::{MetaFlag, MetaFlags};
///
/// let flags: Vec<MetaFlag<'_>> = MetaFlags::new(b"v T60").iter().collect();
/// assert_eq!(flags[0], MetaFlag { letter: b'v', token: b"" });
/// assert_eq!((flags[1].letter, flags[1].signed()), (b'T', Some(60)));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct MetaFlag<'a> {
    /// The letter.
    pub letter: u8,
    /// The token; empty where there is none.
    pub token: &'a [u8],
}

impl MetaFlag<'_> {
    /// The token as an unsigned 64-bit number, by memcached's rules.
    pub fn unsigned(&self) -> Option<u64> {
        number::unsigned_64(self.token)
    }

    /// The token as a signed number of seconds, by memcached's rules.
    pub fn signed(&self) -> Option<i64> {
        number::signed_64(self.token)
    }
}

impl core::fmt::Debug for MetaFlag<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}{}", self.letter.escape_ascii(), self.token.escape_ascii())
    }
}

/// The flags of a meta command or of its reply, in their order: the words of a borrowed text.
///
/// The accessors look at the whole text each time; it is a short one. A flag that stands there
/// twice (a request with one is refused) counts the first time.
///
/// ```
/// use windhover_core::memcache::meta::MetaFlags;
///
/// let flags = MetaFlags::new(b"v c T60 Oabc");
/// assert!(flags.iter().map(|flag| flag.letter).eq(*b"vcTO"));
/// assert_eq!(flags.signed(b'T'), Some(60));
/// assert_eq!(flags.unsigned(b'c'), None); // asked for, not given
/// ```
#[derive(Clone, Copy, Default)]
pub struct MetaFlags<'a>(&'a [u8]);

impl<'a> MetaFlags<'a> {
    /// Flags as they stand on a line, spaces between them. They are checked when they are encoded.
    pub const fn new(text: &'a [u8]) -> Self {
        Self(text)
    }

    /// The flags as they stand on the line.
    pub const fn text(self) -> &'a [u8] {
        self.0
    }

    /// The flags, one by one.
    pub const fn iter(self) -> Iter<'a> {
        Iter(self.0)
    }

    /// The flag of that letter.
    pub fn get(self, letter: u8) -> Option<MetaFlag<'a>> {
        self.iter().find(|flag| flag.letter == letter)
    }

    /// Whether the flag of that letter is there.
    pub fn has(self, letter: u8) -> bool {
        self.get(letter).is_some()
    }

    /// The number behind that letter (`C` `E` `D` `J` `F`; in replies `c` `f` `s` `h` `l`).
    pub fn unsigned(self, letter: u8) -> Option<u64> {
        self.get(letter)?.unsigned()
    }

    /// The number of seconds behind that letter (`T` `N` `R`; in replies `t`, where -1 is "never
    /// expires").
    pub fn signed(self, letter: u8) -> Option<i64> {
        self.get(letter)?.signed()
    }

    /// `q`: answers that were to be expected are not wanted. The connection hides them
    /// ([`ServerConnection`](crate::memcache::ServerConnection)).
    pub fn quiet(self) -> bool {
        self.has(b'q')
    }

    /// `b`: the key is base64.
    pub fn base64(self) -> bool {
        self.has(b'b')
    }

    /// `O`: the token to be sent back.
    pub fn opaque(self) -> Option<&'a [u8]> {
        Some(self.get(b'O')?.token)
    }

    /// `F`: the client's flags to store; 0 without it.
    pub fn client_flags(self) -> u32 {
        self.get(b'F').and_then(|flag| number::unsigned_32(flag.token)).unwrap_or_default()
    }

    /// `M` of an `ms`; `None` where it names no mode, which a parsed request never does.
    pub fn set_mode(self) -> Option<SetMode> {
        self.get(b'M').map_or(Some(SetMode::Set), |flag| SetMode::of_token(flag.token))
    }

    /// `M` of an `ma`; `None` where it names no mode, which a parsed request never does.
    pub fn arithmetic_mode(self) -> Option<ArithmeticMode> {
        self.get(b'M')
            .map_or(Some(ArithmeticMode::Increment), |flag| ArithmeticMode::of_token(flag.token))
    }
}

impl<'a> IntoIterator for MetaFlags<'a> {
    type Item = MetaFlag<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Iterates over [`MetaFlags`].
#[derive(Clone, Debug)]
pub struct Iter<'a>(&'a [u8]);

impl<'a> Iterator for Iter<'a> {
    type Item = MetaFlag<'a>;

    #[inline]
    fn next(&mut self) -> Option<MetaFlag<'a>> {
        while let [b' ', behind @ ..] = self.0 {
            self.0 = behind;
        }
        let (&letter, behind) = self.0.split_first()?;
        let length = match behind {
            // Most have no token.
            [] | [b' ', ..] => 0,
            _ => key::word_length(behind),
        };
        let token;
        (token, self.0) = behind.split_at_checked(length)?;
        Some(MetaFlag { letter, token })
    }
}

impl FusedIterator for Iter<'_> {}

impl PartialEq for MetaFlags<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for MetaFlags<'_> {}

impl core::fmt::Debug for MetaFlags<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
