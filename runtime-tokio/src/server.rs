//! Connections that come in.

use std::io;

use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::net::UnixListener;
use windhover_core::Now;
use windhover_core::endpoint::Endpoint;
use windhover_runtime::{
    Listener, Listeners, Peer, ServeOptions, ServeReport, Shutdown, StdListener, TcpOptions,
};

use crate::{Socket, Tokio};

/// A listening socket of tokio's.
///
/// ```
/// use windhover_tokio::{Listening, listen};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// // With a backlog for a crowd, which tokio's own `bind` does not have.
/// let listener = listen("127.0.0.1:0".parse().expect("an address"))?;
/// let listening = Listening::from_std(listener.into())?;
/// assert!(matches!(listening, Listening::Tcp(listener) if listener.local_addr()?.port() != 0));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub enum Listening {
    /// At an address.
    Tcp(TcpListener),
    /// At a path.
    #[cfg(unix)]
    Unix(UnixListener),
}

impl From<TcpListener> for Listening {
    fn from(listener: TcpListener) -> Self {
        Self::Tcp(listener)
    }
}

#[cfg(unix)]
impl From<UnixListener> for Listening {
    fn from(listener: UnixListener) -> Self {
        Self::Unix(listener)
    }
}

impl Listening {
    /// A listener of the standard library's, which must not block.
    ///
    /// # Errors
    ///
    /// When the operating system refuses to have it waited for.
    ///
    /// # Panics
    ///
    /// Outside of a runtime of tokio's.
    pub fn from_std(listener: StdListener) -> io::Result<Self> {
        Ok(match listener {
            StdListener::Tcp(listener) => Self::Tcp(TcpListener::from_std(listener)?),
            #[cfg(unix)]
            StdListener::Unix(listener) => Self::Unix(UnixListener::from_std(listener)?),
        })
    }
}

impl Listener for Listening {
    type Stream = Socket;

    async fn accept(&mut self, tcp: &TcpOptions) -> io::Result<(Socket, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                tcp.apply(&stream);
                Ok((Socket::Tcp(stream), peer.into()))
            }
            #[cfg(unix)]
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Socket::Unix(stream), Peer::Unix))
            }
        }
    }
}

/// Serves the connections that `listeners` accept, TCP or Unix, each with the endpoint that `accept`
/// makes for the peer and the time, until `shutdown` is triggered. The bound on connections is one for all
/// listeners: `[listener]` is one, and those of a host name's addresses are several.
///
/// Then it accepts nothing more, asks every endpoint for an orderly end, waits for them for at most
/// [`ServeOptions::shutdown_timeout`], and drops those that are left.
///
/// An endpoint that panics takes its own connection with it and no other.
pub async fn serve<E, F>(
    listeners: impl IntoIterator<Item = impl Into<Listening>>,
    accept: F,
    options: ServeOptions,
    shutdown: Shutdown,
) -> ServeReport
where
    E: Endpoint + Send + 'static,
    F: Fn(Peer, Now) -> E + Send + Sync + 'static,
{
    let listeners = Listeners::new(listeners.into_iter().map(Into::into));
    windhover_runtime::serve(Tokio, listeners, accept, options, shutdown).await
}
