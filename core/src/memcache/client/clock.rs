//! Deadlines: of requests, and of the server.

use super::pending::PendingRequest;
use super::{AnswerError, COMMIT, ClientConnection, ClientOutput, End, Reason, Ticket, Waiting};
use crate::Instant;
use crate::buffer::Outgoing;
use crate::memcache::states::{ClientEvent, ClientState};

impl ClientConnection {
    pub(super) fn note_deadline(&mut self, deadline: Instant) {
        self.earliest = Some(self.earliest.map_or(deadline, |earliest| earliest.min(deadline)));
    }

    /// What comes next when no frame can be handed out.
    pub(super) fn write_or_wait(&mut self, now: Instant) -> ClientOutput<'_> {
        if let Some(ticket) = self.finished.take() {
            return ClientOutput::Done { ticket, outcome: Ok(()) };
        }
        if self.end.is_none()
            && let Some((ticket, outcome)) = self.take_expired(now)
        {
            return ClientOutput::Done { ticket, outcome: Err(outcome) };
        }
        self.commit(now);
        self.check_server(now);
        if let Some(end) = self.end {
            return match self.take_failed(Reason::End(end)) {
                Some((ticket, outcome)) => ClientOutput::Done { ticket, outcome: Err(outcome) },
                None => ClientOutput::Close(end),
            };
        }
        if self.lent == 0 && !self.outgoing.is_empty() && !self.writing.is_blocked() {
            return ClientOutput::Write;
        }
        ClientOutput::Idle(self.next_deadline(now))
    }

    /// Puts requests among the bytes to write, as long as these leave.
    pub(super) fn commit(&mut self, now: Instant) {
        while self.end.is_none()
            && self.unwritten() < COMMIT
            && (self.unwritten() == 0 || !self.writing.is_blocked())
            && let Some(waiting) = self.waiting.pop_front()
        {
            let Waiting { ticket, prepared, deadline } = waiting;
            prepared.put(&mut self.outgoing);
            let length = u64::try_from(prepared.len()).unwrap_or(u64::MAX);
            let request = PendingRequest::new(ticket, prepared, deadline, now, self.put);
            self.put = self.put.saturating_add(length);
            self.pending.push_back(request);
            self.active = now;
        }
    }

    /// A request whose deadline has passed, taken out of its turn's owners: its place stays.
    fn take_expired(&mut self, now: Instant) -> Option<(Ticket, AnswerError)> {
        if self.earliest.is_none_or(|earliest| now < earliest) {
            return None;
        }
        let mut earliest = None;
        let mut note = |deadline: Instant| {
            earliest = Some(earliest.map_or(deadline, |earliest: Instant| earliest.min(deadline)));
        };
        let mut expired = None;
        for request in self.pending.iter_mut().filter(|request| request.open) {
            if expired.is_none() && request.deadline <= now {
                request.open = false;
                expired = Some((request.ticket, request.ties_up()));
            } else {
                note(request.deadline);
            }
        }
        let mut at = None;
        for (index, waiting) in self.waiting.iter().enumerate() {
            if expired.is_none() && at.is_none() && waiting.deadline <= now {
                at = Some(index);
            } else {
                note(waiting.deadline);
            }
        }
        self.earliest = earliest;
        if let Some((ticket, ties_up)) = expired {
            if ties_up {
                self.spend(ClientEvent::Abandoned, End::Abandoned);
            }
            // Also where no byte has left: those that wait to be written still will.
            return Some((ticket, AnswerError::Unknown(Reason::Deadline)));
        }
        let waiting = at.and_then(|at| self.waiting.remove(at))?;
        Some((waiting.ticket, AnswerError::NotSent(Reason::Deadline)))
    }

    /// A request that somebody waits for, and what is known of it now that the connection is
    /// failed.
    fn take_failed(&mut self, reason: Reason) -> Option<(Ticket, AnswerError)> {
        self.outgoing = Outgoing::new();
        let gone = self.written + u64::try_from(self.lent).unwrap_or(u64::MAX);
        while let Some(request) = self.pending.pop_front() {
            if request.open {
                let sent = request.starts < gone;
                let outcome = if sent { AnswerError::Unknown } else { AnswerError::NotSent };
                return Some((request.ticket, outcome(reason)));
            }
        }
        let waiting = self.waiting.pop_front()?;
        Some((waiting.ticket, AnswerError::NotSent(reason)))
    }

    /// Until when the server may be silent, while a reply is pending.
    fn stalls_at(&self) -> Option<Instant> {
        let due = self.pending.front().filter(|request| request.starts < self.written)?;
        Some(self.heard.max(due.since) + due.prepared.expected().wait + self.timeouts.stall)
    }

    /// When a connection that nobody uses is closed.
    fn idles_at(&self) -> Option<Instant> {
        let unused = self.pending.is_empty() && self.waiting.is_empty() && self.unwritten() == 0;
        unused.then(|| self.active + self.timeouts.idle)
    }

    fn check_server(&mut self, now: Instant) {
        if self.end.is_some() {
            return;
        }
        if self.unwritten() == 0 {
            self.writing = super::WriteTimer::default();
        } else if self.writing.deadline(now, self.timeouts.write) <= now {
            return self.spend(ClientEvent::TimedOut, End::WriteStalled);
        }
        if self.stalls_at().is_some_and(|at| at <= now) {
            return self.spend(ClientEvent::TimedOut, End::Stalled);
        }
        let between = self.received.is_at_line();
        if let Some(idles_at) = self.idles_at()
            && between
        {
            if self.asking == ClientState::Leaving {
                self.spend(ClientEvent::Closed, End::Closed);
            } else if idles_at <= now {
                self.spend(ClientEvent::Idled, End::Idle);
            }
        }
    }

    /// When it is to be looked at again, where nothing else happens before.
    pub(crate) fn next_deadline(&mut self, now: Instant) -> Instant {
        let writing =
            (self.unwritten() > 0).then(|| self.writing.deadline(now, self.timeouts.write));
        let mut next = self.earliest;
        for at in [self.stalls_at(), self.idles_at(), writing] {
            next = match (next, at) {
                (Some(next), Some(at)) => Some(next.min(at)),
                (next, at) => next.or(at),
            };
        }
        // None only while requests wait for room: any instant that is far enough.
        next.unwrap_or(now + self.timeouts.idle)
    }
}
