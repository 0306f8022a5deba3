//! From bytes to the next whole request.

use alloc::boxed::Box;

use super::{Bodies, Body, Life, ServerConnection, State, Step, Unanswered};
use crate::Instant;
use crate::buffer::Incoming;
use crate::cannot_happen::cannot_happen;
use crate::http::chunked::{Chunked, Progress};
use crate::http::encode;
use crate::http::error::HttpError;
use crate::http::head::{self, Length};
use crate::http::refused_request::{PendingRefusal, RestOfHead};
use crate::http::request::Method;

impl ServerConnection {
    /// Reads on, up to the next whole request.
    pub(super) fn read(&mut self, now: Instant) -> Result<Option<Step>, HttpError> {
        loop {
            match &mut self.state {
                State::Head(scan) => {
                    if !scan.begun {
                        skip_empty_lines(&mut self.incoming);
                        match self.incoming.bytes() {
                            [] | [b'\r'] => return Ok(None),
                            [first, ..] if encode::is_token_byte(*first) => {}
                            // Not worth waiting for more: TLS on a port without it, as a rule.
                            [b'\n', ..] => return Err(HttpError::BareLineFeed),
                            _ => return Err(HttpError::RequestLine),
                        }
                        scan.begun = true;
                        self.since = now;
                    }
                    let bytes = self.incoming.bytes();
                    let end = match scan.find_end(
                        bytes,
                        self.settings.limits.head,
                        self.settings.limits.headers,
                    ) {
                        Ok(Some(end)) => end,
                        Ok(None) => return Ok(None),
                        Err(error) if self.answer_refusal.is_some() && is_too_long(error) => {
                            self.refusal = Some(Box::new(PendingRefusal::new(error, bytes)));
                            let most = self
                                .settings
                                .limits
                                .body
                                .max(self.settings.limits.head.saturating_mul(4));
                            self.state = State::TooLong(RestOfHead::new(most));
                            self.since = now;
                            continue;
                        }
                        Err(error) => return Err(error),
                    };
                    let head = bytes.get(..end).unwrap_or_default();
                    self.head = head::parse(head, scan.headers(), &mut self.fields)?;
                    self.state = self.body_of(end)?;
                    self.since = now;
                }
                State::TooLong(rest) => {
                    let Some(pending) = &mut self.refusal else { return cannot_happen(Ok(None)) };
                    let (read, is_over) = rest.read(self.incoming.bytes(), pending);
                    self.incoming.consume(read);
                    if is_over {
                        self.end_refused();
                    }
                    return Ok(None);
                }
                State::Body { head, body, continue_pending } => {
                    let head = *head;
                    let come = self.incoming.len() - head;
                    if come > 0 {
                        *continue_pending = false;
                    } else if *continue_pending && self.unanswered.is_empty() {
                        // Not before: it would be taken for the answer to an earlier request.
                        *continue_pending = false;
                        self.outgoing.put(b"HTTP/1.1 100 Continue\r\n\r\n");
                        self.since = now;
                    }
                    let (body, end) = match body {
                        Body::Bytes(length) if come < *length => return Ok(None),
                        Body::Bytes(length) => (*length, *length),
                        Body::Chunked(chunked) => {
                            let raw = self.incoming.bytes_mut().get_mut(head..);
                            match chunked.decode(raw.unwrap_or_default())? {
                                Progress::More { decoded } => {
                                    self.incoming.truncate(head + decoded);
                                    return Ok(None);
                                }
                                Progress::Whole { decoded, end } => (decoded, end),
                            }
                        }
                    };
                    return Ok(Some(self.take(head, body, head + end)));
                }
                _ => return Ok(None),
            }
        }
    }

    /// The state behind a head of `head` bytes.
    fn body_of(&self, head: usize) -> Result<State, HttpError> {
        let limit = self.settings.limits.body;
        let body = match self.head.length {
            Length::None => Body::Bytes(0),
            Length::Bytes(length) => match usize::try_from(length) {
                Ok(length) if length <= limit => Body::Bytes(length),
                _ => return Err(HttpError::BodyTooLarge { limit }),
            },
            Length::Chunked => Body::Chunked(Chunked::new(limit, self.settings.limits.head)),
        };
        if self.bodies == Bodies::Refused && !matches!(body, Body::Bytes(0)) {
            return Err(HttpError::Overloaded);
        }
        Ok(State::Body {
            head,
            body,
            continue_pending: self.head.expects_continue && !matches!(body, Body::Bytes(0)),
        })
    }

    fn take(&mut self, head: usize, body: usize, whole: usize) -> Step {
        // The last request before an orderly end that was asked for while it came.
        self.head.close |= self.shutting_down;
        self.unanswered.push_back(Unanswered {
            is_head: self.head.method == Method::Head,
            http10: self.head.http10,
            close: self.head.close,
        });
        self.life = Life::Used;
        self.state = State::Taken { head, body, whole };
        Step::Request { head, body }
    }
}

/// Whether the rest of the head is still to come, and is a head as any other.
fn is_too_long(error: HttpError) -> bool {
    matches!(error, HttpError::TargetTooLong | HttpError::HeadTooLarge | HttpError::TooManyHeaders)
}

/// Empty lines in front of a request are passed over (RFC 9112 §2.2). They begin no request, so
/// that the idle deadline bounds them.
fn skip_empty_lines(incoming: &mut Incoming) {
    let bytes = incoming.bytes();
    let mut empty = 0;
    while bytes.get(empty..empty + 2) == Some(b"\r\n") {
        empty += 2;
    }
    if empty > 0 {
        incoming.consume(empty);
    }
}
