//! What is counted elsewhere, and asked for when somebody looks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use windhover_core::Now;
use windhover_core::queue::QueueStats;
use windhover_runtime::{ProxyProtocol, ServerTls};

use super::by_queue::ByQueue;
use super::registering::Registering;
use crate::access_log::AccessLog;
use crate::app::App;
use crate::dead_letters::DEAD_LETTERS;
use crate::store::JournalStats;

/// What is asked of the store when somebody looks.
#[derive(Debug)]
pub(super) struct Pulled {
    http_open: Gauge,
    http_total: Counter,
    queue_open: Gauge,
    queue_total: Counter,
    connection_memory: Gauge,
    connection_memory_limit: Gauge,
    evicted: Counter,
    tls_failures: Counter,
    proxy_header_failures: Counter,
    authentication_failures: Counter,
    queue_items: Gauge,
    queue_bytes: Gauge,
    queue_taken: Gauge,
    queue_memory: Gauge,
    queue_memory_limit: Gauge,
    oldest: ByQueue,
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
    journal: OfJournal,
    access_log_lost: Counter,
    duplicates: Counter,
    dedup_ids: Gauge,
    dedup_save_failures: Counter,
}

/// What the journal's thread knows.
#[derive(Debug)]
struct OfJournal {
    backlog: Gauge,
    healthy: Gauge,
    bytes: Gauge,
    segments: Gauge,
    batches: Counter,
    written: Counter,
    failures: Counter,
    busy: Counter<f64, AtomicU64>,
    lag: Gauge<f64, AtomicU64>,
}

impl OfJournal {
    fn new(all: &mut Registering) -> Self {
        Self {
            backlog: all.one("journal_backlog_bytes", "Bytes that wait for the journal"),
            healthy: all.one("journal_healthy", "1 while the journal takes writes"),
            bytes: all.one(
                "journal_bytes",
                "Bytes of the journal's files, those kept to be written over included",
            ),
            segments: all.one("journal_segments", "Segments of the journal"),
            batches: all.one("journal_batches", "Batches written (and synced)"),
            written: all.one("journal_written_bytes", "Bytes written"),
            failures: all.one("journal_failures", "Writes and syncs that failed"),
            busy: all.one("journal_busy_seconds", "Time spent in writing and syncing"),
            lag: all.one(
                "journal_lag_seconds",
                "Seconds that the first of what waits for the journal has waited",
            ),
        }
    }

    fn pull(&self, backlog: u64, journal: &JournalStats) {
        set(&self.backlog, backlog);
        set(&self.healthy, u64::from(journal.healthy));
        set(&self.bytes, journal.bytes);
        set(&self.segments, journal.segments);
        raise(&self.batches, journal.batches);
        raise(&self.written, journal.written);
        raise(&self.failures, journal.failures);
        self.busy.inner().store(journal.busy.as_secs_f64().to_bits(), Ordering::Relaxed);
        self.lag.set(journal.lag.as_secs_f64());
    }
}

