//! One process per data directory.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

use crate::private;

/// The lock on a data directory; given up when it is dropped, and by the operating system when the
/// process ends in whatever way.
///
/// It is two: on the file `lock`, by which an operator finds the process, and on the directory itself,
/// since the file may be deleted, and another process would make and lock another one.
#[derive(Debug)]
pub struct DirectoryLock {
    _file: File,
    _directory: Option<File>,
}

impl DirectoryLock {
    /// Locks that directory; `None` when another process holds it.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn acquire(directory: &Path) -> io::Result<Option<Self>> {
        let path = directory.join("lock");
        private::options().write(true).create(true).truncate(false).open(&path)?;
        // Held open for reading only, so that the file system can be remounted read-only.
        let file = File::open(&path)?;
        if !try_lock(&file)? {
            return Ok(None);
        }
        let directory = match File::open(directory).and_then(|file| Ok((try_lock(&file)?, file))) {
            Ok((true, directory)) => Some(directory),
            Ok((false, _)) => return Ok(None),
            // Not every system locks directories (NFS does not): the file has to do there.
            Err(_) => None,
        };
        Ok(Some(Self { _file: file, _directory: directory }))
    }
}

fn try_lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_held_once_also_when_its_file_is_deleted() {
        let directory = std::env::temp_dir().join(format!("windhover-lock-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let held = DirectoryLock::acquire(&directory).unwrap();
        assert!(held.is_some());
        assert!(DirectoryLock::acquire(&directory).unwrap().is_none());
        std::fs::remove_file(directory.join("lock")).unwrap();
        assert!(DirectoryLock::acquire(&directory).unwrap().is_none());
        drop(held);
        assert!(DirectoryLock::acquire(&directory).unwrap().is_some());
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
