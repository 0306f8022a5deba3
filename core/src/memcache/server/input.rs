//! What the bytes that come in are, from line to block to line.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;

use super::ServerConnection;
use super::clock::PeerClock;
use crate::Instant;
use crate::buffer::Incoming;
use crate::cannot_happen::cannot_happen;
use crate::linger::Lingering;
use crate::memcache::command::Command;
use crate::memcache::request::{
    self, ErrorRecovery, Request, RequestError, RequestFault, RequestSpans,
};
use crate::memcache::states::{self, ServerEvent, ServerState};
use crate::memcache::{Data, Dialect, Limits, line};

/// The longest value that is handed on as one slice.
const SEGMENT: usize = Incoming::SEGMENT;
/// The two bytes behind a data block.
const BLOCK_END: usize = 2;

/// What is being read. [`states::SERVER`] shows how they follow each other.
#[derive(Debug)]
pub(super) enum State {
    /// A line, or nothing yet.
    Line,
    /// The block of the line at the front of the buffer, both of which stay there.
    Block { line: usize, length: usize },
    /// A block above [`SEGMENT`], which leaves the buffer piece by piece.
    Large(Box<Large>),
    /// What is left of a refused request; then it is answered.
    Discarding { left: usize, reply: Option<&'static str> },
    /// Nothing more is read.
    Over,
    /// What comes is dropped.
    Lingering(Lingering),
}

impl State {
    /// How many bytes have left the buffer for it.
    pub(super) fn held(&self) -> usize {
        match self {
            Self::Large(large) => large.length - large.left,
            _ => 0,
        }
    }

    /// Its name in the table.
    pub(super) const fn name(&self) -> ServerState {
        match self {
            Self::Line => ServerState::Line,
            Self::Block { .. } => ServerState::Block,
            Self::Large(_) => ServerState::LargeBlock,
            Self::Discarding { .. } => ServerState::Discarding,
            Self::Over => ServerState::Over,
            Self::Lingering(_) => ServerState::Lingering,
        }
    }
}

/// A value that is collected without a copy.
#[derive(Debug)]
pub(super) struct Large {
    line: Bytes,
    segments: Vec<Bytes>,
    length: usize,
    left: usize,
}

/// Where the bytes of the request are that was handed out; they are dropped with the next call.
#[derive(Debug)]
pub(super) enum Taken {
    /// At the front of the buffer.
    Buffer { line: usize, length: Option<usize> },
    /// They have left it.
    Large(Box<Large>),
}

/// The half of a connection that reads: what requests borrow from.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) dialect: Dialect,
    pub(super) limits: Limits,
    pub(super) incoming: Incoming,
    /// What was found on the last line, which is parsed once: its request is put together when its
    /// block has come, and again when it was postponed.
    spans: Option<RequestSpans>,
    taken: Option<Taken>,
}

impl Input {
    pub(super) fn new(dialect: Dialect, limits: &Limits) -> Self {
        let (incoming, limits) = (Incoming::new(), limits.clone());
        Self { dialect, limits, incoming, spans: None, taken: None }
    }

    /// How many bytes of memory it holds.
    pub(super) fn held(&self) -> usize {
        let taken = match &self.taken {
            Some(Taken::Large(large)) => large.length,
            _ => 0,
        };
        self.incoming.capacity() + taken
    }

    /// The request that was handed out.
    pub(super) fn request(&self, verifying: bool) -> Option<(Request<'_>, Data<'_>)> {
        let (Some(taken), Some(spans)) = (&self.taken, &self.spans) else {
            return cannot_happen(None);
        };
        let (line, data) = match taken {
            Taken::Buffer { line, length } => {
                let bytes = self.incoming.bytes();
                let whole = line + length.unwrap_or_default();
                let (line, block) = (bytes.get(..*line), bytes.get(*line..whole));
                (
                    line.unwrap_or_else(|| cannot_happen(&[])),
                    Data::new(block.unwrap_or_else(|| cannot_happen(&[]))),
                )
            }
            Taken::Large(large) => {
                (&large.line[..], Data::of_segments(&large.segments, large.length))
            }
        };
        if verifying {
            let block = data.chunks().next().unwrap_or_default();
            let credentials = request::split_credentials(block);
            let authenticate = |(user, password)| Request::Authenticate { user, password };
            return credentials.map(authenticate).map(|request| (request, Data::default()));
        }
        Some((spans.resolve(line), data))
    }

