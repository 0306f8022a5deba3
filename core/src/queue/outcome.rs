//! What the engine answers.

use core::fmt;

use bytes::Bytes;

use super::name::NameError;

/// One operation of a caller's; unique, and rising in the order of the calls (waiters are served
/// in that order).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub u64);

/// One connection of a caller's: who holds an open read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpOutcome {
    /// The items are in the journal and in the queue.
    Stored,
    /// The journal could not take the items: none of them is in the queue.
    NotJournaled,
    /// An item.
    Item(Bytes),
    /// No item; also the answer to a close or an abort alone.
    Empty,
    /// The read was not allowed.
    Error(ReadError),
}

/// Why a read is not allowed; kestrel answers `ERROR` and disconnects.
///
/// ```
/// use windhover_core::Now;
/// use windhover_core::queue::{
///     Action, Config, ConnId, Engine, NameError, OpId, OpOutcome, ReadError,
/// };
///
/// let mut engine = Engine::new(Config::default());
/// let mut open = |name| engine.get(OpId(1), ConnId(1), name, Action::Open.into(), Now::default());
/// let refused = OpOutcome::Error(ReadError::Name(NameError::Byte(b' ')));
/// assert_eq!(open(b"two words"), Some(refused));
/// // That there is no such queue is no error.
/// assert_eq!(open(b"jobs"), Some(OpOutcome::Empty));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadError {
    /// The name cannot be a queue's.
    Name(NameError),
    /// The connection has as many reads open on this queue as it may.
    AlreadyOpen,
    /// The queue is to follow its parent from now on, and there are as many queues as allowed, or as many
    /// that follow this parent.
    TooManyQueues,
    /// The queue has items, but they are in the journal alone, and could not be read from it in time
    /// ([`Config::read_back_timeout`](super::Config::read_back_timeout)).
    NotReadBack,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(bad) => bad.fmt(f),
            Self::TooManyQueues => f.write_str("there are as many queues as allowed"),
            Self::AlreadyOpen => f.write_str(
                "this connection has a read open on the queue; close or abort it before the next",
            ),
            Self::NotReadBack => {
                f.write_str("the queue's items could not be read from the journal in time")
            }
        }
    }
}

impl core::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Name(bad) => bad.source(),
            Self::AlreadyOpen | Self::TooManyQueues | Self::NotReadBack => None,
        }
    }
}

/// Why a put was refused before anything was written.
///
/// ```
/// use windhover_core::Now;
/// use windhover_core::queue::{Config, Engine, OpId, PutBuilder, PutError};
///
/// let mut config = Config::default();
/// config.queue.max_item_bytes = 3;
/// let mut engine = Engine::new(config);
/// let mut put = PutBuilder::new(b"jobs", Now::default().unix)?;
/// put.item(None, b"four");
/// let refused = engine.put(OpId(1), put.finish(), Now::default());
/// assert_eq!(refused, Err(PutError::ItemTooLarge { len: 4, limit: 3 }));
/// assert_eq!(PutError::Full.to_string(), "the queue is full");
/// # Ok::<(), windhover_core::queue::NameError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PutError {
    /// The queue has as many items or bytes as it may.
    Full,
    /// An item is larger than the queue allows.
    ItemTooLarge {
        /// The item's bytes.
        len: u64,
        /// The bytes allowed.
        limit: u64,
    },
    /// The journal is behind by as many bytes as allowed.
    Busy,
    /// The journal has as many bytes as it may
    /// ([`Config::max_journal_bytes`](super::Config::max_journal_bytes)).
    JournalFull,
    /// There are as many queues as allowed.
    TooManyQueues,
}

impl fmt::Display for PutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the queue is full"),
            Self::ItemTooLarge { len, limit } => {
                write!(f, "the item has {len} bytes; the queue allows {limit}")
            }
            Self::JournalFull => f.write_str("the journal is full; read items to make room"),
            Self::Busy => f.write_str("the journal is behind; try again later"),
            Self::TooManyQueues => f.write_str("there are as many queues as allowed"),
        }
    }
}

impl core::error::Error for PutError {}
