//! Eight bytes at a time, in one register (SWAR): keys and numbers are too short for a vectorised search
//! to pay, and too long for one byte at a time.
//!
//! A byte is *marked* by its highest bit. Only the first mark can be relied on: the subtractions borrow
//! from the bytes behind a true mark, which may then be marked for nothing.

const fn repeat(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// Marks bytes below `bound`, which is 128 at most.
#[inline]
pub(crate) const fn below(eight: u64, bound: u8) -> u64 {
    // To subtract the bound borrows into the highest bit of a byte that is below it and had none.
    eight.wrapping_sub(repeat(bound)) & !eight & repeat(0x80)
}

/// Marks bytes that are `byte`.
#[inline]
pub(crate) const fn equal(eight: u64, byte: u8) -> u64 {
    below(eight ^ repeat(byte), 1)
}

/// How many bytes stand before the first mark: 8 where there is none.
#[inline]
pub(crate) const fn unmarked(marks: u64) -> usize {
    (marks.trailing_zeros() / 8) as usize
}

/// The first `length` bytes, zeros behind them; `length` is 7 at most.
#[cfg(feature = "memcache")]
#[inline]
pub(crate) const fn first_bytes(eight: u64, length: usize) -> u64 {
    eight & !(u64::MAX << (8 * length))
}

/// How many bytes of `text` stand before the first that `mark` marks, or before its end.
#[cfg(feature = "memcache")]
#[inline]
pub(crate) fn find(text: &[u8], mark: impl Fn(u64) -> u64) -> usize {
    find_in_rest(text, text, mark)
}

/// How many bytes of `rest`, which is the end of `text`, stand before the first that `mark` marks, or before
/// its end.
#[inline]
pub(crate) fn find_in_rest(text: &[u8], rest: &[u8], mark: impl Fn(u64) -> u64) -> usize {
    let mut behind = rest;
    while let Some((eight, next)) = behind.split_first_chunk() {
        let marks = mark(u64::from_le_bytes(*eight));
        if marks != 0 {
            return rest.len() - behind.len() + unmarked(marks);
        }
        behind = next;
    }
    if behind.is_empty() {
        return rest.len();
    }
    rest.len() - behind.len() + find_in_last(text, behind, mark)
}

/// The same of fewer than eight bytes. Apart, lest everyone who seldom comes here prepare for it.
#[inline(never)]
fn find_in_last(text: &[u8], rest: &[u8], mark: impl Fn(u64) -> u64) -> usize {
    let last = match text.last_chunk() {
        // They are the end of the last eight.
        Some(eight) => u64::from_le_bytes(*eight) >> (8 * (8 - rest.len())),
        None => short(rest),
    };
    // Behind them come zeros, which may be marked.
    unmarked(mark(last)).min(rest.len())
}

/// Whether `mark` marks a byte of `text`. (To say where takes longer.)
#[inline]
pub(crate) fn any(text: &[u8], mark: impl Fn(u64) -> u64) -> bool {
    let mut marks = 0;
    let mut rest = text;
    while let Some((eight, behind)) = rest.split_first_chunk() {
        marks |= mark(u64::from_le_bytes(*eight));
        rest = behind;
    }
    match text.last_chunk() {
        // Some of them are looked at twice.
        Some(eight) => marks | mark(u64::from_le_bytes(*eight)) != 0,
        None => unmarked(mark(short(text))) < text.len(),
    }
}

/// Fewer than eight bytes, zeros behind them.
const fn short(mut text: &[u8]) -> u64 {
    let mut eight = 0;
    while let [before @ .., last] = text {
        eight = eight << 8 | *last as u64;
        text = before;
    }
    eight
}

/// The first eight bytes of `text`, zeros behind a shorter one.
#[cfg(feature = "memcache")]
pub(crate) const fn start(text: &[u8]) -> u64 {
    match text.first_chunk() {
        Some(eight) => u64::from_le_bytes(*eight),
        None => short(text),
    }
}

/// The decimal digits of a number below 100,000,000, and how many there are: the first digit is the
/// lowest byte.
#[inline]
pub(crate) const fn digits(number: u32) -> ([u8; 8], usize) {
    let ones = ones(number);
    // Of 0 the last digit is left.
    let zeros = unmarked(ones | 1 << 56);
    ((ones >> (8 * zeros) | repeat(b'0')).to_le_bytes(), 8 - zeros)
}

/// The same with the zeros before its digits: always eight.
#[cfg(feature = "tracking")]
#[inline]
pub(crate) const fn eight_digits(number: u32) -> [u8; 8] {
    (ones(number) | repeat(b'0')).to_le_bytes()
}

/// The values of eight digits, the first one in the lowest byte.
///
/// Halves, quarters and eighths of the number are divided at once, each in its part of the register, by
/// multiplication with a fraction that is exact in the range.
const fn ones(number: u32) -> u64 {
    let (high, low) = ((number / 10_000) as u64, (number % 10_000) as u64);
    let fours = low << 32 | high;
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = (fours - 100 * hundreds) << 16 | hundreds;
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    (twos - 10 * tens) << 8 | tens
}

/// The number of the digits that eight bytes start with, and how many there are; `None` where all are digits.
#[cfg(feature = "memcache")]
#[inline]
pub(crate) const fn number_before(eight: u64) -> Option<(u64, usize)> {
    let values = eight ^ repeat(b'0');
    // What is no digit has a value of ten at least, to which this adds up to the highest bit or beyond.
    let marks = (values.wrapping_add(repeat(0x80 - 10)) | values) & repeat(0x80);
    if marks == 0 {
        return None;
    }
    let length = unmarked(marks);
    // Zeros come before the digits, and what stands behind them falls out.
    let ones = (values << (8 * (7 - length))) << 8;
    let tens = (10 * ones + (ones >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (100 * tens + (tens >> 16)) & 0x0000_ffff_0000_ffff;
    Some(((10_000 * fours + (fours >> 32)) & 0xffff_ffff, length))
}

/// The eight hexadecimal digits of a number, in lower case, the first one first.
#[cfg(feature = "tracking")]
pub(crate) const fn hexadecimal(number: u32) -> [u8; 8] {
    let halves = number as u64;
    let halves = (halves << 16 | halves) & 0x0000_ffff_0000_ffff;
    let bytes = (halves << 8 | halves) & 0x00ff_00ff_00ff_00ff;
    let values = (bytes << 4 | bytes) & repeat(0x0f);
    // 1 where the digit is a letter.
    let letters = ((values + repeat(6)) >> 4) & repeat(1);
    (values + repeat(b'0') + letters * (b'a' - b'0' - 10) as u64).to_be_bytes()
}

#[cfg(all(test, feature = "memcache"))]
mod tests {
    use std::format;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::{any, below, digits, equal, find, first_bytes, start};

    #[test]
    fn the_first_byte_is_found_at_every_place_of_every_length() {
        for length in 0..40 {
            for filling in [b'!', b'\x21', b'\xa0', b'\xff', b'\x80', 0x7e] {
                let text = std::vec![filling; length];
                let space = |eight| equal(eight, b' ');
                let blank = |eight| below(eight, b'!') | equal(eight, 0x7f);
                assert_eq!((find(&text, space), find(&text, blank)), (length, length));
                for at in 0..length {
                    // What follows differs from the filling, and would be marked by a borrow.
                    let mut text = text.clone();
                    text[at] = b' ';
                    if let Some(behind) = text.get_mut(at + 1) {
                        *behind = b'!';
                    }
                    assert_eq!((find(&text, space), find(&text, blank)), (at, at));
                    text[at] = 0x7f;
                    assert_eq!((find(&text, space), find(&text, blank)), (length, at));
                    text[at] = 0;
                    assert_eq!((find(&text, space), find(&text, blank)), (length, at));
                }
            }
        }
    }

    #[test]
    fn a_start_is_filled_up_with_zeros() {
        assert_eq!(start(b"").to_le_bytes(), [0; 8]);
        assert_eq!(start(b"get").to_le_bytes(), *b"get\0\0\0\0\0");
        assert_eq!(start(b"flush_all").to_le_bytes(), *b"flush_al");
        assert_eq!(first_bytes(start(b"mg key v"), 2), start(b"mg"));
        assert_eq!(first_bytes(start(b"mg key v"), 0), 0);
    }

    proptest! {
        #[test]
        fn digits_are_those_that_core_writes(number in 0u32..100_000_000, short in 0u32..10_000) {
            for number in [number, short] {
                let (text, length) = digits(number);
                let expected = format!("{number}");
                prop_assert_eq!(&text[..length], expected.as_bytes());
            }
        }

        #[test]
        fn bytes_are_found_as_one_by_one(text: Vec<u8>, byte: u8, bound in 0u8..=128) {
            let equals = text.iter().position(|&other| other == byte).unwrap_or(text.len());
            prop_assert_eq!(find(&text, |eight| equal(eight, byte)), equals);
            let lower = text.iter().position(|&other| other < bound).unwrap_or(text.len());
            prop_assert_eq!(find(&text, |eight| below(eight, bound)), lower);
            prop_assert_eq!(any(&text, |eight| below(eight, bound)), lower < text.len());
        }
    }

    #[test]
    fn every_count_of_digits() {
        for number in [0, 9, 10, 99, 100, 999, 1000, 9999, 10_000, 99_999, 999_999, 99_999_999] {
            let (text, length) = digits(number);
            assert_eq!(&text[..length], format!("{number}").as_bytes());
        }
    }
}
