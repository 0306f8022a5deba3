//! The core's HTTP connection behind the adapter.

use windhover_async_std::Clock;

use crate::one::One;
use crate::server::Server;

fn one() -> One {
    One::new(Clock::new().now())
}

#[async_std::test]
async fn pipelined_requests_are_answered() {
    let server = Server::start(one).await;
    let mut peer = server.connect().await;
    let request = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    let last = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    peer.send((request.repeat(999) + last).as_bytes()).await;
    let answers = String::from_utf8(peer.receive_to_end().await).unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200 OK\r\n").count(), 1000);
    assert_eq!(answers.matches("Connection: close").count(), 1);
}

#[async_std::test]
async fn a_peer_that_sends_a_body_too_large_reads_why() {
    let server = Server::start(one).await;
    for _ in 0..20 {
        let mut peer = server.connect().await;
        peer.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11000000\r\n\r\n").await;
        // As many clients do, it sends the whole body before it looks for an answer.
        peer.send(&vec![b'x'; 4_000_000]).await;
        let answer = String::from_utf8(peer.receive_to_end().await).unwrap();
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    }
}

#[async_std::test]
async fn a_shutdown_closes_idle_keep_alive_connections() {
    let server = Server::start(one).await;
    let mut peer = server.connect().await;
    peer.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let answer = String::from_utf8(peer.receive(20).await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"));
    assert_eq!(server.shut_down().await.cut, 0);
    let rest = String::from_utf8(peer.receive_to_end().await).unwrap();
    assert!(rest.ends_with("\r\n\r\n1"), "{rest}");
}
