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
use windhover_conformance::give_way_to_all;
use windhover_fuzz::{Shape, Source, find, generate, mutate};

/// Kinds of requests.
pub(crate) const KINDS: usize = 8;
/// Connections that an attacker keeps open, and says little on.
const SLOW: usize = 50;
/// Most levels of JSON that goes deep.
const DEEPEST: usize = 200_000;
const JSON: &str = "application/json";
/// How long an attacker waits for an answer.
const WAIT: Duration = Duration::from_millis(5);

/// Sends a request at each `interval` until it is told to end; how many of each kind. It runs where nothing
/// else wants to: an attacker has a machine of its own, and takes no processor from those who behave.
pub(crate) fn attack(
    address: SocketAddr,
    requests: &[Hostile],
    interval: Duration,
    sent: &AtomicU64,
    has_ended: &AtomicBool,
) -> [u64; KINDS] {
    give_way_to_all();
    let mut attacker = Attacker { address, random: Rng::with_seed(7), slow: Vec::new() };
    let mut kinds = [0; KINDS];
    let mut at = Instant::now();
    for request in requests.iter().cycle() {
        if has_ended.load(Ordering::Relaxed) {
            break;
        }
        thread::sleep(at.saturating_duration_since(Instant::now()));
        // What was missed is made up for, unless it is much.
        at += interval;
        if at.elapsed() > Duration::from_millis(200) {
            at = Instant::now();
        }
        if attacker.send(request) {
            kinds[request.kind] += 1;
            sent.fetch_add(1, Ordering::Relaxed);
        }
    }
    kinds
}

/// What is sent, as it was made before: what a server is measured with is not to take its time.
#[derive(Debug)]
pub(crate) struct Hostile {
    kind: usize,
    head: Vec<u8>,
    /// What follows, as much of it as is told; many have it in common.
    body: (Arc<[u8]>, usize),
}

/// So many requests, the same for the same seed.
pub(crate) fn requests(count: u64, seed: u64, large: &Large) -> Vec<Hostile> {
    let mut maker = Maker { random: Rng::with_seed(seed), large };
    (0..count).map(|_| maker.request()).collect()
}

struct Attacker {
    address: SocketAddr,
    random: Rng,
    slow: Vec<TcpStream>,
}

/// What is too large to be made for each request.
#[derive(Debug)]
pub(crate) struct Large {
    nothing: Arc<[u8]>,
    heads: [Arc<[u8]>; 4],
    /// Bodies that grow, each with its coding: compressed zeros, and a row of empty blocks.
    bombs: [(&'static str, Arc<[u8]>); 3],
    /// JSON without end.
    deep: [(usize, Arc<[u8]>); 3],
}

impl Large {
    pub(crate) fn new() -> Self {
        let heads = [
            format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(100_000)),
            format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "a".repeat(100_000)),
            format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "X: y\r\n".repeat(2000)),
            format!("GET / HTTP/1.1\r\nHost: h\r\n{}", "X".repeat(300_000)),
        ];
        let zeros = vec![b'0'; 30 << 20];
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        let mut deflate = ZlibEncoder::new(Vec::new(), Compression::best());
        let mut blocks = ZlibEncoder::new(Vec::new(), Compression::none());
        gzip.write_all(&zeros).expect("memory takes it");
        deflate.write_all(&zeros).expect("memory takes it");
        for _ in 0..50_000 {
            blocks.flush().expect("memory takes it");
        }
        let deep = |opening: &str| (opening.len(), opening.repeat(DEEPEST).into_bytes().into());
        Self {
            nothing: Arc::new([]),
            heads: heads.map(|head| head.into_bytes().into()),
            bombs: [
                ("gzip", gzip.finish().expect("memory takes it").into()),
                ("deflate", deflate.finish().expect("memory takes it").into()),
                ("deflate", blocks.finish().expect("memory takes it").into()),
            ],
            deep: ["[", "{\"a\":", "[{\"event\":"].map(deep),
        }
    }
}

impl Attacker {
    /// Whether a request was sent, or a part of one that the server had enough of.
    fn send(&mut self, request: &Hostile) -> bool {
        let Ok(mut stream) = TcpStream::connect(self.address) else {
            // There are no more ports for the moment.
            thread::sleep(WAIT);
            return false;
        };
        let bounded = stream.set_read_timeout(Some(WAIT)).and(stream.set_write_timeout(Some(WAIT)));
        if bounded.is_err() {
            return false;
        }
        let (body, length) = &request.body;
        let _ = stream.write_all(&request.head).and_then(|()| stream.write_all(&body[..*length]));
        if request.kind == 4 {
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
}

/// Makes requests.
struct Maker<'a> {
    random: Rng,
    large: &'a Large,
}

impl Maker<'_> {
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

    fn request(&mut self) -> Hostile {
        let kind = self.kind();
        let nothing = (Arc::clone(&self.large.nothing), 0);
        let (head, body) = match kind {
            // Heads.
            2 => {
                let head = &self.large.heads[self.random.usize(..4)];
                (Vec::new(), (Arc::clone(head), head.len()))
            }
            // What grows when it is unpacked.
            5 => {
                let (coding, body) = &self.large.bombs[self.random.usize(..3)];
                let coding = format!("Content-Encoding: {coding}\r\n");
                (post(JSON, &coding, body.len()), (Arc::clone(body), body.len()))
            }
            // JSON without end.
            6 => {
                let depth = self.random.usize(100..DEEPEST);
                let (level, body) = &self.large.deep[self.random.usize(..3)];
                (post(JSON, "", level * depth), (Arc::clone(body), level * depth))
            }
            kind => (self.small(kind), nothing),
        };
        Hostile { kind, head, body }
    }

    fn small(&mut self, kind: usize) -> Vec<u8> {
        match kind {
            // Framing and events that are changed at random.
            0 => self.changed("http_requests", generate::http::requests),
            1 => self.changed("tracking", generate::tracking::request),
            // Base64 that is none.
            3 => {
                let length = self.random.usize(1..5000);
                let random = &mut self.random;
                let data: String = (0..length).map(|_| char::from(random.u8(b'!'..b'~'))).collect();
                whole("application/x-www-form-urlencoded", &format!("data={data}"))
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
                whole(JSON, &format!("[{}]", records.join(",")))
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

fn whole(kind: &str, body: &str) -> Vec<u8> {
    [&post(kind, "", body.len()), body.as_bytes()].concat()
}

/// The head in front of a body of that length.
fn post(kind: &str, headers: &str, length: usize) -> Vec<u8> {
    format!(
        "POST /track HTTP/1.1\r\nHost: h\r\nContent-Type: {kind}\r\n{headers}Content-Length: {length}\r\n\r\n"
    )
    .into_bytes()
}
