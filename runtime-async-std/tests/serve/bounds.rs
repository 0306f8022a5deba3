//! What a server holds at most: connections, and bytes for peers that take none.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_std::io::WriteExt;
use async_std::task::{sleep, spawn};
use windhover_async_std::ServeOptions;

use crate::echo::{Echo, UNSENT, Watched};
use crate::server::{Server, eventually, poll_once};

#[async_std::test]
async fn at_the_limit_connections_wait_until_one_ends() {
    let mut options = ServeOptions::default();
    options.connections = 2;
    let server = Server::with(options, || Echo::new(&Arc::default())).await;
    let mut first = server.connect().await;
    let mut second = server.connect().await;
    for peer in [&mut first, &mut second] {
        peer.send(b"x").await;
        peer.receive(1).await;
    }

    let mut third = server.connect().await;
    third.send(b"x").await;
    assert!(third.is_silent().await);
    assert_eq!(server.counters.active(), 2);

    drop(first);
    assert_eq!(third.receive(1).await, b"x");
    second.send(b"y").await;
    assert_eq!(second.receive(1).await, b"y");
    assert_eq!(server.counters.accepted.load(Ordering::SeqCst), 3);
}

#[async_std::test]
async fn a_peer_that_reads_nothing_is_not_read_from() {
    let watched = Arc::new(Watched::default());
    let shared = Arc::clone(&watched);
    let server = Server::start(move || Echo::new(&shared)).await;
    let peer = server.connect().await;
    // More than every buffer on the way holds.
    let mut flood = spawn(async move {
        let mut peer = peer.0;
        for _ in 0..1024 {
            peer.write_all(&vec![b'x'; 65_536]).await.unwrap();
        }
    });
    eventually("held back", || watched.held_back.load(Ordering::SeqCst)).await;
    let mut before = 0;
    loop {
        sleep(Duration::from_millis(100)).await;
        let now = watched.received.load(Ordering::SeqCst);
        if now == before {
            break;
        }
        before = now;
    }
    assert!(poll_once(&mut flood).await.is_none(), "everything was taken");
    let most = watched.most_unsent.load(Ordering::SeqCst);
    assert!(most < UNSENT + 64 * 1024, "{most}");
    flood.cancel().await;
}

#[async_std::test]
async fn a_peer_that_reads_nothing_meets_the_write_deadline() {
    let watched = Arc::new(Watched::default());
    let shared = Arc::clone(&watched);
    let server =
        Server::start(move || Echo::new(&shared).patience(Duration::from_millis(300))).await;
    let mut peer = server.connect().await.0;
    let flood = spawn(async move { while peer.write_all(&vec![b'x'; 65_536]).await.is_ok() {} });
    eventually("dropped", || watched.dropped.load(Ordering::SeqCst) == 1).await;
    flood.await;
}
