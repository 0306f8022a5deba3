//! What a backup says of itself: pure, and checked when it is read.

use std::fmt;

use serde::{Deserialize, Serialize};
use windhover_core::queue::segment::{HEADER, MAGIC};

use super::layout::ObjectId;
use crate::journal::SnapshotSegment;

/// The number of the format.
pub const FORMAT: u32 = 1;

/// A place in the journal: everything before it is in the backup, and nothing behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cut {
    /// The segment's number; 0 when there was none.
    pub segment: u64,
    /// The offset in it.
    pub offset: u64,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.segment, self.offset)
    }
}

/// The backup before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// Its number.
    pub sequence: u64,
    /// The SHA-256 of its entry as it is stored, in hexadecimal digits.
    pub sha256: String,
}

/// A stretch of a segment, from where the one before ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Where it ends.
    pub end: u64,
    /// The object that holds it: the hash of its content, and the number of the backup that sent it.
    pub object: String,
    /// Bytes of the object as it is stored.
    pub stored: u64,
    /// Whole records in it.
    pub records: u64,
}

impl Part {
    /// The object.
    pub fn id(&self) -> Option<ObjectId> {
        ObjectId::parse(&self.object)
    }
}

/// A segment of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestSegment {
    /// Its number.
    pub number: u64,
    /// The random number that its file has in this life.
    pub salt: u32,
    /// The number of the segment before; 0 when there is none.
    pub previous: u64,
    /// Where that one ends.
    pub previous_end: u64,
    /// When it was made, in milliseconds since 1970.
    pub created: u64,
    /// What it is put together from.
    pub parts: Vec<Part>,
}

impl ManifestSegment {
    /// Where it ends.
    pub fn end(&self) -> u64 {
        self.parts.last().map_or(0, |part| part.end)
    }

    /// Whether that is the same segment, which may have grown since.
    pub fn is(&self, segment: &SnapshotSegment) -> bool {
        let header = segment.header;
        (self.number, self.salt, self.created)
            == (header.number, header.salt, header.created.as_millis())
            && (self.previous, self.previous_end) == (header.previous, header.previous_end)
    }

    /// Its parts, each with where it begins.
    pub fn stretches(&self) -> impl Iterator<Item = (u64, &Part)> {
        let starts = std::iter::once(0).chain(self.parts.iter().map(|part| part.end));
        starts.zip(&self.parts)
    }
}

/// How many items a queue held at the cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueCount {
    /// Its name; bytes that are not ASCII as Rust escapes them.
    pub name: String,
    /// Items that were put and not confirmed.
    pub items: u64,
}

/// A backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// Its number in the log.
    pub sequence: u64,
    /// A random number, so that no two are alike.
    pub id: String,
    /// When the cut was made, in milliseconds since 1970.
    pub taken: u64,
    /// The version of the program that made it.
    pub program: String,
    /// The backup before, of which objects are used; none for the first.
    pub parent: Option<Parent>,
    /// The format of the journal.
    pub journal_format: u8,
    /// The oldest segment that was needed.
    pub oldest: u64,
    /// Up to where it goes.
    pub cut: Cut,
    /// Oldest first.
    pub segments: Vec<ManifestSegment>,
    /// What is in the queues; not there when it was not counted.
    pub queues: Option<Vec<QueueCount>>,
}

/// What a prune is about to delete, in the log before it does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PruneEntry {
    /// [`FORMAT`].
    pub format: u32,
    /// Its number in the log.
    pub sequence: u64,
    /// A random number, so that no two are alike.
    pub id: String,
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// The backups that stay; no other one before this entry is needed any more.
    pub kept: Vec<u64>,
}

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogEntry {
    /// A backup.
    Backup(Manifest),
    /// A prune.
    Prune(PruneEntry),
}

