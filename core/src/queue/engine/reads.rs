//! Reads: at once, reliably (open, close, abort), and after a wait.

use alloc::vec::Vec;

use bytes::Bytes;

use super::super::items::{Item, Queue};
use super::super::name::check_name;
use super::super::outcome::{ConnId, OpId, OpOutcome, ReadError};
use super::super::read::{Action, Read};
use super::super::waiters::{Take, Waiter};
use super::Engine;
use crate::{Instant, Now};

/// An item that a connection has open.
#[derive(Debug)]
pub(super) struct Reserved {
    pub(super) queue: Bytes,
    pub(super) item: Item,
    /// When it goes back.
    until: Option<Instant>,
}

/// An item that a waiting read was given, but that its reader has not collected yet.
#[derive(Debug)]
pub(super) struct Handed {
    conn: ConnId,
    open: bool,
    pub(super) queue: Bytes,
    pub(super) item: Item,
    until: Option<Instant>,
}

impl Engine {
    /// Reads from a queue. `None` means that the read waits: its end comes as
    /// [`EngineOutput::Done`](super::EngineOutput::Done), and must then be [`collect`](Self::collect)ed or
    /// [`cancel`](Self::cancel)led. `op`s must rise from call to call.
    pub fn get(
        &mut self,
        op: OpId,
        conn: ConnId,
        queue: &[u8],
        read: Read,
        now: Now,
    ) -> Option<OpOutcome> {
        if let Err(bad) = check_name(queue) {
            return Some(OpOutcome::Error(ReadError::Name(bad)));
        }
        match read.action {
            Action::Abort => {
                self.abort(conn, queue, now);
                return Some(OpOutcome::Empty);
            }
            Action::Close => {
                self.close(conn, queue);
                return Some(OpOutcome::Empty);
            }
            Action::CloseOpen => self.close(conn, queue),
            Action::Take | Action::Peek | Action::Open | Action::Monitor => {}
        }
        if !self.follow(queue, now) {
            self.stats.refused_too_many_queues += 1;
            return Some(OpOutcome::Error(ReadError::TooManyQueues));
        }
        let take = match read.action {
            Action::Peek => Take::Look,
            Action::Open | Action::Monitor | Action::CloseOpen => Take::Reserve,
            _ => Take::Remove,
        };
        let held = self.open_reads(conn, queue);
        if read.action == Action::Monitor {
            if held >= self.config.of(queue).max_monitored_reads {
                return Some(OpOutcome::Empty);
            }
        } else if self.has_too_many_open(queue, take, held) {
            return Some(OpOutcome::Error(ReadError::AlreadyOpen));
        }
        if take == Take::Look {
            self.stats.cmd_peek += 1;
        } else {
            self.stats.cmd_get += 1;
        }
        if let Some(item) = self.take_ready(conn, queue, take, now) {
            self.stats.get_hits += 1;
            return Some(OpOutcome::Item(item));
        }
        let is_behind = self.queues.get(queue).is_some_and(Queue::is_behind);
        let timeout = read.timeout.filter(|timeout| !timeout.is_zero());
        if timeout.is_none() && !is_behind {
            self.stats.get_misses += 1;
            return Some(OpOutcome::Empty);
        }
        // What was never put to is waited for without being made.
        let name = self.queues.get(queue).map(|queue| queue.name.clone());
        let name = name.unwrap_or_else(|| Bytes::copy_from_slice(queue));
        let until = now.instant + timeout.unwrap_or_default();
        let waiter = Waiter::new(conn, name, take, until);
        let last = until + self.config.read_back_timeout;
        self.waiters.insert(op, if is_behind { waiter.ending_at(last) } else { waiter });
        self.feed(queue);
        None
    }

    /// Whether a connection that has so many reads open on a queue may not take from it like that.
    fn has_too_many_open(&self, queue: &[u8], take: Take, held: usize) -> bool {
        match take {
            Take::Look => false,
            Take::Remove => held > 0,
            Take::Reserve => held >= self.config.of(queue).max_open_reads,
        }
    }

    /// The data of the item at the head, which is taken as `take` says.
    fn take_ready(&mut self, conn: ConnId, queue: &[u8], take: Take, now: Now) -> Option<Bytes> {
        self.flush_expired(queue, now);
        if self.is_stuck(queue, now) {
            return None;
        }
        let line = self.queues.get_mut(queue)?;
        if take == Take::Look {
            return line.ready.front().map(|item| item.data.clone());
        }
        let item = line.pop()?;
        line.stats.age_millis = now.unix.as_millis().saturating_sub(item.added.as_millis());
        let name = line.name.clone();
        let data = if take == Take::Reserve {
            line.reserve(&item);
            line.stats.transactions += 1;
            let (data, until) = (item.data.clone(), line.open_until(now));
            self.set_aside(conn, Reserved { queue: name, item, until });
            data
        } else {
            self.remove(name, &item);
            item.data
        };
        self.feed(queue);
        Some(data)
    }

    fn set_aside(&mut self, conn: ConnId, reserved: Reserved) {
        self.open_until.extend(reserved.until.map(|until| (until, conn, reserved.item.id)));
        self.reserved.entry(conn).or_default().push(reserved);
    }

    /// The items of reads that have been open for too long go back.
    pub(super) fn end_open_reads(&mut self, now: Now) {
        while let Some(&(_, conn, id)) =
            self.open_until.first().filter(|(until, ..)| *until <= now.instant)
        {
            self.open_until.pop_first();
            if let Some(reserved) = self.take_reserved(conn, |reserved| reserved.item.id == id) {
                self.put_back(&reserved.queue, reserved.item, now);
            }
        }
    }

