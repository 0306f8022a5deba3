//! The server role of one HTTP/1.1 connection: bytes and time in, requests, bytes and deadlines out.

mod reading;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::BytesMut;

use super::chunked::Chunked;
use super::encode::{self, Persistence, SpareStart};
use super::error::HttpError;
use super::head::{Head, Scan};
use super::limits::HttpLimits;
use super::refused_request::{PendingRefusal, RefusedRequest, RestOfHead};
use super::request::{Field, Request};
use super::response::Response;
use super::taken_request::{self, TakenRequest};
use crate::buffer::{Incoming, Outgoing, Spare};
use crate::cannot_happen::cannot_happen;
use crate::linger::{LINGER, Linger, Lingering};
use crate::writing::{WriteTimer, Writing};
use crate::{Instant, Now, Timeouts, UnixTime};

/// A deadline that never comes.
const NEVER: Instant = Instant::from_epoch(Duration::MAX);

/// What a connection wants next; see [`ServerConnection::poll_output`].
#[derive(Debug)]
pub enum Output<'a> {
    /// A request. Answer it with [`ServerConnection::respond`], now or later.
    Request(Request<'a>),
    /// Bytes wait to be written: take them with [`ServerConnection::unsent`], then tell how many
    /// went with [`ServerConnection::wrote`].
    Write,
    /// Nothing to do until bytes come, an answer is ready or this instant has come.
    Idle(Instant),
    /// Everything is written and nothing more will be: close the write half, go on reading. Told
    /// once.
    CloseWrite,
    /// Close the socket.
    Close,
}

/// One peer's connection, in the server's role.
///
/// **The rule:** after every input, call [`poll_output`](Self::poll_output) until it says
/// [`Output::Idle`] or [`Output::Close`]; answer every request that it gives exactly once, in
/// order. At most [`HttpLimits::pipeline`] requests wait for their answers at a time. Requests that the
/// connection itself refuses ([`HttpError`]) are answered in their place, and end it.
///
/// | state | reads | leaves it by |
/// |---|---|---|
/// | head | while there is room | end of the head → body or taken; too long → too long; other error → ending |
/// | too long: only with [`with_refusals`](Self::with_refusals) | while there is room | end of the head, 2 s, or as many bytes as a body may have → ending |
/// | body | while there is room | end of the body → taken; error → ending |
/// | taken: a request is with the application | while there is room | the next poll → head, or ending after `Connection: close` |
/// | ending: no further request is begun | no | all is answered and written → lingering or closed |
/// | lingering: what comes is dropped | yes | end of stream, 2 s, or 16 MiB, which is what socket buffers hold → closed |
/// | closed | no | |
///
/// "Room" is fewer than [`HttpLimits::pipeline`] unanswered requests, and at most [`HttpLimits::unsent`]
/// unsent bytes; [`wants_read`](Self::wants_read) tells the adapter. A peer's clock
/// ([`Timeouts`]) stands still while too many requests are unanswered, and while only the
/// application owes something; not while the peer takes no answers, for it could hold what it has
/// half sent for as long as it takes them byte by byte.
///
/// ```
/// use windhover_core::http::{HttpLimits, Output, Response, ServerConnection, Status};
/// use windhover_core::{Now, Timeouts};
///
/// let now = Now::default();
/// let mut connection =
///     ServerConnection::new(&HttpLimits::default(), &Timeouts::default(), now.instant);
/// connection.receive(b"GET /track?data=e30 HTTP/1.1\r\nHost: localhost\r\n\r\n");
/// match connection.poll_output(now) {
///     Output::Request(request) => {
///         assert_eq!((request.path, request.query), ("/track", "data=e30"));
///     }
///     other => panic!("{other:?}"),
/// }
/// connection.respond(&Response::new(Status::OK, "text/plain", &b"1"[..]), now.unix);
///
/// assert!(matches!(connection.poll_output(now), Output::Write));
/// let mut slices: [&[u8]; 4] = [&[]; 4];
/// let n = connection.unsent(&mut slices);
/// assert!(slices[..n].concat().starts_with(b"HTTP/1.1 200 OK\r\n"));
/// let written = slices[..n].iter().map(|slice| slice.len()).sum();
/// connection.wrote(written);
/// assert!(matches!(connection.poll_output(now), Output::Idle(_)));
/// ```
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct ServerConnection {
    settings: Arc<HttpSettings>,
    incoming: Incoming,
    outgoing: Outgoing,
    answer_start: SpareStart,
    writing: WriteTimer,
    state: State,
    /// The head of the request that is read or taken.
    head: Head,
    fields: Vec<Field>,
    unanswered: VecDeque<Unanswered>,
    error: Option<HttpError>,
    /// The answer to `error` waits for its place in the order, or for the end of the head.
    refusal: Option<Box<PendingRefusal>>,
    /// What makes it, where the application has something to add.
    answer_refusal: Option<fn(&RefusedRequest<'_>) -> Response>,
    /// The error was answered, and whoever counts it does not know yet.
    is_newly_refused: bool,
    bodies: Bodies,
    is_paused: bool,
    /// Since when the peer owes what is waited for.
    since: Instant,
    end_of_stream: bool,
    shutting_down: bool,
    linger: Linger,
    life: Life,
}

/// How long after it was accepted a connection is given for its first request although an end was asked
/// for: whoever was let in just before it has sent one, and cannot know whether it may be sent again.
const FIRST_REQUEST: Duration = Duration::from_secs(1);

/// The limits and timeouts that connections have in common.
///
/// ```
/// use std::sync::Arc;
/// use windhover_core::http::{HttpLimits, HttpSettings, ServerConnection};
/// use windhover_core::{Instant, Timeouts};
///
/// let settings = Arc::new(HttpSettings::new(&HttpLimits::default(), &Timeouts::default()));
/// let now = Instant::default();
/// let _one = ServerConnection::with_settings(Arc::clone(&settings), now);
/// let _other = ServerConnection::with_settings(Arc::clone(&settings), now);
/// assert_eq!(Arc::strong_count(&settings), 3);
/// ```
#[derive(Clone, Debug)]
pub struct HttpSettings {
    limits: HttpLimits,
    timeouts: Timeouts,
}

impl HttpSettings {
    /// A pipeline of no request counts as one of one.
    pub fn new(limits: &HttpLimits, timeouts: &Timeouts) -> Self {
        let limits = limits.clone().with_pipeline(limits.pipeline.max(1));
        Self { limits, timeouts: timeouts.clone() }
    }
}

/// What a connection has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// No whole request.
    New,
    Used,
}

