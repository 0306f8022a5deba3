//! What the server counts, and its page for Prometheus.

use std::sync::atomic::Ordering;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};
use windhover_core::tracking::TrackingEndpoint;
use windhover_runtime::{ProxyProtocol, ServerTls};

use crate::app::App;
use crate::backup::{BackupMetrics, BackupStatus};
use crate::dead_letters::DEAD_LETTERS;

/// The media type of the page, which is in the `OpenMetrics` text format.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Bounds of the latency buckets, in seconds.
const SECONDS: [f64; 14] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];

type Label = (&'static str, &'static str);

/// The paths that take records, each of which is on the page from the start.
const ENDPOINTS: [TrackingEndpoint; 4] = [
    TrackingEndpoint::Track,
    TrackingEndpoint::Import,
    TrackingEndpoint::Engage,
    TrackingEndpoint::Groups,
];

/// Counts what was recorded, by endpoint.
#[derive(Clone, Debug, Default)]
pub struct Accepted([Counter; ENDPOINTS.len()]);

impl Accepted {
    /// Counts so many.
    pub fn count(&self, endpoint: TrackingEndpoint, records: u64) {
        if let Some((_, counter)) = ENDPOINTS.iter().zip(&self.0).find(|(it, _)| **it == endpoint) {
            counter.inc_by(records);
        }
    }
}

/// Counts by endpoint and reason, both from a small fixed set, so that there is an end to them.
#[derive(Clone, Debug, Default)]
pub struct Refusals(Family<[Label; 2], Counter>);

impl Refusals {
    /// Counts one.
    pub fn count(&self, endpoint: &'static str, reason: &'static str) {
        self.0.get_or_create(&[("endpoint", endpoint), ("reason", reason)]).inc();
    }
}

