//! Bytes both ways, answers that come later, deadlines.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use windhover_runtime::ServeOptions;

use super::server::{Peer, Server, eventually};
use crate::adapter::LISTENERS;
use crate::echo::{Echo, Gate, Watched};

#[test]
fn what_is_sent_comes_back() {
    let server = Server::start(|| Echo::new(&Arc::default()));
    let mut peer = server.connect();
    for message in [&b"a"[..], b"hello", &vec![b'x'; 100_000]] {
        peer.send(message);
        assert_eq!(peer.receive(message.len()), message);
    }
}

#[test]
fn megabytes_come_back_through_small_buffers() {
    let server = Server::start(|| Echo::new(&Arc::default()));
    let mut peer = server.connect();
    let sent: Vec<u8> = (b'#'..=b'~').cycle().take(4_000_000).collect();
    let mut writer = Peer(peer.0.try_clone().unwrap());
    let expected = sent.clone();
    let writing = thread::spawn(move || {
        writer.send(&sent);
        writer.end();
    });
    let received = peer.receive_to_end();
    writing.join().unwrap();
    assert!(received == expected);
}

#[test]
fn an_end_behind_the_last_bytes_is_seen() {
    let server = Server::start(|| Echo::new(&Arc::default()));
    // Both at once, one after the other, and the end alone.
    for (message, wait) in [(&b"x"[..], false), (b"x", true), (b"", false)] {
        let mut peer = server.connect();
        peer.send(message);
        if wait {
            peer.receive(message.len());
        }
        peer.end();
        let rest = if wait { &b""[..] } else { message };
        assert_eq!(peer.receive_to_end(), rest);
    }
}

#[test]
fn a_peer_that_has_ended_its_side_is_still_answered() {
    let gate = Arc::new(Gate::default());
    let behind = Arc::clone(&gate);
    let server = Server::start(move || Echo::new(&Arc::default()).behind(&behind));
    let mut peer = server.connect();
    peer.send(b"question");
    peer.end();
    assert!(peer.is_silent());
    gate.open();
    assert_eq!(peer.receive_to_end(), b"question");
}

#[test]
fn an_answer_that_comes_later_wakes_its_connection() {
    let gate = Arc::new(Gate::default());
    let behind = Arc::clone(&gate);
    let server = Server::start(move || Echo::new(&Arc::default()).behind(&behind));
    let mut peer = server.connect();
    peer.send(b"question");
    assert!(peer.is_silent());
    thread::spawn(move || gate.open()).join().unwrap();
    assert_eq!(peer.receive(8), b"question");
}

#[test]
fn answers_that_come_later_all_at_once_wake_all_their_connections() {
    let gate = Arc::new(Gate::default());
    let behind = Arc::clone(&gate);
    let make = move || Echo::new(&Arc::default()).behind(&behind);
    let server = Server::with(ServeOptions::default(), LISTENERS, make);
    let mut peers: Vec<_> = (0..200).map(|_| server.connect()).collect();
    for peer in &mut peers {
        peer.send(b"question");
    }
    server.until_active(200);
    assert!(peers[199].is_silent());
    thread::spawn(move || gate.open()).join().unwrap();
    for peer in &mut peers {
        assert_eq!(peer.receive(8), b"question");
    }
}

#[test]
fn a_waker_that_outlives_its_connection_disturbs_no_other_one() {
    let watched = Arc::new(Watched::default());
    let gate = Arc::new(Gate::default());
    let (shared, behind) = (Arc::clone(&watched), Arc::clone(&gate));
    let server = Server::start(move || Echo::new(&shared).behind(&behind));
    let mut gone = server.connect();
    gone.send(b"x");
    server.until_active(1);
    assert!(gone.is_silent());
    // The gate still keeps the waker of the first one, whose slot the second one takes.
    gone.end();
    gone.reset();
    gate.open();
    eventually("dropped", || watched.dropped.load(Ordering::SeqCst) == 1);
    let mut next = server.connect();
    gate.open();
    next.send(b"still here");
    assert_eq!(next.receive(10), b"still here");
}

#[test]
fn a_deadline_closes_and_traffic_moves_it() {
    let timeout = Duration::from_secs(1);
    let server = Server::start(move || Echo::new(&Arc::default()).timeout(timeout));
    let mut peer = server.connect();
    let start = Instant::now();
    for _ in 0..4 {
        thread::sleep(Duration::from_millis(100));
        peer.send(b"x");
        assert_eq!(peer.receive(1), b"x");
    }
    assert_eq!(peer.receive_to_end(), b"");
    assert!(start.elapsed() >= Duration::from_millis(400) + timeout);
}

#[test]
fn a_deadline_that_moves_earlier_is_kept() {
    let (long, short) = (Duration::from_secs(60), Duration::from_millis(100));
    let server = Server::start(move || Echo::new(&Arc::default()).timeout(long).then(short));
    let mut peer = server.connect();
    // The timer is set to the long one.
    assert!(peer.is_silent());
    peer.send(b"x");
    assert_eq!(peer.receive_to_end(), b"x");
}

#[test]
fn a_panic_takes_no_other_connection_with_it() {
    let watched = Arc::new(Watched::default());
    let shared = Arc::clone(&watched);
    let server = Server::start(move || Echo::new(&shared));
    let mut good = server.connect();
    let mut bad = server.connect();
    server.until_active(2);
    bad.send(b"!");
    // The panicked connection had read everything: an end, and no reset.
    assert_eq!(bad.receive_to_end(), b"");
    server.until_active(1);
    good.send(b"still here");
    assert_eq!(good.receive(10), b"still here");
    assert_eq!(watched.dropped.load(Ordering::SeqCst), 1);
    assert_eq!(server.shut_down().cut, 0);
}

#[test]
fn a_panic_while_accepting_takes_its_connection_only() {
    let number = AtomicUsize::new(0);
    let server = Server::start(move || {
        assert!(number.fetch_add(1, Ordering::SeqCst) > 0, "a panic, as the test asked for");
        Echo::new(&Arc::default())
    });
    assert_eq!(server.connect().receive_to_end(), b"");
    let mut good = server.connect();
    good.send(b"here");
    assert_eq!(good.receive(4), b"here");
    assert_eq!(server.counters.active(), 1);
}

#[test]
fn a_reset_drops_the_endpoint() {
    let watched = Arc::new(Watched::default());
    let shared = Arc::clone(&watched);
    let server = Server::start(move || Echo::new(&shared));
    let mut peer = server.connect();
    peer.send(b"x");
    peer.receive(1);
    peer.reset();
    eventually("dropped", || watched.dropped.load(Ordering::SeqCst) == 1);
    server.until_active(0);
}

#[test]
fn a_busy_peer_does_not_starve_another_one() {
    let server = Server::start(|| Echo::new(&Arc::default()));
    let mut flooder = server.connect().0;
    let mut drain = flooder.try_clone().unwrap();
    let stop = flooder.try_clone().unwrap();
    let writing = thread::spawn(move || while flooder.write_all(&vec![b'x'; 65_536]).is_ok() {});
    let came = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&came);
    let reading = thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        while let Ok(n @ 1..) = drain.read(&mut buffer) {
            counted.fetch_add(n, Ordering::SeqCst);
        }
    });
    eventually("busy", || came.load(Ordering::SeqCst) > 1_000_000);
    let mut peer = server.connect();
    let start = Instant::now();
    for _ in 0..100 {
        peer.send(b"ping");
        assert_eq!(peer.receive(4), b"ping");
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    stop.shutdown(std::net::Shutdown::Both).unwrap();
    writing.join().unwrap();
    reading.join().unwrap();
}
