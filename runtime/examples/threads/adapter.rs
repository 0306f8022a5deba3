//! Threads, as the tests that all adapters share ask for them.

use std::io;

use windhover_core::Now;
use windhover_core::endpoint::Endpoint;
use windhover_runtime::{Peer, ServeOptions, ServeReport, Shutdown, StdListener};

pub(crate) use crate::threads::drive;

/// As many as one server has in most tests.
pub(crate) const LISTENERS: usize = 1;

pub(crate) fn serve<E: Endpoint + Send + 'static>(
    listeners: Vec<StdListener>,
    accept: impl Fn(Peer, Now) -> E + Send + Sync + 'static,
    options: ServeOptions,
    shutdown: &Shutdown,
) -> io::Result<ServeReport> {
    crate::threads::serve(listeners, accept, options, shutdown)
}
