//! Parsing, step by step and at once.

use super::arguments::{MAX_TOKENS, Refused, check_key, refused, refused_quietly};
use super::{Request, RequestError, RequestFault, RequestSpans, admin, meta, queue, store};
use crate::memcache::Limits;
use crate::memcache::command::{self, Arguments, Command};
use crate::memcache::span::{Scanner, Span};
use crate::memcache::{Dialect, Parsed, key, line, number};

/// The two bytes behind a data block.
pub(crate) const BLOCK_END: &[u8] = b"\r\n";
/// On a shorter line, counted with its end, memcached looks for no command.
const SHORTEST_LINE: usize = 4;

/// A parsed line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestLine<'a> {
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
/// use windhover_core::memcache::Limits;
/// use windhover_core::memcache::request::{self, Request, StoreRequest};
/// use windhover_core::memcache::{Dialect, Parsed};
///
/// let input = b"set greeting 0 0 5\r\nhello\r\nget greeting\r\n";
/// let Ok(Parsed::Complete { message, consumed }) =
///     request::parse(input, Dialect::Memcached, &Limits::default())
/// else {
///     unreachable!()
/// };
/// assert_eq!(message.request, Request::Set(StoreRequest::new(b"greeting")));
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
    let Some((line, rest)) = input.split_at_checked(length) else {
        return Ok(Parsed::Incomplete { needed: 1 });
    };
    with_spans(line, dialect, limits, |spans| {
        let Some(declared) = spans.data() else {
            return (spans.row().complete)(spans, line, &[], length);
        };
        let whole = declared + BLOCK_END.len();
        let Some(block) = rest.get(..whole) else {
            return Ok(Parsed::Incomplete { needed: whole - rest.len() });
        };
        let consumed = length + whole;
        match split_block(block) {
            Some(data) => (spans.row().complete)(spans, line, data, consumed),
            None => Err(bad_block(spans.noreply(), dialect, consumed)),
        }
    })
}

/// Step 1: the length of the line at the start of `input`, with its newline, or `None` while it is
/// not complete. The first `searched` bytes are known to hold no newline.
///
/// # Errors
/// [`RequestFault::LineTooLong`] above `limits.line` bytes before the newline (`limits.get_line` for
/// memcached's `get` and `gets`), however the bytes were split; [`RequestFault::Binary`].
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
    line::check(input, newline, dialect, !dialect.is_queue(), limits)
}

/// Step 2: parses a line, given with its newline.
///
/// # Errors
/// Every fault but the two of [`find_line`] and [`RequestFault::BadDataBlock`]. [`ErrorRecovery::Skip`](super::ErrorRecovery::Skip)
/// counts from the start of the line.
#[inline]
pub fn parse_line<'a>(
    line: &'a [u8],
    dialect: Dialect,
    limits: &Limits,
) -> Result<RequestLine<'a>, RequestError> {
    with_spans(line, dialect, limits, |spans| {
        Ok(RequestLine { request: spans.resolve(line), data: spans.data() })
    })
}

/// Step 2 for who has to wait before the request is used: parses a line, given with its newline, to
/// spans that borrow nothing of it.
///
/// ```
/// use windhover_core::memcache::request::{self, Request, RequestSpans};
/// use windhover_core::memcache::{Dialect, Limits};
///
/// let line = b"set greeting 0 60 5\r\n".to_vec();
/// let spans: RequestSpans = request::parse_spans(&line, Dialect::Memcached, &Limits::default())?;
/// assert_eq!(spans.data(), Some(5));
/// // The line may move while its block comes: nothing borrows it.
/// let moved = line;
/// assert!(matches!(spans.resolve(&moved), Request::Set(item) if item.key == b"greeting"));
/// # Ok::<(), request::RequestError>(())
/// ```
///
/// # Errors
/// As [`parse_line`].
#[inline]
pub fn parse_spans(
    line: &[u8],
    dialect: Dialect,
    limits: &Limits,
) -> Result<RequestSpans, RequestError> {
    with_spans(line, dialect, limits, |spans| Ok(*spans))
}

/// Parses a line and gives what it found to `then`, in the place where it was put together: to copy
/// it while its parts are still on their way to memory costs more than half of the parsing.
#[inline]
fn with_spans<T>(
    line: &[u8],
    dialect: Dialect,
    limits: &Limits,
    then: impl FnOnce(&RequestSpans) -> Result<T, RequestError>,
) -> Result<T, RequestError> {
    with_spans_of_any_length(line, dialect, limits, |spans| {
        if spans.row().data {
            spans.check_length(line.len(), dialect, limits)?;
        }
        then(spans)
    })
}

/// The same where the length of the data block is not checked: who has to know what the request was
/// about although its value is too large does so with [`RequestSpans::check_length`].
#[inline]
pub(crate) fn with_spans_of_any_length<T>(
    line: &[u8],
    dialect: Dialect,
    limits: &Limits,
    then: impl FnOnce(&RequestSpans) -> Result<T, RequestError>,
) -> Result<T, RequestError> {
    if line.len() > Span::MAX_LINE {
        return Err(RequestError::new(RequestFault::LineTooLong, None, dialect, false, 0));
    }
    let text = line::text(line);
    let mut scanner = Scanner::new(text);
    let Some(row) = command::read_verb(&mut scanner, dialect) else {
        return Err(refuse(unknown(line, dialect), None, line, dialect));
    };
    let mut spans = RequestSpans::new(row);
    if let Err(refused) = (row.parse)(&mut scanner, dialect, limits, &mut spans) {
        return Err(refuse(refused, Some(row.command), line, dialect));
    }
    then(&spans)
}

