//! tokio, as the tests that all adapters share ask for it.

use std::io;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::runtime::{Builder, Runtime};
use windhover_core::Now;
use windhover_core::endpoint::Endpoint;
use windhover_runtime::{StdListener, StdSocket};
use windhover_tokio::{
    Clock, ConnectionEnd, Listening, Peer, ServeOptions, ServeReport, Shutdown, Stream, Tokio,
};

/// Listeners of one server in most tests.
pub(crate) const LISTENERS: usize = 1;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn listening(listener: StdListener) -> io::Result<Listening> {
    Ok(match listener {
        StdListener::Tcp(listener) => {
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)?.into()
        }
        StdListener::Unix(listener) => {
            listener.set_nonblocking(true)?;
            UnixListener::from_std(listener)?.into()
        }
    })
}

pub(crate) fn serve<E: Endpoint + Send + 'static>(
    listeners: Vec<StdListener>,
    accept: impl Fn(Peer, Now) -> E + Send + Sync + 'static,
    options: ServeOptions,
    shutdown: &Shutdown,
) -> io::Result<ServeReport> {
    runtime().block_on(async {
        let shutdown = shutdown.clone();
        let listeners: io::Result<Vec<_>> = listeners.into_iter().map(listening).collect();
        Ok(windhover_tokio::serve(listeners?, accept, options, shutdown).await)
    })
}

pub(crate) fn drive(
    stream: StdSocket,
    endpoint: impl Endpoint,
    drain: &Shutdown,
    cut: &Shutdown,
) -> io::Result<ConnectionEnd> {
    runtime().block_on(async {
        let clock = Clock::new();
        Ok(match stream {
            StdSocket::Tcp(stream) => {
                stream.set_nonblocking(true)?;
                let stream = Stream::new(TcpStream::from_std(stream)?);
                windhover_tokio::drive(Tokio, stream, endpoint, clock, drain, cut).await
            }
            StdSocket::Unix(stream) => {
                stream.set_nonblocking(true)?;
                let stream = Stream::new(UnixStream::from_std(stream)?);
                windhover_tokio::drive(Tokio, stream, endpoint, clock, drain, cut).await
            }
        })
    })
}
