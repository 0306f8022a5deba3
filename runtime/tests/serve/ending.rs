//! Graceful shutdown.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use windhover_runtime::{ServeOptions, Shutdown, listen};

use super::server::Server;
use crate::adapter::{self, LISTENERS};
use crate::echo::{Echo, Gate, Watched};

#[test]
fn idle_connections_end_and_no_new_one_is_accepted() {
    let server = Server::with(ServeOptions::default(), LISTENERS, || Echo::new(&Arc::default()));
    let mut peers: Vec<_> = (0..20).map(|_| server.connect()).collect();
    server.until_active(20);
    let start = Instant::now();
    assert_eq!(server.shut_down().cut, 0);
    assert!(start.elapsed() < Duration::from_secs(2));
    for peer in &mut peers {
        assert_eq!(peer.receive_to_end(), b"");
    }
    assert!(TcpStream::connect(server.address).is_err());
}

#[test]
fn what_is_in_flight_is_answered() {
    let gate = Arc::new(Gate::default());
    let behind = Arc::clone(&gate);
    let server = Server::start(move || Echo::new(&Arc::default()).behind(&behind));
    let mut peer = server.connect();
    peer.send(b"question");
    assert!(peer.is_silent());
    server.shutdown.trigger();
    assert!(peer.is_silent());
    gate.open();
    assert_eq!(peer.receive_to_end(), b"question");
    assert_eq!(server.ended().cut, 0);
}

#[test]
fn a_connection_that_does_not_finish_in_time_is_cut() {
    let watched = Arc::new(Watched::default());
    let gate = Arc::new(Gate::default());
    let mut options = ServeOptions::default();
    options.shutdown_timeout = Duration::from_millis(200);
    let counters = Arc::clone(&options.counters);
    let (shared, behind) = (Arc::clone(&watched), Arc::clone(&gate));
    let server = Server::with(options, LISTENERS, move || Echo::new(&shared).behind(&behind));
    let mut stuck = server.connect();
    stuck.send(b"never answered");
    let mut idle = server.connect();
    server.until_active(2);
    assert!(stuck.is_silent());

    let start = Instant::now();
    assert_eq!(server.shut_down().cut, 1);
    assert!(start.elapsed() >= Duration::from_millis(200));
    assert!(start.elapsed() < Duration::from_secs(2));
    assert_eq!(counters.active(), 0);
    assert_eq!(watched.dropped.load(Ordering::SeqCst), 2);
    assert_eq!(idle.receive_to_end(), b"");
}

#[test]
fn a_shutdown_ends_the_wait_for_room() {
    let mut options = ServeOptions::default();
    options.connections = 1;
    let server = Server::with(options, LISTENERS, || Echo::new(&Arc::default()));
    let peers: Vec<_> = (0..8).map(|_| server.connect()).collect();
    server.until_active(1);
    assert_eq!(server.shut_down().cut, 0);
    drop(peers);
}

#[test]
fn a_shutdown_before_the_first_connection_ends_at_once() {
    let server = Server::start(|| Echo::new(&Arc::default()));
    assert_eq!(server.shut_down().cut, 0);
}

#[test]
fn a_shutdown_that_was_triggered_before_ends_at_once() {
    let shutdown = Shutdown::new();
    shutdown.trigger();
    let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let accept = |_, _| Echo::new(&Arc::default());
    let listeners = vec![listener.into()];
    let report = adapter::serve(listeners, accept, ServeOptions::default(), &shutdown).unwrap();
    assert_eq!(report.cut, 0);
}
