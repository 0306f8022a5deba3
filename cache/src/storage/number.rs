//! The numbers of `incr` and `decr`, read from a value as memcached reads them.

use std::io::Write;

/// Digits of the largest number.
const DIGITS: usize = 20;

/// The number that a value starts with: white space, a sign, digits, then white space, a NUL or the
/// end. What follows that is not looked at. `None` where there is none or where it is above 64 bits.
///
/// A negative number counts as what is left of it in 64 bits, and only where that is below 2^63: so
/// `-1` is none, and nobody writes others.
pub(super) fn read(value: &[u8]) -> Option<u64> {
    let start = value.iter().position(|byte| !is_space(*byte))?;
    let value = value.get(start..)?;
    let (negative, digits) = match value.split_first()? {
        (b'-', rest) => (true, rest),
        (b'+', rest) => (false, rest),
        _ => (false, value),
    };
    let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at_checked(end)?;
    if digits.is_empty() || rest.first().is_some_and(|&byte| byte != 0 && !is_space(byte)) {
        return None;
    }
    let number = digits.iter().try_fold(0_u64, |number, digit| {
        number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })?;
    if !negative {
        return Some(number);
    }
    Some(number.wrapping_neg()).filter(|number| *number < 1 << 63)
}

/// The white space of C's `isspace`.
const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// A number as its decimal digits.
///
/// ```
/// use windhover_cache::storage::Digits;
///
/// assert_eq!(Digits::of(u64::MAX).as_bytes(), b"18446744073709551615");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Digits {
    bytes: [u8; DIGITS],
    len: usize,
}

impl Digits {
    /// The digits of a number, without leading zeros.
    pub fn of(number: u64) -> Self {
        let mut bytes = [b' '; DIGITS];
        let mut rest = &mut bytes[..];
        // 64 bits are at most so many digits.
        let _ = write!(rest, "{number}");
        let len = DIGITS - rest.len();
        Self { bytes, len }
    }

    /// The digits.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_memcached_reads_them() {
        for (value, number) in [
            (&b"10"[..], Some(10)),
            (b"10   ", Some(10)),
            (b"+10", Some(10)),
            (b"  10", Some(10)),
            (b"\r\n 5", Some(5)),
            (b"12 ab", Some(12)),
            (b"5\tab", Some(5)),
            (b"5\0ab", Some(5)),
            (b"-0", Some(0)),
            (b"-18446744073709551615", Some(1)),
            (b"-9223372036854775809", Some(9_223_372_036_854_775_807)),
            (b"18446744073709551615", Some(u64::MAX)),
            (b"0000000000000000000000005", Some(5)),
            (b"18446744073709551616", None),
            (b"-1", None),
            (b"+ 5", None),
            (b"5x", None),
            (b" 5-", None),
            (b"", None),
            (b" ", None),
            (b"x", None),
        ] {
            assert_eq!(read(value), number, "{}", value.escape_ascii());
        }
    }

    #[test]
    fn numbers_are_written_without_leading_zeros() {
        assert_eq!(Digits::of(0).as_bytes(), b"0");
        assert_eq!(Digits::of(u64::MAX).as_bytes(), b"18446744073709551615");
    }
}
