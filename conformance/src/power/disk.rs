//! A disk of which is known what must be there when the power fails, and what may be.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::notes::{Inode, Note};
use crate::random::Random;

/// Which file or directory it is, by whatever name.
type Id = usize;

/// What has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    File(Id),
    Directory(Id),
}

impl Entry {
    fn id(self) -> Id {
        match self {
            Self::File(id) | Self::Directory(id) => id,
        }
    }
}

type Names = BTreeMap<PathBuf, Entry>;

#[derive(Debug)]
enum Change {
    Written { at: usize, bytes: Vec<u8> },
    Cut { len: usize },
}

impl Change {
    /// How long a file is behind it that was that long before.
    fn len(&self, before: usize) -> usize {
        match self {
            Self::Written { at, bytes } => before.max(at + bytes.len()),
            Self::Cut { len } => *len,
        }
    }
}

#[derive(Debug, Default)]
struct File {
    /// What must be there.
    safe: Vec<u8>,
    /// What was done since, each with the time of it.
    changes: Vec<(u64, Change)>,
}

#[derive(Debug)]
enum NameChange {
    Added { path: PathBuf, entry: Entry },
    Removed { path: PathBuf },
    Renamed { from: PathBuf, to: PathBuf, entry: Entry },
}

impl NameChange {
    fn apply(&self, names: &mut Names) {
        match self {
            Self::Added { path, entry } => {
                names.insert(path.clone(), *entry);
            }
            Self::Removed { path } => {
                names.remove(path);
            }
            Self::Renamed { from, to, entry } => {
                if names.get(from) == Some(entry) {
                    names.remove(from);
                }
                names.insert(to.clone(), *entry);
            }
        }
    }

    /// Whether it changes what is in that directory.
    fn is_in(&self, directory: &Path) -> bool {
        match self {
            Self::Added { path, .. } | Self::Removed { path } => path.parent() == Some(directory),
            Self::Renamed { from, to, .. } => {
                [from, to].iter().any(|path| path.parent() == Some(directory))
            }
        }
    }
}

/// What is below one directory.
#[derive(Debug)]
pub(super) struct Disk {
    root: PathBuf,
    /// Counts what is done.
    time: u64,
    files: Vec<File>,
    ids: HashMap<Inode, Id>,
    /// The names that a process sees, and those that must be there.
    seen: Names,
    safe: Names,
    changes: Vec<(u64, NameChange)>,
    /// What is being synced, and since when.
    syncs: HashMap<u64, (Id, u64)>,
}

/// How much of what need not be there is there all the same.
struct Luck {
    random: Random,
    /// So many of a hundred changes reach the disk.
    percent: u64,
    /// The disk writes so many bytes as a whole.
    sector: usize,
}

impl Luck {
    fn has(&mut self) -> bool {
        self.random.number() % 100 < self.percent
    }

    /// How many of `count` changes, one behind the other, are there.
    fn of(&mut self, count: usize) -> usize {
        match self.percent {
            0 => 0,
            100 => count,
            _ => self.random.below(count + 1),
        }
    }
}

impl Disk {
    /// What is there now, all of it on the disk.
    pub(super) fn read(root: &Path) -> Self {
        let mut disk = Self {
            root: root.to_owned(),
            time: 0,
            files: Vec::new(),
            ids: HashMap::new(),
            seen: Names::new(),
            safe: Names::new(),
            changes: Vec::new(),
            syncs: HashMap::new(),
        };
        for (path, content) in walk(root) {
            let inode = fs::symlink_metadata(&path).expect("it is there").ino();
            let id = disk.add(inode);
            let entry = if content.is_some() { Entry::File(id) } else { Entry::Directory(id) };
            disk.files[id].safe = content.unwrap_or_default();
            disk.seen.insert(path, entry);
        }
        disk.safe = disk.seen.clone();
        disk
    }

    fn add(&mut self, inode: Inode) -> Id {
        self.files.push(File::default());
        self.ids.insert(inode, self.files.len() - 1);
        self.files.len() - 1
    }

