//! One update of a profile: checked, cleaned up, stamped, and written as one line of JSON.

use alloc::vec::Vec;

use super::compact::Value;
use super::distinct_id;
use super::endpoint::RecordKind;
use super::error::RecordFault;
use super::json::{self, Unreadable};
use super::limits::TrackingLimits;
use super::members::{Member, Members, Name};
use super::mend::Repairs;
use super::scan::{Bounds, Scanner};
use super::stamps::Stamps;
use super::{client, decimal, time};
use crate::UnixTime;

/// Members that are looked at; every other one is passed on unseen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    Token,
    /// `$distinct_id` of a user's update, `$group_id` of a group's.
    Id,
    GroupKey,
    Time,
    Ip,
    Processed,
    Operation(Operation),
    Other,
}

/// What is done to a profile, by what its value must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// `$set`, `$set_once`, `$append`, `$remove`: an object.
    Object,
    /// `$add`: an object of numbers.
    Numbers,
    /// `$union`: an object of arrays.
    Arrays,
    /// `$unset`: an array of names.
    Names,
    /// `$delete`: anything.
    Anything,
}

impl Tag {
    fn of(name: &str, kind: RecordKind) -> Self {
        let is_group = kind == RecordKind::GroupUpdate;
        match name {
            "$token" => Self::Token,
            "$distinct_id" if !is_group => Self::Id,
            "$group_id" if is_group => Self::Id,
            "$group_key" if is_group => Self::GroupKey,
            "$time" => Self::Time,
            "$ip" => Self::Ip,
            "mp_processing_time_ms" => Self::Processed,
            "$set" | "$set_once" | "$remove" => Self::Operation(Operation::Object),
            "$union" => Self::Operation(Operation::Arrays),
            "$unset" => Self::Operation(Operation::Names),
            "$delete" => Self::Operation(Operation::Anything),
            "$append" if !is_group => Self::Operation(Operation::Object),
            "$add" if !is_group => Self::Operation(Operation::Numbers),
            _ => Self::Other,
        }
    }
}

/// Reads updates one after the other; its memory serves for the next.
#[derive(Clone, Debug, Default)]
pub(super) struct UpdateReader<'a> {
    /// What the update that was read last was found in.
    text: &'a str,
    members: Members<Tag>,
}

/// An update that was read and found good; its members are in the [`UpdateReader`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Update {
    /// `None`: it came without, and is stamped with the time of its receipt.
    time: Option<UnixTime>,
    /// How long it was as received.
    length: usize,
}

impl<'a> UpdateReader<'a> {
    /// A reader with memory that served before.
    pub(super) fn new(members: Members<Tag>) -> Self {
        Self { text: "", members }
    }

    /// Its memory, for the next one.
    pub(super) fn into_members(self) -> Members<Tag> {
        self.members
    }

    /// Forgets what was read last.
    pub(super) fn clear(&mut self) {
        self.members.clear();
    }

    /// Takes the update that stands next: what is wrong with it, or that it is no object at all.
    pub(super) fn read(
        &mut self,
        scanner: &mut Scanner<'a>,
        limits: &TrackingLimits,
        stamps: &Stamps,
        repairs: &mut Repairs,
    ) -> Result<Result<Update, RecordFault>, Unreadable> {
        self.clear();
        self.text = scanner.text();
        let (text, members, start) = (self.text, &mut self.members, scanner.at());
        let kind = stamps.kind;
        let too_deep = |fault| match fault {
            RecordFault::TooDeep { .. } => RecordFault::TooDeep { limit: limits.depth },
            other => other,
        };
        let taken = scanner.object(|scanner, name| {
            let name = Name::new(text, name, repairs);
            let mut bounds = Bounds::of(limits);
            if let Tag::Operation(_) = Tag::of(name.unescaped(text), kind) {
                // What an operation has in its object is as deep as a property of an event.
                bounds.depth = limits.depth.saturating_add(1);
            }
            let value = scanner.value(bounds)?;
            Ok(Value::new(scanner, value, repairs).map_err(too_deep).and_then(|value| {
                members
                    .insert(text, name, value, limits.properties, |name| Tag::of(name, kind))
                    .map_err(|_| RecordFault::TooManyProperties { limit: limits.properties })
            }))
        })?;
        let length = scanner.at() - start;
        Ok(taken.and_then(|()| {
            let time = self.check(stamps)?;
            Ok(Update { time, length })
        }))
    }

    /// The value of `$token` of what was read last.
    pub(super) fn token(&self) -> Option<&str> {
        let token = self.members.iter().find(|member| member.tag == Tag::Token);
        token.map(|member| member.value.of(self.text))
    }

