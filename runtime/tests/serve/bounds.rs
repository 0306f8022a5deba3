//! What a server holds at most: connections, and bytes for peers that take none.

use std::io::Write;
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use windhover_runtime::ServeOptions;

use super::server::{Server, eventually};
use crate::echo::{Echo, UNSENT, Watched};

#[test]
fn at_the_limit_connections_wait_until_one_ends() {
    let mut options = ServeOptions::default();
    options.connections = 2;
    let server = Server::with(options, 1, || Echo::new(&Arc::default()));
    let mut first = server.connect();
    let mut second = server.connect();
    for peer in [&mut first, &mut second] {
        peer.send(b"x");
        peer.receive(1);
    }

    let mut third = server.connect();
    third.send(b"x");
    assert!(third.is_silent());
    assert_eq!(server.counters.active(), 2);

    drop(first);
    assert_eq!(third.receive(1), b"x");
    second.send(b"y");
    assert_eq!(second.receive(1), b"y");
    assert_eq!(server.counters.accepted.load(Ordering::SeqCst), 3);
}

#[test]
fn a_peer_that_reads_nothing_is_not_read_from() {
    let watched = Arc::new(Watched::default());
    let shared = Arc::clone(&watched);
    let server = Server::start(move || Echo::new(&shared));
    let mut peer = server.connect().0;
    let stop = peer.try_clone().unwrap();
    // More than every buffer on the way holds.
    let flood =
        thread::spawn(move || (0..1024).try_for_each(|_| peer.write_all(&vec![b'x'; 65_536])));
    eventually("held back", || watched.held_back.load(Ordering::SeqCst));
    let mut before = 0;
    loop {
        thread::sleep(Duration::from_millis(100));
        let now = watched.received.load(Ordering::SeqCst);
        if now == before {
            break;
        }
        before = now;
    }
    assert!(!flood.is_finished(), "everything was taken");
    let most = watched.most_unsent.load(Ordering::SeqCst);
    assert!(most < UNSENT + 64 * 1024, "{most}");
    stop.shutdown(Shutdown::Both).unwrap();
    assert!(flood.join().unwrap().is_err());
}

#[test]
fn a_peer_that_reads_nothing_meets_the_write_deadline() {
    let watched = Arc::new(Watched::default());
    let shared = Arc::clone(&watched);
    let server = Server::start(move || Echo::new(&shared).timeout(Duration::from_millis(300)));
    let mut peer = server.connect().0;
    let flood = thread::spawn(move || while peer.write_all(&vec![b'x'; 65_536]).is_ok() {});
    eventually("dropped", || watched.dropped.load(Ordering::SeqCst) == 1);
    flood.join().unwrap();
}

#[test]
fn a_peer_that_reads_late_gets_everything() {
    let watched = Arc::new(Watched::default());
    let shared = Arc::clone(&watched);
    let server = Server::start(move || Echo::new(&shared));
    let mut peer = server.connect();
    let mut writer = peer.0.try_clone().unwrap();
    let flood = thread::spawn(move || {
        for _ in 0..256 {
            writer.write_all(&vec![b'x'; 65_536]).unwrap();
        }
        writer.shutdown(Shutdown::Write).unwrap();
    });
    eventually("held back", || watched.held_back.load(Ordering::SeqCst));
    thread::sleep(Duration::from_millis(200));
    assert_eq!(peer.receive_to_end().len(), 256 * 65_536);
    flood.join().unwrap();
}
