//! How long a peer takes none of the bytes that wait for it; the same for every protocol.

use core::time::Duration;

use crate::Instant;

/// How long bytes have been waiting to be written.
#[derive(Debug, Default)]
pub(crate) struct WriteTimer {
    /// The last progress.
    since: Option<Instant>,
    wrote_some: bool,
    /// The socket took nothing when it was tried last.
    blocked: bool,
}

/// How writing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writing {
    /// Nothing waits.
    Done,
    /// The socket may take more.
    Wanted,
    /// The socket takes nothing, and has until this instant to take some.
    Blocked(Instant),
    /// The peer took nothing for too long.
    Overdue,
}

impl WriteTimer {
    /// The socket took `n` bytes; 0 says that it is full.
    pub(crate) fn wrote(&mut self, n: usize) {
        self.blocked = n == 0;
        self.wrote_some |= n > 0;
    }

    /// Whether the socket took nothing when it was tried last.
    #[cfg(feature = "memcache")]
    pub(crate) const fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// Whether some was written since it was looked at last.
    #[cfg(feature = "memcache")]
    pub(crate) const fn wrote_some(&self) -> bool {
        self.wrote_some
    }

    /// Until when a peer for which bytes wait has to take some.
    pub(crate) fn deadline(&mut self, now: Instant, timeout: Duration) -> Instant {
        let since = self.since.filter(|_| !self.wrote_some).unwrap_or(now);
        self.since = Some(since);
        self.wrote_some = false;
        since + timeout
    }

    /// How writing stands, with so many bytes that wait.
    pub(crate) fn look(&mut self, waiting: usize, now: Instant, timeout: Duration) -> Writing {
        if waiting == 0 {
            *self = Self::default();
            return Writing::Done;
        }
        let deadline = self.deadline(now, timeout);
        if deadline <= now {
            Writing::Overdue
        } else if self.blocked {
            Writing::Blocked(deadline)
        } else {
            Writing::Wanted
        }
    }
}
