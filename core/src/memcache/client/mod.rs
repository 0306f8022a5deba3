//! The client role of one memcache connection: requests and time in, bytes, frames of replies and
//! deadlines out.

#[cfg(feature = "client")]
mod block;
mod clock;
mod input;
#[cfg(feature = "client")]
mod lent;
mod outcome;
mod pending;
mod received;

use alloc::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use self::input::{Begun, Step, Taken};
use self::pending::PendingRequest;

#[cfg(feature = "client")]
use super::Payload;
use super::request::Prepared;
use super::response::{Response, ResponseSpans};
use super::states::{self, ClientEvent, ClientState};
use super::{Data, Dialect};
use crate::Instant;
use crate::buffer::Outgoing;
use crate::cannot_happen::cannot_happen;
use crate::memcache::{ClientTimeouts, Limits};
use crate::writing::WriteTimer;

#[cfg(feature = "client")]
pub(crate) use lent::NextFound;
pub use outcome::{AnswerError, End, OsError, Oversized, Reason, SendError};
pub use received::{Received, ReplyParser};

/// A request is put among the bytes to write while fewer than these wait: what has not been begun
/// can still be taken back.
const COMMIT: usize = 16 * 1024;

/// Room for so many requests is kept between bursts.
#[cfg(feature = "client")]
const KEPT_PLACES: usize = 64;

/// The longest value that is read: 1 GiB, memcached's own limit on `-I`. What is longer than that is
/// no response.
pub const MAX_DISCARDED: usize = 1 << 30;

/// Which request. Tickets of a connection are given in the order of the requests and never again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// A frame of a reply.
#[derive(Debug)]
pub struct Frame<'a> {
    /// The request that it answers.
    pub ticket: Ticket,
    /// Which key of the request a value is of; which request of a
    /// [`Batch`](super::request::Batch) a meta reply answers. `None` for a frame that answers the
    /// request as a whole, and for an error that some request of a batch was given.
    pub index: Option<usize>,
    /// The frame. A value's data is not in it.
    pub response: Response<'a>,
    /// The value; empty where the frame has none.
    pub data: Data<'a>,
    /// A copy of it, made by who parsed it.
    #[cfg_attr(not(feature = "client"), expect(dead_code, reason = "the cluster keeps it"))]
    copy: Option<Bytes>,
}

#[cfg(feature = "client")]
impl Frame<'_> {
    /// The value, to be kept.
    pub(crate) fn take_payload(&mut self) -> Payload {
        self.copy.take().map_or_else(|| self.data.into(), Payload::from)
    }
}

/// What a connection wants next; see [`ClientConnection::poll_output`].
#[derive(Debug)]
pub enum ClientOutput<'a> {
    /// A frame of a reply. It borrows the connection's buffer and is gone with the next call.
    Frame(Frame<'a>),
    /// An item of the reply is too large for us. What follows of the reply is told as ever.
    Oversized {
        /// The request.
        ticket: Ticket,
        /// As in [`Frame::index`].
        index: Option<usize>,
        /// What is too large.
        what: Oversized,
    },
    /// The request is over: its reply has ended, or will not. Told once for each request
    /// that was not cancelled.
    Done {
        /// The request.
        ticket: Ticket,
        /// Why there is no reply, or no more of it.
        outcome: Result<(), AnswerError>,
    },
    /// Bytes wait to be written: take them with [`ClientConnection::unsent`], then tell how many
    /// went with [`ClientConnection::wrote`].
    Write,
    /// Nothing to do until bytes come, a request is to be sent or this instant has come.
    Idle(Instant),
    /// Close the socket: why it is not used any more.
    Close(End),
}

/// A request that was taken and not begun.
#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    prepared: Prepared,
    deadline: Instant,
}

