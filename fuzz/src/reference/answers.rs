//! What the bytes of a connection, all of which are there, answer to its requests.

use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::Bytes;
use windhover_core::client::{Answer, BatchAnswer, Item, Items, MetaAnswer, Payload, Refusal};
use windhover_core::memcache::meta::MetaCode;
use windhover_core::memcache::request;
use windhover_core::memcache::response::{Kind, Response, ResponseError, parse_line};
use windhover_core::memcache::{Dialect, Limits, MAX_DISCARDED, Parsed};

use super::client::with_other_flags;
use super::replies::{Asked, Reply};

/// A frame: its line and its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    line: Vec<u8>,
    data: Vec<u8>,
    /// It is too large for a client.
    oversized: bool,
}

/// What is read: more than is handed on.
fn limits() -> Limits {
    Limits::default().with_value(MAX_DISCARDED)
}

/// A request that was sent, and what came for it.
#[derive(Clone, Debug)]
pub struct Answered {
    /// What was asked.
    pub asked: Rc<Asked>,
    /// What came.
    pub frames: Vec<Frame>,
    /// The reply has ended.
    pub whole: bool,
}

/// Takes apart what a client has sent: whole requests, those that hide their answers with the one
/// behind them that does not, and how many bytes these are.
pub fn requests(sent: &[u8], dialect: Dialect) -> Vec<&[u8]> {
    let mut found = Vec::new();
    let (mut from, mut at) = (0, 0);
    loop {
        match request::parse(&sent[at..], dialect, &Limits::default()) {
            Ok(Parsed::Incomplete { .. }) => return found,
            Ok(Parsed::Complete { message, consumed }) => {
                at += consumed;
                if !message.request.noreply() && !message.request.quiet() {
                    found.push(&sent[from..at]);
                    from = at;
                }
            }
            Err(error) => panic!("{error} in {}", sent[at..].escape_ascii()),
        }
    }
}

/// Gives what a server has said to the requests in their order, as far as it can be theirs. Values of
/// more than `most` bytes are too large for the client.
pub fn read(
    sent: &[u8],
    said: &[u8],
    dialect: Dialect,
    most: usize,
    known: &BTreeMap<Vec<u8>, Rc<Asked>>,
) -> Vec<Answered> {
    let asked = |wire: &[u8]| Rc::clone(known.get(wire).expect("nobody has asked for that"));
    let mut all: Vec<_> = requests(sent, dialect)
        .into_iter()
        .map(|wire| Answered { asked: asked(wire), frames: Vec::new(), whole: false })
        .collect();
    let mut rest = said;
    for answered in &mut all {
        let mut reply = Reply::default();
        while !answered.whole {
            let Some((frame, behind)) = frame(rest, dialect, most) else {
                return all;
            };
            let parsed = parse_line(&frame.line, dialect, &limits());
            let response = parsed.expect("it was read").response;
            let Some(last) = reply.frame(&answered.asked, &frame.line, &response) else {
                return all;
            };
            answered.frames.push(frame);
            answered.whole = last;
            rest = behind;
        }
    }
    all
}

fn frame(rest: &[u8], dialect: Dialect, most: usize) -> Option<(Frame, &[u8])> {
    let newline = rest.iter().position(|&byte| byte == b'\n')?;
    let (line, behind) = rest.split_at(newline + 1);
    let wide =
        matches!(parse_line(line, dialect, &limits()), Err(ResponseError::FlagsTooLarge { .. }));
    let line = if wide { with_other_flags(line) } else { line.to_vec() };
    let parsed = parse_line(&line, dialect, &limits()).ok()?;
    let Some(length) = parsed.data else {
        return Some((Frame { line, data: Vec::new(), oversized: false }, behind));
    };
    let oversized = wide || (length > most && !dialect.is_queue());
    let (block, behind) = behind.split_at_checked(length + 2)?;
    let data = block.strip_suffix(b"\r\n")?.to_vec();
    Some((Frame { line, data, oversized }, behind))
}

impl Answered {
    /// Whether the answer is what came.
    pub fn is(&self, answer: &Answer, dialect: Dialect) -> bool {
        let frames: Vec<_> = self.parsed(dialect).collect();
        let Some((_, last)) = frames.last().filter(|_| self.whole) else {
            return false;
        };
        if self.asked.batch.is_some() {
            return !self.is_refused_batch(dialect)
                && matches!(answer, Answer::Batch(batch) if self.is_batch(batch, dialect));
        }
        if self.is_partial(dialect) {
            return false;
        }
        match answer {
            Answer::Items(items) => {
                // One by one they are the same, and as many as it says.
                let mut taken = items.clone().into_iter();
                assert_eq!(taken.size_hint(), (items.len(), Some(items.len())));
                assert!(
                    items.iter().all(|item| taken.next().is_some_and(|it| it.index == item.index))
                );
                let taken = Items::from(Vec::from(items.clone()));
                self.are_items(&taken, dialect) && *last == Response::End
            }
            Answer::Word(kind) => last.kind() == *kind && frames.len() == 1,
            Answer::Number(number) => *last == Response::Number(*number),
            Answer::Meta(meta) => is_meta(&self.frames[0], last, meta),
            Answer::Statistics(pairs) => {
                let told = frames.iter().filter_map(|(_, frame)| match frame {
                    Response::Stat { name, value } => Some((*name, *value)),
                    _ => None,
                });
                told.eq(pairs.iter().map(|(name, value)| (&name[..], &value[..])))
            }
            Answer::Text(text) => match last {
                Response::Version(told) | Response::Line(told) => told == text,
                Response::MetaDebug { fields, .. } => fields == text,
                _ => false,
            },
            Answer::Lines(lines) => {
                let told = frames.iter().filter_map(|(_, frame)| match frame {
                    Response::Listing(line) => Some(*line),
                    _ => None,
                });
                told.eq(lines.iter().map(|line| &line[..]))
            }
            _ => false,
        }
    }

