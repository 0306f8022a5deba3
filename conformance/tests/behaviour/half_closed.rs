//! A peer that has ended what it sends still gets its answers; one that is refused reads why.

use windhover_conformance::{CacheServer, Runtime, Setup, TempDir, on_each_runtime};

use crate::peer::Peer;

fn the_cache_answers_what_came_before_the_end(runtime: Runtime) {
    let server = CacheServer::windhover(runtime, &[]);
    let mut peer = Peer::connect(server.address());
    let value = "v".repeat(1000);
    peer.send(format!("set k 0 0 1000\r\n{value}\r\n").as_bytes());
    peer.send(&b"get k\r\n".repeat(2000));
    // Not a whole request: nobody waits for the rest.
    peer.send(b"get un");
    peer.end_sending();
    let answers = peer.receive_to_end();
    let answer = format!("VALUE k 0 1000\r\n{value}\r\nEND\r\n");
    let expected = format!("STORED\r\n{}", answer.repeat(2000));
    assert!(answers == expected.as_bytes(), "{} bytes, not {}", answers.len(), expected.len());
}

fn the_tracker_answers_what_came_before_the_end(runtime: Runtime) {
    let directory = TempDir::new("behaviour");
    let server = Setup::new(directory.path().join("data")).runtime(runtime).start();
    let mut peer = Peer::connect(server.http());
    let body = r#"{"event":"e","properties":{"token":"t"}}"#;
    let request = format!(
        "POST /track HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    peer.send(request.repeat(3).as_bytes());
    peer.end_sending();
    let answers = String::from_utf8(peer.receive_to_end()).expect("answers are text");
    assert_eq!(answers.matches("HTTP/1.1 200 OK\r\n").count(), 3, "{answers}");
    let items = server.queue_client().drain("events").expect("items");
    assert_eq!(items.len(), 3);
    server.stop();
}

fn a_waiting_read_is_answered_behind_the_end(runtime: Runtime) {
    let directory = TempDir::new("behaviour");
    let server = Setup::new(directory.path().join("data")).runtime(runtime).start();
    let mut peer = Peer::connect(server.queue());
    peer.send(b"get events/t=500\r\n");
    peer.end_sending();
    assert_eq!(peer.receive_to_end(), b"END\r\n");
    server.stop();
}

fn a_refusal_reaches_a_peer_that_goes_on_sending(runtime: Runtime) {
    let directory = TempDir::new("behaviour");
    let server = Setup::new(directory.path().join("data")).runtime(runtime).start();
    for _ in 0..20 {
        let mut peer = Peer::connect(server.http());
        peer.send(b"POST /track HTTP/1.1\r\nHost: test\r\nContent-Length: 11000000\r\n\r\n");
        // As many clients do, it sends on before it looks for an answer; less than the tracker is
        // ready to throw away.
        peer.send(&vec![b'x'; 3_000_000]);
        let answer = String::from_utf8(peer.receive_to_end()).expect("an answer is text");
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    }
    server.stop();
}

on_each_runtime!(
    the_cache_answers_what_came_before_the_end,
    the_tracker_answers_what_came_before_the_end,
    a_waiting_read_is_answered_behind_the_end,
    a_refusal_reaches_a_peer_that_goes_on_sending,
);
