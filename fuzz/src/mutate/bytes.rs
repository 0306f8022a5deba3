//! Changes that know nothing of the input.

use fastrand::Rng;

/// Bytes that parsers look at.
const LOUD: &[u8] = b"\r\n \t\0:;,=&%+-/?#\"'{}[]0159aAzZ\x7f\x80\xff";

pub(super) fn mutate(input: &mut Vec<u8>, other: &[u8], random: &mut Rng) {
    let at = random.usize(..=input.len());
    match random.u8(..10) {
        0 => input.insert(at, random.u8(..)),
        1 => input.insert(at, *random.choice(LOUD).unwrap_or(&0)),
        2 | 3 if !input.is_empty() => {
            let end = (at + random.usize(1..=8)).min(input.len());
            input.drain(at.min(end)..end);
        }
        4 if !input.is_empty() => {
            let at = random.usize(..input.len());
            input[at] = random.u8(..);
        }
        5 if !input.is_empty() => {
            let at = random.usize(..input.len());
            input[at] ^= 1 << random.u8(..8);
        }
        6 if !input.is_empty() => {
            let at = random.usize(..input.len());
            let step = random.u8(1..4);
            input[at] = if random.bool() {
                input[at].wrapping_add(step)
            } else {
                input[at].wrapping_sub(step)
            };
        }
        7 => input.truncate(at),
        8 if !input.is_empty() => {
            // A run of one byte, as long as a limit may be.
            let byte = input[at.min(input.len() - 1)];
            let longest = 1 << random.u32(1..9);
            let run = random.usize(1..=longest);
            input.splice(at..at, std::iter::repeat_n(byte, run));
        }
        _ => {
            let part = part_of(if other.is_empty() { input } else { other }, random).to_vec();
            input.splice(at..at, part);
        }
    }
}

/// Some of `bytes` in a row.
pub(super) fn part_of<'a>(bytes: &'a [u8], random: &mut Rng) -> &'a [u8] {
    let start = random.usize(..=bytes.len());
    let end = random.usize(start..=bytes.len());
    &bytes[start..end]
}
