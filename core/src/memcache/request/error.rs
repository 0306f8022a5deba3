//! Why a request was refused, what is answered and where the next one starts.

use core::fmt;

use crate::memcache::Dialect;
use crate::memcache::command::Command;
use crate::memcache::kestrel::{QueueNameError, QueueReadError};
use crate::memcache::meta::FlagFault;

/// What is wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestFault {
    /// No command of the dialect has that name.
    UnknownCommand,
    /// The line is too short for any command.
    NoCommand,
    /// Too few arguments; of a queue's command also too many.
    ArgumentCount,
    /// A key is longer than the limit.
    KeyTooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// Flags, an exptime, a length or a level that is no such number.
    BadNumber,
    /// The delay of a `flush_all`, or the exptime of a `touch` or `gat`, is no number.
    BadExptime,
    /// The delta of an `incr` or `decr` is no number.
    BadDelta,
    /// The argument of a `cache_memlimit` is no number.
    BadMegabytes,
    /// A `me` without a key.
    NoKey,
    /// A meta command with more flags than memcached takes.
    TooManyFlags {
        /// Which.
        command: Command,
    },
    /// A flag of a meta command is wrong.
    Flag {
        /// Which command.
        command: Command,
        /// The flag's letter.
        letter: u8,
        /// What is wrong with it.
        fault: FlagFault,
    },
    /// Anything but a `set` with credentials on a connection that has to authenticate first.
    Unauthenticated,
    /// The block of a `set` that authenticates is not `<user> <password>`.
    BadCredentials,
    /// The block of a `set` that authenticates is longer than 16 KiB.
    CredentialsTooLong,
    /// The block of a `set` that authenticates does not end in `\r\n`.
    BadCredentialsEnd,
    /// The data block does not end in `\r\n` where its declared length says.
    BadDataBlock,
    /// The declared length is above the limit.
    ValueTooLarge {
        /// The length declared.
        length: usize,
    },
    /// The line has no end within the limit.
    LineTooLong,
    /// The first byte is that of memcached's binary protocol.
    Binary,
    /// The line is that of a HTTP request: a browser, or a forged request through a web service.
    Http,
    /// The queue cannot have that name.
    QueueName(QueueNameError),
    /// The options of a queue's read are not legal.
    Read(QueueReadError),
}

impl fmt::Display for RequestFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownCommand => {
                f.write_str("the command is not known: check its name and the dialect")
            }
            Self::NoCommand => f.write_str("the line is too short for a command: name one"),
            Self::ArgumentCount => f.write_str("the command takes another number of arguments"),
            Self::KeyTooLong { length } => {
                write!(f, "the key is {length} bytes long: shorten it to the limit")
            }
            Self::BadNumber => f.write_str(
                "an argument is not a number in range: flags and lengths are decimal and not negative",
            ),
            Self::BadExptime => {
                f.write_str("the delay or exptime is not a decimal number of seconds")
            }
            Self::BadDelta => {
                f.write_str("the delta is not a decimal number of 64 bits, not negative")
            }
            Self::BadMegabytes => f.write_str("the limit is not a decimal number of megabytes"),
            Self::NoKey => f.write_str("there is no key: name one"),
            Self::TooManyFlags { .. } => {
                f.write_str("a meta command has at most 18 flags, `ms` 17: leave some out")
            }
            Self::Flag { letter, fault, .. } => {
                write!(f, "the flag '{}' is wrong: {fault}", letter.escape_ascii())
            }
            Self::Unauthenticated => f.write_str(
                "the client has not authenticated: it has to send a `set` with its credentials",
            ),
            Self::BadCredentials => {
                f.write_str("the block of credentials is not a user, a space and a password")
            }
            Self::CredentialsTooLong => {
                f.write_str("the block of credentials is longer than 16 KiB: shorten the password")
            }
            Self::BadCredentialsEnd => f.write_str(
                "the block of credentials does not end in CR LF at its declared length",
            ),
            Self::BadDataBlock => f.write_str(
                "the data block does not end in CR LF at its declared length: send as many bytes as declared",
            ),
            Self::ValueTooLarge { length } => {
                write!(f, "the value is {length} bytes long, above the limit: split it")
            }
            Self::LineTooLong => f.write_str("the line has no end within the limit"),
            Self::Binary => {
                f.write_str("the peer speaks the binary protocol: tell it to speak text")
            }
            Self::Http => f.write_str("the peer speaks HTTP: this is not a HTTP port"),
            Self::QueueName(error) => error.fmt(f),
            Self::Read(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for RequestFault {}

/// Where the next request starts after one that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorRecovery {
    /// This many bytes behind the start of the refused line; some of them may not have come yet
    /// (the block of a value that is too large). They are dropped, never parsed.
    Skip(usize),
    /// Nowhere: the connection is closed once the answer is written.
    Close,
}