    /// Does what was done.
    pub(super) fn play(&mut self, note: Note) {
        self.time += 1;
        match note {
            Note::FileMade { path, inode } => {
                let entry = Entry::File(self.add(inode));
                self.rename(NameChange::Added { path, entry });
            }
            Note::DirectoryMade { path, inode } => {
                let entry = Entry::Directory(self.add(inode));
                self.rename(NameChange::Added { path, entry });
            }
            Note::Written { inode, at, bytes } => {
                self.change(inode, Change::Written { at, bytes });
            }
            Note::Cut { inode, len } => self.change(inode, Change::Cut { len }),
            Note::Renamed { from, to } => {
                let entry = self.seen[&from];
                assert!(matches!(entry, Entry::File(_)), "{}: a directory", from.display());
                self.rename(NameChange::Renamed { from, to, entry });
            }
            Note::Linked { from, to } => {
                let entry = self.seen[&from];
                self.rename(NameChange::Added { path: to, entry });
            }
            Note::Removed { path } => self.rename(NameChange::Removed { path }),
            Note::SyncBegun { inode, number } => {
                self.syncs.insert(number, (self.ids[&inode], self.time));
            }
            Note::SyncEnded { number } => {
                let (id, begun) = self.syncs.remove(&number).expect("what ends has begun");
                self.sync(id, begun);
            }
        }
    }

    fn rename(&mut self, change: NameChange) {
        change.apply(&mut self.seen);
        self.changes.push((self.time, change));
    }

    fn change(&mut self, inode: Inode, change: Change) {
        let id = *self.ids.get(&inode).expect("a file that was not made here is written to");
        self.files[id].changes.push((self.time, change));
    }

    /// What was done to it before that time must be there from now on.
    fn sync(&mut self, id: Id, before: u64) {
        let file = &mut self.files[id];
        let count = file.changes.partition_point(|(time, _)| *time < before);
        for (_, change) in file.changes.drain(..count) {
            apply(&change, &mut file.safe, 0..usize::MAX);
        }
        let directory = self.seen.iter().find(|(_, entry)| **entry == Entry::Directory(id));
        if let Some((directory, _)) = directory {
            let mut left = Vec::new();
            for (time, change) in self.changes.drain(..) {
                if time < before && change.is_in(directory) {
                    change.apply(&mut self.safe);
                } else {
                    left.push((time, change));
                }
            }
            self.changes = left;
        }
    }

    /// What was noted is all that was done: what is there is what it comes to.
    #[track_caller]
    pub(super) fn assert_knows_all(&self) {
        let whole = |entry: &Entry| {
            let file = &self.files[entry.id()];
            let mut content = file.safe.clone();
            for (_, change) in &file.changes {
                apply(change, &mut content, 0..usize::MAX);
            }
            matches!(entry, Entry::File(_)).then_some(content)
        };
        let noted: BTreeMap<_, _> =
            self.seen.iter().map(|(path, entry)| (path.clone(), whole(entry))).collect();
        let there = walk(&self.root);
        let names = |files: &BTreeMap<PathBuf, Option<Vec<u8>>>| -> Vec<PathBuf> {
            files.keys().cloned().collect()
        };
        assert_eq!(names(&noted), names(&there), "the names that were noted, and those there are");
        for (path, content) in noted {
            assert!(content == there[&path], "{}: something was written unnoticed", path.display());
        }
    }

    /// Leaves below the directory what a disk may hold whose power failed. Returns how many changes need not be
    /// there.
    pub(super) fn fail(&self, random: Random) -> usize {
        let mut luck = Luck { random, percent: 0, sector: 512 };
        luck.percent = [0, 10, 50, 90, 100][luck.random.below(5)];
        luck.sector = [512, 4096][luck.random.below(2)];
        let mut names = self.safe.clone();
        // In their order, as with a journal of names, or any of them.
        let is_in_order = luck.random.below(2) == 0;
        let first = luck.of(self.changes.len());
        for (number, (_, change)) in self.changes.iter().enumerate() {
            if if is_in_order { number < first } else { luck.has() } {
                change.apply(&mut names);
            }
        }
        for entry in fs::read_dir(&self.root).expect("it is there").flatten() {
            let is_directory = entry.file_type().expect("it is there").is_dir();
            let removed = if is_directory {
                fs::remove_dir_all(entry.path())
            } else {
                fs::remove_file(entry.path())
            };
            removed.expect("it can be removed");
        }
        // What is below comes behind its directory, and is not there without it.
        let mut contents = HashMap::new();
        for (path, entry) in names {
            if path == self.root || !path.parent().is_some_and(Path::is_dir) {
                continue;
            }
            match entry {
                Entry::Directory(_) => {
                    fs::DirBuilder::new().mode(0o700).create(&path).expect("it can be made");
                }
                Entry::File(id) => {
                    let content =
                        contents.entry(id).or_insert_with(|| self.files[id].torn(&mut luck));
                    fs::write(&path, content).expect("it can be written");
                }
            }
        }
        let written = self.files.iter().map(|file| file.changes.len()).sum::<usize>();
        written + self.changes.len()
    }
}

