//! What is known of a request that was not answered.

use core::fmt;

use crate::memcache::response::ResponseError;

/// Why a connection of the client role ended. Nothing that a server sends after it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum End {
    /// [`shut_down`](super::ClientConnection::shut_down) was called, and every reply has come.
    Closed,
    /// Nothing was asked for [`ClientTimeouts::idle`](crate::memcache::ClientTimeouts::idle).
    Idle,
    /// The server closed the connection.
    EndOfStream,
    /// The socket broke.
    Broken {
        /// What the operating system calls it (`errno`), where the adapter was told.
        os: Option<OsError>,
    },
    /// Replies are pending, and no byte came for
    /// [`ClientTimeouts::stall`](crate::memcache::ClientTimeouts::stall).
    Stalled,
    /// The server took no byte for [`ClientTimeouts::write`](crate::memcache::ClientTimeouts::write).
    WriteStalled,
    /// What came is no response.
    Malformed(ResponseError),
    /// A response came that nobody had asked for.
    Unasked,
    /// The response cannot answer the request whose turn it was: another command's, or a value of
    /// a key that was not asked for.
    Mismatched,
    /// A retrieval of several keys was answered with an error before any value: the error may be all
    /// of the reply, or that of one key with more to come. Who reads on may take the end of one reply
    /// for another's. The same where a batch that stores values is answered `ERROR`: the server does not
    /// know the command, and takes the values for commands.
    Ambiguous,
    /// A request that ties up the connection was given up: an item that was opened is put back by
    /// the server once the connection is closed, a `watch` has no other end.
    Abandoned,
}

impl End {
    /// Whether the server (or the way to it) is to blame: what counts against its health.
    pub const fn is_fault(self) -> bool {
        !matches!(self, Self::Closed | Self::Idle | Self::Ambiguous | Self::Abandoned)
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the connection was shut down",
            Self::Idle => "the connection was closed after a time without requests",
            Self::EndOfStream => "the server closed the connection",
            Self::Broken { .. } => "the connection broke",
            Self::Stalled => "replies are pending, and the server has gone silent",
            Self::WriteStalled => "the server takes no more bytes",
            Self::Malformed(_) => "the server's bytes are no response",
            Self::Unasked => "the server sent a response that nobody had asked for",
            Self::Mismatched => "the server's response cannot answer the request that was due",
            Self::Ambiguous => {
                "the server refused several requests at once, and where its reply ends is not known"
            }
            Self::Abandoned => "a request that tied up the connection was given up",
        })
    }
}

/// What an operating system calls an error (`errno`): its words are known where there is `std`
/// (`std::io::Error::from_raw_os_error`).
///
/// ```
/// use windhover_core::memcache::{End, OsError};
///
/// let reset = End::Broken { os: Some(OsError(104)) };
/// // The core has no table of them; where there is `std`, it has the words.
/// assert_eq!(
///     std::error::Error::source(&reset).map(ToString::to_string).as_deref(),
///     Some("os error 104")
/// );
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OsError(pub i32);

impl fmt::Display for OsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "os error {}", self.0)
    }
}

impl core::error::Error for OsError {}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The request's own deadline has passed.
    Deadline,
    /// The connection ended.
    End(End),
    /// Another server was asked, which does not have it, and the owner of the key could not be: a
    /// cluster's reason.
    NotTheOwner,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deadline => f.write_str("its deadline has passed"),
            Self::End(end) => end.fmt(f),
            Self::NotTheOwner => f.write_str(
                "another server does not have it, and the owner of the key was not asked",
            ),
        }
    }
}

/// A request that has no answer, or not all of it, and what is known of its effect.
///
/// ```
/// use bytes::Bytes;
/// use core::time::Duration;
/// use windhover_core::Instant;
/// use windhover_core::memcache::request::{Prepared, Request};
/// use windhover_core::memcache::{
///     AnswerError, ClientConnection, ClientOutput, ClientTimeouts, Dialect, End, Limits, Reason,
/// };
///
/// let (limits, now) = (Limits::default(), Instant::default());
/// let mut connection =
///     ClientConnection::new(Dialect::Memcached, &limits, &ClientTimeouts::default(), now);
/// let incr = Request::Incr { key: b"visits", delta: 1, noreply: false };
/// let incr = Prepared::new(&incr, Bytes::new(), Dialect::Memcached, &limits)?;
/// connection.send(&incr, now + Duration::from_secs(1))?;
/// assert!(matches!(connection.poll_output(now), ClientOutput::Write));
/// connection.wrote(15);
/// // The server goes away: it may have counted, or not.
/// connection.end_of_stream();
/// let ClientOutput::Done { outcome: Err(error), .. } = connection.poll_output(now) else {
///     panic!("there is no answer");
/// };
/// assert_eq!(error, AnswerError::Unknown(Reason::End(End::EndOfStream)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AnswerError {
    /// No byte of it has left: it has had no effect and will have none.
    NotSent(Reason),
    /// It has left, or begun to: the server may have done it, may still do it, or not.
    Unknown(Reason),
}