/// One server's connection, in the client's role. Requests are pipelined, replies are matched to
/// them in their order.
///
/// **The rule:** after every input, call [`poll_output`](Self::poll_output) until it says
/// [`ClientOutput::Idle`] or [`ClientOutput::Close`].
///
/// A reply is handed to its own request or to nobody:
///
/// - A deadline that passes, or a request that is [cancelled](Self::cancel), ends that request
///   alone. Its place in the order stays, and discards the late reply.
/// - A frame that cannot answer the request that is due (another command's, a value of a key that
///   was not asked for, a wrong opaque), a line that is no response, one that nobody had asked for,
///   and silence while replies are pending ([`ClientTimeouts::stall`]) fail the connection: nothing
///   more is read, and every request under way ends with an error.
/// - An error line in the reply to a retrieval of several keys is one key's where a value came before
///   it, and `END` follows. As the first line it refuses the whole request, and the connection ends:
///   memcached sends no `END` behind it, memcached's proxy does. So it does behind a part of any other reply, such as
///   the item of the only key.
/// - A value above [`Limits::value`], or with flags above 32 bits, is an error of its own key: it is
///   read and dropped, and the connection goes on. Of more than [`MAX_DISCARDED`] bytes it is no
///   response that a server could send. An item that a queue has handed out has no other copy: it is
///   taken up to the same length.
/// - What hides its answer is sent as a [`Batch`](super::request::Batch) only, closed by a request
///   that is answered.
///
/// The states are those of `docs/states.md`.
///
/// ```
/// use bytes::Bytes;
/// use core::time::Duration;
/// use windhover_core::Instant;
/// use windhover_core::memcache::request::{Prepared, Request};
/// use windhover_core::memcache::response::Response;
/// use windhover_core::memcache::{
///     ClientConnection, ClientOutput, ClientTimeouts, Dialect, Keys, Limits,
/// };
///
/// let (limits, timeouts) = (Limits::default(), ClientTimeouts::default());
/// let now = Instant::default();
/// let mut connection = ClientConnection::new(Dialect::Memcached, &limits, &timeouts, now);
/// let get = Request::Get(Keys::new(&[b"greeting"]));
/// let get = Prepared::new(&get, Bytes::new(), Dialect::Memcached, &limits)?;
/// let ticket = connection.send(&get, now + Duration::from_millis(250))?;
/// assert!(matches!(connection.poll_output(now), ClientOutput::Write));
/// connection.wrote(14); // `get greeting\r\n`
///
/// connection.receive(b"VALUE greeting 0 5\r\nhello\r\nEND\r\n");
/// match connection.poll_output(now) {
///     ClientOutput::Frame(frame) => {
///         assert_eq!((frame.ticket, frame.index, frame.data.len()), (ticket, Some(0), 5));
///     }
///     other => panic!("{other:?}"),
/// }
/// match connection.poll_output(now) {
///     ClientOutput::Frame(frame) => assert_eq!(frame.response, Response::End),
///     other => panic!("{other:?}"),
/// }
/// assert!(matches!(connection.poll_output(now), ClientOutput::Done { outcome: Ok(()), .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ClientConnection {
    parser: ReplyParser,
    timeouts: ClientTimeouts,
    received: Received,
    /// What was received is parsed by who reads it.
    is_borrowed: bool,
    outgoing: Outgoing,
    asking: ClientState,
    /// What was found on the last line, which is parsed once: its frame is made when its value has come.
    spans: Option<ResponseSpans>,
    begun: Option<Begun>,
    taken: Option<Taken>,
    /// The request whose reply has ended with the frame that was handed out last.
    finished: Option<Ticket>,
    pending: VecDeque<PendingRequest>,
    waiting: VecDeque<Waiting>,
    last_ticket: u64,
    /// How many bytes were put among those to write, and how many of them were written.
    put: u64,
    written: u64,
    /// No request that somebody waits for has a deadline before.
    earliest: Option<Instant>,
    /// When the last byte came or the last request was sent.
    active: Instant,
    /// When the last byte came, or the connection was made.
    heard: Instant,
    /// How many bytes to write are with their writer.
    lent: usize,
    writing: WriteTimer,
    end_of_stream: bool,
    end: Option<End>,
}

impl ClientConnection {
    /// A connection that was made at `now`. It holds no memory before bytes come.
    pub fn new(dialect: Dialect, limits: &Limits, timeouts: &ClientTimeouts, now: Instant) -> Self {
        Self {
            parser: ReplyParser::new(dialect, limits),
            timeouts: timeouts.clone(),
            received: Received::new(),
            is_borrowed: false,
            outgoing: Outgoing::new(),
            asking: ClientState::Asking,
            spans: None,
            begun: None,
            taken: None,
            finished: None,
            pending: VecDeque::new(),
            waiting: VecDeque::new(),
            last_ticket: 0,
            put: 0,
            written: 0,
            earliest: None,
            active: now,
            heard: now,
            lent: 0,
            writing: WriteTimer::default(),
            end_of_stream: false,
            end: None,
        }
    }

    /// Takes a request, to be sent in its turn. Its answer comes as [`ClientOutput::Frame`]s and
    /// one [`ClientOutput::Done`], at `deadline` at the latest.
    ///
    /// # Errors
    /// [`SendError`]: it was not taken and will not be sent.
    pub fn send(&mut self, prepared: &Prepared, deadline: Instant) -> Result<Ticket, SendError> {
        if self.end.is_some() || self.end_of_stream || self.asking == ClientState::Leaving {
            return Err(SendError::Ended);
        }
        if !prepared.expected().row.dialects.contains(&self.parser.dialect) {
            return Err(SendError::OtherDialect);
        }
        if self.in_flight() >= self.parser.limits.pipeline.max(1) {
            return Err(SendError::Full);
        }
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        if prepared.expected().row.form == super::command::ReplyForm::Nothing {
            self.shut_down();
        }
        self.waiting.push_back(Waiting { ticket, prepared: prepared.clone(), deadline });
        self.note_deadline(deadline);
        Ok(ticket)
    }

