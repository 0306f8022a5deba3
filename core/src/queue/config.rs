//! The bounds of an engine's queues.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::fsync::Fsync;
use super::name::parent_of;

/// The bounds of one queue (kestrel's guide, "Configuration").
///
/// ```
/// use core::time::Duration;
/// use windhover_core::queue::{Fsync, QueueConfig};
///
/// let mut jobs = QueueConfig::default();
/// jobs.max_items = 1_000;
/// jobs.max_age = Some(Duration::from_secs(3600));
/// jobs.fsync = Fsync::Interval(Duration::from_millis(20));
/// // Ten items of a hundred bytes each: their places count too.
/// assert_eq!(QueueConfig::taken(10, 1_000), 2_600);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueConfig {
    /// Most items (`maxItems`).
    pub max_items: u64,
    /// Most bytes (`maxSize`): those of the items, and [`ITEM_OVERHEAD`](Self::ITEM_OVERHEAD) for each.
    pub max_bytes: u64,
    /// Largest item, in bytes (`maxItemSize`).
    pub max_item_bytes: u64,
    /// Items older than this are dropped (`maxAge`); `None` keeps them.
    pub max_age: Option<Duration>,
    /// Most reads that one connection may hold open for another to be opened (`get Q/open`).
    pub max_open_reads: usize,
    /// Most reads that one connection may hold open by `monitor`.
    pub max_monitored_reads: usize,
    /// A put that would break a bound makes the oldest items go, in place of being refused
    /// (`discardOldWhenFull`). They go once the new ones are in the journal, so that nothing is dropped
    /// for what never came: until then the queue holds up to
    /// [`Config::max_backlog`] bytes more. Items that are open stay.
    pub discard_old: bool,
    /// The queue that items go to when they have expired (`expireToQueue`), where they do so no more but by
    /// its own `max_age`. `None` drops them, and so does a queue that takes no more.
    pub move_expired_to: Option<Bytes>,
    /// The queue keeps nothing itself of what is put to it: only those get it that follow it (`fanoutOnly`).
    pub fanout_only: bool,
    /// How long a read may be open before its item goes back to the head, as if the connection had aborted
    /// it; `None` is as long as the connection lasts.
    pub open_timeout: Option<Duration>,
    /// An empty queue that was made longer ago than this is deleted by
    /// [`Engine::expire_queues`](super::Engine::expire_queues) (`maxQueueAge`); `None` leaves it.
    pub max_queue_age: Option<Duration>,
    /// When its records are to be on the disk (`syncJournal`). A put to several queues has the strictest.
    pub fsync: Fsync,
}

impl QueueConfig {
    /// Bytes that an item counts beside its own: its place in the queue and its record's head are held
    /// in memory too, while it is there. That is what an item takes that is put by itself; one of a batch takes half of it.
    pub const ITEM_OVERHEAD: u64 = 160;

    /// What so many items with so many bytes take, as [`max_bytes`](Self::max_bytes) counts it.
    pub const fn taken(items: u64, bytes: u64) -> u64 {
        bytes.saturating_add(items.saturating_mul(Self::ITEM_OVERHEAD))
    }
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self {
            max_items: u64::MAX,
            max_bytes: 1024 * 1024 * 1024,
            max_item_bytes: 1024 * 1024,
            max_age: None,
            max_open_reads: 1,
            max_monitored_reads: 100,
            discard_old: false,
            move_expired_to: None,
            fanout_only: false,
            open_timeout: None,
            max_queue_age: None,
            fsync: Fsync::Always,
        }
    }
}

