//! A HTTP request as the application sees it.

/// The method of a request; case-sensitive (RFC 9110 §9.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`: answered as `GET`, without the body.
    Head,
    /// `POST`
    Post,
    /// `OPTIONS`: a browser's preflight.
    Options,
    /// A method of the standard's that nothing here implements (`PUT`, `DELETE`, `PATCH`,
    /// `TRACE`, `CONNECT`): 405.
    Other,
}

/// The headers of a request, in the order received.
#[derive(Clone, Copy, Debug)]
pub struct Headers<'a> {
    entries: &'a [(&'a str, &'a [u8])],
}

impl<'a> Headers<'a> {
    /// Headers as pairs of name and value, without surrounding white space.
    pub const fn new(entries: &'a [(&'a str, &'a [u8])]) -> Self {
        Self { entries }
    }

    /// The first header of that name, in any case.
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.all(name).next()
    }

    /// Every header of that name, in any case, in the order received.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.entries
            .iter()
            .filter(move |(entry, _)| entry.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
    }
}

/// A whole request: head and body.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Request<'a> {
    /// The method.
    pub method: Method,
    /// The path, percent-encoded as received, without the query (`/track`).
    pub path: &'a str,
    /// The query behind `?`, percent-encoded as received; empty when there is none.
    pub query: &'a str,
    /// The headers.
    pub headers: Headers<'a>,
    /// The body with its transfer encoding undone.
    pub body: &'a [u8],
}

impl<'a> Request<'a> {
    /// A request without headers and body: a start for tests and other front ends.
    pub const fn new(method: Method, path: &'a str, query: &'a str) -> Self {
        Self {
            method,
            path,
            query,
            headers: Headers::new(&[]),
            body: &[],
        }
    }
}
