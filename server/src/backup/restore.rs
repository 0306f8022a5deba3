//! From a backup back to a data directory.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;
use windhover_core::queue::Config;
use windhover_core::queue::state::{Position, State};
use windhover_runtime::Clock;

use super::create::escaped;
use super::error::BackupError;
use super::manifest::{Cut, Manifest, ManifestSegment, Part};
use super::progress::Progress;
use super::repository::Repository;
use crate::data::{DataDirectory, DataError, RESTORING};
use crate::journal::{
    self, Directory, DirectoryLock, OsDirectory, STATE_FILE, SYNCED_FILE, count_records, file_name,
};
use crate::private;
use crate::store::Store;

/// How long the queues that are not wanted may take to go.
const CLOSE: Duration = Duration::from_secs(600);

/// Which backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The last one.
    Newest,
    /// The one of that number.
    Number(u64),
    /// The last one whose cut was made at that time or before, in milliseconds since 1970.
    At(u64),
}

/// What to restore.
#[derive(Clone, Debug)]
pub struct RestoreOptions {
    /// Which backup.
    pub which: Which,
    /// This queue alone.
    pub queue: Option<String>,
}

/// What was restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// The backup.
    pub sequence: u64,
    /// Up to where it goes.
    pub cut: Cut,
    /// When the cut was made, in milliseconds since 1970.
    pub taken: u64,
    /// Segments.
    pub segments: u64,
    /// Bytes of the journal.
    pub bytes: u64,
    /// Bytes of segments that were there from an earlier attempt.
    pub found: u64,
    /// Items in the queues.
    pub items: u64,
}

impl Which {
    /// The backup.
    ///
    /// # Errors
    /// [`BackupError::NoBackup`] when there is none, and as [`Repository::manifest`].
    pub fn find(self, repository: &Repository) -> Result<Manifest, BackupError> {
        let log = repository.log()?;
        let missing = |wanted: String| BackupError::NoBackup { wanted };
        match self {
            Self::Newest => {
                let found = repository.newest(&log)?;
                let found = found.ok_or_else(|| missing("backup".to_owned()))?.entry;
                if log.sums.last() > log.entries.last() {
                    tracing::warn!(
                        "a later backup is lost: taking {}; `windhover backup verify` says more",
                        found.sequence
                    );
                }
                Ok(found)
            }
            Self::Number(sequence) => {
                let there = log.entries.contains(&sequence).then_some(sequence);
                let found = there.map(|sequence| repository.manifest(sequence)).transpose();
                let found = found.map_err(|error| repository.lacking(sequence, error))?;
                let found = found.flatten().ok_or_else(|| missing(format!("backup {sequence}")))?;
                Ok(found.entry)
            }
            Self::At(at) => {
                for found in repository.backups(&log) {
                    let found = found?.entry;
                    if found.taken <= at {
                        return Ok(found);
                    }
                }
                let time = UNIX_EPOCH + Duration::from_millis(at);
                Err(missing(format!(
                    "backup of {} or before",
                    humantime::format_rfc3339_seconds(time)
                )))
            }
        }
    }
}

/// Restores a backup into a directory that is new, or empty, or has the beginnings of the same restore.
///
/// # Errors
/// [`BackupError`]. What was restored until then stays, and is not restored again by the next attempt; no server
/// starts on it meanwhile.
pub fn restore(
    repository: &Repository,
    data: &Path,
    options: &RestoreOptions,
    progress: &mut Progress,
) -> Result<Restored, BackupError> {
    let manifest = options.which.find(repository)?;
    if let Some(queue) = &options.queue {
        let name = escaped(queue.as_bytes());
        let mut counted = manifest.queues.iter().flatten();
        if manifest.queues.is_some() && !counted.any(|counted| counted.name == name) {
            return Err(BackupError::NoQueue(queue.clone()));
        }
    }
    let io = |path: &Path| BackupError::io(path.to_owned());
    private::create_dir_all(data).map_err(io(data))?;
    let marker = data.join(RESTORING);
    check_empty(data, &marker, &manifest)?;
    let lock = DirectoryLock::acquire(data).map_err(io(data))?;
    let lock = lock.ok_or_else(|| DataError::Locked(data.to_owned()))?;
    write_synced(&marker, mark(&manifest).as_bytes()).map_err(io(&marker))?;
    let folder = data.join("journal");
    let directory = OsDirectory::create(&folder).map_err(io(&folder))?;
    progress.expect(manifest.bytes());
    let mut found = 0;
    for segment in &manifest.segments {
        let restored = restore_segment(repository, segment, &folder);
        found += restored.map_err(|error| repository.lacking(manifest.sequence, error))?;
        progress.did(segment.end());
    }
    remove_others(&folder, &manifest).map_err(io(&folder))?;
    finish_journal(&directory, &manifest).map_err(io(&folder))?;
    let items = check(&directory, &manifest)?;
    drop(lock);
    let items = match &options.queue {
        None => items,
        Some(queue) => keep_only(data, queue)?,
    };
    fs::remove_file(&marker).map_err(io(&marker))?;
    sync_folder(data).map_err(io(data))?;
    Ok(Restored {
        sequence: manifest.sequence,
        cut: manifest.cut,
        taken: manifest.taken,
        segments: manifest.segments.len() as u64,
        bytes: manifest.bytes(),
        found,
        items,
    })
}

/// What the file says that is there until a restore has ended.
fn mark(manifest: &Manifest) -> String {
    format!("windhover restore 1 backup={} id={}\n", manifest.sequence, manifest.id)
}

