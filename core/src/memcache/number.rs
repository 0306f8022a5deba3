//! The exact rules for numbers on the wire, read and written without `core::fmt`.
//!
//! memcached reads the flags and the exptime of a storage command with C's functions, and every other
//! number of a request with its own, which take digits alone.

use bytes::BytesMut;

use crate::swar;

/// The largest data block that can be declared: memcached keeps the length and the two bytes of
/// its line end in a signed 32-bit integer.
pub(crate) const MAX_LENGTH: u32 = i32::MAX as u32 - 2;

/// Digits alone, as servers write them: no sign, at least one digit, at most 2^64 - 1.
#[inline]
pub(crate) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    let mut number: u64 = 0;
    // Nineteen digits cannot overflow: the check is paid for longer ones only.
    if digits.len() <= 19 {
        for &byte in digits {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            number = number * 10 + u64::from(digit);
        }
    } else {
        for &byte in digits {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            number = number.checked_mul(10)?.checked_add(u64::from(digit))?;
        }
    }
    Some(number)
}

/// The most characters of a 64-bit number of a request.
pub(crate) const MAX_DIGITS_64: usize = 22;
/// The most characters of a 32-bit number of a request, its minus among them.
pub(crate) const MAX_DIGITS_32: usize = 11;

/// An unsigned 64-bit number of a request (a delta, a cas unique): digits, at most 22.
#[inline]
pub(crate) fn unsigned_64(word: &[u8]) -> Option<u64> {
    if word.len() > MAX_DIGITS_64 { None } else { decimal(word) }
}

/// An unsigned 32-bit number of a request (the flag `F`, a verbosity level): digits, at most 11.
#[inline]
pub(crate) fn unsigned_32(word: &[u8]) -> Option<u32> {
    if word.len() > MAX_DIGITS_32 { None } else { u32::try_from(decimal(word)?).ok() }
}

/// A signed 32-bit number of a request (an exptime, but of a storage command; a delay): perhaps a
/// minus, then digits; at most 11 characters.
#[inline]
pub(crate) fn signed_32(word: &[u8]) -> Option<i32> {
    if word.len() > MAX_DIGITS_32 { None } else { i32::try_from(signed_64(word)?).ok() }
}

/// Perhaps a minus, then digits: as servers write a time to live.
#[inline]
pub(crate) fn signed_64(word: &[u8]) -> Option<i64> {
    match word {
        [b'-', digits @ ..] => 0i64.checked_sub_unsigned(decimal(digits)?),
        digits => i64::try_from(decimal(digits)?).ok(),
    }
}

/// The length of a data block.
#[inline]
pub(crate) fn length(word: &[u8]) -> Option<u32> {
    u32::try_from(signed_32(word)?).ok().filter(|&length| length <= MAX_LENGTH)
}

