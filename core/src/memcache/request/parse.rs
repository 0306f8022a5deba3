//! Parsing, step by step and at once.

use super::{Fault, Request, RequestError, Store};
use crate::Limits;
use crate::memcache::command::{self, Arguments, Command, Row};
use crate::memcache::kestrel::{self, QueueRead};
use crate::memcache::{Dialect, Keys, Parsed, key, line, number};

/// The two bytes behind a data block.
pub(crate) const BLOCK_END: &[u8] = b"\r\n";

/// A parsed line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Line<'a> {
    /// The request.
    pub request: Request<'a>,
    /// The length of the data block that follows the line, without its own `\r\n`; `None` where
    /// none follows. At most `limits.value`.
    pub data: Option<usize>,
}

/// A whole request: its line and its data block.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message<'a> {
    /// The request.
    pub request: Request<'a>,
    /// The data block without its `\r\n`; empty where the command has none.
    pub data: &'a [u8],
}

/// Parses the request at the start of `input`.
///
/// ```
/// use windhover_core::Limits;
/// use windhover_core::memcache::request::{self, Request, Store};
/// use windhover_core::memcache::{Dialect, Parsed};
///
/// let input = b"set greeting 0 0 5\r\nhello\r\nget greeting\r\n";
/// let Ok(Parsed::Complete { message, consumed }) =
///     request::parse(input, Dialect::Memcached, &Limits::default())
/// else {
///     unreachable!()
/// };
/// assert_eq!(message.request, Request::Set(Store::new(b"greeting")));
/// assert_eq!(message.data, b"hello");
/// assert_eq!(&input[consumed..], b"get greeting\r\n");
/// ```
///
/// # Errors
/// A [`RequestError`] says what to answer and how many bytes of `input` to drop. It is found as
/// soon as the line is complete, or the block where that is what is wrong.
pub fn parse<'a>(
    input: &'a [u8],
    dialect: Dialect,
    limits: &Limits,
) -> Result<Parsed<Message<'a>>, RequestError> {
    let Some(length) = find_line(input, 0, dialect, limits)? else {
        return Ok(Parsed::Incomplete { needed: 1 });
    };
    let (line, rest) = input.split_at_checked(length).unwrap_or((input, &[]));
    let Line { request, data } = parse_line(line, dialect, limits)?;
    let Some(declared) = data else {
        return Ok(Parsed::Complete { message: Message { request, data: &[] }, consumed: length });
    };
    let whole = declared + BLOCK_END.len();
    let Some(block) = rest.get(..whole) else {
        return Ok(Parsed::Incomplete { needed: whole - rest.len() });
    };
    match split_block(block) {
        Some(data) => {
            Ok(Parsed::Complete { message: Message { request, data }, consumed: length + whole })
        }
        None => Err(bad_block(request.noreply(), dialect, length + whole)),
    }
}

/// Step 1: the length of the line at the start of `input`, with its newline, or `None` while it is
/// not complete. The first `searched` bytes are known to hold no newline.
///
/// # Errors
/// [`Fault::LineTooLong`] above `limits.line` bytes before the newline (`limits.get_line` for
/// memcached's `get` and `gets`), however the bytes were split; [`Fault::Binary`].
pub fn find_line(
    input: &[u8],
    searched: usize,
    dialect: Dialect,
    limits: &Limits,
) -> Result<Option<usize>, RequestError> {
    let newline = input
        .get(searched..)
        .and_then(|unsearched| memchr::memchr(b'\n', unsearched))
        .map(|at| searched + at);
    line::judge(input, newline, dialect, limits)
}

/// Step 2: parses a line, given with its newline.
///
/// # Errors
/// Every fault but the two of [`find_line`] and [`Fault::BadDataBlock`]. [`Recovery::Skip`](super::Recovery::Skip)
/// counts from the start of the line.
pub fn parse_line<'a>(
    line: &'a [u8],
    dialect: Dialect,
    limits: &Limits,
) -> Result<Line<'a>, RequestError> {
    let text = line::text(line);
    let mut rest = Keys::of_line(text);
    let verb = rest.next().unwrap_or_default();
    let Some(row) = command::find(verb, dialect) else {
        return Err(RequestError::new(
            fault_or_http(Fault::UnknownCommand, text),
            dialect,
            false,
            line.len(),
        ));
    };
    parse_arguments(row, rest, limits).map_err(|Refused { fault, noreply }| {
        let block = match fault {
            Fault::ValueTooLarge { length } => length + BLOCK_END.len(),
            _ => 0,
        };
        // In kestrel's dialect `GET / HTTP/1.1` is a known verb.
        let fault = match dialect {
            Dialect::Kestrel => fault_or_http(fault, text),
            Dialect::Memcached => fault,
        };
        RequestError::new(fault, dialect, noreply, line.len() + block)
    })
}

