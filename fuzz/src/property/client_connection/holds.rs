//! What holds of a client's connection when it waits, when it ends, and of requests that do.

use windhover_core::Instant;
use windhover_core::memcache::{AnswerError, ClientOutput, End, Reason, Ticket};

use super::Driver;

impl Driver {
    /// A request has ended without its answer, or with a part of it.
    pub(super) fn failed(&mut self, ticket: Ticket, outcome: AnswerError) {
        assert!(crate::property::tells(&outcome) && crate::property::tells(&outcome.reason()));
        let pending = self.model.pending.iter().position(|request| request.ticket == ticket);
        let waiting = self.model.waiting.iter().position(|waiting| waiting.ticket == ticket);
        match outcome.reason() {
            Reason::Deadline => {
                assert_eq!(self.model.end, None, "a deadline behind the end");
                let sent = matches!(outcome, AnswerError::Unknown(_));
                let deadline = if let Some(at) = pending {
                    assert!(sent, "its bytes are on their way");
                    let request = &mut self.model.pending[at];
                    assert!(core::mem::take(&mut request.open), "it has ended before");
                    let (deadline, ties_up) = (request.deadline, request.ties_up());
                    if ties_up {
                        self.model.spend(End::Abandoned);
                    }
                    deadline
                } else {
                    assert!(!sent, "not a byte has left");
                    let at = waiting.expect("it has ended before");
                    self.model.waiting.remove(at).expect("it is there").deadline
                };
                assert!(deadline <= self.now, "its deadline has not passed");
            }
            Reason::End(end) => {
                self.ended(end);
                let sent = if let Some(at) = pending {
                    let request = self.model.pending.remove(at).expect("it is there");
                    assert!(request.open, "it has ended before");
                    request.starts < self.model.written
                } else {
                    let at = waiting.expect("it has ended before");
                    self.model.waiting.remove(at);
                    false
                };
                assert_eq!(sent, matches!(outcome, AnswerError::Unknown(_)), "{outcome:?}");
            }
            other => panic!("{other:?}"),
        }
    }

    /// The connection says that it has ended: it must have had to.
    fn ended(&mut self, end: End) {
        assert_eq!(self.connection.end(), Some(end));
        let Some(expected) = self.model.end else {
            let none = self.model.in_flight() == 0;
            let written = self.model.put == self.model.written;
            match end {
                End::Stalled => {
                    let at = self.stalls_at().expect("nothing is pending");
                    assert!(at <= self.now, "it had longer");
                }
                End::WriteStalled => {
                    let at = self.stuck_since.unwrap_or(self.now) + self.timeouts.write;
                    assert!(at <= self.now, "it had longer");
                }
                End::Idle => {
                    assert!(none && written && !self.model.leaving);
                    assert!(self.model.active + self.timeouts.idle <= self.now, "too early");
                }
                End::Closed => assert!(none && written && self.model.leaving),
                other => panic!("it has ended: {other:?}"),
            }
            assert!(crate::property::tells(&end));
            self.model.spend(end);
            return;
        };
        assert_eq!(end, expected);
    }

    fn stalls_at(&self) -> Option<Instant> {
        let due =
            self.model.pending.front().filter(|request| request.starts < self.model.written)?;
        Some(self.model.heard.max(due.since) + due.asked.wait + self.timeouts.stall)
    }

    pub(super) fn idle(&mut self, wrote: bool) {
        assert_eq!(self.model.end, None, "it goes on behind its end");
        self.look();
        let deadline = self.deadline;
        assert!(deadline > self.now, "the deadline has passed, and nothing is done");
        let pending =
            self.model.pending.iter().filter(|request| request.open).map(|it| it.deadline);
        let waiting = self.model.waiting.iter().map(|it| it.deadline);
        if let Some(first) = pending.chain(waiting).min() {
            assert!(self.now < first, "a request has outlived its deadline");
            assert!(deadline <= first, "it would outlive its deadline");
        }
        if let Some(at) = self.stalls_at() {
            assert!(self.now < at && deadline <= at, "a silent server has no end");
        }
        if self.model.put > self.model.written {
            assert!(self.write == 0, "bytes wait, and nobody is told to write them");
            let stuck = self.stuck_since.filter(|_| !wrote).unwrap_or(self.now);
            self.stuck_since = Some(stuck);
            let at = stuck + self.timeouts.write;
            assert!(self.now < at && deadline <= at, "a server that takes nothing has no end");
        } else {
            self.stuck_since = None;
            assert!(self.model.waiting.is_empty(), "a request is not sent");
            if self.model.pending.is_empty() {
                assert!(!self.model.leaving, "it was to end");
                let at = self.model.active + self.timeouts.idle;
                assert!(self.now < at && deadline <= at, "an idle connection has no end");
            }
        }
        assert_eq!(self.connection.in_flight(), self.model.in_flight());
        assert!(self.model.in_flight() <= self.limits.pipeline.max(1), "more than may be");
        let discarding = self.model.pending.iter().filter(|request| !request.open).count();
        assert_eq!(self.connection.discarding(), discarding);
        assert_eq!(self.connection.heard(), self.model.heard);
        assert_eq!((self.connection.end(), self.connection.wants_read()), (None, true));
        let buffer = self.connection.read_buffer();
        let held = buffer.len();
        assert!(held <= self.model.buffer.len());
        let most = 64 * 1024 + self.limits.line + 2 + self.piece;
        assert!(held <= most, "{held} bytes are held");
        assert!(buffer.capacity() <= 2 * most + 64 * 1024, "{} bytes", buffer.capacity());
    }

    pub(super) fn close(&mut self, end: End) {
        self.ended(end);
        let mut open = self.model.pending.iter().filter(|request| request.open);
        assert!(open.next().is_none() && self.model.waiting.is_empty(), "a request has no end");
        assert!(!self.connection.wants_read() && !self.connection.takes_requests());
        self.closed = true;
        let faults = !matches!(end, End::Closed | End::Idle | End::Ambiguous | End::Abandoned);
        assert_eq!(end.is_fault(), faults);
        // Whatever comes now changes nothing.
        self.connection.receive(b"STORED\r\n");
        self.connection.end_of_stream();
        self.connection.broke(None);
        let after = self.connection.poll_output(self.now);
        assert!(matches!(after, ClientOutput::Close(again) if again == end), "{after:?}");
    }
}
