//! Encoding, with every check that keeps a request from turning into another one.

mod error;

use bytes::BytesMut;

use super::admin::is_noreply_known;
use super::meta::{MAX_WORDS_TO_SEND, check_all};
use super::{BLOCK_END, Request, ShutdownMode, StoreRequest};
use crate::memcache::Limits;
use crate::memcache::command::{self, Arguments, Row};
use crate::memcache::kestrel::{self, QueueRead, QueueReadError};
use crate::memcache::meta::{MetaFlags, MetaRequest};
use crate::memcache::{Dialect, Keys, key, number};

pub use error::EncodeError;

/// Appends a request and its data block to `out`. `data` is empty where the command takes none, and
/// for [`Request::Authenticate`], whose block is the request itself.
///
/// ```
/// use bytes::BytesMut;
/// use windhover_core::memcache::request::{self, EncodeError, Request, StoreRequest};
/// use windhover_core::memcache::{Dialect, Limits};
///
/// let mut out = BytesMut::new();
/// let set = Request::Set(StoreRequest::new(b"greeting"));
/// request::encode(&set, b"hello", Dialect::Memcached, &Limits::default(), &mut out)?;
/// assert_eq!(&out[..], b"set greeting 0 0 5\r\nhello\r\n");
///
/// let injected = Request::Set(StoreRequest::new(b"k 0 0 0\r\n\r\nflush_all\r\n"));
/// let refused = request::encode(&injected, b"", Dialect::Memcached, &Limits::default(), &mut out);
/// assert_eq!(refused, Err(EncodeError::ForbiddenByte { byte: b' ', at: 1 }));
/// # Ok::<(), EncodeError>(())
/// ```
///
/// # Errors
/// [`EncodeError`]; `out` is as it was.
#[inline]
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
/// ```
/// use bytes::BytesMut;
/// use windhover_core::memcache::request::{EncodeError, Request, StoreRequest, encode_line};
/// use windhover_core::memcache::{Dialect, Limits};
///
/// let mut line = BytesMut::new();
/// let set = Request::Set(StoreRequest::new(b"film"));
/// // The value goes out in a `writev` behind the line, and is not copied.
/// let has_block = encode_line(&set, 700_000, Dialect::Memcached, &Limits::default(), &mut line)?;
/// assert!(has_block);
/// assert_eq!(&line[..], b"set film 0 0 700000\r\n");
/// # Ok::<(), EncodeError>(())
/// ```
///
/// # Errors
/// [`EncodeError`]; `out` is as it was.
#[inline]
pub fn encode_line(
    request: &Request<'_>,
    data: usize,
    dialect: Dialect,
    limits: &Limits,
    out: &mut BytesMut,
) -> Result<bool, EncodeError> {
    // The most frequent request of all: what it needs is known before a byte is put.
    if let Request::Get(keys) = request
        && let (Some(key), Dialect::Memcached, 0) = (keys.only_of_list(), dialect, data)
    {
        return put_get(key, limits, out);
    }
    // And the next one; a codec alone stays small.
    #[cfg(feature = "client")]
    if let (Request::Set(store), Dialect::Memcached) = (request, dialect)
        && !store.noreply
        && let Ok(exptime) = u64::try_from(store.exptime)
    {
        return put_set(store, exptime, data, limits, out);
    }
    put_whole_line(request, data, dialect, limits, out)
}

/// Puts a line of any request, or nothing.
fn put_whole_line(
    request: &Request<'_>,
    data: usize,
    dialect: Dialect,
    limits: &Limits,
    out: &mut BytesMut,
) -> Result<bool, EncodeError> {
    let start = out.len();
    let mut done = put_line(request, data, dialect, limits, out);
    // The newline itself is not counted.
    let length = out.len() - start;
    if done.is_ok() && length > limits.line.saturating_add(1) {
        let may_be_long = matches!(request, Request::Get(_) | Request::Gets(_));
        if !may_be_long || length > limits.get_line.saturating_add(1) {
            done = Err(EncodeError::LineTooLong { length });
        }
    }
    if done.is_err() {
        out.truncate(start);
    }
    done
}

/// Puts a `get` of one key to memcached, as [`put_whole_line`] would.
fn put_get(key: &[u8], limits: &Limits, out: &mut BytesMut) -> Result<bool, EncodeError> {
    check_key(key, limits)?;
    let length = b"get \r\n".len() + key.len();
    if length > limits.line.max(limits.get_line).saturating_add(1) {
        return Err(EncodeError::LineTooLong { length });
    }
    out.reserve(length);
    out.extend_from_slice(b"get ");
    out.extend_from_slice(key);
    out.extend_from_slice(b"\r\n");
    Ok(false)
}