/// Step 3: the data of a block, given with the two bytes behind it; `None` where these are not
/// `\r\n`, which is [`Fault::BadDataBlock`].
pub fn split_block(block: &[u8]) -> Option<&[u8]> {
    block.strip_suffix(BLOCK_END)
}

/// The error of a block that does not end where it should; `skip` is the length of line and block.
pub(crate) fn bad_block(noreply: bool, dialect: Dialect, skip: usize) -> RequestError {
    RequestError::new(Fault::BadDataBlock, dialect, noreply, skip)
}

/// A fault on a line, and whether the client asked for no answer.
struct Refused {
    fault: Fault,
    noreply: bool,
}

/// Of a line whose form rules out `noreply`.
fn refused(fault: Fault) -> Refused {
    Refused { fault, noreply: false }
}

/// The first arguments of a line, and how many there are.
struct Words<'a> {
    first: [&'a [u8]; 5],
    count: usize,
}

impl<'a> Words<'a> {
    /// No command that is read by this counts more than the places and one.
    fn of(words: Keys<'a>) -> Self {
        let mut first: [&[u8]; 5] = [&[]; 5];
        let mut count = 0;
        for word in words.take(first.len() + 1) {
            if let Some(place) = first.get_mut(count) {
                *place = word;
            }
            count += 1;
        }
        Self { first, count }
    }

    /// memcached looks at the last word, whatever its place, before it looks at the others.
    fn noreply(&self) -> bool {
        self.count
            .checked_sub(1)
            .and_then(|last| self.first.get(last))
            .is_some_and(|&last| last == b"noreply")
    }
}

fn parse_arguments<'a>(row: &Row, rest: Keys<'a>, limits: &Limits) -> Result<Line<'a>, Refused> {
    let request = match row.arguments {
        Arguments::Keys => {
            let keys = check_keys(rest, limits)?;
            match row.command {
                Command::Gets => Request::Gets(keys),
                _ => Request::Get(keys),
            }
        }
        Arguments::Store => return store(&Words::of(rest), limits),
        Arguments::QueueStore => return queue_store(&Words::of(rest), limits),
        Arguments::QueueRead => queue_read(&Words::of(rest), limits)?,
        Arguments::Delete => delete(&Words::of(rest), limits)?,
        Arguments::Verbosity => verbosity(&Words::of(rest))?,
        Arguments::Delay => delay(&Words::of(rest))?,
        Arguments::Words => Request::Stats { arguments: rest.remainder().trim_ascii() },
        Arguments::Queue => {
            let queue = queue_name(&Words::of(rest), limits)?;
            match row.command {
                Command::Delete => Request::Delete { key: queue, noreply: false },
                Command::FlushExpired => Request::FlushExpired { queue },
                _ => Request::Flush { queue },
            }
        }
        Arguments::OptionalWord => Request::Status { new: rest.clone().next() },
        Arguments::None => match row.command {
            Command::Version => Request::Version,
            Command::FlushAll => Request::FlushAll { delay: None, noreply: false },
            Command::FlushAllExpired => Request::FlushAllExpired,
            Command::Shutdown => Request::Shutdown,
            Command::Reload => Request::Reload,
            _ => Request::Quit,
        },
    };
    Ok(Line { request, data: None })
}

fn check_key(key: &[u8], limits: &Limits) -> Result<(), Fault> {
    if key.len() > limits.key {
        return Err(Fault::KeyTooLong { length: key.len() });
    }
    Ok(())
}

fn check_keys<'a>(keys: Keys<'a>, limits: &Limits) -> Result<Keys<'a>, Refused> {
    let mut any = false;
    for key in keys.clone() {
        check_key(key, limits).map_err(refused)?;
        any = true;
    }
    if any { Ok(keys) } else { Err(refused(Fault::ArgumentCount)) }
}

/// `set <key> <flags> <exptime> <bytes> [noreply]`: a fifth argument may be any word, but only
/// `noreply` means something.
fn store<'a>(words: &Words<'a>, limits: &Limits) -> Result<Line<'a>, Refused> {
    if !(4..=5).contains(&words.count) {
        return Err(refused(Fault::ArgumentCount));
    }
    let noreply = words.noreply();
    let [key, flags, exptime, length, _] = words.first;
    check_key(key, limits)
        .and_then(|()| item(key, flags, exptime, length, noreply, limits))
        .map_err(|fault| Refused { fault, noreply })
}

