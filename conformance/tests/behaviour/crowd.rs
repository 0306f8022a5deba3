//! Ten thousand connections.

use std::{
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use windhover_conformance::{
    CacheServer, Runtime, Setup, TempDir, memory, on_each_runtime, report,
};

use crate::{IN_TIME, peer::Peer};

const CROWD: usize = 10_000;
/// What a connection at rest may cost.
const EACH: u64 = 4096;
/// Until all are connected, or have all been served; a busy machine takes a while.
const LONG: Duration = Duration::from_secs(60);

/// The process that holds the connections.
struct Crowd {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Crowd {
    fn connect(address: SocketAddr, protocol: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_crowd"))
            .args([&address.to_string(), &CROWD.to_string(), protocol])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the crowd starts");
        let input = child.stdin.take().expect("stdin is piped");
        let output = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut crowd = Self { child, input, output };
        assert_eq!(crowd.line(), "ready");
        crowd
    }

    /// One request on each connection; how long the slowest took.
    fn serve_all(&mut self) -> Duration {
        self.input.write_all(b"again\n").expect("the crowd listens");
        let line = self.line();
        let micros = line.strip_prefix("served ").and_then(|micros| micros.parse().ok());
        Duration::from_micros(micros.unwrap_or_else(|| panic!("expected `served N`, got {line:?}")))
    }

    /// A line; the process gives every wait a bound.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the crowd speaks");
        line.trim_end().to_owned()
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn the_cache_serves_ten_thousand(runtime: Runtime) {
    let server = CacheServer::windhover(runtime, &["--max-connections", "10010"]);
    let mut other = Peer::connect(server.address());
    other.ask(b"mn\r\n", b"MN\r\n");
    let before = memory(server.pid());
    let started = Instant::now();
    let mut crowd = Crowd::connect(server.address(), "cache");
    let connected = started.elapsed();
    let each = memory(server.pid()).saturating_sub(before) / CROWD as u64;
    let took = other.ask(b"mn\r\n", b"MN\r\n");
    let slowest = crowd.serve_all();
    report(&format!(
        "{runtime:?}: {CROWD} connections to the cache in {connected:.1?}, {each} bytes each; the \
         slowest of all answers took {slowest:.1?}"
    ));
    assert!(connected < LONG, "{connected:?}");
    assert!(each <= EACH, "{each} bytes");
    assert!(took < IN_TIME && slowest < IN_TIME, "{took:?}, {slowest:?}");
    server.stop(LONG);
}

fn the_tracker_serves_ten_thousand(runtime: Runtime) {
    let directory = TempDir::new("behaviour");
    let setup = Setup::new(directory.path().join("data")).runtime(runtime);
    let server = setup.flag("--max-connections", "10010").start();
    let before = memory(server.pid());
    let mut crowd = Crowd::connect(server.http(), "tracker");
    let each = memory(server.pid()).saturating_sub(before) / CROWD as u64;
    let started = Instant::now();
    let answer = server.http_client().track(r#"{"event":"e","properties":{"token":"t"}}"#);
    assert!(answer.is_ok_and(|answer| answer.accepted()));
    let took = started.elapsed();
    let slowest = crowd.serve_all();
    report(&format!(
        "{runtime:?}: {CROWD} connections to the tracker, {each} bytes each; the slowest of all \
         answers took {slowest:.1?}"
    ));
    assert!(each <= EACH, "{each} bytes");
    assert!(took < IN_TIME && slowest < IN_TIME, "{took:?}, {slowest:?}");
    server.stop();
}

on_each_runtime!(the_cache_serves_ten_thousand, the_tracker_serves_ten_thousand);
