//! A HTTP response as the application gives it.

use alloc::borrow::Cow;

/// A status code with the standard's reason phrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Status(pub u16);

impl Status {
    /// 200
    pub const OK: Self = Self(200);
    /// 302
    pub const FOUND: Self = Self(302);
    /// 404
    pub const NOT_FOUND: Self = Self(404);
    /// 405
    pub const METHOD_NOT_ALLOWED: Self = Self(405);
    /// 503
    pub const SERVICE_UNAVAILABLE: Self = Self(503);
}

/// The body of a response.
pub type Body = Cow<'static, [u8]>;

/// A whole response. `Content-Length`, `Connection` and `Date` are the connection's business;
/// `HEAD` is too: give the body as for `GET`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Response {
    /// The status.
    pub status: Status,
    /// `Content-Type`; none is sent when it is empty.
    pub content_type: &'static str,
    /// Headers that are always the same, so that a frequent answer needs no allocation for them.
    pub fixed_headers: &'static [(&'static str, &'static str)],
    /// Further headers: name and value. A value with a control character in it is never sent.
    pub headers: alloc::vec::Vec<(&'static str, Cow<'static, str>)>,
    /// The body.
    pub body: Body,
}

impl Response {
    /// A response without further headers.
    pub fn new(status: Status, content_type: &'static str, body: impl Into<Body>) -> Self {
        Self {
            status,
            content_type,
            fixed_headers: &[],
            headers: alloc::vec::Vec::new(),
            body: body.into(),
        }
    }

    /// The same with one more header.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}
