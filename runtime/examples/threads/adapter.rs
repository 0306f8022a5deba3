//! Threads, as the tests that all adapters share ask for them.

use std::io;

use windhover_core::Now;
use windhover_core::endpoint::Endpoint;
use windhover_runtime::{Peer, ServeOptions, ServeReport, Shutdown, StdListener};

pub(crate) use crate::threads::drive;

/// Listeners that one server takes.
pub(crate) const LISTENERS: usize = 1;

pub(crate) fn serve<E: Endpoint + Send + 'static>(
    mut listeners: Vec<StdListener>,
    accept: impl Fn(Peer, Now) -> E + Send + Sync + 'static,
    options: ServeOptions,
    shutdown: &Shutdown,
) -> io::Result<ServeReport> {
    assert_eq!(listeners.len(), LISTENERS);
    crate::threads::serve(listeners.remove(0), accept, options, shutdown)
}
