//! The log and the objects at a destination.

use std::collections::BTreeSet;

use super::codec::{Codec, CodecError, sha256};
use super::destination::{Destination, DestinationError, PutResult};
use super::error::BackupError;
use super::layout::{self, Check, LOG, LogName, ObjectId};
use super::manifest::{LogEntry, Manifest, Parent, Part};

/// The numbers of what is in the log.
#[derive(Clone, Debug, Default)]
pub struct LogNames {
    /// Entries.
    pub entries: BTreeSet<u64>,
    /// Checksums of entries.
    pub sums: BTreeSet<u64>,
}

impl LogNames {
    /// The number that the next entry gets: behind all that there are or were.
    pub fn next(&self) -> u64 {
        let last = self.entries.iter().chain(&self.sums).max();
        last.map_or(1, |last| last.saturating_add(1))
    }
}

/// An entry that was read.
#[derive(Clone, Debug)]
pub struct Found<T> {
    /// What it says.
    pub entry: T,
    /// The SHA-256 of what is stored of it.
    pub sha256: String,
    /// Bytes of that.
    pub len: u64,
}

impl Found<Manifest> {
    /// What the next backup says of it.
    pub fn as_parent(&self) -> Parent {
        Parent { sequence: self.entry.sequence, sha256: self.sha256.clone() }
    }
}

/// A destination, and how what is there is stored.
#[derive(Debug)]
pub struct Repository {
    destination: Box<dyn Destination>,
    codec: Codec,
}

impl Repository {
    /// What is at that destination.
    pub fn new(destination: Box<dyn Destination>, codec: Codec) -> Self {
        Self { destination, codec }
    }

    /// The destination.
    pub fn destination(&self) -> &dyn Destination {
        &*self.destination
    }

    /// How things are stored there.
    pub const fn codec(&self) -> &Codec {
        &self.codec
    }

    /// The numbers in the log.
    ///
    /// # Errors
    /// [`BackupError::Destination`].
    pub fn log(&self) -> Result<LogNames, BackupError> {
        let mut names = LogNames::default();
        for listed in self.destination.list(LOG)? {
            match layout::log_name(&listed.name) {
                Some(LogName::Entry(sequence)) => drop(names.entries.insert(sequence)),
                Some(LogName::Sum(sequence)) => drop(names.sums.insert(sequence)),
                None => {}
            }
        }
        Ok(names)
    }

