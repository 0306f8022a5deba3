//! The answer to a request that the connection itself refuses.

use alloc::boxed::Box;
use alloc::format;

use super::encode::is_token_byte;
use super::error::HttpError;
use super::response::Response;

/// A request that the connection itself refuses, as far as its answer depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefusedRequest<'a> {
    /// Why it is refused.
    pub error: HttpError,
    /// The first `Origin` that was seen, read leniently: the head may be malformed or cut off. It is
    /// visible ASCII, at most [`LONGEST_ORIGIN`](Self::LONGEST_ORIGIN) bytes of it.
    pub origin: Option<&'a str>,
    /// The path of its target, without a query, read as leniently; `None` where none was seen that begins
    /// with `/`, or it is longer than [`LONGEST_PATH`](Self::LONGEST_PATH).
    pub path: Option<&'a str>,
}

impl RefusedRequest<'_> {
    /// Longest [`origin`](Self::origin).
    pub const LONGEST_ORIGIN: usize = 1024;
    /// Longest [`path`](Self::path).
    pub const LONGEST_PATH: usize = 256;

    /// The status of the error, and its text as body.
    ///
    /// ```
    /// # use windhover_core::http::{HttpLimits, Output, ServerConnection};
    /// # use windhover_core::{Now, Timeouts};
    /// let now = Now::default();
    /// let mut connection =
    ///     ServerConnection::new(&HttpLimits::default(), &Timeouts::default(), now.instant)
    ///         .with_refusals(|refusal| match refusal.origin {
    ///             Some(_) => refusal.response().with_header("Access-Control-Allow-Origin", "*"),
    ///             None => refusal.response(),
    ///         });
    /// connection.receive(b"POST / HTTP/1.1\r\nHost: a\r\nOrigin: https://b.example\r\n\r\n");
    /// assert!(matches!(connection.poll_output(now), Output::Write));
    /// let mut slices: [&[u8]; 1] = [&[]];
    /// connection.unsent(&mut slices);
    /// let answer = String::from_utf8_lossy(slices[0]);
    /// assert!(answer.starts_with("HTTP/1.1 411 Length Required\r\n"));
    /// assert!(answer.contains("\r\nAccess-Control-Allow-Origin: *\r\n"));
    /// ```
    pub fn response(&self) -> Response {
        let text = format!("{}\n", self.error).into_bytes();
        Response::new(self.error.status(), "text/plain; charset=utf-8", text)
    }
}

/// The answer that waits for its place behind the pending ones before it.
#[derive(Debug)]
pub(super) struct PendingRefusal {
    pub(super) error: HttpError,
    pub(super) is_head: bool,
    origin: Option<Box<str>>,
    path: Option<Box<str>>,
}

impl PendingRefusal {
    /// For a request that begins with `head`, which may be anything.
    pub(super) fn new(error: HttpError, head: &[u8]) -> Self {
        let is_head = head.starts_with(b"HEAD ");
        let path = path(head).map(Into::into);
        let mut pending = Self { error, is_head, origin: None, path };
        RestOfHead::new(usize::MAX).read(head, &mut pending);
        pending
    }

    pub(super) fn refusal(&self) -> RefusedRequest<'_> {
        let (origin, path) = (self.origin.as_deref(), self.path.as_deref());
        RefusedRequest { error: self.error, origin, path }
    }

    fn take_header(&mut self, line: &[u8]) {
        const NAME: &[u8] = b"origin:";
        let Some((name, value)) = line.split_at_checked(NAME.len()) else { return };
        let value = value.trim_ascii();
        let is_fit = (1..=RefusedRequest::LONGEST_ORIGIN).contains(&value.len())
            && value.iter().all(u8::is_ascii_graphic);
        if self.origin.is_none() && name.eq_ignore_ascii_case(NAME) && is_fit {
            self.origin = core::str::from_utf8(value).ok().map(Into::into);
        }
    }
}

/// The path in the first line of a head, which may be cut off behind it.
fn path(head: &[u8]) -> Option<&str> {
    // It is refused at once where it does not begin as a method does, however much of it has come.
    let line = head.split(|&byte| byte == b'\n').next()?;
    if !line.first().copied().is_some_and(is_token_byte) {
        return None;
    }
    let (_, target) = line.split_at_checked(memchr::memchr(b' ', line)? + 1)?;
    let is_in_path = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#');
    let end = target.iter().position(|byte| !is_in_path(byte))?;
    let path = target.get(..end)?;
    let is_fit = path.starts_with(b"/") && path.len() <= RefusedRequest::LONGEST_PATH;
    core::str::from_utf8(path).ok().filter(|_| is_fit)
}

/// Reads a head that is refused on to its end, for the headers that its answer depends on. Nothing
/// is kept of it but the line that has not come whole, unless that one is too long as well.
#[derive(Clone, Copy, Debug)]
pub(super) struct RestOfHead {
    /// The next line is the request line, which is no header.
    first: bool,
    /// The beginning of the next line was dropped.
    cut: bool,
    /// How many bytes are still looked at.
    left: usize,
}

impl RestOfHead {
    const LONGEST_LINE: usize = 2 * RefusedRequest::LONGEST_ORIGIN;

