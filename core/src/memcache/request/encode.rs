//! Encoding, with every check that keeps a request from turning into another one.

use core::fmt;

use bytes::BytesMut;

use super::parse::BLOCK_END;
use super::{Request, Store};
use crate::Limits;
use crate::memcache::command::{self, Arguments, Command};
use crate::memcache::kestrel::{self, QueueNameError, QueueRead, ReadError};
use crate::memcache::{Dialect, Keys, key, number};

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
    /// Kestrel answers all the same, and the answer would be taken for the next request's.
    NoreplyNotKnown,
    /// The value is above the limit.
    ValueTooLarge {
        /// Its length in bytes.
        length: usize,
    },
    /// Data was given, but the command takes none.
    DataNotTaken,
    /// The queue cannot have that name.
    QueueName(QueueNameError),
    /// The read's time to wait cannot be written.
    Read(ReadError),
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
            Self::NoreplyNotKnown => {
                f.write_str("kestrel does not know 'noreply' and answers: wait for the answer")
            }
            Self::ValueTooLarge { length } => {
                write!(f, "the value is {length} bytes long, above the limit: split it")
            }
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

impl core::error::Error for EncodeError {}

/// Appends a request and its data block to `out`.
///
/// ```
/// use bytes::BytesMut;
/// use windhover_core::Limits;
/// use windhover_core::memcache::Dialect;
/// use windhover_core::memcache::request::{self, EncodeError, Request, Store};
///
/// let mut out = BytesMut::new();
/// let set = Request::Set(Store::new(b"greeting"));
/// request::encode(&set, b"hello", Dialect::Memcached, &Limits::default(), &mut out)?;
/// assert_eq!(&out[..], b"set greeting 0 0 5\r\nhello\r\n");
///
/// let injected = Request::Set(Store::new(b"k 0 0 0\r\n\r\nflush_all\r\n"));
/// let refused = request::encode(&injected, b"", Dialect::Memcached, &Limits::default(), &mut out);
/// assert_eq!(refused, Err(EncodeError::ForbiddenByte { byte: b' ', at: 1 }));
/// # Ok::<(), EncodeError>(())
/// ```
///
/// # Errors
/// [`EncodeError`]; `out` is as it was.
pub fn encode(
    request: &Request<'_>,
    data: &[u8],
    dialect: Dialect,
    limits: &Limits,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    let takes_data = encode_line(request, data.len(), dialect, limits, out)?;
    if takes_data {
        out.extend_from_slice(data);
        out.extend_from_slice(BLOCK_END);
    }
    Ok(())
}

/// Appends a request's line alone, for a data block of `data` bytes that the caller sends itself,
/// with `\r\n` behind it. Says whether there is such a block.
///
/// # Errors
/// [`EncodeError`]; `out` is as it was.
pub fn encode_line(
    request: &Request<'_>,
    data: usize,
    dialect: Dialect,
    limits: &Limits,
    out: &mut BytesMut,
) -> Result<bool, EncodeError> {
    let start = out.len();
    let done = put_line(request, data, dialect, limits, out);
    let length = out.len() - start;
    let most = match request {
        Request::Get(_) | Request::Gets(_) => limits.get_line.max(limits.line),
        _ => limits.line,
    };
    // The newline itself is not counted.
    let done = done.and_then(|takes_data| {
        if length > most.saturating_add(1) {
            Err(EncodeError::LineTooLong { length })
        } else {
            Ok(takes_data)
        }
    });
    if done.is_err() {
        out.truncate(start);
    }
    done
}

