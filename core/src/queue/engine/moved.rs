//! Expired items that another queue gets (kestrel's `expireToQueue`).
//!
//! They are put there, and their removal stands right behind that put in the same batch: whatever becomes of
//! the batch, each is in one of the two queues. Until then they are set aside.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use bytes::Bytes;

use super::super::items::Item;
use super::super::outcome::PutError;
use super::super::put::PutBuilder;
use super::super::record::Draft;
use super::{Engine, check_items};
use crate::Now;

/// Most bytes of items that are moved by one put.
const MOST: u64 = 1024 * 1024;

/// Items that are on their way to another queue.
#[derive(Debug)]
pub(super) struct Moving {
    pub(super) from: Bytes,
    pub(super) items: Vec<Item>,
}

impl Engine {
    /// Moves expired items from a queue's head to another queue, [`SWEEP`](Self::SWEEP) of them at most;
    /// returns how many are gone. Where the journal is behind, they are left for later.
    pub(super) fn move_expired(&mut self, queue: &[u8], to: &Bytes, now: Now) -> u64 {
        let Ok(mut put) = PutBuilder::new(to, now.unix) else {
            return 0;
        };
        let mut items: Vec<Item> = Vec::new();
        while (items.len() as u64) < Self::SWEEP && put.data_len() < MOST {
            let line = self.queues.get_mut(queue);
            let Some(line) = line.filter(|line| line.has_expired_head(now.unix)) else {
                break;
            };
            let Some(item) = line.pop() else {
                break;
            };
            line.reserve(&item);
            put.item(None, &item.data);
            items.push(item);
        }
        if items.is_empty() {
            return 0;
        }
        let (put, count) = (put.finish(), items.len() as u64);
        let size = put.size();
        let backlog = self.check_backlog_of_moves(put.record_len());
        let fits = backlog.and_then(|()| check_items(self.config.of(to), size));
        let room = fits.and_then(|()| self.check_room(to, size, now));
        let Some(line) = self.queues.get_mut(queue) else {
            return 0;
        };
        let name = line.name.clone();
        match room {
            Ok(to) => {
                line.stats.expired_items += count;
                let removals: Vec<Draft> =
                    items.iter().map(|item| Draft::remove(item.id, name.clone())).collect();
                // Both are in one batch.
                let (to_fsync, fsync) = (self.config.of(&to).fsync, self.config.of(&name).fsync);
                let fsync = fsync.stricter(to_fsync);
                self.enlist(None, to, put, fsync);
                if let Some(put) = self.pending.back_mut() {
                    put.moving = Some(Moving { from: name, items });
                }
                for removal in removals {
                    self.waiting.write(removal, fsync);
                }
            }
            Err(PutError::Busy) => {
                self.put_off.insert(name);
                for item in items {
                    line.put_back(item);
                }
                return 0;
            }
            // The other queue takes no more: they expire as if there were none.
            Err(refused) => {
                line.stats.expired_items += count;
                self.stats.count(refused);
                for item in items {
                    self.confirm(&name, &item);
                }
            }
        }
        count
    }

    /// Whether a queue's head has expired, and cannot be moved yet: nothing can be read until it is.
    pub(super) fn is_stuck(&self, queue: &[u8], now: Now) -> bool {
        self.queues.get(queue).is_some_and(|line| {
            line.bounds.move_expired_to.is_some() && line.has_expired_head(now.unix)
        })
    }

    /// The ids of items that are on their way to another queue.
    pub(super) fn leaving(&self) -> BTreeSet<u64> {
        let moving = self.pending.iter().filter_map(|put| put.moving.as_ref());
        moving.flat_map(|moving| &moving.items).map(|item| item.id).collect()
    }

    /// What was moved is in the journal, or is not.
    pub(super) fn settle_moved(&mut self, moving: Moving, is_safe: bool) {
        let Moving { from, items } = moving;
        let Some(line) = self.queues.get_mut(&from) else {
            return;
        };
        for item in items {
            if is_safe {
                line.unreserve(&item);
                line.remove(&item, &mut self.usage);
            } else {
                line.stats.expired_items = line.stats.expired_items.saturating_sub(1);
                line.put_back(item);
            }
        }
        self.may_be_empty = true;
        self.put_off.insert(from);
    }

    /// Goes on with the queues whose items could not be moved before.
    pub(super) fn move_on(&mut self, now: Now) {
        for queue in core::mem::take(&mut self.put_off) {
            self.sweep(&queue, now);
            self.serve_waiters(&queue, now);
        }
    }
}
