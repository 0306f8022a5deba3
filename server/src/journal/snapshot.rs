//! A view of a journal that another thread or process is writing, for whoever copies it: without its lock, and
//! without holding anything up.
//!
//! Segments may be given up, renamed and written over meanwhile. A number and a salt belong to one life of one
//! file, and a file gets its new header before anything else of its new life: so what was read while the header
//! was the same before and after is of that life, and else the caller starts over with a new view.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use windhover_core::UnixTime;
use windhover_core::queue::Config;
use windhover_core::queue::record;
use windhover_core::queue::segment::{HEADER, Header, HeaderError};
use windhover_core::queue::state::{Position, State};

use super::chain::{Chain, Link};
use super::survey::{HowToRead, Survey};
use super::{Directory, STATE, SYNCED, file_name};

/// How often a small file is read again that was just being written.
const TRIES: u32 = 50;
/// How long until then.
const AGAIN: Duration = Duration::from_millis(2);
/// Memory for items that are counted; what has no room is read twice.
const COUNT_MEMORY: u64 = 16 * 1024 * 1024;
/// A journal of more bytes is counted with the help of its index.
const COUNT_INDEX_FROM: u64 = 64 * 1024 * 1024;
/// One of more bytes without an index that fits is not counted.
const COUNT_WHOLE: u64 = 1024 * 1024 * 1024;

/// What a journal consisted of at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The oldest segment that was needed.
    pub oldest: u64,
    /// Up to where the journal was known to be on the disk: everything before it is in the segments.
    pub cut: Position,
    /// Oldest first.
    pub segments: Vec<SnapshotSegment>,
}

/// A segment of a [`Snapshot`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotSegment {
    /// Which one, and of which life.
    pub header: Header,
    /// Where it ends; the last one's end is the cut.
    pub end: u64,
}

/// Why a journal could not be copied.
#[derive(Debug)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The file system failed.
    Io {
        /// The file.
        path: PathBuf,
        /// How.
        source: io::Error,
    },
    /// The segment was given up since the journal was looked at. A new view has what is needed.
    Moved {
        /// Its number.
        segment: u64,
    },
    /// Bytes are not what was written.
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// A segment is of another version's format.
    OtherVersion {
        /// The file.
        path: PathBuf,
        /// Of which.
        version: u8,
    },
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, .. } => write!(f, "cannot read {}", path.display()),
            Self::Moved { segment } => {
                write!(f, "segment {segment} was given up while the journal was copied")
            }
            Self::Damaged { path, offset, what } => write!(
                f,
                "{}: byte {offset}: {what}; `windhover journal verify` says more once the server is stopped",
                path.display()
            ),
            Self::OtherVersion { path, version } => write!(
                f,
                "{} is of format {version}, which this program does not read",
                path.display()
            ),
        }
    }
}

impl std::error::Error for SnapshotError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Moved { .. } | Self::Damaged { .. } | Self::OtherVersion { .. } => None,
        }
    }
}

/// Bytes of a segment, and how many whole records they are.
#[derive(Clone, Debug)]
pub struct SegmentBytes {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Records in them.
    pub records: u64,
}

/// Reads a journal that may be written meanwhile.
#[derive(Clone, Debug)]
pub struct SnapshotReader<D> {
    directory: D,
}

impl<D: Directory> SnapshotReader<D> {
    /// A reader of the journal in that directory.
    pub const fn new(directory: D) -> Self {
        Self { directory }
    }

