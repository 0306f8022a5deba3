//! Times the cases of the codec, each for so many milliseconds, in turn.
//!
//! usage: codec codec|ring MILLISECONDS
//!
//! Prints a line for each: the case, who did it, nanoseconds a message; tabs between.

use std::time::Duration;

use windhover_peers::{codec, ring};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut cases = match arguments.next().as_deref() {
        Some("codec") => codec::cases(),
        Some("ring") => ring::cases(),
        other => panic!("codec or ring, not {other:?}"),
    };
    let time = arguments.next().expect("MILLISECONDS").parse().expect("a number of MILLISECONDS");
    for timed in &mut cases {
        let nanoseconds = timed.measure(Duration::from_millis(time));
        println!("{}\t{}\t{nanoseconds:.2}", timed.case, timed.name);
    }
}
