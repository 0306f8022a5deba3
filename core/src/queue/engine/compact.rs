//! Compaction: live items are written again behind the journal's end, so that old segments can go. What several
//! queues have of one record is written again for all of them at once.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use bytes::Bytes;

use super::super::extents::Extent;
use super::super::items::Item;
use super::super::put::PutBuilder;
use super::super::read_back::{JournalRead, Located, ReadBack};
use super::super::record;
use super::batches::PlaceInBatch;
use super::{AppendError, Engine, Written};

/// Most bytes of the journal, and most stretches of it, whose items are written again at a time: a turn of
/// compaction must not hold up puts.
const TURN: u64 = 1024 * 1024;
const MOST_READS: usize = 256;

/// Items of a queue that are being written again, in one record.
#[derive(Debug)]
pub(super) struct Move {
    pub(super) place: PlaceInBatch,
    queue: Bytes,
    /// Their ids, and the bytes of each.
    items: Vec<(u64, u64)>,
}

/// An item that is to be written again, for its queue and for others.
struct Again {
    item: Item,
    /// Queues that have it too, and what their ids are ahead of this one.
    others: Vec<(Bytes, u64)>,
}

impl Engine {
    /// The oldest segment that is still needed when `active` is the one being written: those
    /// before it can be deleted.
    pub fn oldest_needed(&self, active: u64) -> u64 {
        let items = self.usage.oldest().map(|(number, _)| number);
        items.into_iter().chain(self.oldest_mark()).fold(active, u64::min)
    }

