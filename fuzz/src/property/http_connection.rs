//! The server's side of a HTTP connection, under any interleaving of bytes, time, answers, writes
//! and ends.

use core::time::Duration;

use windhover_core::endpoint::Spare;
use windhover_core::http::{FixedHeaders, HttpLimits, Output, Response, ServerConnection, Status};
use windhover_core::tracking;
use windhover_core::{Instant, Now, Timeouts, UnixTime};

use super::http_requests::{owned, small_limits};
use super::splits;
use crate::generate::http::requests;
use crate::reference::http::{self as reference, Request};
use crate::{Script, Source};

/// Requests come out in order and as the stream has them; answers go out in order, each once; no
/// wait is without its deadline, and the connection ends when all is done.
pub fn http_connection(input: &[u8]) {
    let script = Script::read(input);
    let Some((first, steps)) = script.steps.split_first() else {
        return;
    };
    let mut driver = Driver::new(&mut Source::new(first));
    driver.drive();
    for step in steps {
        driver.step(&mut Source::new(step));
        driver.settle();
    }
    driver.finish();
}

struct Driver {
    connection: ServerConnection,
    limits: HttpLimits,
    timeouts: Timeouts,
    millis: u64,
    received: Vec<u8>,
    requests: Vec<Request>,
    answered: usize,
    /// Whole answers, in order.
    answers: Vec<u8>,
    written: Vec<u8>,
    /// Bytes that a write takes; 0 blocks.
    write: usize,
    answers_at_once: bool,
    closed: bool,
    write_closed: bool,
    /// The stream is not read to its end: one was asked for, or a deadline passed.
    cut_short: bool,
    deadline: Option<Instant>,
    stuck_since: Option<Instant>,
    /// What the deadlines are, while nothing but bytes and time came.
    since: Instant,
    waits_for: Waits,
    simple: bool,
    /// Something was written since the step began.
    moved: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    Request,
    Head,
    Body,
}

impl Driver {
    fn new(source: &mut Source<'_>) -> Self {
        let limits = small_limits()
            .with_head(300)
            .with_headers(50)
            .with_pipeline(source.pick(&[64, 1, 2]))
            .with_unsent(source.pick(&[256 * 1024, 200, 0]));
        let timeouts = Timeouts::default()
            .with_head(Duration::from_millis(400))
            .with_body(Duration::from_millis(700))
            .with_idle(Duration::from_millis(1500))
            .with_write(Duration::from_millis(900));
        let now = Instant::from_epoch(Duration::from_secs(5));
        let mut connection = ServerConnection::new(&limits, &timeouts, now);
        let answers_at_once = source.chance(2, 3);
        if source.chance(1, 2) {
            connection = connection.with_refusals(tracking::refused);
        }
        Self {
            connection,
            limits,
            timeouts,
            millis: 5000,
            received: Vec::new(),
            requests: Vec::new(),
            answered: 0,
            answers: Vec::new(),
            written: Vec::new(),
            write: usize::MAX,
            answers_at_once,
            closed: false,
            write_closed: false,
            cut_short: false,
            deadline: None,
            stuck_since: None,
            since: now,
            waits_for: Waits::Request,
            simple: true,
            moved: false,
        }
    }

    fn instant(&self) -> Instant {
        Instant::from_epoch(Duration::from_millis(self.millis))
    }

    fn now(&self) -> Now {
        Now { instant: self.instant(), unix: UnixTime::from_millis(784_111_777_000 + self.millis) }
    }

    fn step(&mut self, source: &mut Source<'_>) {
        match source.below(15) {
            0..=3 => {
                let seed = source.number();
                self.receive(&requests(source), seed);
            }
            4 | 5 => {
                let mut request = requests(source);
                request.truncate(request.len().saturating_sub(source.between(1, 40)));
                self.receive(&request, 0);
            }
            6 => self.receive(source.rest(), 1),
            7 | 8 => self.wait(source),
            9 => {
                self.simple = false;
                for _ in 0..source.between(1, 3) {
                    self.answer(source);
                }
                self.drive();
            }
            10 => {
                self.write = source.pick(&[usize::MAX, 0, 3, 500]);
                if self.write > 0 && !self.unsent().is_empty() && !self.closed {
                    self.write();
                }
                self.drive();
            }
            11 => {
                self.answers_at_once = source.chance(1, 2);
                let mut spare = Spare::default();
                self.connection.release_to(&mut spare);
                self.connection.reuse(&mut spare);
                // What was lent is not missed.
                self.connection.release();
                self.connection.pause(true);
                assert!(self.closed || self.write_closed || !self.connection.wants_read());
                self.connection.pause(false);
            }
            12 if source.chance(1, 2) => {
                self.connection.shut_down();
                self.cut_short = true;
                self.drive();
            }
            13 if source.chance(1, 2) => {
                self.connection.end_of_stream();
                self.cut_short = true;
                self.drive();
            }
            14 => {
                let lines = "a:b\r\n".repeat(source.between(35, 55));
                self.receive(format!("GET / HTTP/1.1\r\nHost: h\r\n{lines}\r\n").as_bytes(), 0);
                self.connection.release();
            }
            _ => self.drive(),
        }
    }

