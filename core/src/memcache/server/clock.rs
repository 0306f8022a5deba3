//! Deadlines: whom the connection waits for, and how long.

use core::time::Duration;

use super::input::State;
use super::{Output, ServerConnection};
use crate::Instant;
use crate::buffer::Outgoing;
use crate::linger::{LINGER, Linger};
use crate::memcache::states::ServerEvent;
use crate::writing::Writing;

/// What the peer owes, and since when.
#[derive(Debug)]
pub(super) struct PeerClock {
    since: Instant,
    /// It runs for a line that has begun.
    in_line: bool,
}

impl PeerClock {
    pub(super) const fn start(now: Instant) -> Self {
        Self { since: now, in_line: false }
    }

    /// A line has begun, now or before.
    pub(super) fn begin_line(&mut self, now: Instant) {
        if !self.in_line {
            *self = Self { since: now, in_line: true };
        }
    }
}

impl ServerConnection {
    /// How long the peer may take for what it owes; `None` while it owes nothing.
    fn peer_timeout(&self) -> Option<Duration> {
        if !self.has_room() || self.responses.holds() {
            return None;
        }
        match self.state {
            State::Over => None,
            State::Lingering(_) => Some(LINGER),
            State::Line if self.peer.in_line => Some(self.timeouts.head),
            State::Line => {
                let nothing_pending =
                    self.responses.pending.is_empty() && self.responses.outgoing.is_empty();
                nothing_pending.then_some(self.timeouts.idle)
            }
            State::Block { .. } | State::Large(_) | State::Discarding { .. } => {
                Some(self.timeouts.body)
            }
        }
    }

    /// The peer's clock stands still while the peer owes nothing, so that it starts anew with the
    /// last byte written.
    pub(super) fn hold_clock(&mut self, now: Instant) {
        let between = matches!(self.state, State::Line) && !self.peer.in_line;
        if self.peer_timeout().is_none() || (between && self.writing.wrote_some()) {
            self.peer.since = now;
        }
    }

    /// What comes next when no request can be taken.
    pub(super) fn write_or_wait(&mut self, now: Instant) -> Output<'static> {
        self.responses.expire(now);
        self.note_close();
        let mut deadline = self.responses.look_again_at();
        if let Some(timeout) = self.peer_timeout() {
            let peer_deadline = self.peer.since + timeout;
            if peer_deadline <= now {
                self.linger();
                self.enter(ServerEvent::TimedOut, State::Over, now);
            } else {
                deadline = Some(deadline.map_or(peer_deadline, |other| other.min(peer_deadline)));
            }
        }
        // Where nobody has to do anything: any instant that is far enough.
        let deadline = deadline.unwrap_or_else(|| now + self.timeouts.idle);
        match self.writing.look(self.responses.outgoing.len(), now, self.timeouts.write) {
            Writing::Done => {}
            Writing::Wanted => return Output::Write,
            Writing::Blocked(until) => return Output::Idle(deadline.min(until)),
            Writing::Overdue => {
                self.responses.outgoing = Outgoing::new();
                self.responses.close_after_responses();
                self.note_close();
                self.linger = Linger::Over;
                return Output::Close;
            }
        }
        if matches!(self.state, State::Over) && self.responses.pending.is_empty() {
            if let Some(lingering) = self.linger.begin(now, self.has_ended()) {
                self.enter(ServerEvent::Written, State::Lingering(lingering), now);
                return Output::CloseWrite;
            }
            return Output::Close;
        }
        Output::Idle(deadline)
    }
}
