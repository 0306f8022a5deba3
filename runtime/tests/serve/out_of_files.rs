//! A process that has no file descriptor left goes on serving, without a busy loop.
//!
//! The test starts itself again under a small limit; that process serves, this one connects.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Context;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use windhover_core::Now;
use windhover_core::endpoint::{Endpoint, Incoming, Next};
use windhover_runtime::{Counters, ServeOptions, Shutdown, listen};

use crate::adapter;

const INNER: &str = "WINDHOVER_TEST_INNER";

/// Sends how many accepts failed so far, and of how many the hook was told, and closes.
struct Failures {
    incoming: Incoming,
    answer: Vec<u8>,
    counters: Arc<Counters>,
    told: Arc<AtomicU64>,
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
            let told = self.told.load(Ordering::SeqCst);
            self.answer = format!("{failures} {told}\n").into_bytes();
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

fn serve_under_the_limit() {
    let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    println!("port {}", listener.local_addr().unwrap().port());
    let told = Arc::new(AtomicU64::new(0));
    let telling = Arc::clone(&told);
    let mut options = ServeOptions::default();
    options.on_accept_error = Some(Arc::new(move |error| {
        // EMFILE and ENFILE.
        assert!(matches!(error.raw_os_error(), Some(23 | 24)), "{error}");
        telling.fetch_add(1, Ordering::SeqCst);
    }));
    let counters = Arc::clone(&options.counters);
    let accept = move |_, _| Failures {
        incoming: Incoming::new(),
        answer: Vec::new(),
        counters: Arc::clone(&counters),
        told: Arc::clone(&told),
        asked: false,
    };
    adapter::serve(vec![listener.into()], accept, options, &Shutdown::new()).unwrap();
}

#[test]
fn accepting_goes_on_when_descriptors_are_back() {
    if std::env::var_os(INNER).is_some() {
        serve_under_the_limit();
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

    let (failures, told) = answer.trim().split_once(' ').unwrap();
    assert_eq!(failures, told);
    let failures: u128 = failures.parse().unwrap();
    assert!(failures > 0, "the limit was never reached");
    // One in 50 ms, with room for a slow machine's clock.
    assert!(failures <= elapsed.as_millis() / 40 + 2, "{failures} in {elapsed:?}");
}
