//! Why a call has no answer, and what is known of its effect.

use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

use super::{Item, ServerId};
use crate::memcache::response::{Kind, Response};
use crate::memcache::{AnswerError, End, OsError, Oversized, Reason};

/// A server's refusal, in its own words.
///
/// ```
/// # use bytes::Bytes;
/// # use core::time::Duration;
/// # use windhover_core::Instant;
/// # use windhover_core::memcache::request::{Prepared, Request, StoreRequest};
/// use windhover_core::client::{
///     Call, CallError, Cluster, ClusterOptions, ClusterOutput, Refusal, Server,
/// };
/// use windhover_core::memcache::Dialect;
/// use windhover_core::memcache::response::Kind;
///
/// # let (now, options) = (Instant::default(), ClusterOptions::default());
/// # let request = Request::Set(StoreRequest::new(b"key"));
/// # let prepared = Prepared::new(&request, Bytes::from("value"), Dialect::Memcached, &options.limits)?;
/// # let written = prepared.wire().concat().len();
/// # let mut cluster = Cluster::new(&[Server::new("10.0.0.1:11211")], options, 42, now)?;
/// # cluster.submit(Call::write(prepared), now + Duration::from_millis(250), now)?;
/// # let ClusterOutput::Connect { connection, .. } = cluster.poll_output(now) else { panic!() };
/// # cluster.connected(connection, now);
/// # assert!(matches!(cluster.poll_output(now), ClusterOutput::Write { .. }));
/// # cluster.wrote(connection, written);
/// // To a `set`:
/// cluster.receive(connection, b"SERVER_ERROR out of memory storing object\r\n");
/// let ClusterOutput::Completed(completed) = cluster.poll_output(now) else { panic!("it is answered") };
/// let Err(CallError::Refused { refusal, .. }) = completed.outcome else { panic!("it is refused") };
/// let Refusal { kind, words, .. } = &refusal;
/// assert_eq!((*kind, &words[..]), (Kind::ServerError, &b"out of memory storing object"[..]));
/// assert_eq!(refusal.to_string(), "SERVER_ERROR out of memory storing object");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// `ERROR`, `CLIENT_ERROR` or `SERVER_ERROR`.
    pub kind: Kind,
    /// What stands behind it; may be empty.
    pub words: Bytes,
}

impl Refusal {
    pub(super) fn of(response: &Response<'_>) -> Option<Self> {
        match response {
            Response::Error(words)
            | Response::ClientError(words)
            | Response::ServerError(words) => {
                Some(Self { kind: response.kind(), words: Bytes::copy_from_slice(words) })
            }
            _ => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind.text();
        if self.words.is_empty() {
            f.write_str(kind)
        } else {
            write!(f, "{kind} {}", self.words.escape_ascii())
        }
    }
}

/// Why no connection could be made.
///
/// ```
/// use core::error::Error;
/// use windhover_core::client::{ConnectFailure, NotSent, OsError};
///
/// // No route to the host, as Linux numbers it.
/// let failure = ConnectFailure::Os(OsError(113));
/// assert_eq!(NotSent::Connect(failure).to_string(), "it cannot be connected to");
/// assert_eq!(failure.source().map(ToString::to_string).as_deref(), Some("os error 113"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectFailure {
    /// Nobody listens at the address.
    Refused,
    /// It took longer than [`connect_timeout`](super::ClusterOptions::connect_timeout).
    TimedOut,
    /// The server's name has no address.
    NoAddress,
    /// The server did not accept the credentials.
    Unauthenticated,
    /// TLS could not be agreed upon.
    Tls,
    /// The operating system says something else: no route to the host, no such
    /// path of a Unix socket.
    Os(OsError),
    /// Anything else.
    Other,
}

impl fmt::Display for ConnectFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "nobody listens there",
            Self::TimedOut => "connecting took too long",
            Self::NoAddress => "its name has no address",
            Self::Unauthenticated => "it did not accept the credentials",
            Self::Tls => "TLS could not be agreed upon",
            Self::Os(_) | Self::Other => "it cannot be connected to",
        })
    }
}

