//! Mending: damaged bytes are put aside, and a filler record takes their place, so that everything
//! behind them keeps its offset.

use std::collections::BTreeMap;
use std::io;

use windhover_core::UnixTime;
use windhover_core::queue::Config;
use windhover_core::queue::record;
use windhover_core::queue::segment::{Damage, HEADER, Header, What};
use windhover_core::queue::state::State;

use super::survey::{Survey, in_file};
use super::{Directory, Fault, OpenError, STATE, file_name};

/// What a repair did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RepairReport {
    /// What was wrong, as lines; empty when nothing was.
    pub faults: Vec<String>,
    /// Files whose content was put aside before they were mended.
    pub kept: Vec<String>,
    /// Items that are in the queues after the repair.
    pub items: u64,
}

/// Puts a filler where the damage is. A damage that reaches the end of the file, when no end is
/// known, is cut instead.
fn patch(
    content: &mut Vec<u8>,
    damage: &Damage,
    file_len: usize,
    cut_tail: bool,
) -> io::Result<()> {
    let too_large = |_| io::Error::other("a segment is larger than memory");
    let start = usize::try_from(damage.range.start).map_err(too_large)?;
    let end = usize::try_from(damage.range.end).map_err(too_large)?;
    if cut_tail && end >= file_len {
        content.truncate(start);
        return Ok(());
    }
    let no_filler = || io::Error::other(format!("no filler covers the bytes {start} to {end}"));
    let filler = record::filler(end.saturating_sub(start)).ok_or_else(no_filler)?;
    if content.len() < end {
        content.resize(end, 0);
    }
    if let Some(place) = content.get_mut(start..end) {
        place.fill(0);
        if let Some(header) = place.first_chunk_mut() {
            *header = filler;
        }
    }
    Ok(())
}

/// Mends the unfinished writes at the end of a segment: the bytes are put aside, then cut or
/// covered. Returns where the segment ends now.
pub(super) fn mend<D: Directory>(
    directory: &D,
    name: &str,
    torn: &[&Damage],
    keep: &dyn Fn(&str, &[u8]) -> io::Result<()>,
) -> io::Result<u64> {
    let bytes = directory.read(name)?;
    let mut content = bytes.clone();
    for damage in torn {
        let start = usize::try_from(damage.range.start).unwrap_or(usize::MAX).min(bytes.len());
        let end = usize::try_from(damage.range.end).unwrap_or(usize::MAX).min(bytes.len());
        keep(&format!("{name}.{start}"), bytes.get(start..end).unwrap_or_default())?;
        patch(&mut content, damage, bytes.len(), true)?;
    }
    let kept_whole = bytes.starts_with(&content);
    if kept_whole {
        directory.truncate(name, content.len() as u64)?;
    } else {
        directory.overwrite(name, &content)?;
    }
    Ok(content.len() as u64)
}

/// Mends every damage of the journal in that directory: the files concerned are handed to `keep`
/// as they are, then what is damaged in them is covered. Everything whole stays.
///
/// # Errors
/// [`OpenError::Io`] when the file system fails; a repair can be run again.
pub fn repair<D: Directory>(
    directory: &D,
    keep: &dyn Fn(&str, &[u8]) -> io::Result<()>,
    now: UnixTime,
) -> Result<RepairReport, OpenError> {
    let survey = Survey::read(directory)?;
    let faults = survey.faults.iter().map(ToString::to_string).collect();
    let mut kept = Vec::new();
    let fail = |name: &str| in_file(directory.path().join(name));
    let mut put_aside = |name: &str| {
        if let Ok(bytes) = directory.read(name) {
            keep(name, &bytes).map_err(fail(name))?;
            kept.push(name.to_owned());
        }
        Ok::<(), OpenError>(())
    };

    let mut by_segment: BTreeMap<u64, Vec<&Fault>> = BTreeMap::new();
    for fault in &survey.faults {
        match fault {
            Fault::State => put_aside(STATE)?,
            Fault::Missing { number, .. }
            | Fault::Misnamed { number, .. }
            | Fault::Damaged { number, .. } => by_segment.entry(*number).or_default().push(fault),
        }
    }
    let first = survey.segments.keys().chain(by_segment.keys()).min().copied().unwrap_or(1);
    let oldest = survey.state.map_or(first, |state| state.oldest);
    for (&number, faults) in &by_segment {
        let name = file_name(number);
        put_aside(&name)?;
        let before = number.checked_sub(1).map(file_name);
        let previous_end =
            before.and_then(|name| directory.read(&name).ok()).map_or(0, |b| b.len() as u64);
        let header = Header { number, previous_end, oldest, created: now };
        let bytes = match survey.segments.get(&number) {
            Some(_) => Some(directory.read(&name).map_err(fail(&name))?),
            None => None,
        };
        let content = mended(bytes.as_deref(), &header, faults).map_err(fail(&name))?;
        directory.overwrite(&name, &content).map_err(fail(&name))?;
    }
    if !survey.faults.is_empty() {
        let state = State { oldest, clean: None };
        directory.overwrite(STATE, state.encode().as_bytes()).map_err(fail(STATE))?;
        directory.sync().map_err(fail("."))?;
    }
    let (_, recovered) = Survey::read(directory)?.recovery.finish(Config::default(), now);
    Ok(RepairReport { faults, kept, items: recovered.items })
}

/// The content of a segment after its faults were mended.
fn mended(bytes: Option<&[u8]>, header: &Header, faults: &[&Fault]) -> io::Result<Vec<u8>> {
    let empty = |end: Option<u64>| {
        let mut content = header.encode().to_vec();
        if let Some(end) = end.filter(|end| *end >= (HEADER + record::HEADER) as u64) {
            let all = Damage::new(HEADER as u64..end, What::Cut);
            patch(&mut content, &all, 0, false)?;
        }
        Ok(content)
    };
    let Some(bytes) = bytes else {
        let end = faults.iter().find_map(|fault| match fault {
            Fault::Missing { end, .. } => *end,
            _ => None,
        });
        return empty(end);
    };
    if faults.iter().any(|fault| matches!(fault, Fault::Misnamed { .. })) {
        return empty(Some(bytes.len() as u64));
    }
    let mut content = bytes.to_vec();
    for fault in faults {
        let Fault::Damaged { damage, .. } = fault else {
            continue;
        };
        if let What::SegmentHeader(_) = damage.what {
            content.resize(content.len().max(HEADER), 0);
            if let Some(place) = content.first_chunk_mut::<HEADER>() {
                *place = header.encode();
            }
        } else {
            patch(&mut content, damage, bytes.len(), false)?;
        }
    }
    Ok(content)
}
