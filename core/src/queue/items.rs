//! The items of one queue.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;

use super::config::QueueConfig;
use super::extents::{Extent, Extents, journal_len};
use super::line::Line;
use super::put::PutSize;
use super::stats::QueueStats;
use super::usage::Usage;
use crate::{Instant, Now, UnixTime};

/// One item, in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) id: u64,
    pub(super) data: Bytes,
    /// The epoch means never.
    pub(super) expires: UnixTime,
    pub(super) added: UnixTime,
}

impl Item {
    fn is_expired(&self, now: UnixTime) -> bool {
        self.expires != UnixTime::default() && self.expires <= now
    }

    /// What it takes in memory.
    fn taken(&self) -> u64 {
        QueueConfig::taken(1, self.data.len() as u64)
    }
}

/// Why items are to be read back although nobody asks for them: to be dropped.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Drops {
    /// Those that have expired are to go.
    pub(super) expired: bool,
    /// The queue holds more than it may, and the oldest are to go.
    pub(super) oldest: bool,
}

/// One queue. All of its items are in the journal: `extents` says where. Those up to `loaded_to` are in memory
/// too; those behind are read back when their turn comes.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) name: Bytes,
    pub(super) bounds: Arc<QueueConfig>,
    /// What can be read at once, in the order of ids.
    pub(super) ready: Line,
    /// What `ready` takes.
    ready_bytes: u64,
    pub(super) extents: Extents,
    /// No item with a larger id is in memory, and each that is not larger is in `ready` or `out`.
    pub(super) loaded_to: u64,
    /// The largest id that was ever taken from the head: items with larger ids are all there. Of those below
    /// there are the ones in `out`, in `unread`, and in `ready`.
    pub(super) mark: u64,
    /// Ids up to the mark that were there at a start, and are not read yet.
    pub(super) unread: BTreeSet<u64>,
    /// Items that are open or handed over, by id, and their bytes: still the queue's, not readable.
    pub(super) out: BTreeMap<u64, u64>,
    out_bytes: u64,
    /// The read of the next extent that is on its way.
    pub(super) reading: Option<u64>,
    /// Such a read is to be asked for.
    pub(super) is_hungry: bool,
    pub(super) drops: Drops,
    /// Items whose put is not yet in the journal.
    pub(super) pending: u64,
    pub(super) pending_bytes: u64,
    /// It gets what is put to its parent, and where that is written down last.
    pub(super) follows: bool,
    pub(super) marked_in: Option<u64>,
    pub(super) stats: QueueStats,
}

impl Queue {
    /// A queue without items; those to come will have larger ids than that one.
    pub(super) fn new(name: Bytes, bounds: Arc<QueueConfig>, mark: u64, now: UnixTime) -> Self {
        let stats = QueueStats { create_time: now.as_secs(), ..QueueStats::default() };
        Self {
            name,
            bounds,
            ready: Line::default(),
            ready_bytes: 0,
            extents: Extents::default(),
            loaded_to: mark,
            mark,
            unread: BTreeSet::new(),
            out: BTreeMap::new(),
            out_bytes: 0,
            reading: None,
            is_hungry: false,
            drops: Drops::default(),
            pending: 0,
            pending_bytes: 0,
            follows: false,
            marked_in: None,
            stats,
        }
    }

    /// Items that the queue holds in any way.
    pub(super) fn held(&self) -> u64 {
        self.extents.items() + self.pending
    }

    /// What those take, as [`QueueConfig::max_bytes`] counts it.
    pub(super) fn held_bytes(&self) -> u64 {
        QueueConfig::taken(self.held(), self.extents.bytes() + self.pending_bytes)
    }

    /// Whether it has room for a put.
    pub(super) fn has_room_for(&self, PutSize { items, data_len, .. }: PutSize) -> bool {
        let bounds = &self.bounds;
        let (held, held_bytes) =
            if bounds.discard_old { (0, 0) } else { (self.held(), self.held_bytes()) };
        held.saturating_add(items) <= bounds.max_items
            && held_bytes.saturating_add(QueueConfig::taken(items, data_len)) <= bounds.max_bytes
    }

    /// How many items the queue holds whose put is in the journal, and what they take.
    pub(super) fn settled(&self) -> (u64, u64) {
        let items = self.extents.items();
        (items, QueueConfig::taken(items, self.extents.bytes()))
    }

    /// What its readable items take in the journal, roughly.
    pub(super) fn journal_bytes(&self) -> u64 {
        let (items, bytes) = self.readable();
        journal_len(&self.name, items, bytes)
    }

    /// How many items can be read, and their bytes, be they in memory or not.
    pub(super) fn readable(&self) -> (u64, u64) {
        let items = self.extents.items().saturating_sub(self.out.len() as u64);
        (items, self.extents.bytes().saturating_sub(self.out_bytes))
    }

    /// How many items are in memory, and what they take there.
    pub(super) fn in_memory(&self) -> (u64, u64) {
        let out = self.out.len() as u64;
        let bytes = self.ready_bytes + QueueConfig::taken(out, self.out_bytes);
        (self.ready.len() as u64 + out, bytes)
    }

    /// Whether items are not in memory.
    pub(super) fn is_behind(&self) -> bool {
        self.extents.last_id().is_some_and(|last| last > self.loaded_to)
    }

    /// What can be read at once takes so much memory.
    pub(super) fn ready_bytes(&self) -> u64 {
        self.ready_bytes
    }

