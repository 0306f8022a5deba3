//! Parsing, one frame at a time.

use super::{Response, ResponseError, ValueFrame};
use crate::memcache::Limits;
use crate::memcache::meta::{MetaCode, MetaFlags, MetaReply};
#[cfg(feature = "client")]
use crate::memcache::span::Span;
use crate::memcache::{Dialect, Parsed, key, number};
use crate::swar;

/// The two bytes behind a data block.
const BLOCK_END: &[u8] = b"\r\n";
/// What stands before the key of an item.
pub(crate) const VALUE: &[u8] = b"VALUE ";

/// A parsed line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResponseLine<'a> {
    /// The frame; a value's data is still empty.
    pub response: Response<'a>,
    /// The length of the data block that follows, without its own `\r\n`; `None` where none
    /// follows. At most `limits.value`.
    pub data: Option<usize>,
}

/// Parses the frame at the start of `input`.
///
/// ```
/// use windhover_core::memcache::Limits;
/// use windhover_core::memcache::response::{self, Response, ValueFrame};
/// use windhover_core::memcache::{Dialect, Parsed};
///
/// let input = b"VALUE greeting 0 5\r\nhello\r\nEND\r\n";
/// let parsed = response::parse(input, Dialect::Memcached, &Limits::default());
/// let value = ValueFrame { key: b"greeting", flags: 0, cas: None, data: b"hello" };
/// assert_eq!(parsed, Ok(Parsed::Complete { message: Response::Value(value), consumed: 27 }));
/// ```
///
/// # Errors
/// [`ResponseError`]: nothing behind it can be trusted.
#[inline]
pub fn parse<'a>(
    input: &'a [u8],
    dialect: Dialect,
    limits: &Limits,
) -> Result<Parsed<Response<'a>>, ResponseError> {
    // The frames of a retrieval are read in one pass. Whatever is not such a frame, complete and
    // without fault, takes the long way.
    if let Some(header) = value_header(input) {
        let data = header.data(limits)?;
        let flags = header.flags()?;
        return with_block(header.behind, header.line, data, |data| header.value(flags, data));
    }
    if input.starts_with(b"END\r\n") {
        return Ok(Parsed::Complete { message: Response::End, consumed: 5 });
    }
    if let Some(header) = meta_header(input, dialect) {
        let data = header.data(limits)?;
        return with_block(header.behind, header.line, data, |data| header.value(data));
    }
    let Some(newline) = memchr::memchr(b'\n', input) else {
        if input.len() > limits.line {
            return Err(ResponseError::LineTooLong);
        }
        return Ok(Parsed::Incomplete { needed: 1 });
    };
    let line = input.get(..=newline).unwrap_or(input);
    let message = parse_line_alone(line, dialect, limits)?;
    Ok(Parsed::Complete { message, consumed: line.len() })
}

/// Parses a line, given with its newline.
///
/// ```
/// use windhover_core::memcache::response::{Response, ResponseError, ResponseLine, parse_line};
/// use windhover_core::memcache::{Dialect, Limits};
///
/// let parse = |line| parse_line(line, Dialect::Memcached, &Limits::default());
/// let ResponseLine { response, data, .. } = parse(b"VALUE film 1 700000\r\n")?;
/// assert!(matches!(response, Response::Value(value) if value.key == b"film"));
/// assert_eq!(data, Some(700_000));
/// // What is no response breaks the connection: it is never taken for a miss.
/// assert_eq!(parse(b"hello\r\n"), Err(ResponseError::UnknownLine));
/// # Ok::<(), ResponseError>(())
/// ```
///
/// # Errors
/// [`ResponseError`]: nothing behind it can be trusted.
pub fn parse_line<'a>(
    line: &'a [u8],
    dialect: Dialect,
    limits: &Limits,
) -> Result<ResponseLine<'a>, ResponseError> {
    if let Some(header) = value_header(line) {
        let data = Some(header.data(limits)?);
        return Ok(ResponseLine { response: header.value(header.flags()?, &[]), data });
    }
    if let Some(header) = meta_header(line, dialect) {
        return Ok(ResponseLine { response: header.value(&[]), data: Some(header.data(limits)?) });
    }
    parse_line_alone(line, dialect, limits).map(|response| ResponseLine { response, data: None })
}