    /// Reads an entry of the log.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn entry(&self, sequence: u64) -> Result<Found<LogEntry>, BackupError> {
        let name = layout::entry_name(sequence);
        let stored = self.destination.get(&name)?;
        let (sha256, len) = (sha256(&stored), stored.len() as u64);
        let json = self.codec.decode(&name, stored, None);
        let json = json.map_err(|source| BackupError::Stored { name: name.clone(), source })?;
        let entry = LogEntry::decode(&json, sequence);
        let entry = entry.map_err(|source| BackupError::Entry { name, source })?;
        Ok(Found { entry, sha256, len })
    }

    /// The checksum that an entry had when it was put; `None` when nothing says.
    ///
    /// # Errors
    /// [`BackupError::Destination`].
    pub fn sum(&self, sequence: u64) -> Result<Option<String>, BackupError> {
        match self.destination.get(&layout::sum_name(sequence)) {
            Ok(sum) => Ok(Some(String::from_utf8_lossy(&sum).trim().to_owned())),
            Err(DestinationError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads a backup; `None` when that entry is none.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn manifest(&self, sequence: u64) -> Result<Option<Found<Manifest>>, BackupError> {
        let Found { entry, sha256, len } = self.entry(sequence)?;
        Ok(match entry {
            LogEntry::Backup(entry) => Some(Found { entry, sha256, len }),
            LogEntry::Prune(_) => None,
        })
    }

    /// The backups in the log, the last first, each read when it is asked for. The newest prune says which of those
    /// before it count: what it did not keep may lack objects, and is no backup though its entry is there still.
    pub fn backups<'a>(
        &'a self,
        log: &'a LogNames,
    ) -> impl Iterator<Item = Result<Found<Manifest>, BackupError>> + 'a {
        let mut kept: Option<Vec<u64>> = None;
        log.entries.iter().rev().filter_map(move |&sequence| {
            if kept.as_ref().is_some_and(|kept| !kept.contains(&sequence)) {
                return None;
            }
            match self.entry(sequence) {
                Ok(Found { entry: LogEntry::Backup(entry), sha256, len }) => {
                    Some(Ok(Found { entry, sha256, len }))
                }
                Ok(Found { entry: LogEntry::Prune(prune), .. }) => {
                    kept = Some(prune.kept);
                    None
                }
                Err(BackupError::Destination(DestinationError::NotFound { name })) => {
                    match self.log() {
                        // Pruned since the log was listed; what its prune did not keep had gone before.
                        Ok(now) if !now.entries.contains(&sequence) => None,
                        Ok(_) => Some(Err(DestinationError::NotFound { name }.into())),
                        Err(error) => Some(Err(error)),
                    }
                }
                Err(error) => Some(Err(error)),
            }
        })
    }

    /// The last backup, if there is any.
    ///
    /// # Errors
    /// [`BackupError`], also when it is damaged: an older one is not taken for it.
    pub fn newest(&self, log: &LogNames) -> Result<Option<Found<Manifest>>, BackupError> {
        self.backups(log).next().transpose()
    }

    /// Every backup in the log, oldest first.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn manifests(&self, log: &LogNames) -> Result<Vec<Found<Manifest>>, BackupError> {
        let mut found = self.backups(log).collect::<Result<Vec<_>, _>>()?;
        found.reverse();
        Ok(found)
    }

    /// Whether what had that number counts for nothing by now, though an entry of that number may be there: the newest
    /// prune did not keep it. Of an entry that was just put, the number had been a prune's, which the next prune
    /// deleted, so that it was free again.
    fn is_discarded(&self, log: &LogNames, sequence: u64) -> Result<bool, BackupError> {
        for later in log.entries.range(sequence.saturating_add(1)..).rev() {
            match self.entry(*later) {
                Ok(Found { entry: LogEntry::Prune(prune), .. }) => {
                    return Ok(!prune.kept.contains(&sequence));
                }
                Ok(_) | Err(BackupError::Destination(DestinationError::NotFound { .. })) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Whether a backup that was there is none any more: pruned meanwhile. Where the log is damaged, nothing says so.
    ///
    /// # Errors
    /// [`BackupError::Destination`] when it fails, and those of a key.
    pub fn is_pruned(&self, sequence: u64) -> Result<bool, BackupError> {
        let log = self.log()?;
        if !log.entries.contains(&sequence) {
            return Ok(true);
        }
        match self.is_discarded(&log, sequence) {
            Err(error) if !is_of_key(&error) && error.exit_code() == 3 => Ok(false),
            discarded => discarded,
        }
    }

    /// What it means that something of that backup failed: when it lacks something and was pruned meanwhile, there is no
    /// such backup any more.
    pub fn lacking(&self, sequence: u64, error: BackupError) -> BackupError {
        if !matches!(error, BackupError::Destination(DestinationError::NotFound { .. })) {
            return error;
        }
        match self.is_pruned(sequence) {
            Ok(true) => BackupError::NoBackup { wanted: format!("backup {sequence} any more") },
            Ok(false) => error,
            Err(failed) => failed,
        }
    }

    /// Puts an entry under its number. Returns how many bytes it has.
    ///
    /// # Errors
    /// [`BackupError::Overtaken`] when there is one, or was; [`BackupError::Destination`].
    pub fn commit(&self, entry: &LogEntry) -> Result<u64, BackupError> {
        let sequence = entry.sequence();
        let name = layout::entry_name(sequence);
        let stored = self.encode(&name, &entry.encode())?;
        // It may be this very one: a put whose answer was lost was tried again.
        if self.destination.put_if_absent(&name, &stored)? == PutResult::Exists
            && self.stood_there(&name, sequence)? != stored
        {
            return Err(BackupError::Overtaken { sequence });
        }
        let sum = format!("{}\n", sha256(&stored));
        self.destination.put_if_absent(&layout::sum_name(sequence), sum.as_bytes())?;
        if self.is_discarded(&self.log()?, sequence)? {
            for name in [layout::sum_name(sequence), name] {
                // Who may not delete leaves it to the next prune: nobody takes it for a backup.
                if let Err(error) = self.destination.delete(&name) {
                    tracing::warn!(%error, "{name} counts for nothing, and stays until the next prune");
                }
            }
            return Err(BackupError::Overtaken { sequence });
        }
        Ok(stored.len() as u64)
    }

    /// Stores a content for the backup that is to be that entry. Returns the object, how many bytes are stored, and
    /// how many of them were sent.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn put_object(
        &self,
        content: &[u8],
        sequence: u64,
    ) -> Result<(ObjectId, u64, u64), BackupError> {
        let id = ObjectId { hash: self.codec.hash(content), sequence };
        let name = id.name();
        let stored = self.encode(&name, content)?;
        let len = stored.len() as u64;
        match self.destination.put_if_absent(&name, &stored)? {
            PutResult::Stored => Ok((id, len, len)),
            // What was sent before this was begun anew. It is read: what is in a backup has to be there.
            PutResult::Exists => {
                let there = self.stood_there(&name, sequence)?;
                let len = there.len() as u64;
                self.checked(&id, there, content.len() as u64)?;
                Ok((id, len, 0))
            }
        }
    }

    /// What stood where this entry, or an object of it, was to be put. Where that is gone, a prune deleted it, which had
    /// taken the number before.
    fn stood_there(&self, name: &str, sequence: u64) -> Result<Vec<u8>, BackupError> {
        self.destination.get(name).map_err(|error| match error {
            DestinationError::NotFound { .. } => BackupError::Overtaken { sequence },
            error => error.into(),
        })
    }

    /// Reads the content of a part that has so many bytes, and checks it.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn content(&self, part: &Part, len: u64) -> Result<Vec<u8>, BackupError> {
        let id = part.id().ok_or_else(|| BackupError::Content { name: part.object.clone() })?;
        let stored = self.destination.get(&id.name())?;
        self.checked(&id, stored, len)
    }

    fn checked(&self, id: &ObjectId, stored: Vec<u8>, len: u64) -> Result<Vec<u8>, BackupError> {
        let name = id.name();
        match self.codec.decode(&name, stored, Some(len)) {
            Err(source) => Err(BackupError::Stored { name, source }),
            Ok(content) if self.codec.hash(&content) == id.hash => Ok(content),
            Ok(_) => Err(BackupError::Content { name }),
        }
    }

    /// Notes that a backup was found good, for whoever watches how long ago that was. `at` is in milliseconds
    /// since 1970.
    ///
    /// # Errors
    /// [`BackupError::Destination`].
    pub fn note(&self, check: Check, sequence: u64, at: u64) -> Result<(), BackupError> {
        self.destination.put_if_absent(&check.name(sequence, at), b"\n")?;
        Ok(())
    }

    fn encode(&self, name: &str, content: &[u8]) -> Result<Vec<u8>, BackupError> {
        self.codec.encode(name, content).map_err(BackupError::io(name))
    }
}

