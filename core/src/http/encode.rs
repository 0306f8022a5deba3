//! Responses as bytes.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use core::ops::Range;

use bytes::Bytes;

use super::date::imf_fixdate;
use super::response::{Response, Status};
use crate::UnixTime;
use crate::buffer::Outgoing;
use crate::swar;

/// What an answer says about the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Persistence {
    /// Nothing: HTTP/1.1 keeps it open.
    Implied,
    /// An HTTP/1.0 peer asked for it to stay open.
    KeepAlive,
    /// This is the last answer.
    Close,
}

/// Room for the head of most answers.
const HEAD: usize = 384;
/// Room for as much of a body as is copied behind its head.
const COPIED_BODY: usize = 4096;

/// Headers that the connection writes itself.
const OWN: [&str; 4] = ["connection", "content-length", "date", "transfer-encoding"];

/// Whether the connection itself sends the header of that name. A name of another length, as nearly every one is,
/// is not compared.
pub(super) const fn is_own(name: &[u8]) -> bool {
    let mut at = 0;
    while at < OWN.len() {
        if name.eq_ignore_ascii_case(OWN[at].as_bytes()) {
            return true;
        }
        at += 1;
    }
    false
}

/// What the next answer begins with, if that is known: a connection that waits has none, but leaves it for the
/// next one.
pub(crate) type SpareStart = Option<Box<Start>>;

/// What an answer of status 200 begins with, up to its length. It is made once a second.
#[derive(Debug)]
pub(crate) struct Start {
    second: u64,
    text: [u8; START.len()],
}

const START: [u8; 70] =
    *b"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: ";
/// Where the status ends in it.
const STATUS: usize = 15;
/// Where the date stands in it.
const DATE: Range<usize> = 23..52;

impl Default for Start {
    fn default() -> Self {
        Self { second: 0, text: START }
    }
}

impl Start {
    fn at(&mut self, date: UnixTime) -> &[u8; START.len()] {
        if self.second != date.as_secs() {
            self.second = date.as_secs();
            self.text[DATE].copy_from_slice(&imf_fixdate(date));
        }
        &self.text
    }
}

/// Appends `response`; the body is left out for `HEAD`, and for the statuses that have none.
pub(super) fn response(
    response: &Response,
    is_head: bool,
    persistence: Persistence,
    date: UnixTime,
    start: &mut Start,
    out: &mut Outgoing,
) {
    let status = match response.status {
        Status(200..=599) => response.status,
        Status(_) => Status::INTERNAL_SERVER_ERROR,
    };
    // One allocation for the answer instead of one for each doubling.
    out.tail().reserve(HEAD + response.body.len().min(COPIED_BODY));
    let start = start.at(date);
    // RFC 9110 §8.6: a 204 has no length, a 304 need not have one.
    let has_body = !matches!(status.0, 204 | 304);
    if status == Status::OK {
        out.put(start);
    } else {
        out.put(b"HTTP/1.1 ");
        decimal(usize::from(status.0), out);
        out.put(b" ");
        out.put(status.reason().as_bytes());
        out.put(&start[STATUS..if has_body { start.len() } else { DATE.end }]);
    }
    if has_body {
        decimal(response.body.len(), out);
    }
    out.put(match persistence {
        Persistence::Implied => b"\r\n",
        Persistence::KeepAlive => b"\r\nConnection: keep-alive\r\n",
        Persistence::Close => b"\r\nConnection: close\r\n",
    });
    let content_type = response.content_type;
    if !content_type.is_empty() && !has_control(content_type.as_bytes()) {
        header_line("Content-Type", content_type, out);
    }
    out.put(response.fixed_headers.as_bytes());
    for (name, value) in &response.headers {
        header(name, value, out);
    }
    out.put(b"\r\n");
    if has_body && !is_head {
        match &response.body {
            Cow::Borrowed(body) => out.put_shared(Bytes::from_static(body)),
            Cow::Owned(body) => out.put(body),
        }
    }
}

/// Appends a header line, unless it could be read as anything but that header.
fn header(name: &str, value: &str, out: &mut Outgoing) {
    if is_token(name) && !has_control(value.as_bytes()) && !is_own(name.as_bytes()) {
        header_line(name, value, out);
    }
}

fn header_line(name: &str, value: &str, out: &mut Outgoing) {
    let out = out.tail();
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Whether there is a control character in it other than a tab.
fn has_control(value: &[u8]) -> bool {
    swar::any(value, |eight| swar::below(eight, b' ') | swar::equal(eight, 0x7f))
        && value.iter().any(|byte| *byte != b'\t' && byte.is_ascii_control())
}

fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(is_token_byte)
}

