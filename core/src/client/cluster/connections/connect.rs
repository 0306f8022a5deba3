//! How connections begin: made, authenticated, and asked whether a server is there again.

use alloc::collections::VecDeque;
use core::time::Duration;

use bytes::Bytes;

use super::{ConnectionId, Link, Purpose, Role, State};
use crate::Instant;
use crate::cannot_happen::cannot_happen;
use crate::client::cluster::Cluster;
use crate::client::cluster::output::ClusterOutput;
use crate::client::error::{ConnectFailure, NotSent};
use crate::client::options::ClusterOptions;
use crate::client::servers::ServerId;
use crate::memcache::request::{EncodeError, Prepared, Request};
use crate::memcache::response::Kind;
use crate::memcache::{AnswerError, ClientConnection, Reason};

/// What a new connection is asked first, and what a probe asks.
pub(in crate::client) fn greeting(
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
    /// Asks for a connection.
    pub(in crate::client) fn open_link(
        &mut self,
        server: ServerId,
        role: Role,
        now: Instant,
    ) -> ConnectionId {
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
            has_sent: false,
            awaits_writer: false,
            is_lent: false,
            armed: None,
            retires_at: None,
            is_retiring: false,
            replaces: None,
            failed_at: None,
            answered: false,
            killed: false,
            holds: false,
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
    pub(in crate::client) fn open_in_advance(&mut self, server: ServerId, now: Instant) {
        let wanted = self.options.opened_in_advance.min(self.options.connections.max(1));
        let have = self.shared_links(server);
        if self.shutting_down || self.servers.get(server).is_none_or(|e| !e.health.is_healthy()) {
            return;
        }
        for _ in have..wanted {
            self.open_link(server, Role::Shared, now);
        }
    }

    pub(in crate::client) fn link_connected(&mut self, at: usize, now: Instant) {
        let coming = self.links.get_mut(at).and_then(|link| match link.state {
            State::Connecting { until } => Some((link, until)),
            State::Open(_) => None,
        });
        let Some((link, until)) = coming else {
            return;
        };
        let options = &self.options;
        let mut open =
            ClientConnection::new(options.dialect, &options.limits, &options.timeouts, now);
        let sent = self.greeting.as_ref().map(|greeting| open.send(greeting, until));
        if let Some(Ok(ticket)) = sent {
            link.tickets.push_back((ticket, Purpose::Greeting));
        }
        link.state = State::Open(open);
        self.mark(at);
        match sent {
            None => self.link_ready(at, now),
            Some(Ok(_)) => {}
            // Who was not asked has let nobody in.
            Some(Err(_)) => {
                self.tell_close(at);
                self.link_refused(at, ConnectFailure::Unauthenticated, now);
            }
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
            return cannot_happen(());
        };
        link.is_greeted = true;
        link.retires_at = age.map(|age| now + age);
        let (role, server) = (link.role, link.server);
        let replaced = link.replaces.take().and_then(|connection| self.link_at(connection));
        if let Some(retires_at) = age.map(|age| now + age) {
            self.arm(at, retires_at);
        }
        if let Some(old) = replaced {
            self.retire_link(old, now);
        }
        if let Some(entry) = self.servers.get_mut(server) {
            entry.counters.connects += 1;
            entry.connect_failures = 0;
            entry.connect_at = None;
        }
        match role {
            Role::Shared => self.serve_waiting(server, now),
            Role::Exclusive(attempt) => self.send(at, attempt, now),
            Role::Probe => self.send_probe(at, now),
            Role::Reserved(_) | Role::Spare => {}
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
        }
        // Where it was not taken, the end of the connection tells that the probe failed.
        self.mark(at);
    }

    /// A connection could not be made, or the server does not let us in.
    pub(in crate::client) fn link_refused(&mut self, at: usize, why: ConnectFailure, now: Instant) {
        let Some(link) = self.remove_link(at) else {
            return cannot_happen(());
        };
        let server = link.server;
        if let Some(entry) = self.servers.get_mut(server) {
            entry.counters.connect_failures += 1;
            entry.connect_failures = entry.connect_failures.saturating_add(1);
            let failures = entry.connect_failures;
            let wait = self.options.health.backoff.draw(failures, &mut self.random);
            // Only what stays in use after failures is asked again and again.
            let kept = failures >= self.options.health.failures.max(1);
            entry.connect_at = kept.then(|| now + wait);
        }
        if let Some(old) = link.replaces.and_then(|connection| self.link_at(connection)) {
            self.stay_for_another_age(old, now);
        }
        let why = NotSent::Connect(why);
        match link.role {
            Role::Probe => self.probe_failed(server, now),
            _ => self.fault(server, why, now),
        }
        if let Role::Exclusive(attempt) = link.role {
            self.not_sent(attempt, why, now);
        }
        if self.shared_links(server) == 0 {
            self.fail_waiting(server, why, now);
        }
    }

    /// A request that was not a call's is over.
    pub(in crate::client) fn internal_done(
        &mut self,
        at: usize,
        purpose: Purpose,
        outcome: Result<(), AnswerError>,
        now: Instant,
    ) {
        let Some(link) = self.links.get_mut(at) else {
            return cannot_happen(());
        };
        let (server, heard) = (link.server, link.heard.take());
        match purpose {
            Purpose::Greeting if outcome.is_ok() && heard == Some(Kind::Stored) => {
                self.link_ready(at, now);
            }
            Purpose::Greeting => {
                let why = match outcome.map_err(AnswerError::reason) {
                    Ok(()) => ConnectFailure::Unauthenticated,
                    Err(Reason::Deadline) => ConnectFailure::TimedOut,
                    Err(_) => ConnectFailure::Other,
                };
                self.tell_close(at);
                self.link_refused(at, why, now);
            }
            Purpose::Probe if outcome.is_ok() => {
                link.answered = true;
                link.role = Role::Shared;
                self.restored(server, now);
            }
            Purpose::Probe => {
                // Its end is told with the connection's, where that has ended.
                if matches!(&link.state, State::Open(open) if open.end().is_none()) {
                    self.close_link(at);
                }
                self.probe_failed(server, now);
            }
            Purpose::Attempt(_) => cannot_happen(()),
        }
    }
}
