//! A request that has left its connection.

use alloc::vec::Vec;

use bytes::Bytes;

use super::head::Head;
use super::request::{Field, Headers, Request};

/// A whole request apart from the connection that it came by, for an application that works it off
/// elsewhere: on another thread, so that those who share the connection's do not wait for it. It has the
/// connection's bytes; none of them is copied.
///
/// See [`ServerConnection::take_request`](super::ServerConnection::take_request).
///
/// ```
/// use windhover_core::http::{
///     HttpLimits, Output, Response, ServerConnection, Status, TakenRequest,
/// };
/// use windhover_core::{Now, Timeouts};
///
/// let (limits, timeouts, now) = (HttpLimits::default(), Timeouts::default(), Now::default());
/// let mut connection = ServerConnection::new(&limits, &timeouts, now.instant);
/// connection.receive(b"POST /track HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}");
/// assert!(matches!(connection.poll_output(now), Output::Request(_)));
/// let taken: Option<TakenRequest> = connection.take_request();
/// // The connection goes on reading, and the request is worked off meanwhile.
/// let body = taken.map(|taken| taken.request().body.to_vec());
/// assert_eq!(body.as_deref(), Some(&b"{}"[..]));
/// connection.respond(&Response::new(Status::OK, "text/plain", &b"1"[..]), now.unix);
/// assert!(matches!(connection.poll_output(now), Output::Write));
/// ```
#[derive(Clone, Debug)]
pub struct TakenRequest {
    pub(super) head: Head,
    pub(super) fields: Vec<Field>,
    pub(super) bytes: Bytes,
    /// How many of the bytes are its head.
    pub(super) head_len: usize,
    /// How many behind them are its body.
    pub(super) body_len: usize,
}

impl TakenRequest {
    /// The request, as the connection gave it.
    pub fn request(&self) -> Request<'_> {
        request(&self.head, &self.fields, &self.bytes, self.head_len, self.body_len)
    }

    /// How many bytes of memory it holds.
    pub fn held(&self) -> usize {
        self.bytes.len()
    }
}

/// The request that `bytes` begin with.
pub(super) fn request<'a>(
    head: &Head,
    fields: &'a [Field],
    bytes: &'a [u8],
    head_len: usize,
    body_len: usize,
) -> Request<'a> {
    let (text, behind) = bytes.split_at_checked(head_len).unwrap_or_default();
    let path = head.path.text(text);
    Request {
        method: head.method,
        path: if path.is_empty() { "/" } else { path },
        query: head.query.text(text),
        headers: Headers::in_head(text, fields),
        body: behind.get(..body_len).unwrap_or_default(),
    }
}