/// Counts by reason, from a small fixed set.
#[derive(Clone, Debug, Default)]
pub struct Reasons(Family<[(&'static str, String); 1], Counter>);

impl Reasons {
    /// Counts one.
    pub fn count(&self, reason: &str) {
        self.0.get_or_create(&[("reason", reason.to_owned())]).inc();
    }
}

/// The counters of one server.
#[derive(Debug)]
#[non_exhaustive]
pub struct Metrics {
    registry: Registry,
    /// Events that were answered "accepted".
    pub events_accepted: Accepted,
    /// Requests that were answered "not accepted" because of what was sent.
    pub requests_rejected: Counter,
    /// Requests that were answered 503.
    pub requests_not_durable: Counter,
    /// Events that were not recorded, whatever became of the rest of their batch.
    pub events_refused: Refusals,
    /// Requests of which nothing was recorded, for what was sent or for lack of a place for it.
    pub requests_refused: Refusals,
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
    forward_servers: Family<[(&'static str, String); 1], Gauge>,
    /// Records put into the dead-letter queue.
    pub dead_letters: Reasons,
    track_seconds: Histogram,
    pulled: Pulled,
    backup: BackupMetrics,
}

/// What is asked of the store when somebody looks.
#[derive(Debug)]
struct Pulled {
    http_open: Gauge,
    http_total: Counter,
    queue_open: Gauge,
    queue_total: Counter,
    connection_memory: Gauge,
    evicted: Counter,
    tls_failures: Counter,
    proxy_header_failures: Counter,
    authentication_failures: Counter,
    queue_items: Gauge,
    queue_bytes: Gauge,
    queue_taken: Gauge,
    queue_memory: Gauge,
    read_back: Counter,
    read_back_failures: Counter,
    queues: Gauge,
    /// By reason.
    refused: [Counter; 5],
    items_put: Counter,
    get_hits: Counter,
    get_misses: Counter,
    dead_letters: Gauge,
    dead_letter_bytes: Gauge,
    dead_letters_discarded: Counter,
    dead_letters_lost: Counter,
    backlog: Gauge,
    journal_healthy: Gauge,
    journal_bytes: Gauge,
    journal_segments: Gauge,
    journal_batches: Counter,
    journal_written: Counter,
    journal_failures: Counter,
    journal_busy: Counter,
    duplicates: Counter,
    dedup_ids: Gauge,
    dedup_save_failures: Counter,
}

/// Makes metrics, and has the page show them. The names of counters end in `_total` there.
struct Registering(Registry);

impl Registering {
    fn one<M: Metric + Clone + Default>(&mut self, name: &str, help: &str) -> M {
        let metric = M::default();
        self.0.register(name, help, metric.clone());
        metric
    }

    /// One for each value of a label.
    fn each<M, const N: usize>(
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

impl Pulled {
    fn new(all: &mut Registering) -> Self {
        let listeners = ["http", "queue"];
        let [http_open, queue_open] =
            all.each("connections", "Connections open now", "listener", listeners);
        let [http_total, queue_total] =
            all.each("connections_accepted", "Connections accepted", "listener", listeners);
        let [get_hits, get_misses] =
            all.each("queue_reads", "Reads of queues, by what they got", "result", ["hit", "miss"]);
        Self {
            http_open,
            http_total,
            queue_open,
            queue_total,
            connection_memory: all.one(
                "connection_memory_bytes",
                "Bytes that connections hold: half of requests, answers not taken (--connection-memory)",
            ),
            evicted: all.one(
                "connections_evicted",
                "Connections that were closed because all together held too much",
            ),
            tls_failures: all.one(
                "tls_failures",
                "Connections that failed for TLS: the peer spoke something else, did not trust the \
                 certificate, or took too long",
            ),
            proxy_header_failures: all.one(
                "proxy_header_failures",
                "Connections of trusted proxies that were closed, since no header of the PROXY protocol \
                 came (--proxy-protocol)",
            ),
            authentication_failures: all.one(
                "authentication_failures",
                "Connections that were closed for a wrong name or password (--auth-file)",
            ),
            queue_items: all.one("queue_items", "Items that can be read, in all queues"),
            queue_bytes: all.one("queue_bytes", "Bytes of those items"),
            queue_taken: all.one(
                "queue_taken_bytes",
                "What all items take, as --max-queue-bytes counts it: their bytes and 160 for each",
            ),
            queue_memory: all.one(
                "queue_memory_bytes",
                "What the items take that are in memory, counted so too (--queue-memory)",
            ),
            read_back: all.one("queue_items_read_back", "Items that were read back from the journal"),
            read_back_failures: all.one(
                "queue_read_back_failures",
                "Reads of the journal that failed; they are tried again",
            ),
            queues: all.one("queues", "Queues"),
            refused: all.each(
                "queue_refused",
                "Puts that were refused before anything was written, by reason",
                "reason",
                ["full", "too_many_queues", "item_too_large", "journal_behind", "journal_full"],
            ),
            items_put: all.one("queue_items_put", "Items put into queues"),
            get_hits,
            get_misses,
            dead_letters: all.one("dead_letters_waiting", "Records in the dead-letter queue"),
            dead_letter_bytes: all.one("dead_letter_bytes", "Bytes in the dead-letter queue"),
            dead_letters_discarded: all.one(
                "dead_letters_discarded",
                "Records that went from the dead-letter queue because it was full (--dead-letter-bytes)",
            ),
            dead_letters_lost: all.one(
                "dead_letters_lost",
                "Records that the dead-letter queue could not take: the journal was behind, or failed",
            ),
            backlog: all.one("journal_backlog_bytes", "Bytes that wait for the journal"),
            journal_healthy: all.one("journal_healthy", "1 while the journal takes writes"),
            journal_bytes: all.one("journal_bytes", "Bytes of the journal's files, those kept to be written over included"),
            journal_segments: all.one("journal_segments", "Segments of the journal"),
            journal_batches: all.one("journal_batches", "Batches written (and synced)"),
            journal_written: all.one("journal_written_bytes", "Bytes written"),
            journal_failures: all.one("journal_failures", "Writes and syncs that failed"),
            journal_busy: all.one("journal_busy_microseconds", "Time spent in writing and syncing"),
            duplicates: all.one(
                "events_duplicate",
                "Events answered as accepted and not recorded, since they were already (--dedup-window)",
            ),
            dedup_ids: all.one("dedup_ids", "Events that are recognised when they are sent again"),
            dedup_save_failures: all.one(
                "dedup_save_failures",
                "Times that what is recognised could not be written down for the next start",
            ),
        }
    }
}

impl Metrics {
    /// Counters at zero, of a server that allows so many queues.
    pub fn new(max_queues: u32) -> Self {
        let mut all = Registering(Registry::with_prefix("windhover"));
        let [requests_rejected, requests_not_durable] = all.each(
            "track_requests",
            "Tracking requests that were not accepted: rejected for what was sent, or not durable (503)",
            "result",
            ["rejected", "not_durable"],
        );
        let queues_limit: Gauge = all.one(
            "queues_limit",
            "Most queues beside those that events and updates go to: --max-queues",
        );
        queues_limit.set(i64::from(max_queues));
        let track_seconds = Histogram::new(SECONDS);
        let help = "Seconds from the end of a tracking request to its answer";
        all.0.register("track_seconds", help, track_seconds.clone());
        let pulled = Pulled::new(&mut all);
        Self {
            events_accepted: Accepted(all.each(
                "events_accepted",
                "Events and updates answered as accepted, by the path that they came by",
                "endpoint",
                ENDPOINTS.map(TrackingEndpoint::name),
            )),
            requests_rejected,
            requests_not_durable,
            events_refused: Refusals(all.one(
                "events_refused",
                "Events and updates that were not recorded, whatever became of the rest of their batch",
            )),
            requests_refused: Refusals(all.one(
                "requests_refused",
                "Requests of which nothing was recorded: for what was sent, or not durable, or overloaded (503)",
            )),
            redirects_refused: all.one("redirects_refused", "Redirects to hosts that are not allowed"),
            characters_replaced: all.one(
                "characters_replaced",
                "Characters of events that became U+FFFD: half a surrogate pair, or not UTF-8",
            ),
            numbers_nulled: all.one(
                "numbers_nulled",
                "Values of events that became null: NaN and infinity as bare words, numbers above 1.8e308",
            ),
            forwarded: all.one("events_forwarded", "Events that a queue server of --queue has stored"),
            forward_failures: all.one(
                "forward_failures",
                "Deliveries to queue servers that failed; the events stay and are sent again",
            ),
            forward_servers: all.one(
                "forward_server_usable",
                "Whether a server of --queue is in use or could be: 0 when it failed of late",
            ),
            dead_letters: Reasons(all.one(
                "dead_letters",
                "Records put into the dead-letter queue, by why they were refused for good",
            )),
            track_seconds,
            pulled,
            backup: BackupMetrics::default(),
            registry: all.0,
        }
    }

    /// Has the page show how backups stand: what is returned, to be told of them.
    pub fn watch_backups(&mut self) -> BackupStatus {
        self.backup.register(&mut self.registry);
        BackupStatus::default()
    }

    /// Counts a request that is answered 503, since its records could not be made safe.
    pub fn not_durable(&self, endpoint: TrackingEndpoint) {
        self.requests_not_durable.inc();
        self.requests_refused.count(endpoint.name(), "not_durable");
    }

    /// Takes note of how long a tracking request waited for its answer.
    pub fn track_took(&self, time: Duration) {
        self.track_seconds.observe(time.as_secs_f64());
    }

    /// The page for Prometheus, of the media type [`CONTENT_TYPE`].
    pub fn render(&self, app: &App) -> String {
        let (store, http, queue) = (&app.store, &app.http_connections, &app.queue_connections);
        let (engine, journal) = store.stats();
        let pulled = &self.pulled;
        set(&pulled.http_open, http.active());
        raise(&pulled.http_total, http.accepted.load(Ordering::Relaxed));
        set(&pulled.queue_open, queue.active());
        raise(&pulled.queue_total, queue.accepted.load(Ordering::Relaxed));
        let memory = &app.connection_memory;
        set(&pulled.connection_memory, u64::try_from(memory.used()).unwrap_or(u64::MAX));
        raise(&pulled.evicted, memory.closed());
        raise(&pulled.tls_failures, app.tls.as_ref().map_or(0, ServerTls::failures));
        let proxies = app.proxy_protocol.as_ref();
        raise(&pulled.proxy_header_failures, proxies.map_or(0, ProxyProtocol::failures));
        raise(
            &pulled.authentication_failures,
            queue.authentication_failures.load(Ordering::Relaxed),
        );
        set(&pulled.queue_items, engine.items);
        set(&pulled.queue_bytes, engine.bytes);
        set(&pulled.queue_taken, engine.taken_bytes);
        set(&pulled.queue_memory, engine.memory_bytes);
        raise(&pulled.read_back, engine.read_back_items);
        raise(&pulled.read_back_failures, engine.read_back_failures);
        set(&pulled.queues, engine.queues);
        let counts = [
            engine.refused_full,
            engine.refused_too_many_queues,
            engine.refused_item_too_large,
            engine.refused_busy,
            engine.refused_journal_full,
        ];
        for (counter, count) in pulled.refused.iter().zip(counts) {
            raise(counter, count);
        }
        raise(&pulled.items_put, engine.total_items);
        raise(&pulled.get_hits, engine.get_hits);
        raise(&pulled.get_misses, engine.get_misses);
        self.forward_servers.clear();
        for server in app.forward_servers.list() {
            let usable = self.forward_servers.get_or_create(&[("server", server.name)]);
            usable.set(i64::from(server.is_usable));
        }
        let letters = store.stats_of(DEAD_LETTERS);
        set(&pulled.dead_letters, letters.items);
        set(&pulled.dead_letter_bytes, letters.bytes);
        raise(&pulled.dead_letters_discarded, letters.discarded);
        raise(&pulled.dead_letters_lost, store.lost());
        set(&pulled.backlog, engine.backlog_bytes);
        set(&pulled.journal_healthy, u64::from(journal.healthy));
        set(&pulled.journal_bytes, journal.bytes);
        set(&pulled.journal_segments, journal.segments);
        raise(&pulled.journal_batches, journal.batches);
        raise(&pulled.journal_written, journal.written);
        raise(&pulled.journal_failures, journal.failures);
        raise(&pulled.journal_busy, journal.busy_micros);
        if let Some(backup) = &app.backup {
            self.backup.show(&backup.get(), &journal);
        }
        if let Some(dedup) = &app.dedup {
            raise(&pulled.duplicates, dedup.duplicates());
            set(&pulled.dedup_ids, dedup.len());
            raise(&pulled.dedup_save_failures, dedup.save_failures());
        }
        let mut page = String::new();
        // Writing to memory does not fail.
        let _ = encode(&mut page, &self.registry);
        page
    }
}

fn set(gauge: &Gauge, value: u64) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}

/// Sets a counter to what was counted elsewhere.
fn raise(counter: &Counter, count: u64) {
    counter.inner().fetch_max(count, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_family_of_the_page_stands_there_once_with_its_help_and_type() {
        let metrics = Metrics::new(7);
        metrics.events_accepted.count(TrackingEndpoint::Engage, 3);
        metrics.events_refused.count("track", "token_missing");
        metrics.events_refused.count("track", "token_missing");
        metrics.track_took(Duration::from_millis(3));
        let mut page = String::new();
        encode(&mut page, &metrics.registry).unwrap();

        let named = |what: &str| -> Vec<&str> {
            let lines = page.lines().filter_map(|line| line.strip_prefix(what));
            lines.filter_map(|line| line.split(' ').next()).collect()
        };
        let mut families = named("# TYPE ");
        assert_eq!(families, named("# HELP "));
        families.sort_unstable();
        families.dedup();
        assert_eq!(families.len(), named("# TYPE ").len());
        for line in [
            "windhover_events_accepted_total{endpoint=\"engage\"} 3",
            "windhover_events_accepted_total{endpoint=\"track\"} 0",
            "windhover_events_refused_total{endpoint=\"track\",reason=\"token_missing\"} 2",
            "windhover_track_requests_total{result=\"rejected\"} 0",
            "windhover_queues_limit 7",
            "windhover_track_seconds_bucket{le=\"0.0025\"} 0",
            "windhover_track_seconds_bucket{le=\"0.005\"} 1",
        ] {
            assert!(page.lines().any(|it| it == line), "{line}");
        }
        assert!(page.ends_with("# EOF\n"));
    }
}
