//! Many requests on one connection, answered now and later.

use windhover_core::Timeouts;
use windhover_core::http::{HttpError, HttpLimits, Output, ServerConnection};

use crate::exchange::{Exchange, Seen, at, at_every_split};

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n")
}

fn bodies(sent: &str) -> Vec<&str> {
    sent.split("HTTP/1.1 ").skip(1).map(|answer| answer.split_once("\r\n\r\n").unwrap().1).collect()
}

#[test]
fn requests_of_all_kinds_behind_each_other() {
    let bytes = [
        get("/1"),
        "POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc".into(),
        "POST /3 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
            .into(),
        get("/4"),
    ]
    .concat();
    let outcome = at_every_split(&HttpLimits::default(), bytes.as_bytes());
    let paths: Vec<_> = outcome.requests.iter().map(|seen| &*seen.path).collect();
    assert_eq!(paths, ["/1", "/2", "/3", "/4"]);
    assert_eq!(bodies(&outcome.sent), ["1"; 4]);
}

#[test]
fn an_error_takes_its_place_behind_what_was_asked_before() {
    let bytes = [get("/1"), get("/2"), "NONSENSE\r\n\r\n".into(), get("/3")].concat();
    let outcome = at_every_split(&HttpLimits::default(), bytes.as_bytes());
    assert_eq!(outcome.requests.len(), 2);
    assert_eq!(outcome.error, Some(HttpError::RequestLine));
    assert_eq!(bodies(&outcome.sent)[..2], ["1"; 2]);
    assert!(outcome.sent.contains("HTTP/1.1 400 Bad Request"));
}

#[test]
fn answers_may_come_later_and_an_error_still_waits_for_them() {
    let mut exchange = Exchange::new(&HttpLimits::default()).defer_answers();
    exchange.receive([get("/1"), get("/2"), "NONSENSE\r\n\r\n".into()].concat().as_bytes());
    assert_eq!(exchange.connection.unanswered(), 2);
    assert!(!exchange.connection.wants_read());
    assert_eq!(exchange.outcome.sent, "");

    exchange.answer(b"first");
    exchange.poll();
    assert_eq!(bodies(&exchange.outcome.sent), ["first"]);
    exchange.answer(b"second");
    exchange.poll();
    let bodies = bodies(&exchange.outcome.sent);
    assert_eq!(bodies[..2], ["first", "second"]);
    assert!(bodies[2].starts_with("the request line is malformed"));
    assert!(exchange.outcome.half_closed);
}

#[test]
fn a_full_pipeline_stops_reading_until_an_answer_leaves() {
    let mut limits = HttpLimits::default();
    limits.pipeline = 2;
    let mut exchange = Exchange::new(&limits).defer_answers();
    exchange.receive([get("/1"), get("/2"), get("/3")].concat().as_bytes());
    assert_eq!(exchange.outcome.requests.len(), 2);
    assert!(!exchange.connection.wants_read());

    exchange.answer(b"1");
    exchange.poll();
    assert_eq!(exchange.outcome.requests.len(), 3);
    assert!(!exchange.connection.wants_read());
    exchange.answer(b"2");
    exchange.answer(b"3");
    exchange.poll();
    assert!(exchange.connection.wants_read());
}

#[test]
fn answers_that_nobody_takes_stop_reading() {
    use windhover_core::http::{Output, Response, Status};

    let mut limits = HttpLimits::default();
    limits.unsent = 1000;
    let mut exchange = Exchange::new(&limits).defer_answers();
    let now = exchange.now;
    exchange.connection.receive(get("/").repeat(100).as_bytes());
    let mut taken = 0;
    while let Output::Request(_) = exchange.connection.poll_output(now) {
        taken += 1;
        let response = Response::new(Status::OK, "", &[b'x'; 400][..]);
        exchange.connection.respond(&response, now.unix);
    }
    assert_eq!(taken, 3);
    assert!(!exchange.connection.wants_read());
    assert!(matches!(exchange.connection.poll_output(now), Output::Write));
    exchange.connection.wrote(600);
    assert!(matches!(exchange.connection.poll_output(now), Output::Request(_)));
}

#[test]
fn an_answer_that_nobody_asked_for_is_not_sent() {
    let mut exchange = Exchange::new(&HttpLimits::default());
    exchange.answer(b"unasked");
    exchange.poll();
    assert_eq!(exchange.outcome.sent, "");
}

#[test]
fn a_request_may_be_taken_out_and_keeps_its_place() {
    let body = "x".repeat(100_000);
    let large =
        format!("POST /2?q HTTP/1.1\r\nHost: h\r\nX: y\r\nContent-Length: 100000\r\n\r\n{body}");
    let chunked = "POST /3 HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
                   1\r\na\r\n2\r\nbc\r\n0\r\n\r\n";
    let mut connection =
        ServerConnection::new(&HttpLimits::default(), &Timeouts::default(), at(0).instant);
    assert!(connection.take_request().is_none(), "there is none yet");
    connection.receive([&get("/1"), &large, chunked].concat().as_bytes());
    let mut taken = Vec::new();
    while let Output::Request(request) = connection.poll_output(at(0)) {
        let seen = Seen::of(&request);
        let request = connection.take_request().unwrap();
        assert!(connection.take_request().is_none(), "it was taken already");
        assert_eq!(Seen::of(&request.request()), seen);
        assert!(request.held() >= seen.body.len());
        taken.push((request, seen));
    }
    let seen: Vec<_> = taken.iter().map(|(_, it)| (&*it.path, &*it.query, &*it.body)).collect();
    assert_eq!(seen, [("/1", "", ""), ("/2", "q", &*body), ("/3", "", "abc")]);
    assert_eq!(taken[1].1.x, ["y"]);
    assert_eq!(connection.unanswered(), 3);
    // They outlive it.
    drop(connection);
    assert_eq!(taken[1].0.request().body, body.as_bytes());
}

#[test]
fn while_it_is_paused_a_connection_begins_nothing_and_the_peer_owes_nothing() {
    let mut exchange = Exchange::new(&HttpLimits::default()).defer_answers();
    exchange.receive(get("/1").as_bytes());
    exchange.connection.pause(true);
    exchange.connection.receive([get("/2"), "GET /3 HT".into()].concat().as_bytes());
    assert!(!exchange.connection.wants_read());
    exchange.now = at(600_000);
    exchange.poll();
    assert_eq!(exchange.outcome.requests.len(), 1);
    exchange.answer(b"first");
    exchange.poll();
    assert_eq!(bodies(&exchange.outcome.sent), ["first"], "answers go out");

    exchange.connection.pause(false);
    let until = exchange.poll().unwrap();
    assert_eq!(exchange.outcome.requests.len(), 2);
    assert!(until > at(600_000).instant, "its time for the head begins now");
    assert!(exchange.connection.wants_read());
}
