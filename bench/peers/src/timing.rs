//! Calls timed in turn, so that a machine that grows slower is slower for all of them.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// One way to do what its case says.
pub struct Timed {
    /// What is compared.
    pub case: String,
    /// Who does it.
    pub name: &'static str,
    /// How many messages a call is about: a figure is for one of them.
    pub messages: usize,
    /// Does it, and gives something that depends on all of it.
    pub call: Box<dyn FnMut() -> usize>,
}

impl Timed {
    /// The nanoseconds that a message takes: the median of as many stretches as fit into `time`, so that one
    /// in which another process had the core does not count.
    pub fn measure(&mut self, time: Duration) -> f64 {
        let mut calls = 1u32;
        let mut stretch = self.calls(calls);
        while stretch < time / 20 {
            calls *= 2;
            stretch = self.calls(calls);
        }
        let (mut stretches, mut total) = (Vec::new(), Duration::ZERO);
        while total < time {
            let stretch = self.calls(calls);
            total += stretch;
            stretches.push(stretch);
        }
        stretches.sort_unstable();
        let median = stretches[stretches.len() / 2];
        median.as_secs_f64() * 1e9 / f64::from(calls) / self.messages as f64
    }

    fn calls(&mut self, count: u32) -> Duration {
        let begun = Instant::now();
        for _ in 0..count {
            black_box((self.call)());
        }
        begun.elapsed()
    }
}
