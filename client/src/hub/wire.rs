//! The bytes of one connection, between its socket and the cluster: as they are, or by way of TLS.

use std::io::{self, IoSlice};
use std::task::{Poll, ready};

use bytes::BytesMut;
use windhover_core::client::{ConnectFailure, OsError};
use windhover_core::endpoint::Outgoing;
use windhover_core::memcache::Received;
use windhover_runtime::write_slices;

#[cfg(not(feature = "tls"))]
use super::no_session::Session;
#[cfg(feature = "tls")]
use crate::tls::Session;

/// What a read brought.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// Bytes, of whatever kind.
    Some,
    /// The end, as the server said.
    End,
    /// An end that nobody said, an error, or what is no TLS.
    Broken(Break),
}

/// Why a connection broke.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Break {
    /// In words.
    pub(crate) why: String,
    /// As the operating system calls it.
    pub(crate) os: Option<OsError>,
}

impl From<io::Error> for Break {
    fn from(error: io::Error) -> Self {
        Self { why: error.to_string(), os: error.raw_os_error().map(OsError) }
    }
}

impl From<&str> for Break {
    fn from(why: &str) -> Self {
        Self { why: why.to_owned(), os: None }
    }
}

/// What a write did.
pub(super) struct Written {
    /// So much of what was to be sent is on its way.
    pub(super) taken: usize,
    /// What became of the socket.
    pub(super) socket: Poll<io::Result<()>>,
}

/// The bytes of one connection. Who has it locked reads or writes the socket, and nobody else does.
#[derive(Default)]
pub(super) struct Wire {
    /// What has come and was not answered to a call yet.
    pub(super) received: Received,
    /// What is lent for a write; empty but during that.
    pub(super) outgoing: Outgoing,
    pub(super) session: Option<Session>,
}

impl Wire {
    /// Reads once; what came, as the cluster understands it, is in [`received`](Self::received).
    pub(super) fn read(
        &mut self,
        read: impl FnOnce(&mut BytesMut) -> Poll<io::Result<usize>>,
    ) -> Poll<Came> {
        let into = self.received.read_buffer();
        if let Some(session) = &mut self.session {
            return session.read(into, read);
        }
        Poll::Ready(match ready!(read(into)) {
            Ok(0) => Came::End,
            Ok(_) => Came::Some,
            Err(error) => Came::Broken(error.into()),
        })
    }

    /// Writes once what is in [`outgoing`](Self::outgoing), and whatever else TLS has to say.
    pub(super) fn write(
        &mut self,
        write: impl FnOnce(&[IoSlice<'_>]) -> Poll<io::Result<usize>>,
    ) -> Written {
        if let Some(session) = &mut self.session {
            let taken = if self.outgoing.is_empty() {
                0
            } else {
                write_slices(
                    |slices| self.outgoing.slices(slices),
                    |slices| session.encrypt(slices),
                )
            };
            self.outgoing.advance(taken);
            return Written { taken, socket: session.write(write) };
        }
        if self.outgoing.is_empty() {
            return Written { taken: 0, socket: Poll::Ready(Ok(())) };
        }
        let written = write_slices(|slices| self.outgoing.slices(slices), write);
        let taken = match &written {
            Poll::Ready(Ok(n)) => *n,
            _ => 0,
        };
        self.outgoing.advance(taken);
        let socket = written.map(|written| match written {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        });
        Written { taken, socket }
    }

    /// Whether what the cluster says may be sent: over TLS once it is agreed who the server is.
    pub(super) fn is_open(&self) -> bool {
        self.session.as_ref().is_none_or(Session::is_agreed)
    }

    /// Whether more waits for the socket than the cluster knows of.
    pub(super) fn wants_write(&self) -> bool {
        self.session.as_ref().is_some_and(Session::wants_write)
    }

    /// Whether it could not be agreed who the server is.
    pub(super) fn has_failed(&self) -> bool {
        self.session.as_ref().is_some_and(Session::has_failed)
    }

    /// Tells that it cannot be agreed who the server is. What may be left is to tell the server, by a
    /// [`write`](Self::write).
    pub(super) fn fail(&mut self, why: &str) -> ConnectFailure {
        self.session.as_mut().map_or(ConnectFailure::Other, |session| session.fail(why))
    }

    /// Ends the connection in the order of TLS, so that the server can tell it from an attack that cuts
    /// it; whether there is something to be written for it.
    pub(super) fn end(&mut self) -> bool {
        self.session.as_mut().is_some_and(Session::end)
    }
}
