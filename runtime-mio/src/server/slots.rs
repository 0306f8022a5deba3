//! The open connections of a server, each in its slot.

use std::sync::Arc;
use std::task::{Context, Waker};

use mio::event::Event;
use slab::Slab;
use windhover_core::endpoint::Endpoint;
use windhover_core::{Instant, Now};
use windhover_runtime::{Connection, OpenConnection, Step};

use crate::caller::Caller;
use crate::mailbox::Mailbox;
use crate::socket::Registered;
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
    pub(super) connection: Connection<Registered, E>,
    /// It is among those with something to do.
    pub(super) is_queued: bool,
    /// When its timer fires.
    armed: Option<Instant>,
    caller: Arc<Caller<usize, usize>>,
    waker: Waker,
    /// Of those that were accepted.
    _counted: Option<OpenConnection>,
}

impl<E: Endpoint> Open<E> {
    /// Drives the connection until it waits, within bounds.
    pub(super) fn turn(&mut self, now: Now, drain: bool) -> Step {
        if drain {
            self.connection.shut_down();
        }
        self.connection.turn(now, &mut Context::from_waker(&self.waker))
    }
}

impl<E> Open<E> {
    /// Notes what an event tells; whether there is something to do now that there was not before.
    pub(super) fn note(&mut self, event: &Event) -> bool {
        self.connection.stream_mut().note(event)
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
        connection: Connection<Registered, E>,
        counted: Option<OpenConnection>,
        mailbox: &Arc<Mailbox<usize>>,
    ) -> usize {
        let caller = Caller::new(self.next(), mailbox);
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
