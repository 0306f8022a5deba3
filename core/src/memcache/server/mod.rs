//! The server role of one memcache connection: bytes and time in, requests, bytes and deadlines out.

mod clock;
#[cfg(test)]
mod faults;
mod input;
mod pending;
mod responses;

use bytes::BytesMut;

use self::clock::PeerClock;
use self::input::{Input, State, Step};
use self::responses::Closing;
use super::Data;
use super::Dialect;
use super::request::{Request, RequestFault};
use super::states::{ServerEvent, ServerState};
use crate::buffer::Spare;
use crate::cannot_happen::cannot_happen;
use crate::linger::Linger;
use crate::memcache::Limits;
use crate::writing::WriteTimer;
use crate::{Instant, Now, Timeouts};

pub(super) use self::pending::Later;
pub use self::responses::Responses;
pub(crate) use self::responses::SparePending;
pub(super) use self::responses::{Given, TIMED_OUT, Turn};

/// What a connection wants next; see [`ServerConnection::poll_output`].
#[derive(Debug)]
pub enum Output<'a> {
    /// A request. Answer it with [`Responses::respond`] while it is there, or with
    /// [`Responses::respond`] of [`ServerConnection::responses_mut`] later. It borrows the connection's buffer and is gone with the next
    /// call.
    Request {
        /// The request.
        request: Request<'a>,
        /// Its data block; empty where the command has none.
        data: Data<'a>,
        /// Where its reply goes, unless earlier requests still wait for theirs.
        responses: &'a mut Responses,
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
/// answers that are pending before them.
///
/// The states are those of `docs/states.md`. Where the peer has to
/// authenticate first ([`require_authentication`](Self::require_authentication)), everything else
/// is refused until it has.
///
/// At an end that the peer has not asked for (a shut-down, a fatal error, a deadline), it may still
/// be sending, unless nothing was under way. To close then would send a reset, which can destroy
/// answers that it has not read yet: the write half is closed ([`Output::CloseWrite`]), and what comes
/// is dropped until the peer closes too, for two seconds at most and up to 16 MiB, which is what socket
/// buffers hold. memcached closes at once.
///
/// Deadlines ([`Timeouts`]): `head` from the first byte of a line to its end, `body` from there to
/// the end of the block, `idle` while neither side waits for the other, `write` while unsent bytes
/// make no progress. The peer's clock stands still while [`wants_read`](Self::wants_read) says no
/// for lack of room, and while only the application owes something. After `head` and `body`, what
/// was asked before is still answered; after `write`, nothing is. A request that the application has not
/// answered within `answer` (and what the request itself may wait: `t=`, `monitor`) is answered
/// `SERVER_ERROR`, and the connection ends.
///
/// ```
/// use windhover_core::memcache::request::Request;
/// use windhover_core::memcache::response::Response;
/// use windhover_core::memcache::{Dialect, Limits, Output, ServerConnection};
/// use windhover_core::{Now, Timeouts};
///
/// let now = Now::default();
/// let (limits, timeouts) = (Limits::default(), Timeouts::default());
/// let mut connection = ServerConnection::new(Dialect::Memcached, &limits, &timeouts, now.instant);
/// connection.receive(b"set k 0 0 5\r\nhello\r\nbogus\r\n");
/// match connection.poll_output(now) {
///     Output::Request { request: Request::Set(item), data, .. } => {
///         assert_eq!((item.key, data.len()), (&b"k"[..], 5));
///     }
///     other => panic!("{other:?}"),
/// }
/// connection.responses_mut().respond(&Response::Stored);
/// assert!(matches!(connection.poll_output(now), Output::Write));
/// let mut slices = [&b""[..]; 4];
/// let filled = connection.unsent(&mut slices);
/// assert_eq!(slices[..filled].concat(), b"STORED\r\nERROR\r\n");
/// ```
#[derive(Debug)]
pub struct ServerConnection {
    input: Input,
    responses: Responses,
    timeouts: Timeouts,
    state: State,
    /// Why a request was refused last.
    fault: Option<RequestFault>,
    ending: Ending,
    linger: Linger,
    peer: PeerClock,
    writing: WriteTimer,
}

impl ServerConnection {
    /// A connection that was accepted at `now`. It holds no memory before bytes come.
    pub fn new(dialect: Dialect, limits: &Limits, timeouts: &Timeouts, now: Instant) -> Self {
        Self {
            responses: Responses::new(limits.unsent),
            input: Input::new(dialect, limits),
            timeouts: timeouts.clone(),
            state: State::Line,
            fault: None,
            ending: Ending::Open,
            linger: Linger::default(),
            peer: PeerClock::start(now),
            writing: WriteTimer::default(),
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
    /// use windhover_core::memcache::{Dialect, Limits, Output, ServerConnection};
    /// use windhover_core::{Now, Timeouts};
    ///
    /// let now = Now::default();
    /// let (limits, timeouts) = (Limits::default(), Timeouts::default());
    /// let mut connection = ServerConnection::new(Dialect::Memcached, &limits, &timeouts, now.instant);
    /// connection.require_authentication();
    /// connection.receive(b"get secret\r\nset - 0 0 9\r\nuser pass\r\n");
    /// let accepted = match connection.poll_output(now) {
    ///     Output::Request { request: Request::Authenticate { user, password }, .. } => {
    ///         (user, password) == (&b"user"[..], &b"pass"[..])
    ///     }
    ///     other => panic!("{other:?}"),
    /// };
    /// assert!(accepted && !connection.is_open());
    /// connection.responses_mut().respond(&Response::Stored);
    /// assert!(connection.is_open());
    /// ```
    pub fn require_authentication(&mut self) {
        self.responses.admit(ServerEvent::AuthenticationRequired);
    }

    /// Whether every request is taken: no authentication was asked for, or it has succeeded.
    pub fn is_open(&self) -> bool {
        self.responses.access == ServerState::Open
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
        self.input.incoming.read_buffer(expected)
    }

    /// Whether more bytes are wanted. They are not while [`Limits::pipeline`] requests are
    /// unanswered, while more than [`Limits::unsent`] bytes wait to be written, and at the end.
    pub fn wants_read(&self) -> bool {
        let more = match self.state {
            _ if self.responses.closing != Closing::Open => {
                matches!(self.state, State::Lingering(_)) && !self.has_ended()
            }
            State::Over => false,
            State::Line => self.ending == Ending::Open,
            // What was begun is finished.
            State::Block { .. }
            | State::Large(_)
            | State::Discarding { .. }
            | State::Lingering(_) => !self.has_ended(),
        };
        let held_enough =
            self.responses.holds() && self.input.incoming.len() >= self.input.limits.line;
        more && self.has_room() && !held_enough
    }

    /// The peer will send no more bytes. What it has sent completely is still answered.
    pub fn end_of_stream(&mut self) {
        self.ending = Ending::EndOfStream;
        self.responses.ending = true;
    }

    fn has_ended(&self) -> bool {
        self.ending == Ending::EndOfStream
    }

    /// Asks for an orderly end: requests that have come are answered, a data block that has begun
    /// is waited for (up to [`Timeouts::body`]), nothing else is begun.
    pub fn shut_down(&mut self) {
        if self.ending == Ending::Open {
            self.ending = Ending::ShuttingDown;
            self.responses.ending = true;
        }
    }

    /// Does what can be done at `now`, and says what comes next.
    pub fn poll_output(&mut self, now: Now) -> Output<'_> {
        let now = now.instant;
        self.drop_taken();
        self.note_close();
        self.hold_clock(now);
        let step = match self.hand_out_again(now) {
            Some(step) => step,
            None => self.read(now),
        };
        let output = match step {
            Step::Request => {
                let verifying = self.responses.access == ServerState::Verifying;
                let responses = &mut self.responses;
                let request = self.input.request(verifying);
                request.map(|(request, data)| Output::Request { request, data, responses })
            }
            Step::TooLarge { line } => {
                self.input.refused_request(line).map(|request| Output::TooLarge { request })
            }
            Step::Again | Step::Starved => return self.write_or_wait(now),
        };
        // Its line was parsed before and has not changed since.
        output.unwrap_or_else(|| cannot_happen(Output::Close))
    }

    /// The application has ended the connection since the last call.
    fn note_close(&mut self) {
        if let Closing::Asked { active } = self.responses.closing {
            self.responses.closing = Closing::Closed;
            let idle = !active && self.input.incoming.is_empty();
            if !(idle && matches!(self.state, State::Line)) {
                self.linger.want();
            }
            self.change(ServerEvent::Closed, State::Over);
        }
    }

    /// Reads up to the next request, or to the end of what has come.
    fn read(&mut self, now: Instant) -> Step {
        while self.has_room() && !self.responses.holds() {
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
        if matches!(self.state, State::Over | State::Lingering(_)) {
            self.drop_what_came(now);
        }
        Step::Starved
    }

    /// Nothing is read any more.
    fn drop_what_came(&mut self, now: Instant) {
        let come = self.input.incoming.len();
        self.input.incoming.consume(come);
        if let State::Lingering(lingering) = &mut self.state
            && lingering.read_on(come, now).is_none()
        {
            self.enter(ServerEvent::TimedOut, State::Over, now);
        }
    }

    /// Whether another request may be taken.
    fn has_room(&self) -> bool {
        self.responses.unanswered() < self.input.limits.pipeline.max(1) && !self.responses.is_full()
    }

    /// What became of the replies to requests that were handed out.
    pub const fn responses(&self) -> &Responses {
        &self.responses
    }

    /// Where they go.
    pub const fn responses_mut(&mut self) -> &mut Responses {
        &mut self.responses
    }

    /// To be called before an end that the peer has not asked for: it may be sending, unless it has
    /// every answer and has begun nothing.
    fn linger(&mut self) {
        let is_idle = matches!(self.state, State::Line)
            && self.input.incoming.is_empty()
            && self.responses.pending.is_empty()
            && self.responses.outgoing.is_empty();
        if !is_idle {
            self.linger.want();
        }
    }

    /// Why this connection refused a request last, if it did: for logs and counters.
    pub fn fault(&self) -> Option<RequestFault> {
        self.fault
    }

    /// Fills `into` with the slices to write, in order, and returns how many it filled.
    pub fn unsent<'a>(&'a self, into: &mut [&'a [u8]]) -> usize {
        self.responses.outgoing.slices(into)
    }

    /// The adapter wrote the first `n` unsent bytes. 0 says that the socket takes nothing now:
    /// [`poll_output`](Self::poll_output) says [`Output::Idle`] instead of [`Output::Write`] until
    /// some more is written or the deadline for that has passed.
    pub fn wrote(&mut self, n: usize) {
        self.responses.outgoing.advance(n);
        self.writing.wrote(n);
    }

    /// How many bytes of memory it holds for the peer: what has come and was not worked off, replies that
    /// wait to be written.
    pub fn held(&self) -> usize {
        self.input.held() + self.state.held() + self.responses.held_bytes()
    }

    /// Gives back the memory that an idle connection does not need; to be called before waiting.
    pub fn release(&mut self) {
        self.input.incoming.release();
        self.responses.release();
    }

    /// Takes over the memory that another connection has left ([`Endpoint::reuse`](crate::endpoint::Endpoint::reuse)).
    pub fn reuse(&mut self, spare: &mut Spare) {
        self.input.incoming.reuse(spare);
        self.responses.reuse(spare);
    }

    /// As [`release`](Self::release), and leaves memory for the next connection
    /// ([`Endpoint::release_to`](crate::endpoint::Endpoint::release_to)).
    pub fn release_to(&mut self, spare: &mut Spare) {
        self.input.incoming.release_to(spare);
        self.responses.release_to(spare);
    }
}