    /// Tells how many bytes the journal has: at the start and after each batch. Where compaction is worth
    /// it, some items of the oldest segment are read ([`EngineOutput::Read`](super::EngineOutput::Read)) and
    /// written again, and come out with a batch.
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
        if !worth || !self.moves.is_empty() || !self.moving.is_empty() {
            return;
        }
        let mut old: Vec<(&Bytes, &Extent)> = Vec::new();
        for (name, queue) in &self.queues {
            let extents = queue.extents.iter().take_while(|extent| extent.first_id <= max_id);
            old.extend(extents.filter(|extent| extent.segment == oldest).map(|e| (name, e)));
        }
        // By their places: what several queues have is to be read in the same turn.
        old.sort_unstable_by_key(|(_, extent)| extent.range.start);
        let end = old.first().map_or(0, |(_, first)| first.range.start.saturating_add(TURN));
        let turn = old.into_iter().take(MOST_READS).enumerate();
        let turn = turn.take_while(|(n, (_, extent))| *n == 0 || extent.range.end <= end);
        let turn: Vec<(Bytes, Extent)> =
            turn.map(|(_, (name, extent))| (name.clone(), extent.clone())).collect();
        for (queue, extent) in turn {
            let id = self.new_read_id();
            self.moving.insert(id);
            self.reads.push_back(JournalRead::new(id, queue, &extent, 0).with_others());
        }
    }

    /// What was read of an old segment, for all of it to be written again together once the last read has ended.
    pub(super) fn found_to_move(&mut self, queue: &Bytes, found: Option<ReadBack>) {
        self.found.extend(found.map(|found| (queue.clone(), found)));
        if self.moving.is_empty() {
            self.move_items();
        }
    }

    /// Writes items again that were read from an old segment, those that are there still. Of a stretch all of them
    /// go or none: what stays would have to be told from what went.
    fn move_items(&mut self) {
        let mut turn = core::mem::take(&mut self.found);
        // That they went to another queue is written already, and would stand before what is written now.
        let leaving = self.leaving();
        turn.retain_mut(|(queue, found)| {
            let line = self.queues.get(queue);
            found.items.retain(|found| line.is_some_and(|line| line.has(found.item.id)));
            leaving.is_empty() || !found.items.iter().any(|found| leaving.contains(&found.item.id))
        });
        let all = turn.iter().flat_map(|(_, found)| &found.items);
        // Where queues share items, the ids of those that are still to be written; they are unique over all queues.
        let is_shared = all.clone().any(|found| found.others.is_some());
        let mut left: Option<BTreeSet<u64>> =
            is_shared.then(|| all.map(|found| found.item.id).collect());
        let mut takes = |id: u64| left.as_mut().is_none_or(|left| left.remove(&id));
        for (queue, found) in turn {
            let mut again: Vec<Again> = Vec::new();
            for Located { item, others, .. } in found.items {
                // Or it went with those of another queue.
                if takes(item.id) {
                    let others = others.iter().flat_map(|others| others.iter());
                    let others = others.filter(|(_, ahead)| takes(item.id.wrapping_add(*ahead)));
                    let others = others.cloned().collect();
                    again.push(Again { item, others });
                }
            }
            // Items of one record have ids in a row, and one time.
            let runs = again.chunk_by(|one, next| {
                one.item.id.checked_add(1) == Some(next.item.id)
                    && one.item.added == next.item.added
                    && one.others == next.others
            });
            for run in runs {
                self.write_again(&queue, run);
            }
        }
    }

    fn write_again(&mut self, queue: &Bytes, run: &[Again]) {
        // Only names that were checked are in the engine, so this never fails; were it to, the
        // items would stay where they are.
        let Some((first, Ok(mut put))) =
            run.first().map(|first| (first, PutBuilder::new(queue, first.item.added)))
        else {
            return;
        };
        for Again { item, .. } in run {
            put.item(Some(item.expires), &item.data);
        }
        let (put, first_id) = (put.finish(), first.item.id);
        let mut queues: Vec<(Bytes, u64)> = alloc::vec![(queue.clone(), first_id)];
        let others = first.others.iter();
        queues.extend(others.map(|(name, ahead)| (name.clone(), first_id.wrapping_add(*ahead))));
        let is_shared = queues.len() > 1;
        let draft = if is_shared { put.into_draft_for(&queues) } else { put.into_draft(first_id) };
        let place = self.waiting.write(draft, self.strictest);
        self.stats.rewritten_items += run.len() as u64;
        for (queue, first_id) in queues {
            let items = record::ids_from(first_id).zip(run);
            let items = items.map(|(id, again)| (id, again.item.data.len() as u64)).collect();
            self.moves.push_back(Move { place, queue, items });
        }
    }

    /// What was written again has a new place; where it could not be written it keeps the old one, and is tried
    /// again.
    pub(super) fn settle_moves(&mut self, commit: u64, result: Result<Written, AppendError>) {
        let mut places: Vec<(Bytes, Extent)> = Vec::new();
        while self.moves.front().is_some_and(|moved| moved.place.commit <= commit) {
            let (Some(moved), Ok(written)) = (self.moves.pop_front(), result) else {
                continue;
            };
            let Some(line) = self.queues.get_mut(&moved.queue) else {
                continue;
            };
            let mut place: Option<Extent> = None;
            for (id, bytes) in moved.items {
                if !line.has(id) || !line.forget(id, bytes, &mut self.usage) {
                    continue;
                }
                let start = written.offset.saturating_add(moved.place.offset);
                let place = place.get_or_insert_with(|| Extent {
                    segment: written.segment,
                    range: start..start.saturating_add(moved.place.len),
                    first_id: id,
                    last_id: id,
                    items: 0,
                    bytes: 0,
                });
                place.last_id = id;
                place.items += 1;
                place.bytes += bytes;
            }
            places.extend(place.map(|place| (moved.queue, place)));
        }
        // Only now are all the stretches gone that they came from. Those of one queue come in the order of ids, which
        // need not be that of their places, where several have them.
        places.sort_unstable_by_key(|(_, place)| place.first_id);
        for (queue, place) in places {
            if let Some(line) = self.queues.get_mut(&queue) {
                line.add(place, &mut self.usage);
            }
        }
    }
}
