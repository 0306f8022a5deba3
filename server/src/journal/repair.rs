//! Mending: damaged bytes are put aside, and filler records take their place.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use windhover_core::UnixTime;
use windhover_core::queue::Config;
use windhover_core::queue::record::Draft;
use windhover_core::queue::segment::{Damage, HEADER, Header, What};
use windhover_core::queue::state::{Position, State};

use super::survey::{HowToRead, Segment, Survey, in_file, make_way};
use super::{Directory, OpenError, STATE, SYNCED, file_name};

/// Most bytes that one filler stands for.
const FILLER: usize = 1 << 20;

/// What a repair did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RepairReport {
    /// What was wrong, as lines; empty when nothing was.
    pub faults: Vec<String>,
    /// Files whose content was put aside before they were mended.
    pub kept: Vec<String>,
    /// Files in the journal's directory that are not the journal's; left alone.
    pub foreign: Vec<String>,
    /// Items that are in the queues after the repair.
    pub items: u64,
}

/// Covers damaged bytes of a segment with fillers, or cuts them where nothing whole stands behind
/// them: the header of the next segment says then where this one ends.
fn patch(content: &mut Vec<u8>, salt: u32, damage: &Damage) {
    let within = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
    let (mut start, end) = (within(damage.range.start), within(damage.range.end));
    if end >= content.len() {
        content.truncate(start);
        return;
    }
    while start < end {
        // What is left over must have room for a filler's own header.
        let len = if end - start < 2 * FILLER { end - start } else { FILLER };
        if let Some((place, filler)) = content.get_mut(start..start + len).zip(Draft::filler(len)) {
            place.copy_from_slice(&filler.encode(salt, start as u64));
        }
        start += len;
    }
}

/// Mends the unfinished writes at the end of a segment: the bytes are put aside, then cut or
/// covered. Returns where the segment ends now.
pub(super) fn mend<D: Directory>(
    directory: &D,
    segment: &Segment,
    keep: &dyn Fn(&str, &[u8]) -> io::Result<()>,
) -> io::Result<u64> {
    let name = file_name(segment.link.file);
    let bytes = directory.read(&name)?;
    for damage in &segment.torn {
        let start = usize::try_from(damage.range.start).unwrap_or(usize::MAX).min(bytes.len());
        let end = usize::try_from(damage.range.end).unwrap_or(usize::MAX).min(bytes.len());
        keep(&format!("{name}.{start}"), bytes.get(start..end).unwrap_or_default())?;
    }
    let mut content = bytes.clone();
    segment.torn.iter().rev().for_each(|damage| patch(&mut content, segment.salt, damage));
    let kept_whole = bytes.starts_with(&content);
    if kept_whole {
        directory.truncate(&name, content.len() as u64)?;
    } else {
        directory.overwrite(&name, &content)?;
    }
    Ok(content.len() as u64)
}

/// Mends every damage of the journal in that directory: the files concerned are handed to `keep`
/// as they are, then what is damaged in them is covered, what is under another's name is moved to
/// its place, and the segments around what is missing are linked. Everything whole stays.
///
/// # Errors
/// [`OpenError::Io`] when the file system fails; a repair can be run again.
pub fn repair<D: Directory>(
    directory: &D,
    keep: &dyn Fn(&str, &[u8]) -> io::Result<()>,
    now: UnixTime,
) -> Result<RepairReport, OpenError> {
    let survey = Survey::read(directory, HowToRead::WHOLE)?;
    let faults: Vec<String> = survey.faults.iter().map(ToString::to_string).collect();
    let mut kept = Vec::new();
    if !faults.is_empty() {
        make_way(directory, &survey.in_the_way)?;
        let rewritten = rewritten(directory, &survey, now)?;
        for name in concerned(&survey, &rewritten) {
            if let Ok(bytes) = directory.read(&name) {
                keep(&name, &bytes).map_err(in_file(directory.path().join(&name)))?;
                kept.push(name);
            }
        }
        write(directory, &survey, &rewritten)?;
    }
    let Survey { recovery, foreign, .. } = Survey::read(directory, HowToRead::WHOLE)?;
    let (_, recovered) = recovery.finish(Config::default(), now);
    Ok(RepairReport { faults, kept, foreign, items: recovered.items })
}

