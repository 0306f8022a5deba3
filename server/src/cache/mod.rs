//! `windhover cache`: a bounded cache that speaks memcached's protocol.
//!
//! It shows how the core's server role is embedded: [`storage`] is pure, [`Client`] puts a
//! [`ServerConnection`](windhover_core::memcache::ServerConnection) before it, and [`run`] gives
//! that to the runtime adapter. Nothing waits and no answer is deferred, so the endpoint is a loop
//! of requests and answers.
//!
//! Items lie in shards, each behind a lock of its own that is held for one key at a time. There is
//! one shard where one thread serves, and so one exact order of use; with more threads there are
//! a few for each, so that two seldom meet.

mod args;
mod client;
mod commands;
mod meta;
mod run;
mod stats;
pub mod storage;

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use windhover_core::memcache::Limits;
use windhover_core::{Counters as ConnectionCounters, Now, Timeouts};

pub use self::args::CacheArgs;
pub use self::client::Client;
pub use self::run::run;
use self::storage::{Bounds, Counters, Storage, Time};

/// What a client is told when it asks for the version.
pub const VERSION: &str = concat!("1.6.18-windhover-", env!("CARGO_PKG_VERSION"));

/// Shards for each thread, so that two threads seldom want the same.
const SHARDS_PER_THREAD: usize = 4;
/// A shard smaller than this many of the largest items would evict too early.
const ITEMS_PER_SHARD: usize = 8;

/// How a cache is bounded and what its connections may do.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Most bytes of all items, with [`storage::OVERHEAD`] for each (memcached: 64 MiB).
    pub memory: usize,
    /// Most bytes of one item ([`storage::Item::size`]; memcached: 1 MiB).
    pub item: usize,
    /// Threads that serve.
    pub threads: usize,
    /// Most connections, for `stats`.
    pub connections: usize,
    /// How long clients may take.
    pub timeouts: Timeouts,
}

impl Default for Settings {
    fn default() -> Self {
        let mut timeouts = Timeouts::default();
        // Clients keep connections for as long as they live, but not for ever.
        timeouts.idle = std::time::Duration::from_secs(24 * 60 * 60);
        Self { memory: 64 << 20, item: 1 << 20, threads: 1, connections: 10_000, timeouts }
    }
}

/// A cache that any number of connections share.
///
/// ```
/// use std::sync::Arc;
/// use std::task::{Context, Waker};
/// use windhover::cache::{Cache, Client, Settings};
/// use windhover_core::Now;
/// use windhover_core::endpoint::{Endpoint, Next};
///
/// let cache = Arc::new(Cache::new(Settings::default(), Now::default()));
/// let mut client = Client::new(Arc::clone(&cache), Now::default());
/// client.read_buffer().extend_from_slice(b"set k 0 0 5\r\nhello\r\nget k\r\n");
/// let mut cx = Context::from_waker(Waker::noop());
/// assert_eq!(client.poll_output(Now::default(), &mut cx), Next::Write);
/// let mut slices = [&b""[..]; 4];
/// let filled = client.unsent(&mut slices);
/// assert_eq!(slices[..filled].concat(), b"STORED\r\nVALUE k 0 5\r\nhello\r\nEND\r\n");
/// ```
#[derive(Debug)]
pub struct Cache {
    shards: Box<[Mutex<Storage>]>,
    hasher: RandomState,
    settings: Settings,
    limits: Limits,
    /// Most bytes of all items now.
    memory: AtomicUsize,
    started: Now,
    /// The listener's counters.
    connections: Arc<ConnectionCounters>,
}

impl Cache {
    /// An empty cache that starts at `now`.
    pub fn new(settings: Settings, now: Now) -> Self {
        let limits = Limits::default().with_value(settings.item);
        let count = shard_count(&settings);
        let bounds = Bounds { memory: settings.memory / count, item: settings.item };
        let of = u32::try_from(count).unwrap_or(u32::MAX);
        let shards = (0..of).map(|at| Mutex::new(Storage::one_of(of, at, bounds))).collect();
        Self {
            shards,
            hasher: RandomState::new(),
            memory: AtomicUsize::new(settings.memory),
            settings,
            limits,
            started: now,
            connections: Arc::default(),
        }
    }

    /// The hash of a key, and its shard for as long as the guard lives.
    fn lock(&self, key: &[u8]) -> (u64, MutexGuard<'_, Storage>) {
        let hash = self.hasher.hash_one(key);
        // The low half finds the place in the shard.
        let at = usize::try_from(hash >> 32).unwrap_or_default() & (self.shards.len() - 1);
        #[expect(clippy::indexing_slicing, reason = "there are a power of two of them")]
        (hash, unpoisoned(&self.shards[at]))
    }

    fn limit_memory(&self, memory: usize, time: Time) {
        self.memory.store(memory, Ordering::Relaxed);
        let memory = memory / self.shards.len();
        self.each_shard(|storage| storage.set_memory(memory, time));
    }

    fn each_shard(&self, mut see: impl FnMut(&mut Storage)) {
        for shard in &self.shards {
            see(&mut unpoisoned(shard));
        }
    }

    /// What all shards counted.
    fn counters(&self) -> Counters {
        let mut sum = Counters::default();
        self.each_shard(|storage| sum.add(&storage.counters));
        sum
    }
}

/// A thread that panicked while it held the lock left nothing half done that matters to others.
fn unpoisoned(shard: &Mutex<Storage>) -> MutexGuard<'_, Storage> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A power of two.
fn shard_count(settings: &Settings) -> usize {
    if settings.threads <= 1 {
        return 1;
    }
    let wanted = settings.threads.saturating_mul(SHARDS_PER_THREAD).next_power_of_two();
    let room = settings.memory / settings.item.saturating_mul(ITEMS_PER_SHARD).max(1);
    // The power of two that is not above the room.
    wanted.min((room / 2 + 1).next_power_of_two()).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_follow_threads_and_memory() {
        let count =
            |threads, memory| shard_count(&Settings { memory, threads, ..Settings::default() });
        assert_eq!(count(1, 64 << 20), 1);
        assert_eq!(count(2, 64 << 20), 8);
        assert_eq!(count(2, 32 << 20), 4);
        assert_eq!(count(2, 31 << 20), 2);
        assert_eq!(count(64, 64 << 30), 256);
        assert_eq!(count(8, 1), 1);
    }
}
