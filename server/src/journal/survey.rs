//! What is in a journal's directory: read, judged, not changed.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use windhover_core::queue::segment::{BadHeader, Damage, HEADER, Header, What};
use windhover_core::queue::state::State;
use windhover_core::queue::{Place, Recovery};

use super::{Directory, Fault, OpenError, STATE, file_name, file_number};

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
        // An empty one is what a first start leaves behind that found the disk full.
        let has_state = state_bytes.is_some_and(|bytes| !bytes.is_empty());
        if state.is_none() && (has_state || !numbers.is_empty()) {
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
        survey.refuse_later_versions(directory)?;
        Ok(survey)
    }

    /// What a later version wrote is not damage, and must not be mended as if it were.
    fn refuse_later_versions<D: Directory>(&self, directory: &D) -> Result<(), OpenError> {
        let later = self.faults.iter().find_map(|fault| match fault {
            Fault::Damaged { number, damage, .. } => match damage.what {
                What::Unknown | What::SegmentHeader(BadHeader::Version(_)) => Some(*number),
                _ => None,
            },
            _ => None,
        });
        match later {
            Some(number) => {
                Err(OpenError::LaterVersion { path: directory.path().join(file_name(number)) })
            }
            None => Ok(()),
        }
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
