//! Connections: how they come, what they are for, and how they go.

use alloc::collections::VecDeque;
use core::time::Duration;

use bytes::Bytes;

use super::attempt::AttemptId;
use super::output::ClusterOutput;
use super::{Cluster, Timer};
use crate::Instant;
use crate::client::error::{ConnectFailure, NotSent};
use crate::client::options::ClusterOptions;
use crate::client::servers::ServerId;
use crate::memcache::request::{EncodeError, Prepared, Request};
use crate::memcache::response::Kind;
use crate::memcache::{ClientConnection, End, Ticket, Unanswered};

/// Which connection. Ids are given once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId {
    at: usize,
    sequence: u64,
}

impl ConnectionId {
    /// A number that no other connection of the cluster has or had.
    pub const fn number(self) -> u64 {
        self.sequence
    }
}

/// Which lease: an item that a server has set aside for one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(pub(super) ConnectionId);

impl LeaseId {
    pub(super) const fn connection(self) -> ConnectionId {
        self.0
    }
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// For every call.
    Shared,
    /// For the attempt that it was made for, or that uses it alone.
    Exclusive(AttemptId),
    /// It holds an item that is open.
    Leased,
    /// Exclusive, and nobody uses it.
    Spare,
    /// To find out whether the server is there again.
    Probe,
}

impl Role {
    pub(super) const fn is_exclusive(self) -> bool {
        matches!(self, Self::Exclusive(_) | Self::Leased | Self::Spare)
    }
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all of them are open")]
pub(super) enum State {
    Connecting { until: Instant },
    Open(ClientConnection),
}

/// What a request on a connection was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Attempt(AttemptId),
    /// The credentials.
    Greeting,
    /// Whether the server is there again.
    Probe,
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Link {
    pub(super) sequence: u64,
    pub(super) server: ServerId,
    pub(super) role: Role,
    pub(super) state: State,
    pub(super) tickets: VecDeque<(Ticket, Purpose)>,
    /// The credentials were accepted, or are not asked for.
    pub(super) is_greeted: bool,
    /// What the server said to the credentials or to a probe.
    heard: Option<Kind>,
    pub(super) is_dirty: bool,
    /// The earliest instant that a timer of it is set to.
    armed: Option<Instant>,
    retires_at: Option<Instant>,
    is_retiring: bool,
    /// Calls ended with an error because it ended.
    pub(super) killed: bool,
}

impl Link {
    pub(super) fn in_flight(&self) -> usize {
        match &self.state {
            State::Open(open) => open.in_flight(),
            State::Connecting { .. } => 0,
        }
    }

    /// Whether a call could be given to it.
    pub(super) fn takes_calls(&self) -> bool {
        match &self.state {
            State::Open(open) => self.is_greeted && !self.is_retiring && open.takes_requests(),
            State::Connecting { .. } => false,
        }
    }

    /// Notes a frame that is not a call's.
    pub(super) fn hear(&mut self, frame: Kind) {
        self.heard = Some(frame);
    }
}

/// What a new connection is asked first, and what a probe asks.
pub(super) fn greeting(
    options: &ClusterOptions,
) -> Result<(Option<Prepared>, Prepared), EncodeError> {
    let prepare = |request: &Request<'_>| {
        Prepared::new(request, Bytes::new(), options.dialect, &options.limits)
    };
    let greeting = match &options.credentials {
        None => None,
        Some(who) => {
            Some(prepare(&Request::Authenticate { user: &who.user, password: &who.password })?)
        }
    };
    Ok((greeting, prepare(&Request::Version)?))
}

impl Cluster {
    pub(super) fn link_at(&self, connection: ConnectionId) -> Option<usize> {
        let link = self.links.get(connection.at)?;
        (link.sequence == connection.sequence).then_some(connection.at)
    }

    pub(super) fn connection_id(&self, at: usize) -> Option<ConnectionId> {
        Some(ConnectionId { at, sequence: self.links.get(at)?.sequence })
    }

    /// Something happened to a connection: it is to be looked at.
    pub(super) fn mark(&mut self, at: usize) {
        if let Some(link) = self.links.get_mut(at)
            && !link.is_dirty
        {
            link.is_dirty = true;
            self.dirty.push_back(at);
        }
    }

    pub(super) fn with_open(
        &mut self,
        connection: ConnectionId,
        change: impl FnOnce(&mut ClientConnection),
    ) {
        let Some(at) = self.link_at(connection) else {
            return;
        };
        if let Some(Link { state: State::Open(open), .. }) = self.links.get_mut(at) {
            change(open);
            self.mark(at);
        }
    }

