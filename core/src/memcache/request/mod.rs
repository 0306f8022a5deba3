//! Requests: parsing (what a server does) and encoding (what a client does).
//!
//! Parsing has three steps, so that a connection can wait between them and data is never taken
//! for commands: [`find_line`] finds the line, [`parse_line`] reads it and says how long a data
//! block follows, [`split_block`] checks the block's end. [`parse`] does all three on a slice. Who
//! keeps the line while it waits for the block calls [`parse_spans`] in place of [`parse_line`]: the
//! request is [resolved](RequestSpans::resolve) from its spans later, and no line is parsed twice.
//!
//! Step by step, as a connection does it:
//!
//! ```
//! use windhover_core::memcache::request::{self, Message, Request, RequestLine};
//! use windhover_core::memcache::{Dialect, Limits, Parsed};
//!
//! let (dialect, limits) = (Dialect::Memcached, Limits::default());
//! let mut received = b"set greeting 0 60 5\r".to_vec();
//! // No line yet; the bytes that were looked at need not be looked at again.
//! assert_eq!(request::find_line(&received, 0, dialect, &limits)?, None);
//! let searched = received.len();
//! received.extend_from_slice(b"\nhello\r\n");
//! let end = request::find_line(&received, searched, dialect, &limits)?.expect("the line is whole");
//! let (line, rest) = received.split_at(end);
//! let RequestLine { request, data, .. } = request::parse_line(line, dialect, &limits)?;
//! assert!(matches!(request, Request::Set(item) if item.exptime == 60));
//! let length = data.expect("a block follows");
//! assert_eq!(request::split_block(&rest[..length + 2]), Some(&b"hello"[..]));
//!
//! // At once:
//! let Parsed::Complete { message, consumed } = request::parse(&received, dialect, &limits)? else {
//!     panic!("all of it is there");
//! };
//! let Message { request: whole, data, .. } = message;
//! assert_eq!((whole, data, consumed), (request, &b"hello"[..], received.len()));
//! # Ok::<(), request::RequestError>(())
//! ```

mod admin;
mod answered;
mod arguments;
mod batch;
mod encode;
mod error;
mod keys;
mod meta;
mod parse;
mod prepared;
mod queue;
mod spans;
mod store;

pub(crate) use admin::{is_dump, is_without_end, shutdown_mode};
pub use batch::{Barrier, Batch};
pub use encode::{EncodeError, check_key, encode, encode_line};
pub use error::{ErrorRecovery, RequestError, RequestFault};
pub(crate) use parse::{BLOCK_END, Parse, bad_block, parser, with_spans_of_any_length};
pub use parse::{Message, RequestLine, find_line, parse, parse_line, parse_spans, split_block};
pub use prepared::{Prepared, SpareRequest};
pub use spans::RequestSpans;
pub(crate) use store::{parse_credentials_line, split_credentials};

use super::command::Command;
use super::kestrel::QueueRead;
use super::key::Keys;
use super::meta::MetaRequest;

/// What a storage command says of the item; its value is the data block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StoreRequest<'a> {
    /// The key, or in a queue dialect the queue.
    pub key: &'a [u8],
    /// The client's flags, opaque to the server. Queue servers ignore them, and so do `append` and
    /// `prepend`.
    pub flags: u32,
    /// As sent; [`Expiry::of`](super::Expiry::of) says when that is. `append` and `prepend` ignore
    /// it.
    pub exptime: i64,
    /// Whether the client wants no answer; never set in a queue dialect.
    pub noreply: bool,
}

impl<'a> StoreRequest<'a> {
    /// An item without flags that never expires.
    pub const fn new(key: &'a [u8]) -> Self {
        Self { key, flags: 0, exptime: 0, noreply: false }
    }
}

/// How memcached is to stop.
///
/// ```
/// use windhover_core::memcache::request::{self, Request, ShutdownMode};
/// use windhover_core::memcache::{Dialect, Limits};
///
/// let line =
///     request::parse_line(b"shutdown graceful\r\n", Dialect::Memcached, &Limits::default())?;
/// assert_eq!(line.request, Request::Shutdown { mode: ShutdownMode::Graceful });
/// # Ok::<(), request::RequestError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ShutdownMode<'a> {
    /// At once.
    Now,
    /// `graceful`: once the clients have gone.
    Graceful,
    /// Something else: memcached answers `CLIENT_ERROR invalid shutdown mode`, where the command
    /// is allowed at all.
    Unknown(&'a [u8]),
}

