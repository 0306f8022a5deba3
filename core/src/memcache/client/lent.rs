//! Buffers in the hands of whoever moves the bytes, so that a socket is read and written while the
//! connection takes requests.
//!
//! What waits to be written is lent for the time of one write. As long as it is, nobody knows how much
//! of it has left: a request among it that the connection's end finds there is unknown, never not sent.
//! Bytes that came in are lent but while their frames are handed on: what has come of a frame that is not
//! whole stays with the reader, who finds them.

use core::mem;

use super::received::Found;
use super::{ClientConnection, Received, Ticket};
use crate::Instant;
use crate::buffer::Outgoing;
use crate::cannot_happen::cannot_happen;
use crate::client::{Collector, Item};
use crate::memcache::response::{ItemLine, Kind};
use crate::memcache::states::ClientEvent;
use crate::writing::WriteTimer;

/// What [`ClientConnection::next_found`] has found.
pub(crate) enum NextFound {
    /// An item of that request, and maybe more of them.
    Items(Ticket),
    /// That request was answered to its end.
    Word(Ticket, Kind),
}

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

    /// Until when there is nothing to do but to wait for bytes, where all that was taken has just been written:
    /// then nothing changes before. `None` where [`poll_output`](Self::poll_output) has to say.
    pub(crate) fn waits_until(&mut self, now: Instant) -> Option<Instant> {
        let is_waiting = self.end.is_none()
            && !self.end_of_stream
            && self.unwritten() == 0
            && self.waiting.is_empty()
            && self.finished.is_none()
            && !self.pending.is_empty();
        if !is_waiting {
            return None;
        }
        self.writing = WriteTimer::default();
        Some(self.next_deadline(now))
    }

    /// Takes what came in, with the frames that its reader has found in it; there is nothing of its own.
    pub(crate) fn borrow_received(&mut self, received: &mut Received) {
        debug_assert!(self.received.is_empty(), "bytes came in by two ways");
        mem::swap(&mut self.received, received);
        self.is_borrowed = true;
    }

    /// What was found next, where that is what nearly all replies are made of and a request that somebody waits for
    /// is due: items, which are left for [`take_items`](Self::take_items), or the one word that ends a reply, which
    /// is taken. All else is [`poll_output`](Self::poll_output)'s.
    pub(crate) fn next_found(&mut self) -> Option<NextFound> {
        if self.end.is_some() || self.finished.is_some() {
            return None;
        }
        let written = self.written;
        let request = self.pending.front_mut().filter(|it| it.open && it.starts < written)?;
        let ticket = request.ticket;
        let (length, kind) = match self.received.found.front()? {
            Found::Item(_) => return Some(NextFound::Items(ticket)),
            Found::Line(line) => (line.length, line.word()?),
            _ => return None,
        };
        if !request.is_ended_by(kind) {
            return None;
        }
        self.drop_taken();
        self.received.found.pop_front();
        self.received.hand_on(length);
        self.pending.pop_front();
        Some(NextFound::Word(ticket, kind))
    }

    /// Hands on the items that stand in a row: those of the request that is due for them.
    pub(crate) fn take_items(&mut self, collector: &mut Collector) {
        self.drop_taken();
        let Some(request) = self.pending.front_mut() else { return cannot_happen(()) };
        collector.make_room(self.received.items_in_a_row());
        while let Some(item) = self.received.take_item() {
            let key = item.line.key.of(self.received.front());
            match request.match_value(key) {
                Ok(index) => {
                    self.received.hand_on(item.length());
                    let (ItemLine { flags, cas, .. }, value) = (item.line, item.value.into());
                    collector.put(Item { index, flags, cas, value });
                }
                Err(end) => return self.spend(ClientEvent::Mismatched, end),
            }
        }
    }

    /// Gives back what was not handed on.
    pub(crate) fn return_received(&mut self, received: &mut Received) {
        if mem::take(&mut self.is_borrowed) {
            self.drop_taken();
            mem::swap(&mut self.received, received);
            if self.end.is_some() {
                *received = Received::new();
            }
        }
    }
}