/// A request that was refused: the fault, the exact answer and the way on.
///
/// As memcached 1.6.45 has them, with these differences: HTTP is recognised by its request line
/// in more forms, a line that is too long is answered `CLIENT_ERROR line too long` before the
/// connection is closed (memcached closes without a word, or takes the line, depending on how it
/// was split), the binary protocol is not spoken, a block whose length is known never becomes commands,
/// and a failed attempt to authenticate ends the connection. Kestrel answers `CLIENT_ERROR` to
/// everything and disconnects.
///
/// ```
/// use windhover_core::memcache::request::{self, ErrorRecovery, RequestError, RequestFault};
/// use windhover_core::memcache::{Dialect, Limits};
///
/// let parse = |line, dialect| request::parse(line, dialect, &Limits::default()).unwrap_err();
/// let RequestError { fault, reply, recovery, .. } =
///     parse(b"bogus\r\nversion\r\n", Dialect::Memcached);
/// assert_eq!((fault, reply), (RequestFault::UnknownCommand, Some("ERROR")));
/// // The next request stands behind the line.
/// assert_eq!(recovery, ErrorRecovery::Skip(7));
/// // Kestrel answers the same with another line, and disconnects.
/// let RequestError { reply, recovery, .. } = parse(b"bogus\r\nversion\r\n", Dialect::Kestrel);
/// assert_eq!((reply, recovery), (Some("CLIENT_ERROR"), ErrorRecovery::Close));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct RequestError {
    /// What is wrong.
    pub fault: RequestFault,
    /// The answer, without its line end; `None` where nothing is answered: `noreply` was asked
    /// for on a line whose form allows it, or the peer speaks another protocol.
    pub reply: Option<&'static str>,
    /// Where the next request starts.
    pub recovery: ErrorRecovery,
}

impl RequestError {
    /// The refusal of a request, whose command is known from a certain point on.
    pub(crate) fn new(
        fault: RequestFault,
        command: Option<Command>,
        dialect: Dialect,
        noreply: bool,
        skip: usize,
    ) -> Self {
        let (reply, recovery) = match fault {
            RequestFault::Binary | RequestFault::Http => (None, ErrorRecovery::Close),
            RequestFault::LineTooLong => (Some("CLIENT_ERROR line too long"), ErrorRecovery::Close),
            RequestFault::BadCredentials
            | RequestFault::BadCredentialsEnd
            | RequestFault::CredentialsTooLong => {
                (Some(memcached_reply(fault, command)), ErrorRecovery::Close)
            }
            fault if !dialect.is_queue() => {
                (Some(memcached_reply(fault, command)), ErrorRecovery::Skip(skip))
            }
            RequestFault::ValueTooLarge { .. } => (Some("NOT_STORED"), ErrorRecovery::Skip(skip)),
            _ => (Some("CLIENT_ERROR"), ErrorRecovery::Close),
        };
        Self { fault, reply: reply.filter(|_| !noreply), recovery }
    }
}

fn memcached_reply(fault: RequestFault, command: Option<Command>) -> &'static str {
    match fault {
        RequestFault::UnknownCommand | RequestFault::BadMegabytes => "ERROR",
        // `ma` has one answer to most of what is wrong with it.
        RequestFault::TooManyFlags { command: Command::MetaArithmetic } => OF_ARITHMETIC,
        RequestFault::KeyTooLong { .. } if command == Some(Command::MetaArithmetic) => {
            OF_ARITHMETIC
        }
        RequestFault::BadExptime => "CLIENT_ERROR invalid exptime argument",
        RequestFault::BadDelta => "CLIENT_ERROR invalid numeric delta argument",
        RequestFault::BadDataBlock => "CLIENT_ERROR bad data chunk",
        RequestFault::ValueTooLarge { .. } => "SERVER_ERROR object too large for cache",
        RequestFault::TooManyFlags { .. } => "CLIENT_ERROR options flags are too long",
        RequestFault::Flag { command, letter, fault } => flag_reply(command, letter, fault),
        RequestFault::Unauthenticated => "CLIENT_ERROR unauthenticated",
        RequestFault::BadCredentials => "CLIENT_ERROR bad authentication token format",
        RequestFault::CredentialsTooLong => "CLIENT_ERROR auth token too long",
        RequestFault::BadCredentialsEnd => "CLIENT_ERROR bad command line termination",
        _ => "CLIENT_ERROR bad command line format",
    }
}

const OF_ARITHMETIC: &str = "CLIENT_ERROR invalid or duplicate flag";

fn flag_reply(command: Command, letter: u8, fault: FlagFault) -> &'static str {
    match (fault, command, letter) {
        (FlagFault::NoLetter, ..) | (_, Command::MetaDebug, _) => {
            "CLIENT_ERROR bad command line format"
        }
        (FlagFault::OpaqueTooLong, ..) => "CLIENT_ERROR opaque token too long",
        (FlagFault::UnknownMode, Command::MetaArithmetic, _) => {
            "CLIENT_ERROR invalid mode for ma M token"
        }
        (FlagFault::UnknownMode, ..) => "CLIENT_ERROR invalid mode for ms M token",
        (_, Command::MetaArithmetic, _) => OF_ARITHMETIC,
        (FlagFault::Unknown, ..) => "CLIENT_ERROR invalid flag",
        (FlagFault::Duplicate, ..) => "CLIENT_ERROR duplicate flag",
        (FlagFault::BadNumber, _, b'F') => "CLIENT_ERROR bad command line format",
        (FlagFault::BadNumber, _, b'J') => "CLIENT_ERROR invalid numeric initial value",
        (FlagFault::BadNumber, _, b'D') => "CLIENT_ERROR invalid numeric delta value",
        (FlagFault::BadNumber, ..) => "CLIENT_ERROR bad token in command line format",
        (FlagFault::KeyNotBase64, ..) => "CLIENT_ERROR error decoding key",
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fault.fmt(f)
    }
}

impl core::error::Error for RequestError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        self.fault.source()
    }
}