/// A request, borrowed from the bytes that it came in. A data block is not part of it.
///
/// Which variant a verb gives, in which dialect, with which arguments and answers, is in the
/// [table of commands](super::command::TABLE).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request<'a> {
    /// `get <key>+`: values without their cas.
    Get(Keys<'a>),
    /// `gets <key>+`: values with their cas.
    Gets(Keys<'a>),
    /// `gat <exptime> <key>+`: as `get`, and the items found get that exptime.
    Gat {
        /// The new exptime, as sent ([`Expiry::of`](super::Expiry::of)).
        exptime: i64,
        /// The keys. The server takes a `gat` without any, and answers `END`.
        keys: Keys<'a>,
    },
    /// `gats <exptime> <key>+`: as `gets`, and the items found get that exptime.
    Gats {
        /// The new exptime, as sent ([`Expiry::of`](super::Expiry::of)).
        exptime: i64,
        /// The keys. The server takes a `gats` without any, and answers `END`.
        keys: Keys<'a>,
    },
    /// A queue's `get <queue>[/option…]`.
    QueueRead(QueueRead<'a>),
    /// `set`: stores the value whatever was there; a queue appends it.
    Set(StoreRequest<'a>),
    /// darner: `set <queue>/sync`: as `set`, answered when the item is on disk.
    SetSync(StoreRequest<'a>),
    /// `add`: stores the value only where none was there.
    Add(StoreRequest<'a>),
    /// `replace`: stores the value only where one was there.
    Replace(StoreRequest<'a>),
    /// `append`: puts the value behind the one that is there.
    Append(StoreRequest<'a>),
    /// `prepend`: puts the value before the one that is there.
    Prepend(StoreRequest<'a>),
    /// `cas`: stores the value only where the item has not changed since.
    Cas {
        /// The item.
        store: StoreRequest<'a>,
        /// The cas unique that the item must have, from a `gets`.
        unique: u64,
    },
    /// The `set` that authenticates, on a connection that asks for it. Answer
    /// [`Stored`](super::response::Response::Stored) to let the client in, anything else (memcached:
    /// `CLIENT_ERROR authentication failure`) to keep it out.
    Authenticate {
        /// The user's name: the block's first word.
        user: &'a [u8],
        /// The password: its second word.
        password: &'a [u8],
    },
    /// `delete <key>`
    Delete {
        /// The key or queue.
        key: &'a [u8],
        /// Whether the client wants no answer.
        noreply: bool,
    },
    /// `incr <key> <delta>`: adds, and wraps at 64 bits.
    Incr {
        /// The key.
        key: &'a [u8],
        /// How much.
        delta: u64,
        /// Whether the client wants no answer.
        noreply: bool,
    },
    /// `decr <key> <delta>`: subtracts, and stops at 0.
    Decr {
        /// The key.
        key: &'a [u8],
        /// How much.
        delta: u64,
        /// Whether the client wants no answer.
        noreply: bool,
    },
    /// `touch <key> <exptime>`: the item gets that exptime.
    Touch {
        /// The key.
        key: &'a [u8],
        /// The new exptime, as sent ([`Expiry::of`](super::Expiry::of)).
        exptime: i64,
        /// Whether the client wants no answer.
        noreply: bool,
    },
    /// `mg <key> <flag>*`: meta get.
    MetaGet(MetaRequest<'a>),
    /// `ms <key> <datalen> <flag>*`: meta set.
    MetaSet(MetaRequest<'a>),
    /// `md <key> <flag>*`: meta delete.
    MetaDelete(MetaRequest<'a>),
    /// `ma <key> <flag>*`: meta arithmetic.
    MetaArithmetic(MetaRequest<'a>),
    /// `me <key> [b]`: meta debug. The only flag is `b`; what else is given is ignored.
    MetaDebug {
        /// The key as it stands on the line.
        key: &'a [u8],
        /// Whether it is base64 ([`meta::decode_key`](super::meta::decode_key)).
        base64: bool,
    },
    /// `mn`: meta no-op, a mark behind quiet requests.
    MetaNoop,
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
        /// Seconds from now, by the same rules as an exptime; `None` is at once, and so is what is
        /// not positive.
        delay: Option<i64>,
        /// Whether the client wants no answer.
        noreply: bool,
    },
    /// `cache_memlimit <megabytes>`
    CacheMemlimit {
        /// The memory that the cache may use.
        megabytes: u32,
        /// Whether the client wants no answer.
        noreply: bool,
    },
    /// An administrative command that is handed on as it is: `slabs`, `lru`, `lru_crawler`,
    /// `watch`, `extstore`, `refresh_certs`.
    ///
    /// A `watch` that is answered `OK` is never answered to its end: what is given after it are log
    /// lines ([`Response::Listing`](super::response::Response::Listing)), until the connection
    /// closes. Refuse it (`CLIENT_ERROR watch commands not allowed`) or take no request behind it.
    Admin {
        /// Which.
        command: Command,
        /// What follows the verb.
        arguments: &'a [u8],
        /// Whether the client wants no answer.
        noreply: bool,
    },
    /// `shutdown [graceful]` stops the server, kestrel's takes no mode. Has no answer, the
    /// connection is closed; where it is not allowed, memcached answers `SERVER_ERROR: shutdown not
    /// enabled`.
    Shutdown {
        /// How.
        mode: ShutdownMode<'a>,
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
    /// kestrel: `monitor <queue> <seconds> [max]` hands out items as they arrive, each as an open
    /// read: a `VALUE` frame and an `END` each, and an `END` alone when the time or the number is
    /// used up. Give them all as the one answer to this request.
    Monitor {
        /// The queue.
        queue: &'a [u8],
        /// For how long.
        seconds: u32,
        /// At most so many items; `None` is as many as come.
        max: Option<u32>,
    },
    /// kestrel: `confirm <queue> <count>` closes the oldest open reads.
    Confirm {
        /// The queue.
        queue: &'a [u8],
        /// How many.
        count: u32,
    },
    /// kestrel: `dump_stats [queue…]`: statistics by queue, to be read by people.
    DumpStats {
        /// The queues; none for all.
        queues: Keys<'a>,
    },
    /// kestrel: `dump_config [queue…]`: configuration by queue, to be read by people.
    DumpConfig {
        /// The queues; none for all.
        queues: Keys<'a>,
    },
    /// kestrel before 2.4: `roll <queue>` begins a new journal file.
    Roll {
        /// The queue.
        queue: &'a [u8],
    },
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
            Self::Gat { .. } => Command::Gat,
            Self::Gats { .. } => Command::Gats,
            Self::Set(_) | Self::SetSync(_) => Command::Set,
            Self::Add(_) => Command::Add,
            Self::Replace(_) => Command::Replace,
            Self::Append(_) => Command::Append,
            Self::Prepend(_) => Command::Prepend,
            Self::Cas { .. } => Command::Cas,
            Self::Authenticate { .. } => Command::Authenticate,
            Self::Delete { .. } => Command::Delete,
            Self::Incr { .. } => Command::Incr,
            Self::Decr { .. } => Command::Decr,
            Self::Touch { .. } => Command::Touch,
            Self::MetaGet(_) => Command::MetaGet,
            Self::MetaSet(_) => Command::MetaSet,
            Self::MetaDelete(_) => Command::MetaDelete,
            Self::MetaArithmetic(_) => Command::MetaArithmetic,
            Self::MetaDebug { .. } => Command::MetaDebug,
            Self::MetaNoop => Command::MetaNoop,
            Self::Version => Command::Version,
            Self::Verbosity { .. } => Command::Verbosity,
            Self::Stats { .. } => Command::Stats,
            Self::FlushAll { .. } => Command::FlushAll,
            Self::CacheMemlimit { .. } => Command::CacheMemlimit,
            Self::Admin { command, .. } => *command,
            Self::Shutdown { .. } => Command::Shutdown,
            Self::Quit => Command::Quit,
            Self::Flush { .. } => Command::Flush,
            Self::FlushExpired { .. } => Command::FlushExpired,
            Self::FlushAllExpired => Command::FlushAllExpired,
            Self::Monitor { .. } => Command::Monitor,
            Self::Confirm { .. } => Command::Confirm,
            Self::DumpStats { .. } => Command::DumpStats,
            Self::DumpConfig { .. } => Command::DumpConfig,
            Self::Roll { .. } => Command::Roll,
            Self::Reload => Command::Reload,
            Self::Status { .. } => Command::Status,
        }
    }

    /// Whether the client wants no answer at all (`noreply`). The meta commands' quiet mode is
    /// another thing: it hides the expected answers only ([`quiet`](Self::quiet)).
    pub const fn noreply(&self) -> bool {
        match self {
            Self::Set(store)
            | Self::SetSync(store)
            | Self::Add(store)
            | Self::Replace(store)
            | Self::Append(store)
            | Self::Prepend(store)
            | Self::Cas { store, .. } => store.noreply,
            Self::Delete { noreply, .. }
            | Self::Incr { noreply, .. }
            | Self::Decr { noreply, .. }
            | Self::Touch { noreply, .. }
            | Self::Verbosity { noreply, .. }
            | Self::FlushAll { noreply, .. }
            | Self::CacheMemlimit { noreply, .. }
            | Self::Admin { noreply, .. } => *noreply,
            Self::Get(_)
            | Self::Gets(_)
            | Self::Gat { .. }
            | Self::Gats { .. }
            | Self::QueueRead(_)
            | Self::Authenticate { .. }
            | Self::MetaGet(_)
            | Self::MetaSet(_)
            | Self::MetaDelete(_)
            | Self::MetaArithmetic(_)
            | Self::MetaDebug { .. }
            | Self::MetaNoop
            | Self::Version
            | Self::Stats { .. }
            | Self::Shutdown { .. }
            | Self::Quit
            | Self::Flush { .. }
            | Self::FlushExpired { .. }
            | Self::FlushAllExpired
            | Self::Monitor { .. }
            | Self::Confirm { .. }
            | Self::DumpStats { .. }
            | Self::DumpConfig { .. }
            | Self::Roll { .. }
            | Self::Reload
            | Self::Status { .. } => false,
        }
    }

    /// Whether the client wants no answer that it expects (the meta flag `q`).
    pub fn quiet(&self) -> bool {
        self.meta().is_some_and(|meta| meta.flags.quiet())
    }

    /// The key and the flags of a meta command that has flags.
    const fn meta(&self) -> Option<&MetaRequest<'_>> {
        match self {
            Self::MetaGet(meta)
            | Self::MetaSet(meta)
            | Self::MetaDelete(meta)
            | Self::MetaArithmetic(meta) => Some(meta),
            Self::Get(_)
            | Self::Gets(_)
            | Self::Gat { .. }
            | Self::Gats { .. }
            | Self::QueueRead(_)
            | Self::Set(_)
            | Self::SetSync(_)
            | Self::Add(_)
            | Self::Replace(_)
            | Self::Append(_)
            | Self::Prepend(_)
            | Self::Cas { .. }
            | Self::Authenticate { .. }
            | Self::Delete { .. }
            | Self::Incr { .. }
            | Self::Decr { .. }
            | Self::Touch { .. }
            | Self::MetaDebug { .. }
            | Self::MetaNoop
            | Self::Version
            | Self::Verbosity { .. }
            | Self::Stats { .. }
            | Self::FlushAll { .. }
            | Self::CacheMemlimit { .. }
            | Self::Admin { .. }
            | Self::Shutdown { .. }
            | Self::Quit
            | Self::Flush { .. }
            | Self::FlushExpired { .. }
            | Self::FlushAllExpired
            | Self::Monitor { .. }
            | Self::Confirm { .. }
            | Self::DumpStats { .. }
            | Self::DumpConfig { .. }
            | Self::Roll { .. }
            | Self::Reload
            | Self::Status { .. } => None,
        }
    }
}
