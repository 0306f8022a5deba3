//! Numbers written as text.

use alloc::vec::Vec;

use crate::swar;

/// Appends `number` in decimal digits.
pub(super) fn push(number: u64, into: &mut Vec<u8>) {
    let (rest, low) = (number / 100_000_000, (number % 100_000_000) as u32);
    if rest == 0 {
        let (digits, length) = swar::digits(low);
        into.extend_from_slice(digits.get(..length).unwrap_or_default());
    } else {
        push(rest, into);
        into.extend_from_slice(&swar::eight_digits(low));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_written() {
        for number in [0, 9, 10, 99_999_999, 100_000_000, 1_334_859_600_123, 1 << 60, u64::MAX] {
            let mut out = Vec::new();
            push(number, &mut out);
            assert_eq!(out, std::format!("{number}").into_bytes());
        }
    }
}