/// What becomes of a request that has a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bodies {
    Read,
    Refused,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Head(Scan),
    /// The head is too long, and its end is waited for before that is answered.
    TooLong(RestOfHead),
    Body {
        head: usize,
        body: Body,
        continue_pending: bool,
    },
    /// The application has a request, which is the first `whole` bytes of the buffer: so many of head,
    /// so many of body behind them, and what told the body's end.
    Taken {
        head: usize,
        body: usize,
        whole: usize,
    },
    Ending,
    Lingering(Lingering),
    Closed,
}

#[derive(Clone, Copy, Debug)]
enum Body {
    Bytes(usize),
    Chunked(Chunked),
}

/// What an answer needs to know of its request.
#[derive(Clone, Copy, Debug)]
struct Unanswered {
    is_head: bool,
    http10: bool,
    close: bool,
}

/// What a poll came to, before the request is borrowed from the buffer.
enum Step {
    Request { head: usize, body: usize },
    Write,
    Idle(Instant),
    CloseWrite,
    Close,
}

impl ServerConnection {
    /// A connection that was accepted at `now`.
    pub fn new(limits: &HttpLimits, timeouts: &Timeouts, now: Instant) -> Self {
        Self::with_settings(Arc::new(HttpSettings::new(limits, timeouts)), now)
    }

    /// The same with settings that many connections share, which take memory once.
    pub fn with_settings(settings: Arc<HttpSettings>, now: Instant) -> Self {
        Self {
            settings,
            incoming: Incoming::new(),
            outgoing: Outgoing::new(),
            answer_start: None,
            writing: WriteTimer::default(),
            state: State::Head(Scan::default()),
            head: Head::default(),
            fields: Vec::new(),
            unanswered: VecDeque::new(),
            error: None,
            refusal: None,
            answer_refusal: None,
            is_newly_refused: false,
            bodies: Bodies::Read,
            is_paused: false,
            since: now,
            end_of_stream: false,
            shutting_down: false,
            linger: Linger::default(),
            life: Life::New,
        }
    }

