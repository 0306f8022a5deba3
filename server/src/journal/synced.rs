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
///
/// Like a segment, it is not kept open after a failure: an operator may want to make the file system
/// read-only, which is refused while a file is open for writing.
#[derive(Debug)]
pub(super) struct SyncedFile<F> {
    file: Option<F>,
    /// When it must be synced.
    due: Option<Instant>,
    failing: bool,
}

impl<F: SegmentFile> SyncedFile<F> {
    /// Makes the file hold that position and nothing else, synced.
    pub(super) fn begin<D: Directory<File = F>>(
        directory: &D,
        position: Position,
    ) -> io::Result<Self> {
        // Whatever stood there, it has the position's length from now on.
        directory.overwrite(SYNCED, position.encode().as_bytes())?;
        Ok(Self { file: None, due: None, failing: false })
    }

    fn rewrite<D: Directory<File = F>>(
        &mut self,
        directory: &D,
        position: Position,
    ) -> io::Result<&mut F> {
        let file = match self.file.take() {
            Some(file) => file,
            None => directory.rewritable(SYNCED)?,
        };
        let file = self.file.insert(file);
        file.rewrite(position.encode().as_bytes())?;
        Ok(file)
    }

    /// Notes that position. A failure costs the next start's word on the journal's end, not the batch
    /// that is on the disk: it is told in the log.
    pub(super) fn note<D: Directory<File = F>>(&mut self, directory: &D, position: Position) {
        match self.rewrite(directory, position) {
            Ok(_) => {
                self.failing = false;
                self.due.get_or_insert_with(|| Instant::now() + EVERY);
            }
            Err(error) => self.failed(&error),
        }
    }

    /// Notes that position, and syncs it.
    pub(super) fn note_safely<D: Directory<File = F>>(
        &mut self,
        directory: &D,
        position: Position,
    ) -> io::Result<()> {
        self.rewrite(directory, position)?.sync()?;
        self.due = None;
        Ok(())
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Syncs what was noted, when it is time.
    pub(super) fn sync_if_due(&mut self) {
        if self.due.is_some_and(|due| due <= Instant::now()) {
            self.sync();
        }
    }

    /// Syncs what was noted, and closes the file until there is more to note.
    pub(super) fn close(&mut self) {
        if self.due.is_some() {
            self.sync();
        }
        self.file = None;
    }

    fn sync(&mut self) {
        self.due = None;
        if let Some(Err(error)) = self.file.as_mut().map(SegmentFile::sync) {
            self.failed(&error);
        }
    }

    fn failed(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.failing, true) {
            tracing::warn!(%error, "the journal's file `{SYNCED}` cannot be written: after a crash, a missing end would not be noticed");
        }
    }
}
