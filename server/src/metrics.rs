//! What the server counts, and its page for Prometheus.

use std::sync::atomic::Ordering;

use metrics::{Counter, Histogram, counter, describe_counter, describe_gauge, describe_histogram};
use metrics::{Gauge, Unit, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use windhover_core::Counters;

use crate::store::Store;

/// Bounds of the latency buckets, in seconds.
const SECONDS: [f64; 14] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];

/// The counters of one server.
#[derive(Debug)]
#[non_exhaustive]
pub struct Metrics {
    handle: PrometheusHandle,
    /// Events that were answered "accepted".
    pub events_accepted: Counter,
    /// Requests that were answered "not accepted" because of what was sent.
    pub requests_rejected: Counter,
    /// Requests that were answered 503.
    pub requests_not_durable: Counter,
    /// Requests for a redirect that the policy does not allow.
    pub redirects_refused: Counter,
    /// Characters of events that became U+FFFD.
    pub characters_replaced: Counter,
    /// Values of events that became `null`.
    pub numbers_nulled: Counter,
    /// Events that a queue server elsewhere has stored.
    pub forwarded: Counter,
    /// Deliveries to queue servers that failed; the events stay and are sent again.
    pub forward_failures: Counter,
    /// From a request's end to its answer.
    pub track_seconds: Histogram,
    pulled: Pulled,
}

/// What is asked of the store when somebody looks.
#[derive(Debug)]
struct Pulled {
    http_open: Gauge,
    http_total: Counter,
    queue_open: Gauge,
    queue_total: Counter,
    queue_items: Gauge,
    queue_bytes: Gauge,
    queues: Gauge,
    /// By reason.
    refused: [Counter; 4],
    items_put: Counter,
    get_hits: Counter,
    get_misses: Counter,
    backlog: Gauge,
    journal_healthy: Gauge,
    journal_bytes: Gauge,
    journal_segments: Gauge,
    journal_batches: Counter,
    journal_written: Counter,
    journal_failures: Counter,
    journal_busy: Counter,
}

impl Metrics {
    /// Counters at zero, of a server that allows so many queues.
    ///
    /// # Panics
    /// Never: the bounds of the buckets are there.
    pub fn new(max_queues: u32) -> Self {
        let matcher = Matcher::Suffix("_seconds".to_owned());
        // Only an empty list of buckets is refused; without buckets it is a summary.
        let builder = PrometheusBuilder::new();
        let builder = builder
            .set_buckets_for_metric(matcher, &SECONDS)
            .unwrap_or_else(|_| PrometheusBuilder::new());
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            describe();
            gauge!("windhover_queues_limit").set(f64::from(max_queues));
            Self {
                handle,
                events_accepted: counter!("windhover_events_accepted_total"),
                requests_rejected: counter!("windhover_track_requests_total", "result" => "rejected"),
                requests_not_durable: counter!(
                    "windhover_track_requests_total", "result" => "not_durable"
                ),
                redirects_refused: counter!("windhover_redirects_refused_total"),
                characters_replaced: counter!("windhover_characters_replaced_total"),
                numbers_nulled: counter!("windhover_numbers_nulled_total"),
                forwarded: counter!("windhover_events_forwarded_total"),
                forward_failures: counter!("windhover_forward_failures_total"),
                track_seconds: histogram!("windhover_track_seconds"),
                pulled: Pulled {
                    http_open: gauge!("windhover_connections", "listener" => "http"),
                    http_total: counter!("windhover_connections_total", "listener" => "http"),
                    queue_open: gauge!("windhover_connections", "listener" => "queue"),
                    queue_total: counter!("windhover_connections_total", "listener" => "queue"),
                    queue_items: gauge!("windhover_queue_items"),
                    queue_bytes: gauge!("windhover_queue_bytes"),
                    queues: gauge!("windhover_queues"),
                    refused: ["full", "too_many_queues", "item_too_large", "journal_behind"]
                        .map(|why| counter!("windhover_queue_refused_total", "reason" => why)),
                    items_put: counter!("windhover_queue_items_total"),
                    get_hits: counter!("windhover_queue_reads_total", "result" => "hit"),
                    get_misses: counter!("windhover_queue_reads_total", "result" => "miss"),
                    backlog: gauge!("windhover_journal_backlog_bytes"),
                    journal_healthy: gauge!("windhover_journal_healthy"),
                    journal_bytes: gauge!("windhover_journal_bytes"),
                    journal_segments: gauge!("windhover_journal_segments"),
                    journal_batches: counter!("windhover_journal_batches_total"),
                    journal_written: counter!("windhover_journal_written_bytes_total"),
                    journal_failures: counter!("windhover_journal_failures_total"),
                    journal_busy: counter!("windhover_journal_busy_microseconds_total"),
                },
            }
        })
    }

    /// The page for Prometheus (text format).
    pub fn render(&self, store: &Store, http: &Counters, queue: &Counters) -> String {
        let (engine, journal) = store.stats();
        let pulled = &self.pulled;
        pulled.http_open.set(float(http.active()));
        pulled.http_total.absolute(http.accepted.load(Ordering::Relaxed));
        pulled.queue_open.set(float(queue.active()));
        pulled.queue_total.absolute(queue.accepted.load(Ordering::Relaxed));
        pulled.queue_items.set(float(engine.items));
        pulled.queue_bytes.set(float(engine.bytes));
        pulled.queues.set(float(engine.queues));
        let counts = [
            engine.refused_full,
            engine.refused_too_many_queues,
            engine.refused_item_too_large,
            engine.refused_busy,
        ];
        for (counter, count) in pulled.refused.iter().zip(counts) {
            counter.absolute(count);
        }
        pulled.items_put.absolute(engine.total_items);
        pulled.get_hits.absolute(engine.get_hits);
        pulled.get_misses.absolute(engine.get_misses);
        pulled.backlog.set(float(engine.backlog_bytes));
        pulled.journal_healthy.set(f64::from(u8::from(journal.healthy)));
        pulled.journal_bytes.set(float(journal.bytes));
        pulled.journal_segments.set(float(journal.segments));
        pulled.journal_batches.absolute(journal.batches);
        pulled.journal_written.absolute(journal.written);
        pulled.journal_failures.absolute(journal.failures);
        pulled.journal_busy.absolute(journal.busy_micros);
        self.handle.render()
    }

    /// Keeps the histograms small when nobody looks; to be called every few seconds.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge of 2^53 and more may be off by one")]