/// Why a call was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotSent {
    /// There is no server in the set, or none that the call may go to.
    NoServer,
    /// The server is out of use after failures, until a probe succeeds.
    Ejected,
    /// The server could not be connected to.
    Connect(ConnectFailure),
    /// [`waiting`](super::ClusterOptions::waiting) calls wait already, or every exclusive
    /// connection is in use.
    Overloaded,
    /// The deadline passed while it waited for its turn.
    Deadline,
    /// The connection ended before its turn.
    Connection(End),
    /// It was prepared for another dialect than the servers'.
    OtherDialect,
    /// The reservation's connection is gone.
    ReservationLost,
    /// The client is shutting down.
    ShuttingDown,
}

impl fmt::Display for NotSent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoServer => "there is no server to send it to",
            Self::Ejected => "the server is out of use after failures",
            Self::Connect(failure) => return failure.fmt(f),
            Self::Overloaded => "too many calls wait already",
            Self::Deadline => "its deadline has passed",
            Self::Connection(end) => return end.fmt(f),
            Self::OtherDialect => "it was prepared for another dialect",
            Self::ReservationLost => "the connection that held the reservation is gone",
            Self::ShuttingDown => "the client is shutting down",
        })
    }
}

/// Why one key of a retrieval has neither a value nor a miss, though its server has answered.
///
/// ```
/// # use bytes::Bytes;
/// # use core::time::Duration;
/// # use windhover_core::Instant;
/// # use windhover_core::memcache::Keys;
/// # use windhover_core::memcache::request::{Prepared, Request};
/// use windhover_core::client::{
///     Call, CallError, Cluster, ClusterOptions, ClusterOutput, KeyError, Server,
/// };
/// use windhover_core::memcache::{Dialect, Oversized};
///
/// let (now, mut options) = (Instant::default(), ClusterOptions::default());
/// options.limits.value = 4;
/// # let request = Request::Get(Keys::new(&[b"a", b"b"]));
/// # let prepared = Prepared::new(&request, Bytes::new(), Dialect::Memcached, &options.limits)?;
/// # let mut cluster = Cluster::new(&[Server::new("10.0.0.1:11211")], options, 42, now)?;
/// # cluster.submit(Call::read(prepared), now + Duration::from_millis(250), now)?;
/// # let ClusterOutput::Connect { connection, .. } = cluster.poll_output(now) else { panic!() };
/// # cluster.connected(connection, now);
/// # assert!(matches!(cluster.poll_output(now), ClusterOutput::Write { .. }));
/// # cluster.wrote(connection, 9);
/// // To `get a b`:
/// cluster.receive(connection, b"VALUE a 0 5\r\nhello\r\nVALUE b 0 2\r\nhi\r\nEND\r\n");
/// let ClusterOutput::Completed(completed) = cluster.poll_output(now) else { panic!("it is answered") };
/// let Err(CallError::Keys { found, failed, .. }) = completed.outcome else { panic!("`a` has failed") };
/// let too_large = KeyError::Oversized(Oversized::Value { length: 5, limit: 4 });
/// assert_eq!(failed, [(0, too_large)]);
/// // What the others have is not lost for it.
/// assert_eq!((found[0].index, found[0].value.to_vec()), (1, b"hi".to_vec()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// The server refused it. An error line names no key: where it stands among the values tells which
    /// keys it may be, and each of them is said to be refused.
    Refused(Refusal),
    /// The server has a value that is too large for us.
    Oversized(Oversized),
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => write!(f, "the server refused the key: {refusal}"),
            Self::Oversized(what) => what.fmt(f),
        }
    }
}

impl core::error::Error for KeyError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Refused(refusal) => refusal.source(),
            Self::Oversized(what) => what.source(),
        }
    }
}

