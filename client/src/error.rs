//! Why a call has no result, and what is known of its effect.

use std::fmt;
use std::str::Utf8Error;
#[cfg(feature = "json")]
use std::sync::Arc;

use std::time::Duration;

use bytes::Bytes;
use windhover_core::client::{
    CallError, ClusterError, ConnectFailure, Item, KeyError, NotSent, Refusal, Server, ServerId,
};
use windhover_core::memcache::request::{EncodeError, Request, check_key};
use windhover_core::memcache::response::Kind;
use windhover_core::memcache::{Keys, Limits, Oversized};

use crate::{AddressError, ExpiresError};

/// What is known of the effect of a call that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It has had no effect and will have none.
    NotSent,
    /// The server refused it.
    Refused,
    /// It was sent and not answered: it may have had its effect, may still have it, or not.
    Unknown,
    /// It was done; what came back cannot be used.
    Done,
}

/// Why a value cannot be used, or not be made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ValueError {
    /// Its flags say that it is compressed, and it does not decompress.
    Decompress,
    /// It is compressed in a way that this build does not know.
    NotBuiltIn {
        /// The cargo feature that knows it.
        feature: &'static str,
    },
    /// It is larger, decompressed, than
    /// [`Builder::largest_decompressed`](crate::Builder::largest_decompressed) allows.
    TooLarge {
        /// How many bytes it may have.
        limit: usize,
    },
    /// It is compressed, and something stands behind it, as `append` puts it there. Nothing is dropped
    /// in silence; [`Client::with_raw_values`](crate::Client::with_raw_values) reads all of it.
    DataBehind {
        /// How many bytes.
        length: usize,
    },
    /// It was not stored: it is larger than
    /// [`Builder::largest_decompressed`](crate::Builder::largest_decompressed), so that it could not be
    /// read again.
    TooLargeToCompress {
        /// How many bytes it has.
        length: usize,
        /// How many it may have.
        limit: usize,
    },
    /// It was not stored: its flags have bits that say how a value is compressed, so that it would be
    /// read as another one ([`Builder::compression_flags`](crate::Builder::compression_flags)).
    FlagsReserved {
        /// These bits.
        bits: u32,
    },
    /// The server has it, and it is too large for this client. The connection goes on.
    Oversized(Oversized),
    /// It was not stored: it could not be compressed.
    Compress,
    /// It was to be text, and is no UTF-8.
    NotText(Utf8Error),
    /// It was to be a number, and is none of that type.
    NotNumber {
        /// The value.
        data: Bytes,
    },
    /// It is no JSON of that type.
    #[cfg(feature = "json")]
    Json(Arc<serde_json::Error>),
    /// It was not stored: it cannot be made JSON of.
    #[cfg(feature = "json")]
    ToJson(Arc<serde_json::Error>),
}

impl ValueError {
    /// Whether a value was not stored, for which nothing was sent.
    const fn is_of_storing(&self) -> bool {
        match self {
            Self::Compress | Self::TooLargeToCompress { .. } | Self::FlagsReserved { .. } => true,
            #[cfg(feature = "json")]
            Self::ToJson(_) => true,
            _ => false,
        }
    }
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decompress => f.write_str(
                "the flags say that the value is compressed, and it does not decompress",
            ),
            Self::NotBuiltIn { feature } => {
                write!(f, "the value is compressed: build with the feature `{feature}` to read it")
            }
            Self::TooLarge { limit } => write!(
                f,
                "the value is larger than {limit} bytes once it is decompressed: raise \
                 `largest_decompressed`"
            ),
            Self::DataBehind { length } => write!(
                f,
                "the value is compressed, and {length} bytes stand behind it (was something \
                 appended?): read it with `Client::with_raw_values`"
            ),
            Self::TooLargeToCompress { length, limit } => write!(
                f,
                "the value has {length} bytes, of which no more than {limit} are decompressed \
                 again: raise `largest_decompressed`"
            ),
            Self::FlagsReserved { bits } => write!(
                f,
                "the flags {bits:#x} say how a value is compressed: choose others, or other bits \
                 with `compression_flags`"
            ),
            Self::Oversized(what) => what.fmt(f),
            Self::Compress => f.write_str("the value could not be compressed"),
            Self::NotText(error) => write!(f, "the value is no text: {error}"),
            Self::NotNumber { data } => {
                write!(f, "the value {} is no number of that type", Shown(data, 40))
            }
            #[cfg(feature = "json")]
            Self::Json(error) => write!(f, "the value is not the JSON that was expected: {error}"),
            #[cfg(feature = "json")]
            Self::ToJson(error) => write!(f, "the value cannot be made JSON of: {error}"),
        }
    }
}

