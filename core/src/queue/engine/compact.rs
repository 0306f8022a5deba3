//! Compaction: live items are written again behind the journal's end, so that old segments can go.

use alloc::vec::Vec;

use bytes::Bytes;

use super::super::extents::Extent;
use super::super::items::Item;
use super::super::put::PutBuilder;
use super::super::read_back::{JournalRead, Located, ReadBack};
use super::{AppendError, Engine, Written};

/// Most bytes of the journal, and most stretches of it, whose items are written again at a time: a turn of
/// compaction must not hold up puts.
const TURN: u64 = 1024 * 1024;
const MOST_READS: usize = 256;

/// Items that are being written again, in one record.
#[derive(Debug)]
pub(super) struct Move {
    commit: u64,
    queue: Bytes,
    /// Where the record stands in its batch, and its length.
    offset: u64,
    len: u64,
    /// Their ids, and the bytes of each.
    items: Vec<(u64, u64)>,
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
        let mut bytes = 0;
        let mut found: Vec<(Bytes, Extent)> = Vec::new();
        for (name, queue) in &self.queues {
            let old = queue.extents.iter().take_while(|extent| extent.first_id <= max_id);
            for extent in old.filter(|extent| extent.segment == oldest) {
                if bytes > TURN || found.len() >= MOST_READS {
                    break;
                }
                bytes += extent.range.end - extent.range.start;
                found.push((name.clone(), extent.clone()));
            }
        }
        for (queue, extent) in found {
            let id = self.new_read_id();
            self.moving.insert(id);
            self.reads.push_back(JournalRead::new(id, queue, &extent, 0));
        }
    }

    /// Writes items again that were read from an old segment, those that are there still.
    pub(super) fn move_items(&mut self, queue: &Bytes, found: ReadBack) {
        let Some(line) = self.queues.get(queue) else {
            return;
        };
        // That they went to another queue is written already, and would stand before what is written now.
        let leaving = self.leaving(queue);
        let live: Vec<Item> = found
            .items
            .into_iter()
            .map(|Located { item, .. }| item)
            .filter(|i| line.has(i.id) && !leaving.contains(&i.id))
            .collect();
        // Items of one record have ids in a row, and one time.
        let runs = live.chunk_by(|one, next| {
            one.id.checked_add(1) == Some(next.id) && one.added == next.added
        });
        for run in runs {
            self.write_again(queue, run);
        }
    }

    fn write_again(&mut self, queue: &Bytes, run: &[Item]) {
        // Only names that were checked are in the engine, so this never fails; were it to, the
        // items would stay where they are.
        let Some((first, Ok(mut put))) =
            run.first().map(|first| (first.id, PutBuilder::new(queue, first.added)))
        else {
            return;
        };
        for item in run {
            put.item(Some(item.expires), &item.data);
        }
        let draft = put.finish().into_draft(first);
        let (commit, offset, len) = (self.next_commit, self.append_len, draft.len());
        let items = run.iter().map(|item| (item.id, item.data.len() as u64)).collect();
        self.write(draft);
        self.stats.rewritten_items += run.len() as u64;
        self.moves.push_back(Move { commit, queue: queue.clone(), offset, len, items });
    }

    /// What was written again has a new place; where it could not be written it keeps the old one, and is tried
    /// again.
    pub(super) fn settle_moves(&mut self, commit: u64, result: Result<Written, AppendError>) {
        while self.moves.front().is_some_and(|moved| moved.commit <= commit) {
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
                let start = written.offset.saturating_add(moved.offset);
                let place = place.get_or_insert_with(|| Extent {
                    segment: written.segment,
                    range: start..start.saturating_add(moved.len),
                    first_id: id,
                    last_id: id,
                    items: 0,
                    bytes: 0,
                });
                place.last_id = id;
                place.items += 1;
                place.bytes += bytes;
            }
            if let Some(place) = place {
                line.add(place, &mut self.usage);
            }
        }
    }
}
