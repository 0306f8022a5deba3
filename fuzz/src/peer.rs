//! Another implementation, on a socket.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use fastrand::Rng;
use windhover_core::memcache::request::Request;
use windhover_core::memcache::response::{ReplyEnd, parse};
use windhover_core::memcache::{Dialect, Limits, Parsed, command};

use crate::Source;
use crate::generate::command::{Command, PEER_KEYS};

/// A server that takes longer hangs.
const BOUND: Duration = Duration::from_secs(10);
/// Stands behind each pipeline; no other request has this opaque.
const MARK: &[u8] = b"mg nothing-here Oend-of-pipeline k\r\n";
const MARKED: &[u8] = b"EN\r\n";

/// A server under test, and a connection to it.
#[derive(Debug)]
pub struct Peer {
    address: SocketAddr,
    stream: TcpStream,
}

impl Peer {
    /// Connects.
    ///
    /// # Errors
    /// What the system says.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(BOUND))?;
        stream.set_write_timeout(Some(BOUND))?;
        stream.set_nodelay(true)?;
        Ok(Self { address, stream })
    }

    /// A server that holds items is somebody's: it is no place for a fuzzer, though the keys are ours.
    fn must_be_empty(&mut self) -> Result<(), String> {
        let stats = self.ask(b"stats\r\n")?;
        let items = String::from_utf8_lossy(&stats)
            .lines()
            .find_map(|line| line.strip_prefix("STAT curr_items ")?.parse::<u64>().ok());
        match items {
            Some(0) => Ok(()),
            Some(items) => Err(format!(
                "{} holds {items} items: it is somebody's; start a server for this alone",
                self.address
            )),
            None => {
                Err(format!("{} does not tell its curr_items: is it a memcached?", self.address))
            }
        }
    }

    /// What it answers to some requests, without the answer to the mark behind them.
    ///
    /// # Errors
    /// It hangs, or is gone.
    pub fn ask(&mut self, requests: &[u8]) -> Result<Vec<u8>, String> {
        let told = |error: io::Error| format!("{}: {error}", self.address);
        self.stream.write_all(&[requests, MARK].concat()).map_err(told)?;
        let mut answers = Vec::new();
        let mut buffer = [0; 16 * 1024];
        // A miss tells no flags in some versions and the key and opaque in others.
        while !ends_with_mark(&answers) {
            match self.stream.read(&mut buffer).map_err(told)? {
                0 => return Err(format!("{}: the connection was closed", self.address)),
                n => answers.extend_from_slice(&buffer[..n]),
            }
        }
        let end = answers[..answers.len() - 1].iter().rposition(|&byte| byte == b'\n');
        answers.truncate(end.map_or(0, |end| end + 1));
        Ok(answers)
    }
}

fn ends_with_mark(answers: &[u8]) -> bool {
    let line = answers
        .strip_suffix(b"\r\n")
        .map(|text| &text[text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1)..]);
    line.is_some_and(|line| {
        line == &MARKED[..2]
            || (line.starts_with(b"EN ") && line.ends_with(b" knothing-here"))
            || line == b"EN Oend-of-pipeline knothing-here"
    })
}

/// Sends pipelines of right commands until the time is over; how many commands.
///
/// # Errors
/// The pipeline that was answered otherwise than the protocol says, or by two peers differently.
pub fn fuzz(addresses: &[SocketAddr], seconds: u64, seed: u64) -> Result<usize, String> {
    let mut random = Rng::with_seed(seed);
    let clean_up: Vec<u8> =
        PEER_KEYS.iter().flat_map(|key| [b"delete ", *key, b"\r\n"].concat()).collect();
    let mut peers = Vec::new();
    for address in addresses {
        let mut peer = Peer::connect(*address).map_err(|error| format!("{address}: {error}"))?;
        peer.must_be_empty()?;
        peers.push(peer);
    }
    let outcome = compare(&mut peers, seconds, &mut random);
    for peer in &mut peers {
        // A peer that is gone has nothing to clean up, and was told already.
        let _ = peer.ask(&clean_up);
    }
    outcome
}

fn compare(peers: &mut [Peer], seconds: u64, random: &mut Rng) -> Result<usize, String> {
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut sent = 0;
    while Instant::now() < end {
        let commands: Vec<Command> = (0..random.usize(1..=8))
            .map(|_| {
                let choices: Vec<u8> = (0..48).map(|_| random.u8(..)).collect();
                Command::for_peers(&mut Source::new(&choices))
            })
            .collect();
        sent += commands.len();
        // While an answer that holds an item is not yet written, memcached counts in a new item, and
        // does not pad it (`conformance/differences.md`, "padding").
        for pipeline in commands.chunk_by(|_, next| !counts(next)) {
            same(peers, pipeline)?;
        }
    }
    Ok(sent)
}

fn counts(command: &Command) -> bool {
    use command::Command as C;
    matches!(command.row.command, C::Incr | C::Decr | C::MetaArithmetic)
}

/// Sends one pipeline to all of them.
fn same(peers: &mut [Peer], commands: &[Command]) -> Result<(), String> {
    let requests: Vec<u8> = commands.iter().flat_map(Command::write).collect();
    let in_words = || requests.escape_ascii().to_string().replace("\\r\\n", "\\r\\n\n  ");
    let mut first: Option<(SocketAddr, Vec<u8>)> = None;
    for peer in peers {
        let answers =
            peer.ask(&requests).map_err(|error| format!("{error}; behind\n  {}", in_words()))?;
        follows(commands, &answers)
            .map_err(|what| format!("{}: {what}, to\n  {}", peer.address, in_words()))?;
        if let Some((other, first)) = first.as_ref().filter(|(_, first)| *first != answers) {
            return Err(format!(
                "to\n  {}\n{} answers\n  {}\n{} answers\n  {}",
                in_words(),
                other,
                first.escape_ascii(),
                peer.address,
                answers.escape_ascii()
            ));
        }
        first = Some((peer.address, answers));
    }
    Ok(())
}

/// Every command has its answer, of a kind that it may have, in order.
fn follows(commands: &[Command], answers: &[u8]) -> Result<(), String> {
    let limits = Limits::default();
    let mut rest = answers;
    for command in commands {
        let keys: Vec<&[u8]> = command.keys.iter().map(Vec::as_slice).collect();
        let request: Request<'_> = command.request(&keys);
        if !command.is_answered() {
            continue;
        }
        let row =
            command::row(request.command(), Dialect::Memcached).ok_or("a command without a row")?;
        let mut reply = ReplyEnd::to(&request, Dialect::Memcached);
        loop {
            let parsed = parse(rest, Dialect::Memcached, &limits);
            let Ok(Parsed::Complete { message, consumed }) = parsed else {
                return Err(format!("{} is no whole answer: {parsed:?}", rest.escape_ascii()));
            };
            if !row.allows(message.kind()) {
                return Err(format!("{message:?} answers {request:?}"));
            }
            rest = &rest[consumed..];
            if reply.ends_with(message.kind()) {
                break;
            }
        }
    }
    if rest.is_empty() { Ok(()) } else { Err(format!("nobody asked for {}", rest.escape_ascii())) }
}
