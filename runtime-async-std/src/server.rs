//! Connections that come in.

use std::io;

use async_io::Async;
use futures_io::{AsyncRead, AsyncWrite};
use windhover_core::Now;
use windhover_core::endpoint::Endpoint;
use windhover_runtime::{
    Clock, ConnectionEnd, Listener, Listeners, Peer, ServeOptions, ServeReport, Shutdown,
    StdListener, StdSocket, Task, TcpOptions,
};

use crate::{Socket, Stream, runtime};

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

/// Serves the connections that `listener` accepts, of the standard library's TCP or Unix ones (async-std's
/// become that by `TryFrom`), each with the endpoint that `accept`
/// makes for the peer and the time, as a task that `spawn` starts, until `shutdown` is triggered.
///
/// Then it accepts nothing more, asks every endpoint for an orderly end, waits for them for at most
/// [`ServeOptions::shutdown_timeout`], and cuts those that are left.
///
/// An endpoint that panics takes its own connection with it and no other, if the executor keeps a
/// panic within its task, as smol's and async-std's do.
///
/// # Errors
///
/// When the operating system refuses to have the listener waited for.
pub async fn serve_on<E, F>(
    spawn: impl Fn(Task),
    listener: impl Into<StdListener>,
    accept: F,
    options: ServeOptions,
    shutdown: Shutdown,
) -> io::Result<ServeReport>
where
    E: Endpoint + Send + 'static,
    F: Fn(Peer, Now) -> E + Send + Sync + 'static,
{
    serve_all_on(spawn, [listener.into()], accept, options, shutdown).await
}

/// [`serve_on`] for several listeners, such as those of a host name's addresses: the bound on connections
/// is one for all of them.
///
/// # Errors
///
/// Those of [`serve_on`].
pub async fn serve_all_on<E, F>(
    spawn: impl Fn(Task),
    listeners: impl IntoIterator<Item = StdListener>,
    accept: F,
    options: ServeOptions,
    shutdown: Shutdown,
) -> io::Result<ServeReport>
where
    E: Endpoint + Send + 'static,
    F: Fn(Peer, Now) -> E + Send + Sync + 'static,
{
    let listeners: io::Result<Vec<_>> =
        listeners.into_iter().map(|listener| Async::new(listener).map(Listening)).collect();
    let (runtime, listeners) = (runtime::on(spawn), Listeners::new(listeners?));
    Ok(windhover_runtime::serve(runtime, listeners, accept, options, shutdown).await)
}

/// Drives `endpoint` over one `stream`: one that encrypts, one of an accept loop of your own, one in
/// memory. It goes on until the endpoint closes, the stream breaks, or `cut` is triggered; `drain`
/// asks the endpoint for an orderly end.
///
/// What the stream holds back is flushed when the endpoint has nothing more to write; its
/// `poll_close` has to end what the peer reads and leave the other direction open, as smol's
/// `TcpStream` does; async-std's does not.
pub fn drive<S, E>(
    stream: S,
    endpoint: E,
    clock: Clock,
    drain: &Shutdown,
    cut: &Shutdown,
) -> impl Future<Output = ConnectionEnd> + use<S, E>
where
    S: AsyncRead + AsyncWrite + Unpin,
    E: Endpoint,
{
    windhover_runtime::drive(runtime::AsyncIo, Stream::new(stream), endpoint, clock, drain, cut)
}
