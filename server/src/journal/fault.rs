//! What can be wrong with a journal on start.

use std::fmt;
use std::io;
use std::path::PathBuf;

use windhover_core::queue::segment::{Damage, What};

use super::file_name;

/// One thing that is wrong with a journal; events may be lost by it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JournalFault {
    /// The state file cannot be read.
    State,
    /// Segments are not there.
    Missing {
        /// The number of the first.
        first: u64,
        /// The number of the last.
        last: u64,
        /// How long the last was, when that is known.
        end: Option<u64>,
    },
    /// The file is another segment than its name says.
    Misnamed {
        /// By its name.
        number: u64,
        /// By its header.
        is: u64,
    },
    /// Bytes of a segment are not what was written.
    Damaged {
        /// The segment's number.
        number: u64,
        /// Which bytes, and what is wrong with them.
        damage: Damage,
        /// Whole records that stand behind the first damage of this segment.
        intact_behind: u64,
    },
}

impl fmt::Display for JournalFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State => f.write_str("state: the file is missing or damaged"),
            Self::Missing { first, last, end } => {
                write!(f, "{}: the segment is missing", file_name(*last))?;
                if let Some(end) = end {
                    write!(f, "; it had {end} bytes")?;
                }
                match last - first {
                    0 => Ok(()),
                    1 => write!(f, "; so is the one before"),
                    before => write!(f, "; so are the {before} before, from {}", file_name(*first)),
                }
            }
            Self::Misnamed { number, is } => {
                write!(f, "{}: the file is segment {is} under another's name", file_name(*number))
            }
            Self::Damaged { number, damage, intact_behind } => write!(
                f,
                "{}: {damage}; {intact_behind} whole records stand behind the damage",
                file_name(*number)
            ),
        }
    }
}

/// Why a journal cannot be opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The file system failed.
    Io {
        /// The file or directory.
        path: PathBuf,
        /// How.
        source: io::Error,
    },
    /// A segment was written by another version of this program. Nothing was changed, and a repair
    /// would be wrong: run that version.
    OtherVersion {
        /// The segment's file.
        path: PathBuf,
        /// What of it this version does not know.
        what: What,
    },
    /// The journal is damaged. Nothing was changed.
    Damaged {
        /// The journal's directory.
        path: PathBuf,
        /// Everything found.
        faults: Vec<JournalFault>,
        /// Items that are whole in the rest of the journal.
        items: u64,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, .. } => write!(f, "cannot use {}", path.display()),
            Self::OtherVersion { path, what } => write!(
                f,
                "{}: {what}: written by another version of windhover; run that version, nothing was \
                 changed",
                path.display()
            ),
            Self::Damaged { path, faults, items } => {
                writeln!(f, "the journal in {} is damaged:", path.display())?;
                for fault in faults {
                    writeln!(f, "  {fault}")?;
                }
                write!(f, "{items} items are whole in the rest of it; nothing was changed")
            }
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::OtherVersion { .. } | Self::Damaged { .. } => None,
        }
    }
}