/// Why a call has no result. Its text is one line that names the server, the key and the cause:
///
/// ```text
/// 10.0.0.1:11211: 'user:7': the request was not sent: nobody listens there
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// A key cannot be sent to any server. The other keys of the call were.
    Key {
        /// The key.
        key: Bytes,
        /// What is wrong with it.
        error: EncodeError,
    },
    /// The item's time to expire cannot be sent.
    Expires(ExpiresError),
    /// The request cannot be sent to any server: its size, its options.
    Request(EncodeError),
    /// No server has answered it, or one has refused it.
    Call {
        /// The server that was to do it, where one was chosen.
        server: Option<Server>,
        /// The key or the queue that it was about, where that is one.
        key: Option<Box<[u8]>>,
        /// What happened.
        error: CallError,
    },
    /// The server has answered that it did not do it, where that is no result of the call:
    /// `NOT_STORED` to a `set`.
    NotDone {
        /// The reply.
        reply: Kind,
    },
    /// An [update](crate::Client::update) was given up: whenever the item was read and changed, somebody
    /// else had changed it meanwhile.
    Contended {
        /// How often it was read.
        tries: u32,
    },
    /// Another client computes the value, and has not stored it in time
    /// ([`Recompute::wait`](crate::Recompute::wait)).
    StillComputing {
        /// How long it was waited for.
        waited: Duration,
    },
    /// The queue takes no more items: it is full, on every server that was asked.
    QueueFull,
    /// An error came to one of the requests of a batch, and nobody knows to which: this one may
    /// have been done or not.
    InBatch(Refusal),
    /// A value cannot be used.
    Value(ValueError),
    /// The server's answer is legal, and not one that this call can have: whether it was done is not
    /// known.
    Unexpected,
    /// The address of a server cannot be understood.
    Address(AddressError),
    /// A client was to be made without a server.
    NoServer,
    /// The client cannot be made as asked.
    Cluster(ClusterError),
    /// The operating system gives no random bytes.
    Random,
}

/// So much of a key is shown at most.
const SHOWN: usize = 250;

/// Bytes in quotes, so many at most.
struct Shown<'a>(&'a [u8], usize);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let &Self(bytes, most) = self;
        let shown = bytes.get(..most).unwrap_or(bytes);
        let more = if bytes.len() > most { "…" } else { "" };
        write!(f, "'{}{more}'", shown.escape_ascii())
    }
}

impl Error {
    /// Why a request was not made ready; with its key, where that is the reason.
    pub(crate) fn of_request(request: &Request<'_>, error: EncodeError, limits: &Limits) -> Self {
        let keys = match request {
            Request::Get(keys)
            | Request::Gets(keys)
            | Request::Gat { keys, .. }
            | Request::Gats { keys, .. } => keys.clone(),
            _ => Keys::new(&[]),
        };
        let one = match request {
            Request::Set(store)
            | Request::Add(store)
            | Request::Replace(store)
            | Request::Append(store)
            | Request::Prepend(store)
            | Request::Cas { store, .. } => Some(store.key),
            Request::Delete { key, .. }
            | Request::Incr { key, .. }
            | Request::Decr { key, .. }
            | Request::Touch { key, .. } => Some(*key),
            Request::MetaGet(meta)
            | Request::MetaSet(meta)
            | Request::MetaDelete(meta)
            | Request::MetaArithmetic(meta) => Some(meta.key),
            _ => None,
        };
        let mut keys = keys.chain(one);
        match keys.find_map(|key| Self::check_key(key, limits).err()) {
            // What is wrong with a queue's name, or with an option, is said by the error alone.
            Some(Self::Key { key, error: its }) if its == error => Self::Key { key, error },
            _ => Self::Request(error),
        }
    }

    /// Whether a key can be sent.
    pub(crate) fn check_key(key: &[u8], limits: &Limits) -> Result<(), Self> {
        let named = |error| Self::Key { key: Bytes::copy_from_slice(key), error };
        check_key(key, limits).map_err(named)
    }

