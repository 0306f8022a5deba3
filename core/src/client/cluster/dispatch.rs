//! Which connection an attempt goes to.

use super::Cluster;
use super::attempt::{Active, Again, Attempt, AttemptId, CallId, On, Slot};
use super::choice::{Chosen, is_usable};
use super::link::{Purpose, Role, State};
use super::timers::Timer;
use crate::Instant;
use crate::client::answer::Collector;
use crate::client::call::{Repeat, Target};
use crate::client::error::{CallError, NotSent};
use crate::client::servers::ServerId;
use crate::memcache::{End, SendError};

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
        // What is bound to one server cannot be asked of another.
        let hedged = active.call.hedged && matches!(active.call.target, Target::Key | Target::Any);
        if let (true, Some(hedge)) = (hedged, self.options.hedge) {
            let at = now + hedge;
            self.timers.set(at, Timer::Hedge(id));
            if let Some(active) = self.call(id) {
                active.hedge_at = Some(at);
            }
        }
        self.try_next(id, Again::Yes, now);
    }

    /// Begins an attempt with the next server that the call may go to; ends the call where there is
    /// none and nothing else is under way.
    pub(super) fn try_next(&mut self, id: CallId, again: Again, now: Instant) {
        match self.choose(id, Slot::First, again, now) {
            Ok(Chosen::Server(server)) => self.place(id, Slot::First, server, now),
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

    /// Notes a new attempt at a call.
    fn new_attempt(
        &mut self,
        id: CallId,
        slot: Slot,
        server: ServerId,
        now: Instant,
    ) -> Option<AttemptId> {
        let active = self.calls.get_mut(id.at()).filter(|it| it.sequence == id.sequence())?;
        active.begun += 1;
        active.counted += 1;
        if !active.tried.contains(&server) {
            active.tried.push(server);
        }
        let (call, links, tried) = (&active.call, &self.links, &active.tried);
        let has_another = call.failover
            && active.counted < self.options.attempts
            && self.servers.iter().any(|entry| {
                entry.server.weight > 0
                    && !tried.contains(&entry.id)
                    && is_usable(links, entry, now)
            });
        // To wait less than the call itself does makes sense only where it may then go elsewhere.
        let within = |allowed: bool, wait| {
            if has_another && allowed {
                active.deadline.min(now + self.options.attempt_timeout + wait)
            } else {
                active.deadline
            }
        };
        let expected = call.prepared.expected();
        let number = active.begun;
        let attempt = Attempt {
            number,
            server,
            on: On::Waiting(0),
            since: now,
            patience: within(call.repeat != Repeat::Never, core::time::Duration::ZERO),
            deadline: within(call.repeat == Repeat::AtLeastOnce, expected.wait),
            collector: Collector::new(expected.batch.is_some()),
        };
        *active.attempt(slot) = Some(attempt);
        if let Some(entry) = self.servers.get_mut(server) {
            entry.counters.hedges += u64::from(slot == Slot::Hedge);
            entry.counters.retries += u64::from(slot == Slot::First && number > 1);
        }
        Some(AttemptId { call: id, slot, number })
    }

    fn place(&mut self, id: CallId, slot: Slot, server: ServerId, now: Instant) {
        let Some(attempt) = self.new_attempt(id, slot, server, now) else {
            return;
        };
        // An item that is set aside belongs to a connection: it cannot be shared.
        let alone =
            self.call(id).is_some_and(|it| it.call.exclusive || it.call.prepared.expected().opens);
        if alone {
            return self.place_exclusive(attempt, server, now);
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
        self.sequence += 1;
        let place = self.sequence;
        if let Some(entry) = self.servers.get_mut(server) {
            entry.waiting.insert(place, attempt);
        }
        self.wait_on(attempt, On::Waiting(place));
    }

    /// An attempt waits for a connection, for so long.
    fn wait_on(&mut self, attempt: AttemptId, on: On) {
        if let Some(placed) = self.attempt_mut(attempt) {
            placed.on = on;
            let patience = placed.patience;
            self.timers.set(patience, Timer::Attempt(attempt));
        }
    }

    fn place_exclusive(&mut self, attempt: AttemptId, server: ServerId, now: Instant) {
        let links = self.servers.get(server).map_or(&[][..], |entry| &entry.links);
        let mut in_use = 0;
        let (mut spare, mut coming) = (None, None);
        for &at in links {
            let Some(link) = self.links.get(at) else {
                continue;
            };
            in_use += usize::from(link.role.is_exclusive());
            if link.role == Role::Spare && link.takes_calls() {
                spare = Some(at);
            } else if link.role == Role::Spare && link.is_coming() {
                coming = Some(at);
            }
        }
        if let Some(at) = spare {
            if let Some(link) = self.links.get_mut(at) {
                link.role = Role::Exclusive(attempt);
            }
            return self.send(at, attempt, now);
        }
        // One that a call has asked for that is over meanwhile.
        if let Some(at) = coming
            && let Some(connection) = self.connection_id(at)
            && let Some(link) = self.links.get_mut(at)
        {
            link.role = Role::Exclusive(attempt);
            return self.wait_on(attempt, On::Connecting(connection));
        }
        if in_use >= self.options.exclusive {
            return self.not_sent(attempt, server, NotSent::Overloaded, now);
        }
        let connection = self.open_link(server, Role::Exclusive(attempt), now);
        self.wait_on(attempt, On::Connecting(connection));
    }

    fn place_on_lease(&mut self, id: CallId, at: usize, now: Instant) {
        let Some(server) = self.links.get(at).map(|link| link.server) else {
            return;
        };
        if let Some(attempt) = self.new_attempt(id, Slot::First, server, now) {
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
        let connection = self.connection_id(at);
        let call = attempt.call;
        let active = self.calls.get_mut(call.at()).filter(|it| it.sequence == call.sequence());
        let Some(active) = active else {
            return;
        };
        let Some((server, deadline)) =
            active.attempt(attempt.slot).as_ref().map(|placed| (placed.server, placed.deadline))
        else {
            return;
        };
        let (Some(connection), Some(link)) = (connection, self.links.get_mut(at)) else {
            return;
        };
        let sent = match &mut link.state {
            State::Open(open) => {
                let sent = open.send(&active.call.prepared, deadline);
                sent.map_err(|error| match error {
                    SendError::Full => NotSent::Overloaded,
                    SendError::OtherDialect => NotSent::OtherDialect,
                    SendError::Ended => NotSent::Connection(open.end().unwrap_or(End::EndOfStream)),
                })
            }
            State::Connecting { .. } => Err(NotSent::Overloaded),
        };
        match sent {
            Ok(ticket) => {
                link.tickets.push_back((ticket, Purpose::Attempt(attempt)));
                if let Some(placed) = active.attempt(attempt.slot) {
                    let waited =
                        core::mem::replace(&mut placed.on, On::Sent(connection, ticket, now));
                    if !matches!(waited, On::Sent(..)) {
                        self.timers.unset(placed.patience, Timer::Attempt(attempt));
                    }
                }
                if let Some(entry) = self.servers.get_mut(server) {
                    entry.counters.sent += 1;
                }
                self.mark(at);
            }
            Err(why) => {
                if self.links.get(at).is_some_and(|it| it.role == Role::Exclusive(attempt)) {
                    self.return_link(at, now);
                }
                self.not_sent(attempt, server, why, now);
            }
        }
    }

    /// Gives what waits for a server to its connections, as long as they take it.
    pub(super) fn serve_waiting(&mut self, server: ServerId, now: Instant) {
        while let Some(entry) = self.servers.get_mut(server)
            && let Some((&place, &front)) = entry.waiting.first_key_value()
        {
            let Some((at, _)) = self.best_link(server) else {
                if self.shared_links(server) == 0 {
                    self.open_link(server, Role::Shared, now);
                }
                return;
            };
            if let Some(entry) = self.servers.get_mut(server) {
                entry.waiting.remove(&place);
            }
            self.send(at, front, now);
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
        active.hedge_at = None;
        let waits = active.attempt(Slot::First).is_some() && active.attempt(Slot::Hedge).is_none();
        if waits
            && active.counted < attempts
            && active.deadline > now
            && let Ok(Chosen::Server(server)) = self.choose(id, Slot::Hedge, Again::No, now)
            && self.budget.take(now)
        {
            self.place(id, Slot::Hedge, server, now);
        }
    }

    /// Ends what is under way of a call that is over.
    pub(super) fn drop_attempts(&mut self, id: CallId, active: &mut Active) {
        if let Some(hedge_at) = active.hedge_at.take() {
            self.timers.unset(hedge_at, Timer::Hedge(id));
        }
        for (slot, attempt) in active.take_attempts() {
            let Some(attempt) = attempt else {
                continue;
            };
            let on = attempt.on;
            self.stop_waiting(AttemptId { call: id, slot, number: attempt.number }, &attempt);
            let On::Sent(connection, ticket, _) = on else {
                continue;
            };
            let Some(at) = self.link_at(connection) else {
                continue;
            };
            let Some(link) = self.links.get_mut(at) else {
                continue;
            };
            link.tickets.retain(|&(other, _)| other != ticket);
            if link.role.is_exclusive() {
                // Its answer might be an item: the server keeps it when nobody listens.
                self.close_link(at);
                continue;
            }
            if let State::Open(open) = &mut link.state {
                open.cancel(ticket);
            }
            self.mark(at);
        }
    }

    /// An attempt does not wait for a connection any more.
    pub(super) fn stop_waiting(&mut self, id: AttemptId, attempt: &Attempt) {
        match attempt.on {
            On::Sent(..) => return,
            On::Waiting(place) => {
                if let Some(entry) = self.servers.get_mut(attempt.server) {
                    entry.waiting.remove(&place);
                }
            }
            On::Connecting(connection) => {
                if let Some(at) = self.link_at(connection)
                    && let Some(link) = self.links.get_mut(at)
                {
                    link.role = Role::Spare;
                }
            }
        }
        self.timers.unset(attempt.patience, Timer::Attempt(id));
    }
}
