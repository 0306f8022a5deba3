//! Why a relay ended before its end.

use std::fmt;
use std::io;
use std::time::Duration;

use windhover_core::queue::NameError;

use crate::data::DataError;
use crate::journal::OpenError;
use crate::listen::ListenError;

/// Why a relay ended before its end. What has not arrived is still where it was.
#[derive(Debug)]
#[non_exhaustive]
pub enum RelayError {
    /// Both places are the same one.
    SamePlace,
    /// No queue can have that name.
    QueueName {
        /// The name.
        name: String,
        /// Why not.
        source: NameError,
    },
    /// The URL of NATS says which subject it is: one queue can be moved there at a time.
    OneQueue,
    /// A data directory cannot be used.
    Data(DataError),
    /// The operating system refused something.
    System(ListenError),
    /// Nothing was moved for that long.
    Stuck {
        /// How long.
        patience: Duration,
        /// What failed last.
        why: String,
    },
    /// Records are too large for the place that they were to go to; all others were moved.
    Refused(u64),
}

impl RelayError {
    /// What the process ends with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::SamePlace | Self::QueueName { .. } | Self::OneQueue => 2,
            Self::Data(DataError::Journal(OpenError::Damaged { .. })) => 3,
            Self::Data(DataError::Locked(_)) => 4,
            Self::Refused(_) => 5,
            _ => 1,
        }
    }
}

impl fmt::Display for RelayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SamePlace => f.write_str("--from and --to are the same place"),
            Self::QueueName { name, .. } => write!(f, "no queue can have the name `{name}`"),
            Self::OneQueue => f.write_str(
                "a URL of NATS names one subject: move one queue at a time, with one --queue",
            ),
            Self::Data(error) => error.fmt(f),
            Self::System(error) => error.fmt(f),
            Self::Stuck { patience, why } => write!(
                f,
                "nothing was moved for {patience:?} ({why}); what has not arrived is where it was: run it again"
            ),
            Self::Refused(records) => write!(
                f,
                "{records} records are too large for where they were to go, and are where they were; all others \
                 were moved"
            ),
        }
    }
}

impl std::error::Error for RelayError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::QueueName { source, .. } => Some(source),
            Self::Data(error) => error.source(),
            Self::System(error) => error.source(),
            Self::SamePlace | Self::OneQueue | Self::Stuck { .. } | Self::Refused(_) => None,
        }
    }
}

impl From<DataError> for RelayError {
    fn from(error: DataError) -> Self {
        Self::Data(error)
    }
}

pub(super) fn system(what: &'static str) -> impl FnOnce(io::Error) -> RelayError {
    move |source| RelayError::System(ListenError::System { what, source })
}