    fn receive(&mut self, bytes: &[u8], seed: u64) {
        for piece in splits::pieces(bytes, seed) {
            if self.closed || !self.connection.wants_read() {
                self.simple = false;
                return;
            }
            self.received.extend_from_slice(piece);
            if seed.is_multiple_of(2) {
                self.connection.receive(piece);
            } else {
                self.connection.read_buffer().extend_from_slice(piece);
            }
            self.drive();
        }
    }

    fn wait(&mut self, source: &mut Source<'_>) {
        let deadline = self
            .deadline
            .map(|deadline| u64::try_from(deadline.since_epoch().as_millis()).unwrap_or(u64::MAX));
        let at = match (source.below(6), deadline.filter(|at| *at < 1_000_000_000)) {
            (0 | 1, Some(deadline)) => deadline,
            (2 | 3, Some(deadline)) => deadline - 1,
            _ => self.millis + source.between(1, 1000) as u64,
        };
        self.millis = self.millis.max(at);
        if self.deadline.is_some_and(|deadline| deadline <= self.instant()) {
            self.cut_short = true;
        }
        self.drive();
    }

    fn drive(&mut self) {
        let before = self.written.len();
        self.deadline = None;
        loop {
            match self.connection.poll_output(self.now()) {
                Output::Request(request) => {
                    assert!(!self.closed && !self.write_closed, "a request behind the end");
                    let request = owned(&request);
                    self.requests.push(request);
                    self.take_every_other();
                    if self.answers_at_once {
                        self.answer(&mut Source::new(&[]));
                    }
                }
                Output::Write => self.write(),
                Output::CloseWrite => {
                    assert!(!self.write_closed, "told twice");
                    assert!(self.unsent().is_empty(), "closed before all is written");
                    self.write_closed = true;
                }
                Output::Idle(deadline) => {
                    self.idle(deadline, before);
                    break;
                }
                Output::Close => {
                    self.closed = true;
                    break;
                }
            }
            assert!(self.connection.unanswered() <= self.limits.pipeline, "more than may wait");
        }
        if self.closed {
            assert!(matches!(self.connection.poll_output(self.now()), Output::Close));
            assert!(!self.connection.wants_read());
        }
    }

    /// A request that is taken out of the connection is the one that it gave.
    fn take_every_other(&mut self) {
        if self.requests.len().is_multiple_of(2) {
            let taken = self.connection.take_request().expect("it was given just now");
            assert_eq!(Some(&owned(&taken.request())), self.requests.last());
            assert!(taken.held() >= taken.request().body.len());
            assert!(self.connection.take_request().is_none(), "it is there twice");
        }
    }

    fn idle(&mut self, deadline: Instant, before: usize) {
        assert!(deadline > self.instant(), "the deadline has passed, and nothing is done");
        self.deadline = Some(deadline);
        let pending = self.requests.len() - self.answered;
        if self.unsent().is_empty() {
            self.stuck_since = None;
            // While only the application owes something there is nothing to wait for.
            assert!(
                pending > 0 || deadline.since_epoch() < Duration::from_millis(self.millis + 2001)
            );
        } else {
            let moved = self.written.len() != before;
            let stuck = self.stuck_since.filter(|_| !moved).unwrap_or(self.instant());
            self.stuck_since = Some(stuck);
            assert!(
                deadline <= stuck + self.timeouts.write,
                "a peer that takes nothing has no end"
            );
        }
        self.simple &= pending == 0 && !self.cut_short && self.unsent().is_empty();
        self.moved |= self.written.len() != before;
    }

    /// Behind each step, at one moment.
    fn settle(&mut self) {
        let moved = core::mem::take(&mut self.moved);
        if let Some(deadline) = self.deadline
            && self.simple
            && !self.write_closed
        {
            self.deadline_fits(deadline, moved);
        }
    }

    /// From the first byte of a head to its end, from there to the end of the body, or between two
    /// requests.
    fn deadline_fits(&mut self, deadline: Instant, moved: bool) {
        let mut rest = &self.received[..];
        let mut waits = Waits::Request;
        let whole = reference::read(&self.received, &self.limits);
        if whole.closed || whole.error {
            return;
        }
        for _ in 0..whole.requests.len() {
            rest = reference::behind(rest, &self.limits).expect("it was read before");
        }
        while let Some(behind) = rest.strip_prefix(b"\r\n") {
            rest = behind;
        }
        if !rest.is_empty() && rest != b"\r" {
            let head = rest.windows(4).any(|four| four == b"\r\n\r\n");
            waits = if head { Waits::Body } else { Waits::Head };
        }
        if waits != self.waits_for || moved {
            self.since = self.instant();
        }
        self.waits_for = waits;
        let timeout = match waits {
            Waits::Request => self.timeouts.idle,
            Waits::Head => self.timeouts.head,
            Waits::Body => self.timeouts.body,
        };
        assert_eq!(deadline, self.since + timeout, "{waits:?} of {}", rest.escape_ascii());
    }

