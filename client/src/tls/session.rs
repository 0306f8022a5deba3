//! One connection's TLS: between what the client says and what the socket carries.

use std::io::{self, IoSlice, Read as _, Write as _};
use std::sync::Arc;
use std::task::Poll;

use bytes::{Buf as _, BytesMut};
use rustls::ClientConnection;
use windhover_core::client::{ConnectFailure, Server};

use super::Tls;
use crate::hub::Came;

/// Room for one read: the longest record.
const READ: usize = 17 * 1024;

pub(crate) struct Session {
    tls: Tls,
    server: Server,
    connection: ClientConnection,
    /// From the socket; empty but while it is taken apart.
    incoming: BytesMut,
    has_failed: bool,
}

impl Session {
    /// One whose greeting waits to be written.
    ///
    /// # Errors
    /// Why there can be none.
    pub(crate) fn new(tls: &Tls, server: Server) -> Result<Self, String> {
        let name = tls.name_of(&server)?;
        let connection = ClientConnection::new(Arc::clone(&tls.config), name)
            .map_err(|error| error.to_string())?;
        Ok(Self {
            tls: tls.clone(),
            server,
            connection,
            incoming: BytesMut::new(),
            has_failed: false,
        })
    }

    /// Whether it is agreed who the server is, and upon keys: before, nothing is to be sent.
    pub(crate) fn is_agreed(&self) -> bool {
        !self.connection.is_handshaking() && !self.has_failed
    }

    /// Tells that it cannot be agreed upon. What may be left is to tell the server, by a
    /// [`write`](Self::write).
    pub(crate) fn fail(&mut self, why: &str) -> ConnectFailure {
        self.has_failed = true;
        self.tls.failed(&self.server, why)
    }

    /// Says that nothing more comes (`close_notify`); whether it is to be written.
    pub(crate) fn end(&mut self) -> bool {
        if self.is_agreed() {
            self.connection.send_close_notify();
        }
        self.is_agreed() && self.wants_write()
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// Takes what is to be sent; how much it took, which is nothing while too much waits for the
    /// socket.
    pub(crate) fn encrypt(&mut self, slices: &[IoSlice<'_>]) -> usize {
        // An error is one that a read has told before.
        self.connection.writer().write_vectored(slices).unwrap_or_default()
    }

    /// Whether anything waits for the socket.
    pub(crate) fn wants_write(&self) -> bool {
        self.connection.wants_write()
    }

    /// Writes once, if anything waits.
    pub(crate) fn write(
        &mut self,
        write: impl FnOnce(&[IoSlice<'_>]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<()>> {
        if !self.wants_write() {
            return Poll::Ready(Ok(()));
        }
        match self.connection.write_tls(&mut Once(Some(write))) {
            Ok(0) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Ok(_) => Poll::Ready(Ok(())),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// Reads once; what it says is put behind `plain`.
    pub(crate) fn read(
        &mut self,
        plain: &mut BytesMut,
        read: impl FnOnce(&mut BytesMut) -> Poll<io::Result<usize>>,
    ) -> Poll<Came> {
        self.incoming.reserve(READ);
        let came = match read(&mut self.incoming) {
            Poll::Pending => {
                // A connection that waits holds no buffer of records.
                self.incoming = BytesMut::new();
                return Poll::Pending;
            }
            Poll::Ready(Ok(0)) => Came::Broken("the server closed the connection".into()),
            Poll::Ready(Ok(_)) => self.decrypt(plain),
            Poll::Ready(Err(error)) => Came::Broken(error.into()),
        };
        if came == Came::End && !self.is_agreed() {
            return Poll::Ready(Came::Broken("the server ended the connection".into()));
        }
        Poll::Ready(came)
    }

    fn decrypt(&mut self, plain: &mut BytesMut) -> Came {
        while !self.incoming.is_empty() {
            let state = match self.connection.read_tls(&mut &*self.incoming) {
                // What comes behind the end is nobody's.
                Ok(0) => return Came::End,
                Ok(n) => {
                    self.incoming.advance(n);
                    self.connection.process_new_packets()
                }
                Err(error) => return Came::Broken(error.into()),
            };
            let state = match state {
                Ok(state) => state,
                Err(error) => return Came::Broken(error.to_string().as_str().into()),
            };
            let (at, more) = (plain.len(), state.plaintext_bytes_to_read());
            plain.resize(at + more, 0);
            let room = plain.get_mut(at..).unwrap_or_default();
            if let Err(error) = self.connection.reader().read_exact(room) {
                return Came::Broken(error.into());
            }
            if state.peer_has_closed() {
                return Came::End;
            }
        }
        Came::Some
    }
}

/// One write to the socket.
struct Once<F>(Option<F>);

impl<F: FnOnce(&[IoSlice<'_>]) -> Poll<io::Result<usize>>> io::Write for Once<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.0.take().map(|write| write(slices)) {
            Some(Poll::Ready(written)) => written,
            Some(Poll::Pending) | None => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
