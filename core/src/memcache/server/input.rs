//! What the bytes that come in are, from line to block to line.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;

use super::ServerConnection;
use super::clock::PeerClock;
use super::owed::{Owed, Place};
use crate::Instant;
use crate::buffer::Incoming;
use crate::memcache::request::{self, Fault, Recovery, Request, RequestError};
use crate::memcache::states::{self, ServerEvent, ServerState};
use crate::memcache::{Data, Dialect, line};

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
    Block { line: usize, length: usize, owed: Owed },
    /// A block above [`SEGMENT`], which leaves the buffer piece by piece.
    Large(Box<Large>),
    /// What is left of a refused request; then it is answered.
    Swallow { left: usize, reply: Option<&'static str> },
    /// Nothing more is read.
    Over,
    /// What comes is dropped.
    Lingering,
}

impl State {
    /// Its name in the table.
    pub(super) const fn name(&self) -> ServerState {
        match self {
            Self::Line => ServerState::Line,
            Self::Block { .. } => ServerState::Block,
            Self::Large(_) => ServerState::LargeBlock,
            Self::Swallow { .. } => ServerState::Swallow,
            Self::Over => ServerState::Over,
            Self::Lingering => ServerState::Lingering,
        }
    }
}

/// A value that is collected without a copy.
#[derive(Debug)]
pub(super) struct Large {
    pub(super) line: Bytes,
    pub(super) segments: Vec<Bytes>,
    pub(super) length: usize,
    left: usize,
    owed: Owed,
}

