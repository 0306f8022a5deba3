//! The application shapes the answers to what the connection itself refuses.

use windhover_core::Timeouts;
use windhover_core::http::{HttpError, HttpLimits, ServerConnection};

use crate::exchange::{Exchange, Outcome, at};

fn exchange(limits: &HttpLimits) -> Exchange {
    let connection = ServerConnection::new(limits, &Timeouts::default(), at(0).instant);
    Exchange::on(connection.with_refusals(|refusal| {
        let origin = refusal.origin.unwrap_or("none").to_owned();
        refusal.response().with_header("X-Origin", origin)
    }))
}

/// What becomes of `bytes`, in whatever pieces they come.
fn refused(limits: &HttpLimits, bytes: &[u8]) -> Outcome {
    let after = |pieces: Vec<&[u8]>| {
        let mut exchange = exchange(limits);
        let is_open = pieces.iter().all(|piece| exchange.receive(piece).is_some());
        if is_open {
            exchange.end_of_stream();
        }
        exchange.outcome.half_closed = false;
        exchange.outcome
    };
    let whole = after(vec![bytes]);
    for split in 0..=bytes.len() {
        let (first, second) = bytes.split_at(split);
        let outcome = after(vec![first, second]);
        assert_eq!(outcome, whole, "split at {split} of {}", bytes.escape_ascii());
    }
    assert_eq!(after(bytes.chunks(1).collect()), whole, "byte by byte: {}", bytes.escape_ascii());
    whole
}

#[test]
fn every_refusal_knows_the_page_that_it_goes_to() {
    let limits = HttpLimits::default().with_head(300).with_headers(5).with_body(2000);
    let long = "x".repeat(400);
    let many = "a:b\r\n".repeat(9);
    for (request, status) in [
        ("GET /# HTTP/1.1\r\nHost: h\r\nORIGIN\r\n\r\n".to_owned(), 400),
        ("POST / HTTP/1.1\r\nHost: h\r\nORIGIN\r\n\r\n".to_owned(), 411),
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2001\r\nORIGIN\r\n\r\n".to_owned(), 413),
        (format!("GET /{long} HTTP/1.1\r\nHost: h\r\nORIGIN\r\n\r\n"), 414),
        (format!("GET / HTTP/1.1\r\nHost: h\r\nX: {long}\r\nORIGIN\r\n\r\n"), 431),
        (format!("GET / HTTP/1.1\r\nHost: h\r\n{many}ORIGIN\r\n\r\n"), 431),
        ("GET / HTTP/1.1\r\nHost: h\r\nExpect: x\r\nORIGIN\r\n\r\n".to_owned(), 417),
        ("BREW / HTTP/1.1\r\nHost: h\r\nORIGIN\r\n\r\n".to_owned(), 501),
        ("GET / HTTP/2.0\r\nHost: h\r\nORIGIN\r\n\r\n".to_owned(), 505),
        (
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nORIGIN\r\n\r\nx"
                .to_owned(),
            400,
        ),
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\nORIGIN\r\n\r\ncut".to_owned(), 400),
    ] {
        let bytes = request.replace("ORIGIN", "Origin: https://a.test");
        let outcome = refused(&limits, bytes.as_bytes());
        assert!(outcome.sent.starts_with(&format!("HTTP/1.1 {status} ")), "{}", outcome.sent);
        assert!(outcome.sent.contains("\r\nX-Origin: https://a.test\r\n"), "{}", outcome.sent);
        assert!(outcome.sent.contains("\r\nConnection: close\r\n"), "{}", outcome.sent);
        assert!(outcome.closed);
        assert_eq!(outcome.error.map(|error| error.status().0), Some(status));
    }
}