/// The lower half.
#[inline]
pub(crate) const fn low_32(number: u64) -> u32 {
    let [a, b, c, d, ..] = number.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// The client's flags of a storage command, which memcached reads with C's `strtoul`. A larger number
/// of up to 64 bits loses its upper half; a minus is refused only where what `strtoul` makes of it
/// (the number below 2^64) has its highest bit set.
pub(crate) fn client_flags(word: &[u8]) -> Option<u32> {
    match signed_as_in_c(word)? {
        (false, magnitude) => Some(low_32(magnitude)),
        (true, magnitude) => {
            let number = magnitude.wrapping_neg();
            (number.leading_zeros() > 0).then_some(low_32(number))
        }
    }
}

/// The exptime of a storage command, which memcached reads with C's `strtol`.
pub(crate) fn storage_exptime(word: &[u8]) -> Option<i64> {
    let (negative, magnitude) = signed_as_in_c(word)?;
    if negative { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}

/// What C calls white space: `strtol` skips it before a number, and memcached takes it as the end of
/// one. A space cannot be here, it separates the words of a line.
const fn is_c_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// A sign and digits as `strtol` takes them: `+1` and `01` are numbers, `0x1` and `1.5` are not.
fn signed_as_in_c(word: &[u8]) -> Option<(bool, u64)> {
    let start = word.iter().position(|&byte| !is_c_space(byte))?;
    let word = word.get(start..).unwrap_or_default();
    let (negative, digits) = match word {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    let end = digits.iter().position(|&byte| is_c_space(byte)).unwrap_or(digits.len());
    let digits = digits.get(..end).unwrap_or_default();
    decimal(digits).map(|number| (negative, number))
}

/// The number of the digits that `text` starts with, and how many there are; of more than 19 it may be
/// another one. Quick with a digit or two, as most numbers of a request have.
#[inline]
pub(crate) fn digits_before(text: &[u8]) -> (u64, usize) {
    let (mut number, mut rest) = (0u64, text);
    while let [byte, behind @ ..] = rest {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
        rest = behind;
    }
    (number, text.len() - rest.len())
}

/// The same, as quick with seven digits as with one: replies hold lengths and cas uniques.
#[inline]
pub(crate) fn long_digits_before(text: &[u8]) -> (u64, usize) {
    if let Some(eight) = text.first_chunk()
        && let Some(found) = swar::number_before(u64::from_le_bytes(*eight))
    {
        return found;
    }
    digits_before(text)
}

/// Writes `number` in decimal at the end of `room`.
pub(crate) fn digits(mut number: u64, room: &mut [u8; 20]) -> &[u8] {
    let mut used = 0;
    for place in room.iter_mut().rev() {
        // The remainder is below ten.
        *place = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
        used += 1;
        if number == 0 {
            break;
        }
    }
    room.get(20 - used..).unwrap_or_default()
}

/// Appends `number` in decimal.
#[inline]
pub(crate) fn put_unsigned(out: &mut BytesMut, number: u64) {
    match u32::try_from(number) {
        Ok(number) if number < 100_000_000 => {
            let (digits, length) = swar::digits(number);
            put_start(out, digits, length);
        }
        _ => out.extend_from_slice(digits(number, &mut [0; 20])),
    }
}

/// Appends the first `length` bytes of a short piece. A length that is known when this is compiled makes
/// the copy one store, in place of a call; what was too much is taken back.
#[inline]
pub(crate) fn put_start(out: &mut BytesMut, piece: [u8; 8], length: usize) {
    let end = out.len() + length;
    out.extend_from_slice(&piece);
    out.truncate(end);
}

/// Appends a space and `number` in decimal.
#[inline]
pub(crate) fn put_behind_space(out: &mut BytesMut, number: u64) {
    match u8::try_from(number) {
        // Flags and exptimes are mostly 0.
        Ok(digit) if digit < 10 => out.extend_from_slice(&[b' ', b'0' + digit]),
        _ => {
            out.extend_from_slice(b" ");
            put_unsigned(out, number);
        }
    }
}

/// Appends `number` in decimal, with a minus where it has one.
pub(crate) fn put_signed(out: &mut BytesMut, number: i64) {
    if number < 0 {
        out.extend_from_slice(b"-");
    }
    put_unsigned(out, number.unsigned_abs());
}

#[cfg(test)]
mod tests {
    use std::format;
    use std::string::ToString;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_flags_of_a_storage_command_are_read_as_in_c() {
        for (word, expected) in [
            (&b"0"[..], Some(0)),
            (b"+5", Some(5)),
            (b"007", Some(7)),
            (b"-0", Some(0)),
            (b"4294967295", Some(u32::MAX)),
            (b"4294967296", Some(0)),
            (b"4294967301", Some(5)),
            (b"18446744073709551615", Some(u32::MAX)),
            (b"18446744073709551616", None),
            (b"-1", None),
            (b"-9223372036854775808", None),
            (b"-9223372036854775809", Some(u32::MAX)),
            (b"-18446744073709551615", Some(1)),
            (b"0x5", None),
            (b"", None),
            (b"+", None),
            (b"\t5", Some(5)),
            (b"5\t9", Some(5)),
        ] {
            assert_eq!(client_flags(word), expected, "{:?}", word.escape_ascii());
        }
    }

    #[test]
    fn the_exptime_of_a_storage_command_is_read_as_in_c() {
        for (word, expected) in [
            (&b"-1"[..], Some(-1)),
            (b"+0", Some(0)),
            (b"\x0b1\x0b2", Some(1)),
            (b"2147483648", Some(2_147_483_648)),
            (b"9223372036854775807", Some(i64::MAX)),
            (b"-9223372036854775808", Some(i64::MIN)),
            (b"9223372036854775808", None),
            (b"-9223372036854775809", None),
            (b"1.5", None),
            (b"+-1", None),
            (b"\t", None),
        ] {
            assert_eq!(storage_exptime(word), expected, "{:?}", word.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn digits_are_told_alike_byte_by_byte_and_eight_at_a_time(
            digits in "[0-9]{0,22}",
            behind in "[^0-9].{0,12}|",
        ) {
            let text = digits.clone() + &behind;
            let found = long_digits_before(text.as_bytes());
            prop_assert_eq!(found, digits_before(text.as_bytes()));
            prop_assert_eq!(found.1, digits.len());
            if (1..20).contains(&digits.len()) {
                prop_assert_eq!(found.0, digits.parse::<u64>().unwrap());
            }
        }

        #[test]
        fn a_byte_that_is_no_digit_ends_a_number(number in 0..10_000_000_u64, byte: u8) {
            let text = [number.to_string().as_bytes(), &[byte], b"12345678"].concat();
            if !byte.is_ascii_digit() {
                let length = text.len() - 9;
                prop_assert_eq!(long_digits_before(&text), (number, length));
            }
        }
    }

    #[test]
    fn other_numbers_of_64_bits_are_digits() {
        for (word, expected) in [
            (&b"0"[..], Some(0)),
            (b"007", Some(7)),
            (b"18446744073709551615", Some(u64::MAX)),
            (b"0018446744073709551615", Some(u64::MAX)),
            (b"00018446744073709551615", None),
            (b"18446744073709551616", None),
            (b"+1", None),
            (b"-0", None),
            (b"1\t", None),
            (b"0x1", None),
            (b"1.5", None),
            (b"", None),
        ] {
            assert_eq!(unsigned_64(word), expected, "{:?}", word.escape_ascii());
        }
    }

    #[test]
    fn other_numbers_of_32_bits_are_a_minus_and_digits() {
        for (word, unsigned, signed) in [
            (&b"0"[..], Some(0), Some(0)),
            (b"-0", None, Some(0)),
            (b"-1", None, Some(-1)),
            (b"00000000001", Some(1), Some(1)),
            (b"000000000001", None, None),
            (b"2147483647", Some(2_147_483_647), Some(i32::MAX)),
            (b"2147483648", Some(2_147_483_648), None),
            (b"-2147483648", None, Some(i32::MIN)),
            (b"-2147483649", None, None),
            (b"4294967295", Some(u32::MAX), None),
            (b"4294967296", None, None),
            (b"+1", None, None),
            (b"-", None, None),
            (b"--1", None, None),
            (b"\t1", None, None),
            (b"", None, None),
        ] {
            let shown = word.escape_ascii();
            assert_eq!((unsigned_32(word), signed_32(word)), (unsigned, signed), "{shown:?}");
        }
    }

    #[test]
    fn lengths_leave_room_for_the_end_of_the_block() {
        for (word, expected) in [
            (&b"0"[..], Some(0)),
            (b"-0", Some(0)),
            (b"01", Some(1)),
            (b"2147483645", Some(2_147_483_645)),
            (b"2147483646", None),
            (b"2147483648", None),
            (b"4294967297", None),
            (b"18446744073709551616", None),
            (b"-1", None),
            (b"+1", None),
            (b"1\t", None),
            (b"0x1", None),
            (b"abc", None),
        ] {
            assert_eq!(length(word), expected, "{:?}", word.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(unsigned: u64, signed: i64) {
            let mut out = BytesMut::new();
            put_unsigned(&mut out, unsigned);
            let text = format!("{unsigned}");
            prop_assert_eq!(&out[..], text.as_bytes());
            prop_assert_eq!(decimal(&out), Some(unsigned));
            out.clear();
            put_signed(&mut out, signed);
            let text = format!("{signed}");
            prop_assert_eq!(&out[..], text.as_bytes());
            prop_assert_eq!(signed_64(&out), Some(signed));
        }
    }
}