/// Puts the line of a `set` to memcached that is answered, as [`put_whole_line`] would.
#[cfg(feature = "client")]
fn put_set(
    store: &StoreRequest<'_>,
    exptime: u64,
    data: usize,
    limits: &Limits,
    out: &mut BytesMut,
) -> Result<bool, EncodeError> {
    check_key(store.key, limits)?;
    let data = checked_length(data, limits)?;
    let start = out.len();
    // The numbers have 10, 19 and 10 digits at most, and a space each.
    out.reserve(b"set \r\n".len() + store.key.len() + 42);
    out.extend_from_slice(b"set ");
    out.extend_from_slice(store.key);
    for number in [u64::from(store.flags), exptime, data] {
        number::put_behind_space(out, number);
    }
    out.extend_from_slice(b"\r\n");
    let length = out.len() - start;
    if length > limits.line.saturating_add(1) {
        out.truncate(start);
        return Err(EncodeError::LineTooLong { length });
    }
    Ok(true)
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
    if !row.data && data > 0 {
        return Err(EncodeError::DataNotTaken);
    }
    // Those that are frequent are short: a copy whose length is known here is one store.
    match (row.verb.len(), row.head.to_le_bytes()) {
        (2, [a, b, ..]) => out.extend_from_slice(&[a, b]),
        (3, [a, b, c, ..]) => out.extend_from_slice(&[a, b, c]),
        _ => out.extend_from_slice(row.verb.as_bytes()),
    }
    let mut line = Line { row, dialect, limits, out };
    if line.put_arguments(request, data)? {
        let answers = match request {
            Request::Admin { command, arguments, .. } => !is_noreply_known(*command, arguments),
            _ => dialect.is_queue(),
        };
        if answers {
            return Err(EncodeError::NoreplyNotKnown);
        }
        out.extend_from_slice(b" noreply");
    }
    out.extend_from_slice(b"\r\n");
    Ok(row.data)
}

/// A line whose verb is put.
struct Line<'a> {
    row: &'static Row,
    dialect: Dialect,
    limits: &'a Limits,
    out: &'a mut BytesMut,
}

