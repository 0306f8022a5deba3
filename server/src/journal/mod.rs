//! The journal: a chain of segment files that batches of records are appended to.
//!
//! Every server writes its journal with this code on one thread of its own, whatever runtime its
//! sockets use. The format is the core's ([`windhover_core::queue::segment`]).

mod ahead;
mod chain;
mod directory;
mod fault;
mod index;
mod inspect;
mod lock;
mod open;
mod read_back;
mod reader;
mod repair;
mod snapshot;
mod spares;
mod survey;
mod synced;

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::time::Instant;

use bytes::Bytes;
use windhover_core::UnixTime;
use windhover_core::queue::record::Draft;
use windhover_core::queue::segment::{HEADER, Header};
use windhover_core::queue::state::{Position, State};
use windhover_core::queue::{Fsync, Index, JournalBatch, Written};

use ahead::Ahead;
pub use directory::{Directory, Entry, OsDirectory, SegmentFile};
pub use fault::{JournalFault, OpenError};
use index::IndexFile;
pub use inspect::{InspectError, Verified, inspect, verify};
pub use lock::DirectoryLock;
pub use open::{Opened, open};
pub use reader::{JournalReader, ReaderError};
pub use repair::{RepairReport, repair};
pub use snapshot::{
    SegmentBytes, Snapshot, SnapshotError, SnapshotReader, SnapshotSegment, count_records,
};
use spares::{Spare, Spares};
use synced::{SYNCED, SyncedFile};

use crate::metrics::Histogram;

/// The name of the state file.
const STATE: &str = "state";
/// The name of the state file, for whoever puts a journal together.
pub(crate) const STATE_FILE: &str = STATE;
/// The name of the file that says how far the journal goes, for the same.
pub(crate) const SYNCED_FILE: &str = SYNCED;
/// So much of a segment is written with zeros at a time, ahead of the records that are synced one batch after the
/// other: a sync of blocks that were written before takes about 60 % of the time of one that has a file grow.
const AHEAD: u64 = 1024 * 1024;
/// Most slices in one write (`IOV_MAX` is 1,024 on Linux).
const SLICES: usize = 1000;

/// The name of a segment's file.
pub(crate) fn file_name(number: u64) -> String {
    format!("{number:020}.log")
}

/// What may be a segment's number: never so large that others could not follow.
const NUMBERS: Range<u64> = 1..1 << 63;

/// The number of the segment whose file has that name.
fn file_number(name: &str) -> Option<u64> {
    number_before(".log", name).filter(|number| NUMBERS.contains(number))
}

/// The number of twenty digits that stands before `suffix` and is all else of the name.
fn number_before(suffix: &str, name: &str) -> Option<u64> {
    let digits = name.strip_suffix(suffix)?;
    let is_one = digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit());
    is_one.then(|| digits.parse().ok())?
}

/// The segment that is being written.
#[derive(Debug)]
struct Active<F> {
    file: F,
    number: u64,
    /// Where its valid bytes end.
    len: u64,
    /// Up to here it is on the disk.
    synced: u64,
    /// The last offset that the segment says of itself to be on the disk.
    marked: u64,
    /// The file `synced` is known to name it. Before that nothing may be written to it, or its loss
    /// would not be noticed.
    named: bool,
    /// See [`Header::salt`].
    salt: u32,
    /// Bytes of the file: what it had in an earlier life, or was written ahead with zeros.
    size: u64,
    /// No zeros are written ahead any more: that failed.
    is_full: bool,
    /// Up to here it is written out, or will be soon.
    written_out: u64,
}

impl<F: SegmentFile> Active<F> {
    /// A segment of which the header is on the disk.
    fn new(file: F, header: &Header, size: u64) -> Self {
        let len = HEADER as u64;
        let Header { number, salt, .. } = *header;
        let (synced, marked, named, is_full) = (len, len, false, false);
        Self { file, number, len, synced, marked, named, salt, size, is_full, written_out: len }
    }

    /// Bytes of the file.
    fn size(&self) -> u64 {
        self.len.max(self.size)
    }

