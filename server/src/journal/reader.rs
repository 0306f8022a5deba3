//! Reading back what is in the journal alone.

use std::fmt;
use std::io;

use windhover_core::queue::segment::{HEADER, Header};
use windhover_core::queue::{JournalRead, ReadBack, ReadBackError};

use super::{Directory, file_name};

/// Why a part of the journal could not be read.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReaderError {
    /// The file system failed.
    Io {
        /// The number of the segment.
        segment: u64,
        /// How.
        source: io::Error,
    },
    /// The bytes are not what was written.
    Damaged(ReadBackError),
}

impl fmt::Display for ReaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { segment, .. } => {
                write!(f, "{} in the journal cannot be read", file_name(*segment))
            }
            Self::Damaged(damaged) => damaged.fmt(f),
        }
    }
}

impl std::error::Error for ReaderError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Damaged(_) => None,
        }
    }
}

/// Reads in a journal that is being written.
#[derive(Clone, Debug)]
pub struct JournalReader<D> {
    directory: D,
    /// The segment that was read last, and its salt: it has the same while it has its number.
    salt: Option<(u64, u32)>,
}

impl<D: Directory> JournalReader<D> {
    pub(super) fn new(directory: D) -> Self {
        Self { directory, salt: None }
    }

    /// Reads what was asked for.
    ///
    /// # Errors
    /// [`ReaderError`]; also when the segment is given up, because nobody needs it any more.
    pub fn read(&mut self, read: &JournalRead) -> Result<ReadBack, ReaderError> {
        let segment = read.segment();
        let name = file_name(segment);
        let failed = |source| ReaderError::Io { segment, source };
        let salt = match self.salt.filter(|(last, _)| *last == segment) {
            Some((_, salt)) => salt,
            None => {
                let start = self.directory.read_start(&name, HEADER).map_err(failed)?;
                let damaged = |_| ReaderError::Damaged(ReadBackError { segment, offset: 0 });
                Header::decode(&start).map_err(damaged)?.salt
            }
        };
        self.salt = Some((segment, salt));
        let bytes = self.directory.read_range(&name, read.range().clone()).map_err(failed)?;
        read.decode(salt, &bytes).map_err(ReaderError::Damaged)
    }
}
