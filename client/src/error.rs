//! Why a call has no result, and what is known of its effect.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use windhover_core::client::{
    Answer, CallError, ClusterError, Item, KeyError, OsError, Refusal, Server, ServerId,
};
use windhover_core::memcache::meta::MetaCode;
use windhover_core::memcache::request::{EncodeError, Request, check_key};
use windhover_core::memcache::response::Kind;
use windhover_core::memcache::{Keys, Limits};
use windhover_runtime::Report;

use crate::{AddressError, ExpiresError, ValueError};

/// What is known of the effect of a call that failed.
///
/// ```
/// use windhover_client::{Error, Outcome};
///
/// /// Whether an order may be sent again without being placed twice.
/// fn may_be_repeated(error: &Error) -> bool {
///     match error.outcome() {
///         Outcome::NotSent | Outcome::Refused => true,
///         Outcome::Unknown | Outcome::Done => false,
///     }
/// }
/// # let too_long = windhover_client::server_address("a b", 11211).map_err(Error::from);
/// # assert!(may_be_repeated(&too_long.unwrap_err()));
/// ```
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

/// Why a call has no result: what happened ([`kind`](Self::kind)), where, and to which key.
///
/// Its text is one line that names the server and the key. What the operating system or another library
/// said of it is its [`source`](std::error::Error::source), which the text does not repeat; `{error:#}` is
/// both in one line:
///
/// ```text
/// 10.0.0.1:11211: 'user:7': the request was not sent: it cannot be connected to: No route to host (os error 113)
/// ```
///
/// ```
/// use windhover_client::protocol::client::CallError;
/// use windhover_client::{Error, ErrorKind};
///
/// fn is_full(error: &Error) -> bool {
///     match error.kind() {
///         ErrorKind::Call(CallError::Refused { refusal, .. }) => {
///             refusal.words.starts_with(b"out of memory")
///         }
///         _ => false,
///     }
/// }
/// ```
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    server: Option<Server>,
    key: Option<Bytes>,
    /// The words of the operating system, a resolver, or TLS, where they have any.
    cause: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// What happened to a call that has no result.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The key cannot be sent to any server. The other keys of the call were.
    Key(EncodeError),
    /// The item's time to expire cannot be sent.
    Expires(ExpiresError),
    /// The request cannot be sent to any server: its size, its options.
    Request(EncodeError),
    /// No server has answered it, or one has refused it.
    Call(CallError),
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
    Unexpected {
        /// What it answered: its word, or what kind of answer it is.
        answer: &'static str,
    },
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
pub(crate) struct Shown<'a>(pub(crate) &'a [u8], pub(crate) usize);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let &Self(bytes, most) = self;
        let shown = bytes.get(..most).unwrap_or(bytes);
        let more = if bytes.len() > most { "…" } else { "" };
        write!(f, "'{}{more}'", shown.escape_ascii())
    }
}

impl ErrorKind {
    /// Of an answer that is none to its call.
    pub(crate) fn unexpected(answer: &Answer) -> Self {
        let answer = match answer {
            Answer::Items(items) if items.is_empty() => "END",
            Answer::Items(_) => "VALUE",
            Answer::Word(kind) => kind.text(),
            Answer::Number(_) => "a number",
            Answer::Meta(answer) => Kind::Meta(answer.code).text(),
            Answer::Statistics(_) => "STAT",
            Answer::Text(_) => "a line of text",
            Answer::Lines(_) => "lines of text",
            Answer::Batch(_) => "replies to a batch",
            Answer::Closed => "the end of the connection",
            _ => "something else",
        };
        Self::Unexpected { answer }
    }

    /// Of the reply to a meta command that is none to its call.
    pub(crate) const fn unexpected_code(code: MetaCode) -> Self {
        Self::Unexpected { answer: Kind::Meta(code).text() }
    }

    /// Of something that is not in an answer, though it was asked for.
    pub(crate) const fn lacks(what: &'static str) -> Self {
        Self::Unexpected { answer: what }
    }

