//! A peer that reads or writes slowly costs itself time, and nobody else memory or time.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use windhover_conformance::{CacheServer, Runtime, memory, on_each_runtime, report};

use crate::{IN_TIME, peer::Peer};

/// Small enough that answers are copied, and are not all one and the same piece of memory.
const VALUE: usize = 2000;
const READERS: usize = 8;
/// Requests of each reader at most, 60 MB of them: more than every buffer on the way takes.
const REQUESTS: usize = 300_000;
/// What the readers may cost together: each up to 256 KiB of unsent answers, in memory that grows by
/// doubling, what was read and is not yet answered, and what the allocator keeps. Without a bound it
/// would be 50 MB for each.
const MOST: u64 = READERS as u64 * 4 * 256 * 1024;

/// A long key, so that requests fill the buffers on the way before they are too many to answer.
fn key() -> String {
    "k".repeat(200)
}

fn get() -> Vec<u8> {
    format!("get {}\r\n", key()).into_bytes()
}

fn start(runtime: Runtime) -> (CacheServer, Vec<u8>) {
    let server = CacheServer::windhover(runtime, &["--threads", "1"]);
    let mut peer = Peer::connect(server.address());
    let set = format!("set {} 0 0 {VALUE}\r\n{}\r\n", key(), "v".repeat(VALUE));
    peer.ask(set.as_bytes(), b"STORED\r\n");
    let answer = format!("VALUE {} 0 {VALUE}\r\n{}\r\nEND\r\n", key(), "v".repeat(VALUE));
    peer.ask(&get(), answer.as_bytes());
    (server, answer.into_bytes())
}

fn a_reader_that_stops_reading_does_not_grow_the_memory(runtime: Runtime) {
    let (server, answer) = start(runtime);
    let before = memory(server.pid());
    let mut readers: Vec<Peer> = (0..READERS).map(|_| Peer::connect(server.address())).collect();
    let sent: Vec<_> = readers.iter_mut().map(|peer| peer.flood(&get(), REQUESTS)).collect();

    let grown = memory(server.pid()).saturating_sub(before);
    let requests: usize = sent.iter().map(|(whole, _)| whole).sum();
    report(&format!("{runtime:?}: {requests} unread answers of {VALUE} bytes cost {grown} bytes"));
    assert!(sent.iter().all(|(whole, _)| *whole < REQUESTS), "the server read on: {sent:?}");
    assert!(grown < MOST, "{grown} bytes for {READERS} readers");
    let mut other = Peer::connect(server.address());
    assert!(other.ask(&get(), &answer) < IN_TIME);

    // Nothing was lost: when it reads at last, every request is answered.
    let mut reader = readers.swap_remove(0);
    let (whole, rest) = sent[0];
    for _ in 0..whole {
        assert!(reader.receive(answer.len()) == answer);
    }
    reader.send(&get()[rest..]);
    assert!(reader.receive(answer.len()) == answer);
}

fn a_slow_writer_does_not_block_others(runtime: Runtime) {
    let (server, answer) = start(runtime);
    let mut writers: Vec<Peer> = (0..50).map(|_| Peer::connect(server.address())).collect();
    for writer in &mut writers {
        writer.send(b"set slow 0 0 1000000\r\n");
    }
    let mut other = Peer::connect(server.address());
    for round in 0..20 {
        for writer in &mut writers {
            writer.send(&[b'x'; 10]);
        }
        let took = other.ask(&get(), &answer);
        assert!(took < IN_TIME, "round {round}: {took:?}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn a_busy_peer_does_not_starve_another(runtime: Runtime) {
    let (server, answer) = start(runtime);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut busy = Peer::connect(server.address());
            let requests = get().repeat(1000);
            while !done.load(Ordering::Relaxed) {
                busy.send(&requests);
                busy.receive(answer.len() * 1000);
            }
        });
        let mut other = Peer::connect(server.address());
        let slowest = (0..200).map(|_| other.ask(&get(), &answer)).max();
        done.store(true, Ordering::Relaxed);
        assert!(slowest < Some(IN_TIME), "{slowest:?}");
    });
}

on_each_runtime!(
    a_reader_that_stops_reading_does_not_grow_the_memory,
    a_slow_writer_does_not_block_others,
    a_busy_peer_does_not_starve_another,
);
