//! One connection, as its own task and the cluster see it.

use std::fmt;
use std::sync::{PoisonError, TryLockError};
use std::task::Waker;

#[cfg(feature = "tls")]
use windhover_core::client::Server;
use windhover_core::client::ServerId;

use super::shared::{Calling, SharedStream, Told};
use super::wire::Wire;
use crate::sync::{Mutex, MutexGuard};

/// What stands between a connection's task and the cluster.
pub(super) struct Link {
    wire: Mutex<Wire>,
    signal: Mutex<Signal>,
    /// Its stream, where callers may move its bytes, too.
    stream: Mutex<Option<SharedStream>>,
    /// Where to.
    pub(super) server_id: ServerId,
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
    /// What a caller may do for the connection.
    pub(super) calling: Calling,
}

impl Link {
    pub(super) fn new(server_id: ServerId, #[cfg(feature = "tls")] server: Option<Server>) -> Self {
        Self {
            wire: Mutex::default(),
            signal: Mutex::default(),
            stream: Mutex::default(),
            server_id,
            #[cfg(feature = "tls")]
            server,
        }
    }

    /// The bytes of the connection, locked while they are moved.
    pub(super) fn wire(&self) -> MutexGuard<'_, Wire> {
        // A panic in between leaves a connection that fails, and no more.
        self.wire.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its stream, locked while bytes are moved; `None` where its task keeps it for itself, or has not come to
    /// it yet.
    pub(super) fn stream(&self) -> MutexGuard<'_, Option<SharedStream>> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, unless somebody else has it.
    pub(super) fn try_stream(&self) -> Option<MutexGuard<'_, Option<SharedStream>>> {
        match self.stream.try_lock() {
            Ok(stream) => Some(stream),
            Err(TryLockError::Poisoned(stream)) => Some(stream.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
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

    /// Tells who moves the connection's bytes that some wait to be written. Whom to wake, as with
    /// [`tell`](Self::tell).
    #[must_use]
    pub(super) fn tell_write(&self) -> Told {
        let mut signal = self.signal();
        signal.wants_write = true;
        match signal.calling.tell_write() {
            Told::Task(_) => Told::Task(signal.waker.take()),
            told => told,
        }
    }
}

impl Signal {
    /// Whom to wake of the connection's own, if it waits.
    pub(super) const fn take_waker(&mut self) -> Option<Waker> {
        self.waker.take()
    }

    /// The bytes are the task's again, whoever moved them. Whom to wake where that was a caller.
    #[must_use]
    pub(super) fn interrupt_caller(&mut self) -> Option<Waker> {
        if self.calling.end() { self.waker.take() } else { None }
    }

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