    /// Has requests that the connection itself refuses answered with what `answer` makes of each,
    /// and not with [`RefusedRequest::response`] alone. Where a head is too long, the answer waits for the
    /// head's end, for up to 2 s, so that no header is missed that the answer depends on. As much as
    /// a body may have is looked at for that (and at least four heads), and none of it is kept.
    #[must_use]
    pub fn with_refusals(mut self, answer: fn(&RefusedRequest<'_>) -> Response) -> Self {
        self.answer_refusal = Some(answer);
        self
    }

    /// From now on, whether requests that have a body are refused with
    /// [`HttpError::Overloaded`], as soon as their head has come and without reading the body. For an
    /// application that could do nothing with it; what has no body reaches it as always.
    pub fn set_overloaded(&mut self, overloaded: bool) {
        self.bodies = if overloaded { Bodies::Refused } else { Bodies::Read };
    }

    /// The error for which the connection itself has refused a request, once it was answered; each of
    /// them once. For whoever counts.
    pub fn take_refused(&mut self) -> Option<HttpError> {
        if core::mem::take(&mut self.is_newly_refused) { self.error } else { None }
    }

    /// The peer sent `bytes`.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.incoming.receive(bytes);
    }

    /// A buffer with spare capacity that a read may append to directly; at most 64 KiB are reserved
    /// at a time, whatever length the peer declared.
    pub fn read_buffer(&mut self) -> &mut BytesMut {
        let expected = match self.state {
            State::Body { head, body: Body::Bytes(length), .. } => {
                (head + length).saturating_sub(self.incoming.len())
            }
            _ => 0,
        };
        self.incoming.read_buffer(expected)
    }

    /// Whether more bytes are wanted. While it is `false`, do not read: that is the backpressure
    /// that the peer feels.
    pub fn wants_read(&self) -> bool {
        !self.end_of_stream
            && match self.state {
                State::Head(_) | State::TooLong(..) | State::Body { .. } | State::Taken { .. } => {
                    self.has_room()
                }
                State::Lingering(_) => true,
                State::Ending | State::Closed => false,
            }
    }

    /// The peer will send no more bytes. What it has sent whole is still answered.
    pub fn end_of_stream(&mut self) {
        self.end_of_stream = true;
    }

    /// Asks for an orderly end: the requests that the application has are answered, the last one
    /// with `Connection: close`; when it has none, the one that is half received is. A connection
    /// between two requests closes; one on which nothing has come yet waits for its request, up to a
    /// second after it was accepted.
    pub fn shut_down(&mut self) {
        self.shutting_down = true;
        self.drop_taken();
        if !matches!(self.state, State::Head(_) | State::TooLong(..) | State::Body { .. }) {
            return;
        }
        // Otherwise the next poll ends it, once it has seen what came.
        if let Some(last) = self.unanswered.back_mut() {
            last.close = true;
            self.refusal = None;
            self.end();
        }
    }

    /// The error that this connection ended with, if it did: for logs and counters.
    pub fn error(&self) -> Option<HttpError> {
        self.error
    }

