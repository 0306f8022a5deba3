//! The bytes of connections in the hands of an adapter that moves them while the cluster goes on.

use windhover_core::client::ConnectionId;
use windhover_core::endpoint::Outgoing;
use windhover_core::memcache::{Received, ReplyParser};

use super::World;

/// What the adapter holds of a connection.
#[derive(Debug, Default)]
pub(super) struct Lent {
    /// Lent for a write that is under way.
    writing: Option<Outgoing>,
    /// What came in and could not be parsed yet.
    unparsed: Received,
}

impl World {
    /// Begins a write, which may take as long as some other steps do.
    pub(super) fn begin_write(&mut self, id: ConnectionId) {
        let mut lent = Outgoing::new();
        self.cluster.lend_unsent(id, &mut lent, self.now);
        assert!(!lent.is_empty(), "nothing to write");
        assert_eq!(self.cluster.unsent(id, &mut [b""]), 0, "shown to two writers");
        let before = self.lent.entry(id).or_default().writing.replace(lent);
        assert!(before.is_none(), "two writes of one connection");
    }

    /// Where a request has the connection for itself, its caller writes before the cluster asks for it.
    pub(super) fn write_ahead(&mut self, id: ConnectionId) {
        let is_writing = |lent: &Lent| lent.writing.is_some();
        if !self.lends || self.lent.get(&id).is_some_and(is_writing) {
            return;
        }
        let mut lent = Outgoing::new();
        self.cluster.lend_unsent(id, &mut lent, self.now);
        // Nothing is to be given back of nothing.
        if !lent.is_empty() {
            self.lent.entry(id).or_default().writing = Some(lent);
            self.end_write(id);
        }
    }

    /// A write that was under way has taken place, whatever has become of the connection.
    pub(super) fn end_write(&mut self, id: ConnectionId) {
        let Some(mut rest) = self.lent.get_mut(&id).and_then(|lent| lent.writing.take()) else {
            return;
        };
        let mut slices = [&b""[..]; 256];
        let filled = rest.slices(&mut slices);
        let mut bytes = slices[..filled].concat();
        bytes.truncate(self.write);
        self.sockets.get_mut(&id).expect("it is there").sent.extend_from_slice(&bytes);
        rest.advance(bytes.len());
        self.cluster.return_unsent(id, bytes.len(), &mut rest, self.now);
        assert!(rest.is_empty(), "bytes that are nobody's");
    }

    /// Every write that was under way has taken place.
    pub(crate) fn end_writes(&mut self) {
        let all: Vec<_> = self.lent.keys().copied().collect();
        for id in all {
            self.end_write(id);
        }
    }

    /// What came in is parsed by who reads, without the cluster, and handed on at once.
    pub(super) fn deliver_lent(&mut self, id: ConnectionId, piece: &[u8]) {
        let mut unparsed = core::mem::take(&mut self.lent.entry(id).or_default().unparsed);
        unparsed.read_buffer().extend_from_slice(piece);
        let options = self.cluster.options();
        let parser = ReplyParser::new(options.dialect, &options.limits);
        let mut goes_on = true;
        while goes_on {
            goes_on = unparsed.parse(&parser);
            // What was found and not handed on is held.
            unparsed.release();
            self.cluster.take_received(id, &mut unparsed);
            self.settle();
            self.cluster.return_received(id, &mut unparsed);
        }
        self.lent.entry(id).or_default().unparsed = unparsed;
    }
}
