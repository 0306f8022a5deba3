//! How long to wait before something that failed is tried again.

use core::time::Duration;

use super::random::Random;

/// Exponential backoff with full jitter: a random time up to a bound that doubles with each
/// failure, so that many clients do not come back at the same moment.
///
/// ```
/// use core::time::Duration;
/// use windhover_core::client::{Backoff, ClusterOptions};
///
/// let mut options = ClusterOptions::default();
/// // A server that is out of use is probed after up to 50 ms, then up to 100, 200 …, and 10 s at most.
/// options.health.backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(10));
/// assert_eq!(options.health.backoff.most, Duration::from_secs(10));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backoff {
    /// The bound after the first failure.
    pub first: Duration,
    /// The bound never grows above this.
    pub most: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_millis(100), most: Duration::from_secs(5) }
    }
}

/// Even a lucky draw waits this long: it keeps a server that refuses at once from being asked in a
/// loop.
const LEAST: Duration = Duration::from_millis(1);

impl Backoff {
    /// From `first`, doubling, up to `most`.
    pub const fn new(first: Duration, most: Duration) -> Self {
        Self { first, most }
    }

    /// The bound after so many failures in a row, at least one.
    fn bound(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        self.first.saturating_mul(1 << doublings).min(self.most)
    }

    pub(super) fn draw(&self, failures: u32, random: &mut Random) -> Duration {
        let bound = u64::try_from(self.bound(failures).as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(random.below(bound)).max(LEAST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_doubles_up_to_its_most_and_the_draw_is_spread_below_it() {
        let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let bounds = [1, 2, 3, 4, 5, 40, u32::MAX].map(|n| backoff.bound(n).as_millis());
        assert_eq!(bounds, [100, 200, 400, 800, 1000, 1000, 1000]);
        let mut random = Random::new(7);
        let draws: std::vec::Vec<_> =
            (0..1000).map(|_| backoff.draw(2, &mut random).as_millis()).collect();
        assert!(draws.iter().all(|&draw| draw < 200));
        let mean = draws.iter().sum::<u128>() / 1000;
        assert!((80..120).contains(&mean), "{mean}");
    }
}