/// A `VALUE` line, as offsets and numbers.
#[cfg(feature = "client")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct ItemLine {
    /// How long it is, with its newline.
    pub(crate) length: usize,
    pub(crate) key: Span,
    pub(crate) flags: u32,
    pub(crate) cas: Option<u64>,
    /// The length of the block that it announces.
    pub(crate) data: usize,
}

/// The `VALUE` line at the start of `input`, whatever follows it; `None` where there is none that is whole and
/// that [`parse_line`] takes.
#[cfg(feature = "client")]
#[inline]
pub(crate) fn item_line(input: &[u8], limits: &Limits) -> Option<ItemLine> {
    let header = value_header(input)?;
    let (flags, data) = (header.flags().ok()?, header.data(limits).ok()?);
    let start = VALUE.len();
    let key = Span::new(start, start + header.key.len());
    Some(ItemLine { length: header.line, key, flags, cas: header.cas, data })
}

/// A line that announces no block.
fn parse_line_alone<'a>(
    line: &'a [u8],
    dialect: Dialect,
    limits: &Limits,
) -> Result<Response<'a>, ResponseError> {
    if line.len() > limits.line.saturating_add(1) {
        return Err(ResponseError::LineTooLong);
    }
    let Some(text) = line.strip_suffix(b"\r\n") else {
        return bare_line(line, dialect);
    };
    Ok(match text {
        b"END" => Response::End,
        b"STORED" => Response::Stored,
        b"NOT_STORED" => Response::NotStored,
        b"EXISTS" => Response::Exists,
        b"DELETED" => Response::Deleted,
        b"NOT_FOUND" => Response::NotFound,
        b"TOUCHED" => Response::Touched,
        b"OK" => Response::Ok,
        b"RESET" => Response::Reset,
        _ => match meta_line(text, dialect)? {
            Some(response) => response,
            None => other_line(text, dialect)?,
        },
    })
}

/// A line that ends with a bare newline: memcached writes those of `lru_crawler metadump` so.
#[cold]
fn bare_line(line: &[u8], dialect: Dialect) -> Result<Response<'_>, ResponseError> {
    match line.strip_suffix(b"\n") {
        Some(text) if !dialect.is_queue() && text.starts_with(b"key=") => {
            Ok(Response::Listing(text))
        }
        _ => Err(ResponseError::BareNewline),
    }
}

/// A `VALUE` line that [`parse_line`] refuses for its flags alone, with flags of 0 in their place.
pub(crate) fn parse_line_with_any_flags<'a>(
    line: &'a [u8],
    limits: &Limits,
) -> Result<ResponseLine<'a>, ResponseError> {
    let header = value_header(line).ok_or(ResponseError::BadValueLine)?;
    Ok(ResponseLine { response: header.value(0, &[]), data: Some(header.data(limits)?) })
}

/// A line that starts with one of the two-letter codes of the meta commands and announces no block.
fn meta_line(text: &[u8], dialect: Dialect) -> Result<Option<Response<'_>>, ResponseError> {
    let Some((code, rest @ ([] | [b' ', ..]))) = text.split_first_chunk() else {
        return Ok(None);
    };
    match code {
        _ if dialect.is_queue() => return Ok(None),
        b"MN" if rest.is_empty() => return Ok(Some(Response::MetaNoop)),
        b"ME" => {
            let (key, fields) = key::first_word(rest).ok_or(ResponseError::BadMetaLine)?;
            let fields = fields.strip_prefix(b" ").unwrap_or(fields);
            return Ok(Some(Response::MetaDebug { key, fields }));
        }
        _ => {}
    }
    match MetaCode::of_text(*code) {
        // A legal one was found before.
        Some(MetaCode::Value) => Err(ResponseError::BadMetaLine),
        code => Ok(code.map(|code| Response::Meta(MetaReply::new(code, MetaFlags::new(rest))))),
    }
}

