//! Which server and which connection an attempt goes to.

use alloc::vec::Vec;

use super::attempt::{Active, Attempt, AttemptId, CallId, On, Slot};
use super::link::{Link, Role, State};
use super::{Cluster, Timer};
use crate::Instant;
use crate::client::answer::Collector;
use crate::client::call::{Call, Target};
use crate::client::error::{CallError, NotSent};
use crate::client::health::ServerState;
use crate::client::servers::{Entry, ServerId};
use crate::memcache::SendError;
use crate::memcache::request::Prepared;

use super::link::Purpose;

/// Whether a server that was tried before may be tried again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    No,
    Yes,
}

impl Cluster {
    pub(super) fn call(&mut self, id: CallId) -> Option<&mut Active> {
        self.calls.get_mut(id.at()).filter(|active| active.sequence == id.sequence())
    }

    /// Begins the first attempt at a call.
    pub(super) fn begin(&mut self, id: CallId, now: Instant) {
        let Some(active) = self.call(id) else {
            return;
        };
        if active.deadline <= now {
            let error = CallError::NotSent { server: None, why: NotSent::Deadline };
            return self.complete(id, Err(error), None);
        }
        let hedged = active.call.hedged;
        self.try_next(id, Slot::First, Again::Yes, now);
        if let (true, Some(hedge)) = (hedged, self.options.hedge) {
            self.set_timer(now + hedge, Timer::Hedge(id));
        }
    }

    /// Begins an attempt with the next server that the call may go to; ends the call where there is
    /// none and nothing else is under way.
    pub(super) fn try_next(&mut self, id: CallId, slot: Slot, again: Again, now: Instant) {
        match self.choose(id, again, now) {
            Ok(Chosen::Server(server)) => self.place(id, slot, server, now),
            Ok(Chosen::Lease(at)) => self.place_on_lease(id, at, now),
            Err((server, why)) => {
                let Some(active) = self.call(id) else {
                    return;
                };
                // What an attempt was told says more than that there is no other server.
                if active.error.is_none() {
                    active.note(CallError::NotSent { server, why });
                }
                if !active.is_under_way() {
                    self.give_up(id);
                }
            }
        }
    }

    /// The server of the next attempt, or why there is none.
    fn choose(
        &mut self,
        id: CallId,
        again: Again,
        now: Instant,
    ) -> Result<Chosen, (Option<ServerId>, NotSent)> {
        let Some(active) = self.call(id) else {
            return Err((None, NotSent::NoServer));
        };
        let (target, failover) = (active.call.target, active.call.failover);
        let tried = core::mem::take(&mut active.tried);
        let key = active.call.prepared.clone();
        let chosen = self.choose_among(target, failover, again, &tried, &key, now);
        if let Some(active) = self.call(id) {
            active.tried = tried;
        }
        chosen
    }

    fn choose_among(
        &mut self,
        target: Target,
        failover: bool,
        again: Again,
        tried: &[ServerId],
        prepared: &Prepared,
        now: Instant,
    ) -> Result<Chosen, (Option<ServerId>, NotSent)> {
        let untried = |entry: &Entry| is_usable(entry, now) && !tried.contains(&entry.id);
        let usable = |entry: &Entry| is_usable(entry, now);
        let found = match target {
            Target::Lease(lease) => {
                let at = self.link_at(lease.connection()).ok_or((None, NotSent::LeaseLost))?;
                return Ok(Chosen::Lease(at));
            }
            Target::Server(server) => Some(server),
            Target::Key if failover => {
                let key = prepared.key();
                let first = self.servers.owners(key, untried);
                match again {
                    Again::Yes => first.or_else(|| self.servers.owners(key, usable)),
                    Again::No => first,
                }
            }
            Target::Key => self.servers.owner(prepared.key()),
            Target::Any => {
                let first = self.servers.next(&mut self.random, untried);
                match again {
                    Again::Yes => first.or_else(|| self.servers.next(&mut self.random, usable)),
                    Again::No => first,
                }
            }
        };
        let none = if self.servers.iter().any(|entry| entry.server.weight > 0) {
            NotSent::Ejected
        } else {
            NotSent::NoServer
        };
        let server = found.ok_or((None, none))?;
        let entry = self.servers.get(server).ok_or((None, NotSent::NoServer))?;
        if !is_usable(entry, now) {
            return Err((Some(server), NotSent::Ejected));
        }
        if again == Again::No && tried.contains(&server) {
            return Err((Some(server), NotSent::Ejected));
        }
        Ok(Chosen::Server(server))
    }

