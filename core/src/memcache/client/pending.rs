//! Replies that are pending, in the order of the requests, and what may be in them.

use alloc::vec::Vec;

use super::{End, Ticket};
use crate::Instant;
use crate::memcache::command::{Command, ReplyForm};
use crate::memcache::key;
use crate::memcache::meta::{MetaCode, MetaFlags, MetaReply};
use crate::memcache::request::Prepared;
use crate::memcache::response::{Kind, ReplyEnd, Response};

/// A request that was sent and is not answered to its end.
#[derive(Debug)]
pub(super) struct PendingRequest {
    pub(super) ticket: Ticket,
    /// Somebody waits for it; else its reply is discarded.
    pub(super) open: bool,
    pub(super) deadline: Instant,
    /// When it was put among the bytes to write.
    pub(super) since: Instant,
    /// The number of bytes that were to be written before it.
    pub(super) starts: u64,
    pub(super) prepared: Prepared,
    /// How much of the reply has come.
    reply: ReplyEnd,
    /// A frame has come that is not the whole reply.
    is_several: bool,
    /// How many values have come; of a batch, how many answers.
    values: usize,
    /// The key behind the one that was answered last: its place in the text and its index.
    next: (usize, usize),
    /// Which of the keys were answered, a bit for each; empty while those were the first ones, in their order.
    answered: Vec<u64>,
}

/// What a legal frame is to its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Match {
    /// Which key, or which request of a batch, it answers.
    pub(super) index: Option<usize>,
    /// Nothing of this reply follows.
    pub(super) is_last: bool,
    /// Whether more of it follows cannot be known.
    pub(super) is_ambiguous: bool,
}

impl PendingRequest {
    pub(super) fn new(
        ticket: Ticket,
        prepared: Prepared,
        deadline: Instant,
        since: Instant,
        starts: u64,
    ) -> Self {
        Self {
            ticket,
            open: true,
            deadline,
            since,
            starts,
            reply: prepared.expected().reply,
            prepared,
            is_several: false,
            values: 0,
            next: (0, 0),
            answered: Vec::new(),
        }
    }

    fn command(&self) -> Command {
        self.prepared.expected().reply.command()
    }

    /// Whether the server answers by closing the connection.
    pub(super) fn is_answered_by_the_end(&self) -> bool {
        self.prepared.expected().row.form == ReplyForm::Nothing
    }

    /// Whether its reply would go on for ever, or has begun to open an item, which only the end of
    /// the connection puts back.
    pub(super) fn ties_up(&self) -> bool {
        self.prepared.expected().row.form == ReplyForm::Endless
            || (self.prepared.expected().opens && self.values > 0)
    }

    /// Whether a word, which is no error and stands for itself, ends the reply: then
    /// [`match_frame`](Self::match_frame) would say so.
    #[cfg(feature = "client")]
    #[inline]
    pub(super) fn is_ended_by(&self, word: Kind) -> bool {
        let expected = self.prepared.expected();
        let breaks_off = self.is_several && word != Kind::End;
        // That of a monitored queue ends with the second `END`.
        let is_last = expected.row.form != ReplyForm::Monitor;
        expected.batch.is_none() && expected.row.allows(word) && !breaks_off && is_last
    }

    /// Which of the keys a value with that key answers, as [`match_frame`](Self::match_frame) says it of the frame:
    /// no `VALUE` is the last of its reply.
    #[cfg(feature = "client")]
    #[inline]
    pub(super) fn match_value(&mut self, key: &[u8]) -> Result<usize, End> {
        let expected = self.prepared.expected();
        if expected.batch.is_some() || !expected.row.allows(Kind::Value) {
            return Err(End::Mismatched);
        }
        self.is_several = true;
        let index = self.find(key)?;
        let is_last = self.reply.ends_with(Kind::Value);
        debug_assert!(!is_last, "more of the reply follows");
        Ok(index)
    }

    /// Whether the frame may be the next of this reply.
    pub(super) fn match_frame(&mut self, frame: &Response<'_>) -> Result<Match, End> {
        let kind = frame.kind();
        if let Some(count) = self.prepared.expected().batch {
            return self.match_batch(frame, count);
        }
        if !self.prepared.expected().row.allows(kind) || self.breaks_off(kind) {
            return Err(End::Mismatched);
        }
        if kind.is_error() && self.asks_for_several_keys() {
            // Behind a value it stands in one key's place, as memcached's proxy sends it, and `END`
            // follows. Before any value it may be that, or all of the reply, as memcached sends it.
            let is_first = self.values == 0;
            return Ok(Match { index: None, is_last: is_first, is_ambiguous: is_first });
        }
        let index = match frame {
            Response::Value(value) => Some(self.find(value.key)?),
            Response::Meta(reply) => self.check_meta(reply).map(|()| None)?,
            Response::MetaDebug { key, .. } => self.check_key(key).map(|()| None)?,
            _ => None,
        };
        // Behind a part of the reply an error may stand for the rest, or `END` may follow.
        let is_ambiguous = kind.is_error() && self.is_several;
        Ok(Match { index, is_last: self.reply.ends_with(kind), is_ambiguous })
    }

    fn asks_for_several_keys(&self) -> bool {
        self.prepared.expected().row.form == ReplyForm::Many
            && key::words(self.prepared.expected().keys()).nth(1).is_some()
    }

