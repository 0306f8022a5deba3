//! A call under way, and the attempts at it.

use alloc::vec::Vec;

use super::link::ConnectionId;
use crate::Instant;
use crate::client::answer::{Answer, Collector};
use crate::client::call::Call;
use crate::client::error::CallError;
use crate::client::servers::ServerId;
use crate::memcache::Ticket;

/// Which call. Ids are given once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId {
    at: usize,
    sequence: u64,
}

impl CallId {
    pub(super) const fn new(at: usize, sequence: u64) -> Self {
        Self { at, sequence }
    }

    pub(super) const fn at(self) -> usize {
        self.at
    }

    pub(super) const fn sequence(self) -> u64 {
        self.sequence
    }
}

/// Which of the two attempts at a call that may be under way at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::client) enum Slot {
    First,
    /// The one that a slow first attempt is hedged with.
    Hedge,
}

impl Slot {
    const fn index(self) -> usize {
        match self {
            Self::First => 0,
            Self::Hedge => 1,
        }
    }
}

/// Which attempt. The number tells it from later ones in the same slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::client) struct AttemptId {
    pub(super) call: CallId,
    pub(super) slot: Slot,
    pub(super) number: u32,
}

/// Where an attempt has come to.
#[derive(Clone, Copy, Debug)]
pub(super) enum On {
    /// It waits for a shared connection; its number in the line.
    Waiting(u64),
    /// A connection of its own is being made.
    Connecting(ConnectionId),
    /// It was given to a connection, at that instant.
    Sent(ConnectionId, Ticket, Instant),
}

#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) number: u32,
    pub(super) server: ServerId,
    pub(super) on: On,
    pub(super) since: Instant,
    /// So long it waits for a connection.
    pub(super) timeout: Instant,
    /// So long it waits for its answer.
    pub(super) deadline: Instant,
    pub(super) collector: Collector,
}

/// How a call may go on after an attempt that failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Next {
    /// Whether it may go on at all.
    pub(super) allowed: bool,
    /// Whether it may go to a server that was tried before.
    pub(super) again: Again,
    /// Whether that is a retry, which the budget has to allow.
    pub(super) costs: bool,
}

/// Whether a server that was tried before may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    No,
    Yes,
}

/// A call under way.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) sequence: u64,
    pub(super) call: Call,
    pub(super) deadline: Instant,
    /// How many attempts were begun.
    pub(super) begun: u32,
    /// How many of them count against [`ClusterOptions::attempts`]: not those that no connection
    /// took.
    ///
    /// [`ClusterOptions::attempts`]: crate::client::ClusterOptions::attempts
    pub(super) counted: u32,
    pub(super) slots: [Option<Attempt>; 2],
    /// Servers that were tried.
    pub(super) tried: Vec<ServerId>,
    /// What is known from attempts that failed.
    pub(super) error: Option<CallError>,
    /// The answer, unless another attempt brings a better one.
    pub(super) fallback: Option<Answer>,
    /// A server that a slow first attempt was hedged with, which is not the key's owner and has nothing.
    pub(super) missed: Option<ServerId>,
    /// How it goes on once nothing of it is under way.
    pub(super) next: Option<Next>,
    /// When it is sent to a second server.
    pub(super) hedge_at: Option<Instant>,
}

impl Active {
    pub(super) const fn new(sequence: u64, call: Call, deadline: Instant) -> Self {
        Self {
            sequence,
            call,
            deadline,
            begun: 0,
            counted: 0,
            slots: [None, None],
            tried: Vec::new(),
            error: None,
            fallback: None,
            missed: None,
            next: None,
            hedge_at: None,
        }
    }

    pub(super) fn attempt(&mut self, slot: Slot) -> &mut Option<Attempt> {
        let [first, hedge] = &mut self.slots;
        match slot.index() {
            0 => first,
            _ => hedge,
        }
    }

    /// Takes out what is under way.
    pub(super) fn take_attempts(&mut self) -> [(Slot, Option<Attempt>); 2] {
        let [first, hedge] = &mut self.slots;
        [(Slot::First, first.take()), (Slot::Hedge, hedge.take())]
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.slots.iter().any(Option::is_some)
    }

    /// Adds what an attempt that failed tells. What may have been done stays so, whatever became
    /// of later attempts.
    pub(super) fn note(&mut self, error: CallError) {
        let weight = |error: &CallError| match error {
            CallError::NotSent { .. } => 0,
            CallError::Refused { .. } => 1,
            CallError::Keys { .. } => 2,
            CallError::Unknown { .. } => 3,
        };
        if self.error.as_ref().is_none_or(|known| weight(known) <= weight(&error)) {
            self.error = Some(error);
        }
    }
}
