//! The queue servers that records are sent on to, as an operator sees them.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use windhover_client::Client;
use windhover_client::protocol::client::{ServerState, ServerStatistics};

/// The queue servers that records are sent on to.
#[derive(Default)]
pub struct ForwardServers(Mutex<Option<Client>>);

/// One queue server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ForwardServer {
    /// Its address.
    pub name: String,
    /// Whether it is in use, in words.
    pub state: &'static str,
    /// Requests that it has not answered.
    pub in_flight: usize,
}

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

    /// Each of them.
    pub fn list(&self) -> Vec<ForwardServer> {
        let client = self.lock().clone();
        let statistics = client.map(|client| client.statistics()).unwrap_or_default();
        let state = |state| match state {
            ServerState::Healthy => "in use",
            ServerState::Ejected => "out of use",
            _ => "out of use, probed",
        };
        let server = |it: ServerStatistics| ForwardServer {
            name: it.name.into_string(),
            state: state(it.state),
            in_flight: it.in_flight,
        };
        statistics.into_iter().map(server).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Client>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
