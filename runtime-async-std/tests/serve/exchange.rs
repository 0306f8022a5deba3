//! Bytes both ways, answers that come later, deadlines.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use async_std::io::{ReadExt, WriteExt};
use async_std::task::{sleep, spawn};

use crate::echo::{Echo, Gate, Watched};
use crate::server::{Server, eventually};

#[async_std::test]
async fn what_is_sent_comes_back() {
    let server = Server::start(|| Echo::new(&Arc::default())).await;
    let mut peer = server.connect().await;
    for message in [&b"a"[..], b"hello", &vec![b'x'; 100_000]] {
        peer.send(message).await;
        assert_eq!(peer.receive(message.len()).await, message);
    }
}

#[async_std::test]
async fn megabytes_come_back_through_small_buffers() {
    let server = Server::start(|| Echo::new(&Arc::default())).await;
    let peer = server.connect().await;
    let sent: Vec<u8> = (b'#'..=b'~').cycle().take(4_000_000).collect();
    let (mut reader, mut writer) = (peer.0.clone(), peer.0);
    let expected = sent.clone();
    let writing = spawn(async move {
        writer.write_all(&sent).await.unwrap();
        writer.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let mut received = Vec::new();
    reader.read_to_end(&mut received).await.unwrap();
    writing.await;
    assert!(received == expected);
}

#[async_std::test]
async fn an_answer_that_comes_later_wakes_its_connection() {
    let gate = Arc::new(Gate::default());
    let behind = Arc::clone(&gate);
    let server = Server::start(move || Echo::new(&Arc::default()).behind(&behind)).await;
    let mut peer = server.connect().await;
    peer.send(b"question").await;
    assert!(peer.is_silent().await);
    std::thread::spawn(move || gate.open()).join().unwrap();
    assert_eq!(peer.receive(8).await, b"question");
}

#[async_std::test]
async fn a_deadline_closes_and_traffic_moves_it() {
    let patience = Duration::from_millis(300);
    let server = Server::start(move || Echo::new(&Arc::default()).patience(patience)).await;
    let mut peer = server.connect().await;
    let start = Instant::now();
    for _ in 0..4 {
        sleep(Duration::from_millis(100)).await;
        peer.send(b"x").await;
        assert_eq!(peer.receive(1).await, b"x");
    }
    assert_eq!(peer.receive_to_end().await, b"");
    assert!(start.elapsed() >= Duration::from_millis(400) + patience);
}

#[async_std::test]
async fn a_deadline_that_moves_earlier_is_kept() {
    let (long, short) = (Duration::from_secs(60), Duration::from_millis(100));
    let server = Server::start(move || Echo::new(&Arc::default()).patience(long).then(short)).await;
    let mut peer = server.connect().await;
    // The timer is set to the long one.
    assert!(peer.is_silent().await);
    peer.send(b"x").await;
    assert_eq!(peer.receive_to_end().await, b"x");
}

#[async_std::test]
async fn a_panic_takes_no_other_connection_with_it() {
    let watched = Arc::new(Watched::default());
    let shared = Arc::clone(&watched);
    let server = Server::start(move || Echo::new(&shared)).await;
    let mut good = server.connect().await;
    let mut bad = server.connect().await;
    server.until_active(2).await;
    bad.send(b"!").await;
    assert_eq!(bad.receive_to_end().await, b"");
    server.until_active(1).await;
    good.send(b"still here").await;
    assert_eq!(good.receive(10).await, b"still here");
    assert_eq!(watched.dropped.load(Ordering::SeqCst), 1);
    assert_eq!(server.shut_down().await.cut, 0);
}

#[async_std::test]
async fn a_reset_drops_the_endpoint() {
    let watched = Arc::new(Watched::default());
    let shared = Arc::clone(&watched);
    let server = Server::start(move || Echo::new(&shared)).await;
    let mut peer = server.connect().await;
    peer.send(b"x").await;
    peer.receive(1).await;
    peer.reset();
    eventually("dropped", || watched.dropped.load(Ordering::SeqCst) == 1).await;
    server.until_active(0).await;
}

#[async_std::test]
async fn a_busy_peer_does_not_starve_another_one() {
    let server = Server::start(|| Echo::new(&Arc::default())).await;
    let mut writer = server.connect().await.0;
    let mut reader = writer.clone();
    let flood = spawn(async move {
        loop {
            writer.write_all(&vec![b'x'; 65_536]).await.unwrap();
        }
    });
    let drain = spawn(async move {
        async_std::io::copy(&mut reader, &mut async_std::io::sink()).await.unwrap();
    });
    let mut peer = server.connect().await;
    let start = Instant::now();
    for _ in 0..100 {
        peer.send(b"ping").await;
        assert_eq!(peer.receive(4).await, b"ping");
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    flood.cancel().await;
    drain.cancel().await;
}