    /// The request that was refused for the length of its value alone; its line is still there.
    pub(super) fn refused_request(&self, line: usize) -> Option<Request<'_>> {
        match (&self.spans, self.incoming.bytes().get(..line)) {
            (Some(spans), Some(line)) => Some(spans.resolve(line)),
            _ => cannot_happen(None),
        }
    }

    /// Drops the bytes of the request that was handed out last.
    fn drop_taken(&mut self) {
        if let Some(Taken::Buffer { line, length }) = self.taken.take() {
            self.incoming.consume(line + length.map_or(0, |length| length + BLOCK_END));
        }
    }
}

/// What a step came to.
pub(super) enum Step {
    /// Another step may do more.
    Again,
    /// A request was taken.
    Request,
    /// A request was refused for the length of its value; its line is at the front of the buffer.
    TooLarge { line: usize },
    /// More bytes are wanted.
    Starved,
}

impl ServerConnection {
    /// How many bytes the peer has promised, as far as that is known.
    pub(super) fn expected(&self) -> usize {
        let have = self.input.incoming.len();
        match &self.state {
            State::Line | State::Over | State::Lingering(_) => 0,
            State::Block { line, length, .. } => (line + length + BLOCK_END).saturating_sub(have),
            State::Large(large) => (large.left + BLOCK_END).saturating_sub(have),
            State::Discarding { left, .. } => *left,
        }
    }

    pub(super) fn step(&mut self, now: Instant) -> Step {
        match &mut self.state {
            State::Line => self.read_line(now),
            State::Block { line, length } => {
                let (line, length) = (*line, *length);
                self.read_block(line, length, now)
            }
            State::Large(large) => {
                if large.left == 0 {
                    return self.end_large(now);
                }
                let Some(segment) = self.input.incoming.take_segment(large.left) else {
                    return Step::Starved;
                };
                large.left -= segment.len();
                large.segments.push(segment);
                Step::Again
            }
            State::Discarding { left, reply } => {
                let have = self.input.incoming.len().min(*left);
                *left -= have;
                self.input.incoming.consume(have);
                if *left > 0 {
                    return Step::Starved;
                }
                let reply = *reply;
                self.enter(ServerEvent::Discarded, State::Line, now);
                self.refused(reply);
                Step::Again
            }
            State::Over | State::Lingering(_) => Step::Starved,
        }
    }

    fn read_line(&mut self, now: Instant) -> Step {
        if self.input.incoming.is_empty() {
            return Step::Starved;
        }
        let newline = self.input.incoming.find_newline();
        let bytes = self.input.incoming.bytes();
        let long_gets = self.is_open() && !self.input.dialect.is_queue();
        let length =
            match line::check(bytes, newline, self.input.dialect, long_gets, &self.input.limits) {
                Ok(Some(length)) => length,
                Ok(None) => {
                    self.peer.begin_line(now);
                    return Step::Starved;
                }
                Err(error) => return self.refuse(error, now),
            };
        let text = bytes.get(..length).unwrap_or(bytes);
        let dialect = self.input.dialect;
        if !self.is_open() {
            return match request::parse_credentials_line(text) {
                Ok(data) => {
                    self.input.spans = RequestSpans::of_credentials(dialect, data);
                    let block = State::Block { line: length, length: data };
                    self.enter(ServerEvent::BlockAnnounced, block, now);
                    Step::Again
                }
                Err(error) => self.refuse(error, now),
            };
        }
        let limits = &self.input.limits;
        let kept = &mut self.input.spans;
        let parsed = request::with_spans_of_any_length(text, dialect, limits, |spans| {
            *kept = Some(*spans);
            Ok((spans.data(), spans.command()))
        });
        match parsed {
            Err(error) => self.refuse(error, now),
            // It has no answer: the connection ends behind those before it.
            Ok((None, Command::Quit)) => {
                self.enter(ServerEvent::Quit, State::Over, now);
                Step::Again
            }
            Ok((None, _)) => {
                self.take(ServerEvent::Request, Taken::Buffer { line: length, length: None }, now)
            }
            Ok((Some(data), _)) => self.announce(length, data, now),
        }
    }

    /// A line of `line` bytes says that `length` bytes of data follow.
    fn announce(&mut self, line: usize, length: usize, now: Instant) -> Step {
        let Input { spans, limits, dialect, .. } = &self.input;
        let checked = spans.map_or(Ok(()), |spans| spans.check_length(line, *dialect, limits));
        if let Err(error) = checked {
            self.refuse(error, now);
            return Step::TooLarge { line };
        }
        let (event, block) = if length <= SEGMENT {
            (ServerEvent::BlockAnnounced, State::Block { line, length })
        } else {
            let line = self.input.incoming.take(line);
            let large = Large { line, segments: Vec::new(), length, left: length };
            (ServerEvent::LargeBlockAnnounced, State::Large(Box::new(large)))
        };
        self.enter(event, block, now);
        Step::Again
    }