impl AnswerError {
    /// Why.
    pub const fn reason(self) -> Reason {
        match self {
            Self::NotSent(reason) | Self::Unknown(reason) => reason,
        }
    }
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent(reason) => write!(f, "the request was not sent: {reason}"),
            Self::Unknown(reason) => write!(
                f,
                "the request was sent and not answered, whether it was done is not known: {reason}"
            ),
        }
    }
}

impl core::error::Error for End {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Malformed(error) => Some(error),
            Self::Broken { os: Some(os) } => Some(os),
            _ => None,
        }
    }
}

impl core::error::Error for Reason {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::End(end) => end.source(),
            Self::Deadline | Self::NotTheOwner => None,
        }
    }
}

impl core::error::Error for AnswerError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        let (Self::NotSent(reason) | Self::Unknown(reason)) = self;
        reason.source()
    }
}

/// What is too large in an item that the server has sent. It was read to its end and dropped: the
/// connection goes on, and so do the other keys of the request.
///
/// ```
/// use bytes::Bytes;
/// use core::time::Duration;
/// use windhover_core::Instant;
/// use windhover_core::memcache::request::{Prepared, Request};
/// use windhover_core::memcache::{
///     ClientConnection, ClientOutput, ClientTimeouts, Dialect, Keys, Limits, Oversized,
/// };
///
/// let (limits, now) = (Limits::default().with_value(4), Instant::default());
/// let mut connection =
///     ClientConnection::new(Dialect::Memcached, &limits, &ClientTimeouts::default(), now);
/// let get = Request::Get(Keys::new(&[b"greeting"]));
/// let get = Prepared::new(&get, Bytes::new(), Dialect::Memcached, &limits)?;
/// connection.send(&get, now + Duration::from_secs(1))?;
/// # assert!(matches!(connection.poll_output(now), ClientOutput::Write));
/// # connection.wrote(14);
/// connection.receive(b"VALUE greeting 0 5\r\nhello\r\nEND\r\n");
/// let ClientOutput::Oversized { index: Some(0), what, .. } = connection.poll_output(now) else {
///     panic!("the first key's value has five bytes");
/// };
/// assert_eq!(what, Oversized::Value { length: 5, limit: 4 });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Oversized {
    /// The value, in bytes, is above [`Limits::value`](crate::memcache::Limits::value).
    Value {
        /// How long it is.
        length: u64,
        /// How long it may be.
        limit: usize,
    },
    /// The flags do not fit the 32 bits that the protocol has.
    Flags {
        /// The flags.
        flags: u64,
    },
}

impl fmt::Display for Oversized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value { length, limit } => write!(
                f,
                "the value has {length} bytes, more than the {limit} of `Limits::value`: raise it"
            ),
            Self::Flags { flags } => write!(f, "the value's flags {flags} do not fit 32 bits"),
        }
    }
}

impl core::error::Error for Oversized {}

/// Why a connection did not take a request, which was not sent.
///
/// ```
/// use bytes::Bytes;
/// use core::time::Duration;
/// use windhover_core::Instant;
/// use windhover_core::memcache::request::{Prepared, Request};
/// use windhover_core::memcache::{ClientConnection, ClientTimeouts, Dialect, Limits, SendError};
///
/// let (limits, now) = (Limits::default().with_pipeline(1), Instant::default());
/// let mut connection =
///     ClientConnection::new(Dialect::Memcached, &limits, &ClientTimeouts::default(), now);
/// let version = Prepared::new(&Request::Version, Bytes::new(), Dialect::Memcached, &limits)?;
/// let deadline = now + Duration::from_secs(1);
/// assert!(connection.send(&version, deadline).is_ok());
/// assert_eq!(connection.send(&version, deadline), Err(SendError::Full));
/// connection.shut_down();
/// assert_eq!(connection.send(&version, deadline), Err(SendError::Ended));
/// # Ok::<(), windhover_core::memcache::request::EncodeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SendError {
    /// [`Limits::pipeline`](crate::memcache::Limits::pipeline) requests are under way already.
    Full,
    /// The connection has ended, or is about to.
    Ended,
    /// The request was prepared for another dialect.
    OtherDialect,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "as many requests as `Limits::pipeline` allows wait for their answers",
            Self::Ended => "the connection has ended: send it on another one",
            Self::OtherDialect => "the request was prepared for another dialect",
        })
    }
}

impl core::error::Error for SendError {}
