//! What is recorded of a run.

use hdrhistogram::Histogram;

use super::failure::{Failure, Failures};

/// The shortest time that is told from none, in nanoseconds.
const LEAST: u64 = 100;
/// Above the longest wait that can be asked for, twice: to be sent and to be answered.
const MOST: u64 = 4 * 86_400 * 1_000_000_000;
/// Every figure is right to 0.1 %.
const DIGITS: u8 = 3;

/// Times in nanoseconds.
pub(super) fn histogram() -> Histogram<u64> {
    let made = Histogram::new_with_bounds(LEAST, MOST, DIGITS);
    made.unwrap_or_else(|_| unreachable!("the bounds are constants that it takes"))
}

/// Answers of a part of a run.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// From when a request was due (in a closed loop: was sent) to the end of its answer.
    pub(super) latency: Histogram<u64>,
    /// From when it was sent. Of an open loop alone.
    pub(super) from_sending: Histogram<u64>,
    /// From when it was due to when it was sent. Of an open loop alone.
    pub(super) late: Histogram<u64>,
    /// Good answers that came within it.
    pub(super) good: u64,
    /// Requests that failed within it.
    pub(super) failed: u64,
}

impl Part {
    pub(super) fn new() -> Self {
        let (latency, from_sending, late) = (histogram(), histogram(), histogram());
        Self { latency, from_sending, late, good: 0, failed: 0 }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        // They are made alike, so that what is in one fits into the other.
        let _ = self.latency.add(&other.latency);
        let _ = self.from_sending.add(&other.from_sending);
        let _ = self.late.add(&other.late);
        self.good += other.good;
        self.failed += other.failed;
    }
}

/// What became of all requests of a run, those of its warm-up included: good and failed ones are all there are.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) good: u64,
    pub(super) failures: Failures,
    /// What the workload counts.
    pub(super) counts: Vec<u64>,
    /// What happened to connections, beside requests.
    pub(super) connections: Failures,
    /// Connections that were made again.
    pub(super) made_again: u64,
}

impl Tally {
    pub(super) fn new(counts: usize) -> Self {
        Self { counts: vec![0; counts], ..Self::default() }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.good += other.good;
        self.failures.merge(&other.failures);
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.connections.merge(&other.connections);
        self.made_again += other.made_again;
    }

    pub(super) fn fail(&mut self, failure: Failure, count: u64) {
        self.failures.add(failure, count);
    }

    pub(super) fn requests(&self) -> u64 {
        self.good + self.failures.total()
    }
}