/// Why a call has no answer, or none for some of its keys. Which of the four it is says what is known
/// of its effect.
///
/// ```
/// use bytes::Bytes;
/// use core::time::Duration;
/// use windhover_core::Instant;
/// use windhover_core::client::{
///     Call, CallError, Cluster, ClusterOptions, ClusterOutput, NotSent, OsError, Server,
/// };
/// use windhover_core::memcache::request::{Prepared, Request};
/// use windhover_core::memcache::{Dialect, End, Reason};
///
/// let (now, options) = (Instant::default(), ClusterOptions::default());
/// let incr = Request::Incr { key: b"visits", delta: 1, noreply: false };
/// let incr = Prepared::new(&incr, Bytes::new(), Dialect::Memcached, &options.limits)?;
/// let call = || (Call::write(incr.clone()), now + Duration::from_millis(250));
///
/// let outcome = |cluster: &mut Cluster| loop {
///     if let ClusterOutput::Completed(completed) = cluster.poll_output(now) {
///         break completed.outcome;
///     }
/// };
///
/// let mut none = Cluster::new(&[], options.clone(), 42, now)?;
/// let (write, deadline) = call();
/// none.submit(write, deadline, now)?;
/// let error = outcome(&mut none).unwrap_err();
/// assert!(matches!(error, CallError::NotSent { server: None, why: NotSent::NoServer }));
/// assert!(error.had_no_effect());
///
/// let mut cluster = Cluster::new(&[Server::new("10.0.0.1:11211")], options, 42, now)?;
/// let (write, deadline) = call();
/// cluster.submit(write, deadline, now)?;
/// let ClusterOutput::Connect { connection, .. } = cluster.poll_output(now) else { panic!("it connects") };
/// cluster.connected(connection, now);
/// assert!(matches!(cluster.poll_output(now), ClusterOutput::Write { .. }));
/// cluster.wrote(connection, 15);
/// // Reset by the peer, who may have counted before.
/// cluster.broke(connection, Some(OsError(104)));
/// let error = outcome(&mut cluster).unwrap_err();
/// let broken = Reason::End(End::Broken { os: Some(OsError(104)) });
/// assert!(matches!(&error, CallError::Unknown { why, .. } if *why == broken));
/// assert!(!error.had_no_effect());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum CallError {
    /// It has had no effect and will have none.
    NotSent {
        /// The server that it was for, where one was chosen.
        server: Option<ServerId>,
        /// Why.
        why: NotSent,
    },
    /// The server refused it.
    Refused {
        /// Which server.
        server: ServerId,
        /// What it said.
        refusal: Refusal,
    },
    /// The server has answered, but not for all of its keys (of a meta command: not for its only one).
    Keys {
        /// Which server.
        server: ServerId,
        /// What was found of the other keys, and of one that the server has answered and refused both. What is
        /// neither here nor among those that failed is a miss.
        found: Vec<Item>,
        /// The keys without an answer, or with an error behind it, counted from 0, and why.
        failed: Vec<(usize, KeyError)>,
    },
    /// It was sent and not answered: it may have had its effect, may still have it, or not.
    Unknown {
        /// Which server was asked last.
        server: ServerId,
        /// Why there is no answer.
        why: Reason,
        /// What a retrieval found before its reply broke off.
        found: Vec<Item>,
    },
}

impl CallError {
    /// The server that was to do it, where one was chosen.
    pub const fn server(&self) -> Option<ServerId> {
        match self {
            Self::NotSent { server, .. } => *server,
            Self::Refused { server, .. }
            | Self::Keys { server, .. }
            | Self::Unknown { server, .. } => Some(*server),
        }
    }

    /// Takes out what was found of a retrieval's keys before it failed.
    pub fn take_found(&mut self) -> Vec<Item> {
        match self {
            Self::Keys { found, .. } | Self::Unknown { found, .. } => core::mem::take(found),
            Self::NotSent { .. } | Self::Refused { .. } => Vec::new(),
        }
    }

