//! async-std, as the tests that all adapters share ask for it.

use std::io;

use async_std::task::block_on;
use smol::Async;
use windhover_async_std::{
    AsyncIo, Clock, ConnectionEnd, Peer, ServeOptions, ServeReport, Shutdown, StdListener, Stream,
};
use windhover_core::Now;
use windhover_core::endpoint::Endpoint;
use windhover_runtime::StdSocket;

/// Listeners of one server in most tests.
pub(crate) const LISTENERS: usize = 1;

pub(crate) fn serve<E: Endpoint + Send + 'static>(
    listeners: Vec<StdListener>,
    accept: impl Fn(Peer, Now) -> E + Send + Sync + 'static,
    options: ServeOptions,
    shutdown: &Shutdown,
) -> io::Result<ServeReport> {
    block_on(windhover_async_std::serve(listeners, accept, options, shutdown.clone()))
}

/// Over smol's streams: `poll_close` of async-std's does not end what the peer reads.
pub(crate) fn drive(
    stream: StdSocket,
    endpoint: impl Endpoint,
    drain: &Shutdown,
    cut: &Shutdown,
) -> io::Result<ConnectionEnd> {
    let clock = Clock::new();
    Ok(match stream {
        StdSocket::Tcp(stream) => {
            let stream = Stream::new(smol::net::TcpStream::from(Async::new(stream)?));
            block_on(windhover_async_std::drive(AsyncIo, stream, endpoint, clock, drain, cut))
        }
        StdSocket::Unix(stream) => {
            let stream = Stream::new(smol::net::unix::UnixStream::from(Async::new(stream)?));
            block_on(windhover_async_std::drive(AsyncIo, stream, endpoint, clock, drain, cut))
        }
    })
}
