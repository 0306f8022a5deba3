//! Items that are in the journal alone: when they are read back, and what comes of it.

use bytes::Bytes;

use super::super::items::Queue;
use super::super::outcome::{OpId, OpOutcome, ReadError};
use super::super::read_back::{JournalRead, Located, ReadBack, ReadBackError};
use super::Engine;
use crate::Now;

/// So many bytes of items a queue has in memory at its head, where there is memory for it: as many as are read
/// while the next ones come.
const READ_AHEAD: u64 = 4 * 1024 * 1024;
/// A read that failed is tried again after this.
const RETRY: core::time::Duration = core::time::Duration::from_millis(200);

impl Engine {
    /// Sees to it that what a queue needs of the journal is asked for.
    pub(super) fn feed(&mut self, queue: &[u8]) {
        let wants = self.queues.get(queue).is_some_and(|line| self.wants_more(line));
        if wants && let Some(line) = self.queues.get_mut(queue).filter(|line| !line.is_hungry) {
            line.is_hungry = true;
            self.hungry.push_back(line.name.clone());
        }
    }

    /// Whether the next items of a queue are to be read back.
    fn wants_more(&self, line: &Queue) -> bool {
        if line.reading.is_some() || !line.is_behind() || self.failed.contains(&line.name) {
            return false;
        }
        let most = self.config.queue_memory;
        let has_room = self.usage.memory().saturating_add(self.backlog) < most;
        let ahead = READ_AHEAD.min(most / 8);
        // What is in memory while the oldest are to go came back meanwhile: it goes first.
        let is_needed = line.drops.oldest
            || line.ready.is_empty()
                && (line.drops.expired || self.waiters.first(&line.name).is_some());
        is_needed || has_room && (line.ready.is_empty() || line.ready_bytes() < ahead)
    }

    pub(super) fn new_read_id(&mut self) -> u64 {
        self.next_read += 1;
        self.next_read
    }

    /// What is to be read next.
    pub(super) fn next_read(&mut self) -> Option<JournalRead> {
        if let Some(read) = self.reads.pop_front() {
            return Some(read);
        }
        while let Some(name) = self.hungry.pop_front() {
            let wants = self.queues.get(&name).is_some_and(|line| self.wants_more(line));
            let id = self.new_read_id();
            let Some(line) = self.queues.get_mut(&name) else {
                continue;
            };
            line.is_hungry = false;
            let next = line.extents.above(line.loaded_to).filter(|_| wants);
            if let Some(extent) = next {
                let read = JournalRead::new(id, name, extent, line.loaded_to);
                line.reading = Some(id);
                return Some(read);
            }
        }
        None
    }

    /// Tells what came of a read that [`EngineOutput::Read`](super::EngineOutput::Read) asked for: what
    /// [`JournalRead::decode`] made of the bytes, or that they cannot be had. Such a read is tried again, and
    /// those who wait for it end with [`ReadError::NotReadBack`] when their time has come: no item is given up.
    /// Returns whether it still mattered; where it did not, what failed was perhaps gone already.
    pub fn read_back(
        &mut self,
        read: &JournalRead,
        result: Result<ReadBack, ReadBackError>,
        now: Now,
    ) -> bool {
        if self.moving.remove(&read.id) {
            let still = result.is_ok() || self.is_in_place(read);
            self.stats.read_back_failures += u64::from(result.is_err() && still);
            self.found_to_move(&read.queue, result.ok());
            return still;
        }
        let name = &read.queue;
        let Some(line) = self.queues.get_mut(name) else {
            return false;
        };
        if line.reading != Some(read.id) {
            return false;
        }
        line.reading = None;
        let Ok(found) = result else {
            let still = self.is_in_place(read);
            if still {
                self.stats.read_back_failures += 1;
                self.failed.push(name.clone());
                self.retry_at.get_or_insert(now.instant + RETRY);
            } else {
                self.feed(name);
            }
            return still;
        };
        let count = found.items.len();
        let mut live = found.items;
        live.retain(|Located { item, .. }| {
            let is_there = item.id > line.mark || line.unread.remove(&item.id);
            is_there && item.id > line.loaded_to
        });
        // They share memory, which those that are gone give back only together with them.
        let is_sparse = live.len() < count / 2;
        for Located { mut item, .. } in live {
            if is_sparse {
                item.data = Bytes::copy_from_slice(&item.data);
            }
            self.stats.read_back_items += 1;
            line.load(item, &mut self.usage);
        }
        line.loaded_to = line.loaded_to.max(*read.ids.end());
        let drops = core::mem::take(&mut line.drops);
        if drops.oldest {
            self.discard_old(name);
        }
        if drops.expired {
            self.flush_expired(name, now);
        }
        self.serve_waiters(name, now);
        self.end_overdue(name, now);
        self.feed(name);
        true
    }

    /// Whether what a read was for stands where it was.
    fn is_in_place(&self, read: &JournalRead) -> bool {
        let extent = self
            .queues
            .get(&read.queue)
            .and_then(|line| line.extents.above(read.ids.start().saturating_sub(1)));
        extent.is_some_and(|extent| read.is_of(extent))
    }

    /// Ends the reads that waited for no more than what was read back, when nothing came of it.
    pub(super) fn end_overdue(&mut self, queue: &Bytes, now: Now) {
        if self.queues.get(queue).is_some_and(Queue::is_behind) {
            return;
        }
        self.waiters.reset(queue);
        while let Some(op) = self.waiters.overdue(queue, now.instant) {
            self.end_wait(op, now);
        }
    }

    /// Ends a wait whose time has come; one for items that are being read back goes on for a while.
    pub(super) fn end_wait(&mut self, op: OpId, now: Now) {
        let Some(waiter) = self.waiters.remove(op) else {
            return;
        };
        let outcome = if self.queues.get(&waiter.queue).is_some_and(Queue::is_behind) {
            let last = waiter.until + self.config.read_back_timeout;
            if last > now.instant {
                self.waiters.insert(op, waiter.ending_at(last));
                return;
            }
            OpOutcome::Error(ReadError::NotReadBack)
        } else {
            OpOutcome::Empty
        };
        self.stats.get_misses += 1;
        self.done.push_back((op, outcome));
    }
}
