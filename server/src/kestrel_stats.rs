//! The answers to `stats`, `dump_stats` and `dump_config`, under kestrel's names (guide, "Stats",
//! "Configuration").

use std::sync::atomic::Ordering;
use std::time::Duration;

use windhover_core::Now;
use windhover_core::memcache::Keys;
use windhover_core::queue::{Engine, QueueConfig, QueueStats};

use crate::app::App;
use crate::store::JournalStats;

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
        ("bytes_read", app.queue_connections.read_bytes.load(Ordering::Relaxed)),
        ("bytes_written", app.queue_connections.written_bytes.load(Ordering::Relaxed)),
        ("queue_creates", engine.queue_creates),
        ("queue_deletes", engine.queue_deletes),
        ("queue_expires", engine.queue_expires),
        ("journal_bytes", journal.bytes),
        ("journal_segments", journal.segments),
    ];
    line("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    for (name, value) in global {
        line(name.to_owned(), value.to_string());
    }
    let (queues, aliases) = listed(app, now);
    for (queue, stats, children) in queues {
        for (name, value) in of_queue(&stats, &journal, &children) {
            line(format!("queue_{queue}_{name}"), value);
        }
    }
    for (alias, named) in aliases {
        line(format!("alias_{alias}_children"), named);
    }
    lines
}

/// A queue's name, its counters, and the queues that follow it.
type Counted = (String, QueueStats, String);

/// Every queue, and every alias with the queues that it names.
fn listed(app: &App, now: Now) -> (Vec<Counted>, Vec<(String, String)>) {
    app.store.manage(now, |engine| {
        let counted =
            |(name, stats): (&[u8], QueueStats)| (text(name), stats, list(engine.children(name)));
        let aliases = engine.config().aliases.iter();
        let aliases = aliases.map(|(alias, named)| (text(alias), list(named.iter())));
        (engine.queue_stats().map(counted).collect(), aliases.collect())
    })
}

fn text(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

fn list<'n>(names: impl Iterator<Item = &'n bytes::Bytes>) -> String {
    names.map(|name| text(name)).collect::<Vec<_>>().join(",")
}

/// There is one journal for all queues: how often it went on to a further segment, and was compacted, is
/// the same for each.
fn of_queue(
    stats: &QueueStats,
    journal: &JournalStats,
    children: &str,
) -> Vec<(&'static str, String)> {
    let numbers = [
        ("items", stats.items),
        ("bytes", stats.bytes),
        ("total_items", stats.total_items),
        ("logsize", stats.journal_bytes),
        ("expired_items", stats.expired_items),
        ("mem_items", stats.memory_items),
        ("mem_bytes", stats.memory_bytes),
        ("age", stats.age_millis),
        ("discarded", stats.discarded),
        ("waiters", stats.waiters),
        ("open_transactions", stats.open_transactions),
        ("transactions", stats.transactions),
        ("canceled_transactions", stats.canceled_transactions),
        ("total_flushes", stats.total_flushes),
        ("journal_rewrites", journal.rewrites),
        ("journal_rotations", journal.rotations),
        ("create_time", stats.create_time),
    ];
    let numbers = numbers.into_iter().map(|(name, value)| (name, value.to_string()));
    let children = Some(children).filter(|children| !children.is_empty());
    numbers.chain(children.map(|children| ("children", children.to_owned()))).collect()
}

/// What is said of each queue.
type Dump = Vec<(String, Vec<(&'static str, String)>)>;

/// The statistics of those queues, or of all when none is named (`dump_stats`).
pub(crate) fn queues(app: &App, named: Keys<'_>, now: Now) -> Dump {
    let journal = app.store.stats().1;
    let named: Vec<&[u8]> = named.collect();
    let is_asked = |queue: &str| named.is_empty() || named.contains(&queue.as_bytes());
    let all = listed(app, now).0.into_iter().filter(|(queue, ..)| is_asked(queue));
    all.map(|(queue, stats, children)| (queue, of_queue(&stats, &journal, &children))).collect()
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
            let bounds = bounds(engine.config().of(&name), engine.config().max_journal_bytes);
            (String::from_utf8_lossy(&name).into_owned(), bounds)
        };
        names.into_iter().map(told).collect()
    })
}

fn bounds(bounds: &QueueConfig, max_journal_bytes: u64) -> Vec<(&'static str, String)> {
    let millis = |time: Option<Duration>| {
        time.map_or_else(|| "0".to_owned(), |time| time.as_millis().to_string())
    };
    let other = bounds.move_expired_to.as_ref().map_or_else(String::new, |name| text(name));
    vec![
        ("max_items", bounds.max_items.to_string()),
        ("max_size", bounds.max_bytes.to_string()),
        ("max_item_size", bounds.max_item_bytes.to_string()),
        ("max_age", millis(bounds.max_age)),
        ("max_journal_size", max_journal_bytes.to_string()),
        ("discard_old_when_full", bounds.discard_old.to_string()),
        ("move_expired_to", other),
        ("max_expire_sweep", Engine::SWEEP.to_string()),
        ("fanout_only", bounds.fanout_only.to_string()),
        ("max_open_reads", bounds.max_open_reads.to_string()),
        ("open_timeout", millis(bounds.open_timeout)),
        ("sync_journal", bounds.fsync.to_string()),
    ]
}
