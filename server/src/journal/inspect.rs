//! What an operator asks of a journal that nobody has open: what is in it, and whether it is whole.
//! Nothing is changed.

use std::fmt;
use std::io::{self, Write};

use windhover_core::UnixTime;
use windhover_core::queue::record::{self, Kind};
use windhover_core::queue::segment::{Damage, SegmentEnd, scan};
use windhover_core::queue::state::Position;
use windhover_core::queue::{Config, Recovered};

use super::survey::{HowToRead, Segment, Survey, in_file};
use super::{Directory, JournalFault, OpenError, file_name};

/// What [`verify`] found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Verified {
    /// Segments that are there and needed.
    pub segments: usize,
    /// What is whole in them.
    pub recovered: Recovered,
    /// Files kept to be written over.
    pub spares: usize,
    /// Whether the last stop was clean.
    pub clean: bool,
    /// Whether anything is missing at the journal's end cannot be told.
    pub end_unknown: bool,
    /// Unfinished writes at the end, which the next start cuts, as lines.
    pub torn: Vec<String>,
    /// Files in the directory that are not the journal's.
    pub foreign: Vec<String>,
    /// What is wrong; empty when the journal is whole.
    pub faults: Vec<JournalFault>,
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Recovered { items, queues, records, .. } = self.recovered;
        let stop = match (self.clean, self.end_unknown) {
            (true, _) => "clean",
            (false, false) => "not clean",
            (false, true) => "not clean, and whether the end is missing cannot be told",
        };
        writeln!(f, "segments     {}", self.segments)?;
        writeln!(f, "records      {records}")?;
        writeln!(f, "queues       {queues}")?;
        writeln!(f, "items        {items}")?;
        writeln!(f, "spare files  {}", self.spares)?;
        writeln!(f, "last stop    {stop}")?;
        for name in &self.foreign {
            writeln!(f, "foreign      {name}")?;
        }
        for torn in &self.torn {
            writeln!(f, "unfinished   {torn}; the next start cuts it")?;
        }
        for fault in &self.faults {
            writeln!(f, "fault        {fault}")?;
        }
        let verdict = if self.faults.is_empty() { "whole" } else { "damaged" };
        write!(f, "the journal is {verdict}")
    }
}

/// Reads and checks every byte of the journal in that directory.
///
/// # Errors
/// [`OpenError::Io`] and [`OpenError::OtherVersion`]; damage is found, not failed with.
pub fn verify<D: Directory>(directory: &D) -> Result<Verified, OpenError> {
    let survey = Survey::read(directory, HowToRead::WHOLE)?;
    let torn = survey.segments.iter().flat_map(|segment| {
        segment.torn.iter().map(|damage| format!("{}: {damage}", file_name(segment.link.file)))
    });
    Ok(Verified {
        segments: survey.segments.len(),
        spares: survey.spares.len(),
        clean: survey.state.is_none_or(|state| state.clean.is_some()),
        end_unknown: survey.end_unknown,
        torn: torn.collect(),
        foreign: survey.foreign,
        faults: survey.faults,
        recovered: survey.recovery.finish(Config::default(), UnixTime::default()).1,
    })
}

/// Why a journal could not be shown.
#[derive(Debug)]
#[non_exhaustive]
pub enum InspectError {
    /// The journal cannot be read.
    Open(OpenError),
    /// There is no such segment.
    NoSegment(u64),
    /// What was found could not be written to where it should go.
    Output(io::Error),
}

impl fmt::Display for InspectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error) => error.fmt(f),
            Self::NoSegment(number) => {
                write!(
                    f,
                    "the journal has no segment {number}; `inspect` without a number lists them"
                )
            }
            Self::Output(error) => write!(f, "the output cannot be written: {error}"),
        }
    }
}

impl std::error::Error for InspectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Open(error) => error.source(),
            Self::Output(error) => Some(error),
            Self::NoSegment(_) => None,
        }
    }
}

