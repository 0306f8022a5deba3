//! One connection, as its own task and the cluster see it.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

#[cfg(feature = "tls")]
use windhover_core::client::Server;

use super::wire::Wire;

/// What stands between a connection's task and the cluster.
pub(super) struct Link {
    wire: Mutex<Wire>,
    signal: Mutex<Signal>,
    /// Whose name its certificate has to have.
    #[cfg(feature = "tls")]
    pub(super) server: Option<Server>,
}

/// What the task of a connection is told.
#[derive(Default)]
pub(super) struct Signal {
    waker: Option<Waker>,
    /// Bytes wait to be written.
    pub(super) wants_write: bool,
    pub(super) is_closed: bool,
    /// The server was told that nothing more comes, or will be by the next write.
    pub(super) is_ending: bool,
}

impl Link {
    pub(super) fn new(#[cfg(feature = "tls")] server: Option<Server>) -> Self {
        Self {
            wire: Mutex::default(),
            signal: Mutex::default(),
            #[cfg(feature = "tls")]
            server,
        }
    }

    /// The bytes of the connection, locked while they are moved.
    pub(super) fn wire(&self) -> MutexGuard<'_, Wire> {
        // A panic in between leaves a connection that fails, and no more.
        self.wire.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn signal(&self) -> MutexGuard<'_, Signal> {
        self.signal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the connection's task something. Whom to wake once nothing is locked any more.
    #[must_use]
    pub(super) fn tell(&self, what: impl FnOnce(&mut Signal)) -> Option<Waker> {
        let mut signal = self.signal();
        what(&mut signal);
        signal.waker.take()
    }
}

impl Signal {
    /// `waker` is called when there is something new.
    pub(super) fn wait(&mut self, waker: &Waker) {
        match &mut self.waker {
            Some(known) => known.clone_from(waker),
            None => self.waker = Some(waker.clone()),
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}
