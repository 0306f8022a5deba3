//! Peers that take too long.

use core::time::Duration;

use windhover_core::Instant;
use windhover_core::http::{HttpError, HttpLimits, Output};

use crate::exchange::{Exchange, at};

const NEVER: Instant = Instant::from_epoch(Duration::MAX);
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const POST: &[u8] = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n";

fn until(millis: u64) -> Instant {
    at(millis).instant
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let mut exchange = Exchange::new(&HttpLimits::default());
    assert_eq!(exchange.poll(), Some(until(75_000)));
    exchange.now = at(74_999);
    assert_eq!(exchange.poll(), Some(until(75_000)));
    exchange.now = at(75_000);
    assert_eq!(exchange.poll(), None);
    assert_eq!(exchange.outcome.sent, "");
    assert_eq!(exchange.outcome.error, None);
}

#[test]
fn empty_lines_do_not_keep_a_connection_open() {
    let mut exchange = Exchange::new(&HttpLimits::default());
    for second in 1..75 {
        exchange.now = at(second * 1000);
        assert_eq!(exchange.receive(b"\r\n"), Some(until(75_000)));
    }
    exchange.now = at(75_000);
    assert_eq!(exchange.receive(b"\r\n"), None);
}

#[test]
fn the_idle_time_begins_anew_with_every_answer() {
    let mut exchange = Exchange::new(&HttpLimits::default());
    exchange.now = at(70_000);
    assert_eq!(exchange.receive(GET), Some(until(145_000)));
}

#[test]
fn a_head_that_trickles_in_is_answered_408() {
    let mut exchange = Exchange::new(&HttpLimits::default());
    exchange.now = at(1000);
    assert_eq!(exchange.receive(b"G"), Some(until(11_000)));
    for (byte, second) in b"ET /track".iter().zip(2..) {
        exchange.now = at(second * 1000);
        assert_eq!(exchange.receive(&[*byte]), Some(until(11_000)));
    }
    exchange.now = at(11_000);
    exchange.poll();
    assert_eq!(exchange.outcome.error, Some(HttpError::HeadTimeout));
    assert!(exchange.outcome.sent.starts_with("HTTP/1.1 408 Request Timeout\r\n"));
    assert!(exchange.outcome.sent.contains("\r\nConnection: close\r\n"));
}

#[test]
fn a_body_has_its_own_time_from_the_end_of_the_head() {
    let mut exchange = Exchange::new(&HttpLimits::default());
    exchange.receive(&POST[..10]);
    exchange.now = at(9000);
    assert_eq!(exchange.receive(&POST[10..]), Some(until(39_000)));
    exchange.now = at(38_999);
    assert_eq!(exchange.receive(b"123"), Some(until(39_000)));
    exchange.now = at(39_000);
    exchange.poll();
    assert_eq!(exchange.outcome.error, Some(HttpError::BodyTimeout));
    assert!(exchange.outcome.sent.starts_with("HTTP/1.1 408 "));
}

#[test]
fn what_is_whole_at_the_deadline_is_served() {
    let mut exchange = Exchange::new(&HttpLimits::default());
    exchange.receive(&GET[..5]);
    exchange.now = at(10_000);
    exchange.receive(&GET[5..]);
    assert_eq!(exchange.outcome.requests.len(), 1);
    assert_eq!(exchange.outcome.error, None);
}

#[test]
fn the_peer_has_no_deadline_while_only_the_application_owes() {
    let mut exchange = Exchange::new(&HttpLimits::default()).defer_answers();
    assert_eq!(exchange.receive(GET), Some(NEVER));
    exchange.now = at(1_000_000);
    assert_eq!(exchange.poll(), Some(NEVER));
    exchange.answer(b"1");
    assert_eq!(exchange.poll(), Some(until(1_075_000)));
}

#[test]
fn a_peer_that_is_held_back_is_given_its_time_afterwards() {
    let mut limits = HttpLimits::default();
    limits.pipeline = 1;
    let mut exchange = Exchange::new(&limits).defer_answers();
    assert_eq!(exchange.receive(&[GET, b"GET"].concat()), Some(NEVER));
    exchange.now = at(100_000);
    exchange.answer(b"1");
    assert_eq!(exchange.poll(), Some(until(110_000)));
}

#[test]
fn a_half_received_request_behind_an_unanswered_one_has_its_deadline() {
    let mut exchange = Exchange::new(&HttpLimits::default()).defer_answers();
    assert_eq!(exchange.receive(&[GET, b"GET"].concat()), Some(until(10_000)));
    exchange.now = at(10_000);
    assert_eq!(exchange.poll(), Some(NEVER));
    assert_eq!(exchange.outcome.sent, "");
    exchange.answer(b"1");
    exchange.poll();
    assert_eq!(exchange.outcome.sent.matches("HTTP/1.1 ").count(), 2);
    assert!(exchange.outcome.sent.contains("HTTP/1.1 408 "));
}

#[test]
fn the_body_clock_waits_for_continue() {
    let mut exchange = Exchange::new(&HttpLimits::default()).defer_answers();
    let expecting =
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
    assert_eq!(exchange.receive(&[GET, expecting].concat()), Some(NEVER));
    exchange.now = at(100_000);
    exchange.answer(b"1");
    assert_eq!(exchange.poll(), Some(until(130_000)));
    assert_eq!(exchange.outcome.continues, 1);
}

#[test]
fn a_peer_that_takes_no_answer_is_cut() {
    let mut exchange = Exchange::new(&HttpLimits::default()).defer_answers();
    exchange.receive(GET);
    exchange.now = at(1000);
    exchange.answer(b"1");
    let connection = &mut exchange.connection;
    assert!(matches!(connection.poll_output(at(1000)), Output::Write));
    connection.wrote(0);
    let Output::Idle(deadline) = connection.poll_output(at(1000)) else {
        panic!("not idle");
    };
    assert_eq!(deadline, at(31_000).instant);

    // Progress moves the deadline.
    connection.wrote(1);
    assert!(matches!(connection.poll_output(at(20_000)), Output::Write));
    connection.wrote(0);
    let Output::Idle(deadline) = connection.poll_output(at(21_000)) else {
        panic!("not idle");
    };
    assert_eq!(deadline, at(50_000).instant);
    assert!(matches!(connection.poll_output(at(50_000)), Output::Close));
    assert!(!connection.wants_read());
    assert_eq!(connection.unsent(&mut [&[]]), 0);
    assert!(matches!(connection.poll_output(at(50_001)), Output::Close));
}

#[test]
fn a_peer_that_takes_its_answers_byte_by_byte_has_no_longer_for_its_body() {
    let mut limits = HttpLimits::default();
    limits.unsent = 10;
    let mut exchange = Exchange::new(&limits).defer_answers();
    exchange.receive(&[GET, POST, b"123"].concat());
    exchange.answer(b"1");
    let connection = &mut exchange.connection;
    for millis in [0, 10_000, 20_000] {
        assert!(matches!(connection.poll_output(at(millis)), Output::Write));
        connection.wrote(1);
        connection.wrote(0);
        assert!(matches!(connection.poll_output(at(millis)), Output::Idle(deadline)
            if deadline == until(30_000)));
        assert!(!connection.wants_read());
        connection.wrote(1);
    }
    connection.poll_output(at(30_000));
    assert_eq!(connection.error(), Some(HttpError::BodyTimeout));
}
