//! What is to be written, and how long the peer may refuse to take it.

use core::time::Duration;

use crate::Instant;
use crate::buffer::Outgoing;

/// Bytes that wait to be written, and the clock of the peer that is to take them.
#[derive(Debug, Default)]
pub(super) struct Writing {
    pub(super) out: Outgoing,
    /// Since when the peer takes none of them.
    since: Option<Instant>,
    /// Some went since the last poll.
    progressed: bool,
    /// The socket takes nothing now.
    blocked: bool,
}

/// How writing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Everything is written.
    Done,
    /// The socket may take more.
    Wanted,
    /// The socket takes nothing, and has until this instant to take some.
    Blocked(Instant),
    /// The peer took nothing for too long.
    Overdue,
}

impl Writing {
    /// The socket took `n` bytes; 0 says that it is full.
    pub(super) fn wrote(&mut self, n: usize) {
        self.out.advance(n);
        self.blocked = n == 0;
        self.progressed |= n > 0;
    }

    pub(super) fn poll(&mut self, now: Instant, timeout: Duration) -> Progress {
        if self.out.is_empty() {
            self.since = None;
            self.blocked = false;
            return Progress::Done;
        }
        let since = match self.since {
            Some(since) if !self.progressed => since,
            _ => now,
        };
        self.since = Some(since);
        self.progressed = false;
        let deadline = since + timeout;
        if deadline <= now {
            Progress::Overdue
        } else if self.blocked {
            Progress::Blocked(deadline)
        } else {
            Progress::Wanted
        }
    }
}