fn other_line(text: &[u8], dialect: Dialect) -> Result<Response<'_>, ResponseError> {
    // A legal one was found before.
    if text.starts_with(VALUE) {
        return Err(ResponseError::BadValueLine);
    }
    if let Some(rest) = text.strip_prefix(b"STAT ") {
        let end = memchr::memchr(b' ', rest).unwrap_or(rest.len());
        let (name, value) = rest.split_at_checked(end).unwrap_or((rest, &[]));
        if !name.is_empty() {
            let value = value.strip_prefix(b" ").unwrap_or(value);
            return Ok(Response::Stat { name, value });
        }
    }
    if let Some(version) = text.strip_prefix(b"VERSION ") {
        return Ok(Response::Version(version));
    }
    if let Some(what) = words_behind(text, b"CLIENT_ERROR") {
        return Ok(Response::ClientError(what));
    }
    if let Some(what) = words_behind(text, b"SERVER_ERROR") {
        return Ok(Response::ServerError(what));
    }
    if let Some(what) = words_behind(text, b"ERROR") {
        return Ok(Response::Error(what));
    }
    if let Some(number) = number::decimal(trim_padding(text)) {
        return Ok(Response::Number(number));
    }
    let (listing, sentence) = if dialect.is_queue() {
        (is_dump(text), !text.is_empty())
    } else {
        let starts = |with: &&[u8]| text.starts_with(with);
        (LISTINGS.iter().any(starts), SENTENCES.iter().any(starts))
    };
    match (listing, sentence) {
        (true, _) => Ok(Response::Listing(text)),
        (false, true) => Ok(Response::Line(text)),
        (false, false) => Err(ResponseError::UnknownLine),
    }
}

/// How memcached's listings begin: `stats cachedump`, `stats detail dump`, `lru_crawler metadump`
/// and `mgdump`, `watch`.
const LISTINGS: &[&[u8]] = &[b"ITEM ", b"PREFIX ", b"key=", b"mg ", b"ts="];

/// How memcached's answers to administrative commands begin.
const SENTENCES: &[&[u8]] = &[
    b"BUSY",
    b"BADCLASS",
    b"NOSPARE",
    b"NOTFULL",
    b"UNSAFE",
    b"SAME",
    b"NOTSTARTED",
    b"MEMLIMIT_",
    b"WATCHER_",
    b"ERROR: ",
    b"SERVER_ERROR: ",
    b"Error ",
];

/// A line of kestrel's `dump_stats` and `dump_config`.
fn is_dump(text: &[u8]) -> bool {
    text == b"}" || text.starts_with(b"  ") || text.starts_with(b"queue '") && text.ends_with(b"{")
}

/// A number may be padded with spaces where a decrement made it shorter.
fn trim_padding(mut text: &[u8]) -> &[u8] {
    while let [rest @ .., b' '] = text {
        text = rest;
    }
    text
}

/// What stands behind a word and a space; nothing where the word is all.
fn words_behind<'a>(text: &'a [u8], word: &[u8]) -> Option<&'a [u8]> {
    let rest = text.strip_prefix(word)?;
    if rest.is_empty() {
        return Some(rest);
    }
    rest.strip_prefix(b" ")
}

/// The length of the block that a line of so many bytes announces, where both are within their limits.
#[inline]
fn line_and_block_length(
    line: usize,
    length: u64,
    limits: &Limits,
) -> Result<usize, ResponseError> {
    if line > limits.line.saturating_add(1) {
        return Err(ResponseError::LineTooLong);
    }
    match usize::try_from(length) {
        Ok(data) if data <= limits.value => Ok(data),
        _ => Err(ResponseError::ValueTooLarge { length }),
    }
}

/// A `VALUE` line.
struct Header<'a> {
    key: &'a [u8],
    flags: u64,
    length: u64,
    cas: Option<u64>,
    /// The length of the line, with its newline.
    line: usize,
    /// What follows it.
    behind: &'a [u8],
}

