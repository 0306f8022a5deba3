//! A connection whose stream is in memory.

#[cfg(feature = "tls")]
pub(crate) mod tls;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::BytesMut;
use windhover_core::Now;
use windhover_core::endpoint::{Endpoint, Incoming, Next, Outgoing};
use windhover_runtime::{Connection, Peer, PollStream, ServeOptions, Step};

/// What is between the two sides.
#[derive(Default)]
pub(crate) struct Wire {
    pub(crate) to_server: VecDeque<u8>,
    pub(crate) to_client: VecDeque<u8>,
    /// The client will send no more.
    pub(crate) is_ended: bool,
    /// Most bytes of one read and of one write.
    most: usize,
    /// Every other call has to wait.
    waits: bool,
    turn: bool,
}

impl Wire {
    /// Whether this call has to wait.
    fn has_to_wait(&mut self) -> bool {
        self.turn = !self.turn;
        self.waits && self.turn
    }
}

pub(crate) struct Memory(Rc<RefCell<Wire>>);

impl PollStream for Memory {
    fn poll_read<'b>(
        &mut self,
        _: &mut Context<'_>,
        buffer: impl FnOnce() -> &'b mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        let mut wire = self.0.borrow_mut();
        if wire.to_server.is_empty() {
            return if wire.is_ended { Poll::Ready(Ok(0)) } else { Poll::Pending };
        }
        if wire.has_to_wait() {
            return Poll::Pending;
        }
        let n = wire.to_server.len().min(wire.most);
        let bytes: Vec<u8> = wire.to_server.drain(..n).collect();
        buffer().extend_from_slice(&bytes);
        Poll::Ready(Ok(n))
    }

    fn poll_write(&mut self, _: &mut Context<'_>, out: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        assert!(!out.is_empty() && out.iter().all(|slice| !slice.is_empty()));
        let mut wire = self.0.borrow_mut();
        if wire.has_to_wait() {
            return Poll::Pending;
        }
        let n = out[0].len().min(wire.most);
        wire.to_client.extend(&out[0][..n]);
        Poll::Ready(Ok(n))
    }

    fn poll_close_write(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Says what it is told, for whom first if a proxy said that, and ends with its peer.
#[derive(Default)]
pub(crate) struct Echo {
    incoming: Incoming,
    outgoing: Outgoing,
    ended: bool,
}

impl Endpoint for Echo {
    fn read_buffer(&mut self) -> &mut BytesMut {
        self.incoming.read_buffer(0)
    }
    fn wants_read(&self) -> bool {
        !self.ended && self.outgoing.is_empty()
    }
    fn proxied_for(&mut self, source: SocketAddr) {
        self.outgoing.put_shared(format!("for {source}: ").into());
    }
    fn end_of_stream(&mut self) {
        self.ended = true;
    }
    fn shut_down(&mut self) {
        self.ended = true;
    }
    fn poll_output(&mut self, now: Now, _: &mut Context<'_>) -> Next {
        self.outgoing.put_shared(self.incoming.take(usize::MAX));
        match (self.outgoing.is_empty(), self.ended) {
            (false, _) => Next::Write,
            (true, true) => Next::Close,
            (true, false) => Next::Idle(now.instant + Duration::from_secs(3600)),
        }
    }
    fn unsent<'a>(&'a self, into: &mut [&'a [u8]]) -> usize {
        self.outgoing.slices(into)
    }
    fn wrote(&mut self, n: usize) {
        self.outgoing.advance(n);
    }
    fn release(&mut self) {
        self.incoming.release();
    }
}

pub(crate) struct Server {
    pub(crate) wire: Rc<RefCell<Wire>>,
    connection: Connection<Memory, Echo>,
    pub(crate) now: Now,
}

impl Server {
    /// A connection of `peer`'s, `most` bytes of which are read and written at a time.
    pub(crate) fn accepted(peer: Peer, options: &ServeOptions, most: usize, waits: bool) -> Self {
        let wire = Rc::new(RefCell::new(Wire { most, waits, ..Wire::default() }));
        let (stream, now) = (Memory(Rc::clone(&wire)), Now::default());
        let connection = Connection::accepted(stream, peer, Echo::default(), options, now.instant);
        Self { wire, connection: connection.unwrap(), now }
    }

    pub(crate) fn turn(&mut self) -> Step {
        self.connection.turn(self.now, &mut Context::from_waker(Waker::noop()))
    }
}
