//! Graceful shutdown.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use async_std::net::TcpStream;
use windhover_async_std::ServeOptions;

use crate::echo::{Echo, Gate, Watched};
use crate::server::Server;

#[async_std::test]
async fn idle_connections_end_and_no_new_one_is_accepted() {
    let server = Server::start(|| Echo::new(&Arc::default())).await;
    let address = server.address;
    let mut peers = Vec::new();
    for _ in 0..20 {
        peers.push(server.connect().await);
    }
    server.until_active(20).await;
    let start = Instant::now();
    assert_eq!(server.shut_down().await.cut, 0);
    assert!(start.elapsed() < Duration::from_secs(2));
    for peer in &mut peers {
        assert_eq!(peer.receive_to_end().await, b"");
    }
    assert!(TcpStream::connect(address).await.is_err());
}

#[async_std::test]
async fn what_is_in_flight_is_answered() {
    let gate = Arc::new(Gate::default());
    let behind = Arc::clone(&gate);
    let server = Server::start(move || Echo::new(&Arc::default()).behind(&behind)).await;
    let mut peer = server.connect().await;
    peer.send(b"question").await;
    assert!(peer.is_silent().await);
    server.shutdown.trigger();
    assert!(peer.is_silent().await);
    gate.open();
    assert_eq!(peer.receive_to_end().await, b"question");
    assert_eq!(server.ended().await.cut, 0);
}

#[async_std::test]
async fn a_connection_that_does_not_finish_in_time_is_cut() {
    let watched = Arc::new(Watched::default());
    let gate = Arc::new(Gate::default());
    let mut options = ServeOptions::default();
    options.shutdown_timeout = Duration::from_millis(200);
    let counters = Arc::clone(&options.counters);
    let (shared, behind) = (Arc::clone(&watched), Arc::clone(&gate));
    let server = Server::with(options, move || Echo::new(&shared).behind(&behind)).await;
    let mut stuck = server.connect().await;
    stuck.send(b"never answered").await;
    let mut idle = server.connect().await;
    server.until_active(2).await;
    assert!(stuck.is_silent().await);

    let start = Instant::now();
    assert_eq!(server.shut_down().await.cut, 1);
    assert!(start.elapsed() >= Duration::from_millis(200));
    assert!(start.elapsed() < Duration::from_secs(2));
    assert_eq!(counters.active(), 0);
    assert_eq!(watched.dropped.load(Ordering::SeqCst), 2);
    assert_eq!(idle.receive_to_end().await, b"");
}

#[async_std::test]
async fn a_shutdown_ends_the_wait_for_room() {
    let mut options = ServeOptions::default();
    options.connections = 1;
    let server = Server::with(options, || Echo::new(&Arc::default())).await;
    let _peer = server.connect().await;
    server.until_active(1).await;
    assert_eq!(server.shut_down().await.cut, 0);
}

#[async_std::test]
async fn a_shutdown_before_the_first_connection_ends_at_once() {
    let server = Server::start(|| Echo::new(&Arc::default())).await;
    server.shutdown.trigger();
    assert_eq!(server.ended().await.cut, 0);
}
