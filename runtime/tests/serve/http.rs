//! The core's HTTP connection behind the adapter.

use std::thread;
use std::time::Duration;

use windhover_runtime::Clock;

use super::server::Server;
use crate::one::One;

fn one() -> One {
    One::new(Clock::new().now())
}

#[test]
fn pipelined_requests_are_answered() {
    let server = Server::start(one);
    let mut peer = server.connect();
    let request = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    let last = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    peer.send((request.repeat(999) + last).as_bytes());
    let answers = String::from_utf8(peer.receive_to_end()).unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200 OK\r\n").count(), 1000);
    assert_eq!(answers.matches("Connection: close").count(), 1);
}

#[test]
fn a_peer_that_sends_a_body_too_large_reads_why() {
    let server = Server::start(one);
    for _ in 0..20 {
        let mut peer = server.connect();
        peer.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11000000\r\n\r\n");
        // As many clients do, it sends the whole body before it looks for an answer.
        peer.send(&vec![b'x'; 4_000_000]);
        let answer = String::from_utf8(peer.receive_to_end()).unwrap();
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    }
}

#[test]
fn the_end_of_the_last_answer_is_told_before_the_socket_is_closed() {
    let server = Server::start(one);
    let mut peer = server.connect();
    peer.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11000000\r\n\r\nx");
    let answer = String::from_utf8(peer.receive_to_end()).unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    // The rest of the body may still be on its way: a closed socket would answer it with a reset.
    thread::sleep(Duration::from_millis(100));
    assert_eq!(server.counters.active(), 1);
    peer.end();
    server.until_active(0);
}

#[test]
fn a_shutdown_closes_idle_keep_alive_connections() {
    let server = Server::start(one);
    let mut peer = server.connect();
    peer.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let answer = String::from_utf8(peer.receive(20)).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"));
    assert_eq!(server.shut_down().cut, 0);
    let rest = String::from_utf8(peer.receive_to_end()).unwrap();
    assert!(rest.ends_with("\r\n\r\n1"), "{rest}");
}