    /// Whether an item with that id, which was there once, is there still.
    pub(super) fn has(&self, id: u64) -> bool {
        id > self.mark
            || self.out.contains_key(&id)
            || self.unread.contains(&id)
            || self.ready.has(id)
    }

    /// Items came into the journal, or to another place in it.
    pub(super) fn add(&mut self, extent: Extent, usage: &mut Usage) {
        let bytes = extent.journal_len(&self.name);
        usage.add(extent.segment, extent.last_id, extent.items, bytes);
        self.extents.insert(extent);
    }

    /// An item is gone from its place in the journal; whether it had any.
    pub(super) fn forget(&mut self, id: u64, bytes: u64, usage: &mut Usage) -> bool {
        let segment = self.extents.remove(id, bytes);
        if let Some(segment) = segment {
            usage.remove(segment, 1, journal_len(&self.name, 1, bytes));
        }
        segment.is_some()
    }

    /// An item came into memory.
    pub(super) fn load(&mut self, item: Item, usage: &mut Usage) {
        usage.load(item.data.len());
        self.insert(item);
    }

    /// Adds an item that is in memory at its place: the tail, but for one that was aborted.
    fn insert(&mut self, item: Item) {
        self.ready_bytes += item.taken();
        self.ready.insert(item);
    }

    /// Whether the time of the item at the head has come.
    pub(super) fn has_expired_head(&self, now: UnixTime) -> bool {
        let Some(head) = self.ready.front() else {
            return false;
        };
        let age = now.as_millis().saturating_sub(head.added.as_millis());
        let max_age = self.bounds.max_age.map(|age| age.as_millis());
        head.is_expired(now) || max_age.is_some_and(|max| u128::from(age) > max)
    }

    /// Takes the item at the head, if it is in memory.
    pub(super) fn pop(&mut self) -> Option<Item> {
        let item = self.ready.pop_front()?;
        self.ready_bytes = self.ready_bytes.saturating_sub(item.taken());
        self.mark = self.mark.max(item.id);
        Some(item)
    }

    /// When a read that is opened now is open for too long.
    pub(super) fn open_until(&self, now: Now) -> Option<Instant> {
        self.bounds.open_timeout.map(|timeout| now.instant + timeout)
    }

    /// Sets an item aside that was popped.
    pub(super) fn reserve(&mut self, item: &Item) {
        let bytes = item.data.len() as u64;
        self.out.insert(item.id, bytes);
        self.out_bytes += bytes;
    }

    /// The opposite of [`reserve`](Self::reserve).
    pub(super) fn unreserve(&mut self, item: &Item) {
        if let Some(bytes) = self.out.remove(&item.id) {
            self.out_bytes = self.out_bytes.saturating_sub(bytes);
        }
    }

    /// Puts an item back that was set aside.
    pub(super) fn put_back(&mut self, item: Item) {
        self.unreserve(&item);
        self.insert(item);
    }

    /// An item that was popped, and is not set aside, is gone.
    pub(super) fn remove(&mut self, item: &Item, usage: &mut Usage) {
        usage.unload(item.data.len());
        self.forget(item.id, item.data.len() as u64, usage);
    }

    /// Drops the next extent if nothing of it is in memory and the queue has at least so many items and
    /// bytes without it; how many items that were, and the last one's id.
    pub(super) fn drop_unread(
        &mut self,
        usage: &mut Usage,
        bounds: (u64, u64),
    ) -> Option<(u64, u64)> {
        let (items, bytes) = (self.extents.items(), self.extents.bytes());
        let next = self.extents.above(self.loaded_to).filter(|next| {
            let (items, bytes) = (items - next.items, bytes.saturating_sub(next.bytes));
            let is_full = items >= bounds.0 || QueueConfig::taken(items, bytes) >= bounds.1;
            next.first_id > self.loaded_to && is_full
        })?;
        let extent = self.extents.take(next.first_id)?;
        usage.remove(extent.segment, extent.items, extent.journal_len(&self.name));
        self.loaded_to = self.loaded_to.max(extent.last_id);
        self.mark = self.mark.max(extent.last_id);
        self.unread = self.unread.split_off(&extent.last_id.saturating_add(1));
        self.reading = None;
        Some((extent.items, extent.last_id))
    }

    /// Drops every readable item; returns an id above all of theirs when there were any.
    pub(super) fn clear(&mut self, usage: &mut Usage) -> Option<u64> {
        let any = self.readable().0 > 0;
        let extents = core::mem::take(&mut self.extents);
        let last = extents.last_id()?;
        for extent in extents.iter() {
            usage.remove(extent.segment, extent.items, extent.journal_len(&self.name));
        }
        for item in core::mem::take(&mut self.ready).iter() {
            usage.unload(item.data.len());
        }
        let kept: Vec<Extent> = self
            .out
            .iter()
            .filter_map(|(&id, &bytes)| {
                let extent = extents.find(id)?.clone();
                Some(Extent { first_id: id, last_id: id, items: 1, bytes, ..extent })
            })
            .collect();
        for extent in kept {
            self.add(extent, usage);
        }
        self.ready_bytes = 0;
        self.unread.clear();
        (self.reading, self.drops) = (None, Drops::default());
        self.mark = self.mark.max(last);
        self.loaded_to = self.loaded_to.max(last);
        any.then_some(last.saturating_add(1))
    }
}