    /// Notes a new attempt at a call: how it is named, what it sends, until when.
    fn new_attempt(
        &mut self,
        id: CallId,
        slot: Slot,
        server: ServerId,
        now: Instant,
    ) -> Option<(AttemptId, Call, Instant)> {
        let attempt_timeout = self.options.attempt_timeout;
        let attempts = self.options.attempts;
        let others = self.servers.iter().filter(|entry| is_usable(entry, now)).count() > 1;
        let active = self.call(id)?;
        active.begun += 1;
        if !active.tried.contains(&server) {
            active.tried.push(server);
        }
        let call = active.call.clone();
        let may_move = call.failover && others && active.begun < attempts;
        let wait = call.prepared.expected().wait;
        let deadline = if may_move {
            active.deadline.min(now + attempt_timeout + wait)
        } else {
            active.deadline
        };
        let number = active.begun;
        let attempt = Attempt {
            number,
            server,
            on: On::Waiting,
            since: now,
            deadline,
            collector: Collector::new(call.prepared.expected().batch.is_some()),
        };
        *active.attempt(slot) = Some(attempt);
        if let Some(entry) = self.servers.get_mut(server) {
            entry.counters.hedges += u64::from(slot == Slot::Hedge);
            entry.counters.retries += u64::from(slot == Slot::First && number > 1);
        }
        Some((AttemptId { call: id, slot, number }, call, deadline))
    }

    fn place(&mut self, id: CallId, slot: Slot, server: ServerId, now: Instant) {
        let Some((attempt, call, deadline)) = self.new_attempt(id, slot, server, now) else {
            return;
        };
        if call.exclusive {
            return self.place_exclusive(attempt, server, deadline, now);
        }
        let best = self.best_link(server);
        if let Some((at, in_flight)) = best {
            self.send(at, attempt, now);
            let more = in_flight > 0 && self.shared_links(server) < self.options.connections;
            if more {
                self.open_link(server, Role::Shared, now);
            }
            return;
        }
        if self.shared_links(server) < self.options.connections.max(1) {
            self.open_link(server, Role::Shared, now);
        }
        if let Some(entry) = self.servers.get_mut(server) {
            entry.waiting.push_back(attempt);
        }
        self.set_timer(deadline, Timer::Attempt(attempt));
    }

    fn place_exclusive(
        &mut self,
        attempt: AttemptId,
        server: ServerId,
        deadline: Instant,
        now: Instant,
    ) {
        let links: Vec<usize> =
            self.servers.get(server).map(|entry| entry.links.clone()).unwrap_or_default();
        let role = |at: usize| self.links.get(at).map(|link| link.role);
        let spare = links.iter().copied().find(|&at| {
            role(at) == Some(Role::Spare) && self.links.get(at).is_some_and(Link::takes_calls)
        });
        if let Some(at) = spare {
            if let Some(link) = self.links.get_mut(at) {
                link.role = Role::Exclusive(attempt);
            }
            return self.send(at, attempt, now);
        }
        let in_use = links.iter().filter(|&&at| role(at).is_some_and(Role::is_exclusive)).count();
        if in_use >= self.options.exclusive {
            return self.not_sent(attempt, server, NotSent::Overloaded, now);
        }
        let connection = self.open_link(server, Role::Exclusive(attempt), now);
        if let Some(placed) = self.attempt_mut(attempt) {
            placed.on = On::Connecting(connection);
        }
        self.set_timer(deadline, Timer::Attempt(attempt));
    }

    fn place_on_lease(&mut self, id: CallId, at: usize, now: Instant) {
        let Some(server) = self.links.get(at).map(|link| link.server) else {
            return;
        };
        if let Some((attempt, ..)) = self.new_attempt(id, Slot::First, server, now) {
            self.send(at, attempt, now);
        }
    }

    /// The exclusive connection of an attempt is there.
    pub(super) fn send_exclusive(&mut self, at: usize, attempt: AttemptId, now: Instant) {
        if self.attempt_mut(attempt).is_some() {
            self.send(at, attempt, now);
        } else if let Some(link) = self.links.get_mut(at) {
            link.role = Role::Spare;
        }
    }

    /// The shared connection with the fewest requests under way.
    fn best_link(&self, server: ServerId) -> Option<(usize, usize)> {
        let links = &self.servers.get(server)?.links;
        links
            .iter()
            .filter_map(|&at| Some((at, self.links.get(at)?)))
            .filter(|(_, link)| link.role == Role::Shared && link.takes_calls())
            .map(|(at, link)| (at, link.in_flight()))
            .min_by_key(|&(_, in_flight)| in_flight)
    }

