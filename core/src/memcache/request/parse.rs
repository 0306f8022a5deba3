//! Parsing, step by step and at once.

use super::arguments::{Refused, Words, check_key, refused};
use super::{Fault, Request, RequestError, RequestSpans, admin, meta, queue, store};
use crate::Limits;
use crate::memcache::command::{self, Arguments};
use crate::memcache::span::{Scanner, Span};
use crate::memcache::{Dialect, Parsed, key, line, number};

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
    with_spans(line, dialect, limits, |spans| {
        let Some(declared) = spans.data() else {
            let message = Message { request: spans.resolve(line), data: &[] };
            return Ok(Parsed::Complete { message, consumed: length });
        };
        let whole = declared + BLOCK_END.len();
        let Some(block) = rest.get(..whole) else {
            return Ok(Parsed::Incomplete { needed: whole - rest.len() });
        };
        let consumed = length + whole;
        match split_block(block) {
            Some(data) => {
                let message = Message { request: spans.resolve(line), data };
                Ok(Parsed::Complete { message, consumed })
            }
            None => Err(bad_block(spans.noreply(), dialect, consumed)),
        }
    })
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
#[inline]
pub fn parse_line<'a>(
    line: &'a [u8],
    dialect: Dialect,
    limits: &Limits,
) -> Result<Line<'a>, RequestError> {
    with_spans(line, dialect, limits, |spans| {
        Ok(Line { request: spans.resolve(line), data: spans.data() })
    })
}

/// Step 2 for who has to wait before the request is used: parses a line, given with its newline, to
/// spans that borrow nothing of it.
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
        return Err(RequestError::new(Fault::LineTooLong, dialect, false, 0));
    }
    let text = line::text(line);
    let mut scanner = Scanner::new(text);
    let verb = scanner.word().map(|verb| verb.of(text)).unwrap_or_default();
    let Some(row) = command::find(verb, dialect) else {
        return Err(refuse(refused(Fault::UnknownCommand), line, dialect));
    };
    let mut spans = RequestSpans::new(row);
    if let Err(refused) = parse_arguments(scanner, dialect, limits, &mut spans) {
        return Err(refuse(refused, line, dialect));
    }
    then(&spans)
}

#[cold]
fn refuse(refused: Refused, line: &[u8], dialect: Dialect) -> RequestError {
    let Refused { fault, noreply, block } = refused;
    if line.len() > Span::MAX_LINE {
        return RequestError::new(Fault::LineTooLong, dialect, false, 0);
    }
    // In a queue's dialect `GET / HTTP/1.1` is a known verb.
    let fault = match fault {
        Fault::UnknownCommand => fault_or_http(fault, line::text(line)),
        fault if dialect.is_queue() => fault_or_http(fault, line::text(line)),
        fault => fault,
    };
    RequestError::new(fault, dialect, noreply, line.len() + block)
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

/// Parses what follows the verb, in the form that the row gives.
#[inline]
fn parse_arguments(
    scanner: Scanner<'_>,
    dialect: Dialect,
    limits: &Limits,
    spans: &mut RequestSpans,
) -> Result<(), Refused> {
    let words = |scanner| Words::of(scanner);
    match spans.row().arguments {
        Arguments::Keys => keys(scanner, 1, limits, spans),
        Arguments::TouchKeys => touch_keys(scanner, limits, spans),
        Arguments::Store => store::store(scanner, limits, spans),
        Arguments::Cas => store::cas(&words(scanner), limits, spans),
        Arguments::Delete => store::delete(&words(scanner), limits, spans),
        Arguments::Delta => store::delta(scanner, limits, spans),
        Arguments::Touch => store::touch(&words(scanner), limits, spans),
        Arguments::Meta => meta::flags(scanner, limits, spans),
        Arguments::MetaStore => meta::store(scanner, limits, spans),
        Arguments::MetaDebug => meta::debug(scanner, limits, spans),
        Arguments::Verbosity => admin::number_of_32_bits(&words(scanner), Fault::BadNumber, spans),
        Arguments::Megabytes => {
            admin::number_of_32_bits(&words(scanner), Fault::BadMegabytes, spans)
        }
        Arguments::Delay => admin::delay(&words(scanner), spans),
        Arguments::Admin => admin::admin(&scanner, spans),
        Arguments::Words => {
            admin::words(&scanner, dialect, spans);
            Ok(())
        }
        Arguments::ShutdownMode => {
            spans.rest = scanner.trimmed();
            Ok(())
        }
        Arguments::QueueRead => queue::read(&words(scanner), dialect, limits, spans),
        Arguments::QueueStore => queue::store(&words(scanner), dialect, limits, spans),
        Arguments::Queue => queue::queue(&words(scanner), dialect, limits, spans),
        Arguments::Queues => queue::queues(scanner, dialect, limits, spans),
        Arguments::Monitor => queue::monitor(&words(scanner), dialect, limits, spans),
        Arguments::Confirm => queue::confirm(&words(scanner), dialect, limits, spans),
        Arguments::OptionalWord => {
            spans.key = words(scanner).span(0);
            Ok(())
        }
        // No verb leads there: `parse_credentials_line` reads it.
        Arguments::Credentials => Err(refused(Fault::UnknownCommand)),
        Arguments::None => Ok(()),
    }
}

/// The keys that are left on the line, which are to be so many at least.
#[inline]
fn keys(
    mut scanner: Scanner<'_>,
    least: usize,
    limits: &Limits,
    spans: &mut RequestSpans,
) -> Result<(), Refused> {
    spans.rest = scanner.rest();
    let mut count = 0;
    while let Some(key) = scanner.word() {
        check_key(key, limits).map_err(refused)?;
        count += 1;
    }
    if count < least { Err(refused(Fault::ArgumentCount)) } else { Ok(()) }
}

/// `<exptime> <key>*`: memcached takes it without keys, too.
fn touch_keys(
    mut scanner: Scanner<'_>,
    limits: &Limits,
    spans: &mut RequestSpans,
) -> Result<(), Refused> {
    let exptime = scanner.word().ok_or_else(|| refused(Fault::ArgumentCount))?;
    let exptime = number::signed_64(exptime.of(scanner.text()));
    spans.signed = exptime.ok_or_else(|| refused(Fault::BadExptime))?;
    keys(scanner, 0, limits, spans)
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
