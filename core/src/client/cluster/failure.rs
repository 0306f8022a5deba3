//! What becomes of attempts that ended, and of the servers that they ended with.

use super::attempt::{AttemptId, CallId, On, Slot};
use super::dispatch::Again;
use super::link::{LeaseId, Role, State};
use super::output::{ClusterEvent, ClusterOutput};
use super::{Cluster, Timer};
use crate::Instant;
use crate::client::answer::Answer;
use crate::client::call::{Repeat, Target};
use crate::client::error::{CallError, NotSent};
use crate::client::servers::ServerId;
use crate::memcache::response::Kind;
use crate::memcache::{Reason, Unanswered};

impl Cluster {
    /// A request that was sent for an attempt is over.
    pub(super) fn attempt_done(
        &mut self,
        at: usize,
        id: AttemptId,
        outcome: Result<(), Unanswered>,
        now: Instant,
    ) {
        let Some(attempt) = self.take_attempt(id) else {
            return;
        };
        let server = attempt.server;
        let took = now.saturating_since(attempt.since);
        match outcome {
            Ok(()) => {
                let finished = attempt.collector.finish();
                if let Some(entry) = self.servers.get_mut(server) {
                    entry.health.succeeded();
                    entry.counters.latency.record(took);
                    match finished {
                        Ok(_) => entry.counters.answered += 1,
                        Err(_) => entry.counters.refused += 1,
                    }
                }
                match finished {
                    Ok(answer) => self.answered(at, id, answer, now),
                    Err(refusal) => {
                        self.close_exclusive(at);
                        self.attempt_failed(id, CallError::Refused { server, refusal }, now);
                    }
                }
            }
            Err(unanswered) => {
                if let Some(entry) = self.servers.get_mut(server) {
                    let counters = &mut entry.counters;
                    match unanswered {
                        Unanswered::NotSent(_) => counters.not_sent += 1,
                        Unanswered::Unknown(Reason::Deadline) => counters.timed_out += 1,
                        Unanswered::Unknown(_) => counters.broken += 1,
                    }
                }
                match unanswered.reason() {
                    Reason::Deadline => {
                        let silent = self.is_silent_since(at, attempt.since);
                        self.close_exclusive(at);
                        if silent && took >= self.options.slow {
                            self.fault(server, now);
                        }
                    }
                    Reason::End(_) => {
                        if let Some(link) = self.links.get_mut(at) {
                            link.killed = true;
                        }
                    }
                }
                let found = attempt.collector.found();
                self.attempt_failed(id, CallError::unanswered(server, unanswered, found), now);
            }
        }
    }

    /// Whether no byte has come on a connection since then.
    fn is_silent_since(&self, at: usize, since: Instant) -> bool {
        match self.links.get(at).map(|link| &link.state) {
            Some(State::Open(open)) => open.heard() <= since,
            _ => true,
        }
    }

    /// After a failure nobody knows what an exclusive connection still brings.
    fn close_exclusive(&mut self, at: usize) {
        if self.links.get(at).is_some_and(|link| link.role.is_exclusive()) {
            self.close_link(at);
        }
    }

    fn answered(&mut self, at: usize, id: AttemptId, answer: Answer, now: Instant) {
        let Some(active) = self.call(id.call) else {
            return;
        };
        let full = matches!(answer, Answer::Word(Kind::NotStored)) && active.call.refusal_moves_on;
        // Another server's miss says little while the key's own may still have it.
        let early_miss = id.slot == Slot::Hedge && answer.is_miss() && active.is_under_way();
        if early_miss {
            active.fallback = Some(answer);
            return;
        }
        if full {
            active.fallback = Some(answer);
            return self.move_on(id, Again::No, false, now);
        }
        let is_lease = matches!(active.call.target, Target::Lease(_));
        let opens = active.call.prepared.expected().opens && !answer.is_miss();
        let exclusive = self.links.get(at).is_some_and(|link| link.role.is_exclusive());
        let connection = self.connection_id(at).filter(|_| exclusive);
        let lease = connection.filter(|_| is_lease || opens).map(LeaseId);
        if lease.is_some()
            && let Some(link) = self.links.get_mut(at)
        {
            link.role = Role::Leased;
        }
        self.complete(id.call, Ok(answer), lease);
        if let (None, Some(connection)) = (lease, connection) {
            self.return_link(connection, now);
        }
    }

    /// An attempt that was not given to a connection is over.
    pub(super) fn not_sent(&mut self, id: AttemptId, server: ServerId, why: NotSent, now: Instant) {
        if self.take_attempt(id).is_none() {
            return;
        }
        if let Some(entry) = self.servers.get_mut(server) {
            entry.counters.not_sent += 1;
        }
        self.attempt_failed(id, CallError::NotSent { server: Some(server), why }, now);
    }