    /// How many reads a connection has open on a queue.
    pub fn open_reads(&self, conn: ConnId, queue: &[u8]) -> usize {
        self.reserved.get(&conn).map_or(0, |held| held.iter().filter(|r| r.queue == queue).count())
    }

    /// The ids of the items that a connection has open, in the order in which it opened them. An item keeps its id
    /// as long as it is in the journal, and no other one ever has it.
    pub fn open_ids(&self, conn: ConnId) -> impl Iterator<Item = u64> {
        self.reserved.get(&conn).into_iter().flatten().map(|reserved| reserved.item.id)
    }

    /// Takes the oldest read that a connection has open and that is the right one.
    fn take_reserved(
        &mut self,
        conn: ConnId,
        is_right: impl Fn(&Reserved) -> bool,
    ) -> Option<Reserved> {
        let held = self.reserved.get_mut(&conn)?;
        let place = held.iter().position(is_right)?;
        let reserved = held.remove(place);
        if let Some(until) = reserved.until {
            self.open_until.remove(&(until, conn, reserved.item.id));
        }
        if held.is_empty() {
            self.reserved.remove(&conn);
        }
        Some(reserved)
    }

    /// Confirms the oldest read that a connection has open on a queue; nothing when there is none.
    fn close(&mut self, conn: ConnId, queue: &[u8]) {
        let Some(Reserved { queue, item, .. }) = self.take_reserved(conn, |r| r.queue == queue)
        else {
            return;
        };
        self.confirm(&queue, &item);
    }

    /// Confirms the oldest `count` reads that a connection has open on a queue (kestrel's `confirm`), or
    /// none when it has fewer: whether it had as many.
    pub fn close_many(&mut self, conn: ConnId, queue: &[u8], count: usize) -> bool {
        let has_as_many = self.open_reads(conn, queue) >= count;
        if has_as_many {
            (0..count).for_each(|_| self.close(conn, queue));
        }
        has_as_many
    }

    pub(super) fn confirm(&mut self, queue: &Bytes, item: &Item) {
        if let Some(line) = self.queues.get_mut(queue) {
            line.unreserve(item);
        }
        self.remove(queue.clone(), item);
    }

    /// Puts the item that a connection has open back at the head.
    fn abort(&mut self, conn: ConnId, queue: &[u8], now: Now) {
        if let Some(reserved) = self.take_reserved(conn, |r| r.queue == queue) {
            self.put_back(&reserved.queue, reserved.item, now);
        }
    }

    fn put_back(&mut self, queue: &Bytes, item: Item, now: Now) {
        if let Some(line) = self.queues.get_mut(queue) {
            line.stats.canceled_transactions += 1;
            line.put_back(item);
            self.serve_waiters(queue, now);
        }
    }

    /// Hands the readable items of a queue to those who wait for them, longest wait first.
    pub(super) fn serve_waiters(&mut self, queue: &Bytes, now: Now) {
        while let Some(op) = self.waiters.first(queue) {
            self.flush_expired(queue, now);
            if self.is_stuck(queue, now) {
                break;
            }
            let Some(line) = self.queues.get_mut(queue) else {
                return;
            };
            let Some(head) = line.ready.front() else {
                break;
            };
            let data = head.data.clone();
            let Some(Waiter { conn, take, .. }) = self.waiters.remove(op) else {
                return;
            };
            if take != Take::Look
                && let Some(item) = line.pop()
            {
                line.stats.age_millis = now.unix.as_millis().saturating_sub(item.added.as_millis());
                line.reserve(&item);
                let (open, until) = (take == Take::Reserve, line.open_until(now));
                let handed = Handed { conn, open, queue: queue.clone(), item, until };
                self.handed.insert(op, handed);
            }
            self.stats.get_hits += 1;
            self.done.push_back((op, OpOutcome::Item(data)));
        }
        self.feed(queue);
    }

    /// The reader of a wait that ended with an item takes it: a plain read's item is gone now, an
    /// open read's is open. Nothing for other operations.
    pub fn collect(&mut self, op: OpId) {
        let Some(Handed { conn, open, queue, item, until }) = self.handed.remove(&op) else {
            return;
        };
        if open {
            if let Some(line) = self.queues.get_mut(&queue) {
                line.stats.transactions += 1;
            }
            self.set_aside(conn, Reserved { queue, item, until });
        } else {
            self.confirm(&queue, &item);
        }
    }

    /// Nobody wants the end of this operation any more: a read no longer waits, and an item that
    /// it was given goes back to the head. A put goes on.
    pub fn cancel(&mut self, op: OpId, now: Now) {
        self.waiters.remove(op);
        if let Some(handed) = self.handed.remove(&op) {
            self.put_back(&handed.queue, handed.item, now);
        }
    }

    /// A connection is gone: what it has open goes back to the head. Its waits must be
    /// [`cancel`](Self::cancel)led by their own names.
    pub fn disconnect(&mut self, conn: ConnId, now: Now) {
        let held: Vec<Reserved> = self.reserved.remove(&conn).unwrap_or_default();
        for Reserved { queue, item, until } in held {
            if let Some(until) = until {
                self.open_until.remove(&(until, conn, item.id));
            }
            self.put_back(&queue, item, now);
        }
    }

    /// Ends every wait at once, as empty: the server is about to stop.
    pub fn end_waits(&mut self) {
        while let Some(op) = self.waiters.any() {
            let waiter = self.waiters.remove(op);
            let queue = waiter.and_then(|waiter| self.queues.get(&waiter.queue));
            let is_behind = queue.is_some_and(Queue::is_behind);
            let error = OpOutcome::Error(ReadError::NotReadBack);
            self.done.push_back((op, if is_behind { error } else { OpOutcome::Empty }));
        }
    }
}