    /// For a head of which nothing was looked at, and no more than `most` bytes are.
    pub(super) fn new(most: usize) -> Self {
        Self { first: true, cut: false, left: most }
    }

    /// Takes what has come of the head. Returns how much of it can be dropped, and whether the head
    /// ended there, or will not be looked at any further.
    pub(super) fn read(&mut self, come: &[u8], pending: &mut PendingRefusal) -> (usize, bool) {
        let mut read = 0;
        loop {
            let rest = come.get(read..).unwrap_or_default();
            let Some(end) = memchr::memchr(b'\n', rest) else {
                if rest.len() > Self::LONGEST_LINE || rest.len() >= self.left {
                    self.cut = true;
                    self.left = self.left.saturating_sub(rest.len());
                    read = come.len();
                }
                return (read, self.left == 0);
            };
            let line = rest.get(..end).unwrap_or_default().trim_ascii();
            let is_header = !self.first && !self.cut;
            self.left = self.left.saturating_sub(end + 1);
            read += end + 1;
            if is_header && line.is_empty() {
                return (read, true);
            }
            if is_header {
                pending.take_header(line);
            }
            (self.first, self.cut) = (false, false);
            if self.left == 0 {
                return (read, true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(head: &[u8]) -> Option<std::string::String> {
        PendingRefusal::new(HttpError::Header, head).refusal().origin.map(Into::into)
    }

    #[test]
    fn an_origin_is_found_whatever_the_rest_of_the_head_is() {
        let cases: &[(&[u8], Option<&str>)] = &[
            (b"GET / HTTP/1.1\r\nOrigin: https://a.test\r\n\r\n", Some("https://a.test")),
            (b"G(T\r\nb a d\r\noRIGIN:http://a.test:80\t\r\n", Some("http://a.test:80")),
            (b"GET / HTTP/1.1\nOrigin: null\nX", Some("null")),
            (b"GET / HTTP/1.1\r\nOrigin: https://a.te", None),
            (b"GET / HTTP/1.1\r\n\r\nOrigin: https://a.test\r\n", None),
            (b"Origin: https://a.test\r\n\r\n", None),
            (b"GET / HTTP/1.1\r\nOrigin:\r\n\r\n", None),
            (b"GET / HTTP/1.1\r\nOrigin: a b\r\n\r\n", None),
            (b"GET / HTTP/1.1\r\nOrigin: a\rb\r\n\r\n", None),
            (b"GET / HTTP/1.1\r\nX-Origin: a\r\n\r\n", None),
            (b"", None),
        ];
        for (head, expected) in cases {
            assert_eq!(origin(head).as_deref(), *expected, "{}", head.escape_ascii());
        }
    }

    #[test]
    fn a_path_is_found_once_it_is_whole() {
        let longest = "/".repeat(RefusedRequest::LONGEST_PATH);
        let whole = std::format!("POST {longest} HTTP/1.1\r\n");
        let too_long = std::format!("POST /{longest} HTTP/1.1\r\n");
        let cases: &[(&[u8], Option<&str>)] = &[
            (b"POST /import HTTP/1.1\r\nHost: h\r\n\r\n", Some("/import")),
            (b"POST /import?strict=1 HTTP/9", Some("/import")),
            (b"POST /import#a", Some("/import")),
            (b"B(D /import\r\n", Some("/import")),
            (b"(BD /import\r\n", None),
            (b"POST /import", None),
            (b"POST http://h/import HTTP/1.1\r\n", None),
            (b"POST\r\nX: /import HTTP/1.1\r\n", None),
            (b"POST", None),
            (b"", None),
            (whole.as_bytes(), Some(&longest)),
            (too_long.as_bytes(), None),
        ];
        for (head, expected) in cases {
            assert_eq!(path(head), *expected, "{}", head.escape_ascii());
        }
    }

    #[test]
    fn nothing_is_kept_of_a_head_but_a_line_that_is_not_whole() {
        let mut rest = RestOfHead::new(100_000);
        let mut pending = PendingRefusal::new(HttpError::TargetTooLong, b"GET /");
        assert_eq!(rest.read(b"GET / HTTP/1.1\r\nA: b\r\nOri", &mut pending), (22, false));
        assert_eq!(rest.read(&[b'x'; 2048], &mut pending), (0, false));
        assert_eq!(rest.read(&[b'x'; 2049], &mut pending), (2049, false));
        // The end of that line is neither a header nor the empty line.
        assert_eq!(rest.read(b"Origin: a\r\nOrigin: b\r\n\r", &mut pending), (22, false));
        assert_eq!(rest.read(b"\r\nOrigin: c\r\n", &mut pending), (2, true));
        assert_eq!(pending.refusal().origin, Some("b"));
    }

    #[test]
    fn a_head_without_an_end_is_not_looked_at_for_ever() {
        let mut pending = PendingRefusal::new(HttpError::TargetTooLong, b"GET /");
        assert_eq!(RestOfHead::new(4).read(b"GET", &mut pending), (0, false));
        assert_eq!(RestOfHead::new(4).read(b"GET ", &mut pending), (4, true));
        assert_eq!(RestOfHead::new(4).read(b"GET\nA: b\n", &mut pending), (4, true));
    }
}
