//! Making a backup, while the journal is being written.

use std::collections::BTreeMap;

use serde::Serialize;

use super::error::BackupError;
use super::key::to_hex;
use super::manifest::{Cut, LogEntry, Manifest, Part, QueueCount};
use super::plan::{self, Known, Step};
use super::progress::Progress;
use super::repository::{Found, Repository, is_of_key};
use crate::journal::{Directory, Snapshot, SnapshotError, SnapshotReader};

/// How often a backup is begun anew because segments were given up meanwhile. What was sent stays, so that each
/// time less is left to do, or the destination is slower than the server.
const ATTEMPTS: u32 = 100;

/// How often a view is looked for of which the items can be counted before segments of it are given up.
const COUNTS: u32 = 10;

/// How to make a backup.
#[derive(Clone, Copy, Debug, Default)]
pub struct CreateOptions {
    /// The backups at the destination may be of another journal.
    pub other_journal: bool,
    /// Nothing is done when nothing has changed since the last backup.
    pub skip_unchanged: bool,
}

/// A backup that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Created {
    /// Its number.
    pub sequence: u64,
    /// Up to where it goes.
    pub cut: Cut,
    /// When the cut was made, in milliseconds since 1970.
    pub taken: u64,
    /// The backup before.
    pub parent: Option<u64>,
    /// Segments.
    pub segments: u64,
    /// Bytes of the journal.
    pub bytes: u64,
    /// Bytes of it that were read for this backup.
    pub read: u64,
    /// Bytes that were sent.
    pub sent: u64,
    /// Whole records.
    pub records: u64,
    /// Items in all queues, if they were counted.
    pub items: Option<u64>,
    /// Nothing had changed since the last backup, which is told of here.
    pub unchanged: bool,
}

/// Makes a backup of the journal in that directory.
///
/// # Errors
/// [`BackupError`]. What was sent is used by the next backup, or goes with the next prune.
pub fn create<D: Directory>(
    journal: D,
    repository: &Repository,
    options: CreateOptions,
    now: &dyn Fn() -> u64,
    progress: &mut Progress,
) -> Result<Created, BackupError> {
    Run::begin(journal, repository)?.create(options, now, progress)
}

/// A backup that is being made.
pub(super) struct Run<'a, D> {
    journal: SnapshotReader<D>,
    repository: &'a Repository,
    sequence: u64,
    parent: Option<Found<Manifest>>,
    known: Known,
    read: u64,
    sent: u64,
}

impl<'a, D: Directory> Run<'a, D> {
    /// Looks what is at the destination.
    pub(super) fn begin(journal: D, repository: &'a Repository) -> Result<Self, BackupError> {
        let log = repository.log()?;
        let parent = match repository.newest(&log) {
            Ok(parent) => parent,
            Err(error) if is_of_key(&error) || error.exit_code() != 3 => return Err(error),
            Err(error) => {
                // Nothing of it can be relied on, so that all is sent anew.
                tracing::warn!(%error, "the last backup cannot be read: `windhover backup verify` says more");
                None
            }
        };
        Ok(Self {
            journal: SnapshotReader::new(journal),
            repository,
            sequence: log.next(),
            known: Known::of(parent.as_ref().map(|parent| &parent.entry)),
            parent,
            read: 0,
            sent: 0,
        })
    }

    /// Whether nothing was put into the log since it was begun.
    pub(super) fn is_current(&self) -> Result<bool, BackupError> {
        Ok(self.repository.log()?.next() == self.sequence)
    }

    /// Sends what was closed since, so that less is left to do later.
    pub(super) fn ship_closed(&mut self) -> Result<(), BackupError> {
        let sent = self.journal.snapshot().map_err(BackupError::from).and_then(|snapshot| {
            let parent = self.parent.as_ref();
            if parent.is_some_and(|parent| !plan::is_same_journal(&parent.entry, &snapshot)) {
                return Ok(());
            }
            let mut steps = plan::plan(&snapshot, &self.known);
            // The last is still written to.
            steps.pop();
            steps.into_iter().try_for_each(|step| self.send(step).map(drop))
        });
        match sent {
            // What is gone is needed no more.
            Err(BackupError::Journal(SnapshotError::Moved { .. })) => Ok(()),
            sent => sent,
        }
    }

