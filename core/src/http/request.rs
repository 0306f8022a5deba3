//! A HTTP request as the application sees it.

use core::fmt;

/// The method of a request; case-sensitive (RFC 9110 §9.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Method {
    /// `GET`
    #[default]
    Get,
    /// `HEAD`: answered as `GET`, without the body.
    Head,
    /// `POST`
    Post,
    /// `OPTIONS`: a browser's preflight.
    Options,
    /// `PUT`: like the rest, nothing here implements it, and it is 405 where the path is known.
    Put,
    /// `DELETE`
    Delete,
    /// `PATCH`
    Patch,
    /// `TRACE`
    Trace,
}

impl Method {
    /// The method of a name; `None` for one that RFC 9110 does not have, and for `CONNECT`, which asks for a
    /// proxy.
    ///
    /// ```
    /// use windhover_core::http::Method;
    ///
    /// assert_eq!(Method::from_name("POST"), Some(Method::Post));
    /// assert_eq!(Method::from_name("post"), None);
    /// assert_eq!(Method::Post.name(), "POST");
    /// ```
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "GET" => Self::Get,
            "POST" => Self::Post,
            "HEAD" => Self::Head,
            "OPTIONS" => Self::Options,
            "PUT" => Self::Put,
            "DELETE" => Self::Delete,
            "PATCH" => Self::Patch,
            "TRACE" => Self::Trace,
            _ => return None,
        })
    }

    /// Its name, as it stands in a request.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Options => "OPTIONS",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Patch => "PATCH",
            Self::Trace => "TRACE",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A part of a head, as a place in it. Heads are bounded far below 4 GiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    start: u32,
    len: u32,
}

impl Span {
    /// Where `part` lies in `whole`; empty when it does not lie there.
    pub(super) fn of(part: &[u8], whole: &[u8]) -> Self {
        let start = part.as_ptr().addr().wrapping_sub(whole.as_ptr().addr());
        match (u32::try_from(start), u32::try_from(part.len())) {
            (Ok(start), Ok(len)) => Self { start, len },
            _ => Self::default(),
        }
    }

    pub(super) fn bytes(self, head: &[u8]) -> &[u8] {
        let start = self.start as usize;
        head.get(start..start.saturating_add(self.len as usize)).unwrap_or_default()
    }

    pub(super) fn text(self, head: &[u8]) -> &str {
        core::str::from_utf8(self.bytes(head)).unwrap_or_default()
    }
}

/// One header line, as places in its head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) name: Span,
    pub(super) value: Span,
}

/// The headers of a request, in the order received.
///
/// ```
/// use windhover_core::http::Headers;
///
/// let headers = Headers::new(&[("Accept", b"*/*"), ("X-Forwarded-For", b"192.0.2.1")]);
/// assert_eq!(headers.get("x-forwarded-for"), Some(&b"192.0.2.1"[..]));
/// assert_eq!(headers.get("cookie"), None);
/// ```
#[derive(Clone, Copy)]
pub struct Headers<'a>(Source<'a>);

#[derive(Clone, Copy)]
enum Source<'a> {
    Pairs(&'a [(&'a str, &'a [u8])]),
    Head { head: &'a [u8], fields: &'a [Field] },
}

impl<'a> Headers<'a> {
    /// Headers as pairs of name and value, without surrounding white space.
    pub const fn new(entries: &'a [(&'a str, &'a [u8])]) -> Self {
        Self(Source::Pairs(entries))
    }

    /// Headers that are kept as places in the head that holds them.
    pub(super) const fn in_head(head: &'a [u8], fields: &'a [Field]) -> Self {
        Self(Source::Head { head, fields })
    }

    /// The first header of that name, in any case.
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.all(name).next()
    }

    /// Every header of that name, in any case, in the order received.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        // Of most, the length tells that they are others.
        self.entries()
            .filter(move |(entry, _)| {
                entry.len() == name.len() && entry.eq_ignore_ascii_case(name.as_bytes())
            })
            .map(|(_, value)| value)
    }

    fn entries(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let pairs = match self.0 {
            Source::Pairs(pairs) => pairs,
            Source::Head { .. } => &[],
        };
        let (head, fields) = match self.0 {
            Source::Pairs(_) => (&[][..], &[][..]),
            Source::Head { head, fields } => (head, fields),
        };
        let pairs = pairs.iter().map(|(name, value)| (name.as_bytes(), *value));
        let fields = fields.iter().map(|field| (field.name.bytes(head), field.value.bytes(head)));
        pairs.chain(fields)
    }
}

impl fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (name, value) in self.entries() {
            map.entry(
                &format_args!("{}", name.escape_ascii()),
                &format_args!("{}", value.escape_ascii()),
            );
        }
        map.finish()
    }
}

/// A whole request: head and body.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Request<'a> {
    /// The method.
    pub method: Method,
    /// The path, percent-encoded as received, without the query (`/track`). It begins with `/`,
    /// but for the `*` of an `OPTIONS` that asks about the whole server.
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
        Self { method, path, query, headers: Headers::new(&[]), body: &[] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn a_span_gives_back_the_part_it_was_made_of() {
        let head = b"GET /track HTTP/1.1";
        let span = Span::of(&head[4..10], head);
        assert_eq!(span.text(head), "/track");
        assert_eq!(span.bytes(b"short"), b"");
    }

    #[test]
    fn headers_print_readably_whatever_their_values_are() {
        let headers = Headers::new(&[("X-Name", b"caf\xe9")]);
        assert_eq!(format!("{headers:?}"), "{X-Name: caf\\xe9}");
    }
}