/// Kestrel wants four arguments and does not look at further ones.
fn queue_store<'a>(words: &Words<'a>, limits: &Limits) -> Result<Line<'a>, Refused> {
    let queue = queue_name(words, limits)?;
    if words.count < 4 {
        return Err(refused(Fault::ArgumentCount));
    }
    let [_, flags, exptime, length, _] = words.first;
    item(queue, flags, exptime, length, false, limits).map_err(refused)
}

fn item<'a>(
    key: &'a [u8],
    flags: &[u8],
    exptime: &[u8],
    length: &[u8],
    noreply: bool,
    limits: &Limits,
) -> Result<Line<'a>, Fault> {
    let flags = number::unsigned_32(flags).ok_or(Fault::BadNumber)?;
    let exptime = number::signed_64(exptime).ok_or(Fault::BadNumber)?;
    let length = number::length(length).ok_or(Fault::BadNumber)?;
    if length > limits.value {
        return Err(Fault::ValueTooLarge { length });
    }
    Ok(Line { request: Request::Set(Store { key, flags, exptime, noreply }), data: Some(length) })
}

/// `delete <key> [0] [noreply]`: the 0 is what is left of a time that old servers took.
fn delete<'a>(words: &Words<'a>, limits: &Limits) -> Result<Request<'a>, Refused> {
    let [key, second, third, ..] = words.first;
    let (noreply, legal) = match words.count {
        1 => (false, true),
        2 => (second == b"noreply", second == b"0" || second == b"noreply"),
        3 => (third == b"noreply", second == b"0" && third == b"noreply"),
        _ => return Err(refused(Fault::ArgumentCount)),
    };
    if !legal {
        return Err(Refused { fault: Fault::BadDelete, noreply });
    }
    check_key(key, limits).map_err(|fault| Refused { fault, noreply })?;
    Ok(Request::Delete { key, noreply })
}

fn verbosity<'a>(words: &Words<'a>) -> Result<Request<'a>, Refused> {
    if !(1..=2).contains(&words.count) {
        return Err(refused(Fault::ArgumentCount));
    }
    let noreply = words.noreply();
    let [level, ..] = words.first;
    match number::unsigned_32(level) {
        Some(level) => Ok(Request::Verbosity { level, noreply }),
        None => Err(Refused { fault: Fault::BadNumber, noreply }),
    }
}

fn delay<'a>(words: &Words<'a>) -> Result<Request<'a>, Refused> {
    if words.count > 2 {
        return Err(refused(Fault::ArgumentCount));
    }
    let noreply = words.noreply();
    if words.count == usize::from(noreply) {
        return Ok(Request::FlushAll { delay: None, noreply });
    }
    let [delay, ..] = words.first;
    match number::signed_64(delay) {
        Some(delay) => Ok(Request::FlushAll { delay: Some(delay), noreply }),
        None => Err(Refused { fault: Fault::BadDelay, noreply }),
    }
}

fn queue_read<'a>(words: &Words<'a>, limits: &Limits) -> Result<Request<'a>, Refused> {
    if words.count != 1 {
        return Err(refused(Fault::ArgumentCount));
    }
    let [key, ..] = words.first;
    let read = QueueRead::parse(key).map_err(|error| refused(Fault::Read(error)))?;
    check_key(read.queue, limits).map_err(refused)?;
    Ok(Request::QueueRead(read))
}

/// The queue that is named first; kestrel does not look at what follows.
fn queue_name<'a>(words: &Words<'a>, limits: &Limits) -> Result<&'a [u8], Refused> {
    if words.count == 0 {
        return Err(refused(Fault::ArgumentCount));
    }
    let [name, ..] = words.first;
    kestrel::check_queue(name).map_err(|error| refused(Fault::QueueName(error)))?;
    check_key(name, limits).map_err(refused)?;
    Ok(name)
}

/// [`Fault::Http`] where the line is the first of a HTTP request, else the fault itself.
///
/// memcached looks for a last word that starts with `HTTP/`; the start of the line is looked at
/// too, for `GET /` without a version.
fn fault_or_http(fault: Fault, text: &[u8]) -> Fault {
    let mut words = key::words(text);
    let method = words.next().unwrap_or_default();
    let target = words.next().unwrap_or_default();
    let last = words.last().unwrap_or(target);
    let is_method = matches!(
        method,
        b"GET"
            | b"POST"
            | b"PUT"
            | b"HEAD"
            | b"DELETE"
            | b"OPTIONS"
            | b"PATCH"
            | b"CONNECT"
            | b"TRACE"
    );
    if last.starts_with(b"HTTP/") || (is_method && target.starts_with(b"/")) {
        Fault::Http
    } else {
        fault
    }
}