impl File {
    /// What a disk may hold of it: each sector as it was at some time since the last sync.
    fn torn(&self, luck: &mut Luck) -> Vec<u8> {
        let mut content = self.safe.clone();
        let mut len = content.len();
        for (_, change) in &self.changes[..luck.of(self.changes.len())] {
            len = change.len(len);
        }
        let longest = self.changes.iter().map(|(_, change)| change.len(0)).max().unwrap_or(0);
        for start in (0..longest).step_by(luck.sector) {
            let sector = start..start + luck.sector;
            let count = luck.of(self.changes.len());
            for (_, change) in &self.changes[..count] {
                apply(change, &mut content, sector.clone());
            }
        }
        content.resize(len, 0);
        content
    }
}

/// Does to one sector of a file what was done to the file.
fn apply(change: &Change, content: &mut Vec<u8>, sector: std::ops::Range<usize>) {
    match change {
        Change::Written { at, bytes } => {
            let (start, end) = (sector.start.max(*at), sector.end.min(at + bytes.len()));
            if start < end {
                content.resize(content.len().max(end), 0);
                content[start..end].copy_from_slice(&bytes[start - at..end - at]);
            }
        }
        Change::Cut { len } if sector == (0..usize::MAX) => content.resize(*len, 0),
        Change::Cut { len } => {
            let (start, end) = (sector.start.max(*len), sector.end.min(content.len()));
            if start < end {
                content[start..end].fill(0);
            }
        }
    }
}

/// What is below a directory: the content of each file, and nothing for a directory. The directory itself too.
fn walk(root: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::from([(root.to_owned(), None)]);
    let mut left = vec![root.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).expect("it can be read").flatten() {
            let path = entry.path();
            if entry.file_type().expect("it is there").is_dir() {
                left.push(path.clone());
                found.insert(path, None);
            } else {
                let content = fs::read(&path).expect("it can be read");
                found.insert(path, Some(content));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::TempDir;

    /// Everything that a disk of 200 seeds may hold in that file, after those notes.
    fn outcomes(notes: impl Fn(&Path) -> Vec<Note>) -> Vec<Option<Vec<u8>>> {
        let outcome = |seed| {
            let directory = TempDir::new("power-disk");
            let file = directory.path().join("file");
            let mut disk = Disk::read(directory.path());
            for note in notes(directory.path()) {
                disk.play(note);
            }
            disk.fail(Random::new(seed));
            fs::read(file).ok()
        };
        let mut outcomes: Vec<_> = (0..200).map(outcome).collect();
        outcomes.sort();
        outcomes.dedup();
        outcomes
    }

    fn inode(path: &Path) -> Inode {
        fs::metadata(path).expect("it is there").ino()
    }

    fn made(root: &Path) -> Vec<Note> {
        let written = Note::Written { inode: 1, at: 0, bytes: vec![b'x'; 1000] };
        vec![Note::FileMade { path: root.join("file"), inode: 1 }, written]
    }

    #[test]
    fn what_is_not_synced_may_be_gone_there_or_torn() {
        let outcomes = outcomes(made);
        assert!(outcomes.contains(&None));
        assert!(outcomes.contains(&Some(vec![])));
        assert!(outcomes.contains(&Some(vec![b'x'; 1000])));
        let torn = [vec![0; 512], vec![b'x'; 488]].concat();
        assert!(outcomes.contains(&Some(torn)), "{}", outcomes.len());
    }

    #[test]
    fn what_is_synced_is_there_when_its_name_is_synced_too() {
        let synced =
            |inode, number| [Note::SyncBegun { inode, number }, Note::SyncEnded { number }];
        let file_alone = outcomes(|root| made(root).into_iter().chain(synced(1, 7)).collect());
        assert_eq!(file_alone, [None, Some(vec![b'x'; 1000])]);
        let both = outcomes(|root| {
            let notes = made(root).into_iter().chain(synced(1, 7));
            notes.chain(synced(inode(root), 8)).collect()
        });
        assert_eq!(both, [Some(vec![b'x'; 1000])]);
    }

    #[test]
    fn what_comes_while_a_sync_runs_is_not_of_it() {
        let outcomes = outcomes(|root| {
            let mut notes = made(root);
            notes.push(Note::SyncBegun { inode: 1, number: 7 });
            notes.push(Note::Written { inode: 1, at: 0, bytes: vec![b'y'; 10] });
            notes.push(Note::SyncEnded { number: 7 });
            notes.extend([
                Note::SyncBegun { inode: inode(root), number: 8 },
                Note::SyncEnded { number: 8 },
            ]);
            notes
        });
        let later = [vec![b'y'; 10], vec![b'x'; 990]].concat();
        assert_eq!(outcomes, [Some(vec![b'x'; 1000]), Some(later)]);
    }
}