    fn send(&mut self, at: usize, attempt: AttemptId, now: Instant) {
        let Some(active) = self.call(attempt.call) else {
            return;
        };
        let prepared = active.call.prepared.clone();
        let Some(placed) = active.attempt(attempt.slot) else {
            return;
        };
        let (server, deadline) = (placed.server, placed.deadline);
        let Some(connection) = self.connection_id(at) else {
            return self.not_sent(attempt, server, NotSent::LeaseLost, now);
        };
        let sent = match self.links.get_mut(at).map(|link| &mut link.state) {
            Some(State::Open(open)) => open.send(&prepared, deadline),
            _ => Err(SendError::Ended),
        };
        match sent {
            Ok(ticket) => {
                if let Some(link) = self.links.get_mut(at) {
                    link.tickets.push_back((ticket, Purpose::Attempt(attempt)));
                }
                if let Some(placed) = self.attempt_mut(attempt) {
                    placed.on = On::Sent(connection, ticket);
                }
                if let Some(entry) = self.servers.get_mut(server) {
                    entry.counters.sent += 1;
                }
                self.mark(at);
            }
            Err(error) => {
                let why = match error {
                    SendError::Full => NotSent::Overloaded,
                    SendError::OtherDialect => NotSent::OtherDialect,
                    SendError::Ended => NotSent::LeaseLost,
                };
                self.not_sent(attempt, server, why, now);
            }
        }
    }

    /// Gives what waits for a server to its connections, as long as they take it.
    pub(super) fn serve_waiting(&mut self, server: ServerId, now: Instant) {
        loop {
            let Some(front) = self.servers.get(server).and_then(|e| e.waiting.front().copied())
            else {
                return;
            };
            let waits =
                self.attempt_mut(front).is_some_and(|placed| matches!(placed.on, On::Waiting));
            if waits {
                let Some((at, _)) = self.best_link(server) else {
                    if self.shared_links(server) == 0 {
                        self.open_link(server, Role::Shared, now);
                    }
                    return;
                };
                self.pop_waiting(server);
                self.send(at, front, now);
            } else {
                self.pop_waiting(server);
            }
        }
    }

    fn pop_waiting(&mut self, server: ServerId) {
        if let Some(entry) = self.servers.get_mut(server) {
            entry.waiting.pop_front();
        }
    }

    pub(super) fn attempt_mut(&mut self, id: AttemptId) -> Option<&mut Attempt> {
        let placed = self.call(id.call)?.attempt(id.slot).as_mut()?;
        (placed.number == id.number).then_some(placed)
    }

    pub(super) fn take_attempt(&mut self, id: AttemptId) -> Option<Attempt> {
        self.attempt_mut(id)?;
        self.call(id.call)?.attempt(id.slot).take()
    }

    /// The first server of a hedged call is slow: asks a second one.
    pub(super) fn hedge(&mut self, id: CallId, now: Instant) {
        let attempts = self.options.attempts;
        let Some(active) = self.call(id) else {
            return;
        };
        let waits = active.attempt(Slot::First).is_some() && active.attempt(Slot::Hedge).is_none();
        if waits && active.begun < attempts && active.deadline > now && self.budget.take(now) {
            let failover =
                self.call(id).map(|active| core::mem::replace(&mut active.call.failover, true));
            self.try_next(id, Slot::Hedge, Again::No, now);
            if let (Some(active), Some(failover)) = (self.call(id), failover) {
                active.call.failover = failover;
            }
        }
    }

    /// Ends what is under way of a call that is over.
    pub(super) fn drop_attempts(&mut self, active: &mut Active) {
        for attempt in active.attempts() {
            match attempt.on {
                On::Waiting => {}
                On::Connecting(connection) => {
                    if let Some(at) = self.link_at(connection)
                        && let Some(link) = self.links.get_mut(at)
                    {
                        link.role = Role::Spare;
                    }
                }
                On::Sent(connection, ticket) => {
                    let Some(at) = self.link_at(connection) else {
                        continue;
                    };
                    let Some(link) = self.links.get_mut(at) else {
                        continue;
                    };
                    if link.role.is_exclusive() {
                        // Its answer might be an item: the server keeps it when nobody listens.
                        self.close_link(at);
                        continue;
                    }
                    if let State::Open(open) = &mut link.state {
                        open.cancel(ticket);
                    }
                    link.tickets.retain(|&(other, _)| other != ticket);
                    self.mark(at);
                }
            }
        }
    }
}

enum Chosen {
    Server(ServerId),
    /// The leased connection, by its place.
    Lease(usize),
}

fn is_usable(entry: &Entry, now: Instant) -> bool {
    entry.health.state() == ServerState::Healthy
        && entry.connect_at.is_none_or(|connect_at| connect_at <= now)
}