#[test]
fn a_head_that_does_not_end_is_answered_too() {
    let head = "GET / HTTP/1.1\r\nOrigin: https://a.test\r\n";
    for (rest, status, millis) in [("", 408, 10_000), (&"x".repeat(60), 431, 2000)] {
        let mut exchange = exchange(&HttpLimits::default().with_head(90));
        exchange.receive(format!("{head}{rest}").as_bytes());
        exchange.now = at(millis - 1);
        exchange.poll();
        assert_eq!(exchange.outcome.sent, "");
        exchange.now = at(millis);
        exchange.poll();
        assert!(exchange.outcome.sent.starts_with(&format!("HTTP/1.1 {status} ")));
        assert!(exchange.outcome.sent.contains("\r\nX-Origin: https://a.test\r\n"));
    }
}

#[test]
fn a_target_of_any_length_takes_no_memory() {
    let mut exchange = exchange(&HttpLimits::default());
    exchange.receive(b"GET /");
    for _ in 0..100 {
        exchange.receive(&[b'x'; 10_000]);
        assert!(exchange.connection.read_buffer().len() <= 16 * 1024);
    }
    assert_eq!(exchange.outcome.sent, "");
    exchange.receive(b" HTTP/1.1\r\nOrigin: https://a.test\r\n\r\n");
    assert!(exchange.outcome.sent.starts_with("HTTP/1.1 414 "));
    assert!(exchange.outcome.sent.contains("\r\nX-Origin: https://a.test\r\n"));
}

#[test]
fn a_head_without_an_end_is_answered_after_as_much_as_a_body_may_have() {
    let mut exchange = exchange(&HttpLimits::default().with_head(100).with_body(5000));
    exchange.receive(&[b'x'; 4999]);
    assert_eq!(exchange.outcome.sent, "");
    exchange.receive(b"x");
    assert_eq!(exchange.outcome.error, Some(HttpError::TargetTooLong));
    assert!(exchange.outcome.sent.starts_with("HTTP/1.1 414 "));
}

#[test]
fn a_refusal_waits_for_the_answers_before_it() {
    let limits = HttpLimits::default().with_head(60);
    let mut exchange = exchange(&limits).defer_answers();
    exchange.receive(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    exchange.receive(&[&b"GET /"[..], &[b'x'; 60], b" HTTP/1.1\r\nOrigin: a\r\n\r\n"].concat());
    assert_eq!(exchange.outcome.sent, "");
    exchange.answer(b"1");
    exchange.poll();
    let [first, second] =
        ["HTTP/1.1 200 ", "HTTP/1.1 414 "].map(|it| exchange.outcome.sent.find(it));
    assert!(first < second && first.is_some(), "{}", exchange.outcome.sent);
}

#[test]
fn shutting_down_does_not_wait_for_the_end_of_a_head() {
    let limits = HttpLimits::default().with_head(60);
    let mut exchange = exchange(&limits).defer_answers();
    exchange.receive(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    exchange.receive(&[b'x'; 60]);
    exchange.connection.shut_down();
    exchange.answer(b"1");
    exchange.poll();
    assert_eq!(exchange.outcome.sent.matches("HTTP/1.1 ").count(), 1, "{}", exchange.outcome.sent);
    assert!(exchange.outcome.sent.contains("\r\nConnection: close\r\n"));
}

#[test]
fn an_overloaded_application_is_given_no_bodies() {
    let overloaded = || {
        let (limits, timeouts) = (HttpLimits::default(), Timeouts::default());
        let mut connection = ServerConnection::new(&limits, &timeouts, at(0).instant);
        connection.set_overloaded(true);
        Exchange::on(connection)
    };
    // Nothing of the body has come.
    for length in ["Content-Length: 5000000", "Transfer-Encoding: chunked"] {
        let mut exchange = overloaded();
        exchange.receive(format!("POST / HTTP/1.1\r\nHost: h\r\n{length}\r\n\r\n").as_bytes());
        let sent = &exchange.outcome.sent;
        assert!(sent.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{sent}");
        assert!(exchange.outcome.requests.is_empty());
        assert_eq!(exchange.outcome.error, Some(HttpError::Overloaded));
    }
    let mut exchange = overloaded();
    exchange.receive(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    exchange.receive(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(exchange.outcome.requests.len(), 2);
}