/// A line that no command of the dialect stands on.
#[cold]
fn unknown(line: &[u8], dialect: Dialect) -> Refused {
    if dialect.is_queue() {
        return refused(RequestFault::UnknownCommand);
    }
    if line.len() < SHORTEST_LINE {
        return refused(RequestFault::NoCommand);
    }
    let last = key::words(line::text(line)).take(MAX_TOKENS).last();
    refused_quietly(RequestFault::UnknownCommand, last == Some(b"noreply"))
}

#[cold]
fn refuse(
    refused: Refused,
    command: Option<Command>,
    line: &[u8],
    dialect: Dialect,
) -> RequestError {
    let Refused { fault, noreply, block } = refused;
    // In a queue's dialect `GET / HTTP/1.1` is a known verb.
    let fault = match fault {
        RequestFault::UnknownCommand => fault_or_http(fault, line::text(line)),
        fault if dialect.is_queue() => fault_or_http(fault, line::text(line)),
        fault => fault,
    };
    RequestError::new(fault, command, dialect, noreply, line.len() + block)
}

/// Step 3: the data of a block, given with the two bytes behind it; `None` where these are not
/// `\r\n`, which is [`RequestFault::BadDataBlock`].
pub fn split_block(block: &[u8]) -> Option<&[u8]> {
    block.strip_suffix(BLOCK_END)
}

/// The error of a block that does not end where it should; `skip` is the length of line and block.
pub(crate) fn bad_block(noreply: bool, dialect: Dialect, skip: usize) -> RequestError {
    RequestError::new(RequestFault::BadDataBlock, None, dialect, noreply, skip)
}

/// Parses what follows a verb. (The scanner is lent: to hand on a copy of what was just written waits
/// until it has been.)
pub(crate) type Parse =
    for<'a> fn(&mut Scanner<'a>, Dialect, &Limits, &mut RequestSpans) -> Result<(), Refused>;

/// The parser of arguments of that form.
pub(crate) const fn parser(arguments: Arguments) -> Parse {
    match arguments {
        Arguments::Keys => keys,
        Arguments::TouchKeys => touch_keys,
        Arguments::Store => store::store,
        Arguments::Cas => store::cas,
        Arguments::Delete => store::delete,
        Arguments::Delta => store::delta,
        Arguments::Touch => store::touch,
        Arguments::Meta => meta::flags,
        Arguments::MetaStore => meta::store,
        Arguments::MetaDebug => meta::debug,
        Arguments::Verbosity => admin::level,
        Arguments::Megabytes => admin::megabytes,
        Arguments::Delay => admin::delay,
        Arguments::Admin => admin::admin,
        Arguments::Words => admin::words,
        Arguments::ShutdownMode => admin::shutdown,
        Arguments::QueueRead => queue::read,
        Arguments::QueueStore => queue::store,
        Arguments::Queue => queue::queue,
        Arguments::Queues => queue::queues,
        Arguments::Monitor => queue::monitor,
        Arguments::Confirm => queue::confirm,
        Arguments::OptionalWord => queue::optional_word,
        // No verb leads there: `parse_credentials_line` reads it.
        Arguments::Credentials => |_, _, _, _| Err(refused(RequestFault::UnknownCommand)),
        Arguments::None => |_, _, _, _| Ok(()),
    }
}

/// `<key>+`
fn keys(
    scanner: &mut Scanner<'_>,
    _: Dialect,
    limits: &Limits,
    spans: &mut RequestSpans,
) -> Result<(), Refused> {
    // On a line that is no longer than a key may be, no key is too long: they need not be split before
    // they are used.
    if let [b' ', first, behind @ ..] = scanner.rest()
        && *first != b' '
        && behind.len() < limits.key
    {
        spans.rest = scanner.rest_span();
        return Ok(());
    }
    each_key(scanner, limits, spans)
}

/// Checks the keys that are left on the line; one at least.
fn each_key(
    scanner: &mut Scanner<'_>,
    limits: &Limits,
    spans: &mut RequestSpans,
) -> Result<(), Refused> {
    spans.rest = scanner.rest_span();
    let mut count = 0;
    while let Some(key) = scanner.word() {
        check_key(key, limits).map_err(refused)?;
        count += 1;
    }
    if count == 0 { Err(refused(RequestFault::ArgumentCount)) } else { Ok(()) }
}

/// `<exptime> <key>+`
fn touch_keys(
    scanner: &mut Scanner<'_>,
    _: Dialect,
    limits: &Limits,
    spans: &mut RequestSpans,
) -> Result<(), Refused> {
    let exptime = scanner.word().unwrap_or_default();
    if scanner.clone().word().is_none() {
        return Err(refused(RequestFault::ArgumentCount));
    }
    let exptime = number::signed_32(exptime.of(scanner.text()));
    spans.signed = i64::from(exptime.ok_or_else(|| refused(RequestFault::BadExptime))?);
    each_key(scanner, limits, spans)
}

/// [`RequestFault::Http`] where the line is the first of a HTTP request, else the fault itself.
///
/// memcached looks for a last word that starts with `HTTP/`; the start of the line is looked at
/// too, for `GET /` without a version.
pub(super) fn fault_or_http(fault: RequestFault, text: &[u8]) -> RequestFault {
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
        RequestFault::Http
    } else {
        fault
    }
}
