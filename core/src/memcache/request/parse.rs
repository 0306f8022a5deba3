//! Parsing, step by step and at once.

use super::arguments::{Refused, Words, check_key, refused, refused_quietly};
use super::{Fault, Request, RequestError, ShutdownMode, meta, queue, store};
use crate::Limits;
use crate::memcache::command::{self, Arguments, Command, Row};
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
    line::judge(input, newline, dialect, !dialect.is_queue(), limits)
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
    parse_arguments(row, rest, dialect, limits).map_err(|Refused { fault, noreply, block }| {
        // In a queue's dialect `GET / HTTP/1.1` is a known verb.
        let fault = if dialect.is_queue() { fault_or_http(fault, text) } else { fault };
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

fn parse_arguments<'a>(
    row: &Row,
    rest: Keys<'a>,
    dialect: Dialect,
    limits: &Limits,
) -> Result<Line<'a>, Refused> {
    let command = row.command;
    let words = |rest| Words::of(rest);
    let request = match row.arguments {
        Arguments::Keys => {
            let keys = check_keys(rest, 1, limits)?;
            match command {
                Command::Gets => Request::Gets(keys),
                _ => Request::Get(keys),
            }
        }
        Arguments::TouchKeys => touch_keys(command, rest, limits)?,
        Arguments::Store => return store::store(command, &words(rest), limits),
        Arguments::Cas => return store::cas(&words(rest), limits),
        Arguments::MetaStore => return meta::store(rest, limits),
        Arguments::QueueStore => return queue::store(&words(rest), dialect, limits),
        Arguments::Delete => store::delete(&words(rest), limits)?,
        Arguments::Delta => store::delta(command, &words(rest), limits)?,
        Arguments::Touch => store::touch(&words(rest), limits)?,
        Arguments::Meta => meta::flags(command, rest, limits)?,
        Arguments::MetaDebug => meta::debug(rest, limits)?,
        Arguments::Verbosity => verbosity(&words(rest))?,
        Arguments::Delay => delay(&words(rest))?,
        Arguments::Megabytes => megabytes(&words(rest))?,
        Arguments::Words => Request::Stats { arguments: trim(rest.remainder()) },
        Arguments::Admin => admin(command, &rest)?,
        Arguments::ShutdownMode => Request::Shutdown { mode: shutdown_mode(&rest) },
        Arguments::QueueRead => queue::read(&words(rest), dialect, limits)?,
        Arguments::Queue => queue::queue(command, &words(rest), dialect, limits)?,
        Arguments::Queues => queue::queues(command, rest, dialect, limits)?,
        Arguments::Monitor => queue::monitor(&words(rest), dialect, limits)?,
        Arguments::Confirm => queue::confirm(&words(rest), dialect, limits)?,
        Arguments::OptionalWord => Request::Status { new: rest.clone().next() },
        // No verb leads there: `parse_credentials_line` reads it.
        Arguments::Credentials => return Err(refused(Fault::UnknownCommand)),
        Arguments::None => match command {
            Command::Version => Request::Version,
            Command::MetaNoop => Request::MetaNoop,
            Command::FlushAll => Request::FlushAll { delay: None, noreply: false },
            Command::FlushAllExpired => Request::FlushAllExpired,
            Command::Shutdown => Request::Shutdown { mode: ShutdownMode::Now },
            Command::Reload => Request::Reload,
            _ => Request::Quit,
        },
    };
    Ok(Line { request, data: None })
}

/// The keys that are left on the line, which are to be so many at least.
fn check_keys<'a>(keys: Keys<'a>, least: usize, limits: &Limits) -> Result<Keys<'a>, Refused> {
    let mut count = 0;
    for key in keys.clone() {
        check_key(key, limits).map_err(refused)?;
        count += 1;
    }
    if count < least { Err(refused(Fault::ArgumentCount)) } else { Ok(keys) }
}

