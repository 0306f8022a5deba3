//! The differential test: random pipelined requests, well formed and mangled, to two servers side
//! by side, whose replies have to be the same.

mod rules;
mod shrink;
mod stream;
mod talk;

use std::{fmt, net::SocketAddr, thread, time::Duration};

pub use rules::{RULES, Rule};
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
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, form, stream, left, right } = self;
        write!(
            f,
            "a {form:?} stream, seed {seed} (repeat with WINDHOVER_SEED={seed}); at the least, \
             behind `flush_all`:\n{stream}\nmemcached answers:\n{left}\nwindhover answers:\n{right}"
        )
    }
}

/// Sends streams with `commands` requests in all to both servers; how many were sent.
///
/// # Errors
/// The first difference.
///
/// # Panics
/// When a server cannot be talked to at all.
#[track_caller]
pub fn compare(
    left: SocketAddr,
    right: SocketAddr,
    first_seed: u64,
    commands: usize,
) -> Result<usize, Box<Difference>> {
    let (mut done, mut seed) = (0, first_seed);
    while done < commands {
        let form = if seed.is_multiple_of(2) { Form::WellFormed } else { Form::Mangled };
        let stream = Stream::random(&mut Random::new(seed), form);
        if !same(left, right, &stream) {
            if !persists(left, right, &stream) {
                eprintln!("seed {seed} differed for a moment only");
                seed += 1;
                continue;
            }
            let least = shrink(stream.clone(), |stream| !same(left, right, stream));
            let stream = if persists(left, right, &least) { least } else { stream };
            let (left, right) = (talk::replies(left, &stream), talk::replies(right, &stream));
            return Err(Box::new(Difference { seed, form, stream, left, right }));
        }
        done += stream.commands();
        seed += 1;
    }
    Ok(done)
}

/// Whether the replies differ at every moment of a second, and not only between the ticks of the
/// two servers' clocks: what depends on the moment is no difference.
fn persists(left: SocketAddr, right: SocketAddr, stream: &Stream) -> bool {
    (0..6).all(|_| {
        thread::sleep(Duration::from_millis(230));
        !same(left, right, stream)
    })
}

fn same(left: SocketAddr, right: SocketAddr, stream: &Stream) -> bool {
    talk::replies(left, stream) == talk::replies(right, stream)
}
