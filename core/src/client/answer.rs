//! Answers, collected from the frames of a reply and kept beyond the connection's buffer.

use alloc::vec::Vec;

use bytes::Bytes;

use super::error::{CallError, KeyError};
use super::{Refusal, ServerId};
use crate::memcache::meta::{MetaCode, MetaFlags};
use crate::memcache::response::{Kind, Response};
use crate::memcache::{Frame, Oversized, Payload};

/// An item that a retrieval found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Item {
    /// Which of the keys that were asked for, counted from 0.
    pub index: usize,
    /// The flags that it was stored with; 0 from a queue.
    pub flags: u32,
    /// Its cas unique, where that was asked for.
    pub cas: Option<u64>,
    /// Its value.
    pub value: Payload,
}

/// The reply to a meta command.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MetaAnswer {
    /// What came of it.
    pub code: MetaCode,
    /// The value; empty with any code but [`MetaCode::Value`].
    pub value: Payload,
    flags: Bytes,
}

impl MetaAnswer {
    /// The flags of the reply, such as `c`, `f`, `t`, `W`, `X`, `Z`.
    pub fn flags(&self) -> MetaFlags<'_> {
        MetaFlags::new(&self.flags)
    }
}

/// What the requests of a [`Batch`](crate::memcache::request::Batch) were answered.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct BatchAnswer {
    /// The replies that were not hidden, with the index of the request that each answers, in
    /// their order.
    pub replies: Vec<(usize, MetaAnswer)>,
    /// Errors. Each belongs to one of the requests that have no reply, and nobody knows to which:
    /// where there is one, what has no reply is *unknown*.
    pub errors: Vec<Refusal>,
    /// Replies that had a value which is too large for us, with the index of the request.
    pub oversized: Vec<(usize, Oversized)>,
}

/// What a server answered. A miss is an answer; so is `NOT_STORED`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Answer {
    /// To a retrieval or a read of a queue: what was found. Nothing is a miss.
    Items(Vec<Item>),
    /// One word: `STORED`, `NOT_STORED`, `EXISTS`, `NOT_FOUND`, `DELETED`, `TOUCHED`, `OK`,
    /// `RESET`, `MN`.
    Word(Kind),
    /// To `incr` and `decr`, and to kestrel's `flush_expired`.
    Number(u64),
    /// To a meta command.
    Meta(MetaAnswer),
    /// To `stats`: names and values, in their order.
    Statistics(Vec<(Bytes, Bytes)>),
    /// To `version`, or any other line of text.
    Text(Bytes),
    /// To a listing: its lines.
    Lines(Vec<Bytes>),
    /// To a batch.
    Batch(BatchAnswer),
    /// The server closed the connection, as it was asked to.
    Closed,
}

impl Answer {
    /// Whether nothing was found by a retrieval, a read or a meta get.
    pub fn is_miss(&self) -> bool {
        match self {
            Self::Items(items) => items.is_empty(),
            Self::Meta(answer) => answer.code == MetaCode::Miss,
            _ => false,
        }
    }
}

/// Collects the frames of one reply.
#[derive(Debug, Default)]
pub(super) struct Collector {
    answer: Option<Answer>,
    refusal: Option<Refusal>,
    failed: Vec<(usize, KeyError)>,
    is_batch: bool,
}

impl Collector {
    pub(super) fn new(is_batch: bool) -> Self {
        let answer = is_batch.then(|| Answer::Batch(BatchAnswer::default()));
        Self { answer, refusal: None, failed: Vec::new(), is_batch }
    }

    pub(super) fn frame(&mut self, frame: &Frame<'_>) {
        let refusal = Refusal::of(&frame.response);
        if self.is_batch {
            if let Some(Answer::Batch(batch)) = &mut self.answer {
                match (refusal, &frame.response, frame.index) {
                    (Some(refusal), ..) => batch.errors.push(refusal),
                    (None, Response::Meta(_), Some(index)) => {
                        batch.replies.extend(meta(frame).map(|answer| (index, answer)));
                    }
                    _ => {}
                }
            }
            return;
        }
        if refusal.is_some() {
            self.refusal = refusal;
            return;
        }
        match &frame.response {
            Response::Value(value) => {
                let item = Item {
                    index: frame.index.unwrap_or_default(),
                    flags: value.flags,
                    cas: value.cas,
                    value: frame.data.into(),
                };
                match &mut self.answer {
                    Some(Answer::Items(items)) => items.push(item),
                    _ => self.answer = Some(Answer::Items([item].into())),
                }
            }
            Response::Stat { name, value } => {
                let pair = (Bytes::copy_from_slice(name), Bytes::copy_from_slice(value));
                match &mut self.answer {
                    Some(Answer::Statistics(pairs)) => pairs.push(pair),
                    _ => self.answer = Some(Answer::Statistics([pair].into())),
                }
            }
            Response::Listing(line) => {
                let line = Bytes::copy_from_slice(line);
                match &mut self.answer {
                    Some(Answer::Lines(lines)) => lines.push(line),
                    _ => self.answer = Some(Answer::Lines([line].into())),
                }
            }
            // What came before it is the answer.
            Response::End => {
                self.answer.get_or_insert(Answer::Items(Vec::new()));
            }
            Response::Number(number) => self.answer = Some(Answer::Number(*number)),
            Response::Meta(_) => self.answer = meta(frame).map(Answer::Meta),
            Response::Version(text) | Response::Line(text) => {
                self.answer = Some(Answer::Text(Bytes::copy_from_slice(text)));
            }
            Response::MetaDebug { fields, .. } => {
                self.answer = Some(Answer::Text(Bytes::copy_from_slice(fields)));
            }
            other => self.answer = Some(Answer::Word(other.kind())),
        }
    }

    /// An item that is too large for us was dropped.
    pub(super) fn oversized(&mut self, index: Option<usize>, what: Oversized) {
        let index = index.unwrap_or_default();
        match &mut self.answer {
            Some(Answer::Batch(batch)) => batch.oversized.push((index, what)),
            _ => self.failed.push((index, KeyError::Oversized(what))),
        }
    }

    /// What that server has answered, now that the reply has come to its end.
    pub(super) fn finish(self, server: ServerId) -> Result<Answer, CallError> {
        let Self { answer, refusal, failed, .. } = self;
        if let Some(refusal) = refusal {
            return Err(CallError::Refused { server, refusal });
        }
        if failed.is_empty() {
            return Ok(answer.unwrap_or(Answer::Closed));
        }
        let found = items(answer);
        Err(CallError::Keys { server, found, failed })
    }

    /// The items of a retrieval whose reply broke off: what has come is true.
    pub(super) fn found(self) -> Vec<Item> {
        items(self.answer)
    }
}

fn items(answer: Option<Answer>) -> Vec<Item> {
    match answer {
        Some(Answer::Items(items)) => items,
        _ => Vec::new(),
    }
}

fn meta(frame: &Frame<'_>) -> Option<MetaAnswer> {
    let Response::Meta(reply) = &frame.response else {
        return None;
    };
    let flags = Bytes::copy_from_slice(reply.flags.text());
    Some(MetaAnswer { code: reply.code, value: frame.data.into(), flags })
}
