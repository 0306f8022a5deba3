//! What a recovery has found of one queue.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

use bytes::Bytes;

use super::super::config::QueueConfig;
use super::super::extents::Extent;
use super::super::index::IndexedQueue;
use super::super::items::{Item, Queue};
use super::super::read_back::ReadBack;
use super::super::record::{self, Record};
use crate::UnixTime;

/// A record's place: the segment, and where in it.
type RecordPlace = (u64, Range<u64>);

/// An item that was put, and not yet seen to be gone.
#[derive(Debug)]
struct Found {
    place: RecordPlace,
    bytes: u64,
    /// Where there was memory for it.
    item: Option<Item>,
}

/// The items of a queue, as far as they are known.
///
/// Those that come first are known one by one, while there is memory; and those that come out of their order,
/// because compaction moved them. Of the others only extents are known. Which of the items in these are gone is
/// noted meanwhile, and in the end they are read again, where any is.
#[derive(Debug, Default)]
pub(super) struct FoundQueue {
    items: BTreeMap<u64, Found>,
    /// In the order of ids.
    extents: VecDeque<Extent>,
    /// The largest id of any put.
    last_id: u64,
    gone: Ids,
    /// Items of the extents with smaller ids are gone, but for these.
    discard: Option<(u64, Vec<u64>)>,
    /// See [`Queue::mark`].
    mark: u64,
    /// What the index said: the mark, and the ids up to it that are there.
    old_mark: u64,
    old_ids: BTreeSet<u64>,
    /// Extents that were looked at, if need be, and what was found of ids up to the mark.
    sure: Vec<Extent>,
    ids: BTreeSet<u64>,
}

impl FoundQueue {
    /// What an index tells. What it knows in segments before `oldest` is gone: they are given up when
    /// nothing in them is needed.
    pub(super) fn indexed(queue: IndexedQueue, oldest: u64) -> Self {
        let IndexedQueue { mark, ids, extents, .. } = queue;
        let last_id = extents.iter().map(|extent| extent.last_id).max().unwrap_or(0);
        let extents = extents.into_iter().filter(|extent| extent.segment >= oldest).collect();
        let old_ids = ids.into_iter().collect();
        Self { extents, last_id, mark, old_mark: mark, old_ids, ..Self::default() }
    }

    /// A put of items, the first with that id, which stand in `rest`; what is damaged is before the offset of
    /// `whole` in its segment. Returns an id above those of the put's items.
    pub(super) fn put(
        &mut self,
        (first_id, rest): (u64, &[u8]),
        place: &RecordPlace,
        whole: (u64, u64),
        memory: u64,
        loaded: &mut u64,
    ) -> u64 {
        let count = record::item_count(rest);
        let behind = first_id.saturating_add(count);
        let is_moved = first_id <= self.last_id;
        let bytes = rest.len() as u64;
        let has_room = self.extents.is_empty()
            && loaded.saturating_add(QueueConfig::taken(count, bytes)) <= memory;
        let before = self.last_id;
        self.last_id = before.max(behind.saturating_sub(1));
        if !is_moved && !has_room && count > 0 {
            let heads = count.saturating_mul(record::ITEM_HEADER as u64);
            let bytes = bytes.saturating_sub(record::PUT_TIME as u64).saturating_sub(heads);
            let (segment, range) = place.clone();
            let last_id = behind - 1;
            let extent = Extent { segment, range, first_id, last_id, items: count, bytes };
            // Nor are ids to be between the two that were moved, or are gone: nobody would know.
            let is_next = |last: &&mut Extent| {
                (last.segment, last.range.start) >= whole && last.last_id >= before
            };
            let last = self.extents.back_mut().filter(is_next);
            if !last.is_some_and(|last| last.extend(&extent)) {
                self.extents.push_back(extent);
            }
            return behind;
        }
        let (added, items) = record::put_parts(Bytes::copy_from_slice(rest));
        for (id, record::Item { data, expires }) in record::ids_from(first_id).zip(items) {
            let before = self.items.remove(&id);
            forget(before.as_ref(), loaded);
            let bytes = data.len() as u64;
            let item = has_room.then_some(Item { id, data, expires, added });
            *loaded += if has_room { QueueConfig::taken(1, bytes) } else { 0 };
            self.items.insert(id, Found { place: place.clone(), bytes, item });
        }
        behind
    }

