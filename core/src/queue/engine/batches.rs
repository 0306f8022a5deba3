//! Records that wait for the journal. They are written in their order; those that demand a sync begin a batch of
//! their own behind the others, which need not wait for it.

use alloc::vec::{self, Vec};

use bytes::Bytes;

use super::super::fsync::Fsync;
use super::super::record::Draft;
use super::JournalBatch;

/// Where a record stands: the batch, where in it, and how long it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlaceInBatch {
    pub(super) commit: u64,
    pub(super) offset: u64,
    pub(super) len: u64,
}

/// A batch that is on its way.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) commit: u64,
    /// Its removals: they must not be lost with it.
    pub(super) removals: Vec<Draft>,
    pub(super) fsync: Fsync,
}

/// The records of a batch that came back: whoever waited for one has its items from it. Until then nobody else
/// holds their bytes, so that a single item needs no counter of who does.
pub(super) struct CameBack {
    records: vec::IntoIter<Draft>,
    offset: u64,
    /// A record that several queues have items of: where it stands, and its body behind the names.
    shared: Option<(u64, Bytes)>,
}

impl CameBack {
    pub(super) fn new(records: Vec<Draft>) -> Self {
        Self { records: records.into_iter(), offset: 0, shared: None }
    }

    /// The body behind the names of the put that stands there. To be asked for in the order of places.
    pub(super) fn rest_of(&mut self, place: PlaceInBatch) -> Option<Bytes> {
        if let Some((_, rest)) = self.shared.as_ref().filter(|(at, _)| *at == place.offset) {
            return Some(rest.clone());
        }
        for record in self.records.by_ref() {
            let at = self.offset;
            self.offset = at.saturating_add(record.len());
            if at == place.offset {
                let is_shared = record.is_for_several();
                let rest = record.into_rest();
                self.shared = is_shared.then(|| (at, rest.clone()));
                return Some(rest);
            }
        }
        None
    }
}

/// Memory for as many records is there before they are.
const KEPT: usize = 256;

/// Records that are to be one batch.
#[derive(Debug)]
struct Gathering {
    records: Vec<Draft>,
    len: u64,
    removals: Vec<Draft>,
    fsync: Fsync,
}

impl Default for Gathering {
    fn default() -> Self {
        Self { records: Vec::new(), len: 0, removals: Vec::new(), fsync: Fsync::Never }
    }
}

impl Gathering {
    fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    fn push(&mut self, record: Draft, fsync: Fsync) {
        self.len += record.len();
        self.fsync = self.fsync.stricter(fsync);
        self.records.push(record);
    }

    fn append(&mut self, mut other: Self) {
        self.len += other.len;
        self.fsync = self.fsync.stricter(other.fsync);
        self.records.append(&mut other.records);
        self.removals.append(&mut other.removals);
    }
}

/// The records that wait.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// How many batches were taken.
    taken: u64,
    /// Records that need not be synced before they are told of.
    first: Gathering,
    /// Those that came behind one that has to be, and that one. It is the next batch when there is none before it.
    behind: Gathering,
}

impl Waiting {
    /// Adds a record behind all others; where it stands.
    pub(super) fn write(&mut self, record: Draft, fsync: Fsync) -> PlaceInBatch {
        let is_behind = fsync == Fsync::Always || !self.behind.is_empty();
        let is_second = is_behind && !self.first.is_empty();
        let batch = if is_behind { &mut self.behind } else { &mut self.first };
        let (offset, len) = (batch.len, record.len());
        batch.push(record, fsync);
        PlaceInBatch { commit: self.taken + 1 + u64::from(is_second), offset, len }
    }

    /// The same for one that says that items are gone.
    pub(super) fn write_removal(&mut self, record: Draft, fsync: Fsync) {
        self.write(record.clone(), fsync);
        let batch = if self.behind.is_empty() { &mut self.first } else { &mut self.behind };
        batch.removals.push(record);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_empty() && self.behind.is_empty()
    }

    /// How many removals wait.
    pub(super) fn removals(&self) -> usize {
        self.first.removals.len() + self.behind.removals.len()
    }

    /// The next batch, and its removals.
    pub(super) fn take(&mut self) -> Option<(JournalBatch, Vec<Draft>)> {
        let next = if self.first.is_empty() { &mut self.behind } else { &mut self.first };
        let Gathering { records, len, removals, fsync } = core::mem::take(next);
        if records.is_empty() {
            return None;
        }
        // The next batch is most often as large.
        next.records.reserve(records.len().min(KEPT));
        self.taken += 1;
        Some((JournalBatch { commit: self.taken, records, len, fsync }, removals))
    }

    /// Makes one batch of two, if there are two: its number, and by how much what was in the second stands behind
    /// its place there.
    pub(super) fn join(&mut self) -> Option<(u64, u64)> {
        if self.first.is_empty() || self.behind.is_empty() {
            return None;
        }
        let ahead = self.first.len;
        let behind = core::mem::take(&mut self.behind);
        self.first.append(behind);
        core::mem::swap(&mut self.first, &mut self.behind);
        Some((self.taken + 1, ahead))
    }
}
