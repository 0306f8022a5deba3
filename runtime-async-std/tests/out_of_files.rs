//! A process that has no file descriptor left goes on serving, without a busy loop.
//!
//! The test starts itself again under a small limit; that process serves, this one connects.
#![cfg(unix)]
// Clippy's leave for tests covers test functions, not what they call.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use windhover_async_std::{Counters, ServeOptions, Shutdown, serve};
use windhover_core::Now;
use windhover_core::buffer::Incoming;
use windhover_core::endpoint::{Endpoint, Next};

const INNER: &str = "WINDHOVER_TEST_INNER";

/// Sends how many accepts failed so far, and closes.
struct Failures {
    incoming: Incoming,
    answer: Vec<u8>,
    counters: Arc<Counters>,
    asked: bool,
}

impl Endpoint for Failures {
    fn read_buffer(&mut self) -> &mut BytesMut {
        self.asked = true;
        self.incoming.read_buffer(0)
    }
    fn wants_read(&self) -> bool {
        !self.asked
    }
    fn end_of_stream(&mut self) {
        self.asked = true;
    }
    fn shut_down(&mut self) {}
    fn poll_output(&mut self, now: Now, _: &mut Context<'_>) -> Next {
        if self.asked && !self.incoming.is_empty() {
            let failures = self.counters.accept_errors.load(Ordering::SeqCst);
            self.answer = format!("{failures}\n").into_bytes();
            self.incoming.consume(usize::MAX);
        }
        match (self.answer.is_empty(), self.asked) {
            (false, _) => Next::Write,
            (true, true) => Next::Close,
            (true, false) => Next::Idle(now.instant + Duration::from_secs(60)),
        }
    }
    fn unsent<'a>(&'a self, into: &mut [&'a [u8]]) -> usize {
        into[0] = &self.answer;
        1
    }
    fn wrote(&mut self, n: usize) {
        self.answer.drain(..n);
    }
    fn release(&mut self) {}
}

async fn serve_under_the_limit() {
    let listener = async_std::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("port {}", listener.local_addr().unwrap().port());
    let options = ServeOptions::default();
    let counters = Arc::clone(&options.counters);
    let accept = move |_, _| Failures {
        incoming: Incoming::new(),
        answer: Vec::new(),
        counters: Arc::clone(&counters),
        asked: false,
    };
    serve(listener, accept, options, Shutdown::new()).await.unwrap();
}

#[test]
fn accepting_goes_on_when_descriptors_are_back() {
    if std::env::var_os(INNER).is_some() {
        async_std::task::block_on(serve_under_the_limit());
        return;
    }
    let mut inner = Command::new("sh")
        .args(["-c", "ulimit -n 32; exec \"$0\" --nocapture --test-threads=1"])
        .arg(std::env::current_exe().unwrap())
        .env(INNER, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let port: u16 = BufReader::new(inner.stdout.take().unwrap())
        .lines()
        .find_map(|line| {
            let line = line.unwrap();
            line.split_once("port ").and_then(|(_, port)| port.parse().ok())
        })
        .unwrap();

    // More than there are descriptors: those behind them wait in the backlog.
    let start = Instant::now();
    let crowd: Vec<_> = (0..60).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    std::thread::sleep(Duration::from_millis(500));
    drop(crowd);

    let mut peer = TcpStream::connect(("127.0.0.1", port)).unwrap();
    peer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    peer.write_all(b"x").unwrap();
    let mut answer = String::new();
    peer.read_to_string(&mut answer).unwrap();
    let elapsed = start.elapsed();
    inner.kill().unwrap();
    inner.wait().unwrap();

    let failures: u128 = answer.trim().parse().unwrap();
    assert!(failures > 0, "the limit was never reached");
    // One in 50 ms, with room for a slow machine's clock.
    assert!(failures <= elapsed.as_millis() / 40 + 2, "{failures} in {elapsed:?}");
}