impl From<io::Error> for InspectError {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// Writes what is in the journal in that directory to `out`, in columns with tabs between them: its small
/// files and a line for each segment or, for one segment, a line for each record.
///
/// # Errors
/// [`InspectError`]; damage is shown, not failed with.
pub fn inspect<D: Directory>(
    directory: &D,
    segment: Option<u64>,
    out: &mut dyn Write,
) -> Result<(), InspectError> {
    let survey = Survey::read(directory, HowToRead::WHOLE).map_err(InspectError::Open)?;
    match segment {
        None => list_segments(directory, &survey, out),
        Some(number) => {
            let mut segments = survey.segments.iter();
            let found = segments.find(|segment| segment.link.number == number);
            list_records(directory, found.ok_or(InspectError::NoSegment(number))?, out)
        }
    }
}

fn read<D: Directory>(directory: &D, segment: &Segment) -> Result<Vec<u8>, InspectError> {
    let name = file_name(segment.link.file);
    let read = directory.read(&name).map_err(in_file(directory.path().join(&name)));
    read.map_err(InspectError::Open)
}

fn position(position: Option<Position>) -> String {
    position.map_or("-".to_owned(), |Position { segment, end }| format!("{segment}:{end}"))
}

fn list_segments<D: Directory>(
    directory: &D,
    survey: &Survey,
    out: &mut dyn Write,
) -> Result<(), InspectError> {
    writeln!(out, "oldest needed\t{}", survey.oldest)?;
    writeln!(out, "clean stop at\t{}", position(survey.state.and_then(|state| state.clean)))?;
    writeln!(out, "synced up to\t{}", position(survey.synced))?;
    writeln!(out, "spare files\t{}", survey.spares.len())?;
    writeln!(out, "segment\tbytes\tend\tcreated\trecords\tputs\titems\tgone\tdamages")?;
    for segment in &survey.segments {
        let bytes = read(directory, segment)?;
        let (mut records, mut puts, mut items, mut gone) = (0_u64, 0_u64, 0, 0_u64);
        scan(&bytes, SegmentEnd::At(segment.end), |_, record| {
            records += 1;
            match record.kind {
                Kind::Put => {
                    puts += 1;
                    items += record::item_count(record.rest);
                }
                Kind::Remove | Kind::Discard => gone += 1,
                _ => {}
            }
        });
        let created = segment.link.header.map(|header| header.created.as_millis().to_string());
        writeln!(
            out,
            "{}\t{}\t{}\t{}\t{records}\t{puts}\t{items}\t{gone}\t{}",
            segment.link.number,
            segment.len,
            segment.end,
            created.as_deref().unwrap_or("-"),
            segment.damage.len() + segment.torn.len(),
        )?;
    }
    Ok(())
}

fn list_records<D: Directory>(
    directory: &D,
    segment: &Segment,
    out: &mut dyn Write,
) -> Result<(), InspectError> {
    let bytes = read(directory, segment)?;
    let mut lines: Vec<(u64, String)> = Vec::new();
    scan(&bytes, SegmentEnd::At(segment.end), |offset, record| {
        let (kind, items) = match record.kind {
            Kind::Put => ("put", record::item_count(record.rest).to_string()),
            Kind::Remove => ("remove", "-".to_owned()),
            Kind::Discard => ("discard", "-".to_owned()),
            Kind::Synced => ("synced", "-".to_owned()),
            Kind::Filler => ("filler", "-".to_owned()),
            Kind::Follow => ("follow", "-".to_owned()),
            Kind::Unfollow => ("unfollow", "-".to_owned()),
            _ => ("unknown", "-".to_owned()),
        };
        let queues: Vec<String> =
            record.puts().map(|(queue, _)| queue.escape_ascii().to_string()).collect();
        let queue = if record.queue.is_empty() { "-".to_owned() } else { queues.join(",") };
        let (len, id) = (record.len, record.id);
        lines.push((offset, format!("{len}\t{kind}\t{id}\t{queue}\t{items}")));
    });
    for Damage { range, what, .. } in segment.damage.iter().chain(&segment.torn) {
        lines.push((range.start, format!("{}\tdamage\t-\t-\t{what}", range.end - range.start)));
    }
    lines.sort_by_key(|(offset, _)| *offset);
    writeln!(out, "offset\tbytes\tkind\tid\tqueue\titems")?;
    for (offset, line) in lines {
        writeln!(out, "{offset}\t{line}")?;
    }
    Ok(())
}