    /// Makes the backup.
    pub(super) fn create(
        mut self,
        options: CreateOptions,
        now: &dyn Fn() -> u64,
        progress: &mut Progress,
    ) -> Result<Created, BackupError> {
        for attempt in 0..ATTEMPTS {
            // Before the cut: all that was acknowledged until then is in it.
            let taken = now();
            let snapshot = match self.journal.snapshot() {
                Err(SnapshotError::Moved { .. }) => continue,
                snapshot => snapshot?,
            };
            if let Some(parent) = &self.parent {
                if !options.other_journal && !plan::is_same_journal(&parent.entry, &snapshot) {
                    return Err(BackupError::OtherJournal { sequence: parent.entry.sequence });
                }
                if options.skip_unchanged && is_unchanged(&parent.entry, &snapshot) {
                    let sequence = parent.entry.sequence;
                    return Ok(Created {
                        sequence,
                        taken,
                        unchanged: true,
                        ..self.told(&parent.entry)
                    });
                }
            }
            // At once, while all of it is there.
            let counted = match self.journal.count(&snapshot) {
                Err(_) if attempt < COUNTS => continue,
                counted => counted.ok().flatten(),
            };
            match self.copy(&snapshot, progress) {
                Err(BackupError::Journal(SnapshotError::Moved { segment })) => {
                    tracing::debug!(segment, "given up while it was copied: looking again");
                }
                Err(error) => return Err(error),
                Ok(parts) => return self.commit(&snapshot, parts, counted, taken),
            }
        }
        Err(BackupError::TooSlow { attempts: ATTEMPTS })
    }

    /// Sends what is not there yet; the parts of each segment.
    fn copy(
        &mut self,
        snapshot: &Snapshot,
        progress: &mut Progress,
    ) -> Result<Vec<Vec<Part>>, BackupError> {
        let steps = plan::plan(snapshot, &self.known);
        let mut expected: u64 = steps.iter().map(|step| step.copy.end - step.copy.start).sum();
        progress.expect(expected);
        let mut all = Vec::with_capacity(steps.len());
        for step in steps {
            let len = step.copy.end - step.copy.start;
            match self.send(step) {
                Ok(parts) => all.push(parts),
                Err(error) => {
                    // What is left will be expected once more.
                    progress.did(expected);
                    return Err(error);
                }
            }
            expected -= len;
            progress.did(len);
        }
        Ok(all)
    }

    /// Sends what is to be sent of a segment; all its parts.
    fn send(&mut self, step: Step) -> Result<Vec<Part>, BackupError> {
        let Step { segment, known: mut parts, copy } = step;
        if copy.is_empty() {
            return Ok(parts);
        }
        let (end, len) = (copy.end, copy.end - copy.start);
        let read = self.journal.read(&segment, copy)?;
        let (id, stored, sent) = self.repository.put_object(&read.bytes, self.sequence)?;
        parts.push(Part { end, object: id.to_string(), stored, records: read.records });
        self.known.insert(&segment, parts.clone());
        self.read += len;
        self.sent += sent;
        Ok(parts)
    }

    fn commit(
        mut self,
        snapshot: &Snapshot,
        parts: Vec<Vec<Part>>,
        counted: Option<BTreeMap<Vec<u8>, u64>>,
        taken: u64,
    ) -> Result<Created, BackupError> {
        let mut id = [0; 8];
        getrandom::fill(&mut id)
            .map_err(|error| BackupError::io("random bytes")(std::io::Error::other(error)))?;
        let described = snapshot.segments.iter().zip(parts);
        let manifest = Manifest {
            parent: self.parent.as_ref().map(Found::as_parent),
            oldest: snapshot.oldest,
            cut: cut_of(snapshot),
            segments: described.map(|(segment, parts)| plan::described(segment, parts)).collect(),
            queues: counted.map(queues),
            ..Manifest::new(self.sequence, to_hex(&id), taken)
        };
        self.sent += self.repository.commit(&LogEntry::Backup(manifest.clone()))?;
        Ok(self.told(&manifest))
    }

    fn told(&self, manifest: &Manifest) -> Created {
        Created {
            sequence: manifest.sequence,
            cut: manifest.cut,
            taken: manifest.taken,
            parent: manifest.parent.as_ref().map(|parent| parent.sequence),
            segments: manifest.segments.len() as u64,
            bytes: manifest.bytes(),
            read: self.read,
            sent: self.sent,
            records: manifest.records(),
            items: manifest.items(),
            unchanged: false,
        }
    }
}

fn cut_of(snapshot: &Snapshot) -> Cut {
    Cut { segment: snapshot.cut.segment, offset: snapshot.cut.end }
}

fn is_unchanged(backup: &Manifest, snapshot: &Snapshot) -> bool {
    (backup.cut, backup.oldest) == (cut_of(snapshot), snapshot.oldest)
}

fn queues(counted: BTreeMap<Vec<u8>, u64>) -> Vec<QueueCount> {
    let count = |(name, items): (Vec<u8>, u64)| QueueCount { name: escaped(&name), items };
    counted.into_iter().map(count).collect()
}

/// A queue's name as a manifest has it.
pub(super) fn escaped(name: &[u8]) -> String {
    name.escape_ascii().to_string()
}
