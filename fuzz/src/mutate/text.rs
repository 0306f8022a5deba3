//! Changes to protocol text: tokens, numbers, lines, whole messages, declared lengths.

use std::ops::Range;

use fastrand::Rng;

use super::{bytes, noise};
use crate::Source;

pub(super) fn mutate(
    input: &mut Vec<u8>,
    other: &[u8],
    generate: fn(&mut Source<'_>) -> Vec<u8>,
    dictionary: &[&[u8]],
    random: &mut Rng,
) {
    match random.u8(..16) {
        0..4 => bytes::mutate(input, other, random),
        4 | 5 => {
            let at = place(input, random);
            input.splice(at..at, token(dictionary, random));
        }
        6 => {
            let word = word(input, random);
            input.splice(word, token(dictionary, random));
        }
        7 | 8 => change_number(input, random),
        9 => declare_length(input, random),
        10 | 11 => {
            let message = generate(&mut Source::new(&noise(random, 96)));
            if random.u8(..3) == 0 {
                // One alone: where an input is one message, what stands before or behind it spoils it.
                *input = message;
            } else {
                let at = line_start(input, random);
                input.splice(at..at, message);
            }
        }
        12 => {
            let line = line(input, random);
            let copy = input[line].to_vec();
            let at = line_start(input, random);
            input.splice(at..at, copy);
        }
        13 => {
            let line = line(input, random);
            input.drain(line);
        }
        14 => {
            let line = line(other, random);
            let at = line_start(input, random);
            input.splice(at..at, other[line].iter().copied());
        }
        _ => {
            // The start of one, the end of another.
            let cut = line_start(input, random);
            let from = line_start(other, random);
            input.truncate(cut);
            input.extend_from_slice(&other[from..]);
        }
    }
}

fn token(dictionary: &[&[u8]], random: &mut Rng) -> Vec<u8> {
    random.choice(dictionary).map(|token| token.to_vec()).unwrap_or_default()
}

/// Where a word begins or ends, or anywhere.
fn place(input: &[u8], random: &mut Rng) -> usize {
    let word = word(input, random);
    if random.bool() { word.start } else { word.end }
}

/// A word, which may be empty.
fn word(input: &[u8], random: &mut Rng) -> Range<usize> {
    let at = random.usize(..=input.len());
    let apart = |byte: &u8| b" \r\n\t:;,=&/?\"".contains(byte);
    let start = input[..at].iter().rposition(apart).map_or(0, |apart| apart + 1);
    let end = input[at..].iter().position(apart).map_or(input.len(), |len| at + len);
    start..end
}

fn line_start(input: &[u8], random: &mut Rng) -> usize {
    line(input, random).start
}

/// A line with its end.
fn line(input: &[u8], random: &mut Rng) -> Range<usize> {
    let at = random.usize(..=input.len());
    let start = input[..at].iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    let end = input[start..].iter().position(|&byte| byte == b'\n');
    start..end.map_or(input.len(), |len| start + len + 1)
}

/// Finds a decimal number at or behind a random place.
fn number(input: &[u8], random: &mut Rng) -> Option<Range<usize>> {
    let from = random.usize(..=input.len());
    let start = from + input[from..].iter().position(u8::is_ascii_digit)?;
    let start = input[..start]
        .iter()
        .rposition(|byte| !byte.is_ascii_digit())
        .map_or(0, |before| before + 1);
    let len = input[start..].iter().position(|byte| !byte.is_ascii_digit());
    Some(start..len.map_or(input.len(), |len| start + len))
}

fn change_number(input: &mut Vec<u8>, random: &mut Rng) {
    let Some(place) = number(input, random) else {
        return;
    };
    let text = String::from_utf8_lossy(&input[place.clone()]).into_owned();
    let changed = match (random.u8(..6), text.parse::<u64>()) {
        (0, Ok(number)) => number.saturating_add(1).to_string(),
        (1, Ok(number)) => number.saturating_sub(1).to_string(),
        (2, Ok(number)) => format!("0{number}"),
        (3, _) => format!("-{text}"),
        (4, _) => Source::new(&noise(random, 12)).edgy().to_string(),
        _ => (1_u64 << random.u32(..64)).wrapping_sub(random.u64(..3)).to_string(),
    };
    input.splice(place, changed.into_bytes());
}

/// Writes, in place of a line's last number, how many bytes there are between that line and some
/// later line's end: the length of a block.
fn declare_length(input: &mut Vec<u8>, random: &mut Rng) {
    let line = line(input, random);
    let Some(last) = input[line.clone()].iter().rposition(u8::is_ascii_digit) else {
        return;
    };
    let end = line.start + last + 1;
    let start = input[line.start..end]
        .iter()
        .rposition(|byte| !byte.is_ascii_digit())
        .map_or(line.start, |before| line.start + before + 1);
    let behind = &input[line.end..];
    let ends: Vec<usize> =
        (0..behind.len()).filter(|&at| behind[at..].starts_with(b"\r\n")).collect();
    let length = random.choice(ends).unwrap_or(behind.len());
    input.splice(start..end, length.to_string().into_bytes());
}
