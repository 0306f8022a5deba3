//! The items of a queue that can be read, in the order of their ids.

use alloc::collections::VecDeque;

use super::items::Item;

/// Most items in a block, but for those that were put back.
const BLOCK: usize = 512;
/// A block of so many is kept when it is empty and the only one.
const KEPT: usize = 32;

/// A line of items in blocks: one deque for all would be copied whole whenever it grows, and keep its
/// size after a backlog. No block is empty, unless it is the only one.
#[derive(Debug, Default)]
pub(super) struct Line {
    blocks: VecDeque<VecDeque<Item>>,
    len: usize,
}

impl Line {
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn front(&self) -> Option<&Item> {
        self.blocks.front()?.front()
    }

    pub(super) fn back(&self) -> Option<&Item> {
        self.blocks.back()?.back()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Item> {
        self.blocks.iter().flatten()
    }

    /// Adds an item at its place: the tail, but for one that was aborted or recovered.
    pub(super) fn insert(&mut self, item: Item) {
        self.len += 1;
        if self.back().is_none_or(|last| last.id < item.id) {
            match self.blocks.back_mut() {
                Some(block) if block.len() < BLOCK => block.push_back(item),
                _ => self.blocks.push_back(VecDeque::from([item])),
            }
            return;
        }
        // The first block that ends behind it. Aborted items belong near the head, where it is.
        let at = self.blocks.partition_point(|block| block.back().is_none_or(|b| b.id < item.id));
        let Some(block) = self.blocks.get_mut(at) else {
            return;
        };
        let place = block.partition_point(|other| other.id < item.id);
        block.insert(place, item);
        if block.len() >= 2 * BLOCK {
            let behind = block.split_off(BLOCK);
            self.blocks.insert(at + 1, behind);
        }
    }

    pub(super) fn pop_front(&mut self) -> Option<Item> {
        let block = self.blocks.front_mut()?;
        let item = block.pop_front()?;
        self.len -= 1;
        if block.is_empty() && (self.len > 0 || block.capacity() > KEPT) {
            self.blocks.pop_front();
            if self.blocks.capacity() > KEPT && self.blocks.len() < self.blocks.capacity() / 4 {
                self.blocks.shrink_to(self.blocks.capacity() / 2);
            }
        }
        Some(item)
    }

    /// Whether there is an item with that id.
    pub(super) fn has(&self, id: u64) -> bool {
        let at = self.blocks.partition_point(|block| block.back().is_none_or(|last| last.id < id));
        let block = self.blocks.get(at);
        block.is_some_and(|block| block.binary_search_by_key(&id, |item| item.id).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::vec::Vec;

    use bytes::Bytes;

    use super::*;
    use crate::UnixTime;

    fn item(id: u64) -> Item {
        let (expires, added) = (UnixTime::default(), UnixTime::default());
        Item { id, data: Bytes::new(), expires, added }
    }

    fn ids(line: &Line) -> Vec<u64> {
        line.iter().map(|item| item.id).collect()
    }

    #[test]
    fn items_stand_in_the_order_of_their_ids_however_they_come() {
        // A walk through all residues: every place in every block is inserted at.
        let ids_in = |step: u64| (0..5003).map(move |n| n * step % 5003);
        for step in [1, 2, 611, 5002] {
            let mut line = Line::default();
            let mut expected = BTreeSet::new();
            for (n, id) in ids_in(step).enumerate() {
                line.insert(item(id));
                expected.insert(id);
                if n % 3 == 2 {
                    assert_eq!(line.pop_front().map(|item| item.id), expected.pop_first());
                }
                assert_eq!(line.len, expected.len());
                assert_eq!(line.front().map(|item| item.id), expected.first().copied());
                assert_eq!(line.back().map(|item| item.id), expected.last().copied());
            }
            assert_eq!(ids(&line), expected.iter().copied().collect::<Vec<_>>(), "step {step}");
            for id in 0..5003 {
                assert_eq!(line.has(id), expected.contains(&id), "{id}");
            }
        }
    }

    #[test]
    fn a_backlog_leaves_no_memory_behind() {
        let mut line = Line::default();
        (0..100_000).for_each(|id| line.insert(item(id)));
        while line.pop_front().is_some() {}
        assert!(line.is_empty() && line.blocks.is_empty());
        assert!(line.blocks.capacity() <= KEPT, "{}", line.blocks.capacity());
        // And none is asked for again and again by a queue that is nearly empty.
        line.insert(item(1));
        line.pop_front();
        assert_eq!(line.blocks.len(), 1);
        line.insert(item(2));
        assert_eq!(ids(&line), [2]);
    }
}
