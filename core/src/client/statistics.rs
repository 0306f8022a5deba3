//! What a cluster has seen.

use alloc::boxed::Box;
use core::time::Duration;

use super::{ServerId, ServerState};

/// How many buckets a [`Histogram`] has.
const BUCKETS: usize = 26;

/// How long calls took: counts by powers of two of microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    counts: [u64; BUCKETS],
    sum: Duration,
}

impl Histogram {
    pub(super) fn record(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = usize::try_from(micros.max(1).ilog2()).unwrap_or(BUCKETS);
        if let Some(count) = self.counts.get_mut(bucket.min(BUCKETS - 1)) {
            *count += 1;
        }
        self.sum = self.sum.saturating_add(took);
    }

    /// Each bucket's upper bound, which it does not include, and how many calls are in it. The last
    /// bucket has no bound: [`Duration::MAX`].
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> {
        self.counts.iter().enumerate().map(|(at, &count)| {
            let bound = if at + 1 == BUCKETS {
                Duration::MAX
            } else {
                Duration::from_micros(1 << (at + 1))
            };
            (bound, count)
        })
    }

    /// How many calls there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How long they took together.
    pub const fn sum(&self) -> Duration {
        self.sum
    }

    /// The bound below which at least `percent` of a hundred calls are; `None` where there were no
    /// calls.
    pub fn percentile(&self, percent: u32) -> Option<Duration> {
        let wanted = (self.count() * u64::from(percent.min(100))).div_ceil(100).max(1);
        let mut seen = 0;
        let mut reached = self.buckets().skip_while(|(_, count)| {
            seen += count;
            seen < wanted
        });
        reached.next().map(|(bound, _)| bound)
    }
}

/// What was counted of one server; each counter only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerCounters {
    /// Calls that were given to one of its connections.
    pub sent: u64,
    /// Calls that it answered, misses among them.
    pub answered: u64,
    /// Calls that it refused.
    pub refused: u64,
    /// Calls that were not sent, whatever the reason.
    pub not_sent: u64,
    /// Calls that were sent, with an outcome that is not known: the deadline passed.
    pub timed_out: u64,
    /// Calls that were sent, with an outcome that is not known: the connection ended.
    pub broken: u64,
    /// Calls that were sent once more, here, after another attempt had failed.
    pub retries: u64,
    /// Calls that were sent here because another server was slow.
    pub hedges: u64,
    /// Connections that were made.
    pub connects: u64,
    /// Connections that could not be made.
    pub connect_failures: u64,
    /// How often it was taken out of use.
    pub ejections: u64,
    /// How long its answers took.
    pub latency: Histogram,
}

/// A server as it is now.
///
/// ```
/// # use bytes::Bytes;
/// use core::time::Duration;
/// use windhover_core::Instant;
/// use windhover_core::client::{
///     Call, Cluster, ClusterOptions, ClusterOutput, Histogram, Server, ServerCounters,
///     ServerStatistics,
/// };
/// # use windhover_core::memcache::request::{Prepared, Request};
/// # use windhover_core::memcache::Dialect;
///
/// # let (now, options) = (Instant::default(), ClusterOptions::default());
/// # let version = Prepared::new(&Request::Version, Bytes::new(), Dialect::Memcached, &options.limits)?;
/// # let mut cluster = Cluster::new(&[Server::new("10.0.0.1:11211")], options, 42, now)?;
/// # let id = cluster.owner(b"key").expect("there is a server");
/// # cluster.submit(Call::to(version, id), now + Duration::from_millis(250), now)?;
/// # let ClusterOutput::Connect { connection, .. } = cluster.poll_output(now) else { panic!() };
/// # cluster.connected(connection, now);
/// # assert!(matches!(cluster.poll_output(now), ClusterOutput::Write { .. }));
/// # cluster.wrote(connection, 9);
/// // `version` was sent; its answer takes 3 ms.
/// cluster.receive(connection, b"VERSION 1.6.45\r\n");
/// assert!(matches!(cluster.poll_output(now + Duration::from_millis(3)), ClusterOutput::Completed(_)));
///
/// let statistics = cluster.statistics();
/// let ServerStatistics { name, in_flight, counters, .. } = &statistics[0];
/// assert_eq!((&**name, *in_flight), ("10.0.0.1:11211", 0));
/// let ServerCounters { sent, answered, latency, .. } = counters;
/// assert_eq!((*sent, *answered), (1, 1));
/// let latency: &Histogram = latency;
/// assert!(latency.percentile(50) >= Some(Duration::from_millis(3)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerStatistics {
    /// Which.
    pub server: ServerId,
    /// Its name.
    pub name: Box<str>,
    /// Whether it is in use.
    pub state: ServerState,
    /// Connections that are open or being made.
    pub connections: usize,
    /// Requests on them whose replies have not ended.
    pub in_flight: usize,
    /// Calls that wait for a connection.
    pub waiting: usize,
    /// What was counted.
    pub counters: ServerCounters,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_fall_into_the_bucket_below_their_bound() {
        let mut histogram = Histogram::default();
        for micros in [0, 1, 2, 3, 1000, 10_000_000_000] {
            histogram.record(Duration::from_micros(micros));
        }
        let filled: std::vec::Vec<_> =
            histogram.buckets().filter(|(_, count)| *count > 0).collect();
        assert_eq!(
            filled,
            [
                (Duration::from_micros(2), 2),
                (Duration::from_micros(4), 2),
                (Duration::from_micros(1024), 1),
                (Duration::MAX, 1),
            ]
        );
        assert_eq!(histogram.percentile(50), Some(Duration::from_micros(4)));
        assert_eq!(histogram.percentile(100), Some(Duration::MAX));
        assert_eq!(Histogram::default().percentile(99), None);
    }
}
