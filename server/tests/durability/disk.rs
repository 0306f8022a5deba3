//! A simulated disk: it forgets what was not synced, tears it, and fails, as the seed says.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use windhover_server::journal::{Directory, Entry, SegmentFile};

thread_local! {
    static SEED: RefCell<u64> = const { RefCell::new(1) };
}

/// Begins the thread's sequence of random numbers.
pub(crate) fn seed(seed: u64) {
    SEED.with_borrow_mut(|state| *state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
}

/// A random number below `bound`.
pub(crate) fn random(bound: u64) -> u64 {
    SEED.with_borrow_mut(|state| {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        (*state >> 11) % bound.max(1)
    })
}

pub(crate) fn random_index(bound: usize) -> usize {
    usize::try_from(random(bound as u64)).unwrap()
}

/// What the disk does wrong, each as "once in so many calls"; 0 is never.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// An append takes some of the bytes and then fails: the disk is full.
    pub(crate) full: u64,
    /// A sync fails; what it should have made safe never gets safe.
    pub(crate) sync: u64,
    /// No sync does anything, though it says so.
    pub(crate) sync_lies: bool,
}

#[derive(Clone, Debug, Default)]
struct Content {
    /// What the process sees.
    seen: Vec<u8>,
    /// How much of it a crash cannot take away.
    safe: usize,
    /// What a failed sync left behind is gone after a crash.
    lost_from: Option<usize>,
    /// Whether the file's name survives a crash.
    named: bool,
    /// What was there before it was rewritten, which may come back in a crash.
    rewritten: Option<Vec<u8>>,
}

#[derive(Debug, Default)]
struct Disk {
    files: BTreeMap<String, Content>,
    faults: Faults,
    /// An append of more bytes fails: the disk is nearly full.
    largest_append: Option<usize>,
    /// How long an append takes.
    hang: Duration,
    syncs: u64,
}

/// A directory on the simulated disk; clones are the same directory.
#[derive(Clone, Debug, Default)]
pub(crate) struct SimDirectory {
    disk: Arc<Mutex<Disk>>,
}

impl SimDirectory {
    pub(crate) fn set_faults(&self, faults: Faults) {
        self.lock().faults = faults;
    }

    pub(crate) fn set_largest_append(&self, bytes: usize) {
        self.lock().largest_append = Some(bytes);
    }

    pub(crate) fn set_hang(&self, hang: Duration) {
        self.lock().hang = hang;
    }

    /// How many files were synced so far.
    pub(crate) fn syncs(&self) -> u64 {
        self.lock().syncs
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap()
    }

    /// Another directory with the same files.
    pub(crate) fn copy(&self) -> Self {
        let disk = Disk { files: self.lock().files.clone(), ..Disk::default() };
        Self { disk: Arc::new(Mutex::new(disk)) }
    }

    /// The power fails: of what was not synced, a random part stays, in a random state.
    pub(crate) fn crash(&self) {
        let mut disk = self.lock();
        disk.files.retain(|_, content| content.named || random(2) == 0);
        for content in disk.files.values_mut() {
            if let Some(before) = content.rewritten.take().filter(|_| random(2) == 0) {
                content.seen = before;
                content.safe = content.seen.len();
            }
            let unsafe_len = content.seen.len() - content.safe;
            let kept = content.safe + random_index(unsafe_len + 1);
            content.seen.truncate(kept.min(content.lost_from.unwrap_or(usize::MAX)));
            if content.seen.len() > content.safe && random(3) == 0 {
                let from = content.safe + random_index(content.seen.len() - content.safe);
                let to = from + random_index(content.seen.len() - from + 1);
                content.seen[from..to].fill(0);
            }
            content.safe = content.seen.len();
            content.lost_from = None;
            content.named = true;
        }
    }
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

fn happens(once_in: u64) -> bool {
    once_in != 0 && random(once_in) == 0
}

impl Directory for SimDirectory {
    type File = SimFile;

    fn path(&self) -> &Path {
        Path::new("simulated")
    }