impl Pulled {
    pub(super) fn new(all: &mut Registering) -> Self {
        let listeners = ["http", "queue"];
        let [http_open, queue_open] =
            all.each("connections", "Connections open now", "listener", listeners);
        let [http_total, queue_total] =
            all.each("connections_accepted", "Connections accepted", "listener", listeners);
        let [get_hits, get_misses] =
            all.each("queue_reads", "Reads of queues, by what they got", "result", ["hit", "miss"]);
        let oldest = ByQueue::default();
        all.0.register_collector(Box::new(oldest.clone()));
        Self {
            http_open,
            http_total,
            queue_open,
            queue_total,
            connection_memory: all.one(
                "connection_memory_bytes",
                "Bytes that connections hold: half of requests, answers not taken (--connection-memory)",
            ),
            connection_memory_limit: all.one(
                "connection_memory_limit_bytes",
                "Most bytes that connections may hold (--connection-memory)",
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
            queue_memory_limit: all.one(
                "queue_memory_limit_bytes",
                "Most that they may take (--queue-memory)",
            ),
            oldest,
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
            journal: OfJournal::new(all),
            access_log_lost: all.one(
                "access_log_lost",
                "Lines of the access log that were not written: the disk was behind, or failed (--access-log)",
            ),
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

    /// Takes over what is true now.
    pub(super) fn pull(&self, app: &App, now: Now) {
        let (store, http, queue) = (&app.store, &app.http_connections, &app.queue_connections);
        let (engine, journal) = store.stats();
        set(&self.http_open, http.active());
        raise(&self.http_total, http.accepted.load(Ordering::Relaxed));
        set(&self.queue_open, queue.active());
        raise(&self.queue_total, queue.accepted.load(Ordering::Relaxed));
        let memory = &app.connection_memory;
        set(&self.connection_memory, u64::try_from(memory.used()).unwrap_or(u64::MAX));
        set(&self.connection_memory_limit, u64::try_from(memory.limit()).unwrap_or(u64::MAX));
        raise(&self.evicted, memory.closed());
        raise(&self.tls_failures, app.tls.as_ref().map_or(0, ServerTls::failures));
        let proxies = app.proxy_protocol.as_ref();
        raise(&self.proxy_header_failures, proxies.map_or(0, ProxyProtocol::failures));
        raise(&self.authentication_failures, queue.authentication_failures.load(Ordering::Relaxed));
        set(&self.queue_items, engine.items);
        set(&self.queue_bytes, engine.bytes);
        set(&self.queue_taken, engine.taken_bytes);
        set(&self.queue_memory, engine.memory_bytes);
        set(&self.queue_memory_limit, store.queue_memory());
        self.oldest.set(oldest(app, now));
        raise(&self.read_back, engine.read_back_items);
        raise(&self.read_back_failures, engine.read_back_failures);
        set(&self.queues, engine.queues);
        let counts = [
            engine.refused_full,
            engine.refused_too_many_queues,
            engine.refused_item_too_large,
            engine.refused_busy,
            engine.refused_journal_full,
        ];
        for (counter, count) in self.refused.iter().zip(counts) {
            raise(counter, count);
        }
        raise(&self.items_put, engine.total_items);
        raise(&self.get_hits, engine.get_hits);
        raise(&self.get_misses, engine.get_misses);
        let letters = store.stats_of(DEAD_LETTERS);
        set(&self.dead_letters, letters.items);
        set(&self.dead_letter_bytes, letters.bytes);
        raise(&self.dead_letters_discarded, letters.discarded);
        raise(&self.dead_letters_lost, store.lost());
        self.journal.pull(engine.backlog_bytes, &journal);
        raise(&self.access_log_lost, app.access_log.as_ref().map_or(0, AccessLog::lost));
        if let Some(dedup) = &app.dedup {
            raise(&self.duplicates, dedup.duplicates());
            set(&self.dedup_ids, dedup.len());
            raise(&self.dedup_save_failures, dedup.save_failures());
        }
    }
}

fn set(gauge: &Gauge, value: u64) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}

/// Sets a counter to what was counted elsewhere.
fn raise(counter: &Counter, count: u64) {
    counter.inner().fetch_max(count, Ordering::Relaxed);
}

/// How long the first item has waited of each queue that records go to.
fn oldest(app: &App, now: Now) -> Vec<(String, f64)> {
    let age = |name: &[u8]| {
        let name = String::from_utf8_lossy(name).into_owned();
        let stats: QueueStats = app.store.stats_of(&name);
        let millis = stats
            .oldest
            .map_or(0, |oldest| now.unix.as_millis().saturating_sub(oldest.as_millis()));
        (name, Duration::from_millis(millis).as_secs_f64())
    };
    app.record_queues().iter().map(|name| age(name)).chain([age(DEAD_LETTERS.as_bytes())]).collect()
}
