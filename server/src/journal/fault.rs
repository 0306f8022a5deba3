//! What can be wrong with a journal on start.

use std::fmt;
use std::io;
use std::path::PathBuf;

use windhover_core::queue::segment::Damage;

use super::file_name;

/// One thing that is wrong with a journal; events may be lost by it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The state file cannot be read.
    State,
    /// A segment is not there.
    Missing {
        /// Its number.
        number: u64,
        /// How long it was, when that is known.
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

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State => f.write_str("state: the file is missing or damaged"),
            Self::Missing { number, end } => {
                write!(f, "{}: the segment is missing", file_name(*number))?;
                match end {
                    Some(end) => write!(f, "; it had {end} bytes"),
                    None => Ok(()),
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
    /// A segment was written by a later version of this program. Nothing was changed, and a repair
    /// would be wrong: run that version.
    LaterVersion {
        /// The segment's file.
        path: PathBuf,
    },
    /// The journal is damaged. Nothing was changed.
    Damaged {
        /// The journal's directory.
        path: PathBuf,
        /// Everything found.
        faults: Vec<Fault>,
        /// Items that are whole in the rest of the journal.
        items: u64,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, source } => write!(f, "{}: {source}", path.display()),
            Self::LaterVersion { path } => write!(
                f,
                "{}: written by a later version of windhover; run that version, nothing was changed",
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
            Self::LaterVersion { .. } | Self::Damaged { .. } => None,
        }
    }
}