    fn list(&self) -> io::Result<Vec<Entry>> {
        let entry = |name: &String| Entry { name: name.clone(), is_file: true };
        Ok(self.lock().files.keys().map(entry).collect())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.lock().files.get(name).map(|content| content.seen.clone()).ok_or_else(missing)
    }

    fn read_start(&self, name: &str, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = self.read(name)?;
        bytes.truncate(len);
        Ok(bytes)
    }

    fn rewritable(&self, name: &str) -> io::Result<SimFile> {
        self.lock().files.entry(name.to_owned()).or_default();
        Ok(SimFile { directory: self.clone(), name: name.to_owned() })
    }

    fn create(&self, name: &str) -> io::Result<SimFile> {
        let mut disk = self.lock();
        if disk.files.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        disk.files.insert(name.to_owned(), Content::default());
        Ok(SimFile { directory: self.clone(), name: name.to_owned() })
    }

    fn overwrite(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let content = self.lock().files.remove(name).unwrap_or_default();
        let content = Content { seen: bytes.to_vec(), safe: bytes.len(), ..content };
        self.lock().files.insert(name.to_owned(), content);
        Ok(())
    }

    fn truncate(&self, name: &str, len: u64) -> io::Result<()> {
        let mut disk = self.lock();
        let content = disk.files.get_mut(name).ok_or_else(missing)?;
        content.seen.truncate(usize::try_from(len).unwrap());
        content.safe = content.seen.len();
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.lock().files.remove(name).map(drop).ok_or_else(missing)
    }

    fn sync(&self) -> io::Result<()> {
        let mut disk = self.lock();
        if !disk.faults.sync_lies {
            disk.files.values_mut().for_each(|content| content.named = true);
        }
        Ok(())
    }
}

#[derive(Debug)]
pub(crate) struct SimFile {
    directory: SimDirectory,
    name: String,
}

impl SegmentFile for SimFile {
    fn append(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let hang = self.directory.lock().hang;
        std::thread::sleep(hang);
        let mut disk = self.directory.lock();
        let len: usize = slices.iter().map(|slice| slice.len()).sum();
        if disk.largest_append.is_some_and(|most| len > most) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let fails = happens(disk.faults.full);
        let content = disk.files.get_mut(&self.name).ok_or_else(missing)?;
        let whole: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
        let n = random_index(whole.len()) + 1;
        if fails {
            content.seen.extend_from_slice(&whole[..n - 1]);
            return Err(io::ErrorKind::StorageFull.into());
        }
        // Short writes are legal, and must not matter.
        let n = if random(3) == 0 { n } else { whole.len() };
        content.seen.extend_from_slice(&whole[..n]);
        Ok(n)
    }

    fn rewrite(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.directory.lock();
        let content = disk.files.get_mut(&self.name).ok_or_else(missing)?;
        content.rewritten.get_or_insert(content.seen.clone());
        content.seen.resize(content.seen.len().max(bytes.len()), 0);
        content.seen[..bytes.len()].copy_from_slice(bytes);
        content.safe = content.seen.len();
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut disk = self.directory.lock();
        disk.syncs += 1;
        let Faults { sync, sync_lies, .. } = disk.faults;
        let content = disk.files.get_mut(&self.name).ok_or_else(missing)?;
        if content.rewritten.is_some() {
            if happens(sync) {
                return Err(io::Error::other("input/output error"));
            }
            if !sync_lies {
                content.rewritten = None;
            }
            return Ok(());
        }
        if happens(sync) {
            content.lost_from.get_or_insert(content.safe);
            return Err(io::Error::other("input/output error"));
        }
        if !sync_lies {
            content.safe = content.seen.len();
        }
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        let mut disk = self.directory.lock();
        if happens(if disk.faults.full == 0 { 0 } else { 4 }) {
            return Err(io::Error::other("read-only file system"));
        }
        let content = disk.files.get_mut(&self.name).ok_or_else(missing)?;
        content.seen.truncate(usize::try_from(len).unwrap());
        content.safe = content.safe.min(content.seen.len());
        Ok(())
    }
}
