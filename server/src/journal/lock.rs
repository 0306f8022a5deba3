//! One process per data directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

/// The lock on a data directory; given up when it is dropped, and by the operating system when the
/// process ends in whatever way.
#[derive(Debug)]
pub struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Locks that directory; `None` when another process holds it.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn acquire(directory: &Path) -> io::Result<Option<Self>> {
        let path = directory.join("lock");
        OpenOptions::new().write(true).create(true).truncate(false).open(&path)?;
        // Held open for reading only, so that the file system can be remounted read-only.
        let file = File::open(&path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}
