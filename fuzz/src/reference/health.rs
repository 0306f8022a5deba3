//! Whether a server is in use, and how many calls may be sent again.

use core::time::Duration;

use windhover_core::Instant;
use windhover_core::client::{HealthOptions, RetryLimit, ServerState};

/// What is known of the only server.
#[derive(Clone, Debug)]
pub struct Health {
    options: HealthOptions,
    /// Whether it is in use.
    pub state: ServerState,
    failures: u32,
    strikes: u32,
    /// When it was taken out of use.
    pub since: Instant,
}

impl Health {
    /// In use.
    pub const fn new(options: HealthOptions, now: Instant) -> Self {
        Self { options, state: ServerState::Healthy, failures: 0, strikes: 0, since: now }
    }

    /// It has answered.
    pub fn succeeded(&mut self) {
        if self.state == ServerState::Healthy {
            (self.failures, self.strikes) = (0, 0);
        }
    }

    /// It has failed, or the way to it has.
    pub fn failed(&mut self, now: Instant) {
        if self.state == ServerState::Healthy {
            self.failures += 1;
            if self.failures >= self.options.failures.max(1) && !self.options.keep_last {
                self.eject(now);
            }
        }
    }

    /// A probe was answered or not.
    pub fn probed(&mut self, answered: bool, now: Instant) {
        assert_eq!(self.state, ServerState::Probing);
        if answered {
            self.state = ServerState::Healthy;
            self.failures = 0;
        } else {
            self.eject(now);
        }
    }

    fn eject(&mut self, now: Instant) {
        self.state = ServerState::Ejected;
        self.strikes += 1;
        self.since = now;
    }

    /// The probe comes at this instant at the latest.
    pub fn probe_by(&self) -> Instant {
        self.since + longest(&self.options, self.strikes)
    }
}

/// The longest wait after so many failures in a row: it doubles, up to its most.
pub fn longest(options: &HealthOptions, failures: u32) -> Duration {
    let mut bound = options.backoff.first;
    for _ in 1..failures {
        bound = (bound * 2).min(options.backoff.most);
    }
    bound.min(options.backoff.most).max(Duration::from_millis(1))
}

/// The account of retries, in thousandths of one.
#[derive(Clone, Debug)]
pub struct Budget {
    limit: RetryLimit,
    of_calls: u64,
    of_time: u64,
    /// In milliseconds.
    since: u64,
}

impl Budget {
    /// What is there at first.
    pub fn new(limit: RetryLimit, now: u64) -> Self {
        Self { limit, of_calls: 0, of_time: u64::from(limit.per_second) * 1000, since: now }
    }

    /// A call brings its share in.
    pub fn call(&mut self) {
        // A thousand retries are kept.
        let share = u64::from(self.limit.percent) * 10;
        self.of_calls = (self.of_calls + share).min(1_000_000);
    }

    /// Whether one may be sent again at that millisecond.
    pub fn take(&mut self, now: u64) -> bool {
        if self.of_calls >= 1000 {
            self.of_calls -= 1000;
            return true;
        }
        let per_second = u64::from(self.limit.per_second);
        let earned = (now - self.since) * per_second;
        self.of_time = (self.of_time + earned).min(per_second * 1000);
        self.since = now;
        let enough = self.of_time >= 1000;
        if enough {
            self.of_time -= 1000;
        }
        enough
    }
}
