//! Compaction: live items are written again behind the journal's end, so that old segments can go.

use alloc::vec::Vec;

use bytes::Bytes;

use super::super::items::Item;
use super::super::put::PutBuilder;
use super::{AppendError, Engine};

/// Most bytes of items written again at a time: a turn of compaction must not hold up puts.
const TURN: u64 = 1024 * 1024;

/// An item that is being written again.
#[derive(Debug)]
pub(super) struct Move {
    commit: u64,
    queue: Bytes,
    id: u64,
}

impl Engine {
    /// The oldest segment that is still needed when `active` is the one being written: those
    /// before it can be deleted.
    pub fn oldest_needed(&self, active: u64) -> u64 {
        let items = self.usage.oldest().map(|(number, _)| number);
        items.into_iter().chain(self.oldest_mark()).fold(active, u64::min)
    }

    /// Tells how many bytes the journal has: at the start and after each batch. Where compaction is worth
    /// it, some items of the oldest segment are written again, and come out with the next batch.
    pub fn compact(&mut self, journal_len: u64, active: u64) {
        self.journal_len = journal_len;
        self.mark_segment(active);
        let live = self.usage.live_bytes();
        let is_near_its_bound = journal_len > self.config.max_journal_bytes / 4 * 3;
        let worth = journal_len > self.config.compact_from
            && journal_len > live.saturating_mul(self.config.compact_ratio)
            || is_near_its_bound && live < journal_len / 4 * 3;
        let Some((oldest, max_id)) = self.usage.oldest().filter(|(oldest, _)| *oldest < active)
        else {
            return;
        };
        if !worth || !self.moves.is_empty() {
            return;
        }
        let mut found: Vec<(Bytes, Item)> = Vec::new();
        let mut bytes = 0;
        let held = self
            .reserved
            .values()
            .flatten()
            .map(|r| (&r.queue, &r.item))
            .chain(self.handed.values().map(|h| (&h.queue, &h.item)));
        let ready = self.queues.iter().flat_map(|(name, queue)| {
            queue.ready.iter().take_while(|item| item.id <= max_id).map(move |item| (name, item))
        });
        for (queue, item) in held.chain(ready).filter(|(_, item)| item.segment == oldest) {
            if bytes > TURN {
                break;
            }
            bytes += item.journal_len(queue);
            found.push((queue.clone(), item.clone()));
        }
        for (queue, item) in found {
            self.write_again(queue, &item);
        }
    }

    fn write_again(&mut self, queue: Bytes, item: &Item) {
        // Only names that were checked are in the engine, so this never fails; were it to, the
        // item would stay where it is.
        let Ok(mut put) = PutBuilder::new(&queue, item.added) else {
            return;
        };
        put.item(Some(item.expires), &item.data);
        self.write(put.finish().into_draft(item.id));
        self.stats.rewritten_items += 1;
        self.moves.push_back(Move { commit: self.next_commit, queue, id: item.id });
    }

    pub(super) fn settle_moves(&mut self, commit: u64, result: Result<u64, AppendError>) {
        let mut again = Vec::new();
        while self.moves.front().is_some_and(|moved| moved.commit <= commit) {
            let Some(moved) = self.moves.pop_front() else {
                break;
            };
            let held = self.reserved.values_mut().flatten().map(|r| &mut r.item);
            let handed = self.handed.values_mut().map(|h| &mut h.item);
            let ready = self.queues.get_mut(&moved.queue).and_then(|q| q.ready.find_mut(moved.id));
            let Some(item) = ready.or_else(|| held.chain(handed).find(|i| i.id == moved.id)) else {
                continue;
            };
            let Ok(segment) = result else {
                again.push((moved.queue, item.clone()));
                continue;
            };
            self.usage.remove(item.segment, item.journal_len(&moved.queue));
            item.segment = segment;
            self.usage.add(segment, item.id, item.journal_len(&moved.queue));
        }
        for (queue, item) in again {
            self.write_again(queue, &item);
        }
    }
}
