//! The server role of one memcache connection: bytes and time in, requests, bytes and deadlines out.

mod clock;
#[cfg(test)]
mod faults;
mod input;
mod owed;

use alloc::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use self::clock::PeerClock;
use self::input::{State, Step, Taken};
use self::owed::Place;
use super::Data;
use super::Dialect;
use super::command::Command;
use super::meta::{MetaCode, MetaFlags};
use super::request::{Fault, Request};
use super::response::{self, Kind, Response};
use super::states::{self, ServerEvent, ServerState};
use super::writing::WriteClock;
use crate::buffer::{Incoming, Outgoing};
use crate::{Instant, Limits, Timeouts};

/// Room for the first answers of a write, so that it does not grow piece by piece.
const GATHER: usize = 512;

/// What a connection wants next; see [`ServerConnection::poll_output`].
#[derive(Debug)]
pub enum Output<'a> {
    /// A request. Answer it with [`ServerConnection::respond`], now or later. Both parts borrow
    /// the connection's buffer and are gone with the next call.
    Request {
        /// The request.
        request: Request<'a>,
        /// Its data block; empty where the command has none.
        data: Data<'a>,
    },
    /// A request whose value is above [`Limits::value`]. It is not to be answered: the connection
    /// refuses it and drops its data block. memcached lets go of the item that such a `set` or `ms`
    /// was to replace, lest it be taken for the new one; whoever keeps no items goes on.
    TooLarge {
        /// The request, gone with the next call.
        request: Request<'a>,
    },
    /// Bytes wait to be written: take them with [`ServerConnection::unsent`], then tell how many
    /// went with [`ServerConnection::wrote`].
    Write,
    /// Nothing to do until bytes come, an answer is ready or this instant has come.
    Idle(Instant),
    /// Everything is written to a peer that may still be sending: close the socket's write half, go
    /// on reading. Told once.
    CloseWrite,
    /// Close the socket.
    Close,
}

/// Whether the adapter has asked for an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Open,
    /// No line is to be begun any more.
    ShuttingDown,
    /// The peer will send no more.
    EndOfStream,
}

/// Whether the peer may still be sending when everything is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Linger {
    /// It has said `quit`, or there was nothing under way.
    Unwanted,
    Wanted,
    /// It was told, or there is no use in it any more.
    Over,
}

/// One peer's connection, in the server's role.
///
/// **The rule:** after every input, call [`poll_output`](Self::poll_output) until it says
/// [`Output::Idle`] or [`Output::Close`]; answer every request that it gives exactly once, in
/// order. At most [`Limits::pipeline`] requests wait for their answers at a time.
///
/// A request with `noreply` or in quiet mode (the meta flag `q`) is answered like any other: the
/// connection keeps to itself what the client does not want, as memcached does. `noreply` hides
/// every answer, errors too; `q` hides `EN` to `mg`, `HD` to `ms`, `md` and `ma`, and `VA` to `ma`,
/// never an error. `quit`, and requests that the connection refuses
/// ([`RequestError`](super::request::RequestError)), never reach the application (it is told of one
/// whose value is too large: [`Output::TooLarge`]); their effect takes place in order behind the
/// answers that are owed before them.
///
/// The states are those of [`states::SERVER`](super::states::SERVER). Where the peer has to
/// authenticate first ([`require_authentication`](Self::require_authentication)), everything else
/// is refused until it has.
///
/// At an end that the peer has not asked for (a shut-down, a fatal error, a deadline), it may still
/// be sending, unless nothing was under way. To close then would send a reset, which can destroy
/// answers that it has not read yet: the write half is closed ([`Output::CloseWrite`]), and what comes
/// is dropped until the peer closes too, for two seconds at most. memcached closes at once.
///
/// Deadlines ([`Timeouts`]): `head` from the first byte of a line to its end, `body` from there to
/// the end of the block, `idle` while nothing is owed to either side, `write` while unsent bytes
/// make no progress. The peer's clock stands still while [`wants_read`](Self::wants_read) says no
/// for want of room, and while only the application owes something. After `head` and `body`, what
/// was asked before is still answered; after `write`, nothing is.
///
/// ```
/// use windhover_core::memcache::request::Request;
/// use windhover_core::memcache::response::Response;
/// use windhover_core::memcache::{Dialect, Output, ServerConnection};
/// use windhover_core::{Instant, Limits, Timeouts};
///
/// let now = Instant::default();
/// let (limits, timeouts) = (Limits::default(), Timeouts::default());
/// let mut connection = ServerConnection::new(Dialect::Memcached, &limits, &timeouts, now);
/// connection.receive(b"set k 0 0 5\r\nhello\r\nbogus\r\n");
/// match connection.poll_output(now) {
///     Output::Request { request: Request::Set(item), data } => {
///         assert_eq!((item.key, data.len()), (&b"k"[..], 5));
///     }
///     other => panic!("{other:?}"),
/// }
/// connection.respond(&Response::Stored);
/// assert!(matches!(connection.poll_output(now), Output::Write));
/// let mut slices = [&b""[..]; 4];
/// let filled = connection.unsent(&mut slices);
/// assert_eq!(slices[..filled].concat(), b"STORED\r\nERROR\r\n");
/// ```
#[derive(Debug)]
pub struct ServerConnection {
    dialect: Dialect,
    limits: Limits,
    timeouts: Timeouts,
    incoming: Incoming,
    outgoing: Outgoing,
    state: State,
    taken: Option<Taken>,
    unanswered: VecDeque<Place>,
    /// Which requests are taken: open, locked or verifying.
    access: ServerState,
    /// Why a request was refused last.
    fault: Option<Fault>,
    /// No request is taken before every one is answered.
    held: bool,
    ending: Ending,
    linger: Linger,
    peer: PeerClock,
    writing: WriteClock,
}

