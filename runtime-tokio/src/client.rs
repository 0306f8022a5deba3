//! Connections of a client.

use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::Path;

#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::net::{TcpStream, lookup_host};
use windhover_client::{Builder, Client, Connect, Connector, Error};
use windhover_runtime::TcpOptions;

use crate::{Socket, Tokio};

/// Makes a client and drives it on the current runtime, in tasks of its own, until its last handle
/// is gone.
///
/// ```
/// use std::time::Duration;
/// use windhover_tokio::{Client, connect};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), windhover_tokio::Error> {
/// let client = connect(Client::builder().server("127.0.0.1:1"))?;
/// // Nobody listens there: an error, not a miss.
/// assert!(client.with_timeout(Duration::from_millis(500)).get("greeting").await.is_err());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`Builder::build`].
///
/// # Panics
/// Outside of a tokio runtime, as `tokio::spawn` does.
pub fn connect(builder: Builder) -> Result<Client, Error> {
    connect_with(builder, Tokio)
}

/// The same, with connections made by `connector`.
///
/// ```
/// use windhover_tokio::{
///     Client, ConnectError, Connector, Error, Server, Socket, Tokio, connect_with,
/// };
///
/// /// Says whom it connects to; [`Tokio`] does it.
/// #[derive(Clone)]
/// struct Told;
///
/// impl Connector for Told {
///     type Stream = Socket;
///
///     async fn connect(&self, server: &Server) -> Result<Socket, ConnectError> {
///         eprintln!("connecting to {}", server.name);
///         Tokio.connect(server).await
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// let client = connect_with(Client::builder().server("10.0.0.1:11211"), Told)?;
/// # drop(client);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`Builder::build`].
///
/// # Panics
/// Outside of a tokio runtime.
pub fn connect_with(builder: Builder, connector: impl Connector) -> Result<Client, Error> {
    builder.connect_on(Tokio, connector)
}

/// TCP, and Unix sockets for addresses with a `/` in them.
impl Connect for Tokio {
    type Stream = Socket;

    async fn tcp(&self, address: SocketAddr) -> io::Result<Socket> {
        let stream = TcpStream::connect(address).await?;
        TcpOptions::default().apply(&stream);
        Ok(Socket::Tcp(stream))
    }

    #[cfg(unix)]
    async fn unix(&self, path: &Path) -> io::Result<Socket> {
        UnixStream::connect(path).await.map(Socket::Unix)
    }

    async fn resolve(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        Ok(lookup_host(name).await?.collect())
    }
}
