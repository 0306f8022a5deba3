//! The file that says how far the journal is known to be on the disk.

use std::io;
use std::time::{Duration, Instant};

use windhover_core::queue::state::Position;

use super::{Directory, SegmentFile};

/// The file's name.
pub(super) const SYNCED: &str = "synced";
/// How long what was written to it may stay unsynced.
const EVERY: Duration = Duration::from_secs(1);

/// Written after each sync of a segment, without a sync of its own; synced when a segment is begun,
/// and a second later. So it survives a killed process at once, a loss of power with at most a second's
/// delay, and never names more than is on the disk.
#[derive(Debug)]
pub(super) struct SyncedFile<F> {
    file: F,
    /// When it must be synced.
    due: Option<Instant>,
    failing: bool,
}

impl<F: SegmentFile> SyncedFile<F> {
    /// Opens the file, or makes it, with that position in it, which is synced.
    pub(super) fn open<D: Directory<File = F>>(
        directory: &D,
        position: Position,
    ) -> io::Result<Self> {
        // Whatever stood there, it has the position's length from now on.
        directory.overwrite(SYNCED, position.encode().as_bytes())?;
        Ok(Self { file: directory.rewritable(SYNCED)?, due: None, failing: false })
    }

    /// Notes that position. A failure costs the next start's word on the journal's end, not the batch
    /// that is on the disk: it is told in the log.
    pub(super) fn note(&mut self, position: Position) {
        match self.file.rewrite(position.encode().as_bytes()) {
            Ok(()) => {
                self.failing = false;
                self.due.get_or_insert_with(|| Instant::now() + EVERY);
            }
            Err(error) => self.failed(&error),
        }
    }

    /// Notes that position, and syncs it.
    pub(super) fn note_safely(&mut self, position: Position) -> io::Result<()> {
        self.file.rewrite(position.encode().as_bytes())?;
        self.file.sync()?;
        self.due = None;
        Ok(())
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Syncs what was noted, when it is time.
    pub(super) fn sync_if_due(&mut self) {
        if self.due.is_some_and(|due| due <= Instant::now()) {
            self.due = None;
            if let Err(error) = self.file.sync() {
                self.failed(&error);
            }
        }
    }

    fn failed(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.failing, true) {
            tracing::warn!(%error, "the journal's file `{SYNCED}` cannot be written: after a crash, a missing end would not be noticed");
        }
    }
}
