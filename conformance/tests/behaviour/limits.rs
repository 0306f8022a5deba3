//! Bounds that an operator sets.

use std::{
    thread,
    time::{Duration, Instant},
};

use windhover_conformance::{CacheServer, Runtime, Setup, TempDir, on_each_runtime};

use crate::peer::Peer;

fn at_most_so_many_connections_are_open_and_the_next_one_waits(runtime: Runtime) {
    // More threads than places: the bound is one for all of them.
    let server = CacheServer::windhover(runtime, &["--max-connections", "3", "--threads", "4"]);
    let mut open: Vec<Peer> = (0..3).map(|_| Peer::connect(server.address())).collect();
    for peer in &mut open {
        peer.ask(b"mn\r\n", b"MN\r\n");
    }
    let mut next = Peer::connect(server.address());
    next.send(b"mn\r\n");
    assert!(next.is_silent());
    drop(open.pop());
    assert_eq!(next.receive(4), b"MN\r\n");
    for peer in &mut open {
        peer.ask(b"mn\r\n", b"MN\r\n");
    }
}

fn a_silent_connection_is_closed_and_one_that_talks_is_not(runtime: Runtime) {
    let server = CacheServer::windhover(runtime, &["--idle-timeout", "1"]);
    let mut talks = Peer::connect(server.address());
    let mut silent = Peer::connect(server.address());
    silent.ask(b"mn\r\n", b"MN\r\n");
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(3) {
        talks.ask(b"mn\r\n", b"MN\r\n");
        thread::sleep(Duration::from_millis(100));
    }
    let started = Instant::now();
    assert_eq!(silent.receive_to_end(), b"");
    assert!(started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());
    talks.ask(b"mn\r\n", b"MN\r\n");
}

fn a_head_too_long_is_refused_and_the_connection_closed(runtime: Runtime) {
    let directory = TempDir::new("behaviour");
    let server = Setup::new(directory.path().join("data")).runtime(runtime).start();
    let mut peer = Peer::connect(server.http());
    peer.send(b"GET /healthz HTTP/1.1\r\nHost: test\r\nX-Long: ");
    peer.send(&vec![b'x'; 20_000]);
    let answer = String::from_utf8(peer.receive_to_end()).expect("an answer is text");
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    server.stop();
}

on_each_runtime!(
    at_most_so_many_connections_are_open_and_the_next_one_waits,
    a_silent_connection_is_closed_and_one_that_talks_is_not,
    a_head_too_long_is_refused_and_the_connection_closed,
);
