//! Bodies: chunked, large, and asked for with `100 Continue`.

use windhover_core::http::{HttpError, HttpLimits};

use crate::exchange::{Exchange, Outcome, at_every_split};

const LIMIT: usize = 64;

fn limits() -> HttpLimits {
    let mut limits = HttpLimits::default();
    limits.head = 256;
    limits.body = LIMIT;
    limits
}

fn chunked(body: &str) -> Outcome {
    let bytes = format!("POST /t HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n{body}");
    at_every_split(&limits(), bytes.as_bytes())
}

#[test]
fn chunks_are_joined() {
    let a = "a".repeat(LIMIT);
    let zeros = "0".repeat(62);
    for (body, expected) in [
        ("0\r\n\r\n", ""),
        ("5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world"),
        ("1\r\na\r\n1\r\nb\r\n1\r\nc\r\n000\r\n\r\n", "abc"),
        // The data may look like framing.
        ("5\r\n0\r\n\r\n\r\n0\r\n\r\n", "0\\r\\n\\r\\n"),
        (&format!("{LIMIT:x}\r\n{a}\r\n0\r\n\r\n"), &*a),
        (&format!("{LIMIT:X}\r\n{a}\r\n0\r\n\r\n"), &*a),
        // Leading zeros, extensions, trailers.
        (&format!("{zeros}5\r\nhello\r\n0\r\n\r\n"), "hello"),
        ("5;a=b;c=\"d;\t\"\r\nhello\r\n0;last\r\n\r\n", "hello"),
        ("5 \t ;a\r\nhello\r\n0\r\n\r\n", "hello"),
        ("5\r\nhello\r\n0\r\nX: y\r\nContent-Length: 3\r\n\r\n", "hello"),
    ] {
        let outcome = chunked(&format!("{body}GET /next HTTP/1.1\r\nHost: h\r\n\r\n"));
        assert_eq!(outcome.error, None, "{body}");
        assert_eq!(outcome.requests.len(), 2, "{body}");
        assert_eq!(outcome.requests[0].body, expected, "{body}");
        // What lies behind the body is the next request.
        assert_eq!(outcome.requests[1].path, "/next", "{body}");
    }
}

#[test]
fn chunks_that_are_refused() {
    let too_large = HttpError::BodyTooLarge { limit: LIMIT };
    let zeros = "0".repeat(64);
    let long = "x".repeat(257);
    for (body, expected) in [
        ("\r\n", HttpError::Chunk),
        (";a\r\n", HttpError::Chunk),
        (" 5\r\nhello", HttpError::Chunk),
        ("5 \r\nhello", HttpError::Chunk),
        ("+5\r\nhello", HttpError::Chunk),
        ("-5\r\nhello", HttpError::Chunk),
        ("0x5\r\nhello", HttpError::Chunk),
        ("5_0\r\n", HttpError::Chunk),
        ("g\r\n", HttpError::Chunk),
        ("5\nhello", HttpError::Chunk),
        ("5\rhello", HttpError::Chunk),
        ("5;a\nhello", HttpError::Chunk),
        ("5;a\0\r\nhello", HttpError::Chunk),
        ("5;a\rb\r\nhello", HttpError::Chunk),
        // More or less data than the size says.
        ("5\r\nhello!\r\n", HttpError::Chunk),
        ("5\r\nhell\r\n0\r\n\r\n", HttpError::Chunk),
        ("5\r\nhello\n0\r\n\r\n", HttpError::Chunk),
        ("5\r\nhello\r\n\r\n", HttpError::Chunk),
        ("5\r\nhello0\r\n\r\n", HttpError::Chunk),
        // Trailers.
        ("0\r\n\n", HttpError::Chunk),
        ("0\r\nX: y\n\r\n", HttpError::Chunk),
        ("0\r\n folded\r\n\r\n", HttpError::Chunk),
        ("0\r\nX: \0\r\n\r\n", HttpError::Chunk),
        ("0\r\nGET /x HTTP/1.1\r\n\r\n", HttpError::Chunk),
        ("0\r\nX\r\n\r\n", HttpError::Chunk),
        ("0\r\nX : y\r\n\r\n", HttpError::Chunk),
        ("0\r\n: y\r\n\r\n", HttpError::Chunk),
        ("0\r\n\rX", HttpError::Chunk),
        (&format!("{zeros}5\r\n"), HttpError::Chunk),
        // Sizes.
        ("41\r\n", too_large),
        ("20\r\n01234567890123456789012345678901\r\n21\r\n", too_large),
        ("ffffffffffffffff\r\n", too_large),
        ("10000000000000000", too_large),
        ("100000000000000005\r\n", too_large),
        // Overhead.
        (&format!("5;{long}\r\nhello"), HttpError::ChunkOverhead),
        (&format!("0\r\n{long}\r\n\r\n"), HttpError::ChunkOverhead),
        (&"1;0123456789abcdef\r\nx\r\n".repeat(17), HttpError::ChunkOverhead),
    ] {
        let outcome = chunked(body);
        assert_eq!(outcome.error, Some(expected), "{body:?}");
        assert_eq!(outcome.requests, [], "{body:?}");
    }
}

