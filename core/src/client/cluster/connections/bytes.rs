//! The bytes of connections. Either the cluster holds them, and an adapter reads and writes with the
//! cluster at hand; or they are lent to it, and it reads and writes while others use the cluster.

use bytes::BytesMut;

use super::{ConnectionId, Link, State};
use crate::Instant;
use crate::buffer::Outgoing;
use crate::client::cluster::Cluster;
use crate::memcache::{ClientConnection, OsError, Received};

impl Cluster {
    /// A buffer that a read from that connection appends to; `None` where the connection is gone.
    pub fn read_buffer(&mut self, connection: ConnectionId) -> Option<&mut BytesMut> {
        let at = self.link_at(connection)?;
        self.mark(at);
        match self.links.get_mut(at).map(|link| &mut link.state) {
            Some(State::Open(open)) => Some(open.read_buffer()),
            _ => None,
        }
    }

    /// Takes a copy of bytes that came in. An adapter that can read into a buffer uses
    /// [`read_buffer`](Self::read_buffer).
    pub fn receive(&mut self, connection: ConnectionId, bytes: &[u8]) {
        if let Some(buffer) = self.read_buffer(connection) {
            buffer.extend_from_slice(bytes);
        }
    }

    /// Takes what came in on that connection and was [parsed](Received::parse) with nothing of the cluster
    /// at hand. Behind it comes [`poll_output`](Self::poll_output), as behind every input, and then
    /// [`return_received`](Self::return_received) with the same. A connection is read in this way or by
    /// [`read_buffer`](Self::read_buffer), not in both.
    pub fn take_received(&mut self, connection: ConnectionId, received: &mut Received) {
        self.with_open(connection, |open| open.borrow_received(received));
    }

    /// Gives the adapter back what has come of a frame that is not whole; nothing of a connection that has
    /// ended.
    pub fn return_received(&mut self, connection: ConnectionId, received: &mut Received) {
        match self.open_mut(connection) {
            Some(open) => open.return_received(received),
            None => *received = Received::new(),
        }
    }

    /// The server will send no more bytes on that connection.
    pub fn end_of_stream(&mut self, connection: ConnectionId) {
        self.with_open(connection, ClientConnection::end_of_stream);
    }

    /// The connection broke, with what the operating system says of it.
    pub fn broke(&mut self, connection: ConnectionId, os: Option<OsError>) {
        self.with_open(connection, |open| open.broke(os));
    }

    /// Fills `into` with the slices to write on that connection, in order, and returns how many it
    /// filled.
    pub fn unsent<'a>(&'a self, connection: ConnectionId, into: &mut [&'a [u8]]) -> usize {
        let link = self.link_at(connection).and_then(|at| self.links.get(at));
        match link.map(|link| &link.state) {
            Some(State::Open(open)) => open.unsent(into),
            _ => 0,
        }
    }

    /// The adapter wrote the first `n` unsent bytes. 0 says that the socket takes nothing now: the
    /// connection is not named by [`ClusterOutput::Write`](crate::client::cluster::ClusterOutput::Write) any more before
    /// some is written.
    pub fn wrote(&mut self, connection: ConnectionId, n: usize) {
        self.with_open(connection, |open| open.wrote(n));
    }

    /// Lends what waits to be written on that connection to an adapter that writes once, with nothing of
    /// the cluster's at hand, and then calls [`return_unsent`](Self::return_unsent). A call whose
    /// connection ends meanwhile may have been sent.
    pub fn lend_unsent(&mut self, connection: ConnectionId, into: &mut Outgoing, now: Instant) {
        if let Some(link) = self.link_mut(connection)
            && let State::Open(open) = &mut link.state
        {
            link.is_lent = true;
            link.awaits_writer = false;
            link.has_sent = false;
            open.lend(into, now);
        }
    }

    /// Takes back the `rest` of what was lent: the first `n` bytes of that were written, and are not in
    /// it. 0 means what it does to [`wrote`](Self::wrote). What was lent by a connection that is gone is
    /// nobody's.
    pub fn return_unsent(
        &mut self,
        connection: ConnectionId,
        n: usize,
        rest: &mut Outgoing,
        now: Instant,
    ) {
        if let Some(link) = self.link_mut(connection)
            && let State::Open(open) = &mut link.state
        {
            open.give_back(n, rest);
            // Mostly all was written, and the timer that is set comes in time for what is waited for now.
            let until = open.waits_until(now);
            if until.is_none_or(|until| link.armed.is_none_or(|armed| armed > until)) {
                self.mark(connection.at);
            }
        }
        if !rest.is_empty() {
            *rest = Outgoing::new();
        }
    }

    fn open_mut(&mut self, connection: ConnectionId) -> Option<&mut ClientConnection> {
        match self.link_mut(connection) {
            Some(Link { state: State::Open(open), .. }) => Some(open),
            _ => None,
        }
    }
}
