//! What becomes of an attempt that has ended, well or not, and of its call.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use crate::client::cluster::Cluster;
use crate::client::cluster::connections::{ConnectionId, ReservationId, Role};

use super::{Active, Again, AttemptId, CallId, Next, On, Slot};
use crate::Instant;
use crate::cannot_happen::cannot_happen;
use crate::client::answer::Answer;
use crate::client::call::{Retry, Target};
use crate::client::error::{CallError, NotSent};
use crate::client::servers::ServerId;
use crate::memcache::response::Kind;
use crate::memcache::{AnswerError, Reason};

impl Cluster {
    /// A request that was sent for an attempt is over.
    pub(in crate::client) fn attempt_done(
        &mut self,
        at: usize,
        id: AttemptId,
        outcome: Result<(), AnswerError>,
        now: Instant,
    ) {
        let Some(attempt) = self.take_attempt(id) else {
            return cannot_happen(());
        };
        let server = attempt.server;
        let took = now.saturating_since(attempt.since);
        let sent_at = match attempt.on {
            On::Sent(_, _, sent_at) => sent_at,
            _ => cannot_happen(attempt.since),
        };
        match outcome {
            Ok(()) => {
                self.change(at, |link| link.failed_at = None);
                let finished = {
                    let call = self.call(id.call).map(|active| &active.call.prepared);
                    attempt.collector.finish(server, || call.map_or(0, |it| it.keys().count()))
                };
                if let Some(entry) = self.servers.get_mut(server) {
                    entry.health.succeeded();
                    entry.counters.latency.record(took);
                    match finished {
                        Err(CallError::Refused { .. }) => entry.counters.refused += 1,
                        _ => entry.counters.answered += 1,
                    }
                }
                match finished {
                    Ok(answer) => self.answered(at, id, server, answer, now),
                    Err(error) => {
                        self.close_exclusive(at);
                        self.attempt_failed(id, error, now);
                    }
                }
            }
            Err(unanswered) => {
                if let Some(entry) = self.servers.get_mut(server) {
                    let counters = &mut entry.counters;
                    match unanswered {
                        AnswerError::NotSent(_) => counters.not_sent += 1,
                        AnswerError::Unknown(Reason::Deadline) => counters.timed_out += 1,
                        AnswerError::Unknown(_) => counters.broken += 1,
                    }
                }
                match unanswered.reason() {
                    Reason::Deadline => {
                        let wait = self.expected_wait(id);
                        // Others that were sent before the last one ran late ran late with it.
                        let link = self.links.get_mut(at);
                        let anew = link.is_some_and(|link| {
                            let anew = link.failed_at.is_none_or(|failed| sent_at >= failed);
                            let counts = anew && now >= sent_at + self.options.slow + wait;
                            link.failed_at = if counts { Some(now) } else { link.failed_at };
                            counts
                        });
                        self.close_exclusive(at);
                        if anew {
                            self.fault(server, NotSent::Ejected, now);
                        }
                    }
                    _ => self.change(at, |link| link.killed = true),
                }
                let found = attempt.collector.found();
                self.attempt_failed(id, CallError::unanswered(server, unanswered, found), now);
            }
        }
    }

    /// How long the server may rightly say nothing to what an attempt asks.
    fn expected_wait(&mut self, id: AttemptId) -> Duration {
        self.call(id.call).map_or(Duration::ZERO, |active| active.call.prepared.expected().wait)
    }

    /// After a failure nobody knows what an exclusive connection still brings.
    fn close_exclusive(&mut self, at: usize) {
        if self.links.get(at).is_some_and(|link| link.role.is_exclusive()) {
            self.close_link(at);
        }
    }

    fn answered(
        &mut self,
        at: usize,
        id: AttemptId,
        server: ServerId,
        answer: Answer,
        now: Instant,
    ) {
        let owns = |active: &Active| match active.call.target {
            Target::Key => self.servers.owner(active.call.prepared.key()) == Some(server),
            _ => true,
        };
        let active = self.calls.get_mut(id.call.at());
        let Some(active) = active.filter(|active| active.sequence == id.call.sequence()) else {
            return cannot_happen(());
        };
        let failover = active.call.failover;
        let target = active.call.target;
        let opens = active.call.prepared.expected().opens && !answer.is_miss();
        let closes = active.call.prepared.expected().closes;
        let full = matches!(answer, Answer::Word(Kind::NotStored)) && active.call.refusal_moves_on;
        if id.slot == Slot::Hedge && answer.is_miss() {
            // Another server's miss says little while the key's own may still have it, and is not
            // the key's where the call may not be answered by another, or only that other was asked.
            let others = !active.attempts.is_empty();
            active.missed = (!owns(active)).then_some(server);
            active.fallback = failover.then(|| Box::new((server, answer)));
            if failover && !others {
                self.give_back(at, now);
                return self.give_up(id.call);
            }
            self.give_back(at, now);
            if !others {
                self.go_on(id.call, now);
            }
            return;
        }
        if full {
            active.fallback = Some(Box::new((server, answer)));
            active.next = Some(Next { allowed: true, again: Again::No, costs: false });
            let others = !active.attempts.is_empty();
            self.give_back(at, now);
            if !others {
                self.go_on(id.call, now);
            }
            return;
        }
        self.change(at, |link| link.holds = opens || (link.holds && !closes));
        let reservation = match target {
            Target::Reservation(reservation) => Some(reservation),
            _ if opens => self.new_reservation(at),
            _ => None,
        };
        self.complete(id.call, Some(server), Ok(answer), reservation);
        if reservation.is_none() {
            self.give_back(at, now);
        }
    }

