//! Changes to scripts, step by step.

use fastrand::Rng;

use super::{bytes, noise};
use crate::Script;

const LONGEST_STEP: usize = 48;

pub(super) fn create(random: &mut Rng) -> Vec<u8> {
    let steps = (0..random.usize(1..=12)).map(|_| noise(random, LONGEST_STEP)).collect();
    Script { steps }.write()
}

pub(super) fn mutate(input: &mut Vec<u8>, other: &[u8], random: &mut Rng) {
    let mut script = Script::read(input);
    let steps = &mut script.steps;
    let at = random.usize(..=steps.len());
    match random.u8(..12) {
        0 | 1 => steps.insert(at, noise(random, LONGEST_STEP)),
        2 if at < steps.len() => drop(steps.remove(at)),
        3 if at < steps.len() => {
            let step = steps[at].clone();
            let most = 1 << random.u32(..5);
            for _ in 0..random.usize(1..=most) {
                steps.insert(at, step.clone());
            }
        }
        4 if at < steps.len() => {
            let with = random.usize(..steps.len());
            steps.swap(at, with);
        }
        5 => {
            let mut theirs = Script::read(other).steps;
            if !theirs.is_empty() {
                let from = random.usize(..theirs.len());
                let to = random.usize(from + 1..=theirs.len());
                steps.splice(at..at, theirs.drain(from..to));
            }
        }
        6 => steps.truncate(at),
        _ if at < steps.len() => match random.u8(..3) {
            // The first byte of a step chooses what it does.
            0 if !steps[at].is_empty() => steps[at][0] = random.u8(..32),
            1 if !steps[at].is_empty() => {
                let byte = random.usize(..steps[at].len());
                steps[at][byte] = random.u8(..);
            }
            _ => bytes::mutate(&mut steps[at], &[], random),
        },
        _ => steps.push(noise(random, LONGEST_STEP)),
    }
    *input = script.write();
}
