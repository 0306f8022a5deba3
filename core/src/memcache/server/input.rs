//! What the bytes that come in are, from line to block to line.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;

use super::clock::PeerClock;
use super::{Place, ServerConnection};
use crate::Instant;
use crate::memcache::request::{self, Recovery, Request, RequestError};
use crate::memcache::{Dialect, line};

/// The longest value that is handed on as one slice, and the longest segment of a longer one.
const SEGMENT: usize = 64 * 1024;
/// A segment is cut off before the buffer has less room than this: growing it would copy.
const ROOM: usize = 4 * 1024;
/// The two bytes behind a data block.
const BLOCK_END: usize = 2;

/// What is being read. The table of [`ServerConnection`] shows how they follow each other.
#[derive(Debug)]
pub(super) enum State {
    /// A line, or nothing yet.
    Line,
    /// The block of the line at the front of the buffer, both of which stay there.
    Block { line: usize, length: usize, noreply: bool },
    /// A block above [`SEGMENT`], which leaves the buffer piece by piece.
    Large(Box<Large>),
    /// What is left of a refused request; then it is answered.
    Swallow { left: usize, reply: Option<&'static str> },
    /// Nothing more is read.
    Over,
}

/// A value that is collected without a copy.
#[derive(Debug)]
pub(super) struct Large {
    pub(super) line: Bytes,
    pub(super) segments: Vec<Bytes>,
    pub(super) length: usize,
    left: usize,
    noreply: bool,
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
    /// More bytes are wanted.
    Starved,
}

impl ServerConnection {
    /// How many bytes the peer has promised, as far as that is known.
    pub(super) fn expected(&self) -> usize {
        let have = self.incoming.len();
        match &self.state {
            State::Line | State::Over => 0,
            State::Block { line, length, .. } => (line + length + BLOCK_END).saturating_sub(have),
            State::Large(large) => (large.left + BLOCK_END).saturating_sub(have),
            State::Swallow { left, .. } => *left,
        }
    }

    pub(super) fn step(&mut self, now: Instant) -> Step {
        match &mut self.state {
            State::Line => self.read_line(now),
            State::Block { line, length, noreply } => {
                let (line, length, noreply) = (*line, *length, *noreply);
                self.read_block(line, length, noreply, now)
            }
            State::Large(large) => {
                let have = self.incoming.len().min(large.left).min(SEGMENT);
                if large.left == 0 {
                    return self.end_large(now);
                }
                let cut = have == large.left || have == SEGMENT || self.incoming.spare() < ROOM;
                if have == 0 || !cut {
                    return Step::Starved;
                }
                large.left -= have;
                large.segments.push(self.incoming.take(have));
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
                self.enter(State::Line, now);
                self.refused(reply);
                Step::Again
            }
            State::Over => Step::Starved,
        }
    }

    fn read_line(&mut self, now: Instant) -> Step {
        if self.incoming.is_empty() {
            return Step::Starved;
        }
        let newline = self.incoming.find_newline();
        let bytes = self.incoming.bytes();
        let length = match line::judge(bytes, newline, self.dialect, &self.limits) {
            Ok(Some(length)) => length,
            Ok(None) => {
                self.peer.begin_line(now);
                return Step::Starved;
            }
            Err(error) => return self.refuse(error, now),
        };
        let text = bytes.get(..length).unwrap_or(bytes);
        let parsed = match request::parse_line(text, self.dialect, &self.limits) {
            Ok(parsed) => parsed,
            Err(error) => return self.refuse(error, now),
        };
        let noreply = parsed.request.noreply();
        let quits = parsed.request == Request::Quit;
        match parsed.data {
            // It has no answer: the connection ends behind those before it.
            None if quits => {
                self.enter(State::Over, now);
                Step::Again
            }
            None => {
                let taken = Taken::InPlace { line: length, data: 0, whole: length };
                self.take(taken, noreply, now)
            }
            Some(data) if data <= SEGMENT => {
                self.enter(State::Block { line: length, length: data, noreply }, now);
                Step::Again
            }
            Some(data) => {
                let line = self.incoming.take(length);
                let large = Large { line, segments: Vec::new(), length: data, left: data, noreply };
                self.enter(State::Large(Box::new(large)), now);
                Step::Again
            }
        }
    }

    fn read_block(&mut self, line: usize, length: usize, noreply: bool, now: Instant) -> Step {
        let whole = line + length + BLOCK_END;
        let Some(block) = self.incoming.bytes().get(line..whole) else {
            return Step::Starved;
        };
        if request::split_block(block).is_none() {
            return self.refuse(request::bad_block(noreply, self.dialect, whole), now);
        }
        let taken = Taken::InPlace { line, data: length, whole };
        self.take(taken, noreply, now)
    }

    fn end_large(&mut self, now: Instant) -> Step {
        let Some(end) = self.incoming.bytes().get(..BLOCK_END) else {
            return Step::Starved;
        };
        let legal = request::split_block(end).is_some();
        self.incoming.consume(BLOCK_END);
        let State::Large(large) = core::mem::replace(&mut self.state, State::Line) else {
            return Step::Again;
        };
        if legal {
            let noreply = large.noreply;
            self.take(Taken::Large(large), noreply, now)
        } else {
            // Line and block have left the buffer already.
            self.refuse(request::bad_block(large.noreply, self.dialect, 0), now)
        }
    }

    /// Hands a request out: it takes its place in the order of answers.
    fn take(&mut self, taken: Taken, noreply: bool, now: Instant) -> Step {
        self.taken = Some(taken);
        self.unanswered.push_back(Place::Request { noreply });
        self.enter(State::Line, now);
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
                self.enter(State::Swallow { left, reply }, now);
            }
            Recovery::Close => {
                self.enter(State::Over, now);
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

    pub(super) fn enter(&mut self, state: State, now: Instant) {
        self.state = state;
        self.peer = PeerClock::start(now);
    }

    /// The request that was handed out, read again from its bytes.
    pub(super) fn taken_request(&self) -> Option<(Request<'_>, super::Data<'_>)> {
        let (line, data) = match self.taken.as_ref()? {
            Taken::InPlace { line, data, .. } => {
                let (line, rest) = self.incoming.bytes().split_at_checked(*line)?;
                (line, super::Data::new(rest.get(..*data)?))
            }
            Taken::Large(large) => {
                (&large.line[..], super::Data::of_segments(&large.segments, large.length))
            }
        };
        let parsed = request::parse_line(line, self.dialect, &self.limits).ok()?;
        Some((parsed.request, data))
    }

    /// Which dialect the peer speaks.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }
}
