//! How long a peer takes none of the bytes that wait for it.

use crate::Instant;

/// How long bytes have been waiting to be written.
#[derive(Debug, Default)]
pub(super) struct WriteClock {
    /// The last progress.
    since: Option<Instant>,
    wrote_some: bool,
    /// The socket took nothing when it was tried last.
    blocked: bool,
}

impl WriteClock {
    /// The socket took `n` bytes.
    pub(super) fn tried(&mut self, n: usize) {
        self.blocked = n == 0;
        self.wrote_some |= n > 0;
    }

    /// Whether the socket took nothing when it was tried last.
    pub(super) const fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// Whether some was written since [`since`](Self::since) was asked last.
    pub(super) const fn wrote_some(&self) -> bool {
        self.wrote_some
    }

    /// When the wait for progress began; to be asked while bytes wait.
    pub(super) fn since(&mut self, now: Instant) -> Instant {
        let since = self.since.filter(|_| !self.wrote_some).unwrap_or(now);
        self.since = Some(since);
        self.wrote_some = false;
        since
    }
}
