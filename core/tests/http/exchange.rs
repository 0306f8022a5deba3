//! A peer and an application around one connection: feeds it pieces, answers its requests, and
//! keeps what was seen.

use core::time::Duration;

use windhover_core::http::{
    HttpError, HttpLimits, Method, Output, Request, Response, ServerConnection, Status,
};
use windhover_core::{Instant, Now, Timeouts, UnixTime};

pub(crate) const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";
pub(crate) const DATE: &str = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";

/// The time `millis` after the start, on both clocks.
pub(crate) fn at(millis: u64) -> Now {
    Now {
        instant: Instant::from_epoch(Duration::from_millis(millis)),
        unix: UnixTime::from_millis(784_111_777_000 + millis),
    }
}

/// A request as it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) x: Vec<String>,
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn of(request: &Request<'_>) -> Self {
        Self {
            method: request.method,
            path: request.path.into(),
            query: request.query.into(),
            x: request.headers.all("x").map(|value| value.escape_ascii().to_string()).collect(),
            body: request.body.escape_ascii().to_string(),
        }
    }
}

/// How an exchange went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) requests: Vec<Seen>,
    /// What was sent to the peer, interim answers left out: whether they are needed depends on
    /// when the body comes.
    pub(crate) sent: String,
    pub(crate) continues: usize,
    pub(crate) error: Option<HttpError>,
    pub(crate) half_closed: bool,
    pub(crate) closed: bool,
}

/// One connection with its peer and an application that answers `1` at once.
pub(crate) struct Exchange {
    pub(crate) connection: ServerConnection,
    pub(crate) now: Now,
    pub(crate) answers_at_once: bool,
    pub(crate) outcome: Outcome,
}

impl Exchange {
    pub(crate) fn new(limits: &HttpLimits) -> Self {
        Self::on(ServerConnection::new(limits, &Timeouts::default(), at(0).instant))
    }

    pub(crate) fn on(connection: ServerConnection) -> Self {
        Self { connection, now: at(0), answers_at_once: true, outcome: Outcome::default() }
    }

    pub(crate) fn defer_answers(mut self) -> Self {
        self.answers_at_once = false;
        self
    }

    /// The peer sends `bytes`, at the time `now`.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Option<Instant> {
        if self.connection.wants_read() {
            self.connection.receive(bytes);
        }
        self.poll()
    }

    pub(crate) fn end_of_stream(&mut self) -> Option<Instant> {
        self.connection.end_of_stream();
        self.poll()
    }

    pub(crate) fn answer(&mut self, body: &'static [u8]) {
        let response = Response::new(Status::OK, "", body);
        self.connection.respond(&response, self.now.unix);
    }

    /// Polls until the connection is idle, and says until when; `None` when it is closed.
    pub(crate) fn poll(&mut self) -> Option<Instant> {
        loop {
            let output = self.connection.poll_output(self.now);
            match output {
                Output::Request(request) => {
                    let seen = Seen::of(&request);
                    self.outcome.requests.push(seen);
                    if self.answers_at_once {
                        self.answer(b"1");
                    }
                }
                Output::Write => self.write(),
                Output::CloseWrite => {
                    assert!(!self.outcome.half_closed, "told twice");
                    self.outcome.half_closed = true;
                }
                Output::Idle(until) => {
                    self.outcome.error = self.connection.error();
                    return Some(until);
                }
                Output::Close => {
                    self.outcome.error = self.connection.error();
                    self.outcome.closed = true;
                    return None;
                }
            }
        }
    }

    fn write(&mut self) {
        let mut slices: [&[u8]; 8] = [&[]; 8];
        let n = self.connection.unsent(&mut slices);
        let sent = String::from_utf8(slices[..n].concat()).unwrap();
        assert!(!sent.is_empty());
        self.connection.wrote(sent.len());
        self.outcome.continues += sent.matches(CONTINUE).count();
        self.outcome.sent += &sent.replace(CONTINUE, "");
    }
}

/// Feeds `pieces` one by one, then the end of the stream.
pub(crate) fn exchange<'a>(
    limits: &HttpLimits,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Outcome {
    let mut exchange = Exchange::new(limits);
    for piece in pieces {
        if exchange.receive(piece).is_none() {
            return exchange.outcome;
        }
    }
    assert_eq!(exchange.end_of_stream(), None, "it outlives its peer");
    exchange.outcome
}

/// The outcome of `bytes` in one piece, after checking that it is the same for every split into two
/// pieces and byte by byte.
pub(crate) fn at_every_split(limits: &HttpLimits, bytes: &[u8]) -> Outcome {
    let shown = bytes.escape_ascii();
    let mut whole = exchange(limits, [bytes]);
    // The end of the stream comes before the half-close could when everything comes at once.
    let forget = |outcome: &mut Outcome| {
        outcome.continues = 0;
        outcome.half_closed = false;
    };
    forget(&mut whole);
    for split in 0..=bytes.len() {
        let (first, second) = bytes.split_at(split);
        let mut outcome = exchange(limits, [first, second]);
        forget(&mut outcome);
        assert_eq!(outcome, whole, "split at {split} of {shown}");
    }
    let mut outcome = exchange(limits, bytes.chunks(1));
    forget(&mut outcome);
    assert_eq!(outcome, whole, "byte by byte: {shown}");
    whole
}