    /// Does what can be done at `now`, and says what comes next. A [`Request`] borrows the
    /// connection's buffer; its bytes are dropped with the next call.
    pub fn poll_output(&mut self, now: Now) -> Output<'_> {
        match self.step(now) {
            Step::Request { head, body } => {
                let bytes = self.incoming.bytes();
                Output::Request(taken_request::request(&self.head, &self.fields, bytes, head, body))
            }
            Step::Write => Output::Write,
            Step::Idle(at) => Output::Idle(at),
            Step::CloseWrite => Output::CloseWrite,
            Step::Close => Output::Close,
        }
    }

    /// Takes the request that [`poll_output`](Self::poll_output) has just given out of the connection,
    /// to be worked off apart from it; `None` when it gave none since its last call. It is unanswered as
    /// before: [`pause`](Self::pause) keeps the ones behind it back until it is answered, where they are
    /// to take effect in their order.
    ///
    /// ```
    /// # use windhover_core::http::{HttpLimits, Output, ServerConnection};
    /// # use windhover_core::{Now, Timeouts};
    /// # let now = Now::default();
    /// # let (limits, timeouts) = (HttpLimits::default(), Timeouts::default());
    /// # let mut connection = ServerConnection::new(&limits, &timeouts, now.instant);
    /// connection.receive(b"POST /track HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}");
    /// assert!(matches!(connection.poll_output(now), Output::Request(_)));
    /// let taken = connection.take_request().unwrap();
    /// let worker = std::thread::spawn(move || taken.request().body.len());
    /// assert_eq!(worker.join().unwrap(), 2);
    /// assert_eq!(connection.unanswered(), 1);
    /// ```
    pub fn take_request(&mut self) -> Option<TakenRequest> {
        let State::Taken { head: head_len, body: body_len, whole } = self.state else {
            return None;
        };
        let taken = TakenRequest {
            head: self.head,
            fields: core::mem::take(&mut self.fields),
            bytes: self.incoming.take(whole),
            head_len,
            body_len,
        };
        self.begin_next();
        Some(taken)
    }

    /// From now on, whether no further request is begun although there is room: what comes is left where
    /// it is, and the peer's clock stands still, as while too many requests are unanswered.
    pub fn pause(&mut self, paused: bool) {
        self.is_paused = paused;
    }

    /// Answers the oldest unanswered request; does nothing when there is none. `date` becomes the
    /// `Date` header.
    pub fn respond(&mut self, response: &Response, date: UnixTime) {
        let Some(request) = self.unanswered.pop_front() else {
            return;
        };
        if matches!(self.state, State::Closed) {
            return;
        }
        let persistence = match request {
            Unanswered { close: true, .. } => Persistence::Close,
            Unanswered { http10: true, .. } => Persistence::KeepAlive,
            Unanswered { .. } => Persistence::Implied,
        };
        let (start, out) = (self.answer_start.get_or_insert_default(), &mut self.outgoing);
        encode::response(response, request.is_head, persistence, date, start, out);
    }

    /// How many requests wait for their answers.
    pub fn unanswered(&self) -> usize {
        self.unanswered.len()
    }

    /// Fills `into` with the slices to write, in order, and returns how many it filled.
    pub fn unsent<'a>(&'a self, into: &mut [&'a [u8]]) -> usize {
        self.outgoing.slices(into)
    }

    /// The adapter wrote the first `n` unsent bytes. 0 says that the socket takes nothing now:
    /// [`poll_output`](Self::poll_output) says [`Output::Idle`] instead of [`Output::Write`] until
    /// some more is written or the deadline for that has passed.
    pub fn wrote(&mut self, n: usize) {
        self.outgoing.advance(n);
        self.writing.wrote(n);
    }

    /// How many bytes of memory it holds for the peer: what has come and was not worked off, answers that
    /// wait to be written.
    pub fn held(&self) -> usize {
        self.incoming.capacity() + self.outgoing.held()
    }

    /// Gives back the memory that an idle connection does not need; to be called before waiting.
    pub fn release(&mut self) {
        self.incoming.release();
        self.outgoing.release();
        self.answer_start = None;
        self.release_places();
    }

    /// Takes over the memory that another connection has left ([`Endpoint::reuse`](crate::endpoint::Endpoint::reuse)).
    pub fn reuse(&mut self, spare: &mut Spare) {
        self.incoming.reuse(spare);
        self.outgoing.reuse(spare);
        if self.answer_start.is_none() {
            self.answer_start = spare.answer_start.take();
        }
    }

    /// As [`release`](Self::release), and leaves memory for the next connection
    /// ([`Endpoint::release_to`](crate::endpoint::Endpoint::release_to)).
    pub fn release_to(&mut self, spare: &mut Spare) {
        self.incoming.release_to(spare);
        self.outgoing.release_to(spare);
        if let Some(start) = self.answer_start.take() {
            spare.answer_start = Some(start);
        }
        self.release_places();
    }

    fn release_places(&mut self) {
        if self.incoming.is_empty() {
            self.fields = Vec::new();
        }
        if self.unanswered.is_empty() {
            self.unanswered = VecDeque::new();
        }
    }

    fn step(&mut self, now: Now) -> Step {
        self.drop_taken();
        self.hold_clock(now.instant);
        if self.has_room() {
            match self.read(now.instant) {
                Ok(Some(request)) => return request,
                Ok(None) => self.end_if_over(),
                Err(error) => self.refuse(error),
            }
        }
        self.hold_clock(now.instant);
        if self.peer_deadline() <= now.instant {
            self.give_up();
        }
        self.answer_error(now.unix);
        self.write_or_wait(now.instant)
    }

    fn has_room(&self) -> bool {
        self.may_begin_another() && self.outgoing.len() <= self.settings.limits.unsent
    }

    /// Whether the application has answered enough for one more request.
    fn may_begin_another(&self) -> bool {
        !self.is_paused && self.unanswered.len() < self.settings.limits.pipeline
    }

    /// Drops the request that the application had at the last poll.
    fn drop_taken(&mut self) {
        if let State::Taken { whole, .. } = self.state {
            self.incoming.consume(whole);
            self.begin_next();
        }
    }

    fn begin_next(&mut self) {
        self.state = State::Head(Scan::default());
        if self.head.close {
            self.end();
        }
    }

    /// Begins no further request. What came behind the last one is dropped.
    fn end(&mut self) {
        if !self.incoming.is_empty() {
            self.linger.want();
        }
        self.incoming = Incoming::new();
        self.state = State::Ending;
    }

    fn refuse(&mut self, error: HttpError) {
        self.refusal = Some(Box::new(PendingRefusal::new(error, self.incoming.bytes())));
        self.end_refused();
    }

    /// Ends with the refusal that is pending.
    fn end_refused(&mut self) {
        self.error = self.refusal.as_ref().map(|pending| pending.error);
        self.end();
        self.linger.want();
    }

    /// Ends when no further request can come, or none is wanted. Everything that came was read.
    fn end_if_over(&mut self) {
        match self.state {
            State::TooLong(_) if self.end_of_stream => self.end_refused(),
            State::Head(Scan { begun: true, .. }) | State::Body { .. } if self.end_of_stream => {
                self.refuse(HttpError::Incomplete);
            }
            State::Head(Scan { begun: false, .. })
                if self.end_of_stream || self.shutting_down && self.life == Life::Used =>
            {
                self.end();
            }
            _ => {}
        }
    }

    /// The peer's deadline has passed.
    fn give_up(&mut self) {
        match self.state {
            State::Head(Scan { begun: true, .. }) => self.refuse(HttpError::HeadTimeout),
            State::TooLong(_) => self.end_refused(),
            State::Head(_) => self.end(),
            State::Body { .. } => self.refuse(HttpError::BodyTimeout),
            // The peer owes nothing.
            _ => cannot_happen(()),
        }
    }

    /// Whether the peer owes something, and how long it may take for that from `since` on.
    fn peer_timeout(&self) -> Option<Duration> {
        match self.state {
            State::Head(Scan { begun: true, .. }) => {
                self.may_begin_another().then_some(self.settings.timeouts.head)
            }
            State::TooLong(_) => {
                self.may_begin_another().then_some(self.settings.timeouts.head.min(LINGER))
            }
            State::Head(_) => {
                let nothing_pending = self.unanswered.is_empty() && self.outgoing.is_empty();
                let idle = self.settings.timeouts.idle;
                nothing_pending.then_some(if self.shutting_down {
                    idle.min(FIRST_REQUEST)
                } else {
                    idle
                })
            }
            State::Body { continue_pending, .. } => (self.may_begin_another() && !continue_pending)
                .then_some(self.settings.timeouts.body),
            _ => None,
        }
    }

    fn peer_deadline(&self) -> Instant {
        self.peer_timeout().map_or(NEVER, |timeout| self.since + timeout)
    }

    /// The peer's clock stands still while the peer owes nothing.
    fn hold_clock(&mut self, now: Instant) {
        if self.peer_timeout().is_none() {
            self.since = now;
        }
    }

    fn answer_error(&mut self, date: UnixTime) {
        if !self.unanswered.is_empty() || matches!(self.state, State::TooLong(_)) {
            return;
        }
        if let Some(pending) = self.refusal.take() {
            let refusal = pending.refusal();
            self.is_newly_refused = true;
            debug_assert_eq!(self.error, Some(refusal.error), "no other error is answered");
            let response = match self.answer_refusal {
                Some(answer) => answer(&refusal),
                None => refusal.response(),
            };
            let (start, out) = (self.answer_start.get_or_insert_default(), &mut self.outgoing);
            encode::response(&response, pending.is_head, Persistence::Close, date, start, out);
        }
    }

    fn write_or_wait(&mut self, now: Instant) -> Step {
        match self.writing.look(self.outgoing.len(), now, self.settings.timeouts.write) {
            Writing::Done => {}
            Writing::Wanted => return Step::Write,
            Writing::Blocked(deadline) => return Step::Idle(deadline.min(self.peer_deadline())),
            Writing::Overdue => {
                self.outgoing = Outgoing::new();
                // Behind the end not even the error that waits for its turn is answered.
                self.refusal = None;
                self.linger = Linger::Over;
                self.state = State::Closed;
                return Step::Close;
            }
        }
        match self.state {
            State::Ending if !self.unanswered.is_empty() => Step::Idle(NEVER),
            State::Ending | State::Closed => match self.linger.begin(now, self.end_of_stream) {
                Some(lingering) => {
                    self.state = State::Lingering(lingering);
                    Step::CloseWrite
                }
                None => {
                    self.state = State::Closed;
                    Step::Close
                }
            },
            State::Lingering(mut lingering) => {
                let come = self.incoming.len();
                self.incoming.consume(come);
                match lingering.read_on(come, now).filter(|_| !self.end_of_stream) {
                    Some(until) => {
                        self.state = State::Lingering(lingering);
                        Step::Idle(until)
                    }
                    None => {
                        self.state = State::Closed;
                        Step::Close
                    }
                }
            }
            _ => Step::Idle(self.peer_deadline()),
        }
    }
}
