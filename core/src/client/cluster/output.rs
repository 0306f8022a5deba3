//! What a cluster tells its adapter.

use alloc::collections::VecDeque;
use core::mem;

use slab::Slab;

use super::Cluster;
use super::calls::{Active, Attempt, AttemptId, CallId};
use super::connections::{ConnectionId, Purpose, ReservationId, State};
use super::timers::Timer;
use crate::Instant;
use crate::cannot_happen::cannot_happen;
use crate::client::answer::Answer;
use crate::client::error::{CallError, NotSent};
use crate::client::servers::ServerId;
use crate::memcache::{AnswerError, ClientOutput, NextFound, Ticket};

/// Nothing at all is to be done before a caller does something: any instant that is far enough.
const FAR: core::time::Duration = core::time::Duration::from_secs(60);

/// A connection is looked at again after this at the earliest: it could not be waited for otherwise.
const TICK: core::time::Duration = core::time::Duration::from_nanos(1);

/// A call that is over.
#[derive(Debug)]
#[non_exhaustive]
pub struct Completed {
    /// Which.
    pub call: CallId,
    /// The number that it was given: [`Call::token`](crate::client::Call::token).
    pub token: usize,
    /// The answer, or what is known of its effect.
    pub outcome: Result<Answer, CallError>,
    /// The server whose answer it is; an error names its own.
    pub answered_by: Option<ServerId>,
    /// The connection that holds the item that was opened.
    pub reservation: Option<ReservationId>,
}

/// Something an operator wants to know of.
///
/// ```
/// use bytes::Bytes;
/// use core::time::Duration;
/// use windhover_core::Instant;
/// use windhover_core::client::{
///     Call, Cluster, ClusterEvent, ClusterOptions, ClusterOutput, ConnectFailure, Server, ServerState,
/// };
/// use windhover_core::memcache::Dialect;
/// use windhover_core::memcache::request::{Prepared, Request};
///
/// let (now, mut options) = (Instant::default(), ClusterOptions::default());
/// options.health.failures = 1;
/// # let version = Prepared::new(&Request::Version, Bytes::new(), Dialect::Memcached, &options.limits)?;
/// let mut cluster = Cluster::new(&[Server::new("10.0.0.1:11211")], options, 42, now)?;
/// let id = cluster.owner(b"key").expect("there is a server");
/// cluster.submit(Call::to(version, id), now + Duration::from_millis(250), now)?;
/// let ClusterOutput::Connect { connection, .. } = cluster.poll_output(now) else { panic!("it connects") };
/// cluster.connect_failed(connection, ConnectFailure::Refused, now);
///
/// let mut events = Vec::new();
/// loop {
///     match cluster.poll_output(now) {
///         ClusterOutput::Event(event) => events.push(event),
///         ClusterOutput::Idle(_) => break,
///         _ => {}
///     }
/// }
/// assert_eq!(events, [ClusterEvent::Ejected { server: id }]);
/// assert_eq!(cluster.state(id), Some(ServerState::Ejected));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClusterEvent {
    /// A server was taken out of use after failures.
    Ejected {
        /// Which.
        server: ServerId,
    },
    /// A server that was out of use has answered, and is in use again.
    Restored {
        /// Which.
        server: ServerId,
    },
}

/// What a cluster wants next; see [`Cluster::poll_output`].
#[derive(Debug)]
#[non_exhaustive]
pub enum ClusterOutput {
    /// Connect to a server's address, then tell [`Cluster::connected`] or
    /// [`Cluster::connect_failed`]. [`Close`](Self::Close) ends the wait for it.
    Connect {
        /// The connection that is to be made.
        connection: ConnectionId,
        /// Where to.
        server: ServerId,
    },
    /// Bytes wait to be written: take them with [`Cluster::unsent`], then tell how many went with
    /// [`Cluster::wrote`].
    Write {
        /// On which connection.
        connection: ConnectionId,
    },
    /// Close the socket, or give up connecting it. The connection is not named again.
    Close {
        /// Which.
        connection: ConnectionId,
    },
    /// A call is over.
    Completed(Completed),
    /// Something to be logged.
    Event(ClusterEvent),
    /// Nothing to do until a call, bytes, or this instant come, which lies behind the one that
    /// [`Cluster::poll_output`] was given.
    Idle(Instant),
    /// Shut down: no call and no connection is left.
    Closed,
}

impl Cluster {
    /// Does what can be done at `now`, and says what comes next.
    pub fn poll_output(&mut self, now: Instant) -> ClusterOutput {
        loop {
            self.fire_timers(now);
            if let Some(output) = self.outputs.pop_front() {
                return output;
            }
            if let Some(at) = self.dirty.pop_front() {
                if let Some(output) = self.poll_link(at, now) {
                    return output;
                }
                continue;
            }
            if self.shutting_down && self.calls.is_empty() {
                let Some((at, _)) = self.links.iter().next() else {
                    return ClusterOutput::Closed;
                };
                self.close_link(at);
                continue;
            }
            // Every timer that is due has fired, and nothing was set since.
            return ClusterOutput::Idle(self.timers.next().unwrap_or(now + FAR));
        }
    }

