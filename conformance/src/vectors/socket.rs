//! Playing a vector against a server, over a socket.

use std::{
    fmt,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use super::{Captures, Matched, Protocol, ServerKind, Template, Then, Vector};

/// Says "does not hang".
const BOUND: Duration = Duration::from_secs(10);
/// Between two writes that are to arrive apart.
const PAUSE: Duration = Duration::from_millis(10);

/// A request that is answered in one line whatever a server holds, and what is answered: by it is seen that
/// nothing more comes, and that the next request is answered.
#[derive(Clone, Debug)]
pub struct Marker {
    request: Vec<u8>,
    reply: Template,
}

impl Marker {
    /// # Errors
    /// A sentence about what is wrong with `reply`, a [`Template`].
    pub fn new(request: &str, reply: &str) -> Result<Self, String> {
        Ok(Self { request: request.as_bytes().to_vec(), reply: Template::parse(reply)? })
    }

    /// The one that servers of a protocol answer.
    ///
    /// # Errors
    /// None: it is well formed.
    pub fn of(protocol: Protocol) -> Result<Self, String> {
        Self::new(protocol.marker(), protocol.marker_reply())
    }

    /// Whether the server at `address` answers it.
    pub fn is_answered(&self, address: SocketAddr, bound: Duration) -> bool {
        let Ok(mut peer) = Peer::connect(address, bound) else { return false };
        peer.send(&self.request).is_ok() && peer.expect(&self.reply, &mut Captures::new()).is_ok()
    }
}

/// Where a vector and a server part.
#[derive(Clone, Debug)]
pub struct Mismatch {
    /// What was expected and what came instead.
    pub text: String,
    /// What came.
    pub got: Vec<u8>,
    /// Whether the server closed the connection.
    pub ended: bool,
}

impl From<String> for Mismatch {
    fn from(text: String) -> Self {
        Self { text, got: Vec::new(), ended: false }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Plays `vector` on a connection of its own.
///
/// # Errors
/// What was expected and what came instead.
pub fn play_socket(vector: &Vector, address: SocketAddr) -> Result<(), String> {
    let player = SocketPlayer { address, bound: BOUND, marker: Marker::of(vector.protocol)? };
    player.play(vector).map_err(|mismatch| mismatch.text)
}

/// Plays vectors against a server, each on a connection of its own.
#[derive(Clone, Debug)]
pub struct SocketPlayer {
    /// Where it listens.
    pub address: SocketAddr,
    /// How long an answer may take.
    pub bound: Duration,
    /// What it answers whatever it holds.
    pub marker: Marker,
}

impl SocketPlayer {
    /// Plays one.
    ///
    /// # Errors
    /// Where the two part.
    pub fn play(&self, vector: &Vector) -> Result<(), Mismatch> {
        let mut peer = Peer::connect(self.address, self.bound)
            .map_err(|error| format!("no connection: {error}"))?;
        let mut captures = Captures::new();
        if !vector.given.is_empty() {
            let mut given = vector.given.bytes(&captures)?;
            given.extend_from_slice(&self.marker.request);
            peer.send(&given)?;
            let mut replies = Template::parse("{*}")?;
            replies.extend(self.marker.reply.clone());
            let replies = peer.expect(&replies, &mut captures)?;
            if replies.windows(5).any(|word| word == b"ERROR") {
                let text = format!("what is given was answered `{}`", replies.escape_ascii());
                return Err(Mismatch { text, got: replies, ended: false });
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
                peer.send(&self.marker.request)?;
                let mut reply = self.marker.reply.clone();
                if vector.server == ServerKind::Authentication && peer.is_locked_out()? {
                    reply = Template::parse("CLIENT_ERROR unauthenticated\\r\\n")?;
                }
                peer.expect(&reply, &mut captures).map(drop).map_err(|mut mismatch| {
                    mismatch.text =
                        format!("the connection is not as it should be: {}", mismatch.text);
                    mismatch
                })
            }
        }
    }
}

struct Peer {
    stream: TcpStream,
    bound: Duration,
    received: Vec<u8>,
    ended: bool,
}

impl Peer {
    fn connect(address: SocketAddr, bound: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, bound)?;
        stream.set_read_timeout(Some(bound))?;
        stream.set_write_timeout(Some(bound))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, bound, received: Vec::new(), ended: false })
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Mismatch> {
        self.stream.write_all(bytes).map_err(|error| Mismatch {
            text: format!("cannot be sent: {error}"),
            got: self.received.clone(),
            ended: true,
        })
    }

    /// Whether anything came.
    fn receive(&mut self) -> Result<bool, Mismatch> {
        let mut buffer = [0; 8 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.ended = true,
            Ok(read) => self.received.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => self.ended = true,
            Err(error) => {
                let got = self.received.clone();
                let text = format!("nothing more came ({error}) behind {}", shown(&got));
                return Err(Mismatch { text, got, ended: false });
            }
        }
        Ok(!self.ended)
    }

    /// Reads what the template says, and nothing else that has come with it.
    fn expect(
        &mut self,
        template: &Template,
        captures: &mut Captures,
    ) -> Result<Vec<u8>, Mismatch> {
        let deadline = Instant::now() + self.bound;
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
        let (got, ended) = (self.received.clone(), self.ended);
        let end = if ended { ", then the end" } else { "" };
        let text = format!("expected, for example, {expected}\n     got {}{end}", shown(&got));
        Err(Mismatch { text, got, ended })
    }

    fn expect_end(&mut self) -> Result<(), Mismatch> {
        while self.received.is_empty() && !self.ended {
            self.receive()?;
        }
        match self.received.as_slice() {
            [] => Ok(()),
            more => {
                let text = format!("expected the end, got {}", shown(more));
                Err(Mismatch { text, got: more.to_vec(), ended: self.ended })
            }
        }
    }

    fn is_locked_out(&mut self) -> Result<bool, Mismatch> {
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
