//! How a connection ends: orderly, lingering, half-closed.

use windhover_core::http::{HttpError, HttpLimits};

use crate::exchange::{Exchange, at};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";

#[test]
fn an_error_lingers_so_that_the_answer_is_not_lost() {
    let mut exchange = Exchange::new(&HttpLimits::default());
    let deadline = exchange.receive(b"NONSENSE\r\n\r\n");
    assert_eq!(deadline, Some(at(2000).instant));
    assert!(exchange.outcome.half_closed);
    // What still comes is dropped, and held by nobody.
    assert!(exchange.connection.wants_read());
    assert_eq!(exchange.receive(GET), Some(at(2000).instant));
    exchange.connection.release();
    assert_eq!(exchange.outcome.requests, []);
    exchange.now = at(2000);
    assert_eq!(exchange.poll(), None);
}

#[test]
fn lingering_ends_with_the_stream() {
    let mut exchange = Exchange::new(&HttpLimits::default());
    exchange.receive(b"NONSENSE\r\n\r\n");
    assert_eq!(exchange.end_of_stream(), None);
}

#[test]
fn lingering_reads_as_much_as_socket_buffers_hold() {
    const ON_THE_WAY: usize = 16 * 1024 * 1024;
    let mut limits = HttpLimits::default();
    limits.body = 1000;
    let mut exchange = Exchange::new(&limits);
    exchange.receive(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2000\r\n\r\n");
    for _ in 0..15 {
        assert!(exchange.receive(&vec![b'x'; ON_THE_WAY / 16]).is_some());
    }
    assert!(exchange.receive(&vec![b'x'; ON_THE_WAY / 16 - 1]).is_some());
    assert!(exchange.receive(b"x").is_none());
}

#[test]
fn a_clean_close_does_not_linger() {
    let mut exchange = Exchange::new(&HttpLimits::default());
    let closed = exchange.receive(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert_eq!(closed, None);
    assert!(!exchange.outcome.half_closed);
}

#[test]
fn a_half_closed_peer_still_gets_its_answers() {
    let mut exchange = Exchange::new(&HttpLimits::default()).defer_answers();
    exchange.receive(&[GET, GET].concat());
    assert!(exchange.end_of_stream().is_some());
    exchange.answer(b"1");
    assert!(exchange.poll().is_some());
    exchange.answer(b"2");
    assert_eq!(exchange.poll(), None);
    assert_eq!(exchange.outcome.sent.matches("HTTP/1.1 200 OK").count(), 2);
}

#[test]
fn shutting_down_closes_an_idle_connection() {
    let mut exchange = Exchange::new(&HttpLimits::default());
    exchange.receive(GET);
    exchange.connection.shut_down();
    assert_eq!(exchange.poll(), None);
}

#[test]
fn shutting_down_waits_a_second_for_the_first_request_of_a_connection() {
    for before in [&b""[..], b"\r\n"] {
        let new = || {
            let mut exchange = Exchange::new(&HttpLimits::default());
            exchange.receive(before);
            exchange.connection.shut_down();
            exchange
        };
        let mut exchange = new();
        assert_eq!(exchange.poll(), Some(at(1000).instant));
        exchange.now = at(1000);
        assert_eq!(exchange.poll(), None, "nothing came");
        let mut exchange = new();
        assert_eq!(exchange.receive(GET), None, "one request, and the end");
        assert!(exchange.outcome.sent.contains("Connection: close"));
    }
}

#[test]
fn shutting_down_answers_what_the_application_has() {
    let mut exchange = Exchange::new(&HttpLimits::default()).defer_answers();
    exchange.receive(&[GET, GET, b"GET /half"].concat());
    exchange.connection.shut_down();
    assert!(exchange.poll().is_some());
    assert!(!exchange.connection.wants_read());
    exchange.answer(b"1");
    exchange.answer(b"2");
    // The rest of the third request may be on its way.
    assert_eq!(exchange.poll(), Some(at(2000).instant));
    assert_eq!(exchange.outcome.sent.matches("HTTP/1.1 200 OK").count(), 2);
    assert_eq!(exchange.outcome.sent.matches("Connection: close").count(), 1);
    assert!(exchange.outcome.sent.contains("Connection: close\r\n\r\n2"));
}

#[test]
fn shutting_down_finishes_a_half_received_request() {
    let mut exchange = Exchange::new(&HttpLimits::default());
    exchange.receive(&GET[..10]);
    exchange.connection.shut_down();
    assert!(exchange.poll().is_some());
    assert_eq!(exchange.receive(&GET[10..]), None);
    assert_eq!(exchange.outcome.requests.len(), 1);
    assert!(exchange.outcome.sent.contains("Connection: close"));
}

#[test]
fn shutting_down_takes_one_request_that_has_come_and_no_more() {
    let mut exchange = Exchange::new(&HttpLimits::default());
    exchange.connection.receive(&[GET, GET].concat());
    exchange.connection.shut_down();
    exchange.poll();
    assert_eq!(exchange.outcome.requests.len(), 1);
    assert!(exchange.outcome.sent.contains("Connection: close"));
}

#[test]
fn shutting_down_twice_or_after_an_error_changes_nothing() {
    let mut exchange = Exchange::new(&HttpLimits::default()).defer_answers();
    exchange.receive(&[GET, b"NONSENSE\r\n\r\n"].concat());
    exchange.connection.shut_down();
    exchange.connection.shut_down();
    exchange.answer(b"1");
    exchange.poll();
    assert_eq!(exchange.outcome.error, Some(HttpError::RequestLine));
    assert!(exchange.outcome.sent.contains("HTTP/1.1 400 "));
}

#[test]
fn an_idle_connection_holds_no_buffer() {
    let mut exchange = Exchange::new(&HttpLimits::default());
    exchange.connection.read_buffer().extend_from_slice(GET);
    exchange.poll();
    assert!(exchange.connection.held() > 0);
    exchange.connection.release();
    assert_eq!(exchange.connection.held(), 0);
    assert!(format!("{:?}", exchange.connection).contains("incoming: Incoming { bytes: b\"\""));
    assert!(size_of_val(&exchange.connection) <= 640);
}
