//! A destination that is a directory: on another disk, or of a file system that is another machine's.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::destination::{Destination, DestinationError, Listed, PutResult};
use super::throttle::Throttle;
use crate::private;

/// Where bytes are until all of them are there.
const UNFINISHED: &str = "unfinished";
/// What was not finished for so long never will be.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);
/// Bytes written at a time.
const PIECE: usize = 256 * 1024;
/// After so many pieces they are synced. A server whose journal is on the same file system waits with its own sync
/// for what the file system commits together with it: that is to be little.
const SYNC: usize = 4;

/// A directory that holds backups.
#[derive(Clone, Debug)]
pub struct DirectoryDestination {
    root: PathBuf,
    throttle: Arc<Throttle>,
}

impl DirectoryDestination {
    /// That directory; it is made with the first put.
    pub fn new(root: impl Into<PathBuf>, throttle: Arc<Throttle>) -> Self {
        Self { root: root.into(), throttle }
    }

    fn walk(&self, folder: &str, prefix: &str, found: &mut Vec<Listed>) -> io::Result<()> {
        let entries = match fs::read_dir(self.root.join(folder)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let name = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            // Not followed: a link leads to nothing that was stored here.
            let kind = entry.file_type()?;
            if kind.is_dir() {
                let folder = format!("{name}/");
                if name != UNFINISHED && (folder.starts_with(prefix) || prefix.starts_with(&folder))
                {
                    self.walk(&name, prefix, found)?;
                }
            } else if kind.is_file() && name.starts_with(prefix) {
                match entry.metadata() {
                    Ok(metadata) => found.push(Listed { name, len: metadata.len() }),
                    // Deleted meanwhile.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    fn put(&self, path: &Path, bytes: &[u8]) -> io::Result<PutResult> {
        if fs::exists(path)? {
            return Ok(PutResult::Exists);
        }
        let folder = path.parent().unwrap_or(&self.root);
        let unfinished = self.root.join(UNFINISHED);
        for folder in [folder, &unfinished] {
            if !folder.is_dir() {
                private::create_dir_all(folder)?;
            }
        }
        let number = getrandom::u64().map_err(io::Error::other)?;
        let unfinished = unfinished.join(format!("{}-{number:016x}", std::process::id()));
        let linked = self.write(&unfinished, bytes).and_then(|()| {
            // A link, since it fails where something is already; a rename would take its place.
            fs::hard_link(&unfinished, path)
        });
        let removed = fs::remove_file(&unfinished);
        match linked {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(PutResult::Exists),
            Err(error) => Err(error),
            Ok(()) => {
                removed?;
                File::open(folder)?.sync_all()?;
                Ok(PutResult::Stored)
            }
        }
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = private::options().write(true).create_new(true).open(path)?;
        for (at, piece) in bytes.chunks(PIECE).enumerate() {
            if at > 0 && at % SYNC == 0 {
                file.sync_data()?;
            }
            self.throttle.pass(piece.len());
            file.write_all(piece)?;
        }
        file.sync_all()
    }
}

/// Removes a file, unless somebody has.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

impl Destination for DirectoryDestination {
    fn list(&self, prefix: &str) -> Result<Vec<Listed>, DestinationError> {
        let mut found = Vec::new();
        let walked = self.walk("", prefix, &mut found);
        walked.map_err(|error| DestinationError::failed(format!("list {prefix}"), error))?;
        found.sort_unstable();
        Ok(found)
    }

    fn get(&self, name: &str) -> Result<Vec<u8>, DestinationError> {
        fs::read(self.root.join(name)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => DestinationError::NotFound { name: name.to_owned() },
            _ => DestinationError::failed(format!("get {name}"), error),
        })
    }

    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> Result<PutResult, DestinationError> {
        let put = self.put(&self.root.join(name), bytes);
        put.map_err(|error| DestinationError::failed(format!("put {name}"), error))
    }

    fn delete(&self, name: &str) -> Result<(), DestinationError> {
        let removed = remove(&self.root.join(name));
        removed.map_err(|error| DestinationError::failed(format!("delete {name}"), error))
    }

    fn tidy(&self) -> Result<(), DestinationError> {
        let failed = |error| DestinationError::failed("remove what was left unfinished", error);
        let Ok(entries) = fs::read_dir(self.root.join(UNFINISHED)) else {
            return Ok(());
        };
        for entry in entries {
            let entry = entry.map_err(failed)?;
            // Unknown of what is gone already.
            let modified = entry.metadata().and_then(|metadata| metadata.modified());
            let age = modified.ok().and_then(|at| SystemTime::now().duration_since(at).ok());
            if age.is_some_and(|age| age > ABANDONED) {
                remove(&entry.path()).map_err(failed)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destination(purpose: &str) -> DirectoryDestination {
        let name = format!("windhover-destination-{purpose}-{}", std::process::id());
        let root = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&root);
        DirectoryDestination::new(root, Arc::default())
    }

    #[test]
    fn what_is_put_stays_as_it_is() {
        let destination = destination("put");
        assert_eq!(destination.list("").unwrap(), []);
        assert_eq!(destination.put_if_absent("a/b/c", b"one").unwrap(), PutResult::Stored);
        assert_eq!(destination.put_if_absent("a/b/c", b"two").unwrap(), PutResult::Exists);
        assert_eq!(destination.get("a/b/c").unwrap(), b"one");
        assert!(matches!(destination.get("a/b"), Err(DestinationError::Failed { .. })));
        assert!(matches!(destination.get("a/d"), Err(DestinationError::NotFound { .. })));
        destination.delete("a/b/c").unwrap();
        destination.delete("a/b/c").unwrap();
        assert_eq!(destination.list("").unwrap(), []);
        fs::remove_dir_all(&destination.root).unwrap();
    }

    #[test]
    fn of_many_at_once_one_is_stored() {
        let destination = destination("race");
        let stored = std::thread::scope(|scope| {
            let put = |n: u8| {
                let destination = &destination;
                scope.spawn(move || destination.put_if_absent("log/1", &vec![n; 100_000]).unwrap())
            };
            let threads: Vec<_> = (0..8).map(put).collect();
            let results = threads.into_iter().map(|thread| thread.join().unwrap());
            results.filter(|result| *result == PutResult::Stored).count()
        });
        assert_eq!(stored, 1);
        let bytes = destination.get("log/1").unwrap();
        assert!(bytes.len() == 100_000 && bytes.iter().all(|byte| *byte == bytes[0]));
        assert_eq!(destination.list("lo").unwrap().len(), 1);
        assert_eq!(fs::read_dir(destination.root.join(UNFINISHED)).unwrap().count(), 0);
        fs::remove_dir_all(&destination.root).unwrap();
    }
}