impl ServerConnection {
    /// A connection that was accepted at `now`. It holds no memory before bytes come.
    pub fn new(dialect: Dialect, limits: &Limits, timeouts: &Timeouts, now: Instant) -> Self {
        Self {
            dialect,
            limits: limits.clone(),
            timeouts: timeouts.clone(),
            incoming: Incoming::new(),
            outgoing: Outgoing::new(),
            state: State::Line,
            taken: None,
            unanswered: VecDeque::new(),
            access: ServerState::Open,
            fault: None,
            held: false,
            ending: Ending::Open,
            linger: Linger::Unwanted,
            peer: PeerClock::start(now),
            writing: WriteClock::default(),
        }
    }

    /// Lets the peer in only once it has authenticated (protocol.txt, "Authentication"): until then
    /// a `set` with credentials is handed out as [`Request::Authenticate`], and everything else is
    /// answered `CLIENT_ERROR unauthenticated`, `quit` and malformed lines among it. To be called
    /// before the first bytes; on a connection that is locked already it changes nothing.
    ///
    /// ```
    /// use windhover_core::memcache::request::Request;
    /// use windhover_core::memcache::response::Response;
    /// use windhover_core::memcache::{Dialect, Output, ServerConnection};
    /// use windhover_core::{Instant, Limits, Timeouts};
    ///
    /// let now = Instant::default();
    /// let (limits, timeouts) = (Limits::default(), Timeouts::default());
    /// let mut connection = ServerConnection::new(Dialect::Memcached, &limits, &timeouts, now);
    /// connection.require_authentication();
    /// connection.receive(b"get secret\r\nset - 0 0 9\r\nuser pass\r\n");
    /// let accepted = match connection.poll_output(now) {
    ///     Output::Request { request: Request::Authenticate { user, password }, .. } => {
    ///         (user, password) == (&b"user"[..], &b"pass"[..])
    ///     }
    ///     other => panic!("{other:?}"),
    /// };
    /// assert!(accepted && !connection.is_open());
    /// connection.respond(&Response::Stored);
    /// assert!(connection.is_open());
    /// ```
    pub fn require_authentication(&mut self) {
        self.admit(ServerEvent::AuthenticationRequired);
    }

    /// Whether every request is taken: no authentication was asked for, or it has succeeded.
    pub fn is_open(&self) -> bool {
        self.access == ServerState::Open
    }

    /// Changes who is let in, by the table.
    fn admit(&mut self, event: ServerEvent) {
        let next = states::next(states::SERVER, self.access, &event);
        debug_assert!(next.is_some(), "{event:?} in {:?}", self.access);
        self.access = next.unwrap_or(self.access);
    }

