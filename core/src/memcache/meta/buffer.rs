//! Flags to be sent.

use alloc::vec::Vec;

use super::{MetaFlag, MetaFlags};
use crate::memcache::number;

/// Flags that are put together, to be sent with a request or a reply. To be kept and reused: it
/// allocates only when it grows.
///
/// ```
/// use windhover_core::memcache::meta::FlagBuffer;
///
/// let mut buffer = FlagBuffer::new();
/// buffer.push(b'k', b"greeting").push_unsigned(b'c', 7).push_signed(b't', -1);
/// assert_eq!(buffer.flags().text(), b"kgreeting c7 t-1");
/// ```
#[derive(Clone, Debug, Default)]
pub struct FlagBuffer(Vec<u8>);

impl FlagBuffer {
    /// No flags.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Drops all flags and keeps the memory.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The flags so far.
    pub fn flags(&self) -> MetaFlags<'_> {
        MetaFlags::new(&self.0)
    }

    /// Appends a flag and its token; an empty token is none.
    pub fn push(&mut self, letter: u8, token: &[u8]) -> &mut Self {
        if !self.0.is_empty() {
            self.0.push(b' ');
        }
        self.0.push(letter);
        self.0.extend_from_slice(token);
        self
    }

    /// Appends a flag as it is in another text.
    pub fn push_flag(&mut self, flag: MetaFlag<'_>) -> &mut Self {
        self.push(flag.letter, flag.token)
    }

    /// Appends a flag with a number.
    pub fn push_unsigned(&mut self, letter: u8, number: u64) -> &mut Self {
        self.push(letter, number::digits(number, &mut [0; 20]))
    }

    /// Appends a flag with a number that may be negative.
    pub fn push_signed(&mut self, letter: u8, number: i64) -> &mut Self {
        self.push(letter, if number < 0 { b"-" } else { b"" });
        self.0.extend_from_slice(number::digits(number.unsigned_abs(), &mut [0; 20]));
        self
    }
}
