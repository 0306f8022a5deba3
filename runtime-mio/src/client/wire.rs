//! One socket of a client, and how it is connected.

use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::PathBuf;
use std::task::Poll;
use std::vec;

use mio::event::Event;
use mio::net::TcpStream;
#[cfg(unix)]
use mio::net::UnixStream;
use mio::{Registry, Token};
use windhover_client::ConnectError;
use windhover_client::protocol::client::ConnectFailure;
use windhover_runtime::TcpOptions;

use crate::socket::{Registered, Socket, Stream};

/// Where a connection may go to.
#[derive(Debug)]
pub(super) enum Address {
    Tcp(SocketAddr),
    #[cfg(unix)]
    Unix(PathBuf),
    /// There already.
    Given(Stream),
}

impl Socket {
    /// A connection under way.
    fn connect(address: Address) -> io::Result<Self> {
        match address {
            Address::Tcp(address) => TcpStream::connect(address).map(Self::Tcp),
            #[cfg(unix)]
            Address::Unix(path) => UnixStream::connect(path).map(Self::Unix),
            Address::Given(stream) => Ok(Self::given(stream)),
        }
    }

    /// Whether the connection is made by now.
    fn is_connected(&self) -> io::Result<bool> {
        let (error, has_peer) = match self {
            Self::Tcp(stream) => (stream.take_error()?, stream.peer_addr().is_ok()),
            #[cfg(unix)]
            Self::Unix(stream) => (stream.take_error()?, stream.peer_addr().is_ok()),
            Self::Given(_) => (None, true),
        };
        error.map_or(Ok(has_peer), Err)
    }
}

impl Registered {
    fn connect(address: Address, registry: &Registry, token: Token) -> io::Result<Self> {
        Self::new(Socket::connect(address)?, false, registry, token)
    }

    /// Whether the connection is made. `false` is for when an event comes.
    fn is_connected(&mut self) -> io::Result<bool> {
        if !self.takes_output {
            return Ok(false);
        }
        // An event that told of nothing is not told again; the client bounds the wait.
        self.takes_output = self.socket.is_connected()?;
        if let (true, Socket::Tcp(stream)) = (self.takes_output, &self.socket) {
            TcpOptions::default().apply(stream);
        }
        Ok(self.takes_output)
    }
}

/// A connection that is being made, to the first of some addresses that takes it.
pub(super) struct Attempts {
    current: Option<Registered>,
    others: vec::IntoIter<Address>,
    /// Why the last one could not be made.
    failure: ConnectError,
}

impl Attempts {
    pub(super) fn new(addresses: Vec<Address>) -> Self {
        let others = addresses.into_iter();
        Self { current: None, others, failure: ConnectFailure::NoAddress.into() }
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
    ) -> Poll<Result<Registered, ConnectError>> {
        loop {
            if let Some(mut wire) = self.current.take() {
                match wire.is_connected() {
                    Ok(true) => return Poll::Ready(Ok(wire)),
                    Ok(false) => {
                        self.current = Some(wire);
                        return Poll::Pending;
                    }
                    Err(error) => {
                        self.failure = error.into();
                        wire.deregister(registry);
                    }
                }
            }
            let Some(address) = self.others.next() else {
                return Poll::Ready(Err(self.failure.clone()));
            };
            match Registered::connect(address, registry, token) {
                Ok(wire) => self.current = Some(wire),
                Err(error) => self.failure = error.into(),
            }
        }
    }

    pub(super) fn close(self, registry: &Registry) {
        if let Some(mut wire) = self.current {
            wire.deregister(registry);
        }
    }
}
