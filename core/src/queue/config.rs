//! The bounds of an engine's queues.

use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

/// The bounds of an engine and of each of its queues (kestrel's guide, "Configuration").
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// Most items in one queue (`maxItems`).
    pub max_items: u64,
    /// Most bytes of items in one queue (`maxSize`).
    pub max_bytes: u64,
    /// Largest item, in bytes (`maxItemSize`).
    pub max_item_bytes: u64,
    /// Items older than this are dropped (`maxAge`); `None` keeps them.
    pub max_age: Option<Duration>,
    /// Most reads that one connection may hold open on one queue.
    pub max_open_reads: usize,
    /// Most queues beside [`own_queues`](Self::own_queues). A read or a wait makes none, and where
    /// there are as many as allowed, those that hold nothing make room for a further one.
    pub max_queues: usize,
    /// Names of queues that the application needs itself: they do not count, can always be made, and
    /// are kept while they are empty.
    pub own_queues: Vec<Bytes>,
    /// Most bytes that wait for the journal; beyond it a put is refused as
    /// [`Busy`](super::Refused::Busy).
    pub max_backlog: u64,
    /// A journal larger than this many times its live bytes is compacted.
    pub compact_ratio: u64,
    /// A journal smaller than this is never compacted, in bytes.
    pub compact_from: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_items: u64::MAX,
            max_bytes: 1024 * 1024 * 1024,
            max_item_bytes: 1024 * 1024,
            max_age: None,
            max_open_reads: 1,
            max_queues: 10_000,
            own_queues: Vec::new(),
            max_backlog: 64 * 1024 * 1024,
            compact_ratio: 4,
            compact_from: 64 * 1024 * 1024,
        }
    }
}