impl<'a> Header<'a> {
    fn value(&self, flags: u32, data: &'a [u8]) -> Response<'a> {
        Response::Value(ValueFrame { key: self.key, flags, cas: self.cas, data })
    }

    fn flags(&self) -> Result<u32, ResponseError> {
        let flags = self.flags;
        u32::try_from(flags).map_err(|_| ResponseError::FlagsTooLarge { flags })
    }

    fn data(&self, limits: &Limits) -> Result<usize, ResponseError> {
        line_and_block_length(self.line, self.length, limits)
    }
}

/// The `VALUE <key> <flags> <bytes> [<cas>]` at the start of `input`; `None` where there is none,
/// or none that is complete and legal.
#[inline]
fn value_header(input: &[u8]) -> Option<Header<'_>> {
    let text = input.strip_prefix(VALUE)?;
    let (key, text) = text.split_at_checked(key_length(text)).filter(|(key, _)| !key.is_empty())?;
    let (flags, text) = number_behind_space(text)?;
    let (length, text) = number_behind_space(text)?;
    let (cas, text) = match text {
        [b' ', ..] => number_behind_space(text).map(|(cas, text)| (Some(cas), text))?,
        _ => (None, text),
    };
    let behind = text.strip_prefix(BLOCK_END)?;
    Some(Header { key, flags, length, cas, line: input.len() - behind.len(), behind })
}

/// A `VA` line.
struct MetaHeader<'a> {
    length: u64,
    flags: &'a [u8],
    /// The length of the line, with its newline.
    line: usize,
    /// What follows it.
    behind: &'a [u8],
}

impl<'a> MetaHeader<'a> {
    fn value(&self, data: &'a [u8]) -> Response<'a> {
        Response::Meta(MetaReply::value(MetaFlags::new(self.flags), data))
    }

    fn data(&self, limits: &Limits) -> Result<usize, ResponseError> {
        line_and_block_length(self.line, self.length, limits)
    }
}

/// The `VA <bytes> <flag>*` at the start of `input`; `None` where there is none, or none that is
/// complete and legal.
#[inline]
fn meta_header(input: &[u8], dialect: Dialect) -> Option<MetaHeader<'_>> {
    if dialect.is_queue() {
        return None;
    }
    let (length, text) = number_behind_space(input.strip_prefix(b"VA")?)?;
    let (flags, behind) = text.split_at_checked(memchr::memchr(b'\n', text)? + 1)?;
    match flags {
        [flags @ .., b'\r', b'\n'] if matches!(flags, [] | [b' ', ..]) => {
            Some(MetaHeader { length, flags, line: input.len() - behind.len(), behind })
        }
        _ => None,
    }
}

/// How many bytes stand before the first space or newline of `text`, or before its end. (What follows
/// the line is not looked at: it may be all of a large value.)
#[inline]
fn key_length(text: &[u8]) -> usize {
    let length = swar::find(text, |eight| swar::below(eight, b'!'));
    match text.get(length) {
        None | Some(b' ' | b'\n') => length,
        Some(_) => key_length_with_controls(text),
    }
}

/// The same of a key with control characters in it.
#[cold]
fn key_length_with_controls(text: &[u8]) -> usize {
    text.iter().position(|byte| matches!(byte, b' ' | b'\n')).unwrap_or(text.len())
}

/// A space and digits at the start of `text`, and what follows them.
#[inline]
fn number_behind_space(text: &[u8]) -> Option<(u64, &[u8])> {
    let [b' ', digits @ ..] = text else {
        return None;
    };
    let (number, length) = number::long_digits_before(digits);
    let rest = digits.get(length..)?;
    match length {
        0 => None,
        // They cannot overflow.
        1..=19 => Some((number, rest)),
        _ => Some((number::decimal(digits.get(..length)?)?, rest)),
    }
}

/// The frame of a line of `line` bytes with a block of `data` bytes at the start of what follows it.
#[inline]
fn with_block<'a>(
    behind: &'a [u8],
    line: usize,
    data: usize,
    frame: impl FnOnce(&'a [u8]) -> Response<'a>,
) -> Result<Parsed<Response<'a>>, ResponseError> {
    let whole = data + BLOCK_END.len();
    let Some(block) = behind.get(..whole) else {
        return Ok(Parsed::Incomplete { needed: whole - behind.len() });
    };
    let data = block.strip_suffix(BLOCK_END).ok_or(ResponseError::BadDataBlock)?;
    Ok(Parsed::Complete { message: frame(data), consumed: line + whole })
}
