//! Connections that come in.

use std::io;

use async_io::Async;
use windhover_core::Now;
use windhover_core::endpoint::Endpoint;
use windhover_runtime::{
    Listener, Listeners, Peer, ServeOptions, ServeReport, Shutdown, StdListener, StdSocket, Task,
    TcpOptions,
};

use crate::{Socket, runtime};

/// A listening socket that `async-io` waits for.
struct Listening(Async<StdListener>);

impl Listener for Listening {
    type Stream = Socket;

    async fn accept(&mut self, tcp: &TcpOptions) -> io::Result<(Socket, Peer)> {
        let (socket, peer) = self.0.read_with(|listener| listener.accept(tcp)).await?;
        let socket = match socket {
            StdSocket::Tcp(stream) => Socket::Tcp(Async::new(stream)?.into()),
            StdSocket::Unix(stream) => Socket::Unix(Async::new(stream)?.into()),
        };
        Ok((socket, peer))
    }
}

/// Serves the connections that `listeners` accept, of the standard library's TCP or Unix ones (async-std's
/// become that by `TryFrom`), each with the endpoint that `accept` makes for the peer and the time, as a task
/// that `spawn` starts, until `shutdown` is triggered. The bound on connections is one for all listeners:
/// `[listener]` is one, and those of a host name's addresses are several.
///
/// Then it accepts nothing more, asks every endpoint for an orderly end, waits for them for at most
/// [`ServeOptions::shutdown_timeout`], and cuts those that are left.
///
/// An endpoint that panics takes its own connection with it and no other, if the executor keeps a
/// panic within its task, as smol's and async-std's do.
///
/// # Errors
///
/// When the operating system refuses to have a listener waited for.
pub async fn serve_on<E, F>(
    spawn: impl Fn(Task),
    listeners: impl IntoIterator<Item = impl Into<StdListener>>,
    accept: F,
    options: ServeOptions,
    shutdown: Shutdown,
) -> io::Result<ServeReport>
where
    E: Endpoint + Send + 'static,
    F: Fn(Peer, Now) -> E + Send + Sync + 'static,
{
    let listening = |listener| Async::new(Into::into(listener)).map(Listening);
    let listeners: Vec<_> = listeners.into_iter().map(listening).collect::<io::Result<_>>()?;
    let (runtime, listeners) = (runtime::on(spawn), Listeners::new(listeners));
    Ok(windhover_runtime::serve(runtime, listeners, accept, options, shutdown).await)
}
