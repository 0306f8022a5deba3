//! The head of a request: where it ends, and what its lines mean for the connection.

use alloc::vec::Vec;
use core::mem::MaybeUninit;

use super::encode::is_token_byte;
use super::error::HttpError;
use super::request::{Field, Method, Span};
use super::target;
use crate::cannot_happen::cannot_happen;

/// Heads with at most this many headers are parsed without an allocation.
const HEADERS_ON_STACK: usize = 64;

/// The search for the end of a head that comes in pieces: every byte is looked at once.
///
/// It knows lines and nothing of what they say, so that the end of a head is found in the same
/// place whatever is wrong with it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scan {
    /// A byte of this head has come.
    pub(super) begun: bool,
    /// The bytes before this place were looked at.
    searched: usize,
    /// Where the line that is being read begins.
    line: usize,
    /// Whole lines so far; the first is the request line.
    lines: usize,
}

impl Scan {
    /// The length of the head at the start of `bytes`, once it is there whole. It may be `longest`
    /// bytes long and have `most` headers.
    pub(super) fn find_end(
        &mut self,
        bytes: &[u8],
        longest: usize,
        most: usize,
    ) -> Result<Option<usize>, HttpError> {
        let window = bytes.get(..longest).unwrap_or(bytes);
        while let Some(at) = memchr::memchr(b'\n', window.get(self.searched..).unwrap_or_default())
        {
            let newline = self.searched + at;
            let line = window.get(self.line..newline).unwrap_or_default();
            let Some((b'\r', line)) = line.split_last() else {
                return Err(HttpError::BareLineFeed);
            };
            self.searched = newline + 1;
            self.line = newline + 1;
            if line.is_empty() {
                return Ok(Some(newline + 1));
            }
            self.lines += 1;
            if self.lines > most.saturating_add(1) {
                return Err(HttpError::TooManyHeaders);
            }
        }
        self.searched = window.len();
        if bytes.len() < longest {
            Ok(None)
        } else if self.lines == 0 {
            Err(HttpError::TargetTooLong)
        } else {
            Err(HttpError::HeadTooLarge)
        }
    }

    /// How many header lines were found.
    pub(super) fn headers(&self) -> usize {
        self.lines.saturating_sub(1)
    }
}

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Length {
    /// There is no body.
    #[default]
    None,
    /// `Content-Length`; one too large for the type is its largest value.
    Bytes(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// What a head says, the headers themselves aside.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Head {
    pub(super) method: Method,
    pub(super) path: Span,
    pub(super) query: Span,
    /// The request is HTTP/1.0.
    pub(super) http10: bool,
    /// The peer sends no further request.
    pub(super) close: bool,
    /// The peer waits for `100 Continue` before it sends the body.
    pub(super) expects_continue: bool,
    pub(super) length: Length,
}

/// Parses a whole head with `count` header lines; its headers replace what is in `fields`.
pub(super) fn parse(
    bytes: &[u8],
    count: usize,
    fields: &mut Vec<Field>,
) -> Result<Head, HttpError> {
    fields.clear();
    fields.reserve_exact(count);
    if count <= HEADERS_ON_STACK {
        parse_into(bytes, &mut [const { MaybeUninit::uninit() }; HEADERS_ON_STACK], fields)
    } else {
        let mut headers = Vec::new();
        headers.resize_with(count, MaybeUninit::uninit);
        parse_into(bytes, &mut headers, fields)
    }
}

fn parse_into<'b>(
    bytes: &'b [u8],
    headers: &mut [MaybeUninit<httparse::Header<'b>>],
    fields: &mut Vec<Field>,
) -> Result<Head, HttpError> {
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(bytes, headers) {
        Ok(httparse::Status::Complete(len)) if len == bytes.len() => {}
        // The two searches for the end of the head differ: nothing certain can be said of it.
        Ok(_) => return cannot_happen(Err(HttpError::Header)),
        Err(error) => return Err(refusal(error, bytes)),
    }
    let method = Method::from_name(request.method.unwrap_or_default()).ok_or(HttpError::Method)?;
    let (path, query) = target::parse(method, request.path.unwrap_or_default(), bytes)?;
    let http10 = request.version == Some(0);

    let mut meaning = Meaning::default();
    for header in request.headers.iter() {
        fields.push(Field {
            name: Span::of(header.name.as_bytes(), bytes),
            value: Span::of(header.value, bytes),
        });
        meaning.take(header.name, header.value)?;
    }
    if meaning.hosts == 0 && !http10 {
        return Err(HttpError::Host);
    }
    let length = meaning.length(http10)?;
    if length == Length::None && method == Method::Post {
        return Err(HttpError::LengthRequired);
    }
    // HTTP/1.0 does not know expectations (RFC 9110 §10.1.1).
    if meaning.expectation == Expectation::Unknown && !http10 {
        return Err(HttpError::Expectation);
    }
    Ok(Head {
        method,
        path,
        query,
        http10,
        close: meaning.close || (http10 && !meaning.keep_alive),
        expects_continue: meaning.expectation == Expectation::Continue && !http10,
        length,
    })
}

fn refusal(error: httparse::Error, bytes: &[u8]) -> HttpError {
    match error {
        httparse::Error::Version if has_version(bytes) => HttpError::Version,
        httparse::Error::Version | httparse::Error::Token | httparse::Error::Status => {
            HttpError::RequestLine
        }
        httparse::Error::NewLine if !has_version(bytes) => HttpError::RequestLine,
        httparse::Error::TooManyHeaders => HttpError::TooManyHeaders,
        httparse::Error::HeaderName | httparse::Error::HeaderValue | httparse::Error::NewLine => {
            HttpError::Header
        }
    }
}

/// Whether the request line has three parts, the third of them `HTTP/`, a digit, a dot and a digit.
fn has_version(bytes: &[u8]) -> bool {
    let line = bytes.split(|&byte| byte == b'\r').next();
    let mut parts = line.unwrap_or_default().split(|&byte| byte == b' ');
    matches!(
        (parts.nth(2), parts.next()),
        (Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor]), None)
            if major.is_ascii_digit() && minor.is_ascii_digit()
    )
}