    /// Takes a copy of bytes that came in. An adapter that can read into a buffer uses
    /// [`read_buffer`](Self::read_buffer).
    pub fn receive(&mut self, bytes: &[u8]) {
        if !matches!(self.state, State::Over) {
            self.read_buffer().extend_from_slice(bytes);
        }
    }

    /// A buffer with spare capacity that a read appends to. At most 64 KiB is reserved, whatever
    /// length the peer has declared.
    pub fn read_buffer(&mut self) -> &mut BytesMut {
        let expected = self.expected();
        self.incoming.read_buffer(expected)
    }

    /// Whether more bytes are wanted. They are not while [`Limits::pipeline`] requests are
    /// unanswered, while more than [`Limits::unsent`] bytes wait to be written, and at the end.
    pub fn wants_read(&self) -> bool {
        let more = match self.state {
            State::Over => false,
            State::Line => self.ending == Ending::Open,
            // What was begun is finished.
            State::Block { .. } | State::Large(_) | State::Swallow { .. } | State::Lingering => {
                !self.has_ended()
            }
        };
        let held_enough = self.holds() && self.incoming.len() >= self.limits.line;
        more && self.has_room() && !held_enough
    }

    /// The peer will send no more bytes. What it has sent completely is still answered.
    pub fn end_of_stream(&mut self) {
        self.ending = Ending::EndOfStream;
    }

    fn has_ended(&self) -> bool {
        self.ending == Ending::EndOfStream
    }

    /// Asks for an orderly end: requests that have come are answered, a data block that has begun
    /// is waited for (up to [`Timeouts::body`]), nothing else is begun.
    pub fn shut_down(&mut self) {
        if self.ending == Ending::Open {
            self.ending = Ending::ShuttingDown;
        }
    }

