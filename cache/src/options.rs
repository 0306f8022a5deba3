//! What a cache is told when it is made.

use std::sync::Arc;
use std::time::Duration;

use windhover_core::{Counters, Instant, Timeouts};

/// How a cache is bounded, and what its connections may do. The defaults are memcached's.
///
/// ```
/// use windhover_cache::{Cache, CacheOptions};
///
/// let cache = Cache::new(CacheOptions::default().with_memory(16 << 20).with_threads(4));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CacheOptions {
    /// Most bytes of all items, with [`OVERHEAD`](crate::storage::OVERHEAD) for each (64 MiB).
    pub memory: usize,
    /// Most bytes of one item ([`StoredItem::size`](crate::storage::StoredItem::size); 1 MiB).
    pub item: usize,
    /// Threads that serve (1): with more, items lie in several shards, and each has an order of use of its
    /// own.
    pub threads: usize,
    /// How long clients may take; one that asks nothing is let go after a day.
    pub timeouts: Timeouts,
    /// Most connections of the listener, as `stats` tells it (10,000).
    pub connections: usize,
    /// What the listener counts, as `stats` tells it: share it with the adapter's options.
    pub counters: Arc<Counters>,
    /// When the server started, as `stats` tells it (the clock's epoch).
    pub started: Instant,
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self {
            memory: 64 << 20,
            item: 1 << 20,
            threads: 1,
            // Clients keep connections for as long as they live, but not for ever.
            timeouts: Timeouts::default().with_idle(Duration::from_secs(24 * 60 * 60)),
            connections: 10_000,
            counters: Arc::default(),
            started: Instant::default(),
        }
    }
}

impl CacheOptions {
    /// With another [`memory`](Self::memory).
    #[must_use]
    pub const fn with_memory(mut self, memory: usize) -> Self {
        self.memory = memory;
        self
    }

    /// With another [`item`](Self::item).
    #[must_use]
    pub const fn with_item(mut self, item: usize) -> Self {
        self.item = item;
        self
    }

    /// With another [`threads`](Self::threads).
    #[must_use]
    pub const fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// With other [`timeouts`](Self::timeouts).
    #[must_use]
    pub const fn with_timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// With another [`connections`](Self::connections).
    #[must_use]
    pub const fn with_connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// With other [`counters`](Self::counters).
    #[must_use]
    pub fn with_counters(mut self, counters: Arc<Counters>) -> Self {
        self.counters = counters;
        self
    }

    /// With another [`started`](Self::started).
    #[must_use]
    pub const fn with_started(mut self, started: Instant) -> Self {
        self.started = started;
        self
    }
}
