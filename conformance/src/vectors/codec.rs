//! Playing a vector against the codec, without a storage: the application behind the server
//! connection reads its answers off the vector. What the connection has to do itself is checked:
//! which requests it hands out, what it refuses and how, what `noreply` and quiet mode hide, in
//! what order, and when it closes.

use windhover_core::memcache::command::{self, Command};
use windhover_core::memcache::meta::{MetaFlags, MetaReply};
use windhover_core::memcache::request::Request;
use windhover_core::memcache::response::{self, Kind, ReplyEnd, Response};
use windhover_core::memcache::{Dialect, Limits, Output, Parsed, ServerConnection};
use windhover_core::{Instant, Now, Timeouts};

use super::{Captures, Protocol, ServerKind, Then, Vector};

/// Errors that the storage finds, not the parser; administrative commands have their own.
const FROM_STORAGE: &[&str] = &[
    "CLIENT_ERROR cannot increment or decrement non-numeric value",
    "CLIENT_ERROR authentication failure",
    "CLIENT_ERROR invalid shutdown mode",
    "SERVER_ERROR out of memory storing object",
];

/// Inputs up to this length are split at every point and played byte by byte.
const WHOLE: usize = 2500;

/// Plays `vector` whole, in two pieces for every split point, and byte by byte; a long one at some
/// hundred points. Its answers are parsed frame by frame and encoded again.
///
/// # Errors
/// What was expected and what happened instead.
pub fn play_codec(vector: &Vector) -> Result<(), String> {
    let play = Play::of(vector);
    play.answers_round_trip()?;

    let input = play.input.as_slice();
    let quiet = play.decide(input)?;
    for at in split_points(input) {
        let (first, second) = input.split_at(at);
        play.run(&[first, second], &quiet)
            .map_err(|error| format!("split at {at} of {}: {error}", input.len()))?;
    }
    if input.len() <= WHOLE {
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        play.run(&bytes, &quiet).map_err(|error| format!("byte by byte: {error}"))?;
    }
    Ok(())
}

fn split_points(input: &[u8]) -> Vec<usize> {
    const SOME: usize = 200;
    let length = input.len();
    if length <= WHOLE {
        return (1..length).collect();
    }
    let step = (length / SOME).max(1);
    let middle = (SOME..length - SOME).step_by(step);
    (1..SOME).chain(middle).chain(length - SOME..length).collect()
}

/// What the vector comes to without a server: examples for what only a server knows.
struct Play<'v> {
    vector: &'v Vector,
    dialect: Dialect,
    limits: Limits,
    input: Vec<u8>,
    expected: Vec<u8>,
}

impl<'v> Play<'v> {
    fn of(vector: &'v Vector) -> Self {
        let dialect = match vector.protocol {
            Protocol::Memcached => Dialect::Memcached,
            Protocol::Kestrel => Dialect::Kestrel,
        };
        let mut captures = Captures::new();
        let (mut input, mut expected) = (Vec::new(), Vec::new());
        for step in &vector.steps {
            input.extend(step.send.example(&mut captures));
            expected.extend(step.expect.example(&mut captures));
        }
        let locked = vector.server == ServerKind::Authentication
            && !expected.windows(8).any(|word| word == b"STORED\r\n");
        if vector.then == Then::Open {
            input.extend_from_slice(vector.protocol.marker().as_bytes());
            expected.extend_from_slice(match (vector.protocol, locked) {
                (_, true) => b"CLIENT_ERROR unauthenticated\r\n",
                (Protocol::Memcached, false) => b"MN\r\n",
                (Protocol::Kestrel, false) => b"VERSION x\r\n",
            });
        }
        Self { vector, dialect, limits: Limits::default(), input, expected }
    }

