//! How to serve, and how serving came to its end.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::{Clock, Counters};

/// What is called with the error when an accept failed for want of something of this machine's; it
/// must not block.
pub type AcceptErrorHook = Arc<dyn Fn(&io::Error) + Send + Sync>;

/// How [`serve`](crate::serve) and [`Server`](crate::Server) serve.
#[derive(Clone)]
#[non_exhaustive]
pub struct ServeOptions {
    /// Most connections open at a time, over all loops. While that many are, further ones wait in
    /// the backlog of the operating system.
    pub connections: usize,
    /// After this long without a byte, the operating system asks whether the peer is still there,
    /// and ends the connection if it is not: a peer that lost its power says nothing. `None` never
    /// asks.
    pub keepalive: Option<Duration>,
    /// How long connections may take to finish what is in flight once the shutdown was triggered.
    pub shutdown_timeout: Duration,
    /// Where the time comes from.
    pub clock: Clock,
    /// Where is counted what happens.
    pub counters: Arc<Counters>,
    /// What is called when an accept fails for want of something, such as file descriptors.
    pub on_accept_error: Option<AcceptErrorHook>,
}

impl Default for ServeOptions {
    /// 10,000 connections, 60 seconds for the keepalive, 10 seconds for
    /// the shutdown, a new clock and new counters.
    fn default() -> Self {
        Self {
            connections: 10_000,
            keepalive: Some(Duration::from_secs(60)),
            shutdown_timeout: Duration::from_secs(10),
            clock: Clock::new(),
            counters: Arc::default(),
            on_accept_error: None,
        }
    }
}

impl fmt::Debug for ServeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServeOptions")
            .field("connections", &self.connections)
            .field("keepalive", &self.keepalive)
            .field("shutdown_timeout", &self.shutdown_timeout)
            .field("clock", &self.clock)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

/// How serving came to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServeReport {
    /// Connections that were still at work when the time for the shutdown was over, and were cut.
    pub cut: usize,
}
