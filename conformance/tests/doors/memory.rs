//! Peers who have the server hold much, and take nothing: what it holds stays within the budget, and
//! others are served meanwhile.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use windhover_conformance::{
    CacheServer, HttpClient, Runtime, Setup, TempDir, eventually, memory, on_each_runtime,
    raise_open_files, report, watch_memory,
};

const MIB: u64 = 1024 * 1024;
/// `--connection-memory`, in MiB.
const BUDGET: u64 = 64;
/// What may come on top of the budget.
const SLACK: u64 = 64;
/// How often well-behaved clients are measured, and how long each time while others are not.
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(1);
/// The same before they come: nobody needs the time to send what they have.
const QUIET_ROUND: Duration = Duration::from_millis(300);
/// Loose: they take milliseconds at most.
const SERVED_WITHIN: Duration = Duration::from_secs(5);
const GIVEN_BACK_WITHIN: Duration = Duration::from_secs(30);

/// A peer that sends what it has, as far as it is taken, and reads nothing.
struct Hog {
    stream: TcpStream,
    unsent: Vec<Piece>,
    is_closed: bool,
}

/// The same byte many times, or a text.
enum Piece {
    Text(Vec<u8>),
    Filling(usize),
}

impl Hog {
    fn new(address: SocketAddr, mut pieces: Vec<Piece>) -> Self {
        let stream = TcpStream::connect(address).expect("the server takes a connection");
        stream.set_nonblocking(true).expect("a socket can be asked not to block");
        pieces.reverse();
        Self { stream, unsent: pieces, is_closed: false }
    }

    /// Sends some; whether anything went.
    fn turn(&mut self) -> bool {
        static FILLING: [u8; 64 * 1024] = [b'x'; 64 * 1024];
        let Some(piece) = self.unsent.last_mut() else { return false };
        let bytes = match piece {
            Piece::Text(text) => &text[..],
            Piece::Filling(length) => &FILLING[..FILLING.len().min(*length)],
        };
        match self.stream.write(bytes) {
            Ok(n) => {
                let left = match piece {
                    Piece::Text(text) => {
                        text.drain(..n);
                        text.len()
                    }
                    Piece::Filling(length) => {
                        *length -= n;
                        *length
                    }
                };
                if left == 0 {
                    self.unsent.pop();
                }
                true
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Err(_) => {
                self.is_closed = true;
                self.unsent.clear();
                false
            }
        }
    }
}

impl Hog {
    /// Sees whether the server has closed the connection, behind what it had sent.
    fn look(&mut self) {
        let mut bytes = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(1..) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Ok(0) | Err(_) => {
                    self.is_closed = true;
                    return;
                }
            }
        }
    }
}

/// One siege at a time: it takes most of a process' descriptors, and what it says of others' waiting is true
/// of it alone.
fn alone() -> MutexGuard<'static, ()> {
    static SIEGE: Mutex<()> = Mutex::new(());
    SIEGE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What became of a siege.
struct Siege {
    idle: u64,
    most: u64,
    p99: [Duration; 2],
    closed: usize,
}

/// Has `hogs` of them send what they can while `ask` is asked by a client that behaves.
fn besiege(
    pid: u32,
    mut ask: impl FnMut() + Send + 'static,
    hogs: impl FnOnce() -> Vec<Hog>,
) -> (Siege, Vec<Hog>) {
    let measure = |round: Duration, ask: &mut dyn FnMut()| {
        let mut rounds: Vec<Duration> = (0..ROUNDS).map(|_| p99(round, ask)).collect();
        rounds.sort_unstable();
        rounds[ROUNDS / 2]
    };
    let quiet = measure(QUIET_ROUND, &mut ask);
    let idle = memory(pid);
    let mut hogs = hogs();
    let asking = thread::spawn(move || measure(ROUND, &mut ask));
    let watching = watch_memory(pid);
    while !asking.is_finished() {
        let mut has_sent = false;
        for hog in &mut hogs {
            has_sent |= hog.turn();
        }
        if !has_sent {
            thread::sleep(Duration::from_millis(5));
        }
    }
    let busy = asking.join().expect("whoever behaves is served");
    let most = watching.end();
    hogs.iter_mut().for_each(Hog::look);
    let closed = hogs.iter().filter(|hog| hog.is_closed).count();
    (Siege { idle, most, p99: [quiet, busy], closed }, hogs)
}

fn p99(round: Duration, ask: &mut dyn FnMut()) -> Duration {
    let started = Instant::now();
    let mut took = Vec::new();
    while started.elapsed() < round {
        let begun = Instant::now();
        ask();
        took.push(begun.elapsed());
        thread::sleep(Duration::from_millis(1));
    }
    took.sort_unstable();
    assert!(took[took.len() - 1] < SERVED_WITHIN, "the slowest took {:?}", took[took.len() - 1]);
    took[(took.len() - 1) * 99 / 100]
}

