//! Several loops at one address.
#![cfg(target_os = "linux")]

use std::collections::HashSet;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use windhover_mio::{ServeOptions, Shutdown, listen, serve};

use crate::echo::{Echo, Gate};
use crate::shared::server::{Peer, Server, eventually};

#[test]
fn connections_are_dealt_out() {
    let seen = Arc::new(Mutex::new(HashSet::new()));
    let by = Arc::clone(&seen);
    let server = Server::with(ServeOptions::default(), 2, move || {
        by.lock().unwrap().insert(thread::current().name().unwrap().to_owned());
        Echo::new(&Arc::default())
    });
    let peers: Vec<_> = (0..64).map(|_| server.connect()).collect();
    server.until_active(64);
    let names = ["windhover-0", "windhover-1"].map(str::to_owned);
    assert_eq!(*seen.lock().unwrap(), HashSet::from(names));
    drop(peers);
    server.until_active(0);
}

#[test]
fn a_hook_is_called_before_a_loop_waits() {
    let calls = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&calls);
    let mut options = ServeOptions::default();
    options.before_wait = Some(Arc::new(move || {
        counted.fetch_add(1, Ordering::Relaxed);
    }));
    let server = Server::with(options, 1, || Echo::new(&Arc::default()));
    let mut peer = server.connect();
    for _ in 0..10 {
        let before = calls.load(Ordering::Relaxed);
        peer.send(b"question");
        assert_eq!(peer.receive(8), b"question");
        eventually("a call", || calls.load(Ordering::Relaxed) > before);
    }
}

#[test]
fn an_address_that_is_listened_on_is_refused() {
    let first = listen("127.0.0.1:0".parse().unwrap(), 2).unwrap();
    let address = first[0].local_addr().unwrap();
    assert_eq!(first[1].local_addr().unwrap(), address);
    let refused = listen(address, 2).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
    drop(first);
    assert_eq!(listen(address, 2).unwrap().len(), 2);
}

#[test]
fn one_loop_wakes_a_connection_of_another_one() {
    let gate = Arc::new(Gate::default());
    let first = Arc::new(Mutex::new(None));
    let server = Server::with(ServeOptions::default(), 2, {
        let gate = Arc::clone(&gate);
        move || {
            let here = thread::current().id();
            let first = *first.lock().unwrap().get_or_insert(here);
            if first != here {
                gate.open();
            }
            Echo::new(&Arc::default()).behind(&gate)
        }
    });
    let mut peer = server.connect();
    peer.send(b"question");
    assert!(peer.is_silent());
    let others: Vec<_> = (0..64).map(|_| server.connect()).collect();
    assert_eq!(peer.receive(8), b"question");
    drop(others);
}

#[test]
fn the_bound_on_connections_is_one_for_all() {
    const BOUND: u64 = 3;
    let mut options = ServeOptions::default();
    options.connections = 3;
    let server = Server::with(options, 2, || Echo::new(&Arc::default()));
    let mut waiting: Vec<_> = (0..24)
        .map(|_| {
            let mut peer = server.connect();
            peer.send(b"x");
            peer
        })
        .collect();
    server.until_active(BOUND);
    thread::sleep(Duration::from_millis(150));
    assert_eq!(waiting.iter().filter(|peer| peer.has_some()).count(), 3);

    // Whoever was served goes, and a place goes to each of the others, whichever loop they wait for.
    while !waiting.is_empty() {
        assert!(server.counters.active() <= BOUND);
        eventually("served", || waiting.iter().any(Peer::has_some));
        waiting.retain(|peer| !peer.has_some());
    }
    server.until_active(0);
    assert_eq!(server.counters.accepted.load(Ordering::SeqCst), 24);
}

#[test]
fn a_loop_that_an_endpoint_blocks_does_not_hold_up_the_end() {
    let mut options = ServeOptions::default();
    options.shutdown_timeout = Duration::from_millis(100);
    let server = Server::with(options, 2, || {
        thread::sleep(Duration::from_secs(30));
        Echo::new(&Arc::default())
    });
    let _peer = server.connect();
    server.until_active(1);
    let start = Instant::now();
    server.shut_down();
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn a_listener_that_is_no_socket_of_its_own_serves_too() -> io::Result<()> {
    // What `listen` hands out where ports are not dealt out: one listener, twice.
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let listeners = vec![listener.try_clone()?, listener];
    let shutdown = Shutdown::new();
    let asked = shutdown.clone();
    let server = thread::spawn(move || {
        let accept = |_, _| Echo::new(&Arc::default());
        serve(listeners, accept, ServeOptions::default(), &asked)
    });
    for _ in 0..20 {
        let mut peer = Peer::connect(address);
        peer.send(b"x");
        assert_eq!(peer.receive(1), b"x");
    }
    shutdown.trigger();
    assert_eq!(server.join().unwrap()?.cut, 0);
    Ok(())
}
