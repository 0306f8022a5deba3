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
        if let Some(to) = self.config.of(queue).move_expired_to.clone() {
            return self.move_expired(queue, &to, now);
        }
        let Some(line) = self.queues.get_mut(queue) else {
            return 0;
        };
        let max_age = self.config.of(queue).max_age.map(|age| age.as_millis());
        let mut dropped = 0;
        let mut last = 0;
        while dropped < Self::SWEEP
            && let Some(head) = line.ready.front()
        {
            let age = now.unix.as_millis().saturating_sub(head.added.as_millis());
            let is_too_old = max_age.is_some_and(|max| u128::from(age) > max);
            if !head.is_expired(now.unix) && !is_too_old {
                break;
            }
            last = drop_head(line, &mut self.usage);
            dropped += 1;
        }
        line.stats.expired_items += dropped;
        self.write_dropped(queue, dropped, last);
        dropped
    }

    /// Drops the oldest items of a queue that is to hold no more than so much, until it does.
    pub(super) fn discard_old(&mut self, queue: &[u8]) {
        let bounds = self.config.of(queue);
        if !bounds.discard_old {
            return;
        }
        let Some(line) = self.queues.get_mut(queue) else {
            return;
        };
        let mut dropped = 0;
        let mut last = 0;
        let is_full = |line: &Queue| {
            let (items, bytes) = line.settled();
            items > bounds.max_items || bytes > bounds.max_bytes
        };
        while is_full(line) && !line.ready.is_empty() {
            last = drop_head(line, &mut self.usage);
            dropped += 1;
        }
        line.stats.discarded += dropped;
        self.write_dropped(queue, dropped, last);
    }

    /// Writes down that so many items went from a queue's head, of which the last had that id.
    fn write_dropped(&mut self, queue: &[u8], dropped: u64, last: u64) {
        match dropped {
            0 => {}
            1 => self.write_removal(Draft::remove(last, Bytes::copy_from_slice(queue))),
            // One record, however many they are: those that were before in the queue are gone or open.
            _ => self.write_discard(queue, last + 1),
        }
    }

    /// Drops all items at a queue's head whose time has come; returns how many (kestrel's `flush_expired`).
    pub fn flush_expired(&mut self, queue: &[u8], now: Now) -> u64 {
        let mut all = 0;
        loop {
            let dropped = self.sweep(queue, now);
            all += dropped;
            if dropped == 0 {
                return all;
            }
        }
    }
}

/// Drops the item at the head; returns its id.
fn drop_head(line: &mut Queue, usage: &mut Usage) -> u64 {
    let Some(head) = line.pop() else {
        return 0;
    };
    usage.remove(head.segment, head.journal_len(&line.name));
    head.id
}
