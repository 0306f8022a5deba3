//! How many calls may be sent again, so that retries do not add to an overload.

use core::time::Duration;

use crate::Instant;

/// How many calls may be sent again after they were sent once.
///
/// ```
/// use windhover_core::client::{ClusterOptions, RetryLimit};
///
/// let mut options = ClusterOptions::default();
/// // Where many calls fail at once, no more than one in ten is sent again.
/// options.retries = RetryLimit::new(10, 1);
/// assert_eq!((options.retries.percent, options.retries.per_second), (10, 1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryLimit {
    /// So many of a hundred calls.
    pub percent: u32,
    /// And so many a second besides, for clients with few calls; as many may come at once.
    pub per_second: u32,
}

impl Default for RetryLimit {
    fn default() -> Self {
        Self { percent: 20, per_second: 10 }
    }
}

impl RetryLimit {
    /// `percent` of the calls, and `per_second` besides.
    pub const fn new(percent: u32, per_second: u32) -> Self {
        Self { percent, per_second }
    }
}

/// What one retry costs; a call brings in [`RetryLimit::percent`].
const RETRY: u64 = 100;
/// What calls bring in is kept up to so many retries.
const KEPT: u64 = 1000;

/// The account behind a [`RetryLimit`].
#[derive(Debug)]
pub(super) struct Budget {
    limit: RetryLimit,
    earned: u64,
    /// What time brings in, in retries by a thousand.
    allowance: u64,
    since: Instant,
}

impl Budget {
    pub(super) fn new(limit: RetryLimit, now: Instant) -> Self {
        let allowance = u64::from(limit.per_second) * 1000;
        Self { limit, earned: 0, allowance, since: now }
    }

    pub(super) fn call(&mut self) {
        let earned = self.earned.saturating_add(u64::from(self.limit.percent));
        self.earned = earned.min(KEPT * RETRY);
    }

    /// Whether one more call may be sent again.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        if self.earned >= RETRY {
            self.earned -= RETRY;
            return true;
        }
        let waited = now.saturating_since(self.since).min(Duration::from_secs(1));
        let millis = u64::try_from(waited.as_millis()).unwrap_or(1000);
        if millis > 0 {
            let per_second = u64::from(self.limit.per_second);
            self.allowance = (self.allowance + millis * per_second).min(per_second * 1000);
            self.since = now;
        }
        if self.allowance >= 1000 {
            self.allowance -= 1000;
            return true;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_epoch(Duration::from_millis(millis))
    }

    #[test]
    fn a_share_of_the_calls_and_a_few_a_second() {
        let mut budget = Budget::new(RetryLimit::new(10, 2), at(0));
        assert_eq!([0, 0, 0].map(|_| budget.take(at(0))), [true, true, false]);
        assert_eq!([500, 500].map(|time| budget.take(at(time))), [true, false]);
        (0..25).for_each(|_| budget.call());
        assert_eq!([0, 0, 0].map(|_| budget.take(at(500))), [true, true, false]);
        // What was not used for an hour is not saved up.
        let late = [0, 0, 0].map(|_| budget.take(at(3_600_000)));
        assert_eq!(late, [true, true, false]);
    }
}