    /// What became of a key of a call to `server`.
    pub(crate) fn of_key(server: Option<Server>, id: ServerId, error: KeyError) -> Self {
        match error {
            KeyError::Refused(refusal) => {
                let error = CallError::Refused { server: id, refusal };
                Self::Call { server, key: None, error }
            }
            KeyError::Oversized(what) => Self::Value(ValueError::Oversized(what)),
            _ => Self::Unexpected,
        }
    }

    /// The same, of this key.
    pub(crate) fn with_key(mut self, its: &[u8]) -> Self {
        if let Self::Call { key, .. } = &mut self {
            *key = Some(its.into());
        }
        self
    }

    /// Takes out what was found before a retrieval failed.
    pub(crate) fn take_found(&mut self) -> Vec<Item> {
        match self {
            Self::Call { error, .. } => error.take_found(),
            _ => Vec::new(),
        }
    }

    /// What is known of the call's effect.
    pub const fn outcome(&self) -> Outcome {
        match self {
            Self::Address(_)
            | Self::NoServer
            | Self::Key { .. }
            | Self::Expires(_)
            | Self::Request(_)
            | Self::Cluster(_)
            | Self::StillComputing { .. }
            | Self::Random => Outcome::NotSent,
            Self::NotDone { .. } | Self::Contended { .. } | Self::QueueFull => Outcome::Refused,
            Self::InBatch(_) | Self::Unexpected => Outcome::Unknown,
            Self::Value(error) if error.is_of_storing() => Outcome::NotSent,
            Self::Value(_) => Outcome::Done,
            Self::Call { error, .. } => match error {
                CallError::Refused { .. } => Outcome::Refused,
                CallError::Unknown { .. } => Outcome::Unknown,
                CallError::Keys { failed, .. } => match failed.as_slice() {
                    [(_, KeyError::Refused(_)), ..] => Outcome::Refused,
                    _ => Outcome::Done,
                },
                _ => Outcome::NotSent,
            },
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key { key, error } => {
                write!(f, "the key {} cannot be sent: {error}", Shown(key, SHOWN))
            }
            Self::Expires(error) => error.fmt(f),
            Self::Request(error) => error.fmt(f),
            Self::Call { server, key, error } => {
                if let Some(server) = server {
                    write!(f, "{}: ", server.name)?;
                }
                if let Some(key) = key {
                    write!(f, "{}: ", Shown(key, SHOWN))?;
                }
                error.fmt(f)?;
                match error {
                    CallError::NotSent {
                        why: NotSent::Connect(ConnectFailure::Os(errno)), ..
                    } => {
                        write!(f, ": {}", std::io::Error::from_raw_os_error(*errno))
                    }
                    _ => Ok(()),
                }
            }
            Self::NotDone { reply } => {
                write!(f, "the server has not done it, and says {}", reply.text())
            }
            Self::Contended { tries } => {
                write!(f, "the item was changed by others whenever it was read, {tries} times")
            }
            Self::StillComputing { waited } => {
                write!(f, "another client computes the value, and has not stored it for {waited:?}")
            }
            Self::QueueFull => f.write_str("the queue takes no more items"),
            Self::InBatch(refusal) => {
                write!(f, "a request of the batch, maybe this one, was refused: {refusal}")
            }
            Self::Value(error) => error.fmt(f),
            Self::Unexpected => f.write_str("the server's answer is none that the call can have"),
            Self::Address(error) => error.fmt(f),
            Self::NoServer => f.write_str("there is no server: name at least one"),
            Self::Cluster(error) => error.fmt(f),
            Self::Random => f.write_str("the operating system gives no random bytes"),
        }
    }
}

/// Without sources: an error's own text says all of it, its cause included, and the cause is in it to be
/// matched on. A report that prints each source would say the same thing twice.
impl std::error::Error for Error {}

impl std::error::Error for ValueError {}

impl From<AddressError> for Error {
    fn from(error: AddressError) -> Self {
        Self::Address(error)
    }
}

impl From<ExpiresError> for Error {
    fn from(error: ExpiresError) -> Self {
        Self::Expires(error)
    }
}

impl From<EncodeError> for Error {
    fn from(error: EncodeError) -> Self {
        Self::Request(error)
    }
}

impl From<ValueError> for Error {
    fn from(error: ValueError) -> Self {
        Self::Value(error)
    }
}