/// The segments whose files have to be written, by number, and where the last one ends.
#[derive(Debug)]
struct Rewritten {
    content: BTreeMap<u64, Vec<u8>>,
    end: Position,
}

fn rewritten<D: Directory>(
    directory: &D,
    survey: &Survey,
    now: UnixTime,
) -> Result<Rewritten, OpenError> {
    let mut content = BTreeMap::new();
    let mut before = Position { segment: 0, end: 0 };
    for segment in &survey.segments {
        let number = segment.link.number;
        let name = file_name(segment.link.file);
        let bytes = directory.read(&name).map_err(in_file(directory.path().join(&name)))?;
        let mended = mended(&bytes, segment, before, survey.oldest, now);
        before = Position { segment: number, end: mended.len() as u64 };
        // What stands behind the end may stay there.
        let is_as_it_was = bytes.starts_with(&mended) && mended.len() as u64 == segment.end;
        if !is_as_it_was || segment.link.file != number {
            content.insert(number, mended);
        }
    }
    Ok(Rewritten { content, end: before })
}

/// The content of a segment without its faults, behind one that ends there.
fn mended(
    bytes: &[u8],
    segment: &Segment,
    before: Position,
    oldest: u64,
    now: UnixTime,
) -> Vec<u8> {
    let mut content = bytes.to_vec();
    // Where no record is left that has one, any will do.
    let salt = segment.salt.max(1);
    // What a failed write left behind the end is nobody's.
    content.truncate(usize::try_from(segment.end).unwrap_or(usize::MAX));
    content.resize(content.len().max(HEADER), 0);
    // From the end, so that what is cut is behind what is covered.
    let mut damage: Vec<&Damage> = segment.damage.iter().chain(&segment.torn).collect();
    damage.retain(|damage| !matches!(damage.what, What::SegmentHeader(_)));
    damage.sort_unstable_by_key(|damage| std::cmp::Reverse(damage.range.start));
    for damage in damage {
        patch(&mut content, salt, damage);
    }
    let whole = segment.link.header;
    let header = Header {
        number: segment.link.number,
        previous: before.segment,
        previous_end: before.end,
        oldest: whole.map_or(oldest, |header| header.oldest),
        created: whole.map_or(now, |header| header.created),
        salt,
        leftover: whole.map_or(0, |header| header.leftover),
    };
    // The first one may name a segment that is not needed any more.
    if (before.segment != 0 || whole.is_none_or(|header| header.previous >= oldest))
        && let Some(place) = content.first_chunk_mut::<HEADER>()
    {
        *place = header.encode();
    }
    content
}

/// The files that are damaged, and those that a repair changes or deletes.
fn concerned(survey: &Survey, rewritten: &Rewritten) -> BTreeSet<String> {
    let is_concerned =
        |segment: &&Segment| segment.link.file != segment.link.number || !segment.damage.is_empty();
    let concerned = survey.segments.iter().filter(is_concerned);
    let numbers =
        concerned.map(|segment| segment.link.file).chain(survey.intruders.iter().copied());
    let mut names: BTreeSet<String> =
        numbers.chain(rewritten.content.keys().copied()).map(file_name).collect();
    if survey.state.is_none() {
        names.insert(STATE.to_owned());
    }
    if survey.unreadable_synced.is_some() {
        names.insert(SYNCED.to_owned());
    }
    names
}

fn write<D: Directory>(
    directory: &D,
    survey: &Survey,
    rewritten: &Rewritten,
) -> Result<(), OpenError> {
    let fail = |name: &str| in_file(directory.path().join(name));
    for (&number, content) in &rewritten.content {
        let name = file_name(number);
        directory.overwrite(&name, content).map_err(fail(&name))?;
    }
    let moved = survey.segments.iter().map(|segment| segment.link.file);
    let in_place: BTreeSet<u64> =
        survey.segments.iter().map(|segment| segment.link.number).collect();
    for number in moved.chain(survey.intruders.iter().copied()) {
        if !in_place.contains(&number) {
            let name = file_name(number);
            directory.remove(&name).map_err(fail(&name))?;
        }
    }
    let position = rewritten.end.encode();
    directory.overwrite(SYNCED, position.as_bytes()).map_err(fail(SYNCED))?;
    let state = State { oldest: survey.oldest, clean: None };
    directory.overwrite(STATE, state.encode().as_bytes()).map_err(fail(STATE))?;
    directory.sync().map_err(fail("."))
}