    fn unsent(&self) -> Vec<u8> {
        let mut slices = [&b""[..]; 64];
        let filled = self.connection.unsent(&mut slices);
        let unsent = slices[..filled].concat();
        assert!(self.connection.held() >= unsent.len(), "less is held than is to be sent");
        unsent
    }

    fn write(&mut self) {
        let mut slices = [&b""[..]; 4];
        let filled = self.connection.unsent(&mut slices);
        assert!(filled > 0 && !slices[0].is_empty(), "nothing to write");
        let before = self.written.len();
        for slice in &slices[..filled] {
            let room = self.write.saturating_sub(self.written.len() - before);
            self.written.extend_from_slice(&slice[..room.min(slice.len())]);
        }
        self.connection.wrote(self.written.len() - before);
    }

    fn answer(&mut self, source: &mut Source<'_>) {
        let response = response(source);
        let (seconds, date) = source.pick(&[
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (1_709_210_096, "Thu, 29 Feb 2024 12:34:56 GMT"),
        ]);
        let was = self.connection.unanswered();
        self.connection.respond(&response, UnixTime::from_secs(seconds));
        let Some(request) = self.requests.get(self.answered) else {
            assert_eq!(was, 0);
            return;
        };
        assert_eq!(self.connection.unanswered() + 1, was);
        self.answers.extend_from_slice(&written(&response, &request.method, date));
        self.answered += 1;
    }

    fn finish(mut self) {
        self.write = usize::MAX;
        self.answers_at_once = true;
        if !self.unsent().is_empty() && !self.closed {
            self.write();
        }
        while self.answered < self.requests.len() {
            self.answer(&mut Source::new(&[]));
        }
        self.drive();
        self.connection.end_of_stream();
        self.drive();
        // What it lingers for has a bound in time.
        self.millis += 2000;
        self.drive();
        assert!(self.closed, "an ended connection stays open");
        let expected = reference::read(&self.received, &self.limits);
        let seen = self.requests.len();
        let known: Vec<Request> = expected.requests.into_iter().take(seen).collect();
        assert_eq!(self.requests, known);
        // `Connection` and `100 Continue` are the connection's own.
        let written = without_own(&self.written);
        if self.connection.error().is_none() && !self.cut_short {
            assert_eq!(written.escape_ascii().to_string(), self.answers.escape_ascii().to_string());
        } else {
            let common = written.len().min(self.answers.len());
            assert_eq!(
                written[..common].escape_ascii().to_string(),
                self.answers[..common].escape_ascii().to_string()
            );
        }
    }
}

fn response(source: &mut Source<'_>) -> Response {
    let status = source.pick(&[
        200, 204, 302, 304, 404, 503, 99, 201, 202, 301, 303, 307, 308, 400, 401, 403, 405, 406,
        408, 409, 411, 413, 414, 415, 417, 422, 429, 431, 500, 501, 502, 504, 505, 507, 299,
    ]);
    let body: &'static [u8] = source.pick(&[&b"hello"[..], b"", &[b'x'; 5000]]);
    let mut response = Response::new(Status(status), source.pick(&["text/plain", ""]), body);
    if source.chance(1, 3) {
        response.fixed_headers = FixedHeaders::new("X-Fixed: 1\r\n");
    }
    match source.below(4) {
        0 => response.with_header("X-Sound", "yes"),
        // What would break the answer is left out.
        1 => response.with_header("X-Bad", "a\r\nX: y").with_header("Content-Length", "7"),
        2 => response.with_header("", "x").with_header("Na me", "x"),
        _ => response,
    }
}

/// An answer as RFC 9112 has it.
fn written(response: &Response, method: &str, date: &str) -> Vec<u8> {
    let status = if response.status.0 == 99 { Status(500) } else { response.status };
    let mut text = format!("HTTP/1.1 {} {}\r\nDate: {date}\r\n", status.0, status.reason());
    let has_body = !matches!(status.0, 204 | 304);
    if has_body {
        text.push_str(&format!("Content-Length: {}\r\n", response.body.len()));
    }
    if !response.content_type.is_empty() {
        text.push_str(&format!("Content-Type: {}\r\n", response.content_type));
    }
    for (name, value) in response.fixed_headers.iter() {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    for (name, value) in response.headers.iter().filter(|(name, _)| *name == "X-Sound") {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    let mut bytes = text.into_bytes();
    if has_body && method != "HEAD" {
        bytes.extend_from_slice(&response.body);
    }
    bytes
}

fn without_own(written: &[u8]) -> Vec<u8> {
    let own: [&[u8]; 3] =
        [b"HTTP/1.1 100 Continue\r\n\r\n", b"Connection: close\r\n", b"Connection: keep-alive\r\n"];
    let mut left = Vec::new();
    let mut rest = written;
    while let Some(&byte) = rest.first() {
        match own.iter().find_map(|own| rest.strip_prefix(*own)) {
            Some(behind) => rest = behind,
            None => {
                left.push(byte);
                rest = &rest[1..];
            }
        }
    }
    left
}