impl Line<'_> {
    /// Puts the arguments: whether `noreply` belongs behind them.
    ///
    /// No arm stands for any other request: a new one is not to be sent as another.
    #[inline]
    #[expect(clippy::too_many_lines, reason = "an arm for each request, and none for any other")]
    fn put_arguments(&mut self, request: &Request<'_>, data: usize) -> Result<bool, EncodeError> {
        use Arguments as A;
        match request {
            Request::Get(keys) | Request::Gets(keys) => {
                self.takes(&[A::Keys])?;
                self.put_keys(keys)?;
            }
            Request::Gat { exptime, keys } | Request::Gats { exptime, keys } => {
                self.takes(&[A::TouchKeys])?;
                put_signed(*exptime, self.out);
                self.put_keys(keys)?;
            }
            Request::QueueRead(read) => {
                self.takes(&[A::QueueRead])?;
                self.put_read(read)?;
            }
            Request::Set(store)
            | Request::Add(store)
            | Request::Replace(store)
            | Request::Append(store)
            | Request::Prepend(store) => {
                self.takes(&[A::Store, A::QueueStore])?;
                self.put_name(store.key)?;
                self.put_store(store, data)?;
                return Ok(store.noreply);
            }
            Request::SetSync(store) => {
                self.takes(&[A::QueueStore])?;
                if !self.dialect.queue_rules().is_some_and(|rules| rules.sync) {
                    return Err(self.not_in_dialect());
                }
                self.put_name(store.key)?;
                self.out.extend_from_slice(b"/sync");
                self.put_store(store, data)?;
                return Ok(store.noreply);
            }
            Request::Cas { store, unique } => {
                self.takes(&[A::Cas])?;
                self.put_name(store.key)?;
                self.put_store(store, data)?;
                number::put_behind_space(self.out, *unique);
                return Ok(store.noreply);
            }
            Request::Authenticate { user, password } => {
                self.takes(&[A::Credentials])?;
                check_credential(user)?;
                check_credential(password)?;
                // Key, flags and exptime mean nothing.
                self.out.extend_from_slice(b" auth 0 0");
                self.put_length(user.len() + 1 + password.len())?;
            }
            Request::Delete { key, noreply } => {
                self.takes(&[A::Delete, A::Queue])?;
                self.put_name(key)?;
                return Ok(*noreply);
            }
            Request::Incr { key, delta, noreply } | Request::Decr { key, delta, noreply } => {
                self.takes(&[A::Delta])?;
                self.put_name(key)?;
                number::put_behind_space(self.out, *delta);
                return Ok(*noreply);
            }
            Request::Touch { key, exptime, noreply } => {
                self.takes(&[A::Touch])?;
                self.put_name(key)?;
                put_signed(*exptime, self.out);
                return Ok(*noreply);
            }
            Request::MetaGet(meta) | Request::MetaDelete(meta) | Request::MetaArithmetic(meta) => {
                self.takes(&[A::Meta])?;
                self.put_name(meta.key)?;
                self.put_flags(*meta, 2)?;
            }
            Request::MetaSet(meta) => {
                self.takes(&[A::MetaStore])?;
                self.put_name(meta.key)?;
                self.put_length(data)?;
                self.put_flags(*meta, 3)?;
            }
            Request::MetaDebug { key, base64 } => {
                self.takes(&[A::MetaDebug])?;
                self.put_name(key)?;
                let flags = MetaFlags::new(if *base64 { b"b" } else { b"" });
                self.put_flags(MetaRequest::new(key, flags), 2)?;
            }
            Request::Verbosity { level: number, noreply } => {
                self.takes(&[A::Verbosity])?;
                number::put_behind_space(self.out, u64::from(*number));
                return Ok(*noreply);
            }
            Request::CacheMemlimit { megabytes: number, noreply } => {
                self.takes(&[A::Megabytes])?;
                number::put_behind_space(self.out, u64::from(*number));
                return Ok(*noreply);
            }
            Request::FlushAll { delay: None, noreply } => {
                self.takes(&[A::Delay, A::None])?;
                return Ok(*noreply);
            }
            Request::FlushAll { delay: Some(delay), noreply } => {
                // The queue servers take none.
                self.takes(&[A::Delay])?;
                put_signed(*delay, self.out);
                return Ok(*noreply);
            }
            Request::Stats { arguments } => {
                self.takes(&[A::Words])?;
                put_words(arguments, self.out)?;
            }
            Request::Admin { arguments, noreply, .. } => {
                self.takes(&[A::Admin])?;
                put_words(arguments, self.out)?;
                return Ok(*noreply);
            }
            Request::Shutdown { mode: ShutdownMode::Now } => {
                self.takes(&[A::ShutdownMode, A::None])?;
            }
            // The queue servers take no mode.
            Request::Shutdown { mode: ShutdownMode::Graceful } => {
                self.takes(&[A::ShutdownMode])?;
                put_word(b"graceful", self.out)?;
            }
            Request::Shutdown { mode: ShutdownMode::Unknown(mode) } => {
                self.takes(&[A::ShutdownMode])?;
                put_words(mode, self.out)?;
            }
            Request::Flush { queue }
            | Request::FlushExpired { queue }
            | Request::Roll { queue } => {
                self.takes(&[A::Queue])?;
                self.put_name(queue)?;
            }
            Request::DumpStats { queues } | Request::DumpConfig { queues } => {
                self.takes(&[A::Queues])?;
                queues.clone().try_for_each(|queue| self.put_name(queue))?;
            }
            Request::Monitor { queue, seconds, max } => {
                self.takes(&[A::Monitor])?;
                self.put_name(queue)?;
                put_count(*seconds, self.out)?;
                max.map_or(Ok(()), |max| put_count(max, self.out))?;
            }
            Request::Confirm { queue, count } => {
                self.takes(&[A::Confirm])?;
                self.put_name(queue)?;
                put_count(*count, self.out)?;
            }
            Request::Status { new } => {
                self.takes(&[A::OptionalWord])?;
                new.map_or(Ok(()), |new| put_word(new, self.out))?;
            }
            Request::MetaNoop
            | Request::Version
            | Request::Quit
            | Request::FlushAllExpired
            | Request::Reload => self.takes(&[A::None])?,
        }
        Ok(false)
    }

    /// Refuses a request whose arguments are not of the form that its command has in the dialect.
    #[inline]
    fn takes(&self, forms: &[Arguments]) -> Result<(), EncodeError> {
        if forms.contains(&self.row.arguments) { Ok(()) } else { Err(self.not_in_dialect()) }
    }

    fn not_in_dialect(&self) -> EncodeError {
        EncodeError::NotInDialect { command: self.row.command }
    }

    #[inline]
    fn put_name(&mut self, name: &[u8]) -> Result<(), EncodeError> {
        put_name(name, self.dialect, self.limits, self.out)
    }

    #[inline]
    fn put_keys(&mut self, keys: &Keys<'_>) -> Result<(), EncodeError> {
        let mut any = false;
        for key in keys.clone() {
            self.put_name(key)?;
            any = true;
        }
        if any { Ok(()) } else { Err(EncodeError::NoKeys) }
    }

    fn put_store(&mut self, store: &StoreRequest<'_>, data: usize) -> Result<(), EncodeError> {
        number::put_behind_space(self.out, u64::from(store.flags));
        put_signed(store.exptime, self.out);
        self.put_length(data)
    }

    fn put_length(&mut self, data: usize) -> Result<(), EncodeError> {
        number::put_behind_space(self.out, checked_length(data, self.limits)?);
        Ok(())
    }

    /// Flags that some server would refuse are refused here; `before` words stand before them.
    fn put_flags(&mut self, request: MetaRequest<'_>, before: usize) -> Result<(), EncodeError> {
        check_all(self.row.command, request, before, MAX_WORDS_TO_SEND)
            .map_err(EncodeError::Flags)?;
        request.flags.iter().try_for_each(|flag| {
            self.out.extend_from_slice(&[b' ', flag.letter]);
            if flag.token.is_empty() {
                return Ok(());
            }
            check_word(flag.token)?;
            self.out.extend_from_slice(flag.token);
            Ok(())
        })
    }

    fn put_read(&mut self, read: &QueueRead<'_>) -> Result<(), EncodeError> {
        let millis = read.millis().map_err(EncodeError::Read)?;
        let separator = self.dialect.queue_rules().and_then(|rules| rules.group_separator);
        if separator.is_some_and(|separator| read.queue.contains(&separator)) {
            return Err(EncodeError::Read(QueueReadError::Group));
        }
        self.put_name(read.queue)?;
        if let Some(group) = read.group {
            let separator = separator.ok_or(EncodeError::Read(QueueReadError::Group))?;
            check_word(group)?;
            if group.contains(&b'/') || group.contains(&separator) {
                return Err(EncodeError::Read(QueueReadError::Group));
            }
            self.out.extend_from_slice(&[separator]);
            self.out.extend_from_slice(group);
        }
        read.put_options(millis, self.out);
        Ok(())
    }
}