/// A request that was handed out; its bytes are dropped with the next call.
#[derive(Debug)]
pub(super) enum Taken {
    InPlace { line: usize, data: usize, whole: usize },
    Large(Box<Large>),
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
        let have = self.incoming.len();
        match &self.state {
            State::Line | State::Over | State::Lingering => 0,
            State::Block { line, length, .. } => (line + length + BLOCK_END).saturating_sub(have),
            State::Large(large) => (large.left + BLOCK_END).saturating_sub(have),
            State::Swallow { left, .. } => *left,
        }
    }

    pub(super) fn step(&mut self, now: Instant) -> Step {
        match &mut self.state {
            State::Line => self.read_line(now),
            State::Block { line, length, owed } => {
                let (line, length, owed) = (*line, *length, *owed);
                self.read_block(line, length, owed, now)
            }
            State::Large(large) => {
                if large.left == 0 {
                    return self.end_large(now);
                }
                let Some(segment) = self.incoming.take_segment(large.left) else {
                    return Step::Starved;
                };
                large.left -= segment.len();
                large.segments.push(segment);
                Step::Again
            }
            State::Swallow { left, reply } => {
                let have = self.incoming.len().min(*left);
                *left -= have;
                self.incoming.consume(have);
                if *left > 0 {
                    return Step::Starved;
                }
                let reply = *reply;
                self.enter(ServerEvent::Swallowed, State::Line, now);
                self.refused(reply);
                Step::Again
            }
            State::Over | State::Lingering => Step::Starved,
        }
    }

    fn read_line(&mut self, now: Instant) -> Step {
        if self.incoming.is_empty() {
            return Step::Starved;
        }
        let newline = self.incoming.find_newline();
        let bytes = self.incoming.bytes();
        let long_gets = self.is_open() && !self.dialect.is_queue();
        let length = match line::judge(bytes, newline, self.dialect, long_gets, &self.limits) {
            Ok(Some(length)) => length,
            Ok(None) => {
                self.peer.begin_line(now);
                return Step::Starved;
            }
            Err(error) => return self.refuse(error, now),
        };
        let text = bytes.get(..length).unwrap_or(bytes);
        if !self.is_open() {
            return match request::parse_credentials_line(text) {
                Ok(data) => {
                    let request = Request::Authenticate { user: &[], password: &[] };
                    let owed = Owed::of(&request, self.dialect);
                    let block = State::Block { line: length, length: data, owed };
                    self.enter(ServerEvent::BlockAnnounced, block, now);
                    Step::Again
                }
                Err(error) => self.refuse(error, now),
            };
        }
        let parsed = match request::parse_line(text, self.dialect, &self.limits) {
            Ok(parsed) => parsed,
            Err(error) => {
                let too_large = matches!(error.fault, Fault::ValueTooLarge { .. });
                let refused = self.refuse(error, now);
                return if too_large { Step::TooLarge { line: length } } else { refused };
            }
        };
        let owed = Owed::of(&parsed.request, self.dialect);
        let quits = parsed.request == Request::Quit;
        match parsed.data {
            // It has no answer: the connection ends behind those before it.
            None if quits => {
                self.enter(ServerEvent::Quit, State::Over, now);
                Step::Again
            }
            None => {
                let taken = Taken::InPlace { line: length, data: 0, whole: length };
                self.take(ServerEvent::Request, taken, owed, now)
            }
            Some(data) if data <= SEGMENT => {
                let block = State::Block { line: length, length: data, owed };
                self.enter(ServerEvent::BlockAnnounced, block, now);
                Step::Again
            }
            Some(data) => {
                let line = self.incoming.take(length);
                let large = Large { line, segments: Vec::new(), length: data, left: data, owed };
                let block = State::Large(Box::new(large));
                self.enter(ServerEvent::LargeBlockAnnounced, block, now);
                Step::Again
            }
        }
    }

    fn read_block(&mut self, line: usize, length: usize, owed: Owed, now: Instant) -> Step {
        let whole = line + length + BLOCK_END;
        let Some(block) = self.incoming.bytes().get(line..whole) else {
            return Step::Starved;
        };
        let data = request::split_block(block);
        if !self.is_open() {
            let fault = match data.map(request::split_credentials) {
                Some(Some(_)) => None,
                Some(None) => Some(Fault::BadCredentials),
                None => Some(Fault::BadCredentialsEnd),
            };
            if let Some(fault) = fault {
                return self.refuse(RequestError::new(fault, self.dialect, false, whole), now);
            }
            self.admit(ServerEvent::Credentials);
            // What follows depends on whether the peer is let in.
            self.held = true;
        } else if data.is_none() {
            return self.refuse(request::bad_block(owed.noreply(), self.dialect, whole), now);
        }
        let taken = Taken::InPlace { line, data: length, whole };
        self.take(ServerEvent::BlockComplete, taken, owed, now)
    }

    fn end_large(&mut self, now: Instant) -> Step {
        let Some(end) = self.incoming.bytes().get(..BLOCK_END) else {
            return Step::Starved;
        };
        let legal = request::split_block(end).is_some();
        self.incoming.consume(BLOCK_END);
        if !legal {
            // Line and block have left the buffer already.
            let noreply = matches!(&self.state, State::Large(large) if large.owed.noreply());
            return self.refuse(request::bad_block(noreply, self.dialect, 0), now);
        }
        match self.enter(ServerEvent::BlockComplete, State::Line, now) {
            State::Large(large) => {
                let owed = large.owed;
                self.hand_out(Taken::Large(large), owed)
            }
            _ => Step::Again,
        }
    }

    fn take(&mut self, event: ServerEvent, taken: Taken, owed: Owed, now: Instant) -> Step {
        self.enter(event, State::Line, now);
        self.hand_out(taken, owed)
    }

    /// Hands a request out: it takes its place in the order of answers.
    fn hand_out(&mut self, taken: Taken, owed: Owed) -> Step {
        self.taken = Some(taken);
        self.unanswered.push_back(Place::Request(owed));
        Step::Request
    }

    /// Drops the bytes of the request that was handed out last.
    pub(super) fn drop_taken(&mut self) {
        if let Some(Taken::InPlace { whole, .. }) = self.taken.take() {
            self.incoming.consume(whole);
        }
    }

    fn refuse(&mut self, error: RequestError, now: Instant) -> Step {
        self.fault = Some(error.fault);
        match error.recovery {
            Recovery::Skip(left) => {
                let reply = error.reply;
                self.enter(ServerEvent::Refused, State::Swallow { left, reply }, now);
            }
            Recovery::Close => {
                self.linger();
                self.enter(ServerEvent::Fatal, State::Over, now);
                self.refused(error.reply);
            }
        }
        Step::Again
    }

    /// The answer to a refused request takes its place behind those that are still owed.
    fn refused(&mut self, reply: Option<&'static str>) {
        if let Some(reply) = reply {
            self.unanswered.push_back(Place::Refused { reply });
            self.answer_refused();
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

    /// The request that was handed out, read again from its bytes.
    pub(super) fn taken_request(&self) -> Option<(Request<'_>, Data<'_>)> {
        let (line, data) = match self.taken.as_ref()? {
            Taken::InPlace { line, data, .. } => {
                let whole = self.incoming.bytes().get(..line + data)?;
                let (line, data) = whole.split_at_checked(*line).unwrap_or_default();
                (line, Data::new(data))
            }
            Taken::Large(large) => {
                (&large.line[..], Data::of_segments(&large.segments, large.length))
            }
        };
        if self.access == ServerState::Verifying {
            let block = data.chunks().next().unwrap_or_default();
            let credentials = request::split_credentials(block);
            let authenticate = |(user, password)| Request::Authenticate { user, password };
            return credentials.map(authenticate).map(|request| (request, Data::new(&[])));
        }
        let parsed = request::parse_line(line, self.dialect, &self.limits).ok();
        parsed.map(|parsed| (parsed.request, data))
    }

    /// The request that was refused for the length of its value alone, read again from its line.
    pub(super) fn refused_request(&self, line: usize) -> Option<Request<'_>> {
        let mut limits = self.limits.clone();
        limits.value = usize::MAX;
        let text = self.incoming.bytes().get(..line)?;
        let parsed = request::parse_line(text, self.dialect, &limits).ok();
        parsed.map(|parsed| parsed.request)
    }

    /// Which dialect the peer speaks.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }
}
