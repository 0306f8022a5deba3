//! Where the items of a queue stand in the journal.

use alloc::collections::VecDeque;
use core::ops::Range;

use super::record::{HEADER, ITEM_HEADER, PUT_TIME};

/// An extent that is longer takes no further record: it is read back as a whole.
const LONGEST: u64 = 256 * 1024;
/// Two records that are farther apart are in extents of their own: what lies between them would be read for
/// nothing.
const GAP: u64 = 16 * 1024;

/// A stretch of a segment with items of one queue: of its records, the puts of that queue whose ids are within
/// the extent's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) segment: u64,
    /// From the start of a record to the end of one.
    pub(super) range: Range<u64>,
    pub(super) first_id: u64,
    pub(super) last_id: u64,
    /// Items that are not gone, and the bytes of their data.
    pub(super) items: u64,
    pub(super) bytes: u64,
}

impl Extent {
    /// What the items take in the journal, roughly.
    pub(super) fn journal_len(&self, queue: &[u8]) -> u64 {
        journal_len(queue, self.items, self.bytes)
    }

    fn has(&self, id: u64) -> bool {
        (self.first_id..=self.last_id).contains(&id)
    }

    /// Makes it longer by one that follows it in the order of ids, where that stands close behind it.
    pub(super) fn extend(&mut self, next: &Self) -> bool {
        let gap = next.range.start.checked_sub(self.range.end);
        let joins = self.segment == next.segment
            && gap.is_some_and(|gap| gap <= GAP)
            && next.range.end - self.range.start <= LONGEST;
        if joins {
            self.range.end = next.range.end;
            self.last_id = next.last_id;
            self.items += next.items;
            self.bytes += next.bytes;
        }
        joins
    }
}

/// What so many items of a queue take in the journal, roughly.
pub(super) fn journal_len(queue: &[u8], items: u64, bytes: u64) -> u64 {
    bytes + items * (queue.len() + HEADER + PUT_TIME + ITEM_HEADER) as u64
}

/// The extents of one queue, in the order of ids; no two share one.
#[derive(Debug, Default)]
pub(super) struct Extents {
    list: VecDeque<Extent>,
    items: u64,
    bytes: u64,
}

impl Extents {
    /// How many items they have.
    pub(super) fn items(&self) -> u64 {
        self.items
    }

    /// Bytes of the data of those.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Extent> {
        self.list.iter()
    }

    /// The largest id.
    pub(super) fn last_id(&self) -> Option<u64> {
        self.list.back().map(|last| last.last_id)
    }

    /// The first extent with ids above that one.
    pub(super) fn above(&self, id: u64) -> Option<&Extent> {
        self.list.get(self.list.partition_point(|extent| extent.last_id <= id))
    }

    /// The extent that has that id.
    pub(super) fn find(&self, id: u64) -> Option<&Extent> {
        let at = self.list.partition_point(|extent| extent.last_id < id);
        self.list.get(at).filter(|extent| extent.has(id))
    }

    /// Adds an extent at its place: the end, but for items that were moved.
    pub(super) fn insert(&mut self, extent: Extent) {
        self.items += extent.items;
        self.bytes += extent.bytes;
        let mut at = self.list.len();
        if self.last_id().is_some_and(|last| last > extent.first_id) {
            at = self.list.partition_point(|other| other.last_id < extent.first_id);
        }
        let before = at.checked_sub(1).and_then(|before| self.list.get_mut(before));
        if !before.is_some_and(|before| before.extend(&extent)) {
            self.list.insert(at, extent);
        }
    }

    /// An item with so many bytes is gone; the segment that it stands in.
    pub(super) fn remove(&mut self, id: u64, bytes: u64) -> Option<u64> {
        let at = match self.list.front() {
            Some(first) if first.has(id) => 0,
            _ => self.list.partition_point(|extent| extent.last_id < id),
        };
        let extent = self.list.get_mut(at).filter(|extent| extent.has(id))?;
        let segment = extent.segment;
        extent.items = extent.items.saturating_sub(1);
        extent.bytes = extent.bytes.saturating_sub(bytes);
        self.items = self.items.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
        if extent.items == 0 {
            self.list.remove(at);
            if self.list.capacity() > 64 && self.list.len() < self.list.capacity() / 4 {
                self.list.shrink_to(self.list.capacity() / 2);
            }
        }
        Some(segment)
    }

    /// Takes an extent out, with all of its items.
    pub(super) fn take(&mut self, first_id: u64) -> Option<Extent> {
        let at = self.list.binary_search_by_key(&first_id, |extent| extent.first_id).ok()?;
        let extent = self.list.remove(at)?;
        self.items = self.items.saturating_sub(extent.items);
        self.bytes = self.bytes.saturating_sub(extent.bytes);
        Some(extent)
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    fn extent(segment: u64, range: Range<u64>, ids: Range<u64>) -> Extent {
        let items = ids.end - ids.start;
        let (first_id, last_id) = (ids.start, ids.end - 1);
        Extent { segment, range, first_id, last_id, items, bytes: 10 * items }
    }

    fn ids(extents: &Extents) -> Vec<(u64, u64)> {
        extents.iter().map(|extent| (extent.first_id, extent.last_id)).collect()
    }

    #[test]
    fn records_that_stand_close_together_are_one_extent() {
        let mut extents = Extents::default();
        extents.insert(extent(1, 64..100, 1..3));
        extents.insert(extent(1, 200..300, 5..6));
        assert_eq!(ids(&extents), [(1, 5)]);
        extents.insert(extent(1, 300 + GAP + 1..301 + GAP, 7..8));
        extents.insert(extent(2, 64..100, 9..10));
        assert_eq!(ids(&extents), [(1, 5), (7, 7), (9, 9)]);
        assert_eq!((extents.items(), extents.bytes()), (5, 50));
        let long = extent(2, 100..100 + LONGEST, 10..11);
        extents.insert(long);
        assert_eq!(ids(&extents), [(1, 5), (7, 7), (9, 9), (10, 10)]);
    }

    #[test]
    fn an_extent_goes_with_its_last_item() {
        let mut extents = Extents::default();
        extents.insert(extent(1, 64..100, 1..3));
        extents.insert(extent(2, 64..100, 4..5));
        assert_eq!(extents.remove(3, 10), None, "nobody's");
        assert_eq!(extents.remove(2, 10), Some(1));
        assert_eq!(ids(&extents), [(1, 2), (4, 4)]);
        assert_eq!((extents.remove(1, 10), extents.remove(4, 10)), (Some(1), Some(2)));
        assert_eq!((ids(&extents), extents.items(), extents.bytes()), (Vec::new(), 0, 0));
    }

    #[test]
    fn moved_items_keep_their_place() {
        let mut extents = Extents::default();
        for (segment, id) in [(1, 10), (2, 20), (3, 30)] {
            extents.insert(extent(segment, 64..100, id..id + 2));
        }
        assert_eq!(extents.take(20).map(|extent| extent.segment), Some(2));
        extents.insert(extent(4, 64..80, 20..21));
        extents.insert(extent(4, 90..99, 21..22));
        assert_eq!(ids(&extents), [(10, 11), (20, 21), (30, 31)]);
        assert_eq!(extents.above(11).map(|extent| extent.segment), Some(4));
        assert_eq!(extents.find(21).map(|extent| extent.range.clone()), Some(64..99));
        assert_eq!((extents.find(22), extents.above(31)), (None, None));
    }
}