    /// Before the first records are synced that end behind the file's end: makes it longer, up to `most`, so that
    /// those to come do not. The disk may have no room for it.
    fn write_ahead(&mut self, end: u64, most: u64) {
        let ahead = end..end.saturating_add(AHEAD).min(most);
        if end <= self.size || self.is_full || ahead.is_empty() {
            return;
        }
        self.size = ahead.end;
        if self.file.fill(ahead).is_err() {
            self.is_full = true;
            self.cut(end);
        }
    }

    /// Gives back what is behind the records.
    fn cut(&mut self, end: u64) {
        if self.size > end && self.file.truncate(end).is_ok() {
            self.size = end;
        }
    }

    fn synced(&self) -> Position {
        Position { segment: self.number, end: self.synced }
    }
}

/// A segment that nothing more is written to.
#[derive(Clone, Copy, Debug)]
struct Closed {
    number: u64,
    /// Where its valid bytes end.
    end: u64,
    /// Bytes of the file.
    size: u64,
}

/// A journal that is open for appending.
///
/// Any failure to write or sync ends the segment: what was valid of it stays, a half-written batch
/// is cut, the file is closed, and the next batch tries a new segment. So nothing is ever
/// acknowledged by a segment whose sync failed.
#[derive(Debug)]
pub struct Journal<D: Directory> {
    directory: D,
    /// A segment that has reached this size is closed.
    segment_bytes: u64,
    state: State,
    synced: SyncedFile<D::File>,
    active: Option<Active<D::File>>,
    /// The number of a file that was made for a segment, could not be begun, and not be deleted.
    left_over: Option<u64>,
    /// Every segment before the active one, oldest first.
    closed: VecDeque<Closed>,
    spares: Spares,
    ahead: Option<Ahead>,
    /// Which segment was the last one when a spare file was asked for.
    spare_asked_in: u64,
    /// No spare file is kept where all files would take more than this.
    max_bytes: u64,
    /// When the written bytes must be synced: some of them under [`Fsync::Interval`].
    sync_due: Option<Instant>,
    index: IndexFile,
    /// How long syncs of segments take.
    sync_seconds: Histogram,
}

impl<D: Directory> Journal<D> {
    /// How long its syncs take.
    pub fn sync_seconds(&self) -> &Histogram {
        &self.sync_seconds
    }

    /// Who reads in it, on whatever thread.
    pub fn reader(&self) -> JournalReader<D> {
        JournalReader::new(self.directory.clone())
    }

    /// Takes note of the index, when the journal is large and a segment was begun since the last one. To be called
    /// after a batch was appended, and the engine was told so; `index` is the engine's
    /// ([`Engine::index`](windhover_core::queue::Engine::index)). It is written after the next batch, and forgotten where
    /// that one fails. A failure is told in the log: the next start takes longer for it.
    pub fn note_index(&mut self, index: impl FnOnce(Position, u32) -> Index) {
        self.index.write_noted(&self.directory);
        let is_due = |active: &&Active<D::File>| self.index.is_due(active.number, self.len());
        if let Some(active) = self.active.as_ref().filter(is_due) {
            let at = Position { segment: active.number, end: active.len };
            self.index.note(index(at, active.salt));
        }
    }

    /// Appends a batch, all or none, and makes it as safe as it demands ([`JournalBatch::fsync`]). Returns where
    /// it stands.
    ///
    /// # Errors
    /// Those of the file system; nothing of the batch can be relied on then.
    pub fn append(&mut self, batch: &JournalBatch, now: UnixTime) -> io::Result<Written> {
        let result = self.begin_segment(now).and_then(|()| {
            let result = self.write(batch);
            match &result {
                Ok(_) => self.see_ahead(batch.fsync),
                Err(_) => self.seal(),
            }
            result
        });
        if result.is_err() {
            // It says what this batch was to.
            self.index.forget_noted();
        }
        result
    }