    /// Whether none of a batch's commands is known.
    fn is_refused_batch(&self, dialect: Dialect) -> bool {
        let mut kinds = self.parsed(dialect).map(|(_, frame)| frame.kind());
        kinds.next() == Some(Kind::Error) && kinds.all(Kind::is_error)
    }

    /// Whether the refusal is what came.
    pub fn is_refusal(&self, refusal: &Refusal, dialect: Dialect) -> bool {
        if self.asked.batch.is_some() {
            let first = self.parsed(dialect).next().filter(|_| self.whole);
            return self.is_refused_batch(dialect)
                && first.is_some_and(|(_, frame)| is_error(&frame, refusal));
        }
        let last = self.parsed(dialect).last().filter(|_| self.whole);
        last.is_some_and(|(_, frame)| is_error(&frame, refusal))
    }

    /// Whether these are the items of a whole reply, others of which are too large or refused.
    pub fn has_failed_beside(&self, items: &[Item], dialect: Dialect) -> bool {
        self.whole && self.is_partial(dialect) && self.are_items(items, dialect)
    }

    fn is_partial(&self, dialect: Dialect) -> bool {
        self.parsed(dialect).any(|(frame, response)| frame.oversized || response.kind().is_error())
    }

    /// Whether these items are some of what came, in order and from the first on.
    pub fn begins_with(&self, items: &[Item], dialect: Dialect) -> bool {
        let values = self.values(dialect);
        items.len() <= values.len() && self.are(items, &values[..items.len()])
    }

    /// Whether it says for certain that nothing was done.
    pub fn had_no_effect(&self, dialect: Dialect) -> bool {
        let last = self.parsed(dialect).last().filter(|_| self.whole);
        last.is_some_and(|(_, last)| last.kind().is_error() || last.kind() == Kind::NotStored)
    }

    /// Whether nothing was found.
    pub fn is_miss(&self, dialect: Dialect) -> bool {
        let first = self.parsed(dialect).next().filter(|_| self.whole);
        let miss = [Kind::End, Kind::Meta(MetaCode::Miss)];
        first.is_some_and(|(_, frame)| miss.contains(&frame.kind()))
    }

    fn parsed(&self, dialect: Dialect) -> impl Iterator<Item = (&Frame, Response<'_>)> {
        self.frames.iter().map(move |frame| {
            let parsed = parse_line(&frame.line, dialect, &limits());
            (frame, parsed.expect("it was read").response)
        })
    }

    fn values(&self, dialect: Dialect) -> Vec<(&Frame, Response<'_>)> {
        let handed_on = |(frame, response): &(&Frame, Response<'_>)| {
            response.kind() == Kind::Value && !frame.oversized
        };
        self.parsed(dialect).filter(handed_on).collect()
    }

    fn are_items(&self, items: &[Item], dialect: Dialect) -> bool {
        let values = self.values(dialect);
        items.len() == values.len() && self.are(items, &values)
    }

    fn are(&self, items: &[Item], values: &[(&Frame, Response<'_>)]) -> bool {
        items.iter().zip(values).all(|(item, (frame, response))| {
            let Response::Value(value) = response else {
                return false;
            };
            let data = Payload::from(Bytes::copy_from_slice(&frame.data));
            assert_eq!(data.is_empty(), data.len() == Payload::default().len());
            let same = (item.flags, item.cas) == (value.flags, value.cas);
            let whole = item.value.len() == data.len();
            same && whole
                && item.value.clone().into_bytes() == frame.data
                && self.asked.is_index(&frame.line, response, Some(item.index))
        })
    }

    fn is_batch(&self, batch: &BatchAnswer, dialect: Dialect) -> bool {
        let mut replies = batch.replies.iter();
        let mut errors = batch.errors.iter();
        let mut told = self
            .parsed(dialect)
            .filter(|(frame, _)| !frame.oversized)
            .filter(|(_, frame)| frame.kind().is_error() || matches!(frame, Response::Meta(_)));
        let all = told.all(|(frame, response)| {
            if response.kind().is_error() {
                return errors.next().is_some_and(|refusal| is_error(&response, refusal));
            }
            replies.next().is_some_and(|(index, meta)| {
                is_meta(frame, &response, meta)
                    && self.asked.is_index(&frame.line, &response, Some(*index))
            })
        });
        all && replies.next().is_none() && errors.next().is_none()
    }
}

fn is_meta(frame: &Frame, response: &Response<'_>, meta: &MetaAnswer) -> bool {
    let Response::Meta(reply) = response else {
        return false;
    };
    let data = if reply.code == MetaCode::Value { &frame.data[..] } else { b"" };
    meta.code == reply.code
        && meta.flags().text() == reply.flags.text()
        && meta.value.clone().into_bytes() == data
        && meta.value.is_empty() == data.is_empty()
}

fn is_error(frame: &Response<'_>, refusal: &Refusal) -> bool {
    let words = match frame {
        Response::Error(words) | Response::ClientError(words) | Response::ServerError(words) => {
            *words
        }
        _ => return false,
    };
    assert!(refusal.to_string().starts_with(refusal.kind.text()));
    (refusal.kind, &refusal.words[..]) == (frame.kind(), words)
}
