//! What may be a queue's name.

use core::fmt;

/// Longest queue name in bytes: a memcache key without room for options would be of no use, but
/// it must fit the journal's one byte of length.
const LONGEST: u8 = 250;

/// Why a queue cannot have a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameError {
    /// The name is empty.
    Empty,
    /// The name has more than 250 bytes.
    TooLong(usize),
    /// The name holds a byte that kestrel reserves (`/`, `~`, `+`, `.`), white space or a control
    /// character.
    Byte(u8),
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the queue's name is empty"),
            Self::TooLong(len) => {
                write!(f, "the queue's name has {len} bytes; at most {LONGEST} are allowed")
            }
            Self::Byte(byte) => write!(
                f,
                "the queue's name holds the byte {byte:#04x}; `/`, `~`, `+`, `.`, white space and \
                 control characters are not allowed"
            ),
        }
    }
}

impl core::error::Error for NameError {}

/// Checks a queue's name (kestrel's guide, "Memcache commands": anything but `/`, `~`, `+`, `.`).
///
/// # Errors
/// [`NameError`] says which rule the name breaks.
pub fn check_name(name: &[u8]) -> Result<(), NameError> {
    length_of_name(name).map(|_| ())
}

/// The same, and how long it is.
pub(super) fn length_of_name(name: &[u8]) -> Result<u8, NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    let length = u8::try_from(name.len()).ok().filter(|&length| length <= LONGEST);
    let length = length.ok_or(NameError::TooLong(name.len()))?;
    match name.iter().find(|&&b| b <= b' ' || b == 0x7f || b"/~+.".contains(&b)) {
        Some(&byte) => Err(NameError::Byte(byte)),
        None => Ok(length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_kestrels_rule() {
        assert_eq!(check_name(b"events"), Ok(()));
        assert_eq!(check_name("Ereignisse_ü".as_bytes()), Ok(()));
        assert_eq!(check_name(b""), Err(NameError::Empty));
        assert_eq!(check_name(b"a/b"), Err(NameError::Byte(b'/')));
        assert_eq!(check_name(b"a+b"), Err(NameError::Byte(b'+')));
        assert_eq!(check_name(b"a b"), Err(NameError::Byte(b' ')));
        assert_eq!(check_name(&[b'q'; 251]), Err(NameError::TooLong(251)));
    }
}
