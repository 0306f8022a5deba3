//! SIGTERM to a cache: answers end where one ends, and nobody is waited for who does nothing.

use std::{
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use windhover_conformance::{CacheServer, Runtime, on_each_runtime, report};

use crate::{BOUND, peer::Peer};

fn answers_under_way_are_sent_whole(runtime: Runtime) {
    let server = CacheServer::windhover(runtime, &[]);
    let address = server.address();
    let value = "v".repeat(900_000);
    let answer = format!("VALUE k 0 900000\r\n{value}\r\nEND\r\n").into_bytes();
    let set = format!("set k 0 0 900000\r\n{value}\r\n");
    Peer::connect(address).ask(set.as_bytes(), b"STORED\r\n");
    thread::scope(|scope| {
        let readers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut peer = Peer::connect(address);
                    // 18 MB: more than fits on the way, so that some wait when the signal comes.
                    peer.send(&b"get k\r\n".repeat(20));
                    thread::sleep(Duration::from_secs(1));
                    peer.receive_to_end()
                })
            })
            .collect();
        thread::sleep(Duration::from_millis(500));
        server.stop(BOUND);
        for reader in readers {
            let answers = reader.join().expect("the reader ends");
            report(&format!("{runtime:?}: {} of 20 answers", answers.len() / answer.len()));
            assert!(!answers.is_empty());
            assert!(answers.chunks(answer.len()).all(|seen| seen == answer), "one was cut");
        }
    });
    assert!(TcpStream::connect(address).is_err(), "it still listens");
}

fn requests_that_are_not_read_any_more_destroy_no_answer(runtime: Runtime) {
    let server = CacheServer::windhover(runtime, &[]);
    let address = server.address();
    let value = "v".repeat(1000);
    let answer = format!("VALUE k 0 1000\r\n{value}\r\nEND\r\n").into_bytes();
    let mut peer = Peer::connect(address);
    peer.ask(format!("set k 0 0 1000\r\n{value}\r\n").as_bytes(), b"STORED\r\n");
    // Until the server reads no more for lack of room: the rest waits on the way to it.
    let (sent, _) = peer.flood(b"get k\r\n", 10_000_000);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            thread::sleep(Duration::from_millis(500));
            // A reset would be an error.
            let answers = peer.receive_to_end();
            drop(peer);
            answers
        });
        server.stop(BOUND);
        let answers = reader.join().expect("the reader ends");
        let answered = answers.len() / answer.len();
        report(&format!("{runtime:?}: {answered} of {sent} requests were answered"));
        assert!(answered > 0 && answered < sent, "all {sent} requests were read");
        assert!(answers.chunks(answer.len()).all(|seen| seen == answer), "one was cut");
    });
}

fn idle_connections_hold_nothing_up(runtime: Runtime) {
    let server = CacheServer::windhover(runtime, &["--shutdown-timeout", "60"]);
    let mut idle: Vec<Peer> = (0..200).map(|_| Peer::connect(server.address())).collect();
    for peer in &mut idle {
        peer.ask(b"mn\r\n", b"MN\r\n");
    }
    let started = Instant::now();
    server.stop(BOUND);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert!(idle.iter_mut().all(|peer| peer.receive_to_end().is_empty()));
}

on_each_runtime!(
    answers_under_way_are_sent_whole,
    requests_that_are_not_read_any_more_destroy_no_answer,
    idle_connections_hold_nothing_up,
);
