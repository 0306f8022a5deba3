//! Counters, under kestrel's names.

use super::outcome::PutError;
use crate::UnixTime;

/// Counters of one queue (kestrel's guide, "Stats"); counts begin with the process.
///
/// ```
/// use windhover_core::Now;
/// use windhover_core::queue::{
///     Action, Config, ConnId, Engine, OpId, PutBuilder, QueueStats, Written,
/// };
///
/// let (mut engine, now) = (Engine::new(Config::default()), Now::default());
/// let mut put = PutBuilder::new(b"jobs", now.unix)?;
/// put.item(None, b"resize 7");
/// engine.put(OpId(1), put.finish(), now)?;
/// // Before the journal has it, nobody can read it; its room is taken.
/// let QueueStats { items, taken_bytes, .. } = engine.stats_of(b"jobs");
/// assert_eq!((items, taken_bytes), (0, 168));
/// let batch = engine.begin_append().expect("a put leaves bytes to append");
/// engine.journaled(batch, Ok(Written { segment: 1, offset: 64 }), now);
/// engine.get(OpId(2), ConnId(1), b"jobs", Action::Open.into(), now);
/// let QueueStats { items, open_transactions, .. } = engine.stats_of(b"jobs");
/// assert_eq!((items, open_transactions), (0, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueStats {
    /// Items that can be read now.
    pub items: u64,
    /// Bytes of those items.
    pub bytes: u64,
    /// What all items take that the queue holds in any way, readable or not, as
    /// [`QueueConfig::max_bytes`](super::QueueConfig::max_bytes) counts it.
    pub taken_bytes: u64,
    /// Items that are in memory, readable or open.
    pub memory_items: u64,
    /// What those take there.
    pub memory_bytes: u64,
    /// What the readable ones take in the journal, roughly.
    pub journal_bytes: u64,
    /// Items ever put.
    pub total_items: u64,
    /// Items dropped because their time had come.
    pub expired_items: u64,
    /// Items dropped because the queue was full, the oldest first
    /// ([`QueueConfig::discard_old`](super::QueueConfig::discard_old)).
    pub discarded: u64,
    /// Puts refused because the queue was full.
    pub refused: u64,
    /// Reads that wait for an item.
    pub waiters: u64,
    /// Reads that are open.
    pub open_transactions: u64,
    /// Reads ever opened.
    pub transactions: u64,
    /// Open reads that were aborted.
    pub canceled_transactions: u64,
    /// How often the queue was flushed.
    pub total_flushes: u64,
    /// How long the last item read had been in the queue, in milliseconds.
    pub age_millis: u64,
    /// When the first of the items that can be read was put, if it is in memory: the others wait behind it.
    pub oldest: Option<UnixTime>,
    /// When the queue was made, in seconds since 1970.
    pub create_time: u64,
}

/// Counters of the whole engine.
///
/// ```
/// use windhover_core::Now;
/// use windhover_core::queue::{Config, ConnId, Engine, EngineStats, OpId, PutBuilder, Read};
///
/// let (mut engine, now) = (Engine::new(Config::default()), Now::default());
/// let mut put = PutBuilder::new(b"jobs", now.unix)?;
/// put.item(None, b"resize 7");
/// engine.put(OpId(1), put.finish(), now)?;
/// engine.get(OpId(2), ConnId(1), b"mail", Read::default(), now);
/// let EngineStats { cmd_set, cmd_get, get_misses, queues, .. } = engine.stats();
/// assert_eq!((cmd_set, cmd_get, get_misses, queues), (1, 1, 1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineStats {
    /// Items that can be read now, in all queues.
    pub items: u64,
    /// Bytes of those items.
    pub bytes: u64,
    /// What all items take that queues hold in any way, as
    /// [`QueueConfig::max_bytes`](super::QueueConfig::max_bytes) counts it.
    pub taken_bytes: u64,
    /// What those of them take that are in memory, which [`Config::queue_memory`](super::Config::queue_memory)
    /// bounds.
    pub memory_bytes: u64,
    /// Items that were read back from the journal.
    pub read_back_items: u64,
    /// Reads of the journal that failed.
    pub read_back_failures: u64,
    /// Items ever put.
    pub total_items: u64,
    /// Puts.
    pub cmd_set: u64,
    /// Reads, except peeks.
    pub cmd_get: u64,
    /// Peeks.
    pub cmd_peek: u64,
    /// Reads that got an item.
    pub get_hits: u64,
    /// Reads that got none.
    pub get_misses: u64,
    /// Puts refused because a queue was full.
    pub refused_full: u64,
    /// Puts refused because an item was too large.
    pub refused_item_too_large: u64,
    /// Puts refused because the journal was behind.
    pub refused_busy: u64,
    /// Puts refused because the journal was full.
    pub refused_journal_full: u64,
    /// Puts refused because there were as many queues as allowed, and none of them empty.
    pub refused_too_many_queues: u64,
    /// Queues that there are.
    pub queues: u64,
    /// Queues made.
    pub queue_creates: u64,
    /// Queues deleted.
    pub queue_deletes: u64,
    /// Of those, the ones that were empty when their place was needed.
    pub queue_expires: u64,
    /// Items written again by compaction.
    pub rewritten_items: u64,
    /// Bytes that wait for the journal.
    pub backlog_bytes: u64,
    /// Puts that the journal could not take.
    pub journal_refused: u64,
}

impl EngineStats {
    pub(super) fn count(&mut self, refused: PutError) {
        let counter = match refused {
            PutError::Full => &mut self.refused_full,
            PutError::ItemTooLarge { .. } => &mut self.refused_item_too_large,
            PutError::Busy => &mut self.refused_busy,
            PutError::JournalFull => &mut self.refused_journal_full,
            PutError::TooManyQueues => &mut self.refused_too_many_queues,
        };
        *counter += 1;
    }
}
