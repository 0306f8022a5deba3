//! The differential test: random pipelined requests, well formed and mangled, to two servers side
//! by side, whose replies have to be the same.

mod rules;
mod shrink;
mod stream;
mod talk;
mod versions;

use std::{fmt, net::SocketAddr};

pub use rules::{Peer, RULES, Rule};
use shrink::shrink;
pub use stream::{Form, Stream};

use crate::Random;

/// The same stream, answered differently.
#[derive(Debug)]
pub struct Difference {
    /// Repeats the stream as it was generated.
    pub seed: u64,
    /// Which kind of stream it is.
    pub form: Form,
    /// The least of it that shows a difference.
    pub stream: Stream,
    /// What the first server answered to that.
    pub left: String,
    /// What the second server answered.
    pub right: String,
    /// Whether it is there every time.
    pub lasts: bool,
    /// How many requests were answered alike before the stream.
    pub done: usize,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, form, stream, left, right, .. } = self;
        let mut pairs = left.lines().zip(right.lines());
        let first =
            pairs.find(|(left, right)| !talk::same_line(left, right)).unwrap_or(("(end)", "(end)"));
        write!(
            f,
            "a {form:?} stream, seed {seed} (repeat with WINDHOVER_SEED={seed}); at the least, \
             behind `flush_all`:\n{stream}\nmemcached answers:\n{left}\nwindhover answers:\n{right}\n\
             first of all:\n{}\n{}",
            first.0, first.1
        )
    }
}

/// Sends streams with `commands` requests in all to both servers, the left one of which is that `peer`;
/// how many were sent.
///
/// # Errors
/// The first difference. It is made smaller where it is there every time; where it comes and goes,
/// the whole stream is shown.
///
/// # Panics
/// When a server cannot be talked to at all.
#[track_caller]
pub fn compare(
    (left, peer): (SocketAddr, Peer),
    right: SocketAddr,
    first_seed: u64,
    commands: usize,
) -> Result<usize, Box<Difference>> {
    let replies =
        |stream: &Stream| (talk::replies(left, stream, peer), talk::replies(right, stream, peer));
    let differs = |stream: &Stream| {
        let (left, right) = replies(stream);
        !talk::same(&left, &right)
    };
    let (mut done, mut seed) = (0, first_seed);
    while done < commands {
        let form = if seed.is_multiple_of(2) { Form::WellFormed } else { Form::Mangled };
        let stream = Stream::random(&mut Random::new(seed), form, peer);
        let (left, right) = replies(&stream);
        if !talk::same(&left, &right) {
            let lasts = (0..3).all(|_| differs(&stream));
            let whole = Difference { seed, form, stream, left, right, lasts, done };
            if !lasts {
                return Err(Box::new(whole));
            }
            let least = shrink(whole.stream.clone(), differs);
            let (left, right) = replies(&least);
            let shrunk = Difference { seed, form, stream: least, left, right, lasts, done };
            return Err(Box::new(if talk::same(&shrunk.left, &shrunk.right) {
                whole
            } else {
                shrunk
            }));
        }
        done += stream.commands();
        seed += 1;
    }
    Ok(done)
}
