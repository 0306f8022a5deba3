//! Where an HTTP response ends, and what of it says whether it is a good one (RFC 9112, 6).

use std::borrow::Cow;

use memchr::memmem;

/// A response, whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct HttpAnswer<'a> {
    pub(super) status: u16,
    pub(super) body: Cow<'a, [u8]>,
    /// Bytes of head and body.
    pub(super) length: usize,
    /// The server will close the connection.
    pub(super) closes: bool,
}

/// It is no response whose end can be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoResponse;

/// The response at the beginning of `bytes`; `None` while there is more to come. One to HEAD has no body.
pub(super) fn scan(bytes: &[u8], to_head: bool) -> Result<Option<HttpAnswer<'_>>, NoResponse> {
    let mut at = 0;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(head) = Head::scan(rest)? else { return Ok(None) };
        if (100..200).contains(&head.status) {
            // Interim responses; the final one follows.
            at += head.length;
            continue;
        }
        let behind = rest.get(head.length..).unwrap_or_default();
        let (body, length) = match head.body {
            _ if to_head || matches!(head.status, 204 | 304) => (Cow::Borrowed(&b""[..]), 0),
            Body::Length(length) => match behind.get(..length) {
                Some(body) => (Cow::Borrowed(body), length),
                None => return Ok(None),
            },
            Body::Chunked => match chunked(behind)? {
                Some((body, length)) => (Cow::Owned(body), length),
                None => return Ok(None),
            },
            // It would end with the connection.
            Body::Unknown => return Err(NoResponse),
        };
        let (status, closes) = (head.status, head.closes);
        return Ok(Some(HttpAnswer { status, body, length: at + head.length + length, closes }));
    }
}

#[derive(Clone, Copy, Debug)]
enum Body {
    Length(usize),
    Chunked,
    Unknown,
}

#[derive(Clone, Copy, Debug)]
struct Head {
    status: u16,
    body: Body,
    closes: bool,
    length: usize,
}

impl Head {
    fn scan(bytes: &[u8]) -> Result<Option<Self>, NoResponse> {
        const VERSION: &[u8] = b"HTTP/1.";
        let seen = bytes.len().min(VERSION.len());
        if bytes.get(..seen) != VERSION.get(..seen) {
            return Err(NoResponse);
        }
        let Some(end) = memmem::find(bytes, b"\r\n\r\n") else { return Ok(None) };
        let mut lines = bytes.get(..end).unwrap_or_default().split(|&byte| byte == b'\n');
        // `HTTP/1.1 200 OK`
        let line = lines.next().unwrap_or_default();
        let status = line.get(9..12).and_then(decimal).filter(|_| line.get(8) == Some(&b' '));
        let status = status.and_then(|status| u16::try_from(status).ok()).ok_or(NoResponse)?;
        // HTTP/1.0 closes unless it says otherwise.
        let mut closes = line.get(7) == Some(&b'0');
        let mut body = Body::Unknown;
        for line in lines {
            let Some(colon) = memchr::memchr(b':', line) else { return Err(NoResponse) };
            let (name, value) = line.split_at(colon);
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            // By its length first: most lines are none of these.
            match name.len() {
                // Where a body is chunked, that is what counts.
                14 if name.eq_ignore_ascii_case(b"content-length")
                    && !matches!(body, Body::Chunked) =>
                {
                    body = Body::Length(decimal(value).ok_or(NoResponse)?);
                }
                17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                    if !value.eq_ignore_ascii_case(b"chunked") {
                        return Err(NoResponse);
                    }
                    body = Body::Chunked;
                }
                10 if name.eq_ignore_ascii_case(b"connection") => {
                    closes = value.eq_ignore_ascii_case(b"close")
                        || closes && !value.eq_ignore_ascii_case(b"keep-alive");
                }
                _ => {}
            }
        }
        Ok(Some(Self { status, body, closes, length: end + 4 }))
    }
}

fn decimal(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(digits).ok()?.parse().ok()
}

/// A body in chunks and its length on the wire (RFC 9112, 7.1).
fn chunked(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, NoResponse> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(line) = memmem::find(rest, b"\r\n") else { return Ok(None) };
        let size = rest.get(..line).unwrap_or_default();
        let size = size.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
        let size = str::from_utf8(size).map_err(|_| NoResponse)?;
        let size = usize::from_str_radix(size, 16).map_err(|_| NoResponse)?;
        at += line + 2;
        if size == 0 {
            // Trailers, and the empty line.
            loop {
                let rest = bytes.get(at..).unwrap_or_default();
                let Some(line) = memmem::find(rest, b"\r\n") else { return Ok(None) };
                at += line + 2;
                if line == 0 {
                    return Ok(Some((body, at)));
                }
            }
        }
        let end = at.checked_add(size).ok_or(NoResponse)?;
        match bytes.get(end..).map(|behind| behind.get(..2)) {
            Some(Some(b"\r\n")) => {}
            Some(Some(_)) => return Err(NoResponse),
            _ => return Ok(None),
        }
        body.extend_from_slice(bytes.get(at..end).unwrap_or_default());
        at = end + 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It is whole with its last byte, whatever follows, and not before.
    fn assert_whole(answer: &[u8], status: u16, body: &[u8], closes: bool) {
        for end in 0..answer.len() {
            assert_eq!(scan(&answer[..end], false), Ok(None), "{end} bytes");
        }
        let expected = HttpAnswer { status, body: body.into(), length: answer.len(), closes };
        assert_eq!(scan(answer, false), Ok(Some(expected)));
        let with_next = [answer, b"HTTP/1.1 404"].concat();
        assert_eq!(scan(&with_next, false).unwrap().unwrap().length, answer.len());
    }

    #[test]
    fn a_body_is_as_long_as_the_head_says() {
        assert_whole(b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 1\r\nDate: x\r\n\r\n1", 200, b"1", false);
        assert_whole(
            b"HTTP/1.1 503 \r\nContent-Length:0\r\nConnection: close\r\n\r\n",
            503,
            b"",
            true,
        );
        assert_whole(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n\r\n", 200, b"\r\n", true);
        assert_whole(b"HTTP/1.1 204 No Content\r\nServer: s\r\n\r\n", 204, b"", false);
    }

    #[test]
    fn a_body_may_be_in_chunks() {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let body = "1\r\n1\r\nA;x=y\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n";
        assert_whole(format!("{head}{body}").as_bytes(), 200, b"10123456789", false);
    }

    #[test]
    fn an_interim_response_is_not_the_answer() {
        let interim = "HTTP/1.1 100 Continue\r\n\r\n";
        let last = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n0";
        assert_whole(format!("{interim}{last}").as_bytes(), 200, b"0", false);
    }

    #[test]
    fn an_answer_to_head_has_no_body() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n";
        assert_eq!(scan(answer, true).unwrap().unwrap().length, answer.len());
    }

    #[test]
    fn what_has_no_end_is_no_answer() {
        for bad in [
            "HTTP/1.1 200 OK\r\nServer: s\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n1",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n1",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n1xx",
            "HTTP/1.1 2x0 OK\r\nContent-Length: 1\r\n\r\n1",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n1",
            "SSH-2.0-OpenSSH",
            "END\r\n",
        ] {
            assert_eq!(scan(bad.as_bytes(), false), Err(NoResponse), "{bad}");
        }
    }
}
