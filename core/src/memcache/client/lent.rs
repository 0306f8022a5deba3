//! Buffers in the hands of whoever moves the bytes, so that a socket is read and written while the
//! connection takes requests.
//!
//! What waits to be written is lent for the time of one write. As long as it is, nobody knows how much
//! of it has left: a request among it that the connection's end finds there is unknown, never not sent.
//! Bytes that came in are lent but while they are parsed: what has come of a frame that is not whole
//! stays with the reader.

use core::mem;

use super::ClientConnection;
use crate::Instant;
use crate::buffer::{Incoming, Outgoing};

impl ClientConnection {
    /// Lends what waits to be written, put behind what is in `into`. Until
    /// [`give_back`](Self::give_back) no other write is asked for.
    pub(crate) fn lend(&mut self, into: &mut Outgoing, now: Instant) {
        self.commit(now);
        self.lent = self.outgoing.len();
        if into.is_empty() {
            // Each keeps its memory in turn.
            mem::swap(&mut self.outgoing, into);
        } else {
            into.append(mem::take(&mut self.outgoing));
        }
    }

    /// Takes back what was lent and not written, of which the first `written` bytes are gone. 0 says that
    /// the socket takes nothing now, as with [`wrote`](Self::wrote).
    pub(crate) fn give_back(&mut self, written: usize, rest: &mut Outgoing) {
        self.lent = 0;
        if self.end.is_some() {
            *rest = Outgoing::new();
            return;
        }
        if !rest.is_empty() {
            rest.append(mem::take(&mut self.outgoing));
            mem::swap(&mut self.outgoing, rest);
        }
        self.note_written(written);
    }

    /// Takes the bytes that came in, for [`poll_output`](Self::poll_output) to parse; there is nothing
    /// of its own.
    pub(crate) fn borrow_incoming(&mut self, bytes: &mut Incoming) {
        debug_assert!(self.incoming.is_empty(), "bytes came in by two ways");
        mem::swap(&mut self.incoming, bytes);
        self.seen = mem::take(&mut self.unparsed);
    }

    /// Gives back what could not be parsed yet; how many bytes the server has promised beyond it.
    pub(crate) fn return_incoming(&mut self, bytes: &mut Incoming) -> usize {
        let expected = self.expected();
        self.unparsed = self.incoming.len();
        self.seen = 0;
        mem::swap(&mut self.incoming, bytes);
        expected
    }
}