    /// Whether the last line asked for no answer at all.
    fn noreply(&self) -> bool {
        self.input.spans.is_some_and(|spans| spans.noreply())
    }

    fn read_block(&mut self, line: usize, length: usize, now: Instant) -> Step {
        let whole = line + length + BLOCK_END;
        let Some(block) = self.input.incoming.bytes().get(line..whole) else {
            return Step::Starved;
        };
        let data = request::split_block(block);
        if !self.is_open() {
            let fault = match data.map(request::split_credentials) {
                Some(Some(_)) => None,
                Some(None) => Some(RequestFault::BadCredentials),
                None => Some(RequestFault::BadCredentialsEnd),
            };
            if let Some(fault) = fault {
                let dialect = self.input.dialect;
                return self.refuse(RequestError::new(fault, None, dialect, false, whole), now);
            }
            self.responses.admit(ServerEvent::Credentials);
            // What follows depends on whether the peer is let in.
            self.responses.hold_requests();
        } else if data.is_none() {
            return self.refuse(request::bad_block(self.noreply(), self.input.dialect, whole), now);
        }
        let taken = Taken::Buffer { line, length: Some(length) };
        self.take(ServerEvent::BlockComplete, taken, now)
    }

    fn end_large(&mut self, now: Instant) -> Step {
        let Some(end) = self.input.incoming.bytes().get(..BLOCK_END) else {
            return Step::Starved;
        };
        let legal = request::split_block(end).is_some();
        self.input.incoming.consume(BLOCK_END);
        if !legal {
            // Line and block have left the buffer already.
            return self.refuse(request::bad_block(self.noreply(), self.input.dialect, 0), now);
        }
        match self.enter(ServerEvent::BlockComplete, State::Line, now) {
            State::Large(large) => self.hand_out(Taken::Large(large), now),
            _ => cannot_happen(Step::Again),
        }
    }

    fn take(&mut self, event: ServerEvent, taken: Taken, now: Instant) -> Step {
        self.enter(event, State::Line, now);
        self.hand_out(taken, now)
    }

    /// Hands a request out: its reply takes its place in the order of replies.
    fn hand_out(&mut self, taken: Taken, now: Instant) -> Step {
        self.input.taken = Some(taken);
        match &self.input.spans {
            Some(spans) => self.responses.push(spans, now + self.timeouts.answer + spans.wait()),
            None => cannot_happen(()),
        }
        Step::Request
    }

    /// Drops the bytes of the request that was handed out last, unless it is to be handed out again.
    pub(super) fn drop_taken(&mut self) {
        if !self.responses.postponed {
            self.input.drop_taken();
        }
    }

    /// Hands out again what was postponed, once every other request is answered.
    pub(super) fn hand_out_again(&mut self, now: Instant) -> Option<Step> {
        if !self.responses.postponed || self.responses.unanswered() > 0 {
            return None;
        }
        self.responses.postponed = false;
        match self.input.taken.take() {
            Some(taken) => Some(self.hand_out(taken, now)),
            None => cannot_happen(None),
        }
    }

    fn refuse(&mut self, error: RequestError, now: Instant) -> Step {
        self.fault = Some(error.fault);
        match error.recovery {
            ErrorRecovery::Skip(left) => {
                let reply = error.reply;
                self.enter(ServerEvent::Refused, State::Discarding { left, reply }, now);
            }
            ErrorRecovery::Close => {
                self.linger();
                self.enter(ServerEvent::Fatal, State::Over, now);
                self.refused(error.reply);
            }
        }
        Step::Again
    }

    /// The answer to a refused request takes its place behind those that are still pending.
    fn refused(&mut self, reply: Option<&'static str>) {
        if let Some(reply) = reply {
            self.responses.push_refused(reply);
        }
    }

    /// Goes where the event leads, as the table says; the state that was left.
    pub(super) fn change(&mut self, event: ServerEvent, state: State) -> State {
        debug_assert_eq!(
            states::next(states::SERVER, self.state.name(), &event),
            Some(state.name()),
            "{event:?} in {:?}",
            self.state
        );
        core::mem::replace(&mut self.state, state)
    }

    /// The same, and the peer's clock starts anew.
    pub(super) fn enter(&mut self, event: ServerEvent, state: State, now: Instant) -> State {
        self.peer = PeerClock::start(now);
        self.change(event, state)
    }

    /// Which dialect the peer speaks.
    pub fn dialect(&self) -> Dialect {
        self.input.dialect
    }
}