/// Puts a key, or in a queue dialect a queue.
fn put_name(
    name: &[u8],
    dialect: Dialect,
    limits: &Limits,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    if dialect.is_queue() {
        kestrel::check_queue_in(name, dialect).map_err(EncodeError::QueueName)?;
    }
    check_key(name, limits)?;
    out.extend_from_slice(b" ");
    out.extend_from_slice(name);
    Ok(())
}

/// The length of a data block, where it may be sent.
fn checked_length(data: usize, limits: &Limits) -> Result<u64, EncodeError> {
    let length = u64::try_from(data).unwrap_or(u64::MAX);
    if data > limits.value || length > u64::from(number::MAX_LENGTH) {
        return Err(EncodeError::ValueTooLarge { length: data });
    }
    Ok(length)
}

#[inline]
fn check_word(word: &[u8]) -> Result<(), EncodeError> {
    if word.is_empty() {
        return Err(EncodeError::EmptyKey);
    }
    match key::forbidden(word) {
        None => Ok(()),
        Some((byte, at)) => Err(EncodeError::ForbiddenByte { byte, at }),
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
/// ```
/// use windhover_core::memcache::Limits;
/// use windhover_core::memcache::request::{EncodeError, check_key};
///
/// let limits = Limits::default();
/// assert_eq!(check_key(b"user:1", &limits), Ok(()));
/// // A key out of somebody's hands must not become a command.
/// let split = check_key(b"user\r\nflush_all", &limits);
/// assert_eq!(split, Err(EncodeError::ForbiddenByte { byte: b'\r', at: 4 }));
/// assert_eq!(check_key(&[b'k'; 251], &limits), Err(EncodeError::KeyTooLong { length: 251 }));
/// ```
///
/// # Errors
/// [`EncodeError::EmptyKey`], [`EncodeError::KeyTooLong`] and [`EncodeError::ForbiddenByte`].
#[inline]
pub fn check_key(key: &[u8], limits: &Limits) -> Result<(), EncodeError> {
    if key.len() > limits.key {
        return Err(EncodeError::KeyTooLong { length: key.len() });
    }
    check_word(key)
}

fn put_words(words: &[u8], out: &mut BytesMut) -> Result<(), EncodeError> {
    key::words(words).try_for_each(|word| put_word(word, out))
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
    number::put_behind_space(out, u64::from(number));
    Ok(())
}
