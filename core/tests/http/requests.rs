//! Requests that are taken, and how they are understood, at every split.

use windhover_core::http::{HttpLimits, Method};

use crate::exchange::{DATE, Outcome, Seen, at_every_split};

fn seen(method: Method, path: &str, query: &str, body: &str) -> Seen {
    Seen { method, path: path.into(), query: query.into(), x: Vec::new(), body: body.into() }
}

fn taken(bytes: &str) -> Outcome {
    let outcome = at_every_split(&HttpLimits::default(), bytes.as_bytes());
    assert_eq!(outcome.error, None, "{bytes}");
    outcome
}

#[test]
fn one_request_of_every_shape() {
    for (bytes, expected) in [
        (
            "GET /track?data=eyJ9 HTTP/1.1\r\nHost: localhost:8080\r\n\r\n",
            seen(Method::Get, "/track", "data=eyJ9", ""),
        ),
        ("GET / HTTP/1.0\r\n\r\n", seen(Method::Get, "/", "", "")),
        ("HEAD /track HTTP/1.1\r\nHost:\r\n\r\n", seen(Method::Head, "/track", "", "")),
        ("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", seen(Method::Options, "*", "", "")),
        ("DELETE /track HTTP/1.1\r\nHost: h\r\n\r\n", seen(Method::Delete, "/track", "", "")),
        (
            "GET http://other/track?x=1 HTTP/1.1\r\nHost: h\r\n\r\n",
            seen(Method::Get, "/track", "x=1", ""),
        ),
        ("GET http://other HTTP/1.1\r\nHost: h\r\n\r\n", seen(Method::Get, "/", "", "")),
        // Not percent-encoded: senders get this wrong, and nothing else can be meant.
        (
            "GET /track?data={\"event\":\"caf\u{e9}\"} HTTP/1.1\r\nHost: h\r\n\r\n",
            seen(Method::Get, "/track", "data={\"event\":\"caf\u{e9}\"}", ""),
        ),
        (
            "POST /track HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\ndata=x",
            seen(Method::Post, "/track", "", "data=x"),
        ),
        (
            "POST /track HTTP/1.1\r\nHost: h\r\nCONTENT-LENGTH:\t 0006 \t\r\n\r\ndata=x",
            seen(Method::Post, "/track", "", "data=x"),
        ),
        (
            "POST /track HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
            seen(Method::Post, "/track", "", ""),
        ),
        (
            "GET /track HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}",
            seen(Method::Get, "/track", "", "{}"),
        ),
        // Empty lines in front of a request: some senders put one behind a body.
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", seen(Method::Get, "/", "", "")),
    ] {
        let outcome = taken(bytes);
        assert_eq!(outcome.requests, [expected], "{bytes}");
    }
}

#[test]
fn headers_are_found_in_any_case_and_in_order() {
    let outcome = taken(
        "GET / HTTP/1.1\r\nx: 1\r\nHost: h\r\nX:  two\t\r\nXx: 3\r\nX:\r\nX: caf\u{e9}\r\n\r\n",
    );
    assert_eq!(outcome.requests[0].x, ["1", "two", "", "caf\\xc3\\xa9"]);
}

#[test]
fn an_answer_keeps_an_http_1_1_connection_open() {
    let outcome = taken("GET / HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n");
    let answer = format!("HTTP/1.1 200 OK\r\n{DATE}Content-Length: 1\r\n\r\n1");
    assert_eq!(outcome.sent, answer.repeat(2));
}

#[test]
fn close_ends_the_connection_whatever_comes_behind() {
    for connection in ["close", "CLOSE", "keep-alive, Close", "x,close ,y", "\u{c6},keep-alive"] {
        let outcome = taken(&format!(
            "GET / HTTP/1.1\r\nHost: h\r\nConnection: {connection}\r\n\r\n\
             GET /2 HTTP/1.1\r\nHost: h\r\n\r\n"
        ));
        assert_eq!(outcome.requests.len(), 1, "{connection}");
        assert_eq!(
            outcome.sent,
            format!("HTTP/1.1 200 OK\r\n{DATE}Content-Length: 1\r\nConnection: close\r\n\r\n1")
        );
    }
}

#[test]
fn http_1_0_closes_unless_asked_to_keep_alive() {
    let outcome = taken("GET / HTTP/1.0\r\n\r\nGET /2 HTTP/1.0\r\n\r\n");
    assert_eq!(outcome.requests.len(), 1);
    assert!(outcome.sent.contains("\r\nConnection: close\r\n"));

    let outcome = taken(
        "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n\
         GET /2 HTTP/1.0\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(outcome.requests.len(), 2);
    assert_eq!(
        outcome.sent,
        format!(
            "HTTP/1.1 200 OK\r\n{DATE}Content-Length: 1\r\nConnection: keep-alive\r\n\r\n1\
             HTTP/1.1 200 OK\r\n{DATE}Content-Length: 1\r\nConnection: close\r\n\r\n1"
        )
    );
}

#[test]
fn head_is_answered_with_the_length_and_without_the_body() {
    let outcome = taken("HEAD / HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let head = format!("HTTP/1.1 200 OK\r\n{DATE}Content-Length: 1\r\n\r\n");
    assert_eq!(outcome.sent, format!("{head}{head}1"));
}

#[test]
fn more_headers_than_fit_on_the_stack() {
    let mut limits = HttpLimits::default();
    limits.headers = 200;
    let headers: Vec<_> = (0..199).map(|i| format!("X: {i}\r\n")).collect();
    let bytes = format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", headers.concat());
    let outcome = at_every_split(&limits, bytes.as_bytes());
    assert_eq!(outcome.requests[0].x.len(), 199);
    assert_eq!(outcome.requests[0].x[198], "198");
}