fn float(value: u64) -> f64 {
    value as f64
}

fn describe() {
    describe_counter!("windhover_events_accepted_total", "Events answered as accepted.");
    describe_counter!(
        "windhover_track_requests_total",
        "Tracking requests that were not accepted: rejected for what was sent, or not durable (503)."
    );
    describe_counter!(
        "windhover_redirects_refused_total",
        "Redirects to hosts that are not allowed."
    );
    describe_counter!(
        "windhover_characters_replaced_total",
        "Characters of events that became U+FFFD: half a surrogate pair, or not UTF-8."
    );
    describe_counter!(
        "windhover_numbers_nulled_total",
        "Values of events that became null: NaN and infinity as bare words, numbers above 1.8e308."
    );
    describe_counter!(
        "windhover_events_forwarded_total",
        "Events that a queue server of --queue has stored."
    );
    describe_counter!(
        "windhover_forward_failures_total",
        "Deliveries to queue servers that failed; the events stay and are sent again."
    );
    describe_histogram!(
        "windhover_track_seconds",
        Unit::Seconds,
        "From the end of a tracking request to its answer."
    );
    describe_gauge!("windhover_connections", "Connections open now.");
    describe_counter!("windhover_connections_total", "Connections accepted.");
    describe_gauge!("windhover_queue_items", "Items that can be read, in all queues.");
    describe_gauge!("windhover_queue_bytes", "Bytes of those items.");
    describe_gauge!("windhover_queues", "Queues.");
    describe_gauge!(
        "windhover_queues_limit",
        "Most queues beside the one that events go to: --max-queues."
    );
    describe_counter!(
        "windhover_queue_refused_total",
        "Puts that were refused before anything was written, by reason."
    );
    describe_counter!("windhover_queue_items_total", "Items put into queues.");
    describe_counter!("windhover_queue_reads_total", "Reads of queues, by what they got.");
    describe_gauge!("windhover_journal_backlog_bytes", "Bytes that wait for the journal.");
    describe_gauge!("windhover_journal_healthy", "1 while the journal takes writes.");
    describe_gauge!("windhover_journal_bytes", "Bytes in the journal's segments.");
    describe_gauge!("windhover_journal_segments", "Segments of the journal.");
    describe_counter!("windhover_journal_batches_total", "Batches written (and synced).");
    describe_counter!("windhover_journal_written_bytes_total", "Bytes written.");
    describe_counter!("windhover_journal_failures_total", "Writes and syncs that failed.");
    describe_counter!(
        "windhover_journal_busy_microseconds_total",
        "Time spent in writing and syncing."
    );
}
