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

    /// The last backup, if there is any.
    ///
    /// # Errors
    /// [`BackupError`], also when it is damaged: an older one is not taken for it.
    pub fn newest(&self, log: &LogNames) -> Result<Option<Found<Manifest>>, BackupError> {
        for sequence in log.entries.iter().rev() {
            if let Some(found) = self.manifest(*sequence)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Every backup, oldest first.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn manifests(&self) -> Result<Vec<Found<Manifest>>, BackupError> {
        let mut found = Vec::new();
        for sequence in self.log()?.entries {
            match self.manifest(sequence) {
                Ok(manifest) => found.extend(manifest),
                // Pruned meanwhile.
                Err(BackupError::Destination(DestinationError::NotFound { .. })) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// Puts an entry under its number. Returns how many bytes it has.
    ///
    /// # Errors
    /// [`BackupError::Overtaken`] when there is one; [`BackupError::Destination`].
    pub fn commit(&self, entry: &LogEntry) -> Result<u64, BackupError> {
        let sequence = entry.sequence();
        let name = layout::entry_name(sequence);
        let stored = self.encode(&name, &entry.encode())?;
        // It may be this very one: a put whose answer was lost was tried again.
        if self.destination.put_if_absent(&name, &stored)? == PutResult::Exists
            && self.destination.get(&name)? != stored
        {
            return Err(BackupError::Overtaken { sequence });
        }
        let sum = format!("{}\n", sha256(&stored));
        self.destination.put_if_absent(&layout::sum_name(sequence), sum.as_bytes())?;
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
                let there = self.destination.get(&name)?;
                let len = there.len() as u64;
                self.checked(&id, there, content.len() as u64)?;
                Ok((id, len, 0))
            }
        }
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
