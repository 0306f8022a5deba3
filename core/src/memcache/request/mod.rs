//! Requests: parsing (what a server does) and encoding (what a client does).
//!
//! Parsing has three steps, so that a connection can wait between them and data is never taken
//! for commands: [`find_line`] finds the line, [`parse_line`] reads it and says how long a data
//! block follows, [`split_block`] checks the block's end. [`parse`] does all three on a slice.

mod encode;
mod error;
mod parse;

pub use encode::{EncodeError, encode, encode_line};
pub use error::{Fault, Recovery, RequestError};
pub(crate) use parse::bad_block;
pub use parse::{Line, Message, find_line, parse, parse_line, split_block};

use super::command::Command;
use super::kestrel::QueueRead;
use super::key::Keys;

/// What a storage command says of the item; its value is the data block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Store<'a> {
    /// The key, or in kestrel's dialect the queue.
    pub key: &'a [u8],
    /// The client's flags, opaque to the server. Kestrel ignores them.
    pub flags: u32,
    /// As sent. memcached: 0 never expires, negative has expired already, up to 30 days is in
    /// seconds from now, beyond that seconds since 1970. Kestrel: the same with a bound of
    /// 1,000,000 seconds.
    pub exptime: i64,
    /// Whether the client wants no answer; never set in kestrel's dialect.
    pub noreply: bool,
}

impl<'a> Store<'a> {
    /// An item without flags that never expires.
    pub const fn new(key: &'a [u8]) -> Self {
        Self { key, flags: 0, exptime: 0, noreply: false }
    }
}

/// A request, borrowed from the bytes that it came in. A data block is not part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request<'a> {
    /// `get <key>+`: values without their cas.
    Get(Keys<'a>),
    /// `gets <key>+`: values with their cas.
    Gets(Keys<'a>),
    /// kestrel: `get <queue>[/option…]`.
    QueueRead(QueueRead<'a>),
    /// `set`: stores the value whatever was there; kestrel: appends it to the queue.
    Set(Store<'a>),
    /// `delete <key>`
    Delete {
        /// The key or queue.
        key: &'a [u8],
        /// Whether the client wants no answer.
        noreply: bool,
    },
    /// `version`
    Version,
    /// `verbosity <level>`
    Verbosity {
        /// How much the server logs.
        level: u32,
        /// Whether the client wants no answer.
        noreply: bool,
    },
    /// `stats [argument…]`
    Stats {
        /// What follows the verb; empty for the general statistics.
        arguments: &'a [u8],
    },
    /// `flush_all [delay]`
    FlushAll {
        /// Seconds from now, by the same rules as an exptime; `None` is at once.
        delay: Option<i64>,
        /// Whether the client wants no answer.
        noreply: bool,
    },
    /// `quit`: has no answer, the connection is closed.
    Quit,
    /// kestrel: `flush <queue>` drops the queue's items.
    Flush {
        /// The queue.
        queue: &'a [u8],
    },
    /// kestrel: `flush_expired <queue>` drops the items that have expired.
    FlushExpired {
        /// The queue.
        queue: &'a [u8],
    },
    /// kestrel: `flush_all_expired`, the same for every queue.
    FlushAllExpired,
    /// kestrel: `shutdown` stops the server; has no answer, the connection is closed.
    Shutdown,
    /// kestrel: `reload` reads the configuration again.
    Reload,
    /// kestrel: `status [new]` asks for the server's status, or sets it.
    Status {
        /// The status to set.
        new: Option<&'a [u8]>,
    },
}

impl Request<'_> {
    /// The command by name, the key to its row in the [table](super::command::TABLE).
    pub const fn command(&self) -> Command {
        match self {
            Self::Get(_) | Self::QueueRead(_) => Command::Get,
            Self::Gets(_) => Command::Gets,
            Self::Set(_) => Command::Set,
            Self::Delete { .. } => Command::Delete,
            Self::Version => Command::Version,
            Self::Verbosity { .. } => Command::Verbosity,
            Self::Stats { .. } => Command::Stats,
            Self::FlushAll { .. } => Command::FlushAll,
            Self::Quit => Command::Quit,
            Self::Flush { .. } => Command::Flush,
            Self::FlushExpired { .. } => Command::FlushExpired,
            Self::FlushAllExpired => Command::FlushAllExpired,
            Self::Shutdown => Command::Shutdown,
            Self::Reload => Command::Reload,
            Self::Status { .. } => Command::Status,
        }
    }

    /// Whether the client wants no answer.
    pub const fn noreply(&self) -> bool {
        match self {
            Self::Set(store) => store.noreply,
            Self::Delete { noreply, .. }
            | Self::Verbosity { noreply, .. }
            | Self::FlushAll { noreply, .. } => *noreply,
            _ => false,
        }
    }
}