    /// Asks for a connection.
    pub(super) fn open_link(&mut self, server: ServerId, role: Role, now: Instant) -> ConnectionId {
        self.sequence += 1;
        let until = now + self.options.connect_timeout;
        let at = self.links.insert(Link {
            sequence: self.sequence,
            server,
            role,
            state: State::Connecting { until },
            tickets: VecDeque::new(),
            is_greeted: self.greeting.is_none(),
            heard: None,
            is_dirty: false,
            armed: None,
            retires_at: None,
            is_retiring: false,
            killed: false,
        });
        let connection = ConnectionId { at, sequence: self.sequence };
        if let Some(entry) = self.servers.get_mut(server) {
            entry.links.push(at);
        }
        self.arm(at, until);
        self.outputs.push_back(ClusterOutput::Connect { connection, server });
        connection
    }

    /// Makes the connections that are to be there before they are needed.
    pub(super) fn warm(&mut self, server: ServerId, now: Instant) {
        let wanted = self.options.warm.min(self.options.connections.max(1));
        let have = self.shared_links(server);
        if self.shutting_down || self.servers.get(server).is_none_or(|e| !e.health.is_healthy()) {
            return;
        }
        for _ in have..wanted {
            self.open_link(server, Role::Shared, now);
        }
    }

    /// How many shared connections a server has, those being made among them.
    pub(super) fn shared_links(&self, server: ServerId) -> usize {
        let links = self.servers.get(server).map_or(&[][..], |entry| &entry.links);
        let shared = |at: &&usize| {
            self.links.get(**at).is_some_and(|link| link.role == Role::Shared && !link.is_retiring)
        };
        links.iter().filter(shared).count()
    }

    /// A timer of the connection is set to that instant, or to an earlier one already.
    pub(super) fn arm(&mut self, at: usize, until: Instant) {
        let Some(link) = self.links.get_mut(at) else {
            return;
        };
        if link.armed.is_none_or(|armed| until < armed) {
            link.armed = Some(until);
            let connection = ConnectionId { at, sequence: link.sequence };
            self.set_timer(until, Timer::Link(connection));
        }
    }

    pub(super) fn link_timer(&mut self, connection: ConnectionId, now: Instant) {
        let Some(at) = self.link_at(connection) else {
            return;
        };
        let Some(link) = self.links.get_mut(at) else {
            return;
        };
        if link.armed.is_none_or(|armed| now < armed) {
            return;
        }
        link.armed = None;
        let retires = link.retires_at.is_some_and(|retires_at| retires_at <= now);
        match &link.state {
            State::Connecting { until } if *until <= now => {
                self.outputs.push_back(ClusterOutput::Close { connection });
                self.link_refused(at, ConnectFailure::TimedOut, now);
            }
            State::Connecting { until } => {
                let until = *until;
                self.arm(at, until);
            }
            State::Open(_) => {
                if retires {
                    self.replace_link(at, now);
                }
                self.mark(at);
            }
        }
    }

    /// A connection has grown old: another one takes its place.
    fn replace_link(&mut self, at: usize, now: Instant) {
        let Some(link) = self.links.get_mut(at) else {
            return;
        };
        let (role, server) = (link.role, link.server);
        match role {
            Role::Shared => {
                self.retire_link(at);
                self.warm(server, now);
            }
            Role::Spare => self.close_link(at),
            // In use: once it is given back.
            Role::Exclusive(_) | Role::Leased | Role::Probe => {}
        }
    }

    /// Gives no more calls to a connection, and closes it when those under way are answered.
    pub(super) fn retire_link(&mut self, at: usize) {
        let Some(link) = self.links.get_mut(at) else {
            return;
        };
        link.is_retiring = true;
        match &mut link.state {
            State::Open(open) => {
                open.shut_down();
                self.mark(at);
            }
            State::Connecting { .. } => self.close_link(at),
        }
    }

    pub(super) fn link_connected(&mut self, at: usize, now: Instant) {
        let Some(link) = self.links.get_mut(at) else {
            return;
        };
        let State::Connecting { until } = link.state else {
            return;
        };
        let options = &self.options;
        let mut open =
            ClientConnection::new(options.dialect, &options.limits, &options.timeouts, now);
        let greeted = match &self.greeting {
            None => true,
            Some(greeting) => match open.send(greeting, until) {
                Ok(ticket) => {
                    link.tickets.push_back((ticket, Purpose::Greeting));
                    false
                }
                Err(_) => true,
            },
        };
        link.state = State::Open(open);
        self.mark(at);
        if greeted {
            self.link_ready(at, now);
        }
    }

    /// A connection may be used.
    fn link_ready(&mut self, at: usize, now: Instant) {
        let max_age = self.options.max_age;
        // Not all of them at the same moment.
        let age = max_age.map(|age| {
            let tenth = u64::try_from((age / 10).as_nanos()).unwrap_or(u64::MAX);
            age.saturating_sub(Duration::from_nanos(self.random.below(tenth)))
        });
        let Some(link) = self.links.get_mut(at) else {
            return;
        };
        link.is_greeted = true;
        link.retires_at = age.map(|age| now + age);
        let (role, server) = (link.role, link.server);
        if let Some(retires_at) = link.retires_at {
            self.arm(at, retires_at);
        }
        if let Some(entry) = self.servers.get_mut(server) {
            entry.counters.connects += 1;
            entry.connect_failures = 0;
            entry.connect_at = None;
        }
        match role {
            Role::Shared => self.serve_waiting(server, now),
            Role::Exclusive(attempt) => self.send_exclusive(at, attempt, now),
            Role::Probe => self.send_probe(at, now),
            Role::Leased | Role::Spare => {}
        }
    }

