//! Why a backup, or what is done with one, failed.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::codec::CodecError;
use super::destination::DestinationError;
use super::key::KeyError;
use super::manifest::ManifestError;
use crate::data::DataError;
use crate::journal::SnapshotError;

/// Why a backup, or what is done with one, failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum BackupError {
    /// The journal cannot be copied.
    Journal(SnapshotError),
    /// Segments were given up faster than they could be copied.
    TooSlow {
        /// How often it was begun anew.
        attempts: u32,
    },
    /// The destination failed, or lacks what it should have.
    Destination(DestinationError),
    /// The key cannot be used.
    Key(KeyError),
    /// There is no backup at the destination.
    NoBackup {
        /// What was looked for.
        wanted: String,
    },
    /// Another backup or prune took the number first.
    Overtaken {
        /// The number.
        sequence: u64,
    },
    /// The backups there are of another journal.
    OtherJournal {
        /// The last of them.
        sequence: u64,
    },
    /// Something at the destination cannot be read: it is encrypted otherwise, or damaged.
    Stored {
        /// Its name.
        name: String,
        /// Why not.
        source: CodecError,
    },
    /// An entry of the log is not what it should be.
    Entry {
        /// Its name.
        name: String,
        /// Why not.
        source: ManifestError,
    },
    /// The content of an object is not what its name says.
    Content {
        /// Its name.
        name: String,
    },
    /// The directory to restore to has something in it.
    NotEmpty(PathBuf),
    /// The directory has the beginnings of another restore.
    OtherRestore {
        /// The directory.
        path: PathBuf,
        /// Of which backup.
        sequence: u64,
    },
    /// The backup has no such queue.
    NoQueue(String),
    /// What was restored is not what was backed up.
    Restored(String),
    /// The data directory cannot be used.
    Data(DataError),
    /// The file system failed.
    Io {
        /// The file or folder.
        path: PathBuf,
        /// How.
        source: io::Error,
    },
}

impl BackupError {
    /// What a file system's error is, with the file.
    pub(super) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    /// What the process ends with; `docs/backup.md` lists them.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Journal(SnapshotError::Damaged { .. })
            | Self::Entry { .. }
            | Self::Content { .. }
            | Self::Restored(_)
            | Self::Stored { source: CodecError::Damaged(_) | CodecError::Version(_), .. }
            | Self::Destination(DestinationError::NotFound { .. }) => 3,
            Self::Data(DataError::Locked(_)) | Self::NotEmpty(_) | Self::OtherRestore { .. } => 4,
            Self::Overtaken { .. } => 5,
            Self::TooSlow { .. } => 6,
            Self::OtherJournal { .. } => 7,
            Self::NoBackup { .. } | Self::NoQueue(_) => 10,
            Self::Destination(_) => 11,
            Self::Key(_) | Self::Stored { .. } => 12,
            _ => 1,
        }
    }
}

impl fmt::Display for BackupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Journal(error) => error.fmt(f),
            Self::TooSlow { attempts } => write!(
                f,
                "segments are given up faster than they can be copied: begun anew {attempts} times; what was \
                 sent is kept, so that the next backup has less to do"
            ),
            Self::Destination(error) => error.fmt(f),
            Self::Key(error) => error.fmt(f),
            Self::NoBackup { wanted } => write!(f, "there is no {wanted} at the destination"),
            Self::Overtaken { sequence } => write!(
                f,
                "another backup or prune became entry {sequence} meanwhile: this one counts for nothing; run \
                 it again"
            ),
            Self::OtherJournal { sequence } => write!(
                f,
                "backup {sequence} at the destination is of another journal, or of a later state of this one: \
                 give another destination or, when this is meant to follow it, --other-journal"
            ),
            Self::Stored { name, .. } => write!(f, "{name} cannot be read"),
            Self::Entry { name, .. } => write!(f, "{name} is damaged"),
            Self::Content { name } => {
                write!(f, "{name} is damaged: its content is not what its name says")
            }
            Self::NotEmpty(path) => write!(
                f,
                "{} is not empty: restore into a directory that is new or empty",
                path.display()
            ),
            Self::OtherRestore { path, sequence } => write!(
                f,
                "a restore of backup {sequence} into {} was begun and not ended: go on with `--backup \
                 {sequence}`, or give an empty directory",
                path.display()
            ),
            Self::NoQueue(queue) => write!(f, "the backup has no items of the queue `{queue}`"),
            Self::Restored(what) => {
                write!(f, "what was restored is not what was backed up: {what}")
            }
            Self::Data(error) => error.fmt(f),
            Self::Io { path, .. } => write!(f, "cannot use {}", path.display()),
        }
    }
}

impl std::error::Error for BackupError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Journal(error) => error.source(),
            Self::Destination(error) => error.source(),
            Self::Key(error) => error.source(),
            Self::Stored { source, .. } => Some(source),
            Self::Entry { source, .. } => Some(source),
            Self::Data(error) => error.source(),
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl From<SnapshotError> for BackupError {
    fn from(error: SnapshotError) -> Self {
        Self::Journal(error)
    }
}

impl From<DestinationError> for BackupError {
    fn from(error: DestinationError) -> Self {
        Self::Destination(error)
    }
}

impl From<KeyError> for BackupError {
    fn from(error: KeyError) -> Self {
        Self::Key(error)
    }
}

impl From<DataError> for BackupError {
    fn from(error: DataError) -> Self {
        Self::Data(error)
    }
}