/// `<exptime> <key>*`: memcached takes it without keys, too.
fn touch_keys<'a>(
    command: Command,
    mut rest: Keys<'a>,
    limits: &Limits,
) -> Result<Request<'a>, Refused> {
    let exptime = rest.next().ok_or_else(|| refused(Fault::ArgumentCount))?;
    let exptime = number::signed_64(exptime).ok_or_else(|| refused(Fault::BadExptime))?;
    let keys = check_keys(rest, 0, limits)?;
    Ok(match command {
        Command::Gats => Request::Gats { exptime, keys },
        _ => Request::Gat { exptime, keys },
    })
}

fn verbosity<'a>(words: &Words<'a>) -> Result<Request<'a>, Refused> {
    words.want(1, 2)?;
    let noreply = words.noreply();
    let [level, ..] = words.first;
    match number::unsigned_32(level) {
        Some(level) => Ok(Request::Verbosity { level, noreply }),
        None => Err(refused_quietly(Fault::BadNumber, noreply)),
    }
}

fn delay<'a>(words: &Words<'a>) -> Result<Request<'a>, Refused> {
    words.want(0, 2)?;
    let noreply = words.noreply();
    if words.count == usize::from(noreply) {
        return Ok(Request::FlushAll { delay: None, noreply });
    }
    let [delay, ..] = words.first;
    match number::signed_64(delay) {
        Some(delay) => Ok(Request::FlushAll { delay: Some(delay), noreply }),
        None => Err(refused_quietly(Fault::BadExptime, noreply)),
    }
}

fn megabytes<'a>(words: &Words<'a>) -> Result<Request<'a>, Refused> {
    words.want(1, 2)?;
    let noreply = words.noreply();
    let [megabytes, ..] = words.first;
    match number::unsigned_32(megabytes) {
        Some(megabytes) => Ok(Request::CacheMemlimit { megabytes, noreply }),
        None => Err(refused_quietly(Fault::BadMegabytes, noreply)),
    }
}

/// Which administrative commands look for `noreply`, and which want an argument, is memcached's.
fn admin<'a>(command: Command, rest: &Keys<'a>) -> Result<Request<'a>, Refused> {
    let arguments = trim(rest.remainder());
    let wanting = matches!(command, Command::Lru | Command::Extstore);
    if wanting && arguments.is_empty() {
        return Err(refused(Fault::ArgumentCount));
    }
    match without_noreply(arguments) {
        Some(arguments) if looks_for_noreply(command, arguments) => {
            Ok(Request::Admin { command, arguments, noreply: true })
        }
        _ => Ok(Request::Admin { command, arguments, noreply: false }),
    }
}

/// What stands before a last word `noreply`.
/// Whether memcached looks for a `noreply` at the end of these arguments; else it answers.
pub(super) fn looks_for_noreply(command: Command, arguments: &[u8]) -> bool {
    match command {
        Command::Slabs => key::words(arguments).next() == Some(b"automove"),
        Command::LruCrawler => false,
        _ => true,
    }
}

fn without_noreply(arguments: &[u8]) -> Option<&[u8]> {
    let before = arguments.strip_suffix(b"noreply")?;
    (before.is_empty() || before.ends_with(b" ")).then(|| trim(before))
}

fn shutdown_mode<'a>(rest: &Keys<'a>) -> ShutdownMode<'a> {
    match trim(rest.remainder()) {
        b"" => ShutdownMode::Now,
        b"graceful" => ShutdownMode::Graceful,
        mode => ShutdownMode::Unknown(mode),
    }
}

/// Without the spaces around it.
fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] | [rest @ .., b' '] = text {
        text = rest;
    }
    text
}

/// [`Fault::Http`] where the line is the first of a HTTP request, else the fault itself.
///
/// memcached looks for a last word that starts with `HTTP/`; the start of the line is looked at
/// too, for `GET /` without a version.
pub(super) fn fault_or_http(fault: Fault, text: &[u8]) -> Fault {
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
