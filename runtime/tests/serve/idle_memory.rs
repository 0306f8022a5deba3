//! What an idle connection costs; a process of its own, for its memory is measured.
//!
//! `IDLE_CONNECTIONS` sets how many there are; each needs two file descriptors.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use windhover_runtime::{ServeOptions, Shutdown, listen};

use crate::adapter;
use crate::one::One;

/// What the server may hold for a connection that waits for its next request, everything counted.
const MOST: usize = 4096;

/// Resident memory in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: usize = line.unwrap().trim().trim_end_matches(" kB").parse().unwrap();
    kib * 1024
}

#[test]
fn an_idle_connection_costs_at_most_4_kib() {
    let connections: usize =
        std::env::var("IDLE_CONNECTIONS").ok().and_then(|count| count.parse().ok()).unwrap_or(400);
    let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let mut options = ServeOptions::default();
    options.connections = connections;
    std::thread::spawn(move || {
        let accept = |_, now| One::new(now);
        adapter::serve(vec![listener.into()], accept, options, &Shutdown::new()).unwrap();
    });

    // Each one was served a request before it waits.
    let connect = move || {
        let mut peer = TcpStream::connect(address).unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        peer.write_all(b"GET /track?data=e30 HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = [0; 512];
        assert!(peer.read(&mut answer).unwrap() > 0);
        peer
    };
    let mut peers = Vec::with_capacity(connections);
    peers.extend((0..connections / 4).map(|_| connect()));
    let (first, before) = (peers.len(), resident());
    peers.extend((first..connections).map(|_| connect()));
    let each = resident().saturating_sub(before) / (peers.len() - first);
    println!("{connections} idle connections: {each} bytes each");
    assert!(each <= MOST, "{each}");
}
