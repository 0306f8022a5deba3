//! mio, as the tests that all adapters share ask for it.

use std::io;

use windhover_core::Now;
use windhover_core::endpoint::Endpoint;
use windhover_mio::mio::net::{TcpStream, UnixStream};
use windhover_mio::{Clock, ConnectionEnd, Peer, ServeOptions, ServeReport, Shutdown, StdListener};
use windhover_runtime::StdSocket;

/// Listeners of one server in most tests.
pub(crate) const LISTENERS: usize = 2;

pub(crate) fn serve<E: Endpoint + Send + 'static>(
    listeners: Vec<StdListener>,
    accept: impl Fn(Peer, Now) -> E + Send + Sync + 'static,
    options: ServeOptions,
    shutdown: &Shutdown,
) -> io::Result<ServeReport> {
    windhover_mio::serve(listeners, accept, options, shutdown)
}

pub(crate) fn drive(
    stream: StdSocket,
    endpoint: impl Endpoint,
    drain: &Shutdown,
    cut: &Shutdown,
) -> io::Result<ConnectionEnd> {
    let clock = Clock::new();
    match stream {
        StdSocket::Tcp(stream) => {
            stream.set_nonblocking(true)?;
            let stream = TcpStream::from_std(stream);
            windhover_mio::drive(stream, endpoint, clock, drain, cut)
        }
        StdSocket::Unix(stream) => {
            stream.set_nonblocking(true)?;
            let stream = UnixStream::from_std(stream);
            windhover_mio::drive(stream, endpoint, clock, drain, cut)
        }
    }
}