    /// The update's time, if everything that must be there is.
    fn check(&self, stamps: &Stamps) -> Result<Option<UnixTime>, RecordFault> {
        let is_group = stamps.kind == RecordKind::GroupUpdate;
        let mut token = Err(RecordFault::TokenMissing);
        let mut id = Err(RecordFault::ProfileIdMissing);
        let mut group_key = if is_group { Err(RecordFault::GroupKeyMissing) } else { Ok(()) };
        let mut operation = Err(RecordFault::OperationMissing);
        let mut time = Ok(None);
        for Member { value, tag, .. } in self.members.iter() {
            let value = value.of(self.text);
            match (*tag, value.as_bytes()) {
                (Tag::Token, b"\"\"") => token = Err(RecordFault::TokenEmpty),
                (Tag::Token, [b'"', ..]) => token = Ok(()),
                (Tag::Token, _) => token = Err(RecordFault::TokenNotAString),
                // As if they were not there.
                (Tag::Id, b"\"\"" | b"null") | (Tag::GroupKey, b"\"\"") | (Tag::Time, b"null") => {}
                // Senders have ids of both kinds.
                (Tag::Id, [b'"' | b'-' | b'0'..=b'9', ..]) => id = Ok(()),
                (Tag::Id, _) => id = Err(RecordFault::ProfileIdNotAString),
                (Tag::GroupKey, [b'"', ..]) => group_key = Ok(()),
                (Tag::Time, text) => time = time::parse(text, stamps),
                (Tag::Operation(kind), _) => {
                    if matches!(operation, Ok(()) | Err(RecordFault::OperationMissing)) {
                        operation = check_operation(kind, value);
                    }
                }
                _ => {}
            }
            if stamps.strict && !is_group && *tag == Tag::Id && distinct_id::is_banned(value) {
                id = Err(RecordFault::DistinctIdBanned);
            }
        }
        token.and(group_key).and(id).and(operation)?;
        time
    }

    /// Appends the update that was just read as one line.
    pub(super) fn write(&self, update: Update, stamps: &Stamps, out: &mut Vec<u8>) {
        // Room for the longest stamps.
        out.reserve(update.length + 128);
        let time = update.time.unwrap_or(stamps.now);
        let is_blank = |value: &str| matches!(value, "null" | "\"\"");
        let (mut has_time, mut has_ip, mut is_processed) = (false, false, false);
        let mut separator = b'{';
        for member in self.members.iter() {
            out.push(separator);
            separator = b',';
            out.extend_from_slice(member.name.of(self.text).as_bytes());
            out.push(b':');
            match (member.tag, stamps.ip) {
                (Tag::Time, _) => {
                    has_time = true;
                    decimal::push(time.as_millis(), out);
                }
                (Tag::Processed, _) => {
                    is_processed = true;
                    decimal::push(stamps.now.as_millis(), out);
                }
                (Tag::Ip, Some(ip)) if is_blank(member.value.of(self.text)) => {
                    has_ip = true;
                    client::push_quoted(ip, out);
                }
                (tag, _) => {
                    has_ip |= tag == Tag::Ip;
                    out.extend_from_slice(member.value.of(self.text).as_bytes());
                }
            }
        }
        if !has_time {
            out.extend_from_slice(b",\"$time\":");
            decimal::push(time.as_millis(), out);
        }
        if let (false, Some(ip)) = (has_ip, stamps.ip) {
            out.extend_from_slice(b",\"$ip\":");
            client::push_quoted(ip, out);
        }
        if !is_processed {
            out.extend_from_slice(b",\"mp_processing_time_ms\":");
            decimal::push(stamps.now.as_millis(), out);
        }
        out.push(b'}');
    }
}

/// Whether the value of an operation is what it must be. It is without white space.
fn check_operation(operation: Operation, value: &str) -> Result<(), RecordFault> {
    let (is_kind, inner): (bool, fn(&str) -> bool) = match operation {
        Operation::Anything => return Ok(()),
        Operation::Object => (value.starts_with('{'), |_| true),
        Operation::Numbers => (value.starts_with('{'), |inner| {
            inner.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        }),
        Operation::Arrays => (value.starts_with('{'), |inner| inner.starts_with('[')),
        Operation::Names => (value.starts_with('['), |inner| inner.starts_with('"')),
    };
    let check = |inner_value: &str| if inner(inner_value) { Ok(()) } else { Err(()) };
    let checked = match operation {
        _ if !is_kind => Ok(Err(())),
        Operation::Object | Operation::Anything => Ok(Ok(())),
        Operation::Numbers | Operation::Arrays => json::members(value, |_, inner| check(inner)),
        Operation::Names => json::elements(value, check),
    };
    // It was read before as a part of the update.
    match checked {
        Ok(Ok(())) => Ok(()),
        Ok(Err(())) | Err(Unreadable) => Err(match operation {
            Operation::Object | Operation::Anything => RecordFault::OperationNotAnObject,
            Operation::Numbers => RecordFault::OperationNotNumbers,
            Operation::Arrays => RecordFault::OperationNotArrays,
            Operation::Names => RecordFault::OperationNotNames,
        }),
    }
}