    pub(super) fn remove(&mut self, id: u64, loaded: &mut u64) {
        self.mark = self.mark.max(id);
        forget(self.items.remove(&id).as_ref(), loaded);
        let of_extents = self.extents.front().zip(self.extents.back());
        if of_extents.is_some_and(|(first, last)| (first.first_id..=last.last_id).contains(&id)) {
            self.gone.insert(id);
        }
    }

    pub(super) fn discard(&mut self, record: &Record<'_>, loaded: &mut u64) {
        let below = record.id;
        self.mark = self.mark.max(below.saturating_sub(1));
        let kept: Vec<u64> = record::kept(record.rest).collect();
        let mut left = self.items.split_off(&below);
        left.extend(kept.iter().filter_map(|id| self.items.remove_entry(id)));
        for found in core::mem::replace(&mut self.items, left).values() {
            forget(Some(found), loaded);
        }
        if self.extents.front().is_some_and(|first| first.first_id < below) {
            let other = self.discard.take().unwrap_or_default();
            self.discard = Some(both((below, kept), other));
        }
    }

    /// Whether an item of an extent is there, and there alone.
    fn is_live(&self, id: u64) -> bool {
        let was_there = id > self.old_mark || self.old_ids.contains(&id);
        let is_kept = |(below, kept): &(u64, Vec<u64>)| id >= *below || kept.contains(&id);
        was_there
            && !self.gone.contains(id)
            && self.discard.as_ref().is_none_or(is_kept)
            && !self.items.contains_key(&id)
    }

    /// The next extent of which it has to be seen what is left.
    pub(super) fn next_unsure(&mut self) -> Option<Extent> {
        while let Some(extent) = self.extents.pop_front() {
            let ids = extent.first_id..=extent.last_id;
            let below = self.discard.as_ref().map_or(0, |(below, _)| *below);
            let is_unsure = self.mark > self.old_mark && extent.first_id <= self.mark
                || self.gone.any_in(extent.first_id, extent.last_id)
                || extent.first_id < below
                || self.items.range(ids.clone()).next().is_some();
            if is_unsure {
                return Some(extent);
            }
            self.ids.extend(self.old_ids.range(ids));
            self.sure.push(extent);
        }
        None
    }

    /// What was read of such an extent.
    pub(super) fn sort_out(&mut self, segment: u64, found: ReadBack) {
        let mut pieces = Pieces::default();
        for located in found.items {
            let id = located.item.id;
            if !self.is_live(id) {
                continue;
            }
            if id <= self.mark {
                self.ids.insert(id);
            }
            // Between two items of one piece there must be none of another.
            let after = pieces.last_id().map_or(id, |last| last.saturating_add(1));
            if self.items.range(after.min(id)..id).next().is_some() {
                pieces.cut();
            }
            pieces.add(id, &(segment, located.record), located.item.data.len() as u64);
        }
        self.sure.extend(pieces.done());
    }

