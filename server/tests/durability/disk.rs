//! A simulated disk: it forgets what was not synced, tears it, and fails, as the seed says.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::ops::Range;
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
    /// What is on the disk: a crash leaves this, but for what was written since and may be there in part.
    safe: Vec<u8>,
    /// What was written since the last sync.
    written: Vec<Range<usize>>,
    /// What was written is so short that it is on the disk as a whole or not at all.
    short: bool,
    /// Which file it is, by whatever name.
    id: u64,
    /// Whether the file's name survives a crash.
    named: bool,
    /// The name that it had, which may come back in a crash.
    renamed: Option<String>,
}

impl Content {
    fn write(&mut self, at: usize, bytes: &[u8]) {
        let end = at + bytes.len();
        self.seen.resize(self.seen.len().max(end), 0);
        self.seen[at..end].copy_from_slice(bytes);
        self.written.push(at..end);
    }

    fn truncate(&mut self, len: usize) {
        self.seen.truncate(len);
        self.safe.truncate(len);
        for range in &mut self.written {
            *range = range.start.min(len)..range.end.min(len);
        }
    }

    /// Puts a part of the file onto the disk.
    fn keep(&mut self, range: Range<usize>) {
        self.safe.resize(self.safe.len().max(range.end), 0);
        self.safe[range.clone()].copy_from_slice(&self.seen[range]);
    }

    fn sync(&mut self) {
        self.safe.truncate(self.seen.len());
        for range in std::mem::take(&mut self.written) {
            self.keep(range);
        }
    }

    /// Of what was written since the last sync, a random part is on the disk: from the start on, or from
    /// somewhere to somewhere.
    fn crash(&mut self) {
        for range in std::mem::take(&mut self.written) {
            if self.short {
                if random(2) == 0 {
                    self.keep(range);
                }
                continue;
            }
            let len = range.end - range.start;
            let start =
                if random(3) == 0 { range.start + random_index(len + 1) } else { range.start };
            let end = start + random_index(range.end - start + 1);
            self.keep(start..end);
        }
        self.seen = self.safe.clone();
        self.named = true;
    }
}

#[derive(Debug, Default)]
struct Disk {
    files: BTreeMap<String, Content>,
    next_id: u64,
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

impl Disk {
    /// The file of that name, which is made when it is not there.
    fn file(&mut self, name: &str) -> &mut Content {
        self.next_id += 1;
        let made = Content { id: self.next_id, ..Content::default() };
        self.files.entry(name.to_owned()).or_insert(made)
    }

    fn opened(&mut self, id: u64) -> io::Result<&mut Content> {
        self.files.values_mut().find(|content| content.id == id).ok_or_else(missing)
    }
}

impl SimDirectory {
    fn open(&self, name: &str) -> SimFile {
        SimFile { directory: self.clone(), id: self.lock().file(name).id, at: 0 }
    }

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
        let disk = self.lock();
        let disk = Disk { files: disk.files.clone(), next_id: disk.next_id, ..Disk::default() };
        Self { disk: Arc::new(Mutex::new(disk)) }
    }