    fn write(&mut self, batch: &JournalBatch) -> io::Result<Written> {
        let Some(active) = &mut self.active else {
            return Err(io::Error::other("no segment is open"));
        };
        let mut written = Written { segment: active.number, offset: active.len };
        let mut pieces = Vec::new();
        if active.marked < active.synced {
            let mark = Draft::synced(active.synced).encode(active.salt, active.len);
            written.offset += mark.len() as u64;
            pieces.push(Bytes::from(mark));
        }
        pieces.append(&mut batch.encode(active.salt, written.offset));
        let len = append_all(&mut active.file, &pieces)?;
        if batch.fsync == Fsync::Always {
            active.write_ahead(active.len + len, self.segment_bytes);
            timed_sync(&mut active.file, &self.sync_seconds)?;
        }
        active.marked = active.synced;
        active.len += len;
        match batch.fsync {
            Fsync::Always => {
                active.synced = active.len;
                self.sync_due = None;
                self.synced.note(&self.directory, active.synced());
            }
            Fsync::Interval(every) => {
                let due = Instant::now() + every;
                self.sync_due = Some(self.sync_due.map_or(due, |earlier| earlier.min(due)));
            }
            Fsync::Never => {}
        }
        Ok(written)
    }

    /// Makes sure that there is a segment with room. Also how a server finds out that a disk takes
    /// writes again.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn begin_segment(&mut self, now: UnixTime) -> io::Result<()> {
        if let Some(active) = &self.active {
            if active.len < self.segment_bytes {
                return self.name_active();
            }
            self.sync_active()?;
            self.close_active();
        }
        let (number, file) = self.create_file()?;
        match self.begin_file(number, file, now) {
            Ok(active) => {
                self.active = Some(active);
                self.name_active()
            }
            Err(error) => {
                // When this fails too, the next attempt meets the file and removes it.
                let removed = self.directory.remove(&file_name(number));
                self.left_over = removed.is_err().then_some(number);
                Err(error)
            }
        }
    }

    /// Ends the active segment, if it holds anything: the next batch begins another one.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn roll(&mut self) -> io::Result<()> {
        if self.active.as_ref().is_some_and(|active| active.len > HEADER as u64) {
            self.sync_active()?;
            self.close_active();
        }
        Ok(())
    }

    /// Begins that segment, in a spare file if there is one. The new file has its name, which is then nobody
    /// else's.
    fn begin_file(
        &mut self,
        number: u64,
        mut file: D::File,
        now: UnixTime,
    ) -> io::Result<Active<D::File>> {
        self.take_made_spare();
        let Some(spare) = self.spares.take() else {
            let header = self.write_header(&mut file, number, None, now)?;
            return Ok(Active::new(file, &header, HEADER as u64));
        };
        drop(file);
        let reused = self.reuse(number, &spare, now);
        if reused.is_err() {
            // Whatever is wrong with it, another one is tried next time.
            let _ = self.directory.remove(&spare.name());
        }
        reused
    }

    fn reuse(&self, number: u64, spare: &Spare, now: UnixTime) -> io::Result<Active<D::File>> {
        let mut file = self.directory.rewritable(&spare.name())?;
        // The header first: under a segment's name there must never be another segment.
        let header = self.write_header(&mut file, number, Some(spare), now)?;
        self.directory.rename(&spare.name(), &file_name(number))?;
        self.directory.sync()?;
        Ok(Active::new(file, &header, spare.len))
    }

    /// Makes the file of the next segment. A number whose name somebody else's file has is passed
    /// over: the segment's header says which one is before it.
    fn create_file(&mut self) -> io::Result<(u64, D::File)> {
        let mut number = self.last_number() + 1;
        loop {
            let name = file_name(number);
            match self.directory.create(&name) {
                Ok(file) => return Ok((number, file)),
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                // Nothing was ever acknowledged by it.
                Err(_) if self.left_over == Some(number) => self.directory.remove(&name)?,
                Err(_) => number += 1,
            }
        }
    }

    fn name_active(&mut self) -> io::Result<()> {
        if let Some(active) = self.active.as_mut().filter(|active| !active.named) {
            self.synced.note_safely(&self.directory, active.synced())?;
            active.named = true;
        }
        Ok(())
    }

    fn write_header(
        &self,
        file: &mut D::File,
        number: u64,
        spare: Option<&Spare>,
        now: UnixTime,
    ) -> io::Result<Header> {
        let (previous, previous_end) =
            self.closed.back().map_or((0, 0), |last| (last.number, last.end));
        // And so far zeros may be written ahead of the records.
        let leftover = spare.map_or(0, |spare| spare.len).max(self.segment_bytes);
        let salt = new_salt(spare.map_or(Ok(0), |spare| spare.salt(&self.directory))?)?;
        let (oldest, created) = (self.oldest(), now);
        let header = Header { number, previous, previous_end, oldest, created, salt, leftover };
        append_all(file, &[Bytes::copy_from_slice(&header.encode())])?;
        file.sync()?;
        if spare.is_none() {
            self.directory.sync()?;
        }
        Ok(header)
    }

    /// Ends the active segment after a failure, and leaves no file open.
    fn seal(&mut self) {
        self.end_active();
        self.synced.close();
    }

    fn end_active(&mut self) {
        let Some(active) = &mut self.active else {
            return;
        };
        // When this fails, the next segment's header says all the same where this one ends.
        if active.file.truncate(active.len).is_ok() {
            active.size = active.len;
        }
        if active.synced < active.len {
            // Acknowledged, and never synced again once the segment is closed.
            let _ = active.file.sync();
        }
        if active.len == HEADER as u64 && self.take_back().is_ok() {
            self.active = None;
            self.sync_due = None;
            return;
        }
        self.close_active();
    }

    /// Deletes the file of an active segment that holds nothing: a full disk must not gather them.
    fn take_back(&mut self) -> io::Result<()> {
        let (segment, end) = self.closed.back().map_or((0, 0), |last| (last.number, last.end));
        // First: a segment that is missing without a word here counts as lost.
        self.synced.note_safely(&self.directory, Position { segment, end })?;
        self.directory.remove(&file_name(self.active_number()))
    }

    fn close_active(&mut self) {
        if let Some(active) = self.active.take() {
            let (number, end, size) = (active.number, active.len, active.size());
            self.closed.push_back(Closed { number, end, size });
        }
        self.sync_due = None;
    }

    /// When [`sync`](Self::sync) is due: for what was appended under [`Fsync::Interval`], and a second after each
    /// sync for the note of it.
    pub fn sync_due(&self) -> Option<Instant> {
        self.sync_due.into_iter().chain(self.synced.due()).min()
    }

    /// Makes sure that everything appended is on the disk, if any of it is to be.
    ///
    /// # Errors
    /// Those of the file system; the segment takes no more batches then.
    pub fn sync(&mut self) -> io::Result<()> {
        self.synced.sync_if_due();
        if self.sync_due.is_none() {
            return Ok(());
        }
        self.sync_active()
    }

    fn sync_active(&mut self) -> io::Result<()> {
        self.sync_due = None;
        let Some(active) = &mut self.active else {
            return Ok(());
        };
        if active.synced == active.len {
            return Ok(());
        }
        match timed_sync(&mut active.file, &self.sync_seconds) {
            Ok(()) => {
                active.synced = active.len;
                if active.named {
                    self.synced.note(&self.directory, active.synced());
                }
                Ok(())
            }
            Err(error) => {
                self.seal();
                Err(error)
            }
        }
    }

    /// Gives up the segments before `oldest`, which nothing needs any more: some files are kept for the
    /// segments to come, the others deleted.
    ///
    /// # Errors
    /// Those of the file system; what could not be deleted is tried again next time.
    pub fn reclaim(&mut self, oldest: u64) -> io::Result<()> {
        if !self.has_before(oldest) {
            return Ok(());
        }
        if self.state.oldest < oldest {
            // What compaction moved must be safe before its old place goes.
            self.sync_active()?;
            // First: a segment that is missing without a word here counts as lost.
            let state = State { oldest, clean: None };
            self.directory.overwrite(STATE, state.encode().as_bytes())?;
            self.state = state;
        }
        let mut kept = None;
        while let Some(&Closed { number, size, .. }) =
            self.closed.front().filter(|first| first.number < oldest)
        {
            let keeps = self.spares.has_room_for(size) && self.disk_bytes() <= self.max_bytes;
            // One at a time, as they are used.
            let given_up = if keeps && kept.is_none() {
                Spares::rename(&self.directory, number, size).map(|spare| kept = Some(spare))
            } else {
                self.directory.remove(&file_name(number))
            };
            match given_up {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            self.closed.pop_front();
        }
        if let Some(spare) = kept {
            self.directory.sync()?;
            self.spares.push(spare);
        }
        Ok(())
    }

    /// Whether there are segments before `oldest`.
    pub fn has_before(&self, oldest: u64) -> bool {
        self.closed.front().is_some_and(|first| first.number < oldest)
    }

    /// Syncs, and writes down that the stop was clean, so that the next start knows where the
    /// journal must end. `index` is the engine's ([`Engine::index`](windhover_core::queue::Engine::index)).
    ///
    /// # Errors
    /// Those of the file system.
    pub fn close(mut self, index: impl FnOnce(Position, u32) -> Index) -> io::Result<()> {
        self.ahead = None;
        self.sync_active()?;
        if let Some(active) = self.active.as_ref().filter(|_| self.index.is_wanted(self.len())) {
            let at = Position { segment: active.number, end: active.len };
            self.index.note(index(at, active.salt));
            self.index.write_noted(&self.directory);
        }
        if let Some(active) = &mut self.active {
            active.cut(active.len);
        }
        self.close_active();
        let last = self.closed.back();
        let clean = last.map(|last| Position { segment: last.number, end: last.end });
        let state = State { oldest: self.oldest(), clean };
        self.directory.overwrite(STATE, state.encode().as_bytes())
    }

    fn oldest(&self) -> u64 {
        self.state.oldest
    }

    fn last_number(&self) -> u64 {
        self.active
            .as_ref()
            .map(|active| active.number)
            .or_else(|| self.closed.back().map(|last| last.number))
            .unwrap_or(self.state.oldest.saturating_sub(1))
    }

    /// The segment that the next batch goes to, if it has room.
    pub fn active_number(&self) -> u64 {
        self.active.as_ref().map_or_else(|| self.last_number() + 1, |active| active.number)
    }

    /// Bytes in all segments.
    pub fn len(&self) -> u64 {
        let active = self.active.as_ref().map_or(0, |active| active.len);
        self.closed.iter().map(|closed| closed.end).sum::<u64>() + active
    }

    /// Bytes of all files: with what earlier lives left in them, and with the spare ones.
    pub fn disk_bytes(&self) -> u64 {
        let active = self.active.as_ref().map_or(0, Active::size);
        self.closed.iter().map(|closed| closed.size).sum::<u64>()
            + active
            + self.spares.len()
            + self.ahead.as_ref().map_or(0, Ahead::len)
    }

    /// Whether there is no segment.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many segments there are.
    pub fn segments(&self) -> usize {
        self.closed.len() + usize::from(self.active.is_some())
    }
}

