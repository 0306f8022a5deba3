//! Encoding, with every check that keeps a request from turning into another one.

mod error;

use bytes::BytesMut;

use super::admin::looks_for_noreply;
use super::{BLOCK_END, Request, ShutdownMode, Store, meta};
use crate::memcache::Limits;
use crate::memcache::command::{self, Arguments, Command, Row};
use crate::memcache::kestrel::{self, QueueRead, ReadError};
use crate::memcache::meta::{MetaFlags, MetaRequest};
use crate::memcache::{Dialect, Keys, key, number};

pub use error::EncodeError;

/// Appends a request and its data block to `out`. `data` is empty where the command takes none, and
/// for [`Request::Authenticate`], whose block is the request itself.
///
/// ```
/// use bytes::BytesMut;
/// use windhover_core::memcache::{Dialect, Limits};
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
    if matches!(request, Request::Authenticate { .. }) && !data.is_empty() {
        return Err(EncodeError::DataNotTaken);
    }
    let takes_data = encode_line(request, data.len(), dialect, limits, out)?;
    if let Request::Authenticate { user, password } = request {
        out.extend_from_slice(user);
        out.extend_from_slice(b" ");
        out.extend_from_slice(password);
        out.extend_from_slice(BLOCK_END);
    } else if takes_data {
        out.extend_from_slice(data);
        out.extend_from_slice(BLOCK_END);
    }
    Ok(())
}

/// Appends a request's line alone, for a data block of `data` bytes that the caller sends itself,
/// with `\r\n` behind it. Says whether there is such a block. (Of [`Request::Authenticate`] it is
/// `<user> <password>`, whatever `data` says.)
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
    let row = command::row(command, dialect).ok_or(EncodeError::NotInDialect { command })?;
    let answers = match request {
        Request::Admin { command, arguments, .. } => !looks_for_noreply(*command, arguments),
        _ => dialect.is_queue(),
    };
    if answers && request.noreply() {
        return Err(EncodeError::NoreplyNotKnown);
    }
    if !row.data && data > 0 {
        return Err(EncodeError::DataNotTaken);
    }
    out.extend_from_slice(row.verb.as_bytes());
    if dialect.is_queue() {
        put_queue_arguments(row, request, data, dialect, limits, out)?;
    } else {
        put_arguments(row, request, data, limits, out)?;
    }
    if request.noreply() {
        out.extend_from_slice(b" noreply");
    }
    out.extend_from_slice(b"\r\n");
    Ok(row.data)
}

/// The arguments of memcached's commands, in the form of the row.
fn put_arguments(
    row: &Row,
    request: &Request<'_>,
    data: usize,
    limits: &Limits,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    let command = row.command;
    match (row.arguments, request) {
        (Arguments::Keys, Request::Get(keys) | Request::Gets(keys)) => put_keys(keys, limits, out),
        (
            Arguments::TouchKeys,
            Request::Gat { exptime, keys } | Request::Gats { exptime, keys },
        ) => {
            put_signed(*exptime, out);
            put_keys(keys, limits, out)
        }
        (
            Arguments::Store,
            Request::Set(store)
            | Request::Add(store)
            | Request::Replace(store)
            | Request::Append(store)
            | Request::Prepend(store),
        ) => {
            put_key(store.key, limits, out)?;
            put_store(store, data, limits, out)
        }
        (Arguments::Cas, Request::Cas { store, unique }) => {
            put_key(store.key, limits, out)?;
            put_store(store, data, limits, out)?;
            put_unsigned(*unique, out);
            Ok(())
        }
        (Arguments::Credentials, Request::Authenticate { user, password }) => {
            check_credential(user)?;
            check_credential(password)?;
            // Key, flags and exptime mean nothing.
            out.extend_from_slice(b" auth 0 0");
            put_length(user.len() + 1 + password.len(), limits, out)
        }
        (Arguments::Delete, Request::Delete { key, .. }) => put_key(key, limits, out),
        (Arguments::Delta, Request::Incr { key, delta, .. } | Request::Decr { key, delta, .. }) => {
            put_key(key, limits, out)?;
            put_unsigned(*delta, out);
            Ok(())
        }
        (Arguments::Touch, Request::Touch { key, exptime, .. }) => {
            put_key(key, limits, out)?;
            put_signed(*exptime, out);
            Ok(())
        }
        (
            Arguments::Meta,
            Request::MetaGet(meta) | Request::MetaDelete(meta) | Request::MetaArithmetic(meta),
        ) => {
            put_key(meta.key, limits, out)?;
            put_flags(command, *meta, 2, out)
        }
        (Arguments::MetaStore, Request::MetaSet(meta)) => {
            put_key(meta.key, limits, out)?;
            put_length(data, limits, out)?;
            put_flags(command, *meta, 3, out)
        }
        (Arguments::MetaDebug, Request::MetaDebug { key, base64 }) => {
            put_key(key, limits, out)?;
            let flags = MetaFlags::new(if *base64 { b"b" } else { b"" });
            put_flags(command, MetaRequest::new(key, flags), 2, out)
        }
        (Arguments::Verbosity, Request::Verbosity { level, .. }) => {
            put_unsigned(u64::from(*level), out);
            Ok(())
        }
        (Arguments::Delay, Request::FlushAll { delay, .. }) => {
            if let Some(delay) = delay {
                put_signed(*delay, out);
            }
            Ok(())
        }
        (Arguments::Megabytes, Request::CacheMemlimit { megabytes, .. }) => {
            put_unsigned(u64::from(*megabytes), out);
            Ok(())
        }
        (
            Arguments::Words | Arguments::Admin,
            Request::Stats { arguments } | Request::Admin { arguments, .. },
        ) => put_words(arguments, out),
        (Arguments::ShutdownMode, Request::Shutdown { mode }) => match mode {
            ShutdownMode::Now => Ok(()),
            ShutdownMode::Graceful => put_word(b"graceful", out),
            ShutdownMode::Unknown(mode) => put_words(mode, out),
        },
        (Arguments::None, _) => Ok(()),
        _ => Err(EncodeError::NotInDialect { command }),
    }
}

