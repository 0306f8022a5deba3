//! Which frames may answer a request, and which of them is the last.

use core::time::Duration;

use windhover_core::memcache::command::{Command, ReplyForm, Row};
use windhover_core::memcache::meta::MetaCode;
use windhover_core::memcache::response::{Kind, Response};

use super::number;

/// A request, as far as its answer depends on it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What is sent.
    pub wire: Vec<u8>,
    /// Its row in the table; of a batch that of its barrier.
    pub row: &'static Row,
    /// The keys that are asked for, or the queue.
    pub keys: Vec<Vec<u8>>,
    /// The opaque that a meta reply has to send back.
    pub opaque: Option<Vec<u8>>,
    /// Whether a meta reply names the key as it was sent.
    pub names_key: bool,
    /// How long the server may rightly say nothing.
    pub wait: Duration,
    /// Whether an item that comes is only set aside.
    pub opens: bool,
    /// The consumer group that a queue is read for.
    pub group: Option<Vec<u8>>,
    /// `STAT` is all of its answer.
    pub without_end: bool,
    /// `OK` may come before the items that are listed.
    pub dumps: bool,
    /// How many requests stand before this one, the barrier of a batch.
    pub batch: Option<usize>,
    /// Whether one of them has a data block.
    pub batch_has_data: bool,
}

impl Asked {
    /// A request of that row and those bytes, with nothing special about it.
    pub const fn new(row: &'static Row, wire: Vec<u8>) -> Self {
        Self {
            wire,
            row,
            keys: Vec::new(),
            opaque: None,
            names_key: false,
            wait: Duration::ZERO,
            opens: false,
            group: None,
            without_end: false,
            dumps: false,
            batch: None,
            batch_has_data: false,
        }
    }

    /// Whether it is answered by the end of the connection.
    pub fn is_answered_by_the_end(&self) -> bool {
        self.row.form == ReplyForm::Nothing
    }

    /// Whether nobody knows where a reply ends that an error of that kind is the last frame of.
    pub fn is_ambiguous(&self, kind: Kind) -> bool {
        self.is_for_several_keys() || (self.batch_has_data && kind == Kind::Error)
    }

    /// Whether the keys of several items are asked for: what else names several queues has one answer.
    pub fn is_for_several_keys(&self) -> bool {
        self.row.form == ReplyForm::Many
            && self.row.replies.contains(&Kind::Value)
            && self.keys.len() > 1
    }

    /// Whether its answer never ends.
    pub fn is_endless(&self) -> bool {
        self.row.form == ReplyForm::Endless
    }

    /// Whether a frame that may answer it answers that key, or that request of a batch.
    pub fn is_index(&self, line: &[u8], frame: &Response<'_>, index: Option<usize>) -> bool {
        if self.batch.is_some() {
            let named = matches!(frame, Response::Meta(_)).then(|| flag(line, b'O')).flatten();
            return index == named.and_then(unsigned).and_then(|it| usize::try_from(it).ok());
        }
        match (frame, index) {
            (Response::Value(value), Some(index)) => {
                self.keys.get(index).is_some_and(|key| self.is_named(key, value.key))
            }
            (Response::Value(_), None) => false,
            (_, index) => index.is_none(),
        }
    }

    /// Whether a value of that name is the key's.
    fn is_named(&self, key: &[u8], name: &[u8]) -> bool {
        let of_group = self.group.is_some() && name.len() > key.len() + 1 && name.starts_with(key);
        name == key || of_group
    }
}

/// A reply as far as it has come.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// The names of the values that came.
    values: Vec<Vec<u8>>,
    after_value: bool,
    is_several: bool,
    /// The first request of a batch that may still be answered.
    next: u64,
    /// How many answers to a batch have come.
    answers: usize,
}

impl Reply {
    /// Whether a value has come.
    pub const fn has_values(&self) -> bool {
        !self.values.is_empty()
    }

    /// Whether a part of it has come that is not all of it.
    pub const fn has_begun(&self) -> bool {
        self.is_several
    }

    /// The next frame and its line: whether it is the last; `None` where it cannot answer that.
    pub fn frame(&mut self, asked: &Asked, line: &[u8], frame: &Response<'_>) -> Option<bool> {
        let kind = frame.kind();
        let is_error = matches!(kind, Kind::Error | Kind::ClientError | Kind::ServerError);
        let allowed = asked.row.replies.contains(&kind);
        if let Some(count) = asked.batch {
            self.answers += 1;
            if is_error {
                let unknown = kind == Kind::Error && asked.batch_has_data;
                return Some(unknown || (self.answers > count && !asked.batch_has_data));
            }
            if allowed {
                return Some(true);
            }
            let index = flag(line, b'O').and_then(unsigned).filter(|_| is_meta(frame))?;
            let fits = index < count as u64 && index >= self.next;
            self.next = index + 1;
            return fits.then_some(false);
        }
        let goes_on = matches!(kind, Kind::Value | Kind::Stat | Kind::Listing);
        let closes = is_error || matches!(kind, Kind::End | Kind::Meta(MetaCode::Miss));
        let is_many = asked.row.form == ReplyForm::Many;
        // Another word is a reply of its own.
        let breaks_off = is_many && self.is_several && !goes_on && !closes;
        if (!is_error && !allowed) || breaks_off {
            return None;
        }
        self.is_several |= goes_on;
        if is_error && asked.is_for_several_keys() {
            return Some(self.values.is_empty());
        }
        match frame {
            Response::Value(value) if asked.row.command == Command::Monitor => {
                self.values.push(value.key.to_vec());
                if asked.keys[0] != value.key {
                    return None;
                }
            }
            Response::Value(value) => {
                self.values.push(value.key.to_vec());
                // Each is answered at most as often as it was asked for.
                let times = self.values.iter().filter(|name| *name == value.key).count();
                let wanted = asked.keys.iter().filter(|key| asked.is_named(key, value.key)).count();
                if times > wanted || self.values.len() > asked.keys.len() {
                    return None;
                }
            }
            Response::Meta(_) => {
                let opaque = flag(line, b'O');
                let other = |asked: &[u8]| opaque.is_some_and(|opaque| opaque != asked);
                let named = flag(line, b'k').filter(|_| asked.names_key);
                if asked.opaque.as_deref().is_some_and(other)
                    || named.is_some_and(|name| name != asked.keys[0])
                {
                    return None;
                }
            }
            Response::MetaDebug { key, .. } if *key != asked.keys[0] => return None,
            _ => {}
        }
        let after_value = core::mem::replace(&mut self.after_value, kind == Kind::Value);
        Some(match kind {
            Kind::Value | Kind::Listing => false,
            Kind::Stat => asked.without_end,
            Kind::End if asked.row.form == ReplyForm::Monitor => !after_value,
            Kind::Ok => !asked.is_endless() && !asked.dumps,
            _ => true,
        })
    }
}

const fn is_meta(frame: &Response<'_>) -> bool {
    matches!(frame, Response::Meta(_))
}

/// The first flag of that letter on a meta reply's line.
fn flag(line: &[u8], letter: u8) -> Option<&[u8]> {
    let text = line.strip_suffix(b"\r\n").unwrap_or(line);
    let words = text.split(|&byte| byte == b' ').filter(|word| !word.is_empty());
    let skipped = if text.starts_with(b"VA") { 2 } else { 1 };
    words.skip(skipped).find(|word| word.first() == Some(&letter)).map(|word| &word[1..])
}

fn unsigned(token: &[u8]) -> Option<u64> {
    let (negative, number) = number::read(token)?;
    u64::try_from(number).ok().filter(|_| !negative)
}
