//! The queue servers that records are sent on to, as an operator sees them.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Connection;

/// The queue servers that records are sent on to.
#[derive(Default)]
pub struct ForwardServers(Mutex<Option<Connection>>);

/// One queue server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ForwardServer {
    /// Its address.
    pub name: String,
    /// Whether it is in use, in words.
    pub state: &'static str,
    /// Whether nothing is known that speaks against using it.
    pub is_usable: bool,
    /// Requests that it has not answered.
    pub in_flight: usize,
}

impl fmt::Debug for ForwardServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.list()).finish()
    }
}

impl ForwardServers {
    /// They are those of this connection.
    pub(crate) fn set(&self, connection: &Connection) {
        *self.lock() = Some(connection.clone());
    }

    /// Lets go of the connection, which ends with its last handle.
    pub(crate) fn clear(&self) {
        drop(self.lock().take());
    }

    /// Each of them.
    pub fn list(&self) -> Vec<ForwardServer> {
        let connection = self.lock().clone();
        connection.map(|connection| connection.servers()).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Connection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
