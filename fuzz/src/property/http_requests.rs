//! Any bytes, read as HTTP.

use core::time::Duration;

use windhover_core::http::{HttpError, HttpLimits, Output, Response, ServerConnection, Status};
use windhover_core::{Instant, Now, Timeouts, UnixTime};

use super::splits;
use crate::reference::http::{self as reference, Request};

/// What a connection made of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) requests: Vec<Request>,
    pub(super) error: Option<HttpError>,
    /// Everything that was answered.
    pub(super) written: Vec<u8>,
}

/// Limits that short inputs reach.
pub(super) fn small_limits() -> HttpLimits {
    HttpLimits::default().with_head(220).with_headers(5).with_body(64)
}

/// Any bytes are the same requests in every split, and the requests that a simple, slow reader
/// finds; every one is answered, in order, and an error ends the connection.
pub fn http_requests(input: &[u8]) {
    let mut many = HttpLimits::default();
    many.headers = 100;
    for limits in [small_limits(), many] {
        let whole = read(&[input], &limits);
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        for pieces in [splits::pieces(input, splits::seed(input)), bytes] {
            let split = read(&pieces, &limits);
            assert_eq!(split, whole, "in {} pieces", pieces.len());
        }
        let simple = reference::read(input, &limits);
        assert_eq!(whole.requests, simple.requests, "seen on the left; {:?}", whole.error);
        assert_eq!(whole.error.is_some(), simple.error, "{:?}", whole.error);
        if let Some(error) = whole.error {
            assert!(
                crate::property::tells(&error)
                    && !error.reason().is_empty()
                    && error.status().0 >= 400
            );
            assert!(!error.status().reason().is_empty(), "{:?} has no reason", error.status());
        }
        answers_fit(&whole);
        overloaded(input, &limits);
    }
}

/// While the server is overloaded, no request with a body comes out.
fn overloaded(input: &[u8], limits: &HttpLimits) {
    let now = now();
    let mut connection = ServerConnection::new(limits, &Timeouts::default(), now.instant);
    connection.set_overloaded(true);
    connection.receive(input);
    let mut seen = Seen { requests: Vec::new(), error: None, written: Vec::new() };
    drive(&mut connection, now, &mut seen);
    assert!(seen.requests.iter().all(|request| request.body.is_empty()));
    if let Some(error) = connection.take_refused() {
        let status = error.status().0;
        assert!(crate::property::tells(&error) && !error.reason().is_empty() && status >= 400);
    }
}

/// Receives a stream in pieces, answers every request at once, and then sees its end.
pub(super) fn read(pieces: &[&[u8]], limits: &HttpLimits) -> Seen {
    let now = now();
    let mut connection = ServerConnection::new(limits, &Timeouts::default(), now.instant);
    let mut seen = Seen { requests: Vec::new(), error: None, written: Vec::new() };
    let mut over = false;
    for piece in pieces {
        if over || !connection.wants_read() {
            break;
        }
        connection.receive(piece);
        over = drive(&mut connection, now, &mut seen);
    }
    connection.end_of_stream();
    assert!(over || drive(&mut connection, now, &mut seen), "the end of the stream is no end");
    seen.error = connection.error();
    // Whether a body is asked for depends on what of it has come.
    seen.written = without(&seen.written, b"HTTP/1.1 100 Continue\r\n\r\n");
    seen
}

fn without(text: &[u8], needle: &[u8]) -> Vec<u8> {
    let mut left = Vec::new();
    let mut rest = text;
    while let Some(&byte) = rest.first() {
        if let Some(behind) = rest.strip_prefix(needle) {
            rest = behind;
        } else {
            left.push(byte);
            rest = &rest[1..];
        }
    }
    left
}

fn now() -> Now {
    Now {
        instant: Instant::from_epoch(Duration::from_secs(9)),
        unix: UnixTime::from_secs(784_111_777),
    }
}

/// Whether the connection is to be closed.
fn drive(connection: &mut ServerConnection, now: Now, seen: &mut Seen) -> bool {
    loop {
        match connection.poll_output(now) {
            Output::Request(request) => {
                let response = Response::new(
                    Status::OK,
                    "text/plain",
                    format!("{} ", seen.requests.len()).into_bytes(),
                );
                seen.requests.push(owned(&request));
                assert_eq!(connection.unanswered(), 1);
                connection.respond(&response, now.unix);
            }
            Output::Write => {
                let mut slices = [&b""[..]; 16];
                let filled = connection.unsent(&mut slices);
                let unsent = slices[..filled].concat();
                seen.written.extend_from_slice(&unsent);
                connection.wrote(unsent.len());
            }
            Output::Idle(_) => return false,
            Output::CloseWrite => {}
            Output::Close => return true,
        }
    }
}

/// A request as the reference has it.
pub(super) fn owned(request: &windhover_core::http::Request<'_>) -> Request {
    Request {
        method: request.method.name().to_owned(),
        path: request.path.to_owned(),
        query: request.query.to_owned(),
        headers: format!("{:?}", request.headers),
        host: request.headers.get("HOST").map(<[u8]>::to_vec),
        body: request.body.to_vec(),
    }
}

/// An answer for every request and one for the error, in order.
fn answers_fit(seen: &Seen) {
    let mut rest = &seen.written[..];
    for (number, request) in seen.requests.iter().enumerate() {
        let body = format!("{number} ");
        let head = format!(
            "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: {}\r\n",
            body.len()
        );
        rest = rest.strip_prefix(head.as_bytes()).unwrap_or_else(|| {
            panic!("no answer to request {number}, but: {}", rest.escape_ascii());
        });
        for line in [&b"Connection: close\r\n"[..], b"Connection: keep-alive\r\n"] {
            rest = rest.strip_prefix(line).unwrap_or(rest);
        }
        rest = rest.strip_prefix(b"Content-Type: text/plain\r\n\r\n").expect("its head ends");
        if request.method != "HEAD" {
            rest = rest.strip_prefix(body.as_bytes()).expect("its body follows");
        }
    }
    match seen.error {
        Some(error) => {
            let start = format!("HTTP/1.1 {} {}\r\n", error.status().0, error.status().reason());
            assert!(rest.starts_with(start.as_bytes()), "{error:?}: {}", rest.escape_ascii());
        }
        None => assert!(rest.is_empty(), "answers that nobody asked for: {}", rest.escape_ascii()),
    }
}
