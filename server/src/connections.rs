//! How many connections a listener has and had.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the connections of one listener.
#[derive(Debug, Default)]
pub struct Connections {
    opened: AtomicU64,
    closed: AtomicU64,
}

impl Connections {
    pub(crate) fn opened(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn closed(&self) {
        self.closed.fetch_add(1, Ordering::Relaxed);
    }

    /// Open now.
    pub fn open(&self) -> u64 {
        let closed = self.closed.load(Ordering::Relaxed);
        self.total().saturating_sub(closed)
    }

    /// Opened since the start.
    pub fn total(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }
}
