//! The queue servers that records are sent on to, as an operator sees them.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use windhover_client::Client;
use windhover_client::protocol::client::ServerState;

/// The queue servers that records are sent on to.
#[derive(Default)]
pub struct ForwardServers(Mutex<Option<Client>>);

impl fmt::Debug for ForwardServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.list()).finish()
    }
}

impl ForwardServers {
    /// They are those of this client.
    pub fn set(&self, client: &Client) {
        *self.lock() = Some(client.clone());
    }

    /// Lets go of the client, which ends with its last handle.
    pub fn clear(&self) {
        drop(self.lock().take());
    }

    /// Their names, and whether each is in use.
    pub fn list(&self) -> Vec<(String, &'static str)> {
        let client = self.lock().clone();
        let statistics = client.map(|client| client.statistics()).unwrap_or_default();
        let state = |state| match state {
            ServerState::Healthy => "in use",
            ServerState::Ejected => "out of use",
            _ => "out of use, probed",
        };
        statistics.into_iter().map(|it| (it.name.into_string(), state(it.state))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Client>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
