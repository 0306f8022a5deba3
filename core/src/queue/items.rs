//! The items of one queue.

use bytes::Bytes;

use super::config::QueueConfig;
use super::line::Line;
use super::record::{HEADER, ITEM_HEADER, PUT_TIME};
use super::stats::QueueStats;
use super::usage::Usage;
use crate::UnixTime;

/// One item.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) id: u64,
    pub(super) data: Bytes,
    /// The epoch means never.
    pub(super) expires: UnixTime,
    pub(super) added: UnixTime,
    /// The journal segment that holds it.
    pub(super) segment: u64,
}

impl Item {
    /// What the item takes in the journal, roughly.
    pub(super) fn journal_len(&self, queue: &[u8]) -> u64 {
        (self.data.len() + queue.len() + HEADER + PUT_TIME + ITEM_HEADER) as u64
    }

    pub(super) fn is_expired(&self, now: UnixTime) -> bool {
        self.expires != UnixTime::default() && self.expires <= now
    }
}

/// One queue: the items that can be read, in the order of their ids, and its counters.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) name: Bytes,
    pub(super) ready: Line,
    /// Items that are open or handed over: still the queue's, not readable.
    pub(super) reserved: u64,
    reserved_bytes: u64,
    /// Items whose put is not yet in the journal.
    pub(super) pending: u64,
    pub(super) pending_bytes: u64,
    /// It gets what is put to its parent, and where that is written down last.
    pub(super) follows: bool,
    pub(super) marked_in: Option<u64>,
    pub(super) stats: QueueStats,
}

impl Queue {
    pub(super) fn new(name: Bytes, now: UnixTime) -> Self {
        let stats = QueueStats { create_time: now.as_secs(), ..QueueStats::default() };
        Self {
            name,
            ready: Line::default(),
            reserved: 0,
            reserved_bytes: 0,
            pending: 0,
            pending_bytes: 0,
            follows: false,
            marked_in: None,
            stats,
        }
    }

    /// Items that the queue holds in any way.
    pub(super) fn held(&self) -> u64 {
        self.ready.len() as u64 + self.reserved + self.pending
    }

    /// What those take, as [`QueueConfig::max_bytes`] counts it.
    pub(super) fn held_bytes(&self) -> u64 {
        QueueConfig::taken(self.held(), self.stats.bytes + self.reserved_bytes + self.pending_bytes)
    }

    /// How many items the queue holds whose put is in the journal, and what they take.
    pub(super) fn settled(&self) -> (u64, u64) {
        let items = self.held() - self.pending;
        (items, QueueConfig::taken(items, self.stats.bytes + self.reserved_bytes))
    }

    /// What its readable items take in the journal, roughly.
    pub(super) fn journal_bytes(&self) -> u64 {
        let each = (self.name.len() + HEADER + PUT_TIME + ITEM_HEADER) as u64;
        self.stats.bytes + self.ready.len() as u64 * each
    }

    /// Adds an item at its place: the tail, but for one that was aborted or recovered.
    pub(super) fn insert(&mut self, item: Item) {
        self.stats.bytes += item.data.len() as u64;
        self.ready.insert(item);
    }

    /// Takes the item at the head.
    pub(super) fn pop(&mut self) -> Option<Item> {
        let item = self.ready.pop_front()?;
        self.stats.bytes -= item.data.len() as u64;
        Some(item)
    }

    /// Sets an item aside that was popped.
    pub(super) fn reserve(&mut self, item: &Item) {
        self.reserved += 1;
        self.reserved_bytes += item.data.len() as u64;
    }

    /// The opposite of [`reserve`](Self::reserve).
    pub(super) fn unreserve(&mut self, item: &Item) {
        self.reserved = self.reserved.saturating_sub(1);
        self.reserved_bytes = self.reserved_bytes.saturating_sub(item.data.len() as u64);
    }

    /// Drops every readable item; returns how many, and an id above all of theirs.
    pub(super) fn clear(&mut self, usage: &mut Usage) -> Option<u64> {
        let below = self.ready.back().map(|last| last.id + 1);
        for item in core::mem::take(&mut self.ready).iter() {
            usage.remove(item.segment, item.journal_len(&self.name));
        }
        self.stats.bytes = 0;
        below
    }
}
