//! A call under way, and the attempts at it.

mod dispatch;
mod outcome;
mod selection;

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::connections::ConnectionId;
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
    pub(in crate::client) const fn new(at: usize, sequence: u64) -> Self {
        Self { at, sequence }
    }

    /// A number that no other call of the cluster has or had.
    pub const fn number(self) -> u64 {
        self.sequence
    }

    pub(in crate::client) const fn at(self) -> usize {
        self.at
    }

    pub(in crate::client) const fn sequence(self) -> u64 {
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

/// Which attempt. The number tells it from later ones in the same slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::client) struct AttemptId {
    pub(in crate::client) call: CallId,
    pub(in crate::client) slot: Slot,
    pub(in crate::client) number: u32,
}

/// Where an attempt has come to.
#[derive(Clone, Copy, Debug)]
pub(in crate::client) enum On {
    /// It waits for a shared connection; its number in the line.
    Waiting(u64),
    /// A connection of its own is being made.
    Connecting(ConnectionId),
    /// It was given to a connection, at that instant.
    Sent(ConnectionId, Ticket, Instant),
}

#[derive(Debug)]
pub(in crate::client) struct Attempt {
    pub(in crate::client) number: u32,
    pub(in crate::client) server: ServerId,
    pub(in crate::client) on: On,
    pub(in crate::client) since: Instant,
    /// So long it waits for a connection.
    pub(in crate::client) timeout: Instant,
    /// So long it waits for its answer.
    pub(in crate::client) deadline: Instant,
    pub(in crate::client) collector: Collector,
}

/// How a call may go on after an attempt that failed.
#[derive(Clone, Copy, Debug)]
pub(in crate::client) struct Next {
    /// Whether it may go on at all.
    pub(in crate::client) allowed: bool,
    /// Whether it may go to a server that was tried before.
    pub(in crate::client) again: Again,
    /// Whether that is a retry, which the budget has to allow.
    pub(in crate::client) costs: bool,
}

/// Whether a server that was tried before may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::client) enum Again {
    No,
    Yes,
}

/// The attempts at a call that are under way. A second one is rare.
#[derive(Debug, Default)]
pub(in crate::client) struct Attempts {
    first: Option<Attempt>,
    hedge: Option<Box<Attempt>>,
}

impl Attempts {
    pub(in crate::client) fn get(&self, slot: Slot) -> Option<&Attempt> {
        match slot {
            Slot::First => self.first.as_ref(),
            Slot::Hedge => self.hedge.as_deref(),
        }
    }

    pub(in crate::client) fn get_mut(&mut self, slot: Slot) -> Option<&mut Attempt> {
        match slot {
            Slot::First => self.first.as_mut(),
            Slot::Hedge => self.hedge.as_deref_mut(),
        }
    }

    pub(in crate::client) fn set(&mut self, slot: Slot, attempt: Attempt) {
        match slot {
            Slot::First => self.first = Some(attempt),
            Slot::Hedge => self.hedge = Some(Box::new(attempt)),
        }
    }

    pub(in crate::client) fn take(&mut self, slot: Slot) -> Option<Attempt> {
        match slot {
            Slot::First => self.first.take(),
            Slot::Hedge => self.hedge.take().map(|attempt| *attempt),
        }
    }

    pub(in crate::client) const fn is_empty(&self) -> bool {
        self.first.is_none() && self.hedge.is_none()
    }
}

/// Servers that were tried: mostly one.
#[derive(Debug, Default)]
pub(in crate::client) struct Tried {
    first: Option<ServerId>,
    others: Vec<ServerId>,
}

impl Tried {
    pub(in crate::client) fn contains(&self, server: ServerId) -> bool {
        self.first == Some(server) || self.others.contains(&server)
    }

    pub(in crate::client) fn add(&mut self, server: ServerId) {
        match self.first {
            None => self.first = Some(server),
            Some(_) if self.contains(server) => {}
            Some(_) => self.others.push(server),
        }
    }
}

/// A call under way.
#[derive(Debug)]
pub(in crate::client) struct Active {
    pub(in crate::client) sequence: u64,
    pub(in crate::client) call: Call,
    pub(in crate::client) deadline: Instant,
    /// How many attempts were begun.
    pub(in crate::client) begun: u32,
    /// How many of them count against [`ClusterOptions::attempts`]: not those that no connection
    /// took.
    ///
    /// [`ClusterOptions::attempts`]: crate::client::ClusterOptions::attempts
    pub(in crate::client) counted: u32,
    pub(in crate::client) attempts: Attempts,
    /// Servers that were tried.
    pub(in crate::client) tried: Tried,
    /// What is known from attempts that failed.
    pub(in crate::client) error: Option<CallError>,
    /// The answer, unless another attempt brings a better one.
    pub(in crate::client) fallback: Option<Box<(ServerId, Answer)>>,
    /// A server that a slow first attempt was hedged with, which is not the key's owner and has nothing.
    pub(in crate::client) missed: Option<ServerId>,
    /// How it goes on once nothing of it is under way.
    pub(in crate::client) next: Option<Next>,
    /// When it is sent to a second server.
    pub(in crate::client) hedge_at: Option<Instant>,
}

impl Active {
    pub(in crate::client) fn new(sequence: u64, call: Call, deadline: Instant) -> Self {
        Self {
            sequence,
            call,
            deadline,
            begun: 0,
            counted: 0,
            attempts: Attempts::default(),
            tried: Tried::default(),
            error: None,
            fallback: None,
            missed: None,
            next: None,
            hedge_at: None,
        }
    }

    /// Whether an attempt or a timer of it has to be ended with it.
    pub(in crate::client) const fn is_to_be_ended(&self) -> bool {
        self.hedge_at.is_some() || !self.attempts.is_empty()
    }

    /// Adds what an attempt that failed tells. What may have been done stays so, whatever became
    /// of later attempts.
    pub(in crate::client) fn note(&mut self, error: CallError) {
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