    /// Every expected frame is incomplete until its last byte, and encodes to the same bytes.
    fn answers_round_trip(&self) -> Result<(), String> {
        let mut rest = self.expected.as_slice();
        while !rest.is_empty() {
            let (frame, used) = self.frame(rest)?;
            let mut again = bytes::BytesMut::new();
            response::encode(&frame, &mut again);
            if again[..] != rest[..used] {
                return Err(format!(
                    "the answer `{}` encodes to `{}`",
                    rest[..used].escape_ascii(),
                    again.escape_ascii()
                ));
            }
            for at in split_points(&rest[..used]) {
                let cut = response::parse(&rest[..at], self.dialect, &self.limits);
                if !matches!(cut, Ok(Parsed::Incomplete { needed }) if needed <= used - at) {
                    let shown = rest[..at].escape_ascii();
                    return Err(format!("the answer's beginning `{shown}` is {cut:?}"));
                }
            }
            rest = &rest[used..];
        }
        Ok(())
    }

    fn frame<'a>(&self, input: &'a [u8]) -> Result<(Response<'a>, usize), String> {
        match response::parse(input, self.dialect, &self.limits) {
            Ok(Parsed::Complete { message, consumed }) => Ok((message, consumed)),
            other => Err(format!("the answer `{}` is {other:?}", input.escape_ascii())),
        }
    }

    /// Which of the quiet requests are answered cannot be seen from one alone: the first choice
    /// that gives the whole answer.
    fn decide(&self, input: &[u8]) -> Result<Vec<bool>, String> {
        let mut first_error = None;
        let mut choice = Vec::new();
        loop {
            let mut seen = 0;
            match self.run_counting(&[input], &choice, &mut seen) {
                Ok(()) => {
                    choice.resize(seen, false);
                    return Ok(choice);
                }
                Err(error) => drop(first_error.get_or_insert(error)),
            }
            // The next number in binary, as long as there are quiet requests.
            choice.resize(seen.max(choice.len()), false);
            match choice.iter().position(|answered| !answered) {
                Some(at) => {
                    choice[..at].fill(false);
                    choice[at] = true;
                }
                None => return Err(first_error.unwrap_or_default()),
            }
        }
    }

    fn run(&self, pieces: &[&[u8]], quiet: &[bool]) -> Result<(), String> {
        self.run_counting(pieces, quiet, &mut 0)
    }

    fn run_counting(
        &self,
        pieces: &[&[u8]],
        quiet: &[bool],
        seen: &mut usize,
    ) -> Result<(), String> {
        let (now, timeouts) = (Instant::default(), Timeouts::default());
        let mut connection = ServerConnection::new(self.dialect, &self.limits, &timeouts, now);
        if self.vector.server == ServerKind::Authentication {
            connection.require_authentication();
        }
        let mut written = Vec::new();
        let mut closed = false;
        for piece in pieces {
            connection.receive(piece);
            closed |= self.serve(&mut connection, &mut written, quiet, seen)?;
        }
        if written != self.expected {
            return Err(format!(
                "expected `{}`\n     got `{}`",
                cut(&self.expected),
                cut(&written)
            ));
        }
        match (self.vector.then, closed) {
            (Then::Closed, false) => Err("expected that the connection closes".to_owned()),
            (Then::Open | Then::Streaming, true) => {
                Err("expected that the connection stays open".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// Answers what is asked; whether the connection closes.
    fn serve(
        &self,
        connection: &mut ServerConnection,
        written: &mut Vec<u8>,
        quiet: &[bool],
        seen: &mut usize,
    ) -> Result<bool, String> {
        loop {
            let answer = match connection.poll_output(Now::default()) {
                Output::Idle(_) => return Ok(false),
                Output::CloseWrite | Output::Close => return Ok(true),
                Output::Request { request, .. } => Some(Asked::of(&request, self.dialect)),
                Output::Write | Output::TooLarge { .. } => None,
            };
            drain(connection, written);
            if let Some(asked) = answer {
                let hidden = asked.noreply
                    || (asked.quiet && {
                        *seen += 1;
                        !quiet.get(*seen - 1).copied().unwrap_or_default()
                    });
                self.answer(connection, &asked, hidden, written.len())?;
                drain(connection, written);
            }
        }
    }

    /// Reads the answer off the vector.
    fn answer(
        &self,
        connection: &mut ServerConnection,
        asked: &Asked,
        hidden: bool,
        at: usize,
    ) -> Result<(), String> {
        if hidden {
            // Something that the connection has to keep to itself.
            let nothing = match asked.row.and_then(|row| row.quiet.first()) {
                Some(&code) if asked.quiet => {
                    let flags = MetaFlags::new(b"");
                    Response::Meta(MetaReply { code, flags, data: b"" })
                }
                _ => Response::Ok,
            };
            connection.responses_mut().respond(&nothing);
            return Ok(());
        }
        let mut rest = self.expected.get(at..).unwrap_or_default();
        let mut reply = asked.reply;
        loop {
            if rest.is_empty() {
                return match asked.command {
                    Command::Shutdown => {
                        connection.responses_mut().close_after_responses();
                        Ok(())
                    }
                    // The stream goes on for as long as the connection lives.
                    Command::Watch => Ok(()),
                    other => {
                        Err(format!("{other:?} was handed out, and nothing is answered to it"))
                    }
                };
            }
            let (frame, used) = self.frame(rest)?;
            self.check_kind(asked, &frame, &rest[..used])?;
            connection.responses_mut().respond(&frame);
            rest = &rest[used..];
            let ends = reply.ends_with(frame.kind());
            if ends {
                if reply.is_without_end() && frame.kind() == Kind::Stat {
                    // An application ends these statistics as any others; the connection hides it.
                    connection.responses_mut().respond(&Response::End);
                }
                // What is refused by the queue's state ends the connection, too.
                let last = rest.is_empty() && self.vector.then == Then::Closed;
                if last && frame.kind().is_error() {
                    connection.responses_mut().close_after_responses();
                }
                return Ok(());
            }
        }
    }

    /// Whether the application may answer so.
    fn check_kind(&self, asked: &Asked, frame: &Response<'_>, line: &[u8]) -> Result<(), String> {
        let row = asked.row.ok_or_else(|| format!("{:?} has no row", asked.command))?;
        let kind = frame.kind();
        let line = line.strip_suffix(b"\r\n").unwrap_or(line);
        let from_storage = FROM_STORAGE.iter().any(|text| text.as_bytes() == line);
        let own = matches!(asked.command, Command::Shutdown | Command::Stats)
            || matches!(row.arguments, command::Arguments::Admin);
        let refused_by_state =
            self.dialect.is_queue() && matches!(kind, Kind::Error | Kind::ServerError);
        let right = row.replies.contains(&kind)
            || (kind.is_error() && (from_storage || own || refused_by_state));
        if right {
            return Ok(());
        }
        Err(format!(
            "{:?} was handed out, and `{}` is no answer to it",
            asked.command,
            line.escape_ascii()
        ))
    }
}

/// What is kept of a request.
struct Asked {
    command: Command,
    row: Option<&'static command::Row>,
    reply: ReplyEnd,
    noreply: bool,
    quiet: bool,
}

impl Asked {
    fn of(request: &Request<'_>, dialect: Dialect) -> Self {
        let command = request.command();
        Self {
            command,
            row: command::row(command, dialect),
            reply: ReplyEnd::to(request, dialect),
            noreply: request.noreply(),
            quiet: request.quiet(),
        }
    }
}

fn drain(connection: &mut ServerConnection, written: &mut Vec<u8>) {
    loop {
        let mut slices = [&b""[..]; 8];
        let filled = connection.unsent(&mut slices);
        let length: usize = slices[..filled].iter().map(|slice| slice.len()).sum();
        if length == 0 {
            return;
        }
        for slice in &slices[..filled] {
            written.extend_from_slice(slice);
        }
        connection.wrote(length);
    }
}

fn cut(bytes: &[u8]) -> String {
    const MOST: usize = 600;
    let start = bytes[..bytes.len().min(MOST)].escape_ascii();
    format!("{start}{}", if bytes.len() > MOST { "…" } else { "" })
}
