//! A gauge for each of a few queues.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

/// What was seen of queues last, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct ByQueue {
    values: Arc<Mutex<Vec<(String, f64)>>>,
}

impl ByQueue {
    /// From now on this is shown.
    pub(super) fn set(&self, values: Vec<(String, f64)>) {
        *self.values.lock().unwrap_or_else(PoisonError::into_inner) = values;
    }
}

impl Collector for ByQueue {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Seconds since the first of the items that wait in a queue was put, for the queues that records go to";
        let mut metric = encoder.encode_descriptor(
            "queue_oldest_item_seconds",
            help,
            None,
            MetricType::Gauge,
        )?;
        for (queue, value) in &*self.values.lock().unwrap_or_else(PoisonError::into_inner) {
            ConstGauge::new(*value).encode(metric.encode_family(&[("queue", &**queue)])?)?;
        }
        Ok(())
    }
}