/// What the headers seen so far say about the connection and the body.
#[derive(Debug, Default)]
struct Meaning {
    hosts: usize,
    content_length: Option<u64>,
    codings: Option<Codings>,
    close: bool,
    keep_alive: bool,
    expectation: Expectation,
}

/// The elements of every `Transfer-Encoding`, in order.
#[derive(Clone, Copy, Debug, Default)]
struct Codings {
    chunked: usize,
    others: usize,
    chunked_is_last: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Expectation {
    #[default]
    None,
    Continue,
    Unknown,
}

impl Meaning {
    fn take(&mut self, name: &str, value: &[u8]) -> Result<(), HttpError> {
        // The length first: it rules out nearly every header without comparing names.
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        match name.len() {
            4 if is("host") => {
                self.hosts += 1;
                if self.hosts > 1 || !target::is_host(value) {
                    return Err(HttpError::Host);
                }
            }
            6 if is("expect") => {
                for expectation in list(value) {
                    if !expectation.eq_ignore_ascii_case(b"100-continue") {
                        self.expectation = Expectation::Unknown;
                    } else if self.expectation == Expectation::None {
                        self.expectation = Expectation::Continue;
                    }
                }
            }
            10 if is("connection") => {
                for option in list(value) {
                    // What is no option means nothing that two servers agree on: behind it, one may
                    // go on where the other closes.
                    let is_option = option.iter().copied().all(is_token_byte);
                    self.close |= !is_option || option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            14 if is("content-length") => {
                if self.content_length.is_some() {
                    return Err(HttpError::ContentLength);
                }
                self.content_length = Some(decimal(value).ok_or(HttpError::ContentLength)?);
            }
            17 if is("transfer-encoding") => {
                let codings = self.codings.get_or_insert_default();
                // Empty elements count, unlike elsewhere: not every proxy passes over them, and the
                // two would see different ends of the body.
                for coding in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
                    if coding.is_empty() {
                        return Err(HttpError::TransferEncoding);
                    }
                    codings.chunked_is_last = coding.eq_ignore_ascii_case(b"chunked");
                    if codings.chunked_is_last {
                        codings.chunked += 1;
                    } else {
                        codings.others += 1;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn length(&self, http10: bool) -> Result<Length, HttpError> {
        match (self.codings, self.content_length) {
            (None, None) => Ok(Length::None),
            (None, Some(length)) => Ok(Length::Bytes(length)),
            (Some(_), Some(_)) => Err(HttpError::TwoLengths),
            (Some(_), None) if http10 => Err(HttpError::TransferEncoding),
            (Some(codings), None) => match codings {
                Codings { chunked: 1, others: 0, .. } => Ok(Length::Chunked),
                Codings { chunked: 1, chunked_is_last: true, .. }
                | Codings { chunked: 0, others: 1.., .. } => Err(HttpError::TransferCoding),
                _ => Err(HttpError::TransferEncoding),
            },
        }
    }
}

/// The elements of a comma-separated list; empty ones are passed over (RFC 9110 §5.6.1).
fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// A number of digits only; saturates, so that what is too large stays too large.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        digit
            .is_ascii_digit()
            .then(|| number.saturating_mul(10).saturating_add(u64::from(digit - b'0')))
    })
}
