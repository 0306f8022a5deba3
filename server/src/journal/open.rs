//! Opening a journal: recovery, and what was found.

use std::collections::VecDeque;
use std::io;

use windhover_core::UnixTime;
use windhover_core::queue::segment::Damage;
use windhover_core::queue::state::State;
use windhover_core::queue::{Config, Engine, Recovered};

use super::survey::{Survey, in_file};
use super::{Directory, Fsync, Journal, OpenError, STATE, file_name};

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
    /// Segments read.
    pub segments: usize,
    /// Whether the last stop was clean.
    pub clean: bool,
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
    fsync: Fsync,
    segment_bytes: u64,
    config: Config,
    now: UnixTime,
) -> Result<Opened<D>, OpenError> {
    let survey = Survey::read(&directory)?;
    let fail = |name: &str| in_file(directory.path().join(name));
    if !survey.faults.is_empty() {
        let (_, recovered) = survey.recovery.finish(config, now);
        return Err(OpenError::Damaged {
            path: directory.path().to_owned(),
            faults: survey.faults,
            items: recovered.items,
        });
    }
    // Cuts what a failed write left behind a clean end, and syncs what a killed process had not.
    if let Some((&number, &(len, _))) = survey.segments.last_key_value() {
        let clean_end = survey.state.and_then(|state| state.clean);
        let end = clean_end.filter(|clean| clean.segment == number).map_or(len, |clean| clean.end);
        let name = file_name(number);
        directory.truncate(&name, end).map_err(fail(&name))?;
    }
    let clean = survey.state.is_none_or(|state| state.clean.is_some());
    let oldest = survey.state.map_or(1, |state| state.oldest);
    let state = State { oldest, clean: None };
    directory.overwrite(STATE, state.encode().as_bytes()).map_err(fail(STATE))?;
    directory.sync().map_err(in_file(directory.path().to_owned()))?;
    for number in survey.stale.into_iter().chain(survey.unbegun) {
        let name = file_name(number);
        directory.remove(&name).map_err(fail(&name))?;
    }

    let mut closed = VecDeque::new();
    for (&number, &(len, _)) in &survey.segments {
        closed.push_back((number, len));
    }
    // A clean stop may have followed a failed write that left bytes behind the end.
    if let Some((last, clean)) = closed.back_mut().zip(survey.state.and_then(|state| state.clean))
        && last.0 == clean.segment
    {
        last.1 = clean.end;
    }
    // Only the last segment can be torn.
    let torn: Vec<String> = survey
        .torn
        .iter()
        .map(|(number, damage)| format!("{}: {damage}", file_name(*number)))
        .collect();
    if let Some((number, len)) = closed.back_mut().filter(|_| !torn.is_empty()) {
        let name = file_name(*number);
        let damage: Vec<&Damage> = survey.torn.iter().map(|(_, damage)| damage).collect();
        *len =
            super::repair::mend(&directory, &name, &damage, keep_damaged).map_err(fail(&name))?;
    }
    // Closed segments end where the next one says, whatever a failed write left behind that.
    let mut headers = survey.segments.values().filter_map(|(_, header)| *header);
    headers.next();
    for ((_, len), header) in closed.iter_mut().zip(headers) {
        *len = header.previous_end;
    }

    let segments = closed.len();
    let (engine, recovered) = survey.recovery.finish(config, now);
    let journal =
        Journal { directory, fsync, segment_bytes, state, active: None, closed, sync_due: None };
    Ok(Opened { journal, engine, recovered, segments, clean, torn, foreign: survey.foreign })
}