/// The arguments of the queue servers' commands, in the form of the row.
fn put_queue_arguments(
    row: &Row,
    request: &Request<'_>,
    data: usize,
    dialect: Dialect,
    limits: &Limits,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    let not_in_dialect = EncodeError::NotInDialect { command: row.command };
    match (row.arguments, request) {
        (Arguments::QueueRead, Request::QueueRead(read)) => put_read(read, dialect, limits, out),
        (Arguments::QueueStore, Request::Set(store)) => {
            put_queue(store.key, dialect, limits, out)?;
            put_store(store, data, limits, out)
        }
        (Arguments::QueueStore, Request::SetSync(store))
            if dialect.queue_rules().is_some_and(|rules| rules.sync) =>
        {
            put_queue(store.key, dialect, limits, out)?;
            out.extend_from_slice(b"/sync");
            put_store(store, data, limits, out)
        }
        (
            Arguments::Queue,
            Request::Delete { key: queue, .. }
            | Request::Flush { queue }
            | Request::FlushExpired { queue }
            | Request::Roll { queue },
        ) => put_queue(queue, dialect, limits, out),
        (Arguments::Queues, Request::DumpStats { queues } | Request::DumpConfig { queues }) => {
            queues.clone().try_for_each(|queue| put_queue(queue, dialect, limits, out))
        }
        (Arguments::Monitor, Request::Monitor { queue, seconds, max }) => {
            put_queue(queue, dialect, limits, out)?;
            put_count(*seconds, out)?;
            max.map_or(Ok(()), |max| put_count(max, out))
        }
        (Arguments::Confirm, Request::Confirm { queue, count }) => {
            put_queue(queue, dialect, limits, out)?;
            put_count(*count, out)
        }
        (Arguments::Words, Request::Stats { arguments }) => put_words(arguments, out),
        (Arguments::OptionalWord, Request::Status { new }) => {
            new.map_or(Ok(()), |new| put_word(new, out))
        }
        // The queue servers take no delay and no mode.
        (Arguments::None, Request::FlushAll { delay: Some(_), .. }) => Err(not_in_dialect),
        (Arguments::None, Request::Shutdown { mode }) if *mode != ShutdownMode::Now => {
            Err(not_in_dialect)
        }
        (Arguments::None, _) => Ok(()),
        _ => Err(not_in_dialect),
    }
}

fn check_word(word: &[u8]) -> Result<(), EncodeError> {
    if word.is_empty() {
        return Err(EncodeError::EmptyKey);
    }
    let at = key::forbidden_at(word);
    match word.get(at) {
        None => Ok(()),
        Some(&byte) => Err(EncodeError::ForbiddenByte { byte, at }),
    }
}

/// The two words of credentials stand in a block: a space parts them, a NUL ends them.
fn check_credential(word: &[u8]) -> Result<(), EncodeError> {
    if word.is_empty() {
        return Err(EncodeError::EmptyKey);
    }
    match word.iter().position(|&byte| matches!(byte, b' ' | 0)) {
        None => Ok(()),
        Some(at) => {
            let byte = word.get(at).copied().unwrap_or_default();
            Err(EncodeError::ForbiddenByte { byte, at })
        }
    }
}