    /// Ends a request because nobody waits for it any more; nothing is told of it afterwards. Its
    /// place in the order stays when it has left. Says what is known of it; `None` where it was
    /// over already.
    pub fn cancel(&mut self, ticket: Ticket) -> Option<Cancelled> {
        if let Ok(at) = self.waiting.binary_search_by_key(&ticket, |waiting| waiting.ticket) {
            self.waiting.remove(at);
            return Some(Cancelled::NotSent);
        }
        let at = self.pending.binary_search_by_key(&ticket, |request| request.ticket).ok()?;
        let request = self.pending.get_mut(at).filter(|request| request.open)?;
        request.open = false;
        let ties_up = request.ties_up();
        if ties_up {
            self.spend(ClientEvent::Abandoned, End::Abandoned);
        }
        Some(Cancelled::Unknown)
    }

    /// Takes a copy of bytes that came in. An adapter that can read into a buffer uses
    /// [`read_buffer`](Self::read_buffer).
    pub fn receive(&mut self, bytes: &[u8]) {
        if self.end.is_none() {
            self.read_buffer().extend_from_slice(bytes);
        }
    }

    /// A buffer with spare capacity that a read appends to. At most 64 KiB is reserved, whatever
    /// length the server has declared.
    pub fn read_buffer(&mut self) -> &mut BytesMut {
        self.received.read_buffer()
    }

    /// Whether bytes are read: always, until the end. A server that closes the connection, or says
    /// something unasked, is noticed at once.
    pub const fn wants_read(&self) -> bool {
        self.end.is_none() && !self.end_of_stream
    }

    /// The server will send no more bytes.
    pub fn end_of_stream(&mut self) {
        self.end_of_stream = true;
    }

    /// The socket broke: an error from a read or a write, with what the operating system calls it
    /// (`errno`).
    pub fn broke(&mut self, os: Option<OsError>) {
        self.spend(ClientEvent::Broken, End::Broken { os });
    }

    /// Gives the connection up: every request under way ends with an error.
    #[cfg(feature = "client")]
    pub(crate) fn abandon(&mut self) {
        self.spend(ClientEvent::Abandoned, End::Abandoned);
    }

    /// Asks for an orderly end: what was taken is sent and answered, nothing else is taken.
    pub fn shut_down(&mut self) {
        let next = states::next(states::CLIENT, self.asking, &ClientEvent::Leave);
        self.asking = next.unwrap_or_else(|| cannot_happen(self.asking));
    }

    /// How many requests wait for the end of their replies, those among them that nobody waits for
    /// any more.
    pub fn in_flight(&self) -> usize {
        self.pending.len() + self.waiting.len()
    }

    /// How many replies are pending to requests whose deadline has passed or that were cancelled: the
    /// server is behind.
    pub fn discarding(&self) -> usize {
        self.pending.iter().filter(|request| !request.open).count()
    }

    /// Whether a request would be taken.
    pub fn takes_requests(&self) -> bool {
        self.end.is_none()
            && !self.end_of_stream
            && self.asking == ClientState::Asking
            && self.in_flight() < self.parser.limits.pipeline.max(1)
    }

    /// Why the connection is not used any more, once it is not.
    pub const fn end(&self) -> Option<End> {
        self.end
    }

    /// When the last byte came, as far as [`poll_output`](Self::poll_output) has seen; at first when
    /// the connection was made.
    pub const fn heard(&self) -> Instant {
        self.heard
    }

    /// Which dialect the server speaks.
    pub const fn dialect(&self) -> Dialect {
        self.parser.dialect
    }

