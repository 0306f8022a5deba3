//! `stats`: what memcached tells, as far as it means something here.

use std::sync::atomic::Ordering;

use windhover_core::memcache::handler::{Reply, ReplyError};
use windhover_core::memcache::response::Response;

use crate::storage::{StorageCounters, Time};
use crate::{Cache, VERSION};

/// The one slab class that there is.
const CLASS: u32 = 1;
/// memcached has no class from this one on.
const CLASSES: u32 = 64;
/// Most bytes of a listing, as in memcached.
const MAX_LISTING: usize = 2 << 20;

type Stats = Vec<(&'static str, String)>;

/// Answers `stats` with what followed it.
pub(crate) fn answer(
    cache: &Cache,
    arguments: &[u8],
    reply: &mut Reply<'_>,
) -> Result<(), ReplyError> {
    let time = Time::new(reply.now());
    let mut words = arguments.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    match words.next() {
        None => reply.stats(general(cache, time)),
        Some(b"reset") => {
            cache.each_shard(|storage| storage.counters = StorageCounters::default());
            let counters = &cache.options().counters;
            for counter in [&counters.authentications, &counters.authentication_failures] {
                counter.store(0, Ordering::Relaxed);
            }
            reply.send(&Response::Reset)
        }
        Some(b"settings") => reply.stats(settings(cache)),
        Some(b"items") => reply.stats(items(cache, time)),
        Some(b"slabs") => reply.stats(slabs(cache)),
        Some(b"sizes") => reply.stats([("sizes_status", "disabled")]),
        Some(b"cachedump") => match listing(cache, words.next(), words.next(), time) {
            Ok(lines) => {
                for line in &lines {
                    reply.send(&Response::Listing(line))?;
                }
                reply.end()
            }
            Err(why) => reply.send(&Response::ClientError(why)),
        },
        _ => reply.send(&Response::Error(b"")),
    }
}

/// How many items there are, and what they cost.
fn held(cache: &Cache) -> (usize, usize) {
    let (mut items, mut bytes) = (0, 0);
    cache.each_shard(|storage| {
        items += storage.len();
        bytes += storage.bytes();
    });
    (items, bytes)
}

fn general(cache: &Cache, time: Time) -> Stats {
    let (items, bytes) = held(cache);
    let options = cache.options();
    let (connections, started) = (&options.counters, options.started.since_epoch().as_secs());
    let uptime = u64::from(time.seconds()).saturating_sub(started);
    let mut stats = vec![
        ("pid", std::process::id().to_string()),
        ("uptime", uptime.to_string()),
        ("time", time.unix_seconds().to_string()),
        ("version", VERSION.to_owned()),
        ("pointer_size", usize::BITS.to_string()),
        ("max_connections", options.connections.to_string()),
        ("curr_connections", connections.active().to_string()),
        ("total_connections", connections.accepted.load(Ordering::Relaxed).to_string()),
        ("rejected_connections", "0".to_owned()),
    ];
    cache.counters().each(|name, count| stats.push((name, count.to_string())));
    stats.extend([
        ("auth_cmds", connections.authentications.load(Ordering::Relaxed).to_string()),
        ("auth_errors", connections.authentication_failures.load(Ordering::Relaxed).to_string()),
        ("limit_maxbytes", cache.memory().to_string()),
        ("threads", options.threads.to_string()),
        ("bytes", bytes.to_string()),
        ("curr_items", items.to_string()),
    ]);
    stats
}

fn settings(cache: &Cache) -> Stats {
    let on = || "yes".to_owned();
    let options = cache.options();
    vec![
        ("maxbytes", cache.memory().to_string()),
        ("maxconns", options.connections.to_string()),
        ("evictions", "on".to_owned()),
        ("num_threads", options.threads.to_string()),
        ("cas_enabled", on()),
        ("item_size_max", options.item.to_string()),
        ("flush_enabled", on()),
        ("dump_enabled", on()),
        ("shutdown_command", "no".to_owned()),
        ("idle_timeout", options.timeouts.idle.as_secs().to_string()),
        ("binding_protocol", "ascii".to_owned()),
        ("lru_segmented", "no".to_owned()),
    ]
}

fn items(cache: &Cache, time: Time) -> Stats {
    let (items, bytes) = held(cache);
    if items == 0 {
        return Stats::new();
    }
    let mut age = 0;
    cache.each_shard(|storage| age = age.max(storage.oldest_idle(time).unwrap_or_default()));
    let counters = cache.counters();
    vec![
        ("items:1:number", items.to_string()),
        ("items:1:age", age.to_string()),
        ("items:1:mem_requested", bytes.to_string()),
        ("items:1:evicted", counters.evictions.to_string()),
        ("items:1:outofmemory", counters.store_no_memory.to_string()),
        ("items:1:reclaimed", counters.reclaimed.to_string()),
        ("items:1:expired_unfetched", counters.expired_unfetched.to_string()),
        ("items:1:evicted_unfetched", counters.evicted_unfetched.to_string()),
    ]
}

fn slabs(cache: &Cache) -> Stats {
    let (items, bytes) = held(cache);
    let mut stats = Stats::new();
    if items > 0 {
        let counters = cache.counters();
        stats.extend([
            ("1:used_chunks", items.to_string()),
            ("1:get_hits", counters.get_hits.to_string()),
            ("1:cmd_set", counters.cmd_set.to_string()),
            ("1:delete_hits", counters.delete_hits.to_string()),
            ("1:incr_hits", counters.incr_hits.to_string()),
            ("1:decr_hits", counters.decr_hits.to_string()),
            ("1:cas_hits", counters.cas_hits.to_string()),
            ("1:cas_badval", counters.cas_badval.to_string()),
            ("1:touch_hits", counters.touch_hits.to_string()),
        ]);
    }
    stats.push(("active_slabs", u32::from(items > 0).to_string()));
    stats.push(("total_malloced", bytes.to_string()));
    stats
}

/// `stats cachedump <class> <limit>`: keys from the most recently used on; a limit of 0 is none.
fn listing(
    cache: &Cache,
    class: Option<&[u8]>,
    limit: Option<&[u8]>,
    time: Time,
) -> Result<Vec<Vec<u8>>, &'static [u8]> {
    let (Some(class), Some(limit)) = (class, limit) else {
        return Err(b"bad command line");
    };
    let number = |word: &[u8]| std::str::from_utf8(word).ok()?.parse::<u32>().ok();
    let (Some(class), Some(limit)) = (number(class), number(limit)) else {
        return Err(b"bad command line format");
    };
    if class >= CLASSES {
        return Err(b"Illegal slab id");
    }
    let most = if limit == 0 { usize::MAX } else { limit as usize };
    let mut lines = Vec::new();
    let mut bytes = 0;
    if class == CLASS {
        cache.each_shard(|storage| {
            for item in storage.iter(time).filter(|item| !item.binary_key) {
                if lines.len() >= most || bytes >= MAX_LISTING {
                    return;
                }
                let expires = item
                    .expiry
                    .remaining(time)
                    .map_or(0, |seconds| time.unix_seconds() + u64::from(seconds));
                let tail = format!(" [{} b; {expires} s]", item.value().len());
                let line = [b"ITEM ", item.key(), tail.as_bytes()].concat();
                bytes += line.len();
                lines.push(line);
            }
        });
    }
    Ok(lines)
}