    fn fire_timers(&mut self, now: Instant) {
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::Attempt(attempt) => self.not_sent(attempt, NotSent::Deadline, now),
                Timer::Hedge(call) => self.hedge(call, now),
                Timer::Link(connection) => self.link_timer(connection, now),
                Timer::Probe(server) => self.probe(server, now),
            }
        }
    }

    /// Looks at one connection until it has nothing more to tell.
    fn poll_link(&mut self, at: usize, now: Instant) -> Option<ClusterOutput> {
        let link = self.links.get_mut(at)?;
        let is_dirty = mem::take(&mut link.is_dirty);
        if !mem::take(&mut link.has_sent) && !is_dirty {
            // Its writer was there meanwhile.
            return None;
        }
        let sequence = link.sequence;
        loop {
            let link = self.links.get_mut(at).filter(|link| link.sequence == sequence)?;
            let server = link.server;
            let State::Open(open) = &mut link.state else {
                return None;
            };
            match open.next_found() {
                Some(NextFound::Items(ticket)) => {
                    if let Some(Purpose::Attempt(id)) = purpose_of(&link.tickets, ticket)
                        && let Some(attempt) = attempt_at(&mut self.calls, id)
                    {
                        open.take_items(&mut attempt.collector);
                        continue;
                    }
                }
                Some(NextFound::Word(ticket, word)) => {
                    match purpose_of(&link.tickets, ticket) {
                        Some(Purpose::Attempt(id)) => {
                            if let Some(attempt) = attempt_at(&mut self.calls, id) {
                                attempt.collector.word(word);
                            }
                        }
                        _ => link.hear(word),
                    }
                    self.request_done(at, ticket, Ok(()), now);
                    continue;
                }
                None => {}
            }
            match open.poll_output(now) {
                ClientOutput::Frame(frame) => match purpose_of(&link.tickets, frame.ticket) {
                    Some(Purpose::Attempt(id)) => {
                        if let Some(attempt) = attempt_at(&mut self.calls, id) {
                            attempt.collector.frame(frame);
                        }
                    }
                    _ => {
                        let kind = frame.response.kind();
                        link.hear(kind);
                    }
                },
                ClientOutput::Oversized { ticket, index, what } => {
                    if let Some(Purpose::Attempt(id)) = purpose_of(&link.tickets, ticket)
                        && let Some(attempt) = attempt_at(&mut self.calls, id)
                    {
                        attempt.collector.oversized(index, what);
                    }
                }
                ClientOutput::Done { ticket, outcome } => {
                    self.request_done(at, ticket, outcome, now);
                }
                ClientOutput::Write => {
                    // However long whoever writes may take.
                    let until = open.next_deadline(now);
                    link.awaits_writer = link.is_lent;
                    self.arm(at, until.max(now + TICK));
                    let connection = ConnectionId { at, sequence };
                    return Some(ClusterOutput::Write { connection });
                }
                ClientOutput::Idle(until) => {
                    open.trim();
                    let until = link.retires_at.map_or(until, |retires_at| until.min(retires_at));
                    self.arm(at, until.max(now + TICK));
                    // A late reply that was discarded made room too.
                    self.serve_waiting(server, now);
                    return None;
                }
                ClientOutput::Close(end) => {
                    let connection = ConnectionId { at, sequence };
                    self.link_ended(at, end, now);
                    return Some(ClusterOutput::Close { connection });
                }
            }
        }
    }

    /// A request on a connection is over.
    fn request_done(
        &mut self,
        at: usize,
        ticket: Ticket,
        outcome: Result<(), AnswerError>,
        now: Instant,
    ) {
        let Some(link) = self.links.get_mut(at) else { return cannot_happen(()) };
        let server = link.server;
        match place_of(&link.tickets, ticket).and_then(|at| link.tickets.remove(at)) {
            Some((_, Purpose::Attempt(id))) => {
                link.answered |= outcome.is_ok();
                self.attempt_done(at, id, outcome, now);
            }
            Some((_, internal)) => self.internal_done(at, internal, outcome, now),
            None => {}
        }
        self.serve_waiting(server, now);
    }
}

/// What a request on a connection was for, where it is under way.
fn purpose_of(tickets: &VecDeque<(Ticket, Purpose)>, ticket: Ticket) -> Option<Purpose> {
    tickets.get(place_of(tickets, ticket)?).map(|&(_, purpose)| purpose)
}

fn place_of(tickets: &VecDeque<(Ticket, Purpose)>, ticket: Ticket) -> Option<usize> {
    // Replies come in the order of the requests.
    if tickets.front().is_some_and(|(first, _)| *first == ticket) {
        return Some(0);
    }
    tickets.binary_search_by_key(&ticket, |&(ticket, _)| ticket).ok()
}

fn attempt_at(calls: &mut Slab<Active>, id: AttemptId) -> Option<&mut Attempt> {
    let active = calls.get_mut(id.call.at()).filter(|it| it.sequence == id.call.sequence())?;
    active.attempts.get_mut(id.slot).filter(|attempt| attempt.number == id.number)
}
