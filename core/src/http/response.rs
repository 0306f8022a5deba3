//! A HTTP response as the application gives it.

use alloc::borrow::Cow;

use super::fixed_headers::FixedHeaders;

/// A status code with the standard's reason phrase. Codes outside 200 to 599 are not for a final
/// answer: 500 is sent in their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Status(pub u16);

impl Status {
    /// 200
    pub const OK: Self = Self(200);
    /// 204: an answer without a body.
    pub const NO_CONTENT: Self = Self(204);
    /// 302
    pub const FOUND: Self = Self(302);
    /// 400
    pub const BAD_REQUEST: Self = Self(400);
    /// 404
    pub const NOT_FOUND: Self = Self(404);
    /// 405: an answer with it names the methods that are allowed in `Allow`.
    pub const METHOD_NOT_ALLOWED: Self = Self(405);
    /// 413
    pub const CONTENT_TOO_LARGE: Self = Self(413);
    /// 415
    pub const UNSUPPORTED_MEDIA_TYPE: Self = Self(415);
    /// 429
    pub const TOO_MANY_REQUESTS: Self = Self(429);
    /// 500
    pub const INTERNAL_SERVER_ERROR: Self = Self(500);
    /// 503
    pub const SERVICE_UNAVAILABLE: Self = Self(503);

    /// The reason phrase (RFC 9110 §15, RFC 6585); empty for a code that has none here.
    ///
    /// ```
    /// use windhover_core::http::Status;
    ///
    /// assert_eq!(Status::SERVICE_UNAVAILABLE.reason(), "Service Unavailable");
    /// ```
    pub const fn reason(self) -> &'static str {
        match self.0 {
            200 => "OK",
            201 => "Created",
            202 => "Accepted",
            204 => "No Content",
            301 => "Moved Permanently",
            302 => "Found",
            303 => "See Other",
            304 => "Not Modified",
            307 => "Temporary Redirect",
            308 => "Permanent Redirect",
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            406 => "Not Acceptable",
            408 => "Request Timeout",
            409 => "Conflict",
            411 => "Length Required",
            413 => "Content Too Large",
            414 => "URI Too Long",
            415 => "Unsupported Media Type",
            417 => "Expectation Failed",
            422 => "Unprocessable Content",
            429 => "Too Many Requests",
            431 => "Request Header Fields Too Large",
            500 => "Internal Server Error",
            501 => "Not Implemented",
            502 => "Bad Gateway",
            503 => "Service Unavailable",
            504 => "Gateway Timeout",
            505 => "HTTP Version Not Supported",
            507 => "Insufficient Storage",
            _ => "",
        }
    }
}

/// The body of a response.
pub type Body = Cow<'static, [u8]>;

/// A whole response.
///
/// `Content-Length`, `Transfer-Encoding`, `Connection` and `Date` are the connection's business:
/// headers of those names are not sent. `HEAD` is too: give the body as for `GET`. A header whose
/// name is not a token, or whose value has a control character in it, is never sent, so that no
/// value can forge a header or an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Response {
    /// The status.
    pub status: Status,
    /// `Content-Type`; none is sent when it is empty.
    pub content_type: &'static str,
    /// Headers that are always the same, so that a frequent answer needs neither allocation nor check for them.
    pub fixed_headers: FixedHeaders,
    /// Further headers: name and value.
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
            fixed_headers: FixedHeaders::NONE,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_those_of_the_registry_of_status_codes() {
        let registered = "200 OK, 201 Created, 202 Accepted, 204 No Content, 301 Moved Permanently, 302 Found, \
            303 See Other, 304 Not Modified, 307 Temporary Redirect, 308 Permanent Redirect, 400 Bad Request, \
            401 Unauthorized, 403 Forbidden, 404 Not Found, 405 Method Not Allowed, 406 Not Acceptable, \
            408 Request Timeout, 409 Conflict, 411 Length Required, 413 Content Too Large, 414 URI Too Long, \
            415 Unsupported Media Type, 417 Expectation Failed, 422 Unprocessable Content, 429 Too Many Requests, \
            431 Request Header Fields Too Large, 500 Internal Server Error, 501 Not Implemented, 502 Bad Gateway, \
            503 Service Unavailable, 504 Gateway Timeout, 505 HTTP Version Not Supported, 507 Insufficient Storage";
        let codes = (0..=u16::MAX).map(Status);
        let known: alloc::vec::Vec<_> = codes
            .filter(|status| !status.reason().is_empty())
            .map(|status| alloc::format!("{} {}", status.0, status.reason()))
            .collect();
        assert_eq!(known.join(", "), registered);
    }
}