    /// What became of a key of a call to `server`.
    pub(crate) fn of_key(server: ServerId, error: KeyError) -> Self {
        match error {
            KeyError::Refused(refusal) => Self::Call(CallError::Refused { server, refusal }),
            KeyError::Oversized(what) => Self::Value(ValueError::Oversized(what)),
            _ => Self::Unexpected { answer: "something else" },
        }
    }

    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        use std::error::Error as _;
        match self {
            Self::Key(error) | Self::Request(error) => error.source(),
            Self::Expires(error) => error.source(),
            Self::Call(error) => error.source(),
            Self::InBatch(refusal) => refusal.source(),
            Self::Value(error) => error.source(),
            Self::Address(error) => error.source(),
            Self::Cluster(error) => error.source(),
            Self::NotDone { .. }
            | Self::Contended { .. }
            | Self::StillComputing { .. }
            | Self::QueueFull
            | Self::Unexpected { .. }
            | Self::NoServer
            | Self::Random => None,
        }
    }
}

impl Error {
    /// What happened.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// What happened, taken out.
    pub fn into_kind(self) -> ErrorKind {
        self.0.kind
    }

    /// The server that was asked last, or was to be; `None` where none was chosen.
    pub fn server(&self) -> Option<&Server> {
        self.0.server.as_ref()
    }

    /// The key or the queue that it is about, as the server has it (with the
    /// [prefix](crate::Builder::key_prefix)); `None` where the call has none, or several.
    pub fn key(&self) -> Option<&[u8]> {
        self.0.key.as_deref()
    }

    /// The same, of this server.
    pub(crate) fn with_server(mut self, server: Option<Server>) -> Self {
        self.0.server = server;
        self
    }

    /// The same, with what led to it, where that is known.
    pub(crate) fn with_cause(
        mut self,
        cause: Option<Arc<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        if cause.is_some() {
            self.0.cause = cause;
        }
        self
    }

    /// The same, of this key.
    pub(crate) fn with_key(mut self, key: &[u8]) -> Self {
        self.0.key = Some(Bytes::copy_from_slice(key));
        self
    }

    /// The same, with another kind made of its own, where `change` makes one.
    pub(crate) fn map_kind(mut self, change: impl FnOnce(ErrorKind) -> ErrorKind) -> Self {
        self.0.kind = change(self.0.kind);
        self
    }