    /// The connection holds an item that was opened.
    fn new_reservation(&mut self, at: usize) -> Option<ReservationId> {
        self.sequence += 1;
        let number = self.sequence;
        self.links.get_mut(at).map(|link| {
            link.role = Role::Reserved(number);
            ReservationId::new(ConnectionId { at, sequence: link.sequence }, number)
        })
    }

    /// The attempt that had a connection for itself does not need it any more.
    fn give_back(&mut self, at: usize, now: Instant) {
        if matches!(self.links.get(at).map(|link| link.role), Some(Role::Exclusive(_))) {
            self.return_link(at, now);
        }
    }

    /// An attempt that was not given to a connection is over.
    pub(in crate::client) fn not_sent(&mut self, id: AttemptId, why: NotSent, now: Instant) {
        let Some(attempt) = self.take_attempt(id) else {
            return cannot_happen(());
        };
        let server = attempt.server;
        self.stop_waiting(id, &attempt);
        if let Some(entry) = self.servers.get_mut(server) {
            entry.counters.not_sent += 1;
        }
        self.attempt_failed(id, CallError::NotSent { server: Some(server), why }, now);
    }

    pub(in crate::client) fn fail_waiting(&mut self, server: ServerId, why: NotSent, now: Instant) {
        let Some(entry) = self.servers.get_mut(server) else {
            return;
        };
        for attempt in core::mem::take(&mut entry.waiting).into_values() {
            self.not_sent(attempt, why, now);
        }
    }

    fn attempt_failed(&mut self, id: AttemptId, error: CallError, now: Instant) {
        let Some(active) = self.call(id.call) else {
            return cannot_happen(());
        };
        // A server that did not answer in time, or cannot be connected to, is not asked again.
        let again = match &error {
            CallError::NotSent { why: NotSent::Connection(_), .. }
            | CallError::Unknown { why: Reason::End(_), .. } => Again::Yes,
            _ => Again::No,
        };
        let costs = !matches!(error, CallError::NotSent { .. });
        if !costs && again == Again::No {
            // Another one is tried at once, each of them once.
            active.counted = active.counted.saturating_sub(1);
        }
        active.note(error);
        // All that is known of the call decides, not only what was told last.
        let allowed = match &active.error {
            Some(CallError::Refused { refusal, .. }) => {
                active.call.refusal_moves_on && refusal.kind == Kind::ServerError
            }
            Some(CallError::Keys { .. }) => false,
            Some(CallError::Unknown { .. }) => active.call.retry == Retry::AtLeastOnce,
            Some(CallError::NotSent { .. }) | None => active.call.retry != Retry::Never,
        };
        active.next = Some(Next { allowed, again, costs });
        if active.attempts.is_empty() {
            self.go_on(id.call, now);
        }
    }

    /// Tries the next server, where there is one and the call may be sent once more.
    fn go_on(&mut self, id: CallId, now: Instant) {
        let attempts = self.options.attempts;
        let next = self.call(id).and_then(|active| {
            let more = active.counted < attempts && active.deadline > now;
            active.next.take().filter(|next| next.allowed && more)
        });
        match next {
            Some(next) if !next.costs || self.budget.take(now) => {
                self.try_next(id, next.again, now);
            }
            _ => self.give_up(id),
        }
    }

    /// Completes a call with what its attempts have told.
    pub(in crate::client) fn give_up(&mut self, id: CallId) {
        let why = NotSent::NoServer;
        let Some(active) = self.call(id) else {
            return cannot_happen(());
        };
        let fallback = active.fallback.take().map(|answer| *answer);
        let outcome = match (active.error.take(), fallback, active.missed) {
            (Some(CallError::NotSent { .. }), _, Some(server)) => {
                let why = Reason::NotTheOwner;
                Err(CallError::Unknown { server, why, found: Vec::new() })
            }
            // Only a call that another server may answer has kept its miss.
            (_, Some((server, answer)), _) if answer.is_miss() => Ok((server, answer)),
            (Some(error @ (CallError::Unknown { .. } | CallError::Keys { .. })), ..) => Err(error),
            (_, Some(answer), _) => Ok(answer),
            (error, None, _) => Err(error.unwrap_or(CallError::NotSent { server: None, why })),
        };
        match outcome {
            Ok((server, answer)) => self.complete(id, Some(server), Ok(answer), None),
            Err(error) => self.complete(id, None, Err(error), None),
        }
    }
}
