//! Metrics that the page shows.

use prometheus_client::metrics::family::Family;
use prometheus_client::registry::{Metric, Registry};

/// A label: its name and its value, from a small fixed set.
pub(super) type Label = (&'static str, &'static str);

/// Makes metrics, and has the page show them. The names of counters end in `_total` there.
pub(super) struct Registering(pub(super) Registry);

impl Registering {
    pub(super) fn one<M: Metric + Clone + Default>(&mut self, name: &str, help: &str) -> M {
        let metric = M::default();
        self.0.register(name, help, metric.clone());
        metric
    }

    /// One for each value of a label.
    pub(super) fn each<M, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        label: &'static str,
        values: [&'static str; N],
    ) -> [M; N]
    where
        M: Clone + Default,
        Family<[Label; 1], M>: Metric,
    {
        let family: Family<[Label; 1], M> = self.one(name, help);
        values.map(|value| family.get_or_create_owned(&[(label, value)]))
    }
}