/// Whether a failure is that of a key: none of it is damage.
pub(super) const fn is_of_key(error: &BackupError) -> bool {
    matches!(
        error,
        BackupError::Stored {
            source: CodecError::NoKey | CodecError::OtherKey | CodecError::NotEncrypted,
            ..
        }
    )
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;
    use std::sync::Arc;

    use super::*;
    use crate::backup::directory::DirectoryDestination;
    use crate::backup::progress::Progress;
    use crate::backup::prune::prune;
    use crate::backup::retention::Retention;
    use crate::backup::verify::verify;

    struct Place(PathBuf);

    impl Place {
        fn new(purpose: &str) -> Self {
            let name = format!("windhover-repository-{purpose}-{}", std::process::id());
            let root = std::env::temp_dir().join(name);
            let _ = fs::remove_dir_all(&root);
            Self(root)
        }

        fn open(&self) -> Repository {
            let destination = DirectoryDestination::new(&self.0, Arc::default());
            Repository::new(Box::new(destination), Codec::default())
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn backup(sequence: u64) -> LogEntry {
        LogEntry::Backup(Manifest::new(sequence, format!("id of {sequence}"), sequence))
    }

    fn pruned(repository: &Repository) {
        let retention = Retention { last: 1, ..Retention::default() };
        prune(repository, &retention, false, 0, &mut Progress::silent()).unwrap();
    }

    fn newest(repository: &Repository) -> Option<u64> {
        let found = repository.newest(&repository.log().unwrap()).unwrap();
        found.map(|found| found.entry.sequence)
    }

    /// What a backup had sent when it lost its number goes with the next prune, and with it the entry that had the
    /// number.
    fn two_prunes_meanwhile(repository: &Repository) {
        repository.commit(&backup(1)).unwrap();
        repository.commit(&backup(2)).unwrap();
        repository.put_object(b"of backup 3", 3).unwrap();
        pruned(repository);
        assert!(repository.log().unwrap().entries.contains(&3));
        repository.put_object(b"more of backup 3", 3).unwrap();
        pruned(repository);
        assert!(!repository.log().unwrap().entries.contains(&3));
    }

    #[test]
    fn a_number_that_two_prunes_freed_is_not_taken() {
        let place = Place::new("freed");
        let repository = place.open();
        two_prunes_meanwhile(&repository);

        let late = repository.commit(&backup(3));

        assert!(matches!(late, Err(BackupError::Overtaken { sequence: 3 })), "{late:?}");
        let log = repository.log().unwrap();
        assert_eq!((log.entries.contains(&3), log.sums.contains(&3)), (false, false));
        assert_eq!(newest(&repository), Some(2));
    }

    #[test]
    fn an_entry_that_the_newest_prune_did_not_keep_is_no_backup() {
        let place = Place::new("not-kept");
        let repository = place.open();
        two_prunes_meanwhile(&repository);
        // Put by a backup that was killed before it looked.
        let name = layout::entry_name(3);
        let stored = repository.encode(&name, &backup(3).encode()).unwrap();
        repository.destination.put_if_absent(&name, &stored).unwrap();

        let all = repository.manifests(&repository.log().unwrap()).unwrap();
        let all: Vec<u64> = all.iter().map(|found| found.entry.sequence).collect();
        assert_eq!((newest(&repository), all), (Some(2), vec![2]));
        let report = verify(&repository, None, 100.0, &mut Progress::silent()).unwrap();
        assert_eq!((report.backups, report.faults), (vec![2], vec![]));
        pruned(&repository);
        assert_eq!(repository.log().unwrap().entries, BTreeSet::from([2, 5]));
    }

    #[test]
    fn what_is_behind_the_newest_prune_counts() {
        let place = Place::new("behind");
        let repository = place.open();
        two_prunes_meanwhile(&repository);

        repository.commit(&backup(5)).unwrap();

        assert_eq!(newest(&repository), Some(5));
    }

    #[test]
    fn an_object_that_is_gone_when_it_is_looked_at_was_pruned() {
        let place = Place::new("object");
        let repository = place.open();
        let (id, ..) = repository.put_object(b"content", 1).unwrap();
        let path = place.0.join(id.name());
        // There for a put, and not for a get.
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("nothing", &path).unwrap();

        let put = repository.put_object(b"content", 1);

        assert!(matches!(put, Err(BackupError::Overtaken { sequence: 1 })), "{put:?}");
    }
}