#[test]
fn a_chunked_body_needs_no_more_memory_than_its_data() {
    let mut limits = limits();
    limits.head = 16 * 1024;
    limits.body = 1 << 20;
    let mut exchange = Exchange::new(&limits);
    exchange.receive(b"POST /t HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..10_000 {
        exchange.receive(b"0000000001\r\nx\r\n");
    }
    // 150,000 bytes came; 10,000 of them are data.
    assert!(exchange.connection.read_buffer().capacity() < 40_000);
    exchange.receive(b"0\r\n\r\n");
    assert_eq!(exchange.outcome.requests[0].body.len(), 10_000);
}

#[test]
fn a_declared_length_reserves_at_most_64_kib() {
    let mut exchange = Exchange::new(&HttpLimits::default());
    exchange.receive(b"POST /t HTTP/1.1\r\nHost: h\r\nContent-Length: 10000000\r\n\r\n");
    let buffer = exchange.connection.read_buffer();
    assert!(buffer.capacity() <= 64 * 1024 + 256, "{}", buffer.capacity());
}

#[test]
fn a_body_of_a_declared_length_is_not_copied() {
    use windhover_core::http::Output;

    let mut exchange = Exchange::new(&HttpLimits::default());
    exchange
        .connection
        .read_buffer()
        .extend_from_slice(b"POST /t HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody");
    let start = exchange.connection.read_buffer().as_ptr();
    let now = exchange.now;
    let Output::Request(request) = exchange.connection.poll_output(now) else {
        panic!("no request");
    };
    assert_eq!(request.body, b"body");
    assert_eq!(request.body.as_ptr().addr() - start.addr(), 48);
}

const EXPECTING: &str = "POST /t HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\
                         Expect: 100-Continue\r\n\r\n";

#[test]
fn continue_is_sent_when_the_body_has_not_begun() {
    let mut exchange = Exchange::new(&HttpLimits::default());
    exchange.receive(EXPECTING.as_bytes());
    assert_eq!(exchange.outcome.continues, 1);
    exchange.receive(b"bo");
    exchange.receive(b"dy");
    assert_eq!(exchange.outcome.requests[0].body, "body");
    assert_eq!(exchange.outcome.continues, 1);
}

#[test]
fn continue_is_not_sent_when_it_would_say_nothing() {
    for bytes in [
        format!("{EXPECTING}b"),
        EXPECTING.replace("HTTP/1.1", "HTTP/1.0"),
        EXPECTING.replace("Content-Length: 4", "Content-Length: 0"),
        EXPECTING.replace("Content-Length: 4", "Content-Length: 99999999"),
        "GET / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n".into(),
    ] {
        let mut exchange = Exchange::new(&HttpLimits::default());
        exchange.receive(bytes.as_bytes());
        assert_eq!(exchange.outcome.continues, 0, "{bytes}");
    }
}

#[test]
fn continue_waits_for_the_answers_before_it() {
    let mut exchange = Exchange::new(&HttpLimits::default()).defer_answers();
    exchange.receive(format!("GET /1 HTTP/1.1\r\nHost: h\r\n\r\n{EXPECTING}").as_bytes());
    assert_eq!(exchange.outcome.continues, 0);
    exchange.answer(b"1");
    exchange.poll();
    assert_eq!(exchange.outcome.continues, 1);
    assert!(exchange.outcome.sent.ends_with("\r\n\r\n1"));
}

#[test]
fn a_body_larger_than_the_limit_is_refused_before_it_comes() {
    let mut exchange = Exchange::new(&limits());
    exchange.receive(b"POST /t HTTP/1.1\r\nHost: h\r\nContent-Length: 65\r\n\r\n");
    assert_eq!(exchange.outcome.error, Some(HttpError::BodyTooLarge { limit: LIMIT }));
    assert!(exchange.outcome.sent.starts_with("HTTP/1.1 413 Content Too Large\r\n"));
}