    /// Whether it has had no effect: it may be sent again without being done twice.
    pub const fn had_no_effect(&self) -> bool {
        matches!(self, Self::NotSent { .. } | Self::Refused { .. })
    }

    pub(super) fn unanswered(server: ServerId, outcome: AnswerError, found: Vec<Item>) -> Self {
        match outcome {
            AnswerError::NotSent(reason) => {
                let why = match reason {
                    Reason::End(end) => NotSent::Connection(end),
                    _ => NotSent::Deadline,
                };
                Self::NotSent { server: Some(server), why }
            }
            AnswerError::Unknown(why) => Self::Unknown { server, why, found },
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent { why, .. } => write!(f, "the request was not sent: {why}"),
            Self::Refused { refusal, .. } => write!(f, "the server refused the request: {refusal}"),
            Self::Keys { failed, .. } => match failed.first() {
                Some((_, only)) if failed.len() == 1 => write!(f, "a key has no answer: {only}"),
                Some((_, first)) => {
                    write!(f, "{} keys have no answer, the first: {first}", failed.len())
                }
                None => f.write_str("some keys have no answer"),
            },
            Self::Unknown { why, .. } => write!(
                f,
                "the request was sent and not answered, whether it was done is not known: {why}"
            ),
        }
    }
}

impl core::error::Error for CallError {
    /// What the operating system says, or what is wrong with the server's bytes, where that is the cause:
    /// all else is in the text.
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::NotSent { why, .. } => why.source(),
            Self::Refused { refusal, .. } => refusal.source(),
            Self::Keys { failed, .. } => failed.first().and_then(|(_, first)| first.source()),
            Self::Unknown { why, .. } => why.source(),
        }
    }
}

impl core::error::Error for Refusal {}

impl core::error::Error for ConnectFailure {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Os(os) => Some(os),
            _ => None,
        }
    }
}
impl core::error::Error for NotSent {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Connect(failure) => failure.source(),
            Self::Connection(end) => end.source(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use core::error::Error;
    use std::string::ToString;

    use super::*;
    use crate::memcache::response::ResponseError;

    /// An error's text and those of its sources.
    fn chain(error: &CallError) -> std::vec::Vec<std::string::String> {
        let sources = core::iter::successors(error.source(), |error| (*error).source());
        core::iter::once(error.to_string()).chain(sources.map(ToString::to_string)).collect()
    }

    #[test]
    fn a_call_tells_why_it_failed_and_its_source_tells_what_the_text_does_not() {
        let server = ServerId(1);
        let not_sent = |why| CallError::NotSent { server: Some(server), why };
        let end = End::Malformed(ResponseError::BadValueLine);
        let refused = not_sent(NotSent::Connect(ConnectFailure::Refused));
        assert_eq!(chain(&refused), ["the request was not sent: nobody listens there"]);
        let text = "the server's bytes are no response";
        let cause = ResponseError::BadValueLine.to_string();
        assert_eq!(
            chain(&not_sent(NotSent::Connection(end))),
            [std::format!("the request was not sent: {text}"), cause.clone()]
        );
        let unknown = CallError::Unknown { server, why: Reason::End(end), found: Vec::new() };
        let [told, its] = &chain(&unknown)[..] else { panic!("one cause") };
        assert!(told.ends_with(text), "{told}");
        assert_eq!(*its, cause);
        let os = Some(OsError(104));
        let unknown =
            CallError::Unknown { server, why: Reason::End(End::Broken { os }), found: Vec::new() };
        let [told, its] = &chain(&unknown)[..] else { panic!("one cause") };
        assert!(told.ends_with("the connection broke"), "{told}");
        assert_eq!(its, "os error 104");
        let refusal = Refusal { kind: Kind::ServerError, words: Bytes::from_static(b"busy") };
        let keys = CallError::Keys {
            server,
            found: Vec::new(),
            failed: std::vec![(0, KeyError::Refused(refusal))],
        };
        let told = "a key has no answer: the server refused the key: SERVER_ERROR busy";
        assert_eq!(chain(&keys), [told]);
    }
}