    /// Does what can be done at `now`, and says what comes next.
    pub fn poll_output(&mut self, now: Instant) -> Output<'_> {
        self.drop_taken();
        self.hold_clock(now);
        let read = match self.read(now) {
            Step::Request => {
                self.taken_request().map(|(request, data)| Output::Request { request, data })
            }
            Step::TooLarge { line } => {
                self.refused_request(line).map(|request| Output::TooLarge { request })
            }
            Step::Again | Step::Starved => return self.write_or_wait(now),
        };
        // Its line was parsed before and has not changed since.
        read.unwrap_or(Output::Close)
    }

    /// Reads up to the next request, or to the end of what has come.
    fn read(&mut self, now: Instant) -> Step {
        while self.has_room() && !self.holds() {
            match self.step(now) {
                Step::Again => {}
                Step::Starved => {
                    let over = match self.ending {
                        Ending::Open => false,
                        Ending::ShuttingDown => matches!(self.state, State::Line),
                        Ending::EndOfStream => true,
                    };
                    if over && !matches!(self.state, State::Over) {
                        self.linger();
                        self.enter(ServerEvent::Ended, State::Over, now);
                    }
                    break;
                }
                found @ (Step::Request | Step::TooLarge { .. }) => return found,
            }
        }
        if matches!(self.state, State::Over | State::Lingering) {
            self.incoming.consume(self.incoming.len());
        }
        Step::Starved
    }

    /// Takes no further request before every one that was taken is answered: what follows a read
    /// that waits may depend on what it gets. The peer is still read from, until some
    /// [`Limits::line`] bytes are held back, so that its going away is seen; its clock stands
    /// still.
    pub fn hold_requests(&mut self) {
        self.held = true;
    }

    fn holds(&self) -> bool {
        self.held && !self.unanswered.is_empty()
    }

    /// Whether another request may be taken.
    fn has_room(&self) -> bool {
        self.unanswered.len() < self.limits.pipeline.max(1)
            && self.outgoing.len() <= self.limits.unsent
    }

    /// Gives one frame of the answer to the oldest unanswered request. `VALUE`, `STAT` and listing
    /// frames do not end it, any other does ([`Reply`](response::Reply) has the exceptions:
    /// `monitor` and `watch`). Does nothing when no answer is owed.
    ///
    /// A value of some size is better given to [`respond_value`](Self::respond_value) or
    /// [`respond_meta_value`](Self::respond_meta_value).
    pub fn respond(&mut self, response: &Response<'_>) {
        let Some(hidden) = self.frame_is_hidden(response.kind()) else {
            return;
        };
        if !hidden {
            response::encode(response, self.gather());
        }
        self.frame_given(response.kind());
    }

    /// Gives a `VALUE` frame of the answer to the oldest unanswered request; a large value leaves
    /// without a copy. End the answer with [`Response::End`].
    pub fn respond_value(&mut self, key: &[u8], flags: u32, cas: Option<u64>, data: Bytes) {
        if self.frame_is_hidden(Kind::Value) == Some(false) {
            response::encode_value_line(key, flags, data.len(), cas, self.gather());
            self.outgoing.put_shared(data);
            self.outgoing.put(b"\r\n");
        }
        self.frame_given(Kind::Value);
    }

    /// Answers the oldest unanswered request with `VA`, flags and a value; a large value leaves
    /// without a copy.
    pub fn respond_meta_value(&mut self, flags: MetaFlags<'_>, data: Bytes) {
        if self.frame_is_hidden(Kind::Meta(MetaCode::Value)) == Some(false) {
            response::encode_meta_value_line(flags, data.len(), self.gather());
            self.outgoing.put_shared(data);
            self.outgoing.put(b"\r\n");
        }
        self.frame_given(Kind::Meta(MetaCode::Value));
    }

    /// Whether a frame of the next answer is kept from the peer; `None` where none is owed.
    fn frame_is_hidden(&self, frame: Kind) -> Option<bool> {
        match self.unanswered.front() {
            Some(Place::Request(owed)) => Some(owed.hides(frame)),
            _ => None,
        }
    }

    /// The application has given a frame.
    fn frame_given(&mut self, frame: Kind) {
        let Some(Place::Request(owed)) = self.unanswered.front_mut() else {
            return;
        };
        if !owed.ends_with(frame) {
            return;
        }
        if owed.reply().command() == Command::Authenticate {
            let accepted = frame == Kind::Stored;
            self.admit(if accepted { ServerEvent::Accepted } else { ServerEvent::Denied });
        }
        self.unanswered.pop_front();
        self.held &= !self.unanswered.is_empty();
        self.answer_refused();
    }

    /// The block that answers are gathered in.
    fn gather(&mut self) -> &mut BytesMut {
        let tail = self.outgoing.tail();
        if tail.capacity() == 0 {
            tail.reserve(GATHER);
        }
        tail
    }

    /// Ends the connection behind the answers given so far: they are written, then
    /// [`Output::CloseWrite`]. Requests that are still unanswered stay so, none is taken any more.
    ///
    /// For an error after which a peer may not go on (kestrel's `ERROR`, then a disconnect: first
    /// [`respond`](Self::respond), then this), and in place of an answer to
    /// [`Request::Shutdown`].
    pub fn close_after_responses(&mut self) {
        self.linger();
        self.unanswered.clear();
        self.change(ServerEvent::Closed, State::Over);
    }

    /// To be called before an end that the peer has not asked for: it may be sending, unless it has
    /// every answer and has begun nothing.
    fn linger(&mut self) {
        let is_idle = matches!(self.state, State::Line)
            && self.incoming.is_empty()
            && self.unanswered.is_empty()
            && self.outgoing.is_empty();
        if self.linger == Linger::Unwanted && !is_idle {
            self.linger = Linger::Wanted;
        }
    }

    /// Writes the answers to refused requests that are next in order.
    fn answer_refused(&mut self) {
        while let Some(&Place::Refused { reply }) = self.unanswered.front() {
            self.outgoing.put(reply.as_bytes());
            self.outgoing.put(b"\r\n");
            self.unanswered.pop_front();
        }
    }

    /// How many answers are owed.
    pub fn unanswered(&self) -> usize {
        self.unanswered.len()
    }

    /// Why this connection refused a request last, if it did: for logs and counters.
    pub fn fault(&self) -> Option<Fault> {
        self.fault
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
        self.writing.tried(n);
    }

    /// Gives back the memory that an idle connection does not need; to be called before waiting.
    pub fn release(&mut self) {
        self.incoming.release();
        self.outgoing.release();
        if self.unanswered.is_empty() {
            self.unanswered = VecDeque::new();
        }
    }
}
