//! The end of a server connection whose peer may still be sending.

use core::time::Duration;

use crate::cache::write_all;
use crate::turn;
use windhover_core::memcache::response::Response;
use windhover_core::memcache::{Dialect, Limits, Output, ServerConnection};
use windhover_core::{Instant, Timeouts};

const START: Instant = Instant::from_epoch(Duration::from_secs(1000));

fn connect() -> ServerConnection {
    ServerConnection::new(Dialect::Memcached, &Limits::default(), &Timeouts::default(), START)
}

/// Calls until nothing is left to do; what was written, and what came last.
fn drive(connection: &mut ServerConnection, now: Instant) -> (String, String) {
    let mut written = Vec::new();
    loop {
        match connection.poll_output(turn(now)) {
            Output::Request { .. } => connection.responses_mut().respond(&Response::End),
            Output::Write => write_all(connection, &mut written),
            last => return (written.escape_ascii().to_string(), format!("{last:?}")),
        }
    }
}

#[test]
fn what_comes_behind_the_end_is_dropped_until_the_peer_ends_too() {
    let mut connection = connect();
    connection.receive(b"get a\r\n");
    connection.shut_down();
    let (written, last) = drive(&mut connection, START);
    assert_eq!((written.as_str(), last.as_str()), (r"END\r\n", "CloseWrite"));

    for _ in 0..3 {
        assert!(connection.wants_read());
        connection.receive(b"set k 0 0 1000\r\nabc");
        assert!(matches!(connection.poll_output(turn(START)), Output::Idle(_)));
        assert_eq!(connection.responses().unanswered(), 0);
    }
    connection.end_of_stream();
    assert!(!connection.wants_read());
    assert!(matches!(connection.poll_output(turn(START)), Output::Close));
}

#[test]
fn a_peer_that_does_not_end_has_two_seconds() {
    let mut connection = connect();
    connection.receive(b"get a\r\n");
    connection.shut_down();
    drive(&mut connection, START);
    let end = START + Duration::from_secs(2);
    for now in [START, START + Duration::from_millis(1999)] {
        connection.receive(b"more");
        match connection.poll_output(turn(now)) {
            Output::Idle(until) => assert_eq!(until, end),
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(connection.poll_output(turn(end)), Output::Close));
    assert!(matches!(connection.poll_output(turn(end)), Output::Close), "and stays so");
}

#[test]
fn a_peer_that_sends_on_and_on_is_read_up_to_what_socket_buffers_hold() {
    const MOST: usize = 16 * 1024 * 1024;
    let mut connection = connect();
    connection.receive(b"get a\r\n");
    connection.shut_down();
    drive(&mut connection, START);
    connection.receive(&vec![b'x'; MOST - 1]);
    assert!(matches!(connection.poll_output(turn(START)), Output::Idle(_)));
    connection.receive(b"x");
    assert!(matches!(connection.poll_output(turn(START)), Output::Close));
}

#[test]
fn every_end_that_the_peer_did_not_ask_for_lingers() {
    let long = vec![b'x'; 100_000];
    let late = START + Duration::from_secs(3600);
    for (bytes, now) in [(&*long, START), (b"get", late), (b"set k 0 0 5\r\nab", late)] {
        let mut connection = connect();
        connection.receive(bytes);
        drive(&mut connection, START);
        let (_, mut last) = drive(&mut connection, now);
        if now == START {
            // It was told behind the error.
            last = format!("{:?}", connection.poll_output(turn(now)));
            assert!(last.starts_with("Idle"), "{last}");
        } else {
            assert_eq!(last, "CloseWrite", "{}", bytes.escape_ascii());
        }
    }

    let mut connection = connect();
    connection.receive(b"get a\r\n");
    drive(&mut connection, START);
    connection.receive(b"get b\r\n");
    assert!(matches!(connection.poll_output(turn(START)), Output::Request { .. }));
    connection.responses_mut().close_after_responses();
    assert_eq!(drive(&mut connection, START).1, "CloseWrite");
    connection.responses_mut().close_after_responses();
    assert_eq!(drive(&mut connection, START).1, "Close", "it is told once");
}

#[test]
fn no_end_lingers_where_nothing_can_be_on_its_way() {
    let mut quits = connect();
    quits.receive(b"get a\r\nquit\r\n");
    assert_eq!(drive(&mut quits, START).1, "Close");

    let mut ended = connect();
    ended.receive(b"get a\r\n");
    ended.shut_down();
    ended.end_of_stream();
    assert_eq!(drive(&mut ended, START).1, "Close");

    let mut idle = connect();
    idle.receive(b"get a\r\n");
    drive(&mut idle, START);
    idle.shut_down();
    assert_eq!(drive(&mut idle, START).1, "Close");

    let mut silent = connect();
    silent.receive(b"get a\r\n");
    drive(&mut silent, START);
    assert_eq!(drive(&mut silent, START + Duration::from_secs(3600)).1, "Close");
}
