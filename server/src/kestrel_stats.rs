//! The answers to `stats`, `dump_stats` and `dump_config`, under kestrel's names (guide, "Stats",
//! "Configuration").

use std::sync::atomic::Ordering;

use windhover_core::Now;
use windhover_core::memcache::Keys;
use windhover_core::queue::{QueueConfig, QueueStats};

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
        for (name, value) in of_queue(&stats) {
            line(format!("queue_{queue}_{name}"), value.to_string());
        }
    }
    lines
}

fn of_queue(stats: &QueueStats) -> [(&'static str, u64); 14] {
    [
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
    ]
}

/// What is said of each queue.
type Dump = Vec<(String, Vec<(&'static str, String)>)>;

/// The statistics of those queues, or of all when none is named (`dump_stats`).
pub(crate) fn queues(app: &App, named: Keys<'_>) -> Dump {
    let named: Vec<&[u8]> = named.collect();
    let is_asked = |queue: &str| named.is_empty() || named.contains(&queue.as_bytes());
    let all = app.store.queue_stats().into_iter().filter(|(queue, _)| is_asked(queue));
    let told = |stats| of_queue(&stats).map(|(name, value)| (name, value.to_string())).to_vec();
    all.map(|(queue, stats)| (queue, told(stats))).collect()
}

/// The bounds of those queues, or of all when none is named (`dump_config`).
pub(crate) fn config(app: &App, named: Keys<'_>, now: Now) -> Dump {
    let named: Vec<Vec<u8>> = named.map(<[u8]>::to_vec).collect();
    app.store.manage(now, |engine| {
        let names = if named.is_empty() {
            engine.names().iter().map(|name| name.to_vec()).collect()
        } else {
            named
        };
        let told = |name: Vec<u8>| {
            let bounds = bounds(engine.config().of(&name));
            (String::from_utf8_lossy(&name).into_owned(), bounds)
        };
        names.into_iter().map(told).collect()
    })
}

fn bounds(bounds: &QueueConfig) -> Vec<(&'static str, String)> {
    let max_age = bounds.max_age.map_or_else(|| "0".to_owned(), |age| age.as_millis().to_string());
    vec![
        ("max_items", bounds.max_items.to_string()),
        ("max_size", bounds.max_bytes.to_string()),
        ("max_item_size", bounds.max_item_bytes.to_string()),
        ("max_age", max_age),
        ("discard_old_when_full", bounds.discard_old.to_string()),
    ]
}
