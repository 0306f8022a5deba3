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
///
/// Those of a test in which no time passes:
///
/// ```
/// use std::future::{Pending, pending};
/// use std::pin::Pin;
/// use std::time::Instant;
/// use windhover_runtime::Timers;
///
/// #[derive(Clone)]
/// struct Frozen;
///
/// impl Timers for Frozen {
///     type Sleep = Pending<()>;
///
///     fn sleep_until(&self, _: Instant) -> Pending<()> {
///         pending()
///     }
///     fn reset(&self, _: Pin<&mut Pending<()>>, _: Instant) {}
/// }
/// ```
pub trait Timers: Clone + Send + Sync + 'static {
    /// Ready at an instant. What it is then does not matter.
    type Sleep: Future + Send;

    /// Ready at `at`.
    fn sleep_until(&self, at: Instant) -> Self::Sleep;

    /// Moves a sleep, one that was ready too, to `at`. Mostly to a later instant than before.
    fn reset(&self, sleep: Pin<&mut Self::Sleep>, at: Instant);
}

/// The tasks and timers of a runtime.
///
/// One that counts the tasks of another:
///
/// ```
/// use std::future::Future;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use windhover_runtime::Runtime;
///
/// struct Counting<R> {
///     inner: R,
///     started: AtomicU64,
/// }
///
/// impl<R: Runtime> Runtime for Counting<R> {
///     type Timers = R::Timers;
///
///     fn timers(&self) -> R::Timers {
///         self.inner.timers()
///     }
///     fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
///         self.started.fetch_add(1, Ordering::Relaxed);
///         self.inner.spawn(task);
///     }
/// }
/// ```
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
///
/// One that tells whom another has accepted:
///
/// ```
/// use std::io;
/// use windhover_runtime::{Listener, Peer, TcpOptions};
///
/// struct Logged<L>(L);
///
/// impl<L: Listener> Listener for Logged<L> {
///     type Stream = L::Stream;
///
///     async fn accept(&mut self, tcp: &TcpOptions) -> io::Result<(L::Stream, Peer)> {
///         let (stream, peer) = self.0.accept(tcp).await?;
///         eprintln!("a connection from {peer}");
///         Ok((stream, peer))
///     }
/// }
/// ```
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
///
/// ```
/// use std::net::SocketAddr;
/// use windhover_runtime::Peer;
///
/// let peer = Peer::from(SocketAddr::from(([10, 0, 0, 1], 4711)));
/// assert_eq!(peer.ip().map(|ip| ip.to_string()).as_deref(), Some("10.0.0.1"));
/// assert_eq!((Peer::Unix.ip(), Peer::Unix.to_string().as_str()), (None, "a Unix socket"));
/// ```
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
