//! Items whose time has come are dropped when they stand at the head of their queue.

use super::Engine;
use crate::Now;

impl Engine {
    /// Most items that [`sweep`](Self::sweep) drops.
    pub const SWEEP: u64 = 200;

    /// Drops items from a queue's head whose time has come, [`SWEEP`](Self::SWEEP) of them at most;
    /// returns how many. A read drops however many there are: whoever must not be held up for long calls
    /// this before it, until it returns less than that.
    pub fn sweep(&mut self, queue: &[u8], now: Now) -> u64 {
        let Some(line) = self.queues.get_mut(queue) else {
            return 0;
        };
        let max_age = self.config.max_age.map(|age| age.as_millis());
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
            self.usage.remove(head.segment, head.journal_len(queue));
            last = head.id;
            line.pop();
            dropped += 1;
        }
        line.stats.expired_items += dropped;
        match dropped {
            0 => {}
            1 => self.write_removal(queue, last),
            // One record, however many they are: those that were before in the queue are gone or open.
            _ => self.write_discard(queue, last + 1),
        }
        dropped
    }

    /// Drops all items at the head whose time has come; returns how many.
    pub(super) fn drop_expired(&mut self, queue: &[u8], now: Now) -> u64 {
        let mut all = 0;
        loop {
            let dropped = self.sweep(queue, now);
            all += dropped;
            if dropped < Self::SWEEP {
                return all;
            }
        }
    }
}
