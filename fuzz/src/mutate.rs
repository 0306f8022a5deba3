//! Changes to an input: by bytes, by tokens, by structure.

mod bytes;
mod script;
mod text;

use fastrand::Rng;

use crate::Shape;

/// Changes `input` in some way that fits its shape; `other` is another input, to take parts from.
pub fn mutate(input: &mut Vec<u8>, other: &[u8], shape: &Shape, random: &mut Rng) {
    // Mostly one change, at times several.
    loop {
        match shape {
            Shape::Text { generate, dictionary } => {
                text::mutate(input, other, *generate, dictionary, random);
            }
            Shape::Script => script::mutate(input, other, random),
        }
        if random.u8(..) < 160 {
            break;
        }
    }
}

/// A new input.
pub fn create(shape: &Shape, random: &mut Rng) -> Vec<u8> {
    let choices = noise(random, 96);
    match shape {
        Shape::Text { generate, .. } => generate(&mut crate::Source::new(&choices)),
        Shape::Script => script::create(random),
    }
}

/// Up to `most` random bytes.
fn noise(random: &mut Rng, most: usize) -> Vec<u8> {
    (0..random.usize(..=most)).map(|_| random.u8(..)).collect()
}
