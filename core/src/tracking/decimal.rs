//! Numbers written as text.

use alloc::vec::Vec;

/// Appends `number` in decimal digits.
pub(super) fn push(mut number: u64, into: &mut Vec<u8>) {
    let mut digits = [b'0'; 20];
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        *digit += (number % 10) as u8;
        number /= 10;
        used += 1;
        if number == 0 {
            break;
        }
    }
    into.extend_from_slice(digits.get(digits.len() - used..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_written() {
        for number in [0, 9, 10, 1_334_859_600_123, u64::MAX] {
            let mut out = Vec::new();
            push(number, &mut out);
            assert_eq!(out, std::format!("{number}").into_bytes());
        }
    }
}
