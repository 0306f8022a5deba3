//! Where decoded events go.

use alloc::vec::Vec;

/// Takes decoded events, each of them one queue item: one line of JSON without its line end.
pub trait EventSink {
    /// A new event begins: the buffer that it is appended to. What is in it already is left alone,
    /// so that events may be written one behind the other with something of the sink's own between
    /// them.
    fn begin_event(&mut self) -> &mut Vec<u8>;

    /// The event that was begun is complete.
    fn end_event(&mut self);

    /// Forget the last `events` that were ended, and the one that was begun and not ended, if there
    /// is one. `events` is 0, when that one alone is refused, or all that the request had, when it
    /// is refused as a whole or begun anew.
    fn discard(&mut self, events: usize);
}

/// Events in memory, one buffer each: for tests, and for those who embed the decoder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Events {
    ended: Vec<Vec<u8>>,
    begun: Vec<u8>,
}

impl Events {
    /// No events.
    pub const fn new() -> Self {
        Self { ended: Vec::new(), begun: Vec::new() }
    }

    /// The events, in order, one line of JSON each.
    pub fn as_slice(&self) -> &[Vec<u8>] {
        &self.ended
    }

    /// Takes the events out.
    pub fn take(&mut self) -> Vec<Vec<u8>> {
        core::mem::take(&mut self.ended)
    }
}

impl EventSink for Events {
    fn begin_event(&mut self) -> &mut Vec<u8> {
        self.begun.clear();
        &mut self.begun
    }

    fn end_event(&mut self) {
        self.ended.push(core::mem::take(&mut self.begun));
    }

    fn discard(&mut self, events: usize) {
        self.begun.clear();
        self.ended.truncate(self.ended.len().saturating_sub(events));
    }
}
