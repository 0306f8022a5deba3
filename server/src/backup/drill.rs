//! Restoring for practice: a backup is what has been restored.

use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use windhover_core::UnixTime;
use windhover_core::queue::Config;

use super::create::escaped;
use super::error::BackupError;
use super::layout::Check;
use super::manifest::QueueCount;
use super::progress::Progress;
use super::repository::Repository;
use super::restore::{RestoreOptions, Which, restore};
use crate::data::DataDirectory;

/// What a drill found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DrillReport {
    /// The backup.
    pub sequence: u64,
    /// Segments that were restored.
    pub segments: u64,
    /// Records that were read in them.
    pub records: u64,
    /// What is in the queues.
    pub queues: Vec<QueueCount>,
    /// Items in all queues.
    pub items: u64,
    /// Whether the manifest says how many there were; otherwise records alone were compared.
    pub counted: bool,
    /// How long it took, in milliseconds.
    pub milliseconds: u64,
}

/// A folder that goes with it.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, "{} could not be removed", self.0.display());
        }
    }
}

/// Restores a backup into a folder below `folder` that is removed afterwards, opens the queues on it as a server
/// does, and compares what is in them with the manifest.
///
/// # Errors
/// [`BackupError`]; [`BackupError::Restored`] when they differ.
pub fn drill(
    repository: &Repository,
    folder: &Path,
    which: Which,
    progress: &mut Progress,
) -> Result<DrillReport, BackupError> {
    let begun = Instant::now();
    let manifest = which.find(repository)?;
    let random = getrandom::u64().map_err(std::io::Error::other);
    let random = random.map_err(BackupError::io("random bytes"))?;
    let path = folder.join(format!("windhover-drill-{random:016x}"));
    let temporary = Temporary(path.clone());
    let options = RestoreOptions { which: Which::Number(manifest.sequence), queue: None };
    let restored = restore(repository, &path, &options, progress)?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = UnixTime::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
    let data = DataDirectory::lock_existing(&path)?;
    let records = data.verify()?.recovered.records;
    let opened = data.open(16 * 1024 * 1024, Config::default(), now)?;
    let count = |(name, stats): (&[u8], windhover_core::queue::QueueStats)| QueueCount {
        name: escaped(name),
        items: stats.items,
    };
    let mut queues: Vec<QueueCount> =
        opened.engine.queue_stats().map(count).filter(|queue| queue.items > 0).collect();
    queues.sort_by(|one, other| one.name.cmp(&other.name));
    if records != manifest.records() {
        let backed_up = manifest.records();
        return Err(BackupError::Restored(format!(
            "{records} records, and {backed_up} were copied"
        )));
    }
    if let Some(counted) = &manifest.queues {
        let mut counted = counted.clone();
        counted.sort_by(|one, other| one.name.cmp(&other.name));
        if counted != queues {
            return Err(BackupError::Restored(difference(&counted, &queues)));
        }
    }
    drop((opened, data, temporary));
    let items = queues.iter().map(|queue| queue.items).sum();
    Ok(DrillReport {
        sequence: manifest.sequence,
        segments: restored.segments,
        records,
        items,
        queues,
        counted: manifest.queues.is_some(),
        milliseconds: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}

/// Notes that a backup was drilled.
///
/// # Errors
/// [`BackupError::Destination`].
pub(super) fn note(
    repository: &Repository,
    report: &DrillReport,
    now: u64,
) -> Result<(), BackupError> {
    repository.note(Check::Drilled, report.sequence, now)
}

/// The first queue that has another number of items.
fn difference(counted: &[QueueCount], found: &[QueueCount]) -> String {
    let of = |queues: &[QueueCount], name: &str| {
        queues.iter().find(|queue| queue.name == name).map_or(0, |queue| queue.items)
    };
    let names = counted.iter().chain(found).map(|queue| queue.name.as_str());
    let other = names.into_iter().find(|name| of(counted, name) != of(found, name));
    let name = other.unwrap_or_default();
    let (was, is) = (of(counted, name), of(found, name));
    format!("the queue `{name}` has {is} items, and had {was}")
}
