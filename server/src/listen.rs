//! What every listening command does at its start: the descriptor limit, threads, sockets, signals.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{Builder, Runtime};
use windhover_tokio::{Clock, ServeOptions, Shutdown};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// Why a command cannot listen.
#[derive(Debug)]
#[non_exhaustive]
pub enum ListenError {
    /// An address cannot be listened on.
    Address {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The operating system refused something else.
    System {
        /// What was asked of it.
        what: &'static str,
        /// Why it was refused.
        source: io::Error,
    },
}

impl ListenError {
    /// For `map_err`: what was asked, and why it was refused.
    pub fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what, source }
    }
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { address, source } => write!(f, "cannot listen on {address}: {source}"),
            Self::System { what, source } => write!(f, "cannot {what}: {source}"),
        }
    }
}

impl std::error::Error for ListenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Address { source, .. } | Self::System { source, .. } => Some(source),
        }
    }
}

/// Threads for connections: so many, or one per processor. With one, nothing is ever handed from
/// thread to thread.
pub(crate) fn runtime(threads: Option<usize>) -> Result<Runtime, ListenError> {
    let mut builder = match threads {
        Some(1) => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    if let Some(threads) = threads {
        builder.worker_threads(threads);
    }
    builder.enable_all().build().map_err(ListenError::system("start threads"))
}

/// Listens on an address; to be called from within the runtime.
pub(crate) fn bind(address: SocketAddr) -> Result<TcpListener, ListenError> {
    let socket = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    socket().map_err(|source| ListenError::Address { address, source })
}

/// Where a listener listens, with the port that was free.
pub(crate) fn address(listener: &TcpListener) -> Result<SocketAddr, ListenError> {
    listener.local_addr().map_err(ListenError::system("read a listener's address"))
}

/// How connections of a listener are served; its name is for the log.
pub(crate) fn options(
    max_connections: u64,
    shutdown_timeout: Duration,
    clock: Clock,
    listener: &'static str,
) -> ServeOptions {
    let mut options = ServeOptions::default();
    options.connections = usize::try_from(max_connections).unwrap_or(usize::MAX);
    options.shutdown_timeout = shutdown_timeout;
    options.clock = clock;
    options.on_accept_error = Some(Arc::new(move |error| {
        tracing::warn!(%error, listener, "a connection could not be accepted; trying again");
    }));
    options
}

/// A shutdown that SIGTERM and SIGINT trigger, and that is logged.
pub(crate) fn shut_down_on_signal() -> Result<Shutdown, ListenError> {
    let shutdown = Shutdown::new();
    windhover_tokio::shut_down_on_signal(&shutdown)
        .map_err(ListenError::system("catch signals"))?;
    let triggered = shutdown.clone();
    tokio::spawn(async move {
        triggered.wait().await;
        tracing::info!("asked to stop: finishing what is in flight");
    });
    Ok(shutdown)
}

/// Logs that connections were cut, if any were.
pub(crate) fn log_cut(cut: usize) {
    if cut > 0 {
        tracing::warn!(cut, "connections were cut, because they did not finish in time");
    }
}

/// As many descriptors as the system allows: the usual soft limit is far below what a server with
/// many clients needs.
pub(crate) fn raise_descriptor_limit() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "the limit of open files could not be raised");
        }
    }
}
