//! Requests that the connection itself refuses, at every split.

use windhover_core::http::{HttpError, HttpLimits};

use crate::exchange::{DATE, at_every_split};

fn refused(limits: &HttpLimits, bytes: &[u8], expected: HttpError) {
    let outcome = at_every_split(limits, bytes);
    let shown = bytes.escape_ascii();
    assert_eq!(outcome.error, Some(expected), "{shown}");
    assert_eq!(outcome.requests, [], "{shown}");
    assert!(outcome.closed, "{shown}");
    let status = expected.status();
    let head = format!("HTTP/1.1 {} {}\r\n{DATE}", status.0, status.reason());
    assert!(outcome.sent.starts_with(&head), "{shown}: {}", outcome.sent);
    assert!(outcome.sent.contains("\r\nConnection: close\r\n"), "{shown}");
    assert_eq!(
        outcome.sent.matches("HTTP/1.1 ").count(),
        1 + usize::from(expected.to_string().contains("HTTP/1.1 "))
    );
}

#[test]
fn request_lines() {
    for (line, expected) in [
        ("GET /", HttpError::RequestLine),
        ("GET  / HTTP/1.1", HttpError::RequestLine),
        ("GET /  HTTP/1.1", HttpError::RequestLine),
        ("GET / x HTTP/1.1", HttpError::RequestLine),
        ("GET / HTTP/1.1 ", HttpError::RequestLine),
        ("GET / http/1.1", HttpError::RequestLine),
        ("GET / HTTP/1", HttpError::RequestLine),
        ("GET / FTP/1.1", HttpError::RequestLine),
        ("GET /\t HTTP/1.1", HttpError::RequestLine),
        ("GET /\0 HTTP/1.1", HttpError::RequestLine),
        ("GET /a\rb HTTP/1.1", HttpError::RequestLine),
        (" GET / HTTP/1.1", HttpError::RequestLine),
        ("G(T / HTTP/1.1", HttpError::RequestLine),
        ("\x16\x03\x01\x02", HttpError::RequestLine),
        ("GET / HTTP/2.0", HttpError::Version),
        ("GET / HTTP/1.2", HttpError::Version),
        ("PRI * HTTP/2.0", HttpError::Version),
        ("get / HTTP/1.1", HttpError::Method),
        ("BREW / HTTP/1.1", HttpError::Method),
        ("CONNECT h:80 HTTP/1.1", HttpError::Method),
        ("GET * HTTP/1.1", HttpError::Target),
        ("GET track HTTP/1.1", HttpError::Target),
        ("GET /#x HTTP/1.1", HttpError::Target),
        ("GET http://u@h/ HTTP/1.1", HttpError::Target),
    ] {
        let bytes = format!("{line}\r\nHost: h\r\n\r\n");
        refused(&HttpLimits::default(), bytes.as_bytes(), expected);
    }
    refused(
        &HttpLimits::default(),
        b"GET /\xff HTTP/1.1\r\nHost: h\r\n\r\n",
        HttpError::RequestLine,
    );
}

#[test]
fn header_lines() {
    for (lines, expected) in [
        ("Host : h", HttpError::Header),
        ("Host: h\r\nX : y", HttpError::Header),
        ("Host: h\r\nX\t: y", HttpError::Header),
        ("Host: h\r\nX", HttpError::Header),
        ("Host: h\r\n: y", HttpError::Header),
        ("Host: h\r\nX y: z", HttpError::Header),
        ("Host: h\r\nX: y\r\n folded", HttpError::Header),
        ("Host: h\r\nX: y\r\n\tfolded", HttpError::Header),
        (" X: y\r\nHost: h", HttpError::Header),
        ("Host: h\r\nX: a\0b", HttpError::Header),
        ("Host: h\r\nX: a\x01b", HttpError::Header),
        ("Host: h\r\nX: a\x7fb", HttpError::Header),
        ("Host: h\r\nX: a\rb", HttpError::Header),
        ("Host: h\r\nX: a\r\r", HttpError::Header),
        ("Host: h\r\nX: a\nY: b", HttpError::BareLineFeed),
        ("X: y", HttpError::Host),
        ("Host: h\r\nHost: h", HttpError::Host),
        ("Host: a b", HttpError::Host),
        ("Host: a/b", HttpError::Host),
        ("Host: u@h", HttpError::Host),
        ("Host: h\r\nExpect: 200-ok", HttpError::Expectation),
        ("Host: h\r\nExpect: 100-continue, x", HttpError::Expectation),
    ] {
        let bytes = format!("GET / HTTP/1.1\r\n{lines}\r\n\r\n");
        refused(&HttpLimits::default(), bytes.as_bytes(), expected);
    }
}

#[test]
fn bare_line_feeds() {
    for bytes in [
        "\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n\n",
        "GET / HTTP/1.1\n\n",
    ] {
        refused(&HttpLimits::default(), bytes.as_bytes(), HttpError::BareLineFeed);
    }
}

