//! Connections of a client.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
#[cfg(unix)]
use std::{os::unix::net::UnixStream, path::Path};

use async_io::Async;
use windhover_client::{Builder, Client, Connect, Connector, Error};
use windhover_runtime::{Task, TcpOptions};

use crate::{AsyncIo, Socket, runtime};

/// Makes a client and drives it in tasks that `spawn` starts, until its last handle is gone:
/// `|task| smol::spawn(task).detach()`, say.
///
/// ```
/// use std::time::Duration;
/// use windhover_async_std::{Client, Error, connect_on};
///
/// # fn main() -> Result<(), Error> {
/// let client =
///     connect_on(|task| smol::spawn(task).detach(), Client::builder().server("127.0.0.1:1"))?;
/// // Nobody listens there: an error, not a miss.
/// let get = async { client.with_timeout(Duration::from_millis(500)).get("greeting").await };
/// assert!(smol::block_on(get).is_err());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`Builder::build`].
pub fn connect_on(
    spawn: impl Fn(Task) + Clone + Send + 'static,
    builder: Builder,
) -> Result<Client, Error> {
    connect_on_with(spawn, builder, AsyncIo)
}

/// The same, with connections made by `connector`.
///
/// ```
/// use windhover_async_std::{AsyncIo, Client, Connector, Error, connect_on_with};
///
/// /// A client on smol's tasks, which connects as it is told.
/// fn connect_by(connector: impl Connector) -> Result<Client, Error> {
///     let builder = Client::builder().server("10.0.0.1:11211");
///     connect_on_with(|task| smol::spawn(task).detach(), builder, connector)
/// }
///
/// // As it would by itself.
/// assert!(connect_by(AsyncIo).is_ok());
/// ```
///
/// # Errors
/// As [`Builder::build`].
pub fn connect_on_with(
    spawn: impl Fn(Task) + Clone + Send + 'static,
    builder: Builder,
    connector: impl Connector,
) -> Result<Client, Error> {
    builder.connect_on(runtime::on(spawn), connector)
}

/// TCP, and Unix sockets for addresses with a `/` in them.
impl Connect for AsyncIo {
    type Stream = Socket;

    async fn tcp(&self, address: SocketAddr) -> io::Result<Socket> {
        let stream = Async::<TcpStream>::connect(address).await?;
        TcpOptions::default().apply(&stream);
        Ok(Socket::Tcp(stream.into()))
    }

    #[cfg(unix)]
    async fn unix(&self, path: &Path) -> io::Result<Socket> {
        Ok(Socket::Unix(Async::<UnixStream>::connect(path).await?.into()))
    }

    async fn resolve(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        let name = name.to_owned();
        blocking::unblock(move || Ok(name.to_socket_addrs()?.collect())).await
    }
}
