//! What a run is: how many requests, when, on how many connections.

use std::net::SocketAddr;
use std::time::Duration;

/// When requests are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pace {
    /// A connection's next, when it has the answers to its last: a closed loop.
    Max,
    /// So many a second, evenly spread, whether the server keeps up or not: an open loop.
    Rate(f64),
}

/// What a run is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) address: SocketAddr,
    pub(super) pace: Pace,
    /// Of all threads together.
    pub(super) connections: usize,
    pub(super) threads: usize,
    /// Requests of a connection that wait for their answers.
    pub(super) pipeline: usize,
    /// Longest wait for a connection, for an answer, and of a request for a connection that is free.
    pub(super) timeout: Duration,
    pub(super) warm_up: Duration,
    /// What is measured, behind it.
    pub(super) duration: Duration,
    pub(super) rounds: u32,
}

/// Points that a chart of a run has, about.
const POINTS: u32 = 100;
/// None of them is shorter.
const SHORTEST: Duration = Duration::from_millis(50);

impl Plan {
    /// Into how many parts of equal length a round is divided for the chart.
    pub(super) fn parts_each_round(&self) -> u32 {
        let round = self.duration / self.rounds;
        let most = u32::try_from(round.as_nanos() / SHORTEST.as_nanos()).unwrap_or(u32::MAX);
        POINTS.div_ceil(self.rounds).min(most).max(1)
    }

    pub(super) fn parts(&self) -> u32 {
        self.rounds * self.parts_each_round()
    }
}

/// When the requests of one thread are due, in nanoseconds since the run began.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    /// Nanoseconds from one request of this thread to its next.
    between: f64,
    first: f64,
    number: u64,
}

impl Schedule {
    /// The threads take turns.
    #[allow(clippy::cast_precision_loss)] // no one has 2^53 threads
    pub(super) fn new(rate: f64, threads: usize, thread: usize) -> Self {
        let apart = 1e9 / rate;
        Self { between: apart * threads as f64, first: apart * thread as f64, number: 0 }
    }

    /// When the next one is due. From the number, so that nothing adds up.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub(super) fn due(&self) -> u64 {
        (self.first + self.number as f64 * self.between) as u64
    }

    pub(super) fn advance(&mut self) {
        self.number += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_take_turns() {
        let due = |thread| {
            let mut schedule = Schedule::new(1000.0, 2, thread);
            [(); 3].map(|()| {
                let due = schedule.due();
                schedule.advance();
                due
            })
        };
        assert_eq!(due(0), [0, 2_000_000, 4_000_000]);
        assert_eq!(due(1), [1_000_000, 3_000_000, 5_000_000]);
    }

    #[test]
    fn a_rate_that_divides_no_second_keeps_to_it() {
        let mut schedule = Schedule::new(3.0, 1, 0);
        (0..3_000_000).for_each(|_| schedule.advance());
        assert_eq!(schedule.due(), 1_000_000 * 1_000_000_000);
    }

    #[test]
    fn a_chart_has_a_hundred_points_where_the_time_is_long_enough() {
        let plan = |seconds, rounds| Plan {
            address: SocketAddr::from(([127, 0, 0, 1], 1)),
            pace: Pace::Max,
            connections: 1,
            threads: 1,
            pipeline: 1,
            timeout: Duration::from_secs(1),
            warm_up: Duration::ZERO,
            duration: Duration::from_secs_f64(seconds),
            rounds,
        };
        assert_eq!(plan(30.0, 10).parts(), 100);
        assert_eq!(plan(1.0, 10).parts(), 20);
        assert_eq!(plan(0.1, 10).parts(), 10);
        assert_eq!(plan(30.0, 7).parts(), 105);
    }
}
