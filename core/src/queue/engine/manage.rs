//! What an operator does to whole queues, and what they can see of them.

use alloc::vec::Vec;

use bytes::Bytes;

use super::super::config::{Bounds, Config};
use super::super::items::Queue;
use super::super::stats::{EngineStats, QueueStats};
use super::Engine;
use crate::Now;

impl Engine {
    /// Bytes that wait for the journal: what [`Config::max_backlog`](crate::queue::Config::max_backlog)
    /// bounds.
    pub fn backlog_bytes(&self) -> u64 {
        self.backlog
    }

    /// Drops every readable item of a queue; open reads keep theirs (kestrel's `flush`).
    pub fn flush(&mut self, queue: &[u8]) {
        let Some(line) = self.queues.get_mut(queue) else {
            return;
        };
        line.stats.total_flushes += 1;
        self.flushed.push(line.name.clone());
        // Items that are open have ids below as well, and stay.
        if let Some(below) = line.clear(&mut self.usage) {
            self.write_discard(queue, below);
        }
    }

    /// Flushes every queue (kestrel's `flush_all`).
    pub fn flush_all(&mut self) {
        for name in self.names() {
            self.flush(&name);
        }
    }

    /// Deletes a queue with what is readable in it (kestrel's `delete`). A queue in which reads
    /// are open or waiting, or to which puts are on their way, stays as an empty one. It follows no other
    /// queue any more.
    pub fn delete(&mut self, queue: &[u8]) {
        self.flush(queue);
        self.unfollow(queue);
        let Some(line) = self.queues.get(queue) else {
            return;
        };
        if line.held() == 0 && self.waiters.first(&line.name).is_none() {
            self.queues.remove(queue);
            self.stats.queue_deletes += 1;
        }
    }

    /// Deletes the empty queues that are as old as they may become; returns how many.
    pub fn expire_queues(&mut self, now: Now) -> u64 {
        let before = self.stats.queue_deletes;
        for name in self.names() {
            let max_age = self.config.of(&name).max_queue_age.filter(|_| !self.is_own(&name));
            let Some((max_age, queue)) = max_age.zip(self.queues.get(&name)) else {
                continue;
            };
            let age = now.unix.as_secs().saturating_sub(queue.stats.create_time);
            let is_used = queue.held() > 0 || self.waiters.first(&name).is_some();
            if !is_used && age >= max_age.as_secs() {
                self.delete(&name);
            }
        }
        let gone = self.stats.queue_deletes - before;
        self.stats.queue_expires += gone;
        gone
    }

    /// [`flush_expired`](Self::flush_expired) for every queue; returns how many in all.
    pub fn flush_all_expired(&mut self, now: Now) -> u64 {
        self.names().iter().map(|name| self.flush_expired(name, now)).sum()
    }

    /// Sets other bounds. What is in the queues stays, though it be more than they allow now: that is true
    /// of further puts.
    pub fn set_config(&mut self, config: Config) {
        self.strictest = config.strictest();
        self.bounds = Bounds::new(&config);
        for (name, queue) in &mut self.queues {
            queue.bounds = self.bounds.of(name);
        }
        self.config = config;
    }

    /// Its bounds.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The names of all queues.
    pub fn names(&self) -> Vec<Bytes> {
        self.queues.keys().cloned().collect()
    }

    /// The counters of the engine.
    pub fn stats(&self) -> EngineStats {
        let (mut items, mut bytes, mut taken_bytes) = (0, 0, 0);
        for queue in self.queues.values() {
            let (readable, readable_bytes) = queue.readable();
            items += readable;
            bytes += readable_bytes;
            taken_bytes += queue.held_bytes();
        }
        let queues = self.queues.len() as u64;
        let backlog_bytes = self.backlog;
        let memory_bytes = self.usage.memory();
        EngineStats { items, bytes, taken_bytes, memory_bytes, queues, backlog_bytes, ..self.stats }
    }

    /// The counters of each queue, by name.
    pub fn queue_stats(&self) -> impl Iterator<Item = (&[u8], QueueStats)> {
        self.queues.iter().map(|(name, queue)| (name.as_ref(), self.counted(queue)))
    }

    /// The counters of one queue; all zero when there is none of that name.
    pub fn stats_of(&self, queue: &[u8]) -> QueueStats {
        self.queues.get(queue).map_or_else(QueueStats::default, |queue| self.counted(queue))
    }

    fn counted(&self, queue: &Queue) -> QueueStats {
        let (items, bytes) = queue.readable();
        let (memory_items, memory_bytes) = queue.in_memory();
        QueueStats {
            items,
            bytes,
            memory_items,
            memory_bytes,
            taken_bytes: queue.held_bytes(),
            journal_bytes: queue.journal_bytes(),
            waiters: self.waiters.count(&queue.name),
            open_transactions: queue.out.len() as u64,
            oldest: queue.ready.front().map(|first| first.added),
            ..queue.stats
        }
    }
}