fn put_line(
    request: &Request<'_>,
    data: usize,
    dialect: Dialect,
    limits: &Limits,
    out: &mut BytesMut,
) -> Result<bool, EncodeError> {
    let command = request.command();
    let not_in_dialect = EncodeError::NotInDialect { command };
    let row = command::row(command, dialect).ok_or(not_in_dialect)?;
    if dialect == Dialect::Kestrel && request.noreply() {
        return Err(EncodeError::NoreplyNotKnown);
    }
    if !row.data && data > 0 {
        return Err(EncodeError::DataNotTaken);
    }
    out.extend_from_slice(row.verb.as_bytes());
    match (row.arguments, request) {
        (Arguments::Keys, Request::Get(keys) | Request::Gets(keys)) => put_keys(keys, limits, out)?,
        (Arguments::QueueRead, Request::QueueRead(read)) => put_read(read, limits, out)?,
        (Arguments::Store, Request::Set(store)) => {
            put_key(store.key, limits, out)?;
            put_store(store, data, limits, out)?;
        }
        (Arguments::QueueStore, Request::Set(store)) => {
            put_queue(store.key, limits, out)?;
            put_store(store, data, limits, out)?;
        }
        (Arguments::Delete, Request::Delete { key, .. }) => put_key(key, limits, out)?,
        (
            Arguments::Queue,
            Request::Delete { key: queue, .. }
            | Request::Flush { queue }
            | Request::FlushExpired { queue },
        ) => put_queue(queue, limits, out)?,
        (Arguments::Verbosity, Request::Verbosity { level, .. }) => {
            out.extend_from_slice(b" ");
            number::put_unsigned(out, u64::from(*level));
        }
        (Arguments::Delay, Request::FlushAll { delay, .. }) => {
            if let Some(delay) = delay {
                out.extend_from_slice(b" ");
                number::put_signed(out, *delay);
            }
        }
        // Kestrel's takes no delay.
        (Arguments::None, Request::FlushAll { delay: Some(_), .. }) => return Err(not_in_dialect),
        (Arguments::Words, Request::Stats { arguments }) => {
            for word in key::words(arguments) {
                put_word(word, out)?;
            }
        }
        (Arguments::OptionalWord, Request::Status { new }) => {
            if let Some(new) = new {
                put_word(new, out)?;
            }
        }
        (Arguments::None, _) => {}
        _ => return Err(not_in_dialect),
    }
    if request.noreply() {
        out.extend_from_slice(b" noreply");
    }
    out.extend_from_slice(b"\r\n");
    Ok(row.data)
}

fn put_word(word: &[u8], out: &mut BytesMut) -> Result<(), EncodeError> {
    if word.is_empty() {
        return Err(EncodeError::EmptyKey);
    }
    if let Some(at) = word.iter().position(|&byte| !key::may_be_in_key(byte)) {
        let byte = word.get(at).copied().unwrap_or_default();
        return Err(EncodeError::ForbiddenByte { byte, at });
    }
    out.extend_from_slice(b" ");
    out.extend_from_slice(word);
    Ok(())
}

fn put_key(key: &[u8], limits: &Limits, out: &mut BytesMut) -> Result<(), EncodeError> {
    if key.len() > limits.key {
        return Err(EncodeError::KeyTooLong { length: key.len() });
    }
    put_word(key, out)
}

fn put_keys(keys: &Keys<'_>, limits: &Limits, out: &mut BytesMut) -> Result<(), EncodeError> {
    let mut any = false;
    for key in keys.clone() {
        put_key(key, limits, out)?;
        any = true;
    }
    if any { Ok(()) } else { Err(EncodeError::NoKeys) }
}

fn put_queue(queue: &[u8], limits: &Limits, out: &mut BytesMut) -> Result<(), EncodeError> {
    kestrel::check_queue(queue).map_err(EncodeError::QueueName)?;
    put_key(queue, limits, out)
}

fn put_read(read: &QueueRead<'_>, limits: &Limits, out: &mut BytesMut) -> Result<(), EncodeError> {
    let millis = read.millis().map_err(EncodeError::Read)?;
    put_queue(read.queue, limits, out)?;
    read.put_options(millis, out);
    Ok(())
}

fn put_store(
    store: &Store<'_>,
    data: usize,
    limits: &Limits,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    let length = u64::try_from(data).unwrap_or(u64::MAX);
    if data > limits.value || length > number::LENGTH_MOST {
        return Err(EncodeError::ValueTooLarge { length: data });
    }
    out.extend_from_slice(b" ");
    number::put_unsigned(out, u64::from(store.flags));
    out.extend_from_slice(b" ");
    number::put_signed(out, store.exptime);
    out.extend_from_slice(b" ");
    number::put_unsigned(out, length);
    Ok(())
}
