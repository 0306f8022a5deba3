//! Opening a journal: recovery, and what was found.

use std::collections::VecDeque;
use std::io;

use windhover_core::UnixTime;
use windhover_core::queue::state::{Position, State};
use windhover_core::queue::{Config, Engine, Recovered};

use super::index::IndexFile;
use super::spares::Spares;
use super::survey::{HowToRead, Segment, Survey, in_file, make_way};
use super::{Closed, Directory, Journal, OpenError, STATE, SYNCED, SyncedFile, file_name};
use crate::metrics::Histogram;

/// A journal of more bytes, or of more than are held in memory, is opened with the help of its index. A smaller
/// one is read and checked as a whole, which takes no time.
const INDEX_FROM: u64 = 64 * 1024 * 1024;

/// A journal that was opened, with the queues that it held.
#[derive(Debug)]
#[non_exhaustive]
pub struct Opened<D: Directory> {
    /// The journal, ready for appending.
    pub journal: Journal<D>,
    /// The queues.
    pub engine: Engine,
    /// What the journal held.
    pub recovered: Recovered,
    /// Segments.
    pub segments: usize,
    /// How many of them were read: of the others the index told.
    pub read: usize,
    /// Why the index of a large journal could not be used.
    pub bad_index: Option<String>,
    /// Whether the last stop was clean.
    pub clean: bool,
    /// The last stop was not clean, and the file that says how far the journal went is missing or
    /// damaged: whether segments are missing at its end cannot be told.
    pub end_unknown: bool,
    /// The unfinished write at the end that was cut, as lines for the log.
    pub torn: Vec<String>,
    /// Files in the directory that are not the journal's; left alone.
    pub foreign: Vec<String>,
}

/// Opens the journal in that directory, or makes a new one, and rebuilds the queues.
///
/// An unfinished write at the end, as a crash leaves it, is cut, after its bytes were copied to
/// the directory `damaged` beside the journal; [`Opened`] tells of it.
///
/// # Errors
/// [`OpenError::Damaged`] when bytes are not as they were written: nothing is changed then, and
/// [`repair`](super::repair) helps. [`OpenError::Io`] when the file system fails.
pub fn open<D: Directory>(
    directory: D,
    keep_damaged: &dyn Fn(&str, &[u8]) -> io::Result<()>,
    segment_bytes: u64,
    config: Config,
    now: UnixTime,
) -> Result<Opened<D>, OpenError> {
    let (memory, index_from) = (config.queue_memory, INDEX_FROM.min(config.queue_memory));
    let survey = Survey::read(&directory, HowToRead { memory, index_from })?;
    let fail = |name: &str| in_file(directory.path().join(name));
    if !survey.faults.is_empty() {
        let (_, recovered) = survey.recovery.finish(config, now);
        return Err(OpenError::Damaged {
            path: directory.path().to_owned(),
            faults: survey.faults,
            items: recovered.items,
        });
    }
    let mut foreign = survey.foreign;
    foreign.retain(|name| !survey.in_the_way.contains(name));
    foreign.extend(make_way(&directory, &survey.in_the_way)?);
    let mut closed: VecDeque<Closed> = survey
        .segments
        .iter()
        .map(|&Segment { link, end, len, .. }| Closed { number: link.number, end, size: len })
        .collect();
    // Only the last segment can be torn, or be longer than is known.
    let torn: Vec<String> = survey
        .segments
        .iter()
        .flat_map(|segment| segment.torn.iter().map(|damage| (segment.link.file, damage)))
        .map(|(number, damage)| format!("{}: {damage}", file_name(number)))
        .collect();
    if let Some((segment, last)) = survey.segments.last().zip(closed.back_mut()) {
        let name = file_name(last.number);
        // Cuts what a failed write or an earlier life left behind the end, and syncs what a killed process
        // had not.
        directory.truncate(&name, last.end).map_err(fail(&name))?;
        if !segment.torn.is_empty() {
            last.end =
                super::repair::mend(&directory, segment, keep_damaged).map_err(fail(&name))?;
        }
        last.size = last.end;
    }
    let (segment, end) = closed.back().map_or((0, 0), |last| (last.number, last.end));
    if let Some(content) = &survey.unreadable_synced {
        keep_damaged(SYNCED, content).map_err(fail(SYNCED))?;
    }
    let synced = SyncedFile::begin(&directory, Position { segment, end }).map_err(fail(SYNCED))?;
    let clean = survey.state.is_none_or(|state| state.clean.is_some());
    let state = State { oldest: survey.oldest, clean: None };
    directory.overwrite(STATE, state.encode().as_bytes()).map_err(fail(STATE))?;
    directory.sync().map_err(in_file(directory.path().to_owned()))?;
    for number in survey.stale.into_iter().chain(survey.unbegun) {
        let name = file_name(number);
        directory.remove(&name).map_err(fail(&name))?;
    }

    let largest = segment_bytes.saturating_mul(2);
    let spares = Spares::adopt(&directory, survey.spares, largest)
        .map_err(in_file(directory.path().to_owned()))?;

    let segments = closed.len();
    let max_bytes = config.max_journal_bytes;
    let (engine, recovered) = survey.recovery.finish(config, now);
    let journal = Journal {
        directory,
        segment_bytes,
        state,
        synced,
        active: None,
        left_over: None,
        closed,
        spares,
        ahead: None,
        spare_asked_in: 0,
        max_bytes,
        sync_due: None,
        index: IndexFile::new(index_from),
        sync_seconds: Histogram::of_times(),
    };
    let end_unknown = survey.end_unknown;
    let (read, bad_index) = (survey.read, survey.bad_index);
    Ok(Opened {
        journal,
        engine,
        recovered,
        segments,
        read,
        bad_index,
        clean,
        end_unknown,
        torn,
        foreign,
    })
}
