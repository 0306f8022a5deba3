//! Where decoded records go.

use alloc::vec::Vec;

use super::identity::EventIdentity;

/// Takes decoded records, each of them one queue item: one line of JSON without its line end.
///
/// A sink that has its records in one buffer, each with its line end:
///
/// ```
/// use windhover_core::tracking::RecordSink;
///
/// #[derive(Default)]
/// struct Lines {
///     text: Vec<u8>,
///     /// Where each record begins.
///     starts: Vec<usize>,
///     begun: bool,
/// }
///
/// impl RecordSink for Lines {
///     fn begin_record(&mut self) -> &mut Vec<u8> {
///         self.starts.push(self.text.len());
///         self.begun = true;
///         &mut self.text
///     }
///     fn end_record(&mut self) {
///         self.text.push(b'\n');
///         self.begun = false;
///     }
///     fn discard(&mut self, records: usize) {
///         let gone = records + usize::from(core::mem::take(&mut self.begun));
///         let at = self.starts.len() - gone;
///         self.text.truncate(self.starts.get(at).copied().unwrap_or(self.text.len()));
///         self.starts.truncate(at);
///     }
/// }
///
/// // What a decoder does: a good record, and one that turns out to be none.
/// let mut lines = Lines::default();
/// lines.begin_record().extend_from_slice(b"{\"event\":\"buy\"}");
/// lines.end_record();
/// lines.begin_record().extend_from_slice(b"{\"event\":");
/// lines.discard(0);
/// assert_eq!(lines.text, b"{\"event\":\"buy\"}\n");
/// ```
pub trait RecordSink {
    /// Whether records of that project are wanted: a good record is told by its token before it begins, and
    /// refused with [`RecordFault::TokenUnknown`](super::RecordFault::TokenUnknown) when they are not.
    fn accepts(&mut self, token: &str) -> bool {
        let _ = token;
        true
    }

    /// Whether [`accepts`](Self::accepts) is to be asked. Where it is not, tokens cost nothing.
    fn looks_at_tokens(&self) -> bool {
        false
    }

    /// A new record begins: the buffer that it is appended to. What is in it already is left alone,
    /// so that records may be written one behind the other with something of the sink's own between
    /// them.
    fn begin_record(&mut self) -> &mut Vec<u8>;

    /// The record that was begun is an event that can be recognised when it is sent again. Told before it is
    /// ended, of those alone whose senders gave them an `$insert_id`.
    fn identify(&mut self, identity: &EventIdentity<'_>) {
        let _ = identity;
    }

    /// The record that was begun is complete.
    fn end_record(&mut self);

    /// Forget the last `records` that were ended, and the one that was begun and not ended, if there
    /// is one. `records` is 0, when that one alone is refused, or all that the request had, when it
    /// is refused as a whole or begun anew.
    fn discard(&mut self, records: usize);
}

/// Records in memory, one buffer each: for tests, and for those who embed the decoder.
///
/// ```
/// use windhover_core::tracking::{RecordSink, Records};
///
/// let mut records = Records::new();
/// records.begin_record().extend_from_slice(b"{\"event\":\"buy\"}");
/// assert!(records.as_slice().is_empty());
/// records.end_record();
/// assert_eq!(records.take(), [b"{\"event\":\"buy\"}"]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    ended: Vec<Vec<u8>>,
    begun: Vec<u8>,
}

impl Records {
    /// No records.
    pub const fn new() -> Self {
        Self { ended: Vec::new(), begun: Vec::new() }
    }

    /// The records, in order, one line of JSON each.
    pub fn as_slice(&self) -> &[Vec<u8>] {
        &self.ended
    }

    /// Takes the records out.
    pub fn take(&mut self) -> Vec<Vec<u8>> {
        core::mem::take(&mut self.ended)
    }
}

impl RecordSink for Records {
    fn begin_record(&mut self) -> &mut Vec<u8> {
        self.begun.clear();
        &mut self.begun
    }

    fn end_record(&mut self) {
        self.ended.push(core::mem::take(&mut self.begun));
    }

    fn discard(&mut self, records: usize) {
        self.begun.clear();
        self.ended.truncate(self.ended.len().saturating_sub(records));
    }
}
