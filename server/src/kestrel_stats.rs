//! The answer to `stats`, under kestrel's names (guide, "Stats").

use std::sync::atomic::Ordering;

use windhover_core::Now;

use crate::app::App;

/// Name and value of every statistic.
pub(crate) fn lines(app: &App, now: Now) -> Vec<(String, String)> {
    let (engine, journal) = app.store.stats();
    let mut lines: Vec<(String, String)> = Vec::new();
    let mut line = |name: String, value: String| lines.push((name, value));
    let global = [
        ("uptime", now.instant.since_epoch().as_secs()),
        ("time", now.unix.as_secs()),
        ("curr_items", engine.items),
        ("total_items", engine.total_items),
        ("bytes", engine.bytes),
        ("curr_connections", app.queue_connections.active()),
        ("total_connections", app.queue_connections.accepted.load(Ordering::Relaxed)),
        ("cmd_get", engine.cmd_get),
        ("cmd_set", engine.cmd_set),
        ("cmd_peek", engine.cmd_peek),
        ("get_hits", engine.get_hits),
        ("get_misses", engine.get_misses),
        ("queue_creates", engine.queue_creates),
        ("queue_deletes", engine.queue_deletes),
        ("journal_bytes", journal.bytes),
        ("journal_segments", journal.segments),
    ];
    line("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    for (name, value) in global {
        line(name.to_owned(), value.to_string());
    }
    for (queue, stats) in app.store.queue_stats() {
        let of_queue = [
            ("items", stats.items),
            ("bytes", stats.bytes),
            ("total_items", stats.total_items),
            ("expired_items", stats.expired_items),
            ("mem_items", stats.items),
            ("mem_bytes", stats.taken_bytes),
            ("age", stats.age_millis),
            ("discarded", stats.discarded),
            ("waiters", stats.waiters),
            ("open_transactions", stats.open_transactions),
            ("transactions", stats.transactions),
            ("canceled_transactions", stats.canceled_transactions),
            ("total_flushes", stats.total_flushes),
            ("create_time", stats.create_time),
        ];
        for (name, value) in of_queue {
            line(format!("queue_{queue}_{name}"), value.to_string());
        }
    }
    lines
}
