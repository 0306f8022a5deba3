//! Opening a journal: recovery, and what was found.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::PathBuf;

use windhover_core::UnixTime;
use windhover_core::queue::segment::{Damage, HEADER, Header};
use windhover_core::queue::state::State;
use windhover_core::queue::{Config, Engine, Place, Recovered, Recovery};

use super::{Directory, Fault, Fsync, Journal, OpenError, STATE, file_name, file_number};

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

/// What is in a journal's directory, read but not changed.
pub(super) struct Survey {
    pub(super) state: Option<State>,
    /// The segments that are there and needed, by number: their length in bytes and their header.
    pub(super) segments: BTreeMap<u64, (u64, Option<Header>)>,
    /// Segments that were no longer needed, but not yet deleted.
    pub(super) stale: Vec<u64>,
    /// Files of segments that a crash kept from being begun: nothing was ever acknowledged by
    /// them, since a segment's header is synced before anything else is written.
    pub(super) unbegun: Vec<u64>,
    pub(super) foreign: Vec<String>,
    pub(super) faults: Vec<Fault>,
    /// Unfinished writes at the end of the last segment.
    pub(super) torn: Vec<(u64, Damage)>,
    pub(super) recovery: Recovery,
}

/// Makes an error of the file system's one that names the file.
pub(super) fn in_file(path: PathBuf) -> impl FnOnce(io::Error) -> OpenError {
    move |source| OpenError::Io { path, source }
}

impl Survey {
    pub(super) fn read<D: Directory>(directory: &D) -> Result<Self, OpenError> {
        let mut state_bytes = None;
        let mut numbers = Vec::new();
        let mut foreign = Vec::new();
        for name in directory.list().map_err(in_file(directory.path().to_owned()))? {
            let read = || directory.read(&name).map_err(in_file(directory.path().join(&name)));
            match file_number(&name) {
                Some(number) => numbers.push(number),
                None if name == STATE => state_bytes = Some(read()?),
                None => foreign.push(name),
            }
        }
        numbers.sort_unstable();
        foreign.sort_unstable();
        let state = state_bytes.as_deref().and_then(State::decode);
        let mut faults = Vec::new();
        if state.is_none() && (state_bytes.is_some() || !numbers.is_empty()) {
            faults.push(Fault::State);
        }
        let first = numbers.first().copied().unwrap_or(1);
        let oldest = state.map_or(first, |state| state.oldest);
        let (stale, mut numbers): (Vec<u64>, Vec<u64>) =
            numbers.into_iter().partition(|&number| number < oldest);
        let clean_segment = state.and_then(|state| state.clean).map(|clean| clean.segment);
        let mut unbegun = Vec::new();
        while let Some(last) = numbers.pop_if(|last| clean_segment != Some(*last)) {
            let bytes = read_segment(directory, last, &[last])?.unwrap_or_default();
            if bytes.len() > HEADER || Header::decode(&bytes).is_ok() {
                numbers.push(last);
                break;
            }
            unbegun.push(last);
        }

        let mut survey = Self {
            state,
            segments: BTreeMap::new(),
            stale,
            unbegun,
            foreign,
            faults,
            torn: Vec::new(),
            recovery: Recovery::new(),
        };
        survey.read_segments(directory, oldest, &numbers)?;
        Ok(survey)
    }

    /// Reads the segments one after the other, with a look at the next one's header: it says where
    /// this one ends.
    fn read_segments<D: Directory>(
        &mut self,
        directory: &D,
        oldest: u64,
        numbers: &[u64],
    ) -> Result<(), OpenError> {
        let clean = self.state.and_then(|state| state.clean);
        let last = numbers.last().copied();
        let must_have = clean.map_or(last, |clean| last.max(Some(clean.segment)));
        let Some(must_have) = must_have else {
            return Ok(());
        };
        let mut next: Option<(u64, Vec<u8>)> = None;
        for number in oldest..=must_have {
            let bytes = match next.take() {
                Some((next, bytes)) if next == number => Some(bytes),
                _ => read_segment(directory, number, numbers)?,
            };
            let after = match number.checked_add(1).filter(|after| *after <= must_have) {
                Some(after) => read_segment(directory, after, numbers)?.map(|b| (after, b)),
                None => None,
            };
            let known_end =
                after.as_ref().and_then(|(_, b)| Header::decode(b).ok()).map(|h| h.previous_end);
            next = after;
            let Some(bytes) = bytes else {
                let end = known_end.or(clean.filter(|c| c.segment == number).map(|c| c.end));
                self.faults.push(Fault::Missing { number, end });
                continue;
            };
            let place = if number < must_have {
                Place::Closed { end: known_end.unwrap_or(bytes.len() as u64) }
            } else {
                Place::last(number, clean)
            };
            self.recover(number, &bytes, place);
            self.segments.insert(number, (bytes.len() as u64, Header::decode(&bytes).ok()));
        }
        Ok(())
    }

    fn recover(&mut self, number: u64, bytes: &[u8], place: Place) {
        if let Ok(Header { number: is, .. }) = Header::decode(bytes)
            && is != number
        {
            self.faults.push(Fault::Misnamed { number, is });
        }
        let report = self.recovery.segment(number, bytes, place);
        let intact_behind = report.records_after_damage;
        let damaged = |damage| Fault::Damaged { number, damage, intact_behind };
        self.faults.extend(report.damage.into_iter().map(damaged));
        self.torn.extend(report.torn.into_iter().map(|damage| (number, damage)));
    }
}

fn read_segment<D: Directory>(
    directory: &D,
    number: u64,
    numbers: &[u64],
) -> Result<Option<Vec<u8>>, OpenError> {
    if numbers.binary_search(&number).is_err() {
        return Ok(None);
    }
    let name = file_name(number);
    directory.read(&name).map(Some).map_err(in_file(directory.path().join(name)))
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