    /// Whether a reply of several frames would end in a word that is a whole reply of its own.
    fn breaks_off(&mut self, kind: Kind) -> bool {
        let goes_on = matches!(kind, Kind::Value | Kind::Stat | Kind::Listing);
        let ends = kind.is_error() || matches!(kind, Kind::End | Kind::Meta(MetaCode::Miss));
        let is_many = self.prepared.expected().row.form == ReplyForm::Many;
        let breaks_off = is_many && self.is_several && !goes_on && !ends;
        self.is_several |= goes_on;
        breaks_off
    }

    /// Which of the keys a value is of. Servers answer in the order in which they were asked, so
    /// that the search is mostly one comparison.
    fn find(&mut self, name: &[u8]) -> Result<usize, End> {
        if self.command() == Command::Monitor {
            self.values += 1;
            return self.check_key(name).map(|()| 0);
        }
        let (from, index) = self.next;
        if self.answered.is_empty()
            && let Some(behind) = self.key_behind(from, name)
        {
            // All before it were answered, and nothing else.
            self.values += 1;
            self.next = (behind, index + 1);
            return Ok(index);
        }
        self.find_elsewhere(name)
    }

    /// The place behind the key that follows the place `from`, where that is `name`.
    #[inline]
    fn key_behind(&self, from: usize, name: &[u8]) -> Option<usize> {
        let behind = self.prepared.expected().keys().get(from..)?.strip_prefix(b" ")?;
        let behind = behind.strip_prefix(name)?;
        let ends = matches!(behind.first(), None | Some(b' ')) && !name.is_empty();
        ends.then_some(from + 1 + name.len())
    }

    /// The same where keys were left out, or the value is not of the next one.
    fn find_elsewhere(&mut self, name: &[u8]) -> Result<usize, End> {
        let keys = self.prepared.expected().keys();
        let search = |from: usize, index: usize| {
            let mut rest = keys.get(from..).unwrap_or_default();
            let mut index = index;
            while let Some((word, behind)) = key::first_word(rest) {
                // The same value twice, for a key that was asked for once, answers something else.
                if word == name && !self.is_answered(index) {
                    return Some((keys.len() - behind.len(), index));
                }
                rest = behind;
                index += 1;
            }
            None
        };
        let (from, index) = self.next;
        let (behind, index) = search(from, index)
            .or_else(|| search(0, 0))
            .or_else(|| self.group_of_queue(name))
            .ok_or(End::Mismatched)?;
        if self.answered.is_empty() && index != self.values {
            (0..self.values).for_each(|before| self.note_answered(before));
        }
        self.values += 1;
        if !self.answered.is_empty() || index + 1 != self.values {
            self.note_answered(index);
        }
        self.next = (behind, index + 1);
        Ok(index)
    }

    fn is_answered(&self, index: usize) -> bool {
        if self.answered.is_empty() {
            return index < self.values;
        }
        self.answered.get(index / 64).is_some_and(|bits| bits >> (index % 64) & 1 == 1)
    }

    fn note_answered(&mut self, index: usize) {
        let words = self.answered.len().max(index / 64 + 1);
        self.answered.resize(words, 0);
        if let Some(bits) = self.answered.get_mut(index / 64) {
            *bits |= 1 << (index % 64);
        }
    }

    /// A value read for a consumer group may be named after both.
    fn group_of_queue(&self, name: &[u8]) -> Option<(usize, usize)> {
        let queue = key::words(self.prepared.expected().keys()).next().unwrap_or_default();
        let group = name.strip_prefix(queue)?;
        let is_first = self.values == 0;
        (self.prepared.expected().group && is_first && group.len() > 1)
            .then_some((self.prepared.expected().keys().len(), 0))
    }

    fn check_key(&self, name: &[u8]) -> Result<(), End> {
        if key::words(self.prepared.expected().keys()).next() == Some(name) {
            Ok(())
        } else {
            Err(End::Mismatched)
        }
    }

    /// A meta reply that names its key or its request has to name these.
    fn check_meta(&self, reply: &MetaReply<'_>) -> Result<(), End> {
        let asked = MetaFlags::new(self.prepared.expected().flags());
        if let (Some(asked), Some(answered)) = (asked.opaque(), reply.flags.opaque())
            && asked != answered
        {
            return Err(End::Mismatched);
        }
        // A binary key has more than one form in base64.
        match reply.flags.get(b'k') {
            Some(name) if asked.has(b'k') && !asked.base64() => self.check_key(name.token),
            _ => Ok(()),
        }
    }

    fn match_batch(&mut self, frame: &Response<'_>, count: usize) -> Result<Match, End> {
        let kind = frame.kind();
        self.values += 1;
        if kind == Kind::Error && self.prepared.expected().batch_has_data {
            // The command is not known, and its data is taken for commands.
            return Ok(Match { index: None, is_last: true, is_ambiguous: true });
        }
        if kind.is_error() {
            // The barrier has its error as well.
            let is_last = self.values > count && !self.prepared.expected().batch_has_data;
            return Ok(Match { index: None, is_last, is_ambiguous: false });
        }
        if self.prepared.expected().row.replies.contains(&kind) {
            return Ok(Match { index: None, is_last: true, is_ambiguous: false });
        }
        let Response::Meta(reply) = frame else {
            return Err(End::Mismatched);
        };
        let opaque = reply.flags.get(b'O').and_then(|flag| flag.unsigned());
        match opaque.and_then(|index| usize::try_from(index).ok()) {
            // Their order is that of the requests: a reply of one that is past is another's.
            Some(index) if index < count && index >= self.next.1 => {
                self.next.1 = index + 1;
                Ok(Match { index: Some(index), is_last: false, is_ambiguous: false })
            }
            _ => Err(End::Mismatched),
        }
    }
}