    /// The queue.
    pub(super) fn finish(
        mut self,
        name: Bytes,
        bounds: Arc<QueueConfig>,
        now: UnixTime,
        usage: &mut super::Usage,
    ) -> Queue {
        let mut queue = Queue::new(name, bounds, 0, now);
        // What nobody looked at would come back rather than be lost.
        while let Some(extent) = self.next_unsure() {
            self.sure.push(extent);
        }
        let behind = self.sure.iter().map(|extent| extent.first_id).min();
        let behind = behind
            .into_iter()
            .chain(self.items.iter().find(|(_, found)| found.item.is_none()).map(|(id, _)| *id));
        let behind = behind.min().unwrap_or(u64::MAX);
        let mut all = self.sure;
        let firsts: BTreeSet<u64> = all.iter().map(|extent| extent.first_id).collect();
        let mut pieces = Pieces::default();
        let mut ready = Vec::new();
        for (id, found) in self.items {
            let after = pieces.last_id().unwrap_or(id);
            if firsts.range(after.min(id)..id).next().is_some() {
                pieces.cut();
            }
            pieces.add(id, &found.place, found.bytes);
            match found.item {
                Some(item) if id < behind => ready.push(item),
                _ if id <= self.mark => drop(self.ids.insert(id)),
                _ => {}
            }
        }
        all.extend(pieces.done());
        all.sort_unstable_by_key(|extent| extent.first_id);
        for extent in all {
            queue.add(extent, usage);
        }
        let last = if behind == u64::MAX { self.last_id } else { behind.saturating_sub(1) };
        queue.loaded_to = last;
        queue.mark = self.mark.max(self.old_mark);
        queue.unread = self.ids;
        for item in ready {
            queue.load(item, usage);
        }
        queue
    }
}

/// An item that is not needed any more gives up its memory.
fn forget(found: Option<&Found>, loaded: &mut u64) {
    if let Some(Found { bytes, item: Some(_), .. }) = found {
        *loaded = loaded.saturating_sub(QueueConfig::taken(1, *bytes));
    }
}

/// What is gone by either of two discards.
fn both(one: (u64, Vec<u64>), other: (u64, Vec<u64>)) -> (u64, Vec<u64>) {
    let (later, earlier) = if one.0 >= other.0 { (one, other) } else { (other, one) };
    let (below, mut kept) = later;
    kept.retain(|id| *id >= earlier.0 || earlier.1.contains(id));
    (below, kept)
}

/// Extents that are made of items, in the order of ids.
#[derive(Debug, Default)]
struct Pieces {
    done: Vec<Extent>,
    /// Items of one record.
    open: Option<Extent>,
    is_cut: bool,
}

impl Pieces {
    fn last_id(&self) -> Option<u64> {
        self.open.as_ref().map(|open| open.last_id)
    }

    /// What follows is not to be in one extent with what came before.
    fn cut(&mut self) {
        self.close();
        self.is_cut = true;
    }

    fn add(&mut self, id: u64, (segment, range): &RecordPlace, bytes: u64) {
        let is_same =
            |open: &Extent| !self.is_cut && open.segment == *segment && open.range == *range;
        if let Some(open) = self.open.as_mut().filter(|open| is_same(open)) {
            (open.last_id, open.items, open.bytes) = (id, open.items + 1, open.bytes + bytes);
            return;
        }
        self.close();
        let (segment, range) = (*segment, range.clone());
        self.open = Some(Extent { segment, range, first_id: id, last_id: id, items: 1, bytes });
    }

    fn close(&mut self) {
        let Some(open) = self.open.take() else {
            return;
        };
        let joins = !core::mem::take(&mut self.is_cut);
        if !(joins && self.done.last_mut().is_some_and(|last| last.extend(&open))) {
            self.done.push(open);
        }
    }

    fn done(mut self) -> Vec<Extent> {
        self.close();
        self.done
    }
}

/// A set of ids, most of which follow one another.
#[derive(Debug, Default)]
struct Ids(BTreeMap<u64, u64>);

impl Ids {
    fn insert(&mut self, id: u64) {
        *self.0.entry(id / 64).or_default() |= 1 << (id % 64);
    }

    fn contains(&self, id: u64) -> bool {
        self.0.get(&(id / 64)).is_some_and(|word| word & 1 << (id % 64) != 0)
    }

    /// Whether there is any from one id to another.
    fn any_in(&self, first: u64, last: u64) -> bool {
        let words = self.0.range(first / 64..=last / 64);
        words.into_iter().any(|(&at, &word)| {
            let from = if at == first / 64 { u64::MAX << (first % 64) } else { u64::MAX };
            let to = if at == last / 64 { u64::MAX >> (63 - last % 64) } else { u64::MAX };
            word & from & to != 0
        })
    }
}
