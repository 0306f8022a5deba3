//! Which request the frames that come in answer.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;

use super::pending::{Match, PendingRequest};
use super::received::{Announced, Found, FoundLine};
use super::{ClientConnection, End, Frame, Oversized, Ticket};
use crate::cannot_happen::cannot_happen;
use crate::memcache::Data;
use crate::memcache::request::BLOCK_END;
use crate::memcache::response::{Response, ResponseError, ResponseSpans};
use crate::memcache::states::ClientEvent;

/// Whom a frame answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    ticket: Ticket,
    index: Option<usize>,
    is_last: bool,
    is_ambiguous: bool,
    /// Somebody waits for it.
    open: bool,
}

impl Target {
    /// Whom `response` answers, where `request` is due: the event and the end of the connection where it
    /// cannot be that.
    #[inline]
    fn of(
        request: &mut PendingRequest,
        response: &Response<'_>,
    ) -> Result<Self, (ClientEvent, End)> {
        let matched =
            request.match_frame(response).map_err(|end| (ClientEvent::Mismatched, end))?;
        let (ticket, open) = (request.ticket, request.open);
        if !open && request.ties_up() {
            return Err((ClientEvent::Abandoned, End::Abandoned));
        }
        let Match { index, is_last, is_ambiguous } = matched;
        Ok(Self { ticket, index, is_last, is_ambiguous, open })
    }
}

/// The request that the next frame answers, where one was written.
#[inline]
fn due(pending: &mut VecDeque<PendingRequest>, written: u64) -> Option<&mut PendingRequest> {
    pending.front_mut().filter(|request| request.starts < written)
}

/// A line whose value has not come as a whole.
#[derive(Debug)]
pub(super) struct Begun {
    target: Target,
    /// The line and the length of a large value, which have left the buffer.
    large: Option<(Bytes, usize)>,
}

/// A frame that was handed out; its bytes are dropped with the next call.
#[derive(Debug)]
pub(super) enum Taken {
    InPlace { line: usize, data: usize, whole: usize, copy: Option<Bytes>, target: Target },
    Large { line: Bytes, segments: Vec<Bytes>, length: usize, target: Target },
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
    pub(super) fn step(&mut self) -> Step {
        let found = if self.is_borrowed {
            self.received.found.pop_front()
        } else if self.received.is_at_line() {
            // It needs no queue, and is not moved.
            return self.read_line();
        } else {
            self.received.find(&self.parser, false)
        };
        match found {
            Some(found) => self.match_found(found),
            None => self.starved(),
        }
    }

    /// Finds a line and matches it where it stands.
    fn read_line(&mut self) -> Step {
        if self.received.is_empty() {
            self.received.drop_handed_on();
            return Step::Starved;
        }
        let written = self.written;
        let Some(request) = due(&mut self.pending, written) else {
            return self.unasked();
        };
        let text = match self.received.next_text(&self.parser.limits) {
            Some(Ok(text)) => text,
            Some(Err(error)) => return self.malformed(error),
            None => {
                self.received.drop_handed_on();
                return Step::Starved;
            }
        };
        let mut oversized = None;
        let parsed = self.parser.parse(text, &mut oversized);
        let line = match &parsed {
            Ok(line) => line,
            Err(error) => return self.malformed(*error),
        };
        let target = match Target::of(request, &line.response) {
            Ok(target) => target,
            Err((event, end)) => {
                self.spend(event, end);
                return Step::Again;
            }
        };
        self.spans = Some(ResponseSpans::of(&line.response, text));
        let (length, data) = (text.len(), line.data);
        let value = match data {
            None => {
                self.received.pass(length, &[ClientEvent::Frame]);
                Announced::Nothing
            }
            Some(data) => self.received.announce(&self.parser, length, data, oversized, false),
        };
        self.take_value(target, length, value)
    }

