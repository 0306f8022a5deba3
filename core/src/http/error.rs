//! What a connection refuses, and with which status.

use core::fmt;

use super::Status;

/// A request that the connection itself refuses. It is answered in its place in the order, with
/// [`status`](Self::status) and this error's text as body, and then the connection ends: nothing
/// certain can be said of the bytes behind it.
///
/// ```
/// use windhover_core::http::{HttpError, HttpLimits, Output, ServerConnection, Status};
/// use windhover_core::{Now, Timeouts};
///
/// let (limits, timeouts, now) = (HttpLimits::default(), Timeouts::default(), Now::default());
/// let mut connection = ServerConnection::new(&limits, &timeouts, now.instant);
/// // Two lengths, of which somebody in between may believe the other one: request smuggling.
/// connection.receive(
///     b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
/// );
/// assert!(matches!(connection.poll_output(now), Output::Write));
/// let error = connection.error();
/// assert_eq!(error, Some(HttpError::TwoLengths));
/// assert_eq!(error.map(HttpError::status), Some(Status::BAD_REQUEST));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HttpError {
    /// The request line is not `METHOD target HTTP/1.x`: 400 (RFC 9112 §3).
    RequestLine,
    /// A version other than HTTP/1.0 and HTTP/1.1: 505.
    Version,
    /// A method that the standard does not name, or `CONNECT`: 501.
    Method,
    /// The request target has a form or a character that it may not have: 400 (RFC 9112 §3.2).
    Target,
    /// A line ends in LF without CR: 400 (stricter than RFC 9112 §2.2 asks for).
    BareLineFeed,
    /// A header line that breaks the grammar: no colon, space before it, folding, a control
    /// character: 400 (RFC 9112 §5).
    Header,
    /// `Host` is missing in HTTP/1.1, there twice, or not a host: 400 (RFC 9112 §3.2).
    Host,
    /// `Content-Length` is not digits only, or there twice: 400 (RFC 9112 §6.3).
    ContentLength,
    /// `Content-Length` beside `Transfer-Encoding`: 400 (RFC 9112 §6.1).
    TwoLengths,
    /// `Transfer-Encoding` that is empty, that does not end in one `chunked`, or that comes with
    /// HTTP/1.0: 400 (RFC 9112 §6.1).
    TransferEncoding,
    /// A transfer coding other than `chunked`: 501.
    TransferCoding,
    /// A `POST` that says nothing of its length: 411.
    LengthRequired,
    /// A body larger than [`HttpLimits::body`](super::HttpLimits::body), which is `limit` bytes: 413.
    BodyTooLarge {
        /// The largest body in bytes.
        limit: usize,
    },
    /// A chunk of a body breaks the grammar, or its size has too many digits: 400 (RFC 9112 §7.1).
    Chunk,
    /// Extensions and trailers of a chunked body that are together larger than
    /// [`HttpLimits::head`](super::HttpLimits::head): 431.
    ChunkOverhead,
    /// A request line that alone is longer than [`HttpLimits::head`](super::HttpLimits::head): 414.
    TargetTooLong,
    /// A head longer than [`HttpLimits::head`](super::HttpLimits::head): 431.
    HeadTooLarge,
    /// More headers than [`HttpLimits::headers`](super::HttpLimits::headers): 431.
    TooManyHeaders,
    /// `Expect` with anything but `100-continue`: 417.
    Expectation,
    /// The head did not come whole within [`Timeouts::head`](crate::Timeouts::head): 408.
    HeadTimeout,
    /// The body did not come whole within [`Timeouts::body`](crate::Timeouts::body): 408.
    BodyTimeout,
    /// The peer ended its side in the middle of a request: 400 (RFC 9112 §8).
    Incomplete,
    /// The application takes no bodies for now
    /// ([`set_overloaded`](super::ServerConnection::set_overloaded)): 503.
    Overloaded,
}

