//! Which connection an attempt goes to.

use super::selection::{Selected, is_usable};
use super::{Active, Again, Attempt, AttemptId, CallId, On, Slot};
use crate::Instant;
use crate::cannot_happen::cannot_happen;
use crate::client::answer::Collector;
use crate::client::call::{Call, Retry, Target};
use crate::client::cluster::Cluster;
use crate::client::cluster::connections::{ConnectionId, Link, Purpose, Role, State};
use crate::client::cluster::timers::Timer;
use crate::client::error::{CallError, NotSent};
use crate::client::servers::ServerId;
use crate::memcache::{End, SendError, Ticket};

impl Cluster {
    pub(in crate::client) fn call(&mut self, id: CallId) -> Option<&mut Active> {
        self.calls.get_mut(id.at()).filter(|active| active.sequence == id.sequence())
    }

    /// Takes a call, and begins the first attempt at it.
    pub(in crate::client) fn begin(
        &mut self,
        call: Call,
        deadline: Instant,
        now: Instant,
    ) -> CallId {
        self.sequence += 1;
        let id = CallId::new(self.calls.vacant_key(), self.sequence);
        // What is bound to one server cannot be asked of another.
        let hedged = call.hedged && matches!(call.target, Target::Key | Target::Any);
        let mut active = Active::new(self.sequence, call, deadline);
        if let (true, Some(hedge)) = (hedged && deadline > now, self.options.hedge) {
            let at = now + hedge;
            self.timers.set(at, Timer::Hedge(id));
            active.hedge_at = Some(at);
        }
        self.calls.insert(active);
        if deadline <= now {
            let error = CallError::NotSent { server: None, why: NotSent::Deadline };
            self.complete(id, None, Err(error), None);
        } else {
            self.try_next(id, Again::Yes, now);
        }
        id
    }

    /// Begins an attempt with the next server that the call may go to; ends the call where there is
    /// none. Nothing of it is under way.
    pub(in crate::client) fn try_next(&mut self, id: CallId, again: Again, now: Instant) {
        match self.choose(id, Slot::First, again, now) {
            Ok(Selected::Server(server)) => self.place(id, Slot::First, server, now),
            Ok(Selected::Reservation(at, server)) => {
                let attempt = self.new_attempt(id, Slot::First, server, now);
                self.send(at, attempt, now);
            }
            Err((server, why)) => {
                // What an attempt was told says more than that there is no other server.
                if let Some(active) = self.call(id)
                    && active.error.is_none()
                {
                    active.note(CallError::NotSent { server, why });
                }
                self.give_up(id);
            }
        }
    }

    /// Notes a new attempt at a call.
    fn new_attempt(&mut self, id: CallId, slot: Slot, server: ServerId, now: Instant) -> AttemptId {
        let active = self.calls.get_mut(id.at()).filter(|it| it.sequence == id.sequence());
        let Some(active) = active else {
            return cannot_happen(AttemptId { call: id, slot, number: 0 });
        };
        active.begun += 1;
        active.counted += 1;
        active.tried.add(server);
        let (call, links, tried) = (&active.call, &self.links, &active.tried);
        let has_another = call.failover
            && active.counted < self.options.attempts
            && self.servers.iter().any(|entry| {
                entry.server.weight > 0 && !tried.contains(entry.id) && is_usable(links, entry, now)
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
            timeout: within(call.retry != Retry::Never, core::time::Duration::ZERO),
            deadline: within(call.retry == Retry::AtLeastOnce, expected.wait),
            collector: Collector::new(expected.batch.is_some()),
        };
        active.attempts.set(slot, attempt);
        if let Some(entry) = self.servers.get_mut(server) {
            entry.counters.hedges += u64::from(slot == Slot::Hedge);
            entry.counters.retries += u64::from(slot == Slot::First && number > 1);
        }
        AttemptId { call: id, slot, number }
    }

    fn place(&mut self, id: CallId, slot: Slot, server: ServerId, now: Instant) {
        let attempt = self.new_attempt(id, slot, server, now);
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
            let timeout = placed.timeout;
            self.timers.set(timeout, Timer::Attempt(attempt));
        }
    }

    fn place_exclusive(&mut self, attempt: AttemptId, server: ServerId, now: Instant) {
        let mut in_use = 0;
        let (mut spare, mut coming) = (None, None);
        for (at, link) in self.links_to(server) {
            in_use += usize::from(link.role.is_exclusive());
            if link.role == Role::Spare && link.takes_calls() {
                spare = Some(at);
            } else if link.role == Role::Spare && link.is_coming() {
                coming = Some(at);
            }
        }
        if let Some(at) = spare {
            self.change(at, |link| link.role = Role::Exclusive(attempt));
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
            return self.not_sent(attempt, NotSent::Overloaded, now);
        }
        let connection = self.open_link(server, Role::Exclusive(attempt), now);
        self.wait_on(attempt, On::Connecting(connection));
    }

    /// The shared connection with the fewest requests under way.
    fn best_link(&self, server: ServerId) -> Option<(usize, usize)> {
        self.links_to(server)
            .filter(|(_, link)| link.role == Role::Shared && link.takes_calls())
            .map(|(at, link)| (at, link.in_flight()))
            .min_by_key(|&(_, in_flight)| in_flight)
    }

