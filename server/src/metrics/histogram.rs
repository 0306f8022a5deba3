//! A histogram that threads count in side by side, without a lock.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

/// Bounds of times, in microseconds.
const MICROS: &[u64] = &[
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 5_000_000,
];
/// Bounds of sizes, in bytes: powers of four, up to the largest body that is taken where nothing else is said.
const BYTES: &[u64] =
    &[64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216];

/// Counts values by how large they are; cheap to clone.
#[derive(Clone, Debug)]
pub struct Histogram(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Rising; a value counts for the first one that it does not exceed.
    bounds: &'static [u64],
    /// So many make one of the page's unit.
    per_unit: f64,
    /// One for each bound, and one for what is above all of them.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Histogram {
    fn new(bounds: &'static [u64], per_unit: f64) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::default()).collect();
        Self(Arc::new(Inner { bounds, per_unit, counts, sum: AtomicU64::default() }))
    }

    /// Of times, shown in seconds.
    pub fn of_times() -> Self {
        Self::new(MICROS, 1e6)
    }

    /// Of sizes, shown in bytes.
    pub fn of_sizes() -> Self {
        Self::new(BYTES, 1.0)
    }

    /// Counts a time.
    pub fn observe_time(&self, time: Duration) {
        self.observe(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// Counts a number of bytes.
    pub fn observe_size(&self, bytes: usize) {
        self.observe(bytes as u64);
    }

    fn observe(&self, value: u64) {
        let at = self.0.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.0.counts.get(at) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.0.sum.fetch_add(value, Ordering::Relaxed);
    }
}

impl EncodeMetric for Histogram {
    #[allow(clippy::cast_precision_loss)]
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let Inner { bounds, per_unit, counts, sum } = &*self.0;
        let bounds = bounds.iter().map(|bound| *bound as f64 / per_unit).chain([f64::INFINITY]);
        let counts = counts.iter().map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = sum.load(Ordering::Relaxed) as f64 / per_unit;
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn a_value_counts_for_each_bound_that_it_does_not_exceed() {
        let (times, sizes) = (Histogram::of_times(), Histogram::of_sizes());
        for micros in [99, 100, 101, 5_000_001] {
            times.observe_time(Duration::from_micros(micros));
        }
        sizes.observe_size(0);
        sizes.observe_size(65_536);
        let mut registry = Registry::default();
        registry.register("t", "", times);
        registry.register("s", "", sizes);
        let mut page = String::new();
        encode(&mut page, &registry).unwrap();
        for line in [
            "t_bucket{le=\"0.0001\"} 2",
            "t_bucket{le=\"0.00025\"} 3",
            "t_bucket{le=\"5.0\"} 3",
            "t_bucket{le=\"+Inf\"} 4",
            "t_sum 5.000301",
            "t_count 4",
            "s_bucket{le=\"64.0\"} 1",
            "s_bucket{le=\"16384.0\"} 1",
            "s_bucket{le=\"65536.0\"} 2",
            "s_sum 65536.0",
        ] {
            assert!(page.lines().any(|it| it == line), "{line}:\n{page}");
        }
    }
}