#[test]
fn lengths_that_two_readers_could_understand_differently() {
    let limit = HttpLimits::default().body;
    for (lines, expected) in [
        ("Content-Length: +5", HttpError::ContentLength),
        ("Content-Length: -5", HttpError::ContentLength),
        ("Content-Length: 5 5", HttpError::ContentLength),
        ("Content-Length: 5, 5", HttpError::ContentLength),
        ("Content-Length: 5,", HttpError::ContentLength),
        ("Content-Length: 0x5", HttpError::ContentLength),
        ("Content-Length: 5.0", HttpError::ContentLength),
        ("Content-Length:", HttpError::ContentLength),
        ("Content-Length: five", HttpError::ContentLength),
        ("Content-Length: 5\r\nContent-Length: 6", HttpError::ContentLength),
        ("Content-Length: 5\r\ncontent-length: 5", HttpError::ContentLength),
        ("Content-Length: 10485761", HttpError::BodyTooLarge { limit }),
        ("Content-Length: 18446744073709551616", HttpError::BodyTooLarge { limit }),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", HttpError::TwoLengths),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5", HttpError::TwoLengths),
        ("Transfer-Encoding: x\r\nContent-Length: 5", HttpError::TwoLengths),
        ("Transfer-Encoding:", HttpError::TransferEncoding),
        ("Transfer-Encoding: ,", HttpError::TransferEncoding),
        ("Transfer-Encoding: ,chunked", HttpError::TransferEncoding),
        ("Transfer-Encoding: chunked,", HttpError::TransferEncoding),
        ("Transfer-Encoding:\r\nTransfer-Encoding: chunked", HttpError::TransferEncoding),
        ("Transfer-Encoding: chunked, chunked", HttpError::TransferEncoding),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", HttpError::TransferEncoding),
        ("Transfer-Encoding: chunked, gzip", HttpError::TransferEncoding),
        ("Transfer-Encoding: gzip, chunked", HttpError::TransferCoding),
        ("Transfer-Encoding: gzip", HttpError::TransferCoding),
        ("Transfer-Encoding: identity", HttpError::TransferCoding),
        ("Transfer-Encoding: xchunked", HttpError::TransferCoding),
        ("Transfer-Encoding: \"chunked\"", HttpError::TransferCoding),
        ("Transfer-Encoding: chunked;q=1", HttpError::TransferCoding),
        ("X: y", HttpError::LengthRequired),
    ] {
        let bytes = format!("POST / HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\n");
        refused(&HttpLimits::default(), bytes.as_bytes(), expected);
    }
    refused(
        &HttpLimits::default(),
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HttpError::TransferEncoding,
    );
}

#[test]
fn heads_at_and_over_the_limits() {
    let mut limits = HttpLimits::default();
    limits.head = 64;
    limits.headers = 2;
    let head = |len: usize| {
        let rest = "GET / HTTP/1.1\r\nHost: h\r\nX: \r\n\r\n";
        rest.replace("X: ", &format!("X: {}", "y".repeat(len - rest.len())))
    };
    assert_eq!(at_every_split(&limits, head(64).as_bytes()).requests.len(), 1);
    refused(&limits, head(65).as_bytes(), HttpError::HeadTooLarge);
    refused(&limits, head(500).as_bytes(), HttpError::HeadTooLarge);

    let line = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "x".repeat(60));
    refused(&limits, line.as_bytes(), HttpError::TargetTooLong);
    refused(&limits, "x".repeat(64).as_bytes(), HttpError::TargetTooLong);

    let two = "GET / HTTP/1.1\r\nHost: h\r\nX: y\r\n\r\n";
    assert_eq!(at_every_split(&limits, two.as_bytes()).requests.len(), 1);
    let three = "GET / HTTP/1.1\r\nHost: h\r\nX: y\r\nX: z\r\n\r\n";
    refused(&limits, three.as_bytes(), HttpError::TooManyHeaders);
}

#[test]
fn requests_that_end_too_early() {
    for bytes in [
        "G",
        "GET / HTTP/1.1\r\nHost: h\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n1234",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r",
    ] {
        refused(&HttpLimits::default(), bytes.as_bytes(), HttpError::Incomplete);
    }
}

#[test]
fn nothing_at_all_is_no_error() {
    for bytes in ["", "\r\n", "\r\n\r\n", "\r"] {
        let outcome = at_every_split(&HttpLimits::default(), bytes.as_bytes());
        assert_eq!((outcome.error, outcome.sent.as_str()), (None, ""), "{bytes:?}");
    }
}

#[test]
fn a_refused_head_request_is_answered_without_a_body() {
    let outcome = at_every_split(&HttpLimits::default(), b"HEAD / HTTP/1.1\r\n\r\n");
    assert!(outcome.sent.starts_with("HTTP/1.1 400 "));
    assert!(outcome.sent.ends_with("\r\n\r\n"), "{}", outcome.sent);
}
