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
