//! What the bytes that come in are, from frame to frame.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;

use super::{ClientConnection, End, Frame, Oversized, Ticket};
use crate::buffer::Incoming;
use crate::memcache::Data;
use crate::memcache::request::BLOCK_END;
use crate::memcache::response::{self, ResponseError, ResponseSpans};
use crate::memcache::states::{self, ClientEvent, ClientState};

/// The longest value that is handed on as one slice.
const SEGMENT: usize = Incoming::SEGMENT;

/// What is being read. [`states::CLIENT`] shows how they follow each other.
#[derive(Debug)]
pub(super) enum State {
    /// A line, or nothing yet.
    Line,
    /// The value of the line at the front of the buffer, both of which stay there.
    Value { line: usize, length: usize, target: Target },
    /// A value above [`SEGMENT`], which leaves the buffer piece by piece.
    Large(Box<Large>),
    /// A value that is too large for us: so much of it, with its end, is still to be dropped.
    Discarding { left: usize, target: Target },
    /// Nothing more is read.
    Failed,
}

impl State {
    /// Its name in the table.
    const fn name(&self) -> ClientState {
        match self {
            Self::Line => ClientState::Line,
            Self::Value { .. } => ClientState::Value,
            Self::Large(_) => ClientState::LargeValue,
            Self::Discarding { .. } => ClientState::Discarding,
            Self::Failed => ClientState::Failed,
        }
    }
}

/// Whom a frame answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    ticket: Ticket,
    /// Somebody waits for it.
    open: bool,
    index: Option<usize>,
    is_last: bool,
}

/// A value that is collected without a copy.
#[derive(Debug)]
pub(super) struct Large {
    line: Bytes,
    segments: Vec<Bytes>,
    length: usize,
    left: usize,
    target: Target,
}

/// A frame that was handed out; its bytes are dropped with the next call.
#[derive(Debug)]
pub(super) enum Taken {
    InPlace { line: usize, data: usize, whole: usize, target: Target },
    Large(Box<Large>),
}

/// What a step came to.
pub(super) enum Step {
    /// Another step may do more.
    Again,
    /// A frame was taken.
    Frame,
    /// An item of the reply is too large, and is dropped.
    Oversized { ticket: Ticket, index: Option<usize>, what: Oversized },
    /// More bytes are wanted.
    Starved,
}

impl ClientConnection {
    /// How many bytes the server has promised, as far as that is known.
    pub(super) fn expected(&self) -> usize {
        let have = self.incoming.len();
        match &self.state {
            State::Line | State::Failed => 0,
            State::Value { line, length, .. } => {
                (line + length + BLOCK_END.len()).saturating_sub(have)
            }
            State::Large(large) => (large.left + BLOCK_END.len()).saturating_sub(have),
            State::Discarding { left, .. } => left.saturating_sub(have),
        }
    }

    pub(super) fn step(&mut self) -> Step {
        match &mut self.state {
            State::Line => self.read_line(),
            State::Value { line, length, target } => {
                let (line, length, target) = (*line, *length, *target);
                self.read_value(line, length, target)
            }
            State::Large(large) => {
                if large.left == 0 {
                    return self.end_large();
                }
                let Some(segment) = self.incoming.take_segment(large.left) else {
                    return Step::Starved;
                };
                large.left -= segment.len();
                if large.target.open {
                    large.segments.push(segment);
                }
                Step::Again
            }
            State::Discarding { left, target } => {
                let (left, target) = (*left, *target);
                self.discard(left, target)
            }
            State::Failed => Step::Starved,
        }
    }

    fn read_line(&mut self) -> Step {
        if self.incoming.is_empty() {
            return Step::Starved;
        }
        let written = self.written;
        let Some(request) = self.pending.front_mut().filter(|request| request.starts < written)
        else {
            self.spend(ClientEvent::Unasked, End::Unasked);
            return Step::Again;
        };
        let Some(newline) = self.incoming.find_newline() else {
            if self.incoming.len() > self.limits.line {
                return self.malformed(ResponseError::LineTooLong);
            }
            return Step::Starved;
        };
        let line = self.incoming.bytes().get(..=newline).unwrap_or_default();
        let length = line.len();
        let mut oversized = None;
        let parsed = match response::parse_line(line, self.dialect, &self.limits) {
            Err(ResponseError::FlagsTooLarge { flags }) => {
                oversized = Some(Oversized::Flags { flags });
                response::parse_line_with_any_flags(line, &self.limits)
            }
            parsed => parsed,
        };
        let parsed = match parsed {
            Ok(parsed) => parsed,
            Err(error) => return self.malformed(error),
        };
        let found = match request.match_frame(&parsed.response) {
            Ok(found) => found,
            Err(end) => {
                self.spend(ClientEvent::Mismatched, end);
                return Step::Again;
            }
        };
        let (ticket, open) = (request.ticket, request.open);
        if !open && request.ties_up() {
            self.spend(ClientEvent::Abandoned, End::Abandoned);
            return Step::Again;
        }
        let target = Target { ticket, open, index: found.index, is_last: found.is_last };
        self.spans = Some(ResponseSpans::of(&parsed.response, line));
        match parsed.data {
            Some(data) if oversized.is_some() || data > self.largest => {
                let what = oversized.unwrap_or(Oversized::Value {
                    length: u64::try_from(data).unwrap_or(u64::MAX),
                    limit: self.largest,
                });
                self.incoming.consume(length);
                let left = data + BLOCK_END.len();
                let state = State::Discarding { left, target };
                self.change(ClientEvent::OversizedValueAnnounced, state);
                let index = target.index;
                if open { Step::Oversized { ticket, index, what } } else { Step::Again }
            }
            None => {
                let taken = Taken::InPlace { line: length, data: 0, whole: length, target };
                self.change(ClientEvent::Frame, State::Line);
                let step = self.hand_out(taken, target);
                if found.is_ambiguous {
                    self.spend(ClientEvent::Ambiguous, End::Ambiguous);
                }
                step
            }
            Some(data) if data <= SEGMENT => {
                let value = State::Value { line: length, length: data, target };
                self.change(ClientEvent::ValueAnnounced, value);
                Step::Again
            }
            Some(data) => {
                let line = self.incoming.take(length);
                let large = Large { line, segments: Vec::new(), length: data, left: data, target };
                self.change(ClientEvent::LargeValueAnnounced, State::Large(Box::new(large)));
                Step::Again
            }
        }
    }