/// Why bytes are no entry.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ManifestError {
    /// They are not the JSON that an entry is.
    Json(String),
    /// The format is of another version.
    Format(u32),
    /// It is that of another number.
    Sequence {
        /// The number that it says.
        says: u64,
    },
    /// What it says cannot be.
    Meaning(&'static str),
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => write!(f, "it is not what an entry is: {error}"),
            Self::Format(format) => {
                write!(f, "it is of format {format}; this program reads format {FORMAT}")
            }
            Self::Sequence { says } => write!(f, "it says that it is entry {says}"),
            Self::Meaning(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for ManifestError {}

impl LogEntry {
    /// Its number.
    pub const fn sequence(&self) -> u64 {
        match self {
            Self::Backup(manifest) => manifest.sequence,
            Self::Prune(prune) => prune.sequence,
        }
    }

    /// As JSON.
    pub fn encode(&self) -> Vec<u8> {
        // Strings, numbers and lists of them alone: nothing that JSON cannot say.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads entry `sequence`.
    ///
    /// # Errors
    /// [`ManifestError`], also when one thing that it says contradicts another.
    pub fn decode(json: &[u8], sequence: u64) -> Result<Self, ManifestError> {
        // Members that nobody knows are passed over, whatever bytes are in them: all of it has to be text.
        let json =
            std::str::from_utf8(json).map_err(|error| ManifestError::Json(error.to_string()))?;
        let entry: Self =
            serde_json::from_str(json).map_err(|error| ManifestError::Json(error.to_string()))?;
        let format = match &entry {
            Self::Backup(manifest) => manifest.format,
            Self::Prune(prune) => prune.format,
        };
        if format != FORMAT {
            return Err(ManifestError::Format(format));
        }
        if entry.sequence() != sequence {
            return Err(ManifestError::Sequence { says: entry.sequence() });
        }
        match &entry {
            Self::Backup(manifest) => manifest.check()?,
            Self::Prune(prune) if prune.kept.iter().any(|kept| *kept >= sequence) => {
                return Err(ManifestError::Meaning("it keeps what comes after it"));
            }
            Self::Prune(_) => {}
        }
        Ok(entry)
    }
}

impl Manifest {
    /// A manifest of this program's format, with nothing in it.
    pub fn new(sequence: u64, id: String, taken: u64) -> Self {
        Self {
            format: FORMAT,
            sequence,
            id,
            taken,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            parent: None,
            journal_format: MAGIC[7],
            oldest: 1,
            cut: Cut { segment: 0, offset: 0 },
            segments: Vec::new(),
            queues: None,
        }
    }

    fn check(&self) -> Result<(), ManifestError> {
        let fail = |what| Err(ManifestError::Meaning(what));
        if self.parent.as_ref().is_some_and(|parent| parent.sequence >= self.sequence) {
            return fail("its parent comes after it");
        }
        for segment in &self.segments {
            let least = HEADER as u64;
            let mut before = 0;
            for part in &segment.parts {
                if part.end <= before || part.end < least {
                    return fail("the parts of a segment are not in order");
                }
                if part.id().is_none_or(|id| id.sequence > self.sequence) {
                    return fail("a part has an object that cannot be");
                }
                before = part.end;
            }
            if segment.parts.is_empty() {
                return fail("a segment has no parts");
            }
        }
        for pair in self.segments.windows(2) {
            if let [before, segment] = pair
                && ((segment.previous, segment.previous_end) != (before.number, before.end())
                    || segment.number <= before.number)
            {
                return fail("the segments do not follow one another");
            }
        }
        match (self.segments.first(), self.segments.last()) {
            (Some(first), Some(last)) => {
                if first.previous >= self.oldest || first.number < self.oldest {
                    return fail("the first segments are missing");
                }
                if (last.number, last.end()) != (self.cut.segment, self.cut.offset) {
                    return fail("the last segment does not end at the cut");
                }
            }
            _ if self.cut.segment >= self.oldest => return fail("the segments are missing"),
            _ => {}
        }
        Ok(())
    }

    /// Every part of every segment.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.segments.iter().flat_map(|segment| &segment.parts)
    }

    /// Bytes of the journal.
    pub fn bytes(&self) -> u64 {
        sum(self.segments.iter().map(ManifestSegment::end))
    }

    /// Bytes of the objects.
    pub fn stored(&self) -> u64 {
        sum(self.parts().map(|part| part.stored))
    }

    /// Whole records of the journal.
    pub fn records(&self) -> u64 {
        sum(self.parts().map(|part| part.records))
    }

    /// Items in all queues, if they were counted.
    pub fn items(&self) -> Option<u64> {
        self.queues.as_ref().map(|queues| sum(queues.iter().map(|queue| queue.items)))
    }
}

/// What somebody else wrote may be any numbers.
fn sum(numbers: impl Iterator<Item = u64>) -> u64 {
    numbers.fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(end: u64, sequence: u64) -> Part {
        Part { end, object: format!("{}-{sequence}", "0f".repeat(32)), stored: 10, records: 1 }
    }

    pub(crate) fn manifest() -> Manifest {
        let segment = |number, previous, previous_end, parts| ManifestSegment {
            number,
            salt: 7,
            previous,
            previous_end,
            created: 9,
            parts,
        };
        Manifest {
            oldest: 2,
            cut: Cut { segment: 4, offset: 90 },
            segments: vec![
                segment(2, 1, 500, vec![part(100, 1), part(200, 3)]),
                segment(4, 2, 200, vec![part(90, 3)]),
            ],
            queues: Some(vec![QueueCount { name: "events".to_owned(), items: 3 }]),
            ..Manifest::new(3, "id".to_owned(), 5)
        }
    }

    fn decoded(manifest: &Manifest) -> Result<LogEntry, ManifestError> {
        LogEntry::decode(&LogEntry::Backup(manifest.clone()).encode(), 3)
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(decoded(&manifest()), Ok(LogEntry::Backup(manifest())));
        let prune =
            PruneEntry { format: FORMAT, sequence: 9, id: "x".to_owned(), at: 1, kept: vec![3, 7] };
        let prune = LogEntry::Prune(prune);
        assert_eq!(LogEntry::decode(&prune.encode(), 9), Ok(prune));
    }

    #[test]
    fn a_member_that_nobody_knows_is_passed_over_where_it_is_text() {
        let json = LogEntry::Backup(manifest()).encode();
        for (member, is_read) in [(&b"{\"x\":\"y\","[..], true), (b"{\"x\":\"\xf2\",", false)] {
            let start = br#"{"backup":"#;
            let with = [&start[..], member, &json[start.len() + 1..]].concat();
            assert_eq!(LogEntry::decode(&with, 3).is_ok(), is_read);
            let refused = matches!(LogEntry::decode(&with, 4), Err(ManifestError::Json(_)));
            assert_eq!(refused, !is_read);
        }
    }

    #[test]
    fn every_prefix_is_an_error() {
        let json = LogEntry::Backup(manifest()).encode();
        for cut in 0..json.len() {
            assert!(LogEntry::decode(&json[..cut], 3).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        type Change = fn(&mut Manifest);
        let change: [(&str, Change); 9] = [
            ("format", |it| it.format = 2),
            ("another's number", |it| it.sequence = 4),
            ("a gap", |it| it.segments[1].previous = 3),
            ("a shorter segment", |it| it.segments[0].parts.truncate(1)),
            ("no parts", |it| it.segments[1].parts.clear()),
            ("another end", |it| it.cut.offset = 91),
            ("no segments", |it| it.segments.clear()),
            ("a missing first", |it| drop(it.segments.remove(0))),
            ("a path", |it| it.segments[1].parts[0].object = "../../etc/passwd".to_owned()),
        ];
        for (what, change) in change {
            let mut changed = manifest();
            change(&mut changed);
            assert!(decoded(&changed).is_err(), "{what}");
        }
    }
}