    /// The power fails: of what was not synced, a random part stays, in a random state.
    pub(crate) fn crash(&self) {
        let mut disk = self.lock();
        disk.files.retain(|_, content| content.named || random(2) == 0);
        for (name, mut content) in std::mem::take(&mut disk.files) {
            let name = content.renamed.take().filter(|_| random(2) == 0).unwrap_or(name);
            content.crash();
            disk.files.insert(name, content);
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
        let entry = |(name, content): (&String, &Content)| Entry {
            name: name.clone(),
            is_file: true,
            len: content.seen.len() as u64,
        };
        Ok(self.lock().files.iter().map(entry).collect())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.lock().files.get(name).map(|content| content.seen.clone()).ok_or_else(missing)
    }

    fn read_start(&self, name: &str, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = self.read(name)?;
        bytes.truncate(len);
        Ok(bytes)
    }

    fn read_range(&self, name: &str, range: Range<u64>) -> io::Result<Vec<u8>> {
        let within = |at: u64| usize::try_from(at).unwrap();
        let bytes = self.read(name)?;
        let end = within(range.end).min(bytes.len());
        Ok(bytes[within(range.start).min(end)..end].to_vec())
    }

    fn rewritable(&self, name: &str) -> io::Result<SimFile> {
        Ok(self.open(name))
    }

    fn create(&self, name: &str) -> io::Result<SimFile> {
        if self.lock().files.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        Ok(self.open(name))
    }

    fn overwrite(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.lock();
        let content = disk.file(name);
        (content.seen, content.safe) = (bytes.to_vec(), bytes.to_vec());
        content.written.clear();
        Ok(())
    }

    fn truncate(&self, name: &str, len: u64) -> io::Result<()> {
        let mut disk = self.lock();
        let content = disk.files.get_mut(name).ok_or_else(missing)?;
        content.truncate(usize::try_from(len).unwrap());
        content.sync();
        Ok(())
    }

    fn write_out(&self, name: &str) -> io::Result<()> {
        let mut disk = self.lock();
        let lies = disk.faults.sync_lies;
        let content = disk.files.get_mut(name).ok_or_else(missing)?;
        if !lies {
            content.sync();
        }
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut disk = self.lock();
        let content = disk.files.remove(from).ok_or_else(missing)?;
        let is_sure = content.renamed.is_none() || disk.faults.sync_lies;
        assert!(is_sure, "renamed again before the directory was synced");
        let renamed = content.renamed.or_else(|| content.named.then(|| from.to_owned()));
        disk.files.insert(to.to_owned(), Content { renamed, ..content });
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.lock().files.remove(name).map(drop).ok_or_else(missing)
    }

    fn sync(&self) -> io::Result<()> {
        let mut disk = self.lock();
        if !disk.faults.sync_lies {
            for content in disk.files.values_mut() {
                (content.named, content.renamed) = (true, None);
            }
        }
        Ok(())
    }
}

#[derive(Debug)]
pub(crate) struct SimFile {
    directory: SimDirectory,
    id: u64,
    /// Where the next bytes are written.
    at: usize,
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
        let content = disk.opened(self.id)?;
        let whole: Vec<u8> = slices.iter().map(|slice| &slice[..]).collect::<Vec<_>>().concat();
        let n = random_index(whole.len()) + 1;
        if fails {
            content.write(self.at, &whole[..n - 1]);
            self.at += n - 1;
            return Err(io::ErrorKind::StorageFull.into());
        }
        // Short writes are legal, and must not matter.
        let n = if random(3) == 0 { n } else { whole.len() };
        content.write(self.at, &whole[..n]);
        self.at += n;
        Ok(n)
    }

    fn rewrite(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.directory.lock();
        let content = disk.opened(self.id)?;
        content.short = true;
        content.write(0, bytes);
        Ok(())
    }

    fn fill(&mut self, range: Range<u64>) -> io::Result<()> {
        let mut disk = self.directory.lock();
        let [start, end] = [range.start, range.end].map(|at| usize::try_from(at).unwrap());
        let fails =
            happens(disk.faults.full) || disk.largest_append.is_some_and(|most| end - start > most);
        let len = if fails { random_index(end - start + 1) } else { end - start };
        disk.opened(self.id)?.write(start, &vec![0; len]);
        if fails { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut disk = self.directory.lock();
        disk.syncs += 1;
        let Faults { sync, sync_lies, .. } = disk.faults;
        let content = disk.opened(self.id)?;
        if happens(sync) {
            // It is never on the disk, or is there by chance, whatever a later sync says.
            if !content.short {
                content.written.retain(|_| random(3) == 0);
            }
            return Err(io::Error::other("input/output error"));
        }
        if !sync_lies {
            content.sync();
        }
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        let mut disk = self.directory.lock();
        if happens(if disk.faults.full == 0 { 0 } else { 4 }) {
            return Err(io::Error::other("read-only file system"));
        }
        let content = disk.opened(self.id)?;
        let len = usize::try_from(len).unwrap();
        if random(2) == 0 {
            content.truncate(len);
        } else {
            // Not yet on the disk: a crash brings back what was there.
            let safe = content.safe.clone();
            content.truncate(len);
            content.safe = safe;
        }
        Ok(())
    }
}
