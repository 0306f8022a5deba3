//! How backups stand, for Prometheus.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::command::now;
use super::continuous::BackupStats;
use crate::store::JournalStats;

/// A number of seconds; infinite where it never happened, so that "older than" is true.
type Seconds = Gauge<f64, AtomicU64>;

/// The counters of a server that makes backups of its journal.
#[derive(Debug, Default)]
pub struct BackupMetrics {
    healthy: Gauge,
    lag_bytes: Gauge,
    lag: Seconds,
    age: Seconds,
    verified: Seconds,
    drilled: Seconds,
    made: Counter,
    failures: Counter,
    sent: Counter,
}

impl BackupMetrics {
    /// Has a page show them.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let mut one = |name: &str, help: &str, gauge: &Seconds| {
            registry.register(name, help, gauge.clone());
        };
        one(
            "backup_lag_seconds",
            "For how long there has been something in the journal that no backup has; 0 when there is nothing",
            &self.lag,
        );
        one(
            "backup_age_seconds",
            "Since the cut of the last backup; +Inf before the first",
            &self.age,
        );
        one(
            "backup_verified_age_seconds",
            "Since a backup was last read back without a fault; +Inf when none was",
            &self.verified,
        );
        one(
            "backup_drilled_age_seconds",
            "Since a backup was last restored for practice; +Inf when none was",
            &self.drilled,
        );
        let help = "1 unless the last attempt to make a backup failed";
        registry.register("backup_healthy", help, self.healthy.clone());
        let help = "Bytes of the journal that no backup has";
        registry.register("backup_lag_bytes", help, self.lag_bytes.clone());
        registry.register("backups_made", "Backups made", self.made.clone());
        registry.register("backup_failures", "Backups that failed", self.failures.clone());
        registry.register("backup_sent_bytes", "Bytes sent for backups", self.sent.clone());
    }

    /// Takes over how they stand.
    pub(crate) fn show(&self, backups: &BackupStats, journal: &JournalStats) {
        let now = now();
        // A count of milliseconds is far below what this cannot say exactly.
        #[allow(clippy::cast_precision_loss)]
        let since =
            |at: Option<u64>| at.map_or(f64::INFINITY, |at| now.saturating_sub(at) as f64 / 1000.0);
        let lag = match backups.last {
            None => journal.bytes,
            Some(_) => journal.written.saturating_sub(backups.written),
        };
        self.lag_bytes.set(i64::try_from(lag).unwrap_or(i64::MAX));
        self.lag.set(if lag == 0 { 0.0 } else { since(backups.last) });
        self.age.set(since(backups.last));
        self.verified.set(since(backups.verified));
        self.drilled.set(since(backups.drilled));
        self.healthy.set(i64::from(!backups.failing));
        for (counter, count) in [
            (&self.made, backups.made),
            (&self.failures, backups.failures),
            (&self.sent, backups.sent),
        ] {
            counter.inner().fetch_max(count, Ordering::Relaxed);
        }
    }
}
