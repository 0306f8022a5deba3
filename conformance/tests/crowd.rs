//! Many idle and many slow peers do not keep others out.
#![allow(clippy::panic, clippy::expect_used)]

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use windhover_conformance::{
    HttpClient, QueueClient, Runtime, Server, Setup, TempDir, on_each_runtime, raise_open_files,
    report,
};

const IDLE: usize = 1000;
const SLOW: usize = 50;
/// Loose: an answer takes well under a millisecond.
const BOUND: Duration = Duration::from_secs(2);
/// Twice the time that the tracker gives a head, and room for a busy machine.
const TIMEOUT: Duration = Duration::from_secs(40);

/// The server starts with the usual limit of 1,024 open files and has to raise it for itself, up
/// to the hard one; the test needs as many sockets.
fn start(directory: &TempDir, runtime: Runtime) -> Server {
    let server = Setup::new(directory.path().join("data"))
        .runtime(runtime)
        .within(["sh", "-c", "ulimit -Sn 1024 && exec \"$@\"", "sh"])
        .start();
    raise_open_files(4096);
    server
}

fn idle(address: SocketAddr) -> Vec<TcpStream> {
    let connect = |_| TcpStream::connect_timeout(&address, BOUND).expect("one of many connects");
    (0..IDLE).map(connect).collect()
}

fn a_thousand_idle_and_fifty_slow_ones_do_not_stop_the_next(runtime: Runtime) {
    let directory = TempDir::new("crowd");
    let server = start(&directory, runtime);
    let idle = idle(server.http());
    let mut slow: Vec<_> = (0..SLOW).map(|_| SlowLoris::new(server.http())).collect();

    let started = Instant::now();
    let mut slowest = Duration::ZERO;
    let mut number = 0;
    while slow.iter().any(|one| one.outcome.is_none()) {
        assert!(started.elapsed() < TIMEOUT, "slow senders are still connected: {slow:?}");
        for one in &mut slow {
            one.step();
        }
        let begun = Instant::now();
        let event = format!(r#"{{"event":"in time","properties":{{"token":"t","n":{number}}}}}"#);
        let answer = HttpClient::connect_within(server.http(), BOUND)
            .and_then(|mut client| client.track(&event))
            .expect("the 1,051st connection is served");
        assert!(answer.accepted(), "{answer:?}");
        slowest = slowest.max(begun.elapsed());
        number += 1;
        thread::sleep(Duration::from_secs(1).saturating_sub(begun.elapsed()));
    }

    report(&format!(
        "{IDLE} idle and {SLOW} slow connections: {number} others served, the slowest in \
         {slowest:.1?}; the slow ones were turned away after {:.1?}",
        started.elapsed()
    ));
    assert!(slowest < BOUND, "{slowest:?}");
    for one in &slow {
        let outcome = one.outcome.as_deref();
        let turned_away = outcome.is_some_and(|seen| seen.is_empty() || seen.contains(" 408 "));
        assert!(turned_away, "expected 408 or a close, got {outcome:?}");
    }
    drop(idle);
    server.stop();
}

fn a_thousand_idle_readers_do_not_stop_the_next(runtime: Runtime) {
    let directory = TempDir::new("crowd");
    let server = start(&directory, runtime);
    let idle = idle(server.queue());

    let begun = Instant::now();
    let mut client = QueueClient::connect(server.queue()).expect("the next one connects");
    let version = client.command("version").expect("the next one is served");
    assert!(version.starts_with("VERSION "), "{version}");
    assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
    drop(idle);
    server.stop();
}

/// A sender that never comes to the end of its head.
#[derive(Debug)]
struct SlowLoris {
    stream: TcpStream,
    head: &'static [u8],
    received: Vec<u8>,
    /// What the server said before it closed.
    outcome: Option<String>,
}

impl SlowLoris {
    fn new(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, BOUND).expect("a slow one connects");
        stream.set_nonblocking(true).expect("a socket can be made non-blocking");
        Self {
            stream,
            head: b"POST /track HTTP/1.1\r\nHost: a-name-that-goes-on-for-a-very-long-time",
            received: Vec::new(),
            outcome: None,
        }
    }

    /// One more byte, and a look whether the server has had enough.
    fn step(&mut self) {
        if self.outcome.is_some() {
            return;
        }
        if let Some((byte, rest)) = self.head.split_first() {
            let _ = self.stream.write(&[*byte]);
            self.head = rest;
        }
        let mut chunk = [0; 1024];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => self.received.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => break,
            }
        }
        self.outcome = Some(String::from_utf8_lossy(&self.received).into_owned());
    }
}

on_each_runtime!(
    a_thousand_idle_and_fifty_slow_ones_do_not_stop_the_next,
    a_thousand_idle_readers_do_not_stop_the_next,
);