fn check_empty(data: &Path, marker: &Path, manifest: &Manifest) -> Result<(), BackupError> {
    match fs::read_to_string(marker) {
        Ok(text) if text == mark(manifest) => Ok(()),
        Ok(text) => {
            let digits = text.split(['=', ' ']).skip_while(|word| *word != "backup").nth(1);
            let sequence = digits.and_then(|digits| digits.parse().ok()).unwrap_or(0);
            Err(BackupError::OtherRestore { path: data.to_owned(), sequence })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut entries = fs::read_dir(data).map_err(BackupError::io(data))?;
            // What a restore leaves that was refused before it began.
            let is_other = |entry: &io::Result<fs::DirEntry>| {
                entry.as_ref().map_or(true, |entry| entry.file_name() != "lock")
            };
            match entries.find(is_other) {
                Some(_) => Err(BackupError::NotEmpty(data.to_owned())),
                None => Ok(()),
            }
        }
        Err(error) => Err(BackupError::io(marker)(error)),
    }
}

/// Restores a segment; how many bytes of it were there already.
fn restore_segment(
    repository: &Repository,
    segment: &ManifestSegment,
    folder: &Path,
) -> Result<u64, BackupError> {
    let path = folder.join(file_name(segment.number));
    if is_there(repository, segment, &path) {
        return Ok(segment.end());
    }
    let unfinished = path.with_extension("unfinished");
    let written = || -> Result<(), BackupError> {
        let io = || BackupError::io(&unfinished);
        let mut options = private::options();
        let mut file =
            options.write(true).create(true).truncate(true).open(&unfinished).map_err(io())?;
        for (start, part) in segment.stretches() {
            let content = repository.content(part, part.end - start)?;
            if count_records(&content, segment.salt, start) != Ok(part.records) {
                return Err(BackupError::Content { name: part.object.clone() });
            }
            file.write_all(&content).map_err(io())?;
        }
        file.sync_all().map_err(io())
    };
    written()?;
    fs::rename(&unfinished, &path).map_err(BackupError::io(&path))?;
    Ok(0)
}

/// Whether the segment was restored before: read, since nothing else is sure.
fn is_there(repository: &Repository, segment: &ManifestSegment, path: &Path) -> bool {
    let Ok(bytes) = fs::read(path) else { return false };
    let is_part = |(start, part): (u64, &Part)| {
        let range = usize::try_from(start).ok().zip(usize::try_from(part.end).ok());
        let content = range.and_then(|(start, end)| bytes.get(start..end));
        content
            .zip(part.id())
            .is_some_and(|(content, id)| repository.codec().hash(content) == id.hash)
    };
    bytes.len() as u64 == segment.end() && segment.stretches().all(is_part)
}

/// Removes what an earlier attempt left beside the segments.
fn remove_others(folder: &Path, manifest: &Manifest) -> io::Result<()> {
    let names: BTreeSet<String> =
        manifest.segments.iter().map(|segment| file_name(segment.number)).collect();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_name().to_str().is_some_and(|name| names.contains(name)) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Writes the small files, as after a clean stop at the cut.
fn finish_journal(directory: &OsDirectory, manifest: &Manifest) -> io::Result<()> {
    let cut = Position { segment: manifest.cut.segment, end: manifest.cut.offset };
    let clean = (!manifest.segments.is_empty()).then_some(cut);
    let state = State { oldest: manifest.oldest, clean };
    directory.overwrite(SYNCED_FILE, cut.encode().as_bytes())?;
    directory.overwrite(STATE_FILE, state.encode().as_bytes())?;
    directory.sync()
}

/// Reads all that was restored as a start does; how many items there are.
fn check(directory: &OsDirectory, manifest: &Manifest) -> Result<u64, BackupError> {
    let verified =
        journal::verify(directory).map_err(|error| BackupError::Data(DataError::Journal(error)))?;
    if let Some(fault) = verified.faults.first() {
        return Err(BackupError::Restored(fault.to_string()));
    }
    let items = verified.recovered.items;
    match manifest.items().filter(|counted| *counted != items) {
        Some(counted) => {
            let what = format!("{items} items are in the queues, and {counted} were counted");
            Err(BackupError::Restored(what))
        }
        None => Ok(items),
    }
}

/// Deletes every queue but one, as an operator would; how many items that one has.
fn keep_only(data: &Path, queue: &str) -> Result<u64, BackupError> {
    let clock = Clock::new();
    let now = move || clock.now();
    let directory = DataDirectory::lock_restoring(data)?;
    let opened = directory.open(SEGMENT, Config::default(), now().unix)?;
    let failed = || BackupError::io(data);
    let (store, closer) = Store::start(opened.engine, opened.journal, now).map_err(failed())?;
    let items = store.manage(now(), |engine| {
        for name in engine.names() {
            if name != queue.as_bytes() {
                engine.delete(&name);
            }
        }
        engine.stats_of(queue.as_bytes()).items
    });
    drop(store);
    closer.close(CLOSE).map_err(failed())?;
    Ok(items)
}

/// As large as a segment of a server is unless it is said otherwise.
const SEGMENT: u64 = 16 * 1024 * 1024;

fn write_synced(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = private::options().write(true).create(true).truncate(true).open(path)?;
    file.write_all(content)?;
    file.sync_all()?;
    path.parent().map_or(Ok(()), sync_folder)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