    /// What the journal consists of now. Reads of each segment its header alone.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn snapshot(&self) -> Result<Snapshot, SnapshotError> {
        // In this order: what was not needed then is not needed at the cut, which is later.
        let state = self.small_file(STATE, State::decode)?;
        let synced = match (self.small_file(SYNCED, Position::decode), state.clean) {
            (Err(_), Some(clean)) => clean,
            (synced, clean) => synced?.max(clean.unwrap_or(Position { segment: 0, end: 0 })),
        };
        let (oldest, cut) = (state.oldest.max(1), synced);
        let mut segments = Vec::new();
        let Position { segment: mut number, mut end } = cut;
        while number >= oldest {
            let header = self.header(number)?;
            if header.number != number || header.previous >= number || end < HEADER as u64 {
                let what = "the file is another segment than its name says".to_owned();
                return Err(self.moved_or(number, 0, what));
            }
            segments.push(SnapshotSegment { header, end });
            (number, end) = (header.previous, header.previous_end);
        }
        segments.reverse();
        Ok(Snapshot { oldest, cut, segments })
    }

    /// Reads those bytes of a segment, which begin and end between records, and checks each record.
    ///
    /// # Errors
    /// [`SnapshotError`]; [`SnapshotError::Moved`] when the segment is gone meanwhile.
    pub fn read(
        &self,
        segment: &SnapshotSegment,
        range: Range<u64>,
    ) -> Result<SegmentBytes, SnapshotError> {
        let number = segment.header.number;
        let name = file_name(number);
        let read = self.directory.read_range(&name, range.clone());
        let bytes = read.map_err(|source| self.moved_or_io(number, source))?;
        // After what was read.
        if self.header(number)? != segment.header {
            return Err(SnapshotError::Moved { segment: number });
        }
        let whole = count_records(&bytes, segment.header.salt, range.start);
        match whole {
            Ok(records) if range.end - range.start == bytes.len() as u64 => {
                Ok(SegmentBytes { bytes, records })
            }
            Ok(_) => {
                let what = format!("the file ends, and the segment goes on to {}", range.end);
                Err(self.moved_or(number, range.start + bytes.len() as u64, what))
            }
            Err(offset) => {
                Err(self.moved_or(number, offset, "no whole record stands here".to_owned()))
            }
        }
    }

    /// How many items each queue holds at the cut. `None` when that cannot be told without reading too much: the
    /// journal is large and has no index that fits.
    ///
    /// # Errors
    /// [`SnapshotError::Moved`] when a segment was given up meanwhile.
    pub fn count(
        &self,
        snapshot: &Snapshot,
    ) -> Result<Option<BTreeMap<Vec<u8>, u64>>, SnapshotError> {
        let links = snapshot.segments.iter().map(|segment| {
            let (number, len) = (segment.header.number, segment.end);
            Link { number, file: number, len, header: Some(segment.header) }
        });
        let chain = Chain { links: links.collect(), ..Chain::default() };
        let bytes: u64 = snapshot.segments.iter().map(|segment| segment.end).sum();
        let how = HowToRead { memory: COUNT_MEMORY, index_from: COUNT_INDEX_FROM };
        let whole = bytes <= COUNT_WHOLE;
        let read =
            Survey::at_cut(&self.directory, &chain, snapshot.oldest, snapshot.cut, how, whole);
        // What was read of a segment that was written over meanwhile counts for nothing.
        let first = snapshot.segments.first().map_or(u64::MAX, |segment| segment.header.number);
        if self.is_moved(first) {
            return Err(SnapshotError::Moved { segment: first });
        }
        let survey = read.ok().flatten().filter(|survey| survey.faults.is_empty());
        Ok(survey.map(|survey| {
            let (engine, _) = survey.recovery.finish(Config::default(), UnixTime::default());
            let count = |name: &Bytes| (name.to_vec(), engine.stats_of(name).items);
            engine.names().iter().map(count).filter(|(_, items)| *items > 0).collect()
        }))
    }

    /// A file that is written over in place, so that it may be found half written.
    fn small_file<T>(
        &self,
        name: &str,
        decode: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<T, SnapshotError> {
        let path = self.directory.path().join(name);
        for attempt in 0..TRIES {
            if attempt > 0 {
                thread::sleep(AGAIN);
            }
            match self.directory.read(name) {
                Ok(content) => {
                    if let Some(decoded) = decode(&content) {
                        return Ok(decoded);
                    }
                }
                Err(source) => return Err(SnapshotError::Io { path, source }),
            }
        }
        let what = "the file does not say what it should".to_owned();
        Err(SnapshotError::Damaged { path, offset: 0, what })
    }

    fn header(&self, number: u64) -> Result<Header, SnapshotError> {
        let name = file_name(number);
        let start = self.directory.read_start(&name, HEADER);
        let start = start.map_err(|source| self.moved_or_io(number, source))?;
        Header::decode(&start).map_err(|error| match error {
            HeaderError::Version(version) => {
                SnapshotError::OtherVersion { path: self.directory.path().join(&name), version }
            }
            other => self.moved_or(number, 0, other.to_string()),
        })
    }

    /// Whether the segment is not needed any more: the state file says so before its file goes.
    fn is_moved(&self, segment: u64) -> bool {
        self.small_file(STATE, State::decode).is_ok_and(|state| state.oldest > segment)
    }

    fn moved_or(&self, segment: u64, offset: u64, what: String) -> SnapshotError {
        if self.is_moved(segment) {
            return SnapshotError::Moved { segment };
        }
        let path = self.directory.path().join(file_name(segment));
        SnapshotError::Damaged { path, offset, what }
    }

    fn moved_or_io(&self, segment: u64, source: io::Error) -> SnapshotError {
        if self.is_moved(segment) {
            return SnapshotError::Moved { segment };
        }
        SnapshotError::Io { path: self.directory.path().join(file_name(segment)), source }
    }
}

/// How many records `bytes` are, which stand at that offset of a segment with that salt.
///
/// # Errors
/// The offset of the first that is not whole.
pub fn count_records(bytes: &[u8], salt: u32, offset: u64) -> Result<u64, u64> {
    let mut records = 0;
    let mut at = if offset == 0 { HEADER } else { 0 };
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let place = offset + at as u64;
        let record = record::decode(rest, salt, place).map_err(|_| place)?;
        records += 1;
        at += record.len;
    }
    Ok(records)
}
