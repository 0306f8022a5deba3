//! One socket of a client, and how it is connected.

use std::io::{self, IoSlice, Read, Write};
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::PathBuf;
use std::task::Poll;
use std::vec;

use mio::event::{Event, Source};
use mio::net::TcpStream;
#[cfg(unix)]
use mio::net::UnixStream;
use mio::{Interest, Registry, Token};
use windhover_client::core::client::{ConnectFailure, ConnectionId};
use windhover_client::{Driver, connect_failure};

use crate::input::Input;

/// Where a connection may go to.
#[derive(Debug)]
pub(super) enum Address {
    Tcp(SocketAddr),
    #[cfg(unix)]
    Unix(PathBuf),
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Socket {
    /// A connection under way.
    fn connect(address: &Address) -> io::Result<Self> {
        match address {
            Address::Tcp(address) => TcpStream::connect(*address).map(Self::Tcp),
            #[cfg(unix)]
            Address::Unix(path) => UnixStream::connect(path).map(Self::Unix),
        }
    }

    fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Tcp(stream) => stream,
            #[cfg(unix)]
            Self::Unix(stream) => stream,
        }
    }

    /// Whether the connection is made by now.
    fn is_connected(&self) -> io::Result<bool> {
        let (error, has_peer) = match self {
            Self::Tcp(stream) => (stream.take_error()?, stream.peer_addr().is_ok()),
            #[cfg(unix)]
            Self::Unix(stream) => (stream.take_error()?, stream.peer_addr().is_ok()),
        };
        error.map_or(Ok(has_peer), Err)
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match (self, slices) {
            (Self::Tcp(stream), [slice]) => stream.write(slice),
            (Self::Tcp(stream), slices) => stream.write_vectored(slices),
            #[cfg(unix)]
            (Self::Unix(stream), slices) => stream.write_vectored(slices),
        }
    }
}

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(into),
            #[cfg(unix)]
            Self::Unix(stream) => stream.read(into),
        }
    }
}

/// A registered socket, and what is known of its readiness: events come once, so that it is
/// remembered until an operation says otherwise.
#[derive(Debug)]
pub(super) struct Wire {
    socket: Socket,
    input: Input,
    /// It takes bytes, as far as is known; before it is connected, there is news of that.
    takes_output: bool,
}

impl Wire {
    fn connect(address: &Address, registry: &Registry, token: Token) -> io::Result<Self> {
        let mut socket = Socket::connect(address)?;
        registry.register(socket.source(), token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self { socket, input: Input::Nothing, takes_output: false })
    }

    /// Notes what an event tells.
    pub(super) fn note(&mut self, event: &Event) {
        self.input.note(event);
        self.takes_output |= event.is_writable() || event.is_write_closed() || event.is_error();
    }

    /// Whether the connection is made. `false` is for when an event comes.
    fn is_connected(&mut self) -> io::Result<bool> {
        if !self.takes_output {
            return Ok(false);
        }
        // An event that told of nothing is not told again; the client bounds the wait.
        self.takes_output = self.socket.is_connected()?;
        if let (true, Socket::Tcp(stream)) = (self.takes_output, &self.socket) {
            // Small requests are not to wait for each other: the client gathers them itself.
            let _ = stream.set_nodelay(true);
        }
        Ok(self.takes_output)
    }

    /// Writes once and reads once, where there is something to do; whether there was.
    pub(super) fn exchange(
        &mut self,
        driver: &Driver,
        connection: ConnectionId,
        wants_write: bool,
        scratch: &mut [u8],
    ) -> bool {
        let mut moved = false;
        if wants_write && self.takes_output {
            moved |= driver.write(connection, |slices| self.write(slices)).is_ready();
        }
        if self.input.is_there() {
            let (socket, input) = (&mut self.socket, &mut self.input);
            let read = driver.read(connection, |buffer| {
                // As much as the client reckons with: its bounds are counted in what it offers.
                let spare = buffer.capacity() - buffer.len();
                match input.read(socket, spare, scratch) {
                    Ok(Some(came)) => {
                        buffer.extend_from_slice(came);
                        Poll::Ready(Ok(came.len()))
                    }
                    Ok(None) => Poll::Pending,
                    Err(error) => {
                        *input = Input::Ended;
                        Poll::Ready(Err(error))
                    }
                }
            });
            moved |= read.is_ready();
        }
        moved
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        loop {
            match self.socket.write(slices) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.takes_output = false;
                    return Poll::Pending;
                }
                written => return Poll::Ready(written),
            }
        }
    }

    pub(super) fn close(mut self, registry: &Registry) {
        let _ = registry.deregister(self.socket.source());
    }
}

/// A connection that is being made, to the first of some addresses that takes it.
#[derive(Debug)]
pub(super) struct Attempts {
    current: Option<Wire>,
    others: vec::IntoIter<Address>,
    /// Why the last one could not be made.
    failure: ConnectFailure,
}

impl Attempts {
    pub(super) fn new(addresses: Vec<Address>) -> Self {
        let others = addresses.into_iter();
        Self { current: None, others, failure: ConnectFailure::NoAddress }
    }

    /// Notes what an event tells.
    pub(super) fn note(&mut self, event: &Event) {
        if let Some(wire) = &mut self.current {
            wire.note(event);
        }
    }

    /// Goes on until the connection is made or cannot be.
    pub(super) fn turn(
        &mut self,
        registry: &Registry,
        token: Token,
    ) -> Poll<Result<Wire, ConnectFailure>> {
        loop {
            if let Some(mut wire) = self.current.take() {
                match wire.is_connected() {
                    Ok(true) => return Poll::Ready(Ok(wire)),
                    Ok(false) => {
                        self.current = Some(wire);
                        return Poll::Pending;
                    }
                    Err(error) => {
                        self.failure = connect_failure(&error);
                        wire.close(registry);
                    }
                }
            }
            let Some(address) = self.others.next() else {
                return Poll::Ready(Err(self.failure));
            };
            match Wire::connect(&address, registry, token) {
                Ok(wire) => self.current = Some(wire),
                Err(error) => self.failure = connect_failure(&error),
            }
        }
    }

    pub(super) fn close(self, registry: &Registry) {
        if let Some(wire) = self.current {
            wire.close(registry);
        }
    }
}