impl HttpError {
    /// The status that answers it.
    pub const fn status(self) -> Status {
        Status(match self {
            Self::RequestLine
            | Self::Target
            | Self::BareLineFeed
            | Self::Header
            | Self::Host
            | Self::ContentLength
            | Self::TwoLengths
            | Self::TransferEncoding
            | Self::Chunk
            | Self::Incomplete => 400,
            Self::HeadTimeout | Self::BodyTimeout => 408,
            Self::LengthRequired => 411,
            Self::BodyTooLarge { .. } => 413,
            Self::TargetTooLong => 414,
            Self::Expectation => 417,
            Self::ChunkOverhead | Self::HeadTooLarge | Self::TooManyHeaders => 431,
            Self::Method | Self::TransferCoding => 501,
            Self::Overloaded => 503,
            Self::Version => 505,
        })
    }

    /// A short name of the error in lower case, for the label of a metric.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::RequestLine => "request_line",
            Self::Version => "version",
            Self::Method => "method",
            Self::Target => "target",
            Self::BareLineFeed => "bare_line_feed",
            Self::Header => "header",
            Self::Host => "host",
            Self::ContentLength => "content_length",
            Self::TwoLengths => "two_lengths",
            Self::TransferEncoding => "transfer_encoding",
            Self::TransferCoding => "transfer_coding",
            Self::LengthRequired => "length_required",
            Self::BodyTooLarge { .. } => "body_too_large",
            Self::Chunk => "chunk",
            Self::ChunkOverhead => "chunk_overhead",
            Self::TargetTooLong => "target_too_long",
            Self::HeadTooLarge => "head_too_large",
            Self::TooManyHeaders => "too_many_headers",
            Self::Expectation => "expectation",
            Self::HeadTimeout => "head_timeout",
            Self::BodyTimeout => "body_timeout",
            Self::Incomplete => "incomplete",
            Self::Overloaded => "overloaded",
        }
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RequestLine => {
                "the request line is malformed: expected `METHOD target HTTP/1.1`, single spaces"
            }
            Self::Version => "this HTTP version is not spoken here: use HTTP/1.1",
            Self::Method => "this method is not known here: use GET, HEAD, POST or OPTIONS",
            Self::Target => {
                "the request target is malformed: expected `/path?query`, percent-encoded, \
                 without `#`"
            }
            Self::BareLineFeed => "a line ends in LF alone: end every line in CR LF",
            Self::Header => {
                "a header line is malformed: expected `Name: value` on one line, no space before \
                 the colon, no control characters"
            }
            Self::Host => "expected exactly one `Host` header, with a host name",
            Self::ContentLength => "expected at most one `Content-Length`, of digits only",
            Self::TwoLengths => {
                "`Content-Length` and `Transfer-Encoding` in one request: send only one of them"
            }
            Self::TransferEncoding => {
                "`Transfer-Encoding` is malformed: expected `chunked`, in HTTP/1.1 only"
            }
            Self::TransferCoding => {
                "this transfer coding is not known here: use `chunked` or `Content-Length`"
            }
            Self::LengthRequired => {
                "a POST without a length: send `Content-Length` or `Transfer-Encoding: chunked`"
            }
            Self::BodyTooLarge { limit } => {
                return write!(f, "the body is larger than {limit} bytes: send less at a time");
            }
            Self::Chunk => {
                "a chunk is malformed: expected its size in hexadecimal, CR LF, that many bytes, \
                 CR LF"
            }
            Self::ChunkOverhead => "the chunk extensions and trailers are too long: leave them out",
            Self::TargetTooLong => "the request line is too long: send the data as a POST",
            Self::HeadTooLarge => "the head is too long: send fewer or shorter headers",
            Self::TooManyHeaders => "too many headers: send fewer",
            Self::Expectation => "this expectation is not known here: only `100-continue` is",
            Self::HeadTimeout => "the head of the request took too long to come",
            Self::BodyTimeout => "the body of the request took too long to come",
            Self::Incomplete => "the connection ended in the middle of a request",
            Self::Overloaded => {
                "too much waits to be written for now: send the request again later"
            }
        })
    }
}

impl core::error::Error for HttpError {}
