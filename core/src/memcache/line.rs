//! Framing: where a line ends, and how long it may get.

use super::request::{RequestError, RequestFault};
use super::{Dialect, key};
use crate::memcache::Limits;

/// The first byte of memcached's binary protocol.
const BINARY_REQUEST: u8 = 0x80;

/// Checks a line whose newline is at `newline`, or has not come yet: its length with the newline,
/// or `None` where more bytes are wanted.
///
/// `long_gets` is whether a `get` of many keys may be longer than other lines: a queue's names one
/// queue.
///
/// The answer depends on the bytes alone, not on how they came in: a line that is refused when it
/// comes whole is refused when it comes in pieces, at the latest when its newline would be too far.
#[inline]
pub(crate) fn check(
    bytes: &[u8],
    newline: Option<usize>,
    dialect: Dialect,
    long_gets: bool,
    limits: &Limits,
) -> Result<Option<usize>, RequestError> {
    let length = newline.unwrap_or(bytes.len());
    if length > limits.line || bytes.first() == Some(&BINARY_REQUEST) {
        check_unusual(bytes, length, dialect, long_gets, limits)?;
    }
    Ok(newline.map(|at| at + 1))
}

/// Checks a line that is long, or whose first byte is that of another protocol.
#[cold]
fn check_unusual(
    bytes: &[u8],
    length: usize,
    dialect: Dialect,
    long_gets: bool,
    limits: &Limits,
) -> Result<(), RequestError> {
    if bytes.first() == Some(&BINARY_REQUEST) {
        return Err(RequestError::new(RequestFault::Binary, None, dialect, false, 0));
    }
    let gets = || long_gets && length <= limits.get_line && gets_many(bytes, limits);
    if length > limits.line && !gets() {
        return Err(RequestError::new(RequestFault::LineTooLong, None, dialect, false, 0));
    }
    Ok(())
}

/// Whether a line of more than `limits.line` bytes is a `get` of many keys, as far as its first
/// `limits.line` bytes tell.
fn gets_many(bytes: &[u8], limits: &Limits) -> bool {
    let start = bytes.get(..limits.line).unwrap_or(bytes);
    matches!(key::words(start).next(), Some(b"get" | b"gets" | b"gat" | b"gats"))
}

/// The line without its end: `\n`, or `\r\n`.
#[inline]
pub(crate) const fn text(line: &[u8]) -> &[u8] {
    match line {
        [text @ .., b'\r', b'\n'] | [text @ .., b'\n' | b'\r'] | text => text,
    }
}