/// Whether `byte` may stand in a method or a header's name (RFC 9110 §5.6.2).
pub(super) const fn is_token_byte(byte: u8) -> bool {
    TOKEN_BYTES[byte as usize]
}

/// A table, because every byte of the names of all headers is looked up.
const TOKEN_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let mut others: &[u8] = b"!#$%&'*+-.^_`|~";
    while let [byte, rest @ ..] = others {
        table[*byte as usize] = true;
        others = rest;
    }
    table
};

fn decimal(mut number: usize, out: &mut Outgoing) {
    // 20 digits hold every 64-bit number.
    let mut digits = [b'0'; 20];
    let mut first = digits.len();
    for place in digits.iter_mut().rev() {
        // Below 10.
        #[allow(clippy::cast_possible_truncation)]
        let digit = (number % 10) as u8;
        *place = b'0' + digit;
        first -= 1;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.put(digits.get(first..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::FixedHeaders;
    use std::string::String;

    fn encode(what: &Response, is_head: bool, persistence: Persistence) -> String {
        let mut out = Outgoing::new();
        let date = UnixTime::from_secs(784_111_777);
        response(what, is_head, persistence, date, &mut Start::default(), &mut out);
        let mut slices: [&[u8]; 4] = [&[]; 4];
        let n = out.slices(&mut slices);
        String::from_utf8(slices[..n].concat()).unwrap()
    }

    #[test]
    fn an_answer_to_get() {
        let mut answer = Response::new(Status::OK, "text/plain", &b"1"[..])
            .with_header("Location", String::from("/x"));
        answer.fixed_headers = FixedHeaders::new("Cache-Control: no-cache\r\n");
        assert_eq!(
            encode(&answer, false, Persistence::Implied),
            "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 1\r\n\
             Content-Type: text/plain\r\nCache-Control: no-cache\r\nLocation: /x\r\n\r\n1"
        );
    }

    #[test]
    fn an_answer_to_head_has_the_length_and_no_body() {
        let answer = Response::new(Status::OK, "", &b"0123456789"[..]);
        assert_eq!(
            encode(&answer, true, Persistence::Close),
            "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 10\r\n\
             Connection: close\r\n\r\n"
        );
    }

    #[test]
    fn an_answer_without_content_has_no_length() {
        let answer = Response::new(Status::NO_CONTENT, "", &b"ignored"[..]);
        assert_eq!(
            encode(&answer, false, Persistence::KeepAlive),
            "HTTP/1.1 204 No Content\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
             Connection: keep-alive\r\n\r\n"
        );
    }

    #[test]
    fn what_could_forge_a_header_is_not_sent() {
        let answer = Response::new(Status::FOUND, "text/plain\r\nX-A: 1", &b""[..])
            .with_header("Location", "/\r\nSet-Cookie: a=b")
            .with_header("X-Nul", "\0")
            .with_header("X Space", "1")
            .with_header("", "1")
            .with_header("content-length", "100")
            .with_header("Transfer-Encoding", "chunked")
            .with_header("X-Good", "caf\u{e9}\tau lait");
        assert_eq!(
            encode(&answer, false, Persistence::Implied),
            "HTTP/1.1 302 Found\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n\
             X-Good: caf\u{e9}\tau lait\r\n\r\n"
        );
    }

    #[test]
    fn a_status_that_is_no_final_answer_becomes_500() {
        for code in [0, 99, 100, 199, 600, 65_535] {
            let answer = Response::new(Status(code), "", &b""[..]);
            let text = encode(&answer, false, Persistence::Implied);
            assert!(text.starts_with("HTTP/1.1 500 Internal Server Error\r\n"), "{text}");
        }
    }

    #[test]
    fn each_second_has_its_own_date() {
        let answer = Response::new(Status::OK, "", &b""[..]);
        let mut start = Start::default();
        for second in [0, 1, 1, 784_111_777, 0] {
            let (mut out, date) = (Outgoing::new(), UnixTime::from_secs(second));
            response(&answer, false, Persistence::Implied, date, &mut start, &mut out);
            let written = out.take().concat();
            let expected = imf_fixdate(date);
            assert!(written.windows(29).any(|text| text == expected), "{second}");
        }
    }

    #[test]
    fn numbers_of_every_length() {
        for number in [0, 9, 10, 99, 12_345, usize::MAX] {
            let mut out = Outgoing::new();
            decimal(number, &mut out);
            let mut slices: [&[u8]; 1] = [&[]];
            out.slices(&mut slices);
            assert_eq!(slices[0], std::format!("{number}").as_bytes());
        }
    }
}
