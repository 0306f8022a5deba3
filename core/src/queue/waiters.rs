//! Reads that wait for an item.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use bytes::Bytes;

use super::outcome::{ConnId, OpId};
use crate::Instant;

/// What becomes of an item that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Take {
    Look,
    Remove,
    Reserve,
}

/// A read that waits.
#[derive(Clone, Debug)]
pub(super) struct Waiter {
    pub(super) conn: ConnId,
    pub(super) queue: Bytes,
    pub(super) take: Take,
    /// So long it waits for an item to come.
    pub(super) until: Instant,
    /// When it ends: later, where items are there but have to be read back.
    deadline: Instant,
}

impl Waiter {
    pub(super) fn new(conn: ConnId, queue: Bytes, take: Take, until: Instant) -> Self {
        Self { conn, queue, take, until, deadline: until }
    }

    /// The same, which ends then.
    pub(super) fn ending_at(self, deadline: Instant) -> Self {
        Self { deadline, ..self }
    }
}

/// Every read that waits, found by operation, by queue in the order of arrival, and by deadline;
/// each in a time that hardly grows with their number.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    ops: BTreeMap<OpId, Waiter>,
    queues: BTreeSet<(Bytes, OpId)>,
    deadlines: BTreeSet<(Instant, OpId)>,
}

impl Waiters {
    pub(super) fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    pub(super) fn insert(&mut self, op: OpId, waiter: Waiter) {
        self.queues.insert((waiter.queue.clone(), op));
        self.deadlines.insert((waiter.deadline, op));
        self.ops.insert(op, waiter);
    }

    pub(super) fn remove(&mut self, op: OpId) -> Option<Waiter> {
        let waiter = self.ops.remove(&op)?;
        self.queues.remove(&(waiter.queue.clone(), op));
        self.deadlines.remove(&(waiter.deadline, op));
        Some(waiter)
    }

    fn on(&self, queue: &Bytes) -> impl Iterator<Item = OpId> {
        self.queues
            .range((queue.clone(), OpId(0))..=(queue.clone(), OpId(u64::MAX)))
            .map(|(_, op)| *op)
    }

    /// The read that has waited longest on a queue.
    pub(super) fn first(&self, queue: &Bytes) -> Option<OpId> {
        if self.is_empty() {
            return None;
        }
        self.on(queue).next()
    }

    /// Nothing has to be read back for a queue any more: its reads end when they would have ended anyway.
    pub(super) fn reset(&mut self, queue: &Bytes) {
        let ops: Vec<OpId> = self.on(queue).collect();
        for op in ops {
            if let Some(waiter) = self.ops.get_mut(&op)
                && waiter.deadline != waiter.until
            {
                self.deadlines.remove(&(waiter.deadline, op));
                waiter.deadline = waiter.until;
                self.deadlines.insert((waiter.deadline, op));
            }
        }
    }

    /// A read on a queue that has waited as long as it would for an item to come.
    pub(super) fn overdue(&self, queue: &Bytes, now: Instant) -> Option<OpId> {
        self.on(queue).find(|op| self.ops.get(op).is_some_and(|waiter| waiter.until <= now))
    }

    pub(super) fn count(&self, queue: &Bytes) -> u64 {
        self.on(queue).count() as u64
    }

    /// Any read that waits.
    pub(super) fn any(&self) -> Option<OpId> {
        self.ops.keys().next().copied()
    }

    /// A read whose deadline has come.
    pub(super) fn due(&self, now: Instant) -> Option<OpId> {
        self.deadlines.first().filter(|(deadline, _)| *deadline <= now).map(|(_, op)| *op)
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }
}
