//! Items that are dropped from the head of their queue: their time has come, or the queue is full.

use bytes::Bytes;

use super::super::items::Queue;
use super::super::record::Draft;
use super::super::usage::Usage;
use super::Engine;
use crate::Now;

impl Engine {
    /// Most items that [`sweep`](Self::sweep) drops.
    pub const SWEEP: u64 = 200;

    /// Drops items from a queue's head whose time has come, [`SWEEP`](Self::SWEEP) of them at most;
    /// returns how many. A read drops however many there are: whoever must not be held up for long calls
    /// this before it, until it returns none.
    pub fn sweep(&mut self, queue: &[u8], now: Now) -> u64 {
        let Some(line) = self.queues.get_mut(queue) else {
            return 0;
        };
        if let Some(to) = line.bounds.move_expired_to.clone() {
            return self.move_expired(queue, &to, now);
        }
        let mut dropped = 0;
        let mut last = 0;
        while dropped < Self::SWEEP && line.has_expired_head(now.unix) {
            last = drop_head(line, &mut self.usage);
            dropped += 1;
        }
        line.stats.expired_items += dropped;
        self.write_dropped(queue, dropped, last);
        if dropped > 0 {
            self.feed(queue);
        }
        dropped
    }

    /// Drops the oldest items of a queue that is to hold no more than so much, until it does.
    pub(super) fn discard_old(&mut self, queue: &[u8]) {
        let Some(line) = self.queues.get_mut(queue).filter(|line| line.bounds.discard_old) else {
            return;
        };
        let mut dropped = 0;
        let mut last = 0;
        while is_full(line) && !line.ready.is_empty() {
            last = drop_head(line, &mut self.usage);
            dropped += 1;
        }
        // What is not in memory goes as far as it goes together; the rest when it has been read back.
        let least = (line.bounds.max_items, line.bounds.max_bytes);
        let mut is_exact = true;
        while is_full(line)
            && line.ready.is_empty()
            && let Some((items, last_id)) = line.drop_unread(&mut self.usage, least)
        {
            (last, is_exact) = (last_id, false);
            dropped += items;
        }
        line.drops.oldest = is_full(line) && line.ready.is_empty() && line.is_behind();
        let goes_on = line.drops.oldest;
        line.stats.discarded += dropped;
        if is_exact {
            self.write_dropped(queue, dropped, last);
        } else {
            self.write_discard(queue, last.saturating_add(1));
        }
        if dropped > 0 || goes_on {
            self.feed(queue);
        }
    }

    /// Writes down that so many items went from a queue's head, of which the last had that id.
    fn write_dropped(&mut self, queue: &[u8], dropped: u64, last: u64) {
        match dropped {
            0 => {}
            1 => {
                let fsync = self.config.of(queue).fsync;
                self.write_removal(Draft::remove(last, Bytes::copy_from_slice(queue)), fsync);
            }
            // One record, however many they are: those that were before in the queue are gone or open.
            _ => self.write_discard(queue, last.saturating_add(1)),
        }
    }

    /// Drops all items at a queue's head whose time has come; returns how many (kestrel's `flush_expired`).
    /// Those that are in the journal alone are not in that number: they go when they have been read back,
    /// which begins at once.
    pub fn flush_expired(&mut self, queue: &[u8], now: Now) -> u64 {
        let mut all = 0;
        loop {
            let dropped = self.sweep(queue, now);
            all += dropped;
            if dropped == 0 {
                break;
            }
        }
        if let Some(line) = self.queues.get_mut(queue)
            && line.ready.is_empty()
            && line.is_behind()
        {
            line.drops.expired = true;
            self.feed(queue);
        }
        all
    }
}

/// Whether a queue holds more than it may.
fn is_full(line: &Queue) -> bool {
    let (items, bytes) = line.settled();
    items > line.bounds.max_items || bytes > line.bounds.max_bytes
}

/// Drops the item at the head; returns its id.
fn drop_head(line: &mut Queue, usage: &mut Usage) -> u64 {
    let Some(head) = line.pop() else {
        return 0;
    };
    line.remove(&head, usage);
    head.id
}