/// The bounds of an engine and of its queues.
///
/// ```
/// use windhover_core::queue::{Config, QueueConfig};
///
/// let mut small = QueueConfig::default();
/// small.max_items = 10;
/// let mut config = Config::default();
/// config.queues.insert("jobs".into(), small);
/// assert_eq!(config.of(b"jobs").max_items, 10);
/// // One that follows it has its bounds; any other has those of `queue`.
/// assert_eq!(config.of(b"jobs+audit").max_items, 10);
/// assert_eq!(config.of(b"mail").max_items, u64::MAX);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// What holds for each queue that has no bounds of its own.
    pub queue: QueueConfig,
    /// Queues with bounds of their own, by name. One that follows another and is not there has those of its
    /// parent.
    pub queues: BTreeMap<Bytes, QueueConfig>,
    /// Names that stand for one or several queues on a put: all of them take it, or none does. They should
    /// be no aliases again. Reads know nothing of aliases.
    pub aliases: BTreeMap<Bytes, Vec<Bytes>>,
    /// Most queues that follow one.
    pub max_children: usize,
    /// Most queues beside [`own_queues`](Self::own_queues). A read or a wait makes none, and where
    /// there are as many as allowed, those that hold nothing make room for a further one.
    pub max_queues: usize,
    /// Names of queues that the application needs itself: they do not count, can always be made, and
    /// are kept while they are empty.
    pub own_queues: Vec<Bytes>,
    /// Most bytes that wait for the journal; beyond it a put is refused as
    /// [`Busy`](super::PutError::Busy).
    pub max_backlog: u64,
    /// Most bytes in the journal; a put that would make it larger is refused as
    /// [`JournalFull`](super::PutError::JournalFull). What is written of items that go, and of items that
    /// are moved out of old segments, comes on top: less than a segment.
    pub max_journal_bytes: u64,
    /// Most bytes of items in memory, in all queues together and counted as
    /// [`QueueConfig::max_bytes`] counts them. What is put beyond it is in the journal alone, and read
    /// back ([`EngineOutput::Read`](super::EngineOutput::Read)) before its turn comes. Somebody who waits for
    /// an item gets it all the same: for each queue that is being read, as much as one such read brings
    /// comes on top.
    pub queue_memory: u64,
    /// How long a read waits for items that are read back, beside the time that it waits anyway; after that
    /// it ends with [`ReadError::NotReadBack`](super::ReadError::NotReadBack).
    pub read_back_timeout: Duration,
    /// A journal larger than this many times its live bytes is compacted; one that has come near to
    /// [`max_journal_bytes`](Self::max_journal_bytes), when a quarter of it is not needed.
    pub compact_ratio: u64,
    /// A journal smaller than this is never compacted, in bytes.
    pub compact_from: u64,
}

impl Config {
    /// The bounds of the queue of that name.
    pub fn of(&self, queue: &[u8]) -> &QueueConfig {
        own_or_parents(&self.queues, queue).unwrap_or(&self.queue)
    }

    /// The strictest policy that any queue has: what is written again for the sake of old segments, which are then
    /// given up, is no less safe than it was there.
    pub(super) fn strictest(&self) -> Fsync {
        let all = self.queues.values().map(|queue| queue.fsync);
        all.fold(self.queue.fsync, Fsync::stricter)
    }
}

/// What a queue of that name has of its own, or its parent has.
fn own_or_parents<'a, T>(own: &'a BTreeMap<Bytes, T>, queue: &[u8]) -> Option<&'a T> {
    if own.is_empty() {
        return None;
    }
    own.get(queue).or_else(|| parent_of(queue).and_then(|parent| own.get(parent)))
}

/// The bounds of all queues, to be kept with each: what a put or a read has to know needs no search by name then.
#[derive(Debug)]
pub(super) struct Bounds {
    others: Arc<QueueConfig>,
    own: BTreeMap<Bytes, Arc<QueueConfig>>,
}

impl Bounds {
    pub(super) fn new(config: &Config) -> Self {
        let own = config.queues.iter();
        let own = own.map(|(name, bounds)| (name.clone(), Arc::new(bounds.clone())));
        Self { others: Arc::new(config.queue.clone()), own: own.collect() }
    }

    /// [`Config::of`], shared.
    pub(super) fn of(&self, queue: &[u8]) -> Arc<QueueConfig> {
        own_or_parents(&self.own, queue).unwrap_or(&self.others).clone()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            queue: QueueConfig::default(),
            queues: BTreeMap::new(),
            aliases: BTreeMap::new(),
            max_children: 100,
            max_queues: 10_000,
            own_queues: Vec::new(),
            max_backlog: 64 * 1024 * 1024,
            max_journal_bytes: u64::MAX,
            queue_memory: u64::MAX,
            read_back_timeout: Duration::from_secs(2),
            compact_ratio: 4,
            compact_from: 64 * 1024 * 1024,
        }
    }
}
