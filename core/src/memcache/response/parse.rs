//! Parsing, one frame at a time.

use super::{Response, ResponseError, Value};
use crate::Limits;
use crate::memcache::{Dialect, Parsed, number};

/// The two bytes behind a data block.
const BLOCK_END: &[u8] = b"\r\n";

/// A parsed line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Line<'a> {
    /// The frame; a value's data is still empty.
    pub response: Response<'a>,
    /// The length of the data block that follows, without its own `\r\n`; `None` where none
    /// follows. At most `limits.value`.
    pub data: Option<usize>,
}

/// Parses the frame at the start of `input`.
///
/// ```
/// use windhover_core::Limits;
/// use windhover_core::memcache::response::{self, Response, Value};
/// use windhover_core::memcache::{Dialect, Parsed};
///
/// let input = b"VALUE greeting 0 5\r\nhello\r\nEND\r\n";
/// let parsed = response::parse(input, Dialect::Memcached, &Limits::default());
/// let value = Value { key: b"greeting", flags: 0, cas: None, data: b"hello" };
/// assert_eq!(
///     parsed,
///     Ok(Parsed::Complete { message: Response::Value(value), consumed: 27 })
/// );
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
        return value(input, &header, limits);
    }
    if input.starts_with(b"END\r\n") {
        return Ok(Parsed::Complete { message: Response::End, consumed: 5 });
    }
    let Some(newline) = memchr::memchr(b'\n', input) else {
        if input.len() > limits.line {
            return Err(ResponseError::LineTooLong);
        }
        return Ok(Parsed::Incomplete { needed: 1 });
    };
    let line = input.get(..=newline).unwrap_or(input);
    let Line { response, .. } = parse_line(line, dialect, limits)?;
    Ok(Parsed::Complete { message: response, consumed: line.len() })
}

/// Parses a line, given with its newline.
///
/// # Errors
/// [`ResponseError`]: nothing behind it can be trusted.
pub fn parse_line<'a>(
    line: &'a [u8],
    dialect: Dialect,
    limits: &Limits,
) -> Result<Line<'a>, ResponseError> {
    if line.len() > limits.line.saturating_add(1) {
        return Err(ResponseError::LineTooLong);
    }
    if let Some(header) = value_header(line) {
        return Ok(Line { response: header.value(&[]), data: Some(header.data(limits)?) });
    }
    let Some(text) = line.strip_suffix(b"\r\n") else {
        return Err(ResponseError::BareNewline);
    };
    let response = match text {
        b"END" => Response::End,
        b"STORED" => Response::Stored,
        b"NOT_STORED" => Response::NotStored,
        b"DELETED" => Response::Deleted,
        b"NOT_FOUND" => Response::NotFound,
        b"OK" => Response::Ok,
        b"RESET" => Response::Reset,
        _ => other_line(text, dialect)?,
    };
    Ok(Line { response, data: None })
}

fn other_line(text: &[u8], dialect: Dialect) -> Result<Response<'_>, ResponseError> {
    // A legal one was found before.
    if text.starts_with(b"VALUE ") {
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
    if let Some(number) = number::decimal(text) {
        return Ok(Response::Number(number));
    }
    match dialect {
        Dialect::Kestrel if !text.is_empty() => Ok(Response::Line(text)),
        _ => Err(ResponseError::UnknownLine),
    }
}

/// What stands behind a word and a space; nothing where the word is all.
fn words_behind<'a>(text: &'a [u8], word: &[u8]) -> Option<&'a [u8]> {
    let rest = text.strip_prefix(word)?;
    if rest.is_empty() {
        return Some(rest);
    }
    rest.strip_prefix(b" ")
}

/// A `VALUE` line.
struct Header<'a> {
    key: &'a [u8],
    flags: u32,
    length: u64,
    cas: Option<u64>,
    /// The length of the line, with its newline.
    line: usize,
}

impl<'a> Header<'a> {
    fn value(&self, data: &'a [u8]) -> Response<'a> {
        Response::Value(Value { key: self.key, flags: self.flags, cas: self.cas, data })
    }

    fn data(&self, limits: &Limits) -> Result<usize, ResponseError> {
        match usize::try_from(self.length) {
            Ok(data) if data <= limits.value => Ok(data),
            _ => Err(ResponseError::ValueTooLarge { length: self.length }),
        }
    }
}

/// The `VALUE <key> <flags> <bytes> [<cas>]` at the start of `input`; `None` where there is none,
/// or none that is complete and legal.
#[inline]
fn value_header(input: &[u8]) -> Option<Header<'_>> {
    let text = input.strip_prefix(b"VALUE ")?;
    let end = text.iter().position(|&byte| byte == b' ' || byte == b'\n').filter(|&end| end > 0)?;
    let (key, text) = text.split_at_checked(end)?;
    let (flags, text) = number_behind_space(text)?;
    let flags = u32::try_from(flags).ok()?;
    let (length, text) = number_behind_space(text)?;
    let (cas, text) = match number_behind_space(text) {
        Some((cas, text)) => (Some(cas), text),
        None => (None, text),
    };
    let behind = text.strip_prefix(BLOCK_END)?;
    Some(Header { key, flags, length, cas, line: input.len() - behind.len() })
}

/// A space and digits at the start of `text`, and what follows them.
#[inline]
fn number_behind_space(text: &[u8]) -> Option<(u64, &[u8])> {
    let text = text.strip_prefix(b" ")?;
    let mut number: u64 = 0;
    let mut used = 0;
    for &byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        number = number.checked_mul(10)?.checked_add(u64::from(digit))?;
        used += 1;
    }
    if used == 0 {
        return None;
    }
    Some((number, text.get(used..)?))
}

#[inline]
fn value<'a>(
    input: &'a [u8],
    header: &Header<'a>,
    limits: &Limits,
) -> Result<Parsed<Response<'a>>, ResponseError> {
    if header.line > limits.line.saturating_add(1) {
        return Err(ResponseError::LineTooLong);
    }
    let whole = header.data(limits)? + BLOCK_END.len();
    let rest = input.get(header.line..).unwrap_or_default();
    let Some(block) = rest.get(..whole) else {
        return Ok(Parsed::Incomplete { needed: whole - rest.len() });
    };
    let data = block.strip_suffix(BLOCK_END).ok_or(ResponseError::BadDataBlock)?;
    Ok(Parsed::Complete { message: header.value(data), consumed: header.line + whole })
}