    fn match_found(&mut self, found: Found) -> Step {
        match found {
            #[cfg(feature = "client")]
            Found::Item(item) => self.take_line(item.into_line()),
            Found::Line(line) => self.take_line(line),
            Found::Value { line, length, copy } => {
                let Some(Begun { target, .. }) = self.begun.take() else {
                    return cannot_happen(Step::Again);
                };
                let whole = line + length + BLOCK_END.len();
                let taken = Taken::InPlace { line, data: length, whole, copy, target };
                self.hand_out(taken, target)
            }
            Found::Large(segments) => match self.begun.take() {
                Some(Begun { target, large: Some((line, length)) }) => {
                    self.hand_out(Taken::Large { line, segments, length, target }, target)
                }
                _ => cannot_happen(Step::Again),
            },
            Found::Discarded => {
                if let Some(Begun { target, .. }) = self.begun.take()
                    && target.is_last
                    && let Some(request) = self.pending.pop_front()
                    && request.open
                {
                    self.finished = Some(target.ticket);
                }
                Step::Again
            }
            Found::Malformed(_) if self.received.is_at_line() && !self.is_due() => self.unasked(),
            Found::Malformed(error) => self.malformed(error),
        }
    }

    fn malformed(&mut self, error: ResponseError) -> Step {
        self.spend(ClientEvent::Malformed, End::Malformed(error));
        Step::Again
    }

    /// Nothing more was found.
    fn starved(&mut self) -> Step {
        self.received.drop_handed_on();
        if self.received.has_more || self.received.is_empty() || self.is_due() {
            return Step::Starved;
        }
        self.unasked()
    }

    /// Whether a request that was sent waits for a reply, or a value is on its way.
    fn is_due(&self) -> bool {
        !self.received.is_at_line()
            || self.pending.front().is_some_and(|request| request.starts < self.written)
    }

    fn unasked(&mut self) -> Step {
        self.spend(ClientEvent::Unasked, End::Unasked);
        Step::Again
    }

    fn take_line(&mut self, found: FoundLine) -> Step {
        let FoundLine { length, spans, value } = found;
        let written = self.written;
        let Some(request) = due(&mut self.pending, written) else {
            return self.unasked();
        };
        let line = match &value {
            Announced::Large { line, .. } => line,
            _ => self.received.front().get(..length).unwrap_or_default(),
        };
        let target = match Target::of(request, &spans.resolve(line)) {
            Ok(target) => target,
            Err((event, end)) => {
                self.spend(event, end);
                return Step::Again;
            }
        };
        self.spans = Some(spans);
        self.take_value(target, length, value)
    }

    /// Goes on with a line of so many bytes that was matched.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "what it is given is large, and not to be moved")]
    fn take_value(&mut self, target: Target, length: usize, value: Announced) -> Step {
        match value {
            Announced::Nothing => {
                let taken =
                    Taken::InPlace { line: length, data: 0, whole: length, copy: None, target };
                let step = self.hand_out(taken, target);
                if target.is_ambiguous {
                    self.spend(ClientEvent::Ambiguous, End::Ambiguous);
                }
                step
            }
            Announced::Here { length: data, copy } => {
                let whole = length + data + BLOCK_END.len();
                self.hand_out(Taken::InPlace { line: length, data, whole, copy, target }, target)
            }
            Announced::Later => {
                self.begun = Some(Begun { target, large: None });
                Step::Again
            }
            Announced::Large { line, length } => {
                self.begun = Some(Begun { target, large: Some((line, length)) });
                if !target.open {
                    self.received.forget_large();
                }
                Step::Again
            }
            Announced::Oversized(what) => {
                self.received.hand_on(length);
                self.begun = Some(Begun { target, large: None });
                let Target { ticket, index, open, .. } = target;
                if open { Step::Oversized { ticket, index, what } } else { Step::Again }
            }
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
                self.received.hand_on(whole);
            }
            self.taken = None;
        }
    }

    /// The frame that was handed out, made from its line.
    pub(super) fn taken_frame(&mut self) -> Option<Frame<'_>> {
        let (line, data, copy, target) = match self.taken.as_mut()? {
            Taken::InPlace { line, data, copy, target, .. } => {
                let (line, behind) = self.received.front().split_at_checked(*line)?;
                (line, Data::new(behind.get(..*data)?), copy.take(), target)
            }
            Taken::Large { line, segments, length, target } => {
                (&line[..], Data::of_segments(segments, *length), None, target)
            }
        };
        let Target { ticket, index, .. } = *target;
        let response = self.spans.as_ref()?.resolve(line);
        Some(Frame { ticket, index, response, data, copy })
    }
}