    fn send_probe(&mut self, at: usize, now: Instant) {
        let deadline = now + self.options.attempt_timeout;
        let probe = self.probe.clone();
        if let Some(link) = self.links.get_mut(at)
            && let State::Open(open) = &mut link.state
            && let Ok(ticket) = open.send(&probe, deadline)
        {
            link.tickets.push_back((ticket, Purpose::Probe));
            self.mark(at);
        }
    }

    /// A connection could not be made, or the server does not let us in.
    pub(super) fn link_refused(&mut self, at: usize, why: ConnectFailure, now: Instant) {
        let Some(link) = self.remove_link(at) else {
            return;
        };
        if let Some(entry) = self.servers.get_mut(link.server) {
            entry.counters.connect_failures += 1;
            entry.connect_failures = entry.connect_failures.saturating_add(1);
            let failures = entry.connect_failures;
            let wait = self.options.health.backoff.draw(failures, &mut self.random);
            // Only what stays in use after failures is asked again and again.
            let kept = failures >= self.options.health.failures.max(1);
            entry.connect_at = kept.then(|| now + wait);
        }
        self.fault(link.server, now);
        if let Role::Exclusive(attempt) = link.role {
            self.not_sent(attempt, link.server, NotSent::Connect(why), now);
        }
        if self.shared_links(link.server) == 0 {
            self.fail_waiting(link.server, NotSent::Connect(why), now);
        }
    }

    /// A request that was not a call's is over.
    pub(super) fn internal_done(
        &mut self,
        at: usize,
        purpose: Purpose,
        outcome: Result<(), Unanswered>,
        now: Instant,
    ) {
        let Some(link) = self.links.get_mut(at) else {
            return;
        };
        let (server, heard) = (link.server, link.heard.take());
        match purpose {
            Purpose::Greeting if outcome.is_ok() && heard == Some(Kind::Stored) => {
                self.link_ready(at, now);
            }
            Purpose::Greeting => {
                if let Some(connection) = self.connection_id(at) {
                    self.outputs.push_back(ClusterOutput::Close { connection });
                }
                let why = if outcome.is_ok() {
                    ConnectFailure::Unauthenticated
                } else {
                    ConnectFailure::TimedOut
                };
                self.link_refused(at, why, now);
            }
            Purpose::Probe if outcome.is_ok() => {
                link.role = Role::Shared;
                self.restored(server, now);
            }
            Purpose::Probe => {
                // Its end is told with the connection's, where that has ended.
                if matches!(&link.state, State::Open(open) if open.end().is_none()) {
                    self.close_link(at);
                }
                self.fault(server, now);
            }
            Purpose::Attempt(_) => {}
        }
    }

    /// Takes a connection out; its requests were told their ends, or belong to nobody.
    pub(super) fn remove_link(&mut self, at: usize) -> Option<Link> {
        let link = self.links.try_remove(at)?;
        if let Some(entry) = self.servers.get_mut(link.server) {
            entry.links.retain(|&other| other != at);
        }
        Some(link)
    }

    /// Closes a connection that no call depends on any more.
    pub(super) fn close_link(&mut self, at: usize) {
        if let Some(connection) = self.connection_id(at) {
            self.outputs.push_back(ClusterOutput::Close { connection });
            self.remove_link(at);
        }
    }

    /// An exclusive connection is not needed any more.
    pub(super) fn return_link(&mut self, connection: ConnectionId, now: Instant) {
        let Some(at) = self.link_at(connection) else {
            return;
        };
        let Some(link) = self.links.get_mut(at) else {
            return;
        };
        let old = link.retires_at.is_some_and(|retires_at| retires_at <= now);
        let gone = self.servers.get(link.server).is_none();
        if old || gone || link.in_flight() > 0 || !link.takes_calls() {
            return self.close_link(at);
        }
        link.role = Role::Spare;
    }

    /// The connection has come to its end; every request on it was told so before.
    pub(super) fn link_ended(&mut self, at: usize, end: End, now: Instant) {
        let Some(link) = self.remove_link(at) else {
            return;
        };
        // A server may close a connection that nobody uses.
        let unused = matches!(end, End::EndOfStream | End::Broken) && !link.killed;
        if end.is_fault() && !unused && link.role != Role::Probe {
            self.fault(link.server, now);
        }
        self.warm(link.server, now);
        self.serve_waiting(link.server, now);
    }
}
