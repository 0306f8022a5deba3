//! A memcache server's engine: a bounded cache in memory, and what answers its connections.
//!
//! It is what `windhover cache` serves, without its process: for applications that have a cache of their
//! own inside, and as a **test double**, a memcache server in one line on any adapter. Nothing here knows
//! a socket, a runtime or a clock: time comes with each request, so that tests may set it.
//!
//! ```
//! use tokio::net::TcpListener;
//! use windhover_cache::Cache;
//! use windhover_client::Client;
//! use windhover_tokio::{ServeOptions, Shutdown, connect, serve};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! let address = listener.local_addr()?;
//! let (cache, shutdown) = (Cache::default(), Shutdown::new());
//! let server = serve(
//!     [listener],
//!     move |_, now| cache.accept(now),
//!     ServeOptions::default(),
//!     shutdown.clone(),
//! );
//! let server = tokio::spawn(server);
//!
//! let client = connect(Client::builder().server(&address.to_string()))?;
//! client.set("k", "hello").await?;
//! assert_eq!(client.get("k").await?.unwrap().data, "hello");
//!
//! shutdown.trigger();
//! server.await?;
//! # Ok(())
//! # }
//! ```
//!
//! [`storage`] is what is kept, and by which rules; [`CacheHandler`] says which request asks what of it.
//!
//! Items lie in shards, each behind a lock of its own that is held for one key at a time. There is
//! one shard where one thread serves, and so one exact order of use; with more threads there are
//! a few for each, so that two seldom meet.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod handler;
mod meta;
mod options;
mod stats;
pub mod storage;

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use windhover_core::Now;
use windhover_core::memcache::handler::Session;
use windhover_core::memcache::{Dialect, Limits};

pub use self::handler::CacheHandler;
pub use self::options::CacheOptions;
use self::storage::{Bounds, Storage, StorageCounters, Time};

/// What a client is told when it asks for the version.
pub const VERSION: &str = concat!("1.6.45-windhover-", env!("CARGO_PKG_VERSION"));

/// Shards for each thread, so that two threads seldom want the same.
const SHARDS_PER_THREAD: usize = 4;
/// A shard smaller than this many of the largest items would evict too early.
const ITEMS_PER_SHARD: usize = 8;

/// A cache that any number of connections share; a clone is the same cache.
///
/// ```
/// use std::task::{Context, Waker};
/// use windhover_cache::Cache;
/// use windhover_core::Now;
/// use windhover_core::endpoint::{Endpoint, Next};
///
/// let cache = Cache::default();
/// let mut connection = cache.accept(Now::default());
/// connection.read_buffer().extend_from_slice(b"set k 0 0 5\r\nhello\r\nget k\r\n");
/// let mut cx = Context::from_waker(Waker::noop());
/// assert_eq!(connection.poll_output(Now::default(), &mut cx), Next::Write);
/// let mut slices = [&b""[..]; 4];
/// let filled = connection.unsent(&mut slices);
/// assert_eq!(slices[..filled].concat(), b"STORED\r\nVALUE k 0 5\r\nhello\r\nEND\r\n");
/// ```
#[derive(Clone, Debug)]
pub struct Cache(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    shards: Box<[Mutex<Storage>]>,
    hasher: RandomState,
    options: CacheOptions,
    limits: Limits,
    /// Most bytes of all items now.
    memory: AtomicUsize,
}

impl Cache {
    /// An empty cache.
    pub fn new(options: CacheOptions) -> Self {
        let count = shard_count(&options);
        let bounds = Bounds { memory: options.memory / count, item: options.item };
        let of = u32::try_from(count).unwrap_or(u32::MAX);
        Self(Arc::new(Shared {
            shards: (0..of).map(|at| Mutex::new(Storage::one_of(of, at, bounds))).collect(),
            hasher: RandomState::new(),
            limits: Limits::default().with_value(options.item),
            memory: AtomicUsize::new(options.memory),
            options,
        }))
    }

    /// A connection that was accepted at `now`: what an adapter serves.
    pub fn accept(&self, now: Now) -> Session<CacheHandler> {
        let Shared { limits, options, .. } = &*self.0;
        let handler = CacheHandler::new(self.clone());
        Session::new(handler, Dialect::Memcached, limits, &options.timeouts, now)
    }

    fn options(&self) -> &CacheOptions {
        &self.0.options
    }

    /// The hash of a key, and its shard for as long as the guard lives.
    fn lock(&self, key: &[u8]) -> (u64, MutexGuard<'_, Storage>) {
        let Shared { shards, hasher, .. } = &*self.0;
        let hash = hasher.hash_one(key);
        // The low half finds the place in the shard.
        let at = usize::try_from(hash >> 32).unwrap_or_default() & (shards.len() - 1);
        #[expect(clippy::indexing_slicing, reason = "there are a power of two of them")]
        (hash, unpoisoned(&shards[at]))
    }

    /// Most bytes of all items now.
    fn memory(&self) -> usize {
        self.0.memory.load(Ordering::Relaxed)
    }

    fn limit_memory(&self, memory: usize, time: Time) {
        self.0.memory.store(memory, Ordering::Relaxed);
        let memory = memory / self.0.shards.len();
        self.each_shard(|storage| storage.set_memory(memory, time));
    }

    fn each_shard(&self, mut see: impl FnMut(&mut Storage)) {
        for shard in &self.0.shards {
            see(&mut unpoisoned(shard));
        }
    }

    /// What all shards counted.
    fn counters(&self) -> StorageCounters {
        let mut sum = StorageCounters::default();
        self.each_shard(|storage| sum.add(&storage.counters));
        sum
    }
}

impl Default for Cache {
    /// An empty cache with memcached's bounds.
    fn default() -> Self {
        Self::new(CacheOptions::default())
    }
}

/// A thread that panicked while it held the lock left nothing half done that matters to others.
fn unpoisoned(shard: &Mutex<Storage>) -> MutexGuard<'_, Storage> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A power of two.
fn shard_count(options: &CacheOptions) -> usize {
    if options.threads <= 1 {
        return 1;
    }
    let wanted = options.threads.saturating_mul(SHARDS_PER_THREAD).next_power_of_two();
    let room = options.memory / options.item.saturating_mul(ITEMS_PER_SHARD).max(1);
    // The power of two that is not above the room.
    wanted.min((room / 2 + 1).next_power_of_two()).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_follow_threads_and_memory() {
        let count = |threads, memory| {
            shard_count(&CacheOptions::default().with_memory(memory).with_threads(threads))
        };
        assert_eq!(count(1, 64 << 20), 1);
        assert_eq!(count(2, 64 << 20), 8);
        assert_eq!(count(2, 32 << 20), 4);
        assert_eq!(count(2, 31 << 20), 2);
        assert_eq!(count(64, 64 << 30), 256);
        assert_eq!(count(8, 1), 1);
    }
}

/// The example in the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