/// That one of those that were closed is named in the log, if there are some.
fn is_named(siege: &Siege, log: &str) -> bool {
    siege.closed == 0
        || log.contains("hold all of --connection-memory") && log.contains("peer=127.0.0.1:")
}

fn check(title: &str, runtime: Runtime, pid: u32, (siege, hogs): (Siege, Vec<Hog>), kept: u64) {
    let count = hogs.len();
    let most = siege.most / MIB;
    report(&format!(
        "{title}, {}: {most} MiB at most with a budget of {BUDGET} ({} idle, {kept} for items); p99 \
         {:.2?} beside {:.2?} idle; {} of {count} were closed",
        runtime.name(),
        siege.idle / MIB,
        siege.p99[1],
        siege.p99[0],
        siege.closed,
    ));
    assert!(most <= kept + BUDGET + SLACK, "{most} MiB");
    drop(hogs);
    let after = eventually("the memory goes back to the system", GIVEN_BACK_WITHIN, || {
        let now = memory(pid);
        (now <= siege.idle + (kept + SLACK / 2) * MIB).then_some(now)
    });
    report(&format!("{title}, {}: {} MiB afterwards", runtime.name(), after / MIB));
}

fn value_of_a_cache(address: SocketAddr) -> impl FnMut() + Send + 'static {
    let mut stream = TcpStream::connect(address).expect("the server takes a connection");
    stream.set_nodelay(true).expect("a socket can be asked not to wait");
    stream.set_read_timeout(Some(SERVED_WITHIN)).expect("a socket takes a time limit");
    move || {
        stream.write_all(b"set mine 0 0 5\r\nhello\r\nget mine\r\n").expect("it is taken");
        let expected = b"STORED\r\nVALUE mine 0 5\r\nhello\r\nEND\r\n";
        let mut answer = [0; 36];
        stream.read_exact(&mut answer).expect("it is answered");
        assert_eq!(&answer, expected);
    }
}

fn values_that_nobody_reads_stay_within_the_budget(runtime: Runtime) {
    const HOGS: usize = 800;
    const VALUE: usize = 1024 * 1024 - 1024;
    let _alone = alone();
    raise_open_files(4096);
    let budget = BUDGET.to_string();
    let arguments = ["--memory", "64", "--connection-memory", &budget, "--threads", "2"];
    let server = CacheServer::windhover(runtime, &arguments);
    let hog = |number: usize| {
        let gets = format!("\r\n{}", format!("get hog{number}\r\n").repeat(8));
        Hog::new(
            server.address(),
            vec![
                Piece::Text(format!("set hog{number} 0 0 {VALUE}\r\n").into_bytes()),
                Piece::Filling(VALUE),
                Piece::Text(gets.into_bytes()),
            ],
        )
    };
    let siege =
        besiege(server.pid(), value_of_a_cache(server.address()), || (0..HOGS).map(hog).collect());
    check("800 values unread", runtime, server.pid(), siege, 64);
    server.stop(Duration::from_secs(20));
}

fn half_of_a_body(count: usize, length: usize, sent: usize, title: &str, runtime: Runtime) {
    raise_open_files(2 * count as u64 + 200);
    let directory = TempDir::new("doors");
    let server = Setup::new(directory.path().join("data"))
        .runtime(runtime)
        .flag("--connection-memory", &BUDGET.to_string())
        .flag("--threads", "2")
        .start();
    let address = server.http();
    let hog = |_| {
        let head =
            format!("POST /track HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\ndata=");
        Hog::new(address, vec![Piece::Text(head.into_bytes()), Piece::Filling(sent)])
    };
    let mut client = HttpClient::connect(address).expect("the tracker takes a connection");
    let ask = move || {
        let event = r#"{"event":"in time","properties":{"token":"t"}}"#;
        let answer = client.track(event).expect("it is answered");
        assert!(answer.accepted(), "{answer:?}");
    };
    let siege = besiege(server.pid(), ask, || (0..count).map(hog).collect());
    assert!(is_named(&siege.0, &server.log()), "{}", server.log());
    check(title, runtime, server.pid(), siege, 0);
    server.stop();
}

fn halves_of_large_bodies_stay_within_the_budget(runtime: Runtime) {
    const MEBIBYTE: usize = 1024 * 1024;
    let _alone = alone();
    half_of_a_body(400, 10 * MEBIBYTE, 8 * MEBIBYTE, "400 bodies of 8 MiB", runtime);
}

fn halves_of_many_bodies_stay_within_the_budget(runtime: Runtime) {
    let _alone = alone();
    half_of_a_body(9_900, 64 * 1024, 32 * 1024, "9,900 bodies of 32 KiB", runtime);
}

on_each_runtime!(
    values_that_nobody_reads_stay_within_the_budget,
    halves_of_large_bodies_stay_within_the_budget,
    halves_of_many_bodies_stay_within_the_budget,
);
