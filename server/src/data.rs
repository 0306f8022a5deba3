//! The data directory: its lock, its journal, and what was put aside as damaged.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use windhover_core::UnixTime;
use windhover_core::queue::Config;

use crate::journal::{
    self, DirectoryLock, InspectError, OpenError, Opened, OsDirectory, RepairReport, Verified,
};
use crate::private;

/// Why a data directory cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum DataError {
    /// The file system failed.
    Io {
        /// The file or directory.
        path: PathBuf,
        /// How.
        source: io::Error,
    },
    /// Another process uses the directory.
    Locked(PathBuf),
    /// A backup was being restored into the directory, and not to the end.
    Restoring(PathBuf),
    /// The journal cannot be opened.
    Journal(OpenError),
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, .. } => write!(f, "cannot use {}", path.display()),
            Self::Locked(path) => write!(
                f,
                "{}: another process uses this data directory; stop it, or give another --data",
                path.display()
            ),
            Self::Restoring(path) => write!(
                f,
                "{}: a backup was being restored here, and not to the end: run `windhover backup restore` \
                 again",
                path.display()
            ),
            Self::Journal(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for DataError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Journal(error) => error.source(),
            Self::Locked(_) | Self::Restoring(_) => None,
        }
    }
}

/// The file that is there while a backup is restored into the directory, until all of it is there.
pub(crate) const RESTORING: &str = "restoring";

/// A data directory that this process has locked.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    _lock: DirectoryLock,
}

impl DataDirectory {
    /// Locks that directory; it is made, for this user alone, when it is not there. When others have
    /// access to one that is there, the log says so.
    ///
    /// # Errors
    /// [`DataError::Locked`] when another process has it, [`DataError::Restoring`] when it holds a part of a backup,
    /// [`DataError::Io`] when the file system fails.
    pub fn lock(path: &Path) -> Result<Self, DataError> {
        let data = Self::lock_restoring(path)?;
        if data.path.join(RESTORING).exists() {
            return Err(DataError::Restoring(data.path));
        }
        Ok(data)
    }

    /// The same, for whoever restores.
    pub(crate) fn lock_restoring(path: &Path) -> Result<Self, DataError> {
        let fail = |source| DataError::Io { path: path.to_owned(), source };
        private::create_dir_all(path).map_err(fail)?;
        let path = path.canonicalize().map_err(fail)?;
        private::warn_of_others(&path);
        let lock = DirectoryLock::acquire(&path).map_err(fail)?;
        let lock = lock.ok_or_else(|| DataError::Locked(path.clone()))?;
        Ok(Self { path, _lock: lock })
    }

    /// Locks that directory as [`lock`](Self::lock) does, when there is a journal in it; none is made.
    ///
    /// # Errors
    /// As with [`lock`](Self::lock); [`DataError::Io`] also when there is no journal.
    pub fn lock_existing(path: &Path) -> Result<Self, DataError> {
        let journal = path.join("journal");
        if !journal.is_dir() {
            let source = io::Error::new(io::ErrorKind::NotFound, "there is no journal");
            return Err(DataError::Io { path: journal, source });
        }
        Self::lock(path)
    }

    /// Where it is, from the root.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A number that no other data directory has: of its file `identity`, which is made with a random one when it is
    /// not there or not whole.
    ///
    /// # Errors
    /// [`DataError::Io`].
    pub fn identity(&self) -> Result<u128, DataError> {
        let path = self.path.join("identity");
        let fail = |source| DataError::Io { path: path.clone(), source };
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                if let Ok(identity) = u128::from_str_radix(text.trim(), 16) {
                    return Ok(identity);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(fail(error)),
        }
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|error| fail(io::Error::other(error)))?;
        let identity = u128::from_le_bytes(bytes);
        let mut options = private::options();
        let mut file = options.write(true).create(true).truncate(true).open(&path).map_err(fail)?;
        file.write_all(format!("{identity:032x}\n").as_bytes()).map_err(fail)?;
        file.sync_all().map_err(fail)?;
        File::open(&self.path).and_then(|directory| directory.sync_all()).map_err(fail)?;
        Ok(identity)
    }

    fn journal(&self) -> Result<OsDirectory, DataError> {
        let path = self.path.join("journal");
        OsDirectory::create(&path).map_err(|source| DataError::Io { path, source })
    }

    /// Opens the journal; see [`journal::open`].
    ///
    /// # Errors
    /// [`DataError::Journal`] when it is damaged or the file system fails.
    pub fn open(
        &self,
        segment_bytes: u64,
        config: Config,
        now: UnixTime,
    ) -> Result<Opened<OsDirectory>, DataError> {
        let keep = |name: &str, bytes: &[u8]| self.put_aside(name, bytes, now);
        journal::open(self.journal()?, &keep, segment_bytes, config, now)
            .map_err(DataError::Journal)
    }

    /// Reads and checks the whole journal, and changes nothing; see [`journal::verify`].
    ///
    /// # Errors
    /// [`DataError::Journal`] when the file system fails.
    pub fn verify(&self) -> Result<Verified, DataError> {
        journal::verify(&self.journal()?).map_err(DataError::Journal)
    }

    /// Shows what is in the journal; see [`journal::inspect`].
    ///
    /// # Errors
    /// [`InspectError`].
    pub fn inspect(&self, segment: Option<u64>, out: &mut dyn Write) -> Result<(), InspectError> {
        let path = self.path.join("journal");
        let directory = OsDirectory::create(&path)
            .map_err(|source| InspectError::Open(OpenError::Io { path, source }))?;
        journal::inspect(&directory, segment, out)
    }

    /// Mends the journal; see [`journal::repair`]. The report names the files kept as they are called
    /// in `damaged`.
    ///
    /// # Errors
    /// [`DataError::Journal`] when the file system fails.
    pub fn repair(&self, now: UnixTime) -> Result<RepairReport, DataError> {
        let keep = |name: &str, bytes: &[u8]| self.put_aside(name, bytes, now);
        let mut report =
            journal::repair(&self.journal()?, &keep, now).map_err(DataError::Journal)?;
        for name in &mut report.kept {
            *name = aside_name(name, now);
        }
        Ok(report)
    }

    /// Keeps damaged bytes.
    fn put_aside(&self, name: &str, bytes: &[u8], now: UnixTime) -> io::Result<()> {
        let directory = self.path.join("damaged");
        private::create_dir_all(&directory)?;
        let path = directory.join(aside_name(name, now));
        let mut file = private::options().write(true).create(true).truncate(true).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        File::open(directory)?.sync_all()
    }
}

/// The name under which damaged bytes are kept: it says when.
fn aside_name(name: &str, now: UnixTime) -> String {
    format!("{}-{name}", now.as_millis())
}
