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
    /// The name holds a byte that kestrel reserves (`/`, `~`, `.`), white space or a control character, or
    /// a `+` with nothing before or behind it.
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
                "the queue's name holds the byte {byte:#04x}; `/`, `~`, `.`, white space and control \
                 characters are not allowed, and `+` stands between a parent and a child"
            ),
        }
    }
}

impl core::error::Error for NameError {}

/// Checks a queue's name (kestrel's guide, "Memcache commands": anything but `/`, `~`, `.`; what is before
/// the first `+` names the queue that this one follows).
///
/// ```
/// use windhover_core::queue::{NameError, check_name};
///
/// assert_eq!(check_name(b"events+mail"), Ok(()));
/// // What follows a `/` are the options of a read.
/// assert_eq!(check_name(b"events/open"), Err(NameError::Byte(b'/')));
/// assert_eq!(check_name(b""), Err(NameError::Empty));
/// ```
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
    if let Some(&byte) = name.iter().find(|&&b| b <= b' ' || b == 0x7f || b"/~.".contains(&b)) {
        return Err(NameError::Byte(byte));
    }
    if name.starts_with(b"+") || name.ends_with(b"+") {
        return Err(NameError::Byte(b'+'));
    }
    Ok(length)
}

/// The queue that one of that name follows, if it follows any: `events` for `events+mail`.
///
/// ```
/// use windhover_core::queue::parent_of;
///
/// assert_eq!(parent_of(b"events+mail"), Some(&b"events"[..]));
/// assert_eq!(parent_of(b"events"), None);
/// ```
pub fn parent_of(name: &[u8]) -> Option<&[u8]> {
    memchr::memchr(b'+', name).and_then(|at| name.get(..at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_what_stands_before_the_first_plus() {
        assert_eq!(parent_of(b"events+mail+daily"), Some(b"events".as_slice()));
        assert_eq!(parent_of(b"events"), None);
    }

    #[test]
    fn names_follow_kestrels_rule() {
        assert_eq!(check_name(b"events"), Ok(()));
        assert_eq!(check_name("Ereignisse_ü".as_bytes()), Ok(()));
        assert_eq!(check_name(b""), Err(NameError::Empty));
        assert_eq!(check_name(b"a/b"), Err(NameError::Byte(b'/')));
        assert_eq!(check_name(b"a+b+c"), Ok(()));
        assert_eq!(check_name(b"a+"), Err(NameError::Byte(b'+')));
        assert_eq!(check_name(b"+a"), Err(NameError::Byte(b'+')));
        assert_eq!(check_name(b"a b"), Err(NameError::Byte(b' ')));
        assert_eq!(check_name(&[b'q'; 251]), Err(NameError::TooLong(251)));
    }
}