    /// Does what can be done at `now`, and says what comes next.
    pub fn poll_output(&mut self, now: Instant) -> ClientOutput<'_> {
        self.received.look();
        if self.received.take_come() {
            self.active = now;
            self.heard = now;
        }
        self.drop_taken();
        if let Some(ticket) = self.finished.take() {
            return ClientOutput::Done { ticket, outcome: Ok(()) };
        }
        let read = self.read();
        self.received.note_seen();
        match read {
            Some(Step::Oversized { ticket, index, what }) => {
                ClientOutput::Oversized { ticket, index, what }
            }
            Some(_) => match self.taken_frame() {
                Some(frame) => ClientOutput::Frame(frame),
                // Its line was parsed before and has not changed since.
                None => cannot_happen(ClientOutput::Close(End::Malformed(
                    super::response::ResponseError::UnknownLine,
                ))),
            },
            None => self.write_or_wait(now),
        }
    }

    /// Reads on to what has to be told to a request that somebody waits for.
    fn read(&mut self) -> Option<Step> {
        while self.end.is_none() {
            match self.step() {
                Step::Again => {}
                told @ (Step::Frame | Step::Oversized { .. }) => return Some(told),
                Step::Starved if self.end_of_stream => self.ended(),
                Step::Starved => break,
            }
            if self.finished.is_some() {
                break;
            }
        }
        None
    }

    /// The server has closed the connection, which answers `quit` and `shutdown` once they were
    /// written: nothing else is behind them.
    fn ended(&mut self) {
        if self.received.is_at_line()
            && self.received.is_empty()
            && self.unwritten() == 0
            && self.pending.front().is_some_and(PendingRequest::is_answered_by_the_end)
            && let Some(request) = self.pending.pop_front()
            && request.open
        {
            self.finished = Some(request.ticket);
        }
        self.spend(ClientEvent::Ended, End::EndOfStream);
    }

    /// Fills `into` with the slices to write, in order, and returns how many it filled.
    pub fn unsent<'a>(&'a self, into: &mut [&'a [u8]]) -> usize {
        self.outgoing.slices(into)
    }

    /// The adapter wrote the first `n` unsent bytes. 0 says that the socket takes nothing now:
    /// [`poll_output`](Self::poll_output) says [`ClientOutput::Idle`] instead of
    /// [`ClientOutput::Write`] until some more is written or the deadline for that has passed.
    pub fn wrote(&mut self, n: usize) {
        let n = n.min(self.outgoing.len());
        self.outgoing.advance(n);
        self.note_written(n);
    }

    fn note_written(&mut self, n: usize) {
        self.written += u64::try_from(n).unwrap_or(u64::MAX);
        self.writing.wrote(n);
    }

    /// How many bytes wait to be written, wherever they are.
    fn unwritten(&self) -> usize {
        self.outgoing.len() + self.lent
    }

    /// Gives back the memory that an idle connection does not need; to be called before waiting.
    pub fn release(&mut self) {
        self.received.release();
        self.outgoing.release();
        if self.pending.is_empty() && self.pending.capacity() > 8 {
            self.pending = VecDeque::new();
        }
        if self.waiting.is_empty() && self.waiting.capacity() > 8 {
            self.waiting = VecDeque::new();
        }
    }

    /// Gives back what only a burst needs: a connection in use keeps the memory of its next request.
    #[cfg(feature = "client")]
    pub(crate) fn trim(&mut self) {
        self.received.trim();
        self.outgoing.trim();
        if self.pending.is_empty() && self.pending.capacity() > KEPT_PLACES {
            self.pending = VecDeque::new();
        }
        if self.waiting.is_empty() && self.waiting.capacity() > KEPT_PLACES {
            self.waiting = VecDeque::new();
        }
    }

    /// Nothing more is read, and nothing written.
    fn spend(&mut self, event: ClientEvent, end: End) {
        if self.end.is_none() {
            self.received.fail(event);
            self.end = Some(end);
        }
    }
}

/// What is known of a request that was cancelled.
///
/// ```
/// use bytes::Bytes;
/// use core::time::Duration;
/// use windhover_core::Instant;
/// use windhover_core::memcache::request::{Prepared, Request};
/// use windhover_core::memcache::{
///     Cancelled, ClientConnection, ClientOutput, ClientTimeouts, Dialect, Keys, Limits, Ticket,
/// };
///
/// let (limits, now) = (Limits::default(), Instant::default());
/// let mut connection =
///     ClientConnection::new(Dialect::Memcached, &limits, &ClientTimeouts::default(), now);
/// let get = Request::Get(Keys::new(&[b"greeting"]));
/// let get = Prepared::new(&get, Bytes::new(), Dialect::Memcached, &limits)?;
/// let ticket: Ticket = connection.send(&get, now + Duration::from_secs(1))?;
/// assert!(matches!(connection.poll_output(now), ClientOutput::Write));
/// connection.wrote(14);
/// assert_eq!(connection.cancel(ticket), Some(Cancelled::Unknown));
/// // Its late reply is nobody's.
/// connection.receive(b"END\r\n");
/// assert!(matches!(connection.poll_output(now), ClientOutput::Idle(_)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cancelled {
    /// It had not left, and will not: it has no effect.
    NotSent,
    /// It had left, or will: it may have an effect.
    Unknown,
}