    fn read_value(&mut self, line: usize, length: usize, target: Target) -> Step {
        let whole = line + length + BLOCK_END.len();
        let Some(block) = self.incoming.bytes().get(line..whole) else {
            return Step::Starved;
        };
        if !block.ends_with(BLOCK_END) {
            return self.malformed(ResponseError::BadDataBlock);
        }
        self.change(ClientEvent::ValueComplete, State::Line);
        self.hand_out(Taken::InPlace { line, data: length, whole, target }, target)
    }

    /// Drops what has come of a value that is too large for us.
    fn discard(&mut self, left: usize, target: Target) -> Step {
        let data = left.saturating_sub(BLOCK_END.len()).min(self.incoming.len());
        self.incoming.consume(data);
        let left = left - data;
        self.state = State::Discarding { left, target };
        let Some(end) = self.incoming.bytes().get(..BLOCK_END.len()) else {
            return Step::Starved;
        };
        if end != BLOCK_END {
            return self.malformed(ResponseError::BadDataBlock);
        }
        self.incoming.consume(BLOCK_END.len());
        self.change(ClientEvent::ValueComplete, State::Line);
        if target.is_last
            && let Some(request) = self.pending.pop_front()
            && request.open
        {
            self.finished = Some(target.ticket);
        }
        Step::Again
    }

    fn end_large(&mut self) -> Step {
        let Some(end) = self.incoming.bytes().get(..BLOCK_END.len()) else {
            return Step::Starved;
        };
        if end != BLOCK_END {
            return self.malformed(ResponseError::BadDataBlock);
        }
        self.incoming.consume(BLOCK_END.len());
        match self.change(ClientEvent::ValueComplete, State::Line) {
            State::Large(large) => {
                let target = large.target;
                self.hand_out(Taken::Large(large), target)
            }
            _ => Step::Again,
        }
    }

    /// The frame is given to its request, or discarded where nobody waits for it.
    fn hand_out(&mut self, taken: Taken, target: Target) -> Step {
        // A request may have been given up while its value came.
        let open = self.pending.front().is_some_and(|request| request.open);
        if target.is_last {
            self.pending.pop_front();
        }
        self.taken = Some(taken);
        if open {
            self.finished = target.is_last.then_some(target.ticket);
            Step::Frame
        } else {
            self.drop_taken();
            Step::Again
        }
    }

    /// Drops the bytes of the frame that was handed out last.
    pub(super) fn drop_taken(&mut self) {
        // Mostly there is none, and then there is nothing to move.
        if let Some(taken) = &self.taken {
            if let Taken::InPlace { whole, .. } = *taken {
                self.incoming.consume(whole);
            }
            self.taken = None;
        }
    }

    fn malformed(&mut self, error: ResponseError) -> Step {
        self.spend(ClientEvent::Malformed, End::Malformed(error));
        Step::Again
    }

    /// Goes where the event leads, as the table says; the state that was left.
    pub(super) fn change(&mut self, event: ClientEvent, state: State) -> State {
        debug_assert_eq!(
            states::next(states::CLIENT, self.state.name(), &event),
            Some(state.name()),
            "{event:?} in {:?}",
            self.state
        );
        core::mem::replace(&mut self.state, state)
    }

    /// The frame that was handed out, made from its line.
    pub(super) fn taken_frame(&self) -> Option<Frame<'_>> {
        let (line, data, target) = match self.taken.as_ref()? {
            Taken::InPlace { line, data, target, .. } => {
                let (line, behind) = self.incoming.bytes().split_at_checked(*line)?;
                (line, Data::new(behind.get(..*data)?), target)
            }
            Taken::Large(large) => {
                let data = Data::of_segments(&large.segments, large.length);
                (&large.line[..], data, &large.target)
            }
        };
        let Target { ticket, index, .. } = *target;
        Some(Frame { ticket, index, response: self.spans.as_ref()?.resolve(line), data })
    }
}
