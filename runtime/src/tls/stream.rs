//! A stream that encrypts what another one carries.

use std::fmt;
use std::io::{self, BufRead, IoSlice, Write};
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use rustls::ServerConnection;
use windhover_core::Instant;

use super::ServerTls;
use crate::stream::SMALLEST_READ;
use crate::{Peer, PollStream};

/// Room for one read of what is encrypted: the longest record, and its header.
const READ: usize = 17 * 1024;

/// Most bytes that rustls holds back, which it does not tell.
const UNSENT: usize = 64 * 1024;

/// The TLS of one connection, between its endpoint and the stream that carries it.
pub(crate) struct TlsStream<S> {
    stream: S,
    connection: ServerConnection,
    /// What came and was not yet taken apart; empty, and without memory, while the connection waits.
    incoming: BytesMut,
    tls: ServerTls,
    peer: Peer,
    /// When the peer has to have agreed; none once it has.
    agree_by: Option<Instant>,
    /// The peer has ended what it sends.
    is_ended: bool,
    has_failed: bool,
}

impl<S> TlsStream<S> {
    /// A stream of `peer`'s that was accepted at `now`.
    pub(crate) fn new(stream: S, peer: Peer, tls: &ServerTls, now: Instant) -> io::Result<Self> {
        Ok(Self {
            stream,
            connection: ServerConnection::new(tls.config()).map_err(io::Error::other)?,
            incoming: BytesMut::new(),
            agree_by: Some(now + tls.handshake_timeout),
            tls: tls.clone(),
            peer,
            is_ended: false,
            has_failed: false,
        })
    }

    pub(crate) fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// What fails from now on failed with `source`, for whom the peer passes it on.
    pub(crate) fn proxied_for(&mut self, source: SocketAddr) {
        self.peer = Peer::Tcp(source);
    }

    /// Takes what came already, before anything is read.
    pub(crate) fn take_early(&mut self, bytes: BytesMut) {
        self.incoming = bytes;
    }

    /// When the connection is to be given up, unless keys are agreed upon.
    pub(crate) fn agree_by(&self) -> Option<Instant> {
        self.agree_by
    }

    /// The peer took too long.
    pub(crate) fn give_up(&mut self) {
        self.fail("it did not agree upon keys in time");
    }

    /// How many bytes of memory it holds, at most.
    pub(crate) fn held(&self) -> usize {
        let unsent = if self.connection.wants_write() { UNSENT } else { 0 };
        self.incoming.capacity() + unsent
    }

    /// Says that nothing more comes (`close_notify`); whether a flush has something to send.
    pub(crate) fn say_end(&mut self) -> bool {
        if !self.has_failed {
            self.connection.send_close_notify();
        }
        self.connection.wants_write()
    }

    /// Tells of a failure, once.
    fn fail(&mut self, why: &str) {
        if !self.has_failed {
            self.has_failed = true;
            self.tls.failed(self.peer, why);
        }
    }
}

impl<S: PollStream> TlsStream<S> {
    /// Sends what is encrypted already.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.connection.wants_write() {
            let mut writer = Writer { stream: &mut self.stream, cx };
            match self.connection.write_tls(&mut writer) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reads what is encrypted.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let incoming = &mut self.incoming;
        let read = self.stream.poll_read(cx, || {
            incoming.reserve(READ);
            incoming
        });
        let is_agreed = self.agree_by.is_none();
        match read {
            Poll::Pending => {
                // A connection that waits holds no buffer.
                self.incoming = BytesMut::new();
                Poll::Pending
            }
            // Many clients close without saying so in TLS. Nothing is lost by it: where a request ends,
            // it says itself.
            Poll::Ready(Ok(0)) if is_agreed => {
                self.is_ended = true;
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Ok(0)) => {
                self.fail("it closed the connection before keys were agreed upon");
                Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()))
            }
            Poll::Ready(Ok(_)) => Poll::Ready(Ok(())),
            Poll::Ready(Err(error)) => {
                if !is_agreed {
                    self.fail(&error.to_string());
                }
                Poll::Ready(Err(error))
            }
        }
    }

    /// Takes what came apart, a record or so.
    fn decrypt(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let n = self.connection.read_tls(&mut &*self.incoming)?;
        self.incoming.advance(n);
        let state = self.connection.process_new_packets().map_err(|error| {
            // The peer is told why, if the stream takes it.
            let _ = self.poll_send(cx);
            self.fail(&error.to_string());
            io::Error::new(io::ErrorKind::InvalidData, error)
        })?;
        if n == 0 || state.peer_has_closed() {
            // What comes behind the end is nobody's.
            self.is_ended = true;
            self.incoming = BytesMut::new();
        }
        if self.agree_by.is_some() && !self.connection.is_handshaking() {
            self.agree_by = None;
        }
        Ok(())
    }
}

impl<S: PollStream> PollStream for TlsStream<S> {
    fn poll_read<'b>(
        &mut self,
        cx: &mut Context<'_>,
        buffer: impl FnOnce() -> &'b mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut reader = self.connection.reader();
            if let Ok(plain) = reader.fill_buf()
                && !plain.is_empty()
            {
                let buffer = buffer();
                let room = (buffer.capacity() - buffer.len()).max(SMALLEST_READ);
                let n = plain.len().min(room);
                buffer.extend_from_slice(plain.get(..n).unwrap_or_default());
                reader.consume(n);
                return Poll::Ready(Ok(n));
            }
            if self.is_ended {
                return Poll::Ready(Ok(0));
            }
            // The peer may wait for this side's part of the handshake.
            let _: Poll<()> = self.poll_send(cx)?;
            if self.incoming.is_empty() {
                ready!(self.poll_receive(cx))?;
            } else {
                self.decrypt(cx)?;
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, out: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        // What is held back is bounded, and it is felt when the peer reads nothing.
        ready!(self.poll_send(cx))?;
        let n = self.connection.writer().write_vectored(out)?;
        let _: Poll<()> = self.poll_send(cx)?;
        Poll::Ready(Ok(n))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        self.stream.poll_flush(cx)
    }

    fn poll_close_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.say_end();
        ready!(self.poll_send(cx))?;
        self.stream.poll_close_write(cx)
    }
}

impl<S> fmt::Debug for TlsStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream")
            .field("peer", &self.peer)
            .field("is_ended", &self.is_ended)
            .field("has_failed", &self.has_failed)
            .finish_non_exhaustive()
    }
}

/// What is encrypted goes here.
struct Writer<'a, 'w, S> {
    stream: &'a mut S,
    cx: &'a mut Context<'w>,
}

impl<S: PollStream> Write for Writer<'_, '_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.stream.poll_write(self.cx, slices) {
            Poll::Ready(written) => written,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
