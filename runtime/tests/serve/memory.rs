//! What all connections hold together.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use windhover_runtime::{ConnectionMemory, Peer, ServeOptions};

use super::server::{SOON, Server, eventually};
use crate::echo::{Echo, Gate};

#[test]
fn the_peer_that_is_stalled_for_the_longest_time_makes_room_and_is_named() {
    const HOGS: usize = 8;
    /// What one read takes, and a connection holds that is not answered.
    const HELD: usize = 8 * 1024;
    let memory = ConnectionMemory::new(HOGS * HELD);
    let (sender, evicted) = channel();
    memory.on_eviction(move |eviction| {
        let _ = sender.send(*eviction);
    });
    let mut options = ServeOptions::default();
    options.memory = Some(memory.clone());
    let (gate, count) = (Arc::new(Gate::default()), AtomicUsize::new(0));
    let server = Server::with(options, 1, move || {
        let echo = Echo::new(&Arc::default());
        if count.fetch_add(1, Ordering::SeqCst) < HOGS { echo.behind(&gate) } else { echo }
    });
    let mut hogs: Vec<_> = (1..=HOGS)
        .map(|number| {
            let mut hog = server.connect();
            hog.send(&[b'x'; 2 * HELD]);
            eventually("it is held", || memory.used() >= number * HELD);
            hog
        })
        .collect();
    // Nobody is closed who did something within the last second.
    thread::sleep(Duration::from_millis(1100));
    assert_eq!(memory.closed(), 0);

    let mut peer = server.connect();
    peer.send(b"hello");
    assert_eq!(peer.receive(5), b"hello");
    let eviction = evicted.recv_timeout(SOON).unwrap();
    assert_eq!(eviction.peer, Peer::Tcp(hogs[0].0.local_addr().unwrap()));
    assert!(eviction.held >= HELD && eviction.stalled >= Duration::from_secs(1), "{eviction:?}");
    // What it had sent was not all read: a reset, or an end.
    assert!(!matches!(hogs[0].0.read(&mut [0]), Ok(1..)));
    eventually("there is room", || memory.used() < memory.limit());
    assert!(hogs[1..].iter_mut().all(super::server::Peer::is_silent), "one was enough");
    assert_eq!(memory.closed(), 1);
}
