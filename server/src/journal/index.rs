//! The file that spares a start the reading of all segments.

use std::io;

use windhover_core::queue::Index;

use super::Directory;

/// The file's name.
pub(super) const INDEX: &str = "index";
/// What it is called until it is whole.
pub(super) const NEW_INDEX: &str = "index.new";

/// Which index was written last.
#[derive(Debug)]
pub(super) struct IndexFile {
    /// A journal of no more bytes needs none.
    from: u64,
    /// The segment that it is told of; 0 before the first.
    segment: u64,
    /// The one to be written next.
    noted: Option<Index>,
    failing: bool,
}

impl IndexFile {
    pub(super) fn new(from: u64) -> Self {
        Self { from, segment: 0, noted: None, failing: false }
    }

    pub(super) fn is_wanted(&self, journal_len: u64) -> bool {
        journal_len > self.from
    }

    pub(super) fn is_due(&self, active: u64, journal_len: u64) -> bool {
        self.segment != active && self.is_wanted(journal_len)
    }

    pub(super) fn note(&mut self, index: Index) {
        self.segment = index.at().segment;
        self.noted = Some(index);
    }

    /// What it says beyond its place in the journal is not in there, and another is due.
    pub(super) fn forget_noted(&mut self) {
        if self.noted.take().is_some() {
            self.segment = 0;
        }
    }

    /// Writes the index that was noted in the place of the one before. When it cannot be written, that one
    /// stays, and what follows its place in the journal is read at the start.
    pub(super) fn write_noted<D: Directory>(&mut self, directory: &D) {
        let Some(index) = self.noted.take() else {
            return;
        };
        let written = directory
            .overwrite(NEW_INDEX, &index.encode())
            .and_then(|()| directory.rename(NEW_INDEX, INDEX))
            .and_then(|()| directory.sync());
        match written {
            Ok(()) => self.failing = false,
            Err(error) => self.failed(&error),
        }
    }

    fn failed(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.failing, true) {
            tracing::warn!(%error, "the journal's file `{INDEX}` cannot be written: the next start takes longer");
        }
    }
}