fn put_word(word: &[u8], out: &mut BytesMut) -> Result<(), EncodeError> {
    check_word(word)?;
    out.extend_from_slice(b" ");
    out.extend_from_slice(word);
    Ok(())
}

/// Whether a key can be sent.
///
/// # Errors
/// [`EncodeError::EmptyKey`], [`EncodeError::KeyTooLong`] and [`EncodeError::ForbiddenByte`].
pub fn check_key(key: &[u8], limits: &Limits) -> Result<(), EncodeError> {
    if key.len() > limits.key {
        return Err(EncodeError::KeyTooLong { length: key.len() });
    }
    check_word(key)
}

fn put_key(key: &[u8], limits: &Limits, out: &mut BytesMut) -> Result<(), EncodeError> {
    check_key(key, limits)?;
    out.extend_from_slice(b" ");
    out.extend_from_slice(key);
    Ok(())
}

fn put_words(words: &[u8], out: &mut BytesMut) -> Result<(), EncodeError> {
    key::words(words).try_for_each(|word| put_word(word, out))
}

fn put_unsigned(number: u64, out: &mut BytesMut) {
    number::put_behind_space(out, number);
}

fn put_signed(number: i64, out: &mut BytesMut) {
    match u64::try_from(number) {
        Ok(number) => number::put_behind_space(out, number),
        Err(_) => {
            out.extend_from_slice(b" ");
            number::put_signed(out, number);
        }
    }
}

/// A number that kestrel reads into a signed 32-bit integer.
fn put_count(number: u32, out: &mut BytesMut) -> Result<(), EncodeError> {
    if i32::try_from(number).is_err() {
        return Err(EncodeError::CountTooLarge { count: number });
    }
    put_unsigned(u64::from(number), out);
    Ok(())
}

fn put_keys(keys: &Keys<'_>, limits: &Limits, out: &mut BytesMut) -> Result<(), EncodeError> {
    let mut any = false;
    for key in keys.clone() {
        put_key(key, limits, out)?;
        any = true;
    }
    if any { Ok(()) } else { Err(EncodeError::NoKeys) }
}

/// Flags that a server would refuse are refused here; `before` words stand before them.
fn put_flags(
    command: Command,
    request: MetaRequest<'_>,
    before: usize,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    meta::check_all(command, request, before).map_err(EncodeError::Flags)?;
    request.flags.iter().try_for_each(|flag| {
        if !flag.token.is_empty() {
            check_word(flag.token)?;
        }
        put_word(&[flag.letter], out)?;
        out.extend_from_slice(flag.token);
        Ok(())
    })
}

fn put_queue(
    queue: &[u8],
    dialect: Dialect,
    limits: &Limits,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    kestrel::check_queue_in(queue, dialect).map_err(EncodeError::QueueName)?;
    put_key(queue, limits, out)
}

fn put_read(
    read: &QueueRead<'_>,
    dialect: Dialect,
    limits: &Limits,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    let millis = read.millis().map_err(EncodeError::Read)?;
    let separator = dialect.queue_rules().and_then(|rules| rules.group_separator);
    if separator.is_some_and(|separator| read.queue.contains(&separator)) {
        return Err(EncodeError::Read(ReadError::Group));
    }
    put_queue(read.queue, dialect, limits, out)?;
    if let Some(group) = read.group {
        let separator = separator.ok_or(EncodeError::Read(ReadError::Group))?;
        check_word(group)?;
        if group.contains(&b'/') || group.contains(&separator) {
            return Err(EncodeError::Read(ReadError::Group));
        }
        out.extend_from_slice(&[separator]);
        out.extend_from_slice(group);
    }
    read.put_options(millis, out);
    Ok(())
}

fn put_store(
    store: &Store<'_>,
    data: usize,
    limits: &Limits,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    put_unsigned(u64::from(store.flags), out);
    put_signed(store.exptime, out);
    put_length(data, limits, out)
}

fn put_length(data: usize, limits: &Limits, out: &mut BytesMut) -> Result<(), EncodeError> {
    let length = u64::try_from(data).unwrap_or(u64::MAX);
    if data > limits.value || length > u64::from(number::MAX_LENGTH) {
        return Err(EncodeError::ValueTooLarge { length: data });
    }
    put_unsigned(length, out);
    Ok(())
}
