//! What an adapter gives.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::time::Instant;

use crate::{PollStream, TcpOptions};

/// The timers of a runtime.
///
/// Clones are cheap handles: every connection has one.
pub trait Timers: Clone + Send + Sync + 'static {
    /// Ready at an instant. What it is then does not matter.
    type Sleep: Future + Send;

    /// Ready at `at`.
    fn sleep_until(&self, at: Instant) -> Self::Sleep;

    /// Moves a sleep, one that was ready too, to `at`. Mostly to a later instant than before.
    fn reset(&self, sleep: Pin<&mut Self::Sleep>, at: Instant);
}

/// The tasks and timers of a runtime.
pub trait Runtime {
    /// Its timers.
    type Timers: Timers;

    /// Its timers.
    fn timers(&self) -> Self::Timers;

    /// Starts a task. One that panics is to take no other with it; one that cannot be had is to be
    /// dropped, which ends what it was for.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static);
}

/// A listening socket.
pub trait Listener: Send {
    /// What it accepts.
    type Stream: PollStream + Send + 'static;

    /// Waits for a connection, and sets it up as `tcp` says if it is a TCP connection
    /// ([`TcpOptions::apply`]). What is returned may be dropped before it is ready; no connection may
    /// be lost by that.
    ///
    /// # Errors
    ///
    /// What the operating system says. The listener goes on: what an error means is decided by
    /// who asked.
    fn accept(
        &mut self,
        tcp: &TcpOptions,
    ) -> impl Future<Output = io::Result<(Self::Stream, Peer)>> + Send;
}

/// Who is on the other side of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Peer {
    /// The address of a TCP connection's other end.
    Tcp(SocketAddr),
    /// A process on this machine, by a Unix socket.
    Unix,
    /// Whoever is behind a stream that was given.
    #[default]
    Unknown,
}

impl Peer {
    /// The peer's IP address, if it has one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) => Some(address.ip()),
            Self::Unix | Self::Unknown => None,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix => f.write_str("a Unix socket"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}
