//! What attackers send.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use windhover_fuzz::{Shape, Source, find, generate, mutate};

/// Kinds of requests.
pub(crate) const KINDS: usize = 8;
/// Connections that an attacker keeps open, and says little on.
const SLOW: usize = 50;
/// How long an attacker waits for an answer.
const WAIT: Duration = Duration::from_millis(5);

/// Sends a request at each `interval` until it is told to end; how many of each kind.
pub(crate) fn attack(
    address: SocketAddr,
    seed: u64,
    interval: Duration,
    bombs: Arc<Bombs>,
    sent: &AtomicU64,
    has_ended: &AtomicBool,
) -> [u64; KINDS] {
    let mut attacker = Attacker { address, random: Rng::with_seed(seed), slow: Vec::new(), bombs };
    let mut kinds = [0; KINDS];
    let mut at = Instant::now();
    while !has_ended.load(Ordering::Relaxed) {
        thread::sleep(at.saturating_duration_since(Instant::now()));
        // What was missed is not made up for.
        at = at.max(Instant::now()) + interval;
        let kind = attacker.kind();
        if attacker.send(kind) {
            kinds[kind] += 1;
            sent.fetch_add(1, Ordering::Relaxed);
        }
    }
    kinds
}

struct Attacker {
    address: SocketAddr,
    random: Rng,
    slow: Vec<TcpStream>,
    bombs: Arc<Bombs>,
}

/// Bodies that grow, each with its coding: compressed zeros, and a row of empty blocks.
#[derive(Debug)]
pub(crate) struct Bombs([(&'static str, Vec<u8>); 3]);

impl Bombs {
    pub(crate) fn new() -> Self {
        let zeros = vec![b'0'; 30 << 20];
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        let mut deflate = ZlibEncoder::new(Vec::new(), Compression::best());
        let mut blocks = ZlibEncoder::new(Vec::new(), Compression::none());
        gzip.write_all(&zeros).expect("memory takes it");
        deflate.write_all(&zeros).expect("memory takes it");
        for _ in 0..50_000 {
            blocks.flush().expect("memory takes it");
        }
        Self([
            ("gzip", gzip.finish().expect("memory takes it")),
            ("deflate", deflate.finish().expect("memory takes it")),
            ("deflate", blocks.finish().expect("memory takes it")),
        ])
    }
}

impl Attacker {
    /// Mostly what is cheap to send; what is large, seldom.
    fn kind(&mut self) -> usize {
        match self.random.u32(..100) {
            0..40 => 0,
            40..70 => 1,
            70..80 => 2,
            80..85 => 3,
            85..90 => 4,
            90..91 => 5,
            91..94 => 6,
            _ => 7,
        }
    }

    /// Whether a request was sent, or a part of one that the server had enough of.
    fn send(&mut self, kind: usize) -> bool {
        let Ok(mut stream) = TcpStream::connect(self.address) else {
            // There are no more ports for the moment.
            thread::sleep(WAIT);
            return false;
        };
        let bounded = stream.set_read_timeout(Some(WAIT)).and(stream.set_write_timeout(Some(WAIT)));
        if bounded.is_err() {
            return false;
        }
        let bytes = self.request(kind);
        let _ = stream.write_all(&bytes);
        if kind == 4 {
            self.keep(stream);
            return true;
        }
        match self.random.u8(..4) {
            // Gone at once, whatever is answered.
            0 => {}
            1 => {
                let _ = stream.shutdown(Shutdown::Write);
                let _ = stream.read(&mut [0; 4096]);
            }
            _ => {
                let _ = stream.read(&mut [0; 4096]);
            }
        }
        true
    }

    /// Keeps a connection open in the place of another, which may get a byte more.
    fn keep(&mut self, stream: TcpStream) {
        if self.slow.len() < SLOW {
            self.slow.push(stream);
            return;
        }
        let place = self.random.usize(..SLOW);
        let _ = self.slow[place].write(b"x");
        let place = self.random.usize(..SLOW);
        self.slow[place] = stream;
    }

    fn request(&mut self, kind: usize) -> Vec<u8> {
        match kind {
            // Framing and events that are changed at random.
            0 => self.changed("http_requests", generate::http::requests),
            1 => self.changed("tracking", generate::tracking::request),
            // Heads.
            2 => match self.random.u8(..4) {
                0 => format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(100_000)),
                1 => format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "a".repeat(100_000)),
                2 => format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "X: y\r\n".repeat(2000)),
                _ => format!("GET / HTTP/1.1\r\nHost: h\r\n{}", "X".repeat(300_000)),
            }
            .into_bytes(),
            // Base64 that is none.
            3 => {
                let length = self.random.usize(1..5000);
                let random = &mut self.random;
                let data: String = (0..length).map(|_| char::from(random.u8(b'!'..b'~'))).collect();
                post("application/x-www-form-urlencoded", "", format!("data={data}").as_bytes())
            }
            // A body that does not come.
            4 => {
                let length = self.random.usize(10..10 << 20);
                let head = format!(
                    "POST /track HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\ndata={{"
                );
                let end = self.random.usize(10..head.len());
                head.as_bytes()[..end].to_vec()
            }
            // What grows when it is unpacked.
            5 => {
                let (coding, body) = &self.bombs.0[self.random.usize(..3)];
                post("application/json", &format!("Content-Encoding: {coding}\r\n"), body)
            }
            // JSON without end.
            6 => {
                let depth = self.random.usize(100..200_000);
                let opening = ["[", "{\"a\":", "[{\"event\":"][self.random.usize(..3)];
                post("application/json", "", opening.repeat(depth).as_bytes())
            }
            // A whole batch of what is wrong.
            _ => {
                let bad = [
                    "{}",
                    r#"{"event":1,"properties":{}}"#,
                    r#"{"event":"e","properties":{"token":"t","a":{"b":{"c":{"d":{"e":1}}}}}}"#,
                    r#"{"event":"e"}"#,
                    "7",
                ];
                let count = self.random.usize(1..200);
                let random = &mut self.random;
                let records: Vec<_> = (0..count).map(|_| bad[random.usize(..bad.len())]).collect();
                post("application/json", "", format!("[{}]", records.join(",")).as_bytes())
            }
        }
    }

    /// What the fuzzer's generator makes, and its changes.
    fn changed(&mut self, target: &str, generate: fn(&mut Source<'_>) -> Vec<u8>) -> Vec<u8> {
        let mut choices = [0; 160];
        self.random.fill(&mut choices);
        let mut bytes = generate(&mut Source::new(&choices));
        let shape: &Shape = &find(target).expect("there is such a target").shape;
        for _ in 0..self.random.u8(..4) {
            mutate::mutate(&mut bytes, &choices, shape, &mut self.random);
        }
        if target == "tracking" { framed(&bytes) } else { bytes }
    }
}

/// Makes HTTP of what the generator of tracking requests makes: `POST PATH`, headers, and a body.
fn framed(bytes: &[u8]) -> Vec<u8> {
    let end = bytes.windows(4).position(|seen| seen == b"\r\n\r\n").unwrap_or(bytes.len());
    let (head, body) = bytes.split_at(end);
    let body = body.get(4..).unwrap_or_default();
    let line = head.iter().position(|&byte| byte == b'\r').unwrap_or(head.len());
    let (line, headers) = head.split_at(line);
    let middle = format!(" HTTP/1.1\r\nHost: h\r\nContent-Length: {}", body.len());
    [line, middle.as_bytes(), headers, b"\r\n\r\n", body].concat()
}

fn post(kind: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST /track HTTP/1.1\r\nHost: h\r\nContent-Type: {kind}\r\n{headers}Content-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}
