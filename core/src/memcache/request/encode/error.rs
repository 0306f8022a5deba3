//! Why a request was not encoded.

use core::fmt;

use crate::memcache::command::Command;
use crate::memcache::kestrel::{QueueNameError, QueueReadError};
use crate::memcache::request::RequestFault;

/// Why a request was not encoded. Nothing was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EncodeError {
    /// The dialect has no such command in this form.
    NotInDialect {
        /// The command.
        command: Command,
    },
    /// A retrieval without keys.
    NoKeys,
    /// A key without bytes.
    EmptyKey,
    /// A key above the limit.
    KeyTooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// A key (or another argument) holds white space or a control character, which would end it
    /// and could start another command.
    ForbiddenByte {
        /// The first such byte.
        byte: u8,
        /// Where it stands.
        at: usize,
    },
    /// Kestrel answers all the same, and so does memcached to `lru_crawler` and to most of `slabs`:
    /// the answer would be taken for the next request's.
    NoreplyNotKnown,
    /// The request hides its answer (`noreply`, or the meta flag `q`): an error that comes all the
    /// same would be taken for the next request's. It belongs into a
    /// [`Batch`](super::super::Batch).
    NeedsBarrier,
    /// The request is always answered: it has no place among those that hide their answers.
    NotHidden {
        /// The command.
        command: Command,
    },
    /// The meta flag `O` of requests in a batch is the batch's own.
    OpaqueTaken,
    /// The value is above the limit.
    ValueTooLarge {
        /// Its length in bytes.
        length: usize,
    },
    /// A number of seconds or of items above what kestrel takes, 2^31 - 1.
    CountTooLarge {
        /// The number.
        count: u32,
    },
    /// A meta command with a flag that servers would refuse.
    Flags(RequestFault),
    /// Data was given, but the command takes none.
    DataNotTaken,
    /// The queue cannot have that name.
    QueueName(QueueNameError),
    /// The read's time to wait cannot be written.
    Read(QueueReadError),
    /// A line that servers would not take (`limits.line`, `limits.get_line`): ask for fewer keys.
    LineTooLong {
        /// Its length in bytes.
        length: usize,
    },
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInDialect { command } => {
                write!(f, "the dialect has no such form of the command {command:?}")
            }
            Self::NoKeys => f.write_str("no key is given: give at least one"),
            Self::EmptyKey => f.write_str("a key is empty: it takes at least one byte"),
            Self::KeyTooLong { length } => {
                write!(f, "a key is {length} bytes long: shorten it to the limit")
            }
            Self::ForbiddenByte { byte, at } => write!(
                f,
                "byte {at} of a key or argument is '{}', but white space and control characters end it: escape or hash it",
                byte.escape_ascii()
            ),
            Self::NeedsBarrier => f.write_str(
                "a request that hides its answer has to be closed by one that is answered: put it into a batch",
            ),
            Self::NotHidden { command } => write!(
                f,
                "the command {command:?} is always answered: send it outside of a batch, or with noreply"
            ),
            Self::OpaqueTaken => f.write_str(
                "the flag O numbers the requests of a batch: leave it out",
            ),
            Self::NoreplyNotKnown => f.write_str(
                "the server does not know 'noreply' here and answers: wait for the answer",
            ),
            Self::ValueTooLarge { length } => {
                write!(f, "the value is {length} bytes long, above the limit: split it")
            }
            Self::CountTooLarge { count } => {
                write!(f, "{count} is more than kestrel takes: use at most 2147483647")
            }
            Self::Flags(fault) => fault.fmt(f),
            Self::DataNotTaken => f.write_str("data is given to a command that takes none"),
            Self::QueueName(error) => error.fmt(f),
            Self::Read(error) => error.fmt(f),
            Self::LineTooLong { length } => write!(
                f,
                "the line is {length} bytes long, above the limit: ask for fewer keys at a time"
            ),
        }
    }
}

impl core::error::Error for EncodeError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Flags(fault) => fault.source(),
            Self::QueueName(error) => error.source(),
            Self::Read(error) => error.source(),
            _ => None,
        }
    }
}
