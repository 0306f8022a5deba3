//! The open connections of a server, each in its slot.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Waker};

use slab::Slab;
use windhover_core::endpoint::Endpoint;
use windhover_core::{Instant, Now};

use super::Message;
use super::connection::{Connection, Step};
use super::room::Place;
use crate::Counters;
use crate::caller::Caller;
use crate::mailbox::Mailbox;
use crate::timers::Timers;

/// Open connections and their timers.
///
/// Each is a block of its own, so that a crowd that has gone has given its memory back, and a slab
/// that grows moves pointers only.
pub(super) struct Slots<E> {
    slab: Slab<Box<Open<E>>>,
    pub(super) timers: Timers,
}

/// An open connection.
pub(super) struct Open<E> {
    pub(super) connection: Connection<E>,
    /// It is among those with something to do.
    pub(super) is_queued: bool,
    /// When its timer fires.
    armed: Option<Instant>,
    caller: Arc<Caller<Message>>,
    waker: Waker,
    _counted: Counted,
}

impl<E: Endpoint> Open<E> {
    /// Drives the connection until it waits, within bounds.
    pub(super) fn turn(&mut self, now: Now, drain: bool, scratch: &mut [u8]) -> Step {
        let mut cx = Context::from_waker(&self.waker);
        self.connection.turn(now, drain, &mut cx, scratch)
    }
}

impl<E> Slots<E> {
    /// The slot of the next connection.
    pub(super) fn next(&self) -> usize {
        self.slab.vacant_key()
    }

    /// Puts a connection into the next slot.
    pub(super) fn insert(
        &mut self,
        connection: Connection<E>,
        counted: Counted,
        mailbox: &Arc<Mailbox<Message>>,
    ) -> usize {
        let caller = Caller::new(self.next(), Message::Called, mailbox);
        self.slab.insert(Box::new(Open {
            connection,
            is_queued: false,
            armed: None,
            waker: Waker::from(Arc::clone(&caller)),
            caller,
            _counted: counted,
        }))
    }

    pub(super) fn get_mut(&mut self, slot: usize) -> Option<&mut Open<E>> {
        self.slab.get_mut(slot).map(Box::as_mut)
    }

    pub(super) fn remove(&mut self, slot: usize) -> Option<Box<Open<E>>> {
        let mut open = self.slab.try_remove(slot)?;
        self.timers.disarm(slot, &mut open.armed);
        Some(open)
    }

    /// Sees to it that the connection has its turn at or before `until`.
    pub(super) fn arm(&mut self, slot: usize, until: Instant) {
        if let Some(open) = self.slab.get_mut(slot) {
            self.timers.arm(slot, &mut open.armed, until);
        }
    }

    /// The slot of a connection whose timer has come.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<usize> {
        let slot = self.timers.pop_due(now)?;
        if let Some(open) = self.slab.get_mut(slot) {
            open.armed = None;
        }
        Some(slot)
    }

    /// Whether the waker of the slot's connection was called since this was asked last.
    pub(super) fn take_call(&self, slot: usize) -> bool {
        self.slab.get(slot).is_some_and(|open| open.caller.take_call())
    }

    /// All slots with a connection.
    pub(super) fn numbers(&self) -> Vec<usize> {
        self.slab.iter().map(|(slot, _)| slot).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slab.is_empty()
    }
}

impl<E> Default for Slots<E> {
    fn default() -> Self {
        Self { slab: Slab::new(), timers: Timers::default() }
    }
}

/// One of the open connections, counted for as long as it lives: also when it panics.
pub(super) struct Counted {
    counters: Arc<Counters>,
    _place: Place,
}

impl Counted {
    pub(super) fn new(counters: Arc<Counters>, place: Place) -> Self {
        counters.accepted.fetch_add(1, Ordering::Release);
        Self { counters, _place: place }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.counters.closed.fetch_add(1, Ordering::Release);
    }
}
