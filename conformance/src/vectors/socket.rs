//! Playing a vector against a server, over a socket.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use super::{Captures, Matched, ServerKind, Template, Then, Vector};

/// Says "does not hang".
const BOUND: Duration = Duration::from_secs(10);
/// Between two writes that are to arrive apart.
const PAUSE: Duration = Duration::from_millis(10);

/// Plays `vector` on a connection of its own.
///
/// # Errors
/// What was expected and what came instead.
pub fn play_socket(vector: &Vector, address: SocketAddr) -> Result<(), String> {
    let mut peer = Peer::connect(address).map_err(|error| format!("no connection: {error}"))?;
    let mut captures = Captures::new();
    let marker = vector.protocol.marker();
    if !vector.given.is_empty() {
        let mut given = vector.given.bytes(&captures)?;
        given.extend_from_slice(marker.as_bytes());
        peer.send(&given)?;
        let mut replies = Template::parse("{*}")?;
        replies.extend(Template::parse(vector.protocol.marker_reply())?);
        let replies = peer.expect(&replies, &mut captures)?;
        if replies.windows(5).any(|word| word == b"ERROR") {
            return Err(format!("what is given was answered `{}`", replies.escape_ascii()));
        }
    }
    for (at, step) in vector.steps.iter().enumerate() {
        peer.send(&step.send.bytes(&captures)?)?;
        if step.expect.is_empty() && at + 1 < vector.steps.len() {
            thread::sleep(PAUSE);
        }
        peer.expect(&step.expect, &mut captures)?;
    }
    match vector.then {
        Then::Closed => peer.expect_end(),
        Then::Streaming => Ok(()),
        Then::Open => {
            peer.send(marker.as_bytes())?;
            let mut reply = Template::parse(vector.protocol.marker_reply())?;
            if vector.server == ServerKind::Authentication && peer.is_locked_out()? {
                reply = Template::parse("CLIENT_ERROR unauthenticated\\r\\n")?;
            }
            peer.expect(&reply, &mut captures)
                .map(drop)
                .map_err(|error| format!("the connection is not as it should be: {error}"))
        }
    }
}

struct Peer {
    stream: TcpStream,
    received: Vec<u8>,
    ended: bool,
}

impl Peer {
    fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, BOUND)?;
        stream.set_read_timeout(Some(BOUND))?;
        stream.set_write_timeout(Some(BOUND))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::new(), ended: false })
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.stream.write_all(bytes).map_err(|error| format!("cannot be sent: {error}"))
    }

    /// Whether anything came.
    fn receive(&mut self) -> Result<bool, String> {
        let mut buffer = [0; 8 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.ended = true,
            Ok(read) => self.received.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => self.ended = true,
            Err(error) => {
                let got = shown(&self.received);
                return Err(format!("nothing more came ({error}) behind {got}"));
            }
        }
        Ok(!self.ended)
    }

    /// Reads what the template says, and nothing else that has come with it.
    fn expect(&mut self, template: &Template, captures: &mut Captures) -> Result<Vec<u8>, String> {
        let deadline = Instant::now() + BOUND;
        loop {
            let mut found = captures.clone();
            match template.matches(&self.received, &mut found) {
                Matched::Yes(length) => {
                    *captures = found;
                    let rest = self.received.split_off(length);
                    let taken = std::mem::replace(&mut self.received, rest);
                    return Ok(taken);
                }
                Matched::No => break,
                Matched::More if Instant::now() > deadline || !self.receive()? => break,
                Matched::More => {}
            }
        }
        let expected = shown(&template.example(&mut captures.clone()));
        let got = shown(&self.received);
        let end = if self.ended { ", then the end" } else { "" };
        Err(format!("expected, for example, {expected}\n     got {got}{end}"))
    }

    fn expect_end(&mut self) -> Result<(), String> {
        while self.received.is_empty() && !self.ended {
            self.receive()?;
        }
        match self.received.as_slice() {
            [] => Ok(()),
            more => Err(format!("expected the end, got {}", shown(more))),
        }
    }

    fn is_locked_out(&mut self) -> Result<bool, String> {
        if self.received.is_empty() {
            self.receive()?;
        }
        Ok(self.received.starts_with(b"CLIENT"))
    }
}

/// The bytes with line ends visible, cut short.
fn shown(bytes: &[u8]) -> String {
    const MOST: usize = 600;
    let start = &bytes[..bytes.len().min(MOST)];
    let more = if bytes.len() > MOST { "…" } else { "" };
    format!("`{}{more}` ({} bytes)", start.escape_ascii(), bytes.len())
}