/// A salt for a segment in a file whose life before had that one.
fn new_salt(before: u32) -> io::Result<u32> {
    loop {
        let salt = getrandom::u32().map_err(io::Error::other)?;
        if salt != 0 && salt != before {
            return Ok(salt);
        }
    }
}

/// Syncs a segment, and takes note of how long that took, be it for nothing.
fn timed_sync<F: SegmentFile>(file: &mut F, times: &Histogram) -> io::Result<()> {
    let begun = Instant::now();
    let result = file.sync();
    times.observe_time(begun.elapsed());
    result
}

/// Appends all the pieces; returns their length.
fn append_all<F: SegmentFile>(file: &mut F, pieces: &[Bytes]) -> io::Result<u64> {
    let mut total = 0;
    for pieces in pieces.chunks(SLICES) {
        let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        let mut slices = slices.as_mut_slice();
        // Empty slices would make a complete write look like one that got nowhere.
        IoSlice::advance_slices(&mut slices, 0);
        while !slices.is_empty() {
            match file.append(slices) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    total += n as u64;
                    IoSlice::advance_slices(&mut slices, n);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segment_files_are_named_by_number() {
        assert_eq!(file_name(7), "00000000000000000007.log");
        assert_eq!(file_number("00000000000000000007.log"), Some(7));
        assert_eq!(file_number("18446744073709551615.log"), None);
        assert_eq!(file_number("00000000000000000000.log"), None);
        assert_eq!(file_number("99999999999999999999.log"), None);
        assert_eq!(file_number("7.log"), None);
        assert_eq!(file_number("0000000000000000000a.log"), None);
        assert_eq!(file_number("00000000000000000007.log~"), None);
    }
}