    pub(super) fn fail_waiting(&mut self, server: ServerId, why: NotSent, now: Instant) {
        let Some(entry) = self.servers.get_mut(server) else {
            return;
        };
        for attempt in core::mem::take(&mut entry.waiting) {
            let waits =
                self.attempt_mut(attempt).is_some_and(|placed| matches!(placed.on, On::Waiting));
            if waits {
                self.not_sent(attempt, server, why, now);
            }
        }
    }

    /// An attempt has waited long enough for its connection.
    pub(super) fn attempt_timed_out(&mut self, id: AttemptId, now: Instant) {
        let Some(attempt) = self.attempt_mut(id) else {
            return;
        };
        let server = attempt.server;
        match attempt.on {
            On::Sent(..) => return,
            On::Waiting => {}
            On::Connecting(connection) => {
                if let Some(at) = self.link_at(connection)
                    && let Some(link) = self.links.get_mut(at)
                {
                    link.role = Role::Spare;
                }
            }
        }
        self.not_sent(id, server, NotSent::Deadline, now);
    }

    fn attempt_failed(&mut self, id: AttemptId, error: CallError, now: Instant) {
        let Some(active) = self.call(id.call) else {
            return;
        };
        let allowed = match &error {
            CallError::NotSent { .. } => active.call.repeat != Repeat::Never,
            CallError::Refused { refusal, .. } => {
                active.call.refusal_moves_on && refusal.kind == Kind::ServerError
            }
            CallError::Unknown { .. } => active.call.repeat == Repeat::AtLeastOnce,
        };
        // A server that did not answer in time, or cannot be connected to, is not asked again.
        let again = match &error {
            CallError::NotSent { why: NotSent::Connection(_), .. }
            | CallError::Unknown { why: Reason::End(_), .. } => Again::Yes,
            _ => Again::No,
        };
        let costs = !matches!(error, CallError::NotSent { .. });
        active.note(error);
        if active.is_under_way() {
            return;
        }
        if allowed {
            self.move_on(id, again, costs, now);
        } else {
            self.give_up(id.call);
        }
    }

    /// Tries the next server, where there is one and the call may be sent once more.
    fn move_on(&mut self, id: AttemptId, again: Again, costs: bool, now: Instant) {
        let attempts = self.options.attempts;
        let Some(active) = self.call(id.call) else {
            return;
        };
        let more = active.begun < attempts && active.deadline > now;
        if more && (!costs || self.budget.take(now)) {
            self.try_next(id.call, Slot::First, again, now);
        } else {
            self.give_up(id.call);
        }
    }

    /// Completes a call with what its attempts have told.
    pub(super) fn give_up(&mut self, id: CallId) {
        let Some(active) = self.call(id) else {
            return;
        };
        let outcome = match (active.error.take(), active.fallback.take()) {
            (Some(error @ CallError::Unknown { .. }), _) | (Some(error), None) => Err(error),
            (_, Some(answer)) => Ok(answer),
            (None, None) => Err(CallError::NotSent { server: None, why: NotSent::NoServer }),
        };
        self.complete(id, outcome, None);
    }

    /// Something about a server failed.
    pub(super) fn fault(&mut self, server: ServerId, now: Instant) {
        let is_last = self.servers.is_last(server);
        let Some(entry) = self.servers.get_mut(server) else {
            return;
        };
        let ejected = entry.health.failed(&self.options.health, is_last, now, &mut self.random);
        let probe_at = entry.health.probe_at();
        if ejected {
            entry.counters.ejections += 1;
        }
        if let Some(probe_at) = probe_at {
            self.set_timer(probe_at, Timer::Probe(server));
        }
        if ejected {
            self.outputs.push_back(ClusterOutput::Event(ClusterEvent::Ejected { server }));
            self.fail_waiting(server, NotSent::Ejected, now);
        }
    }

    /// A server that is out of use may be asked again.
    pub(super) fn probe(&mut self, server: ServerId, now: Instant) {
        let Some(entry) = self.servers.get_mut(server) else {
            return;
        };
        if entry.health.probe_at().is_some_and(|probe_at| probe_at <= now) && !self.shutting_down {
            entry.health.begin_probe();
            self.open_link(server, Role::Probe, now);
        }
    }

    /// A probe was answered.
    pub(super) fn restored(&mut self, server: ServerId, now: Instant) {
        let Some(entry) = self.servers.get_mut(server) else {
            return;
        };
        entry.connect_at = None;
        if entry.health.succeeded() {
            self.outputs.push_back(ClusterOutput::Event(ClusterEvent::Restored { server }));
        }
        self.warm(server, now);
    }
}
