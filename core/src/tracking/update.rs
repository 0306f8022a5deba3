//! One update of a profile: checked, cleaned up, stamped, and written as one line of JSON.

use alloc::vec::Vec;

use super::compact::{self, Level};
use super::distinct_id;
use super::endpoint::RecordKind;
use super::error::RecordFault;
use super::json::{self, Unreadable};
use super::limits::TrackingLimits;
use super::members::{Member, Members, Name};
use super::mend::Repairs;
use super::stamps::Stamps;
use super::{client, decimal, time};
use crate::UnixTime;

/// Members that are looked at; every other one is passed on unseen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tag {
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
enum Operation {
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

/// Reads the updates of one text one after the other; its memory serves for the next.
#[derive(Clone, Debug, Default)]
pub(super) struct UpdateReader<'a> {
    members: Members<'a, Tag>,
    levels: Vec<Level>,
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
    /// Takes an update: what is wrong with it, or that it is no object at all.
    pub(super) fn read(
        &mut self,
        text: &'a str,
        limits: &TrackingLimits,
        stamps: &Stamps,
        repairs: &mut Repairs,
    ) -> Result<Result<Update, RecordFault>, Unreadable> {
        self.members.clear();
        let kind = stamps.kind;
        // What an operation has in its object is as deep as a property of an event.
        let mut inside = limits.clone();
        inside.depth = limits.depth.saturating_add(1);
        let taken = json::members(text, |key, value| {
            let name = Name::new(key, repairs);
            let bounds = match Tag::of(name.as_str(), kind) {
                Tag::Operation(_) => &inside,
                _ => limits,
            };
            let value =
                compact::value(value, bounds, &mut self.levels, repairs).map_err(|fault| {
                    match fault {
                        RecordFault::TooDeep { .. } => RecordFault::TooDeep { limit: limits.depth },
                        other => other,
                    }
                })?;
            self.members
                .insert(name, value, limits.properties, |name| Tag::of(name, kind))
                .map_err(|_| RecordFault::TooManyProperties { limit: limits.properties })
        })?;
        Ok(taken.and_then(|()| {
            let time = self.check(stamps)?;
            Ok(Update { time, length: text.len() })
        }))
    }

    /// The value of `$token` of what was read last.
    pub(super) fn token(&self) -> Option<&str> {
        let token = self.members.iter().find(|member| member.tag == Tag::Token);
        token.map(|member| &*member.value)
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
            out.extend_from_slice(member.name.text.as_bytes());
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
                (Tag::Ip, Some(ip)) if is_blank(&member.value) => {
                    has_ip = true;
                    client::push_quoted(ip, out);
                }
                (tag, _) => {
                    has_ip |= tag == Tag::Ip;
                    out.extend_from_slice(member.value.as_bytes());
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