    /// The operating system gives no random bytes.
    pub(crate) fn random(error: getrandom::Error) -> Self {
        let mut random = Self::from(ErrorKind::Random);
        let system = error.raw_os_error().map(io::Error::from_raw_os_error);
        random.0.cause = system.map(|system| Arc::new(system) as _);
        random
    }

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
            Some(its) if matches!(its.kind(), ErrorKind::Key(its) if *its == error) => its,
            _ => {
                let error = Self::from(ErrorKind::Request(error));
                let mut keys = request.keys();
                match (keys.next(), keys.next()) {
                    (Some(key), None) => error.with_key(key),
                    _ => error,
                }
            }
        }
    }

    /// Whether a key can be sent.
    pub(crate) fn check_key(key: &[u8], limits: &Limits) -> Result<(), Self> {
        let named = |error| Self::from(ErrorKind::Key(error)).with_key(key);
        check_key(key, limits).map_err(named)
    }

    /// Takes out what was found before a retrieval failed.
    pub(crate) fn take_found(&mut self) -> Vec<Item> {
        match &mut self.0.kind {
            ErrorKind::Call(error) => error.take_found(),
            _ => Vec::new(),
        }
    }

    /// Takes out what came whole, where the server has answered and an error stood behind it.
    pub(crate) fn take_answered(&mut self) -> Vec<Item> {
        match &mut self.0.kind {
            ErrorKind::Call(error @ CallError::Keys { .. }) => error.take_found(),
            _ => Vec::new(),
        }
    }

    /// Takes out the keys of a retrieval that have no answer, with why, where others have one; and whose
    /// answer it is.
    pub(crate) fn take_failed(&mut self) -> Option<(ServerId, Vec<(usize, KeyError)>)> {
        match &mut self.0.kind {
            ErrorKind::Call(CallError::Keys { server, failed, .. }) => {
                Some((*server, std::mem::take(failed)))
            }
            _ => None,
        }
    }

    /// Which server was asked last.
    pub(crate) fn server_id(&self) -> Option<ServerId> {
        match self.kind() {
            ErrorKind::Call(error) => error.server(),
            _ => None,
        }
    }

    /// Puts in what was found of all keys of a retrieval that failed for some.
    pub(crate) fn put_found(&mut self, all: Vec<Item>) {
        if let ErrorKind::Call(CallError::Unknown { found, .. }) = &mut self.0.kind {
            *found = all;
        }
    }

    /// What is known of the call's effect.
    pub fn outcome(&self) -> Outcome {
        match self.kind() {
            ErrorKind::Address(_)
            | ErrorKind::NoServer
            | ErrorKind::Key(_)
            | ErrorKind::Expires(_)
            | ErrorKind::Request(_)
            | ErrorKind::Cluster(_)
            | ErrorKind::StillComputing { .. }
            | ErrorKind::Random => Outcome::NotSent,
            ErrorKind::NotDone { .. } | ErrorKind::Contended { .. } | ErrorKind::QueueFull => {
                Outcome::Refused
            }
            ErrorKind::InBatch(_) | ErrorKind::Unexpected { .. } => Outcome::Unknown,
            ErrorKind::Value(error) if error.is_of_storing() => Outcome::NotSent,
            ErrorKind::Value(_) => Outcome::Done,
            ErrorKind::Call(error) => match error {
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
    /// With `#`, its causes too.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            return Report::new(self).fmt(f);
        }
        if let Some(server) = self.server() {
            write!(f, "{}: ", server.name)?;
        }
        if let Some(key) = self.key() {
            write!(f, "{}: ", Shown(key, SHOWN))?;
        }
        self.kind().fmt(f)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(error) => write!(f, "the key cannot be sent: {error}"),
            Self::Expires(error) => error.fmt(f),
            Self::Request(error) => error.fmt(f),
            Self::Call(error) => error.fmt(f),
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
            Self::Unexpected { answer } => {
                write!(f, "the server's answer is none that the call can have: {answer}")
            }
            Self::Address(error) => error.fmt(f),
            Self::NoServer => f.write_str("there is no server: name at least one"),
            Self::Cluster(error) => error.fmt(f),
            Self::Random => f.write_str("the operating system gives no random bytes"),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, server, key, cause } = &*self.0;
        let mut told = f.debug_struct("Error");
        told.field("kind", kind);
        if let Some(server) = server {
            told.field("server", &server.name);
        }
        if let Some(key) = key {
            told.field("key", key);
        }
        if let Some(cause) = cause {
            told.field("cause", cause);
        }
        told.finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.cause {
            Some(error) => Some(&**error),
            None => self.kind().source(),
        }
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        let os = kind.source().and_then(|source| source.downcast_ref::<OsError>());
        let system = os.map(|os| io::Error::from_raw_os_error(os.0));
        let cause = system.map(|system| Arc::new(system) as _);
        Self(Box::new(Inner { kind, server: None, key: None, cause }))
    }
}

impl From<CallError> for Error {
    fn from(error: CallError) -> Self {
        ErrorKind::Call(error).into()
    }
}

impl From<AddressError> for Error {
    fn from(error: AddressError) -> Self {
        ErrorKind::Address(error).into()
    }
}

impl From<ExpiresError> for Error {
    fn from(error: ExpiresError) -> Self {
        ErrorKind::Expires(error).into()
    }
}

impl From<EncodeError> for Error {
    fn from(error: EncodeError) -> Self {
        ErrorKind::Request(error).into()
    }
}

impl From<ValueError> for Error {
    fn from(error: ValueError) -> Self {
        ErrorKind::Value(error).into()
    }
}

impl From<ValueError> for ErrorKind {
    fn from(error: ValueError) -> Self {
        Self::Value(error)
    }
}
