//! Connections of a client.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
#[cfg(unix)]
use std::{os::unix::net::UnixStream, path::Path};

use async_io::Async;
use windhover_client::{Builder, Client, Connect, Connector, Driver, Error};
use windhover_runtime::{Task, TcpOptions};

use crate::{Socket, runtime};

/// Makes a client and drives it in tasks that `spawn` starts, until its last handle is gone:
/// `|task| smol::spawn(task).detach()`, say.
///
/// # Errors
/// As [`Builder::build`].
pub fn connect_on(
    spawn: impl Fn(Task) + Clone + Send + 'static,
    builder: Builder,
) -> Result<Client, Error> {
    connect_on_with(spawn, builder, Plain)
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

/// Does what the client wants done, with a task that `spawn` starts for each connection, until its
/// last handle is gone: over the streams that `connector` gives.
///
/// [`connect_on`] starts this; it is here for those who start it themselves. A driver that is dropped
/// before its end ends every call with an error.
pub async fn drive_client(driver: Driver, spawn: impl Fn(Task), connector: impl Connector) {
    driver.drive(runtime::on(spawn), connector).await;
}

/// TCP, and Unix sockets for addresses with a `/` in them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain;

impl Connect for Plain {
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