    pub(in crate::client) fn send(&mut self, at: usize, attempt: AttemptId, now: Instant) {
        let connection = self.connection_id(at);
        let call = attempt.call;
        let active = self.calls.get_mut(call.at()).filter(|it| it.sequence == call.sequence());
        let placed = active.and_then(|active| {
            let Active { call, attempts, .. } = active;
            attempts.get_mut(attempt.slot).map(|placed| (call, placed))
        });
        let (Some((call, placed)), Some(connection), Some(link)) =
            (placed, connection, self.links.get_mut(at))
        else {
            return cannot_happen(());
        };
        let sent = match &mut link.state {
            State::Open(open) => {
                let sent = open.send(&call.prepared, placed.deadline);
                sent.map_err(|error| match error {
                    SendError::Full => NotSent::Overloaded,
                    SendError::OtherDialect => NotSent::OtherDialect,
                    SendError::Ended => NotSent::Connection(open.end().unwrap_or(End::EndOfStream)),
                })
            }
            State::Connecting { .. } => cannot_happen(Err(NotSent::Overloaded)),
        };
        match sent {
            Ok(ticket) => {
                link.tickets.push_back((ticket, Purpose::Attempt(attempt)));
                placed.on = On::Sent(connection, ticket, now);
                let deadline = placed.deadline;
                self.timers.unset(placed.timeout, Timer::Attempt(attempt));
                if let Some(entry) = self.servers.get_mut(placed.server) {
                    entry.counters.sent += 1;
                }
                self.mark_sent(at, deadline);
            }
            Err(why) => {
                if self.links.get(at).is_some_and(|it| it.role == Role::Exclusive(attempt)) {
                    self.return_link(at, now);
                }
                self.not_sent(attempt, why, now);
            }
        }
    }

    /// Gives what waits for a server to its connections, as long as they take it.
    pub(in crate::client) fn serve_waiting(&mut self, server: ServerId, now: Instant) {
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

    pub(in crate::client) fn attempt_mut(&mut self, id: AttemptId) -> Option<&mut Attempt> {
        let placed = self.call(id.call).and_then(|active| active.attempts.get_mut(id.slot));
        placed.filter(|placed| placed.number == id.number)
    }

    pub(in crate::client) fn take_attempt(&mut self, id: AttemptId) -> Option<Attempt> {
        let attempts = &mut self.call(id.call)?.attempts;
        if attempts.get(id.slot)?.number == id.number { attempts.take(id.slot) } else { None }
    }

    /// The first server of a hedged call is slow: asks a second one.
    pub(in crate::client) fn hedge(&mut self, id: CallId, now: Instant) {
        let most = self.options.attempts;
        let Some(active) = self.call(id) else {
            return cannot_happen(());
        };
        active.hedge_at = None;
        // A call that has lost its first attempt has another one at once, or is over, and it comes here once.
        debug_assert!(
            active.attempts.get(Slot::First).is_some()
                && active.attempts.get(Slot::Hedge).is_none(),
            "{active:?}"
        );
        if active.counted < most
            && active.deadline > now
            && let Ok(Selected::Server(server)) = self.choose(id, Slot::Hedge, Again::No, now)
            && self.budget.take(now)
        {
            self.place(id, Slot::Hedge, server, now);
        }
    }

    /// Ends what is under way of a call that is over.
    pub(in crate::client) fn drop_attempts(&mut self, id: CallId, active: &mut Active) {
        if let Some(hedge_at) = active.hedge_at.take() {
            self.timers.unset(hedge_at, Timer::Hedge(id));
        }
        for slot in [Slot::First, Slot::Hedge] {
            let Some(attempt) = active.attempts.take(slot) else {
                continue;
            };
            let on = attempt.on;
            self.stop_waiting(AttemptId { call: id, slot, number: attempt.number }, &attempt);
            if let On::Sent(connection, ticket, _) = on {
                self.forget(connection, ticket);
            }
        }
    }

    /// Nobody waits for the answer to a request any more.
    fn forget(&mut self, connection: ConnectionId, ticket: Ticket) {
        let link = self.link_mut(connection);
        if let Some(Link { state: State::Open(open), tickets, role, .. }) = link {
            tickets.retain(|&(other, _)| other != ticket);
            if role.is_exclusive() {
                // Its answer might be an item: the server keeps it when nobody listens.
                self.close_link(connection.at);
            } else {
                open.cancel(ticket);
                self.mark(connection.at);
            }
        }
    }

    /// An attempt does not wait for a connection any more.
    pub(in crate::client) fn stop_waiting(&mut self, id: AttemptId, attempt: &Attempt) {
        match attempt.on {
            On::Sent(..) => return,
            On::Waiting(place) => {
                if let Some(entry) = self.servers.get_mut(attempt.server) {
                    entry.waiting.remove(&place);
                }
            }
            On::Connecting(connection) => {
                if let Some(at) = self.link_at(connection) {
                    self.change(at, |link| link.role = Role::Spare);
                }
            }
        }
        self.timers.unset(attempt.timeout, Timer::Attempt(id));
    }
}
