//! One event: checked, cleaned up, stamped, and written as one line of JSON.

use alloc::vec::Vec;

use super::compact::Value;
use super::error::RecordFault;
use super::id::IdSource;
use super::identity::EventIdentity;
use super::json::Unreadable;
use super::limits::TrackingLimits;
use super::members::{Member, Members, Name};
use super::mend::Repairs;
use super::scan::{Bounds, Scanner, TextRange};
use super::stamps::Stamps;
use super::{client, decimal, distinct_id, time};
use crate::UnixTime;
use crate::cannot_happen::cannot_happen;

/// Properties that are looked at; every other one is passed on unseen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Property {
    Token,
    Time,
    Ip,
    Processed,
    InsertId,
    DistinctId,
    Test,
    Other,
}

impl Property {
    fn of(name: &str) -> Self {
        match name {
            "token" => Self::Token,
            "time" => Self::Time,
            "ip" => Self::Ip,
            "mp_processing_time_ms" => Self::Processed,
            "$insert_id" => Self::InsertId,
            "distinct_id" => Self::DistinctId,
            "$test" => Self::Test,
            _ => Self::Other,
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }

    const fn is_stamp(self) -> bool {
        !matches!(self, Self::Token | Self::DistinctId | Self::Other)
    }
}

/// The stamps in the order in which they are appended, each with what comes before its value.
const STAMPS: [(Property, &[u8]); 5] = [
    (Property::Time, b",\"time\":"),
    (Property::Ip, b",\"ip\":"),
    (Property::Processed, b",\"mp_processing_time_ms\":"),
    (Property::InsertId, b",\"$insert_id\":"),
    (Property::Test, b",\"$test\":"),
];

/// The members of an event.
#[derive(Clone, Debug, Default)]
pub(super) struct EventMembers {
    properties: Members<Property>,
    /// What an event has beside `event` and `properties`.
    others: Members<()>,
}

impl EventMembers {
    /// How many bytes they keep for the next event.
    pub(super) fn capacity(&self) -> usize {
        self.properties.capacity() + self.others.capacity()
    }
}

/// Reads events one after the other; its memory serves for the next.
#[derive(Clone, Debug, Default)]
pub(super) struct EventReader<'a> {
    /// What the event that was read last was found in.
    text: &'a str,
    members: EventMembers,
}

/// An event that was read and found good; its members are in the [`EventReader`].
#[derive(Clone, Debug)]
pub(super) struct Event {
    name: Value,
    /// `None`: it came without, or with one that is not believed, and is stamped with the time of its receipt.
    time: Option<UnixTime>,
    has_insert_id: bool,
    /// How long it was as received.
    length: usize,
}

/// What was found under the name `properties`.
#[derive(Clone, Copy, Debug)]
enum Properties {
    Missing,
    NotAnObject,
    Object,
}

impl<'a> EventReader<'a> {
    /// A reader with memory that served before.
    pub(super) fn new(members: EventMembers) -> Self {
        Self { text: "", members }
    }

    /// Its memory, for the next one.
    pub(super) fn into_members(self) -> EventMembers {
        self.members
    }

    /// Forgets what was read last.
    pub(super) fn clear(&mut self) {
        self.members.properties.clear();
        self.members.others.clear();
    }

    /// Takes the event that stands next: what is wrong with it, or that it is no object at all.
    pub(super) fn read(
        &mut self,
        scanner: &mut Scanner<'a>,
        limits: &TrackingLimits,
        stamps: &Stamps,
        repairs: &mut Repairs,
    ) -> Result<Result<Event, RecordFault>, Unreadable> {
        self.clear();
        self.text = scanner.text();
        let (text, start) = (self.text, scanner.at());
        let (mut name, mut properties) = (None, Properties::Missing);
        let taken = scanner.object(|scanner, key| {
            let key = Name::new(text, key, repairs);
            Ok(match key.unescaped(text) {
                "properties" => {
                    self.read_properties(scanner, limits, repairs)?.map(|found| properties = found)
                }
                "event" => {
                    let value = scanner.value(Bounds::of(limits))?;
                    Value::new(scanner, value, repairs).map(|value| name = Some(value))
                }
                _ => {
                    let value = scanner.value(Bounds::of(limits))?;
                    let others = &mut self.members.others;
                    Value::new(scanner, value, repairs).and_then(|value| {
                        others
                            .insert(text, key, value, limits.properties, |_| ())
                            .map_err(|_| too_many(limits))
                    })
                }
            })
        })?;
        let length = scanner.at() - start;
        Ok(taken.and_then(|()| self.check(name, properties, stamps, length)))
    }

    /// The value of `$insert_id` of what was read last.
    pub(super) fn insert_id(&self) -> Option<&str> {
        self.value(Property::InsertId)
    }

    /// The value of `token` of what was read last.
    pub(super) fn token(&self) -> Option<&str> {
        self.value(Property::Token)
    }

    /// What the event that was just read is recognised by when it is sent again.
    pub(super) fn identity<'s>(
        &'s self,
        event: &'s Event,
        stamps: &'s Stamps,
    ) -> Option<EventIdentity<'s>> {
        if !event.has_insert_id {
            return None;
        }
        let token = self.token().or(stamps.token.as_deref());
        Some(EventIdentity {
            token: token.unwrap_or_default().into(),
            name: event.name.of(self.text).into(),
            time: event.time,
            distinct_id: self.value(Property::DistinctId).unwrap_or_default().into(),
            insert_id: self.insert_id().unwrap_or_default().into(),
        })
    }

    fn value(&self, property: Property) -> Option<&str> {
        let found = self.members.properties.iter().find(|member| member.tag == property);
        found.map(|member| member.value.of(self.text))
    }

    fn read_properties(
        &mut self,
        scanner: &mut Scanner<'a>,
        limits: &TrackingLimits,
        repairs: &mut Repairs,
    ) -> Result<Result<Properties, RecordFault>, Unreadable> {
        let (text, properties) = (self.text, &mut self.members.properties);
        properties.clear();
        if scanner.peek() != Some(b'{') {
            scanner.value(Bounds::NONE)?;
            return Ok(Ok(Properties::NotAnObject));
        }
        let bounds = Bounds::of(limits);
        let taken = scanner.object(|scanner, name| {
            let value = scanner.value(bounds)?;
            Ok(Value::new(scanner, value, repairs).and_then(|value| {
                properties
                    .insert(
                        text,
                        Name::new(text, name, repairs),
                        value,
                        limits.properties,
                        Property::of,
                    )
                    .map_err(|_| too_many(limits))
            }))
        })?;
        Ok(taken.map(|()| Properties::Object))
    }

    /// The event, if everything that must be there is.
    fn check(
        &self,
        name: Option<Value>,
        properties: Properties,
        stamps: &Stamps,
        length: usize,
    ) -> Result<Event, RecordFault> {
        let name = name.ok_or(RecordFault::NameMissing)?;
        match name.of(self.text).as_bytes() {
            b"\"\"" => return Err(RecordFault::NameEmpty),
            [b'"', ..] => {}
            _ => return Err(RecordFault::NameNotAString),
        }
        match properties {
            Properties::Missing => return Err(RecordFault::PropertiesMissing),
            Properties::NotAnObject => return Err(RecordFault::PropertiesNotAnObject),
            Properties::Object => {}
        }
        let mut token = Err(RecordFault::TokenMissing);
        let mut time = Ok(None);
        let mut has_insert_id = false;
        for member in self.members.properties.iter() {
            match (member.tag, member.value.of(self.text).as_bytes()) {
                (Property::Token, b"\"\"") => token = Err(RecordFault::TokenEmpty),
                (Property::Token, [b'"', ..]) => token = Ok(()),
                (Property::Token, _) => token = Err(RecordFault::TokenNotAString),
                (Property::Time, b"null") => {}
                (Property::Time, text) => time = time::parse(text, stamps),
                (Property::InsertId, text) => has_insert_id = !matches!(text, b"null" | b"\"\""),
                _ => {}
            }
        }
        match token {
            Err(RecordFault::TokenMissing) if stamps.token.is_some() => {}
            token => token?,
        }
        let time = time?;
        if stamps.strict {
            self.check_strictly(time)?;
        }
        Ok(Event { name, time, has_insert_id, length })
    }

    /// What `/import` asks for with `strict=1`, beyond what every event must have.
    #[cold]
    fn check_strictly(&self, time: Option<UnixTime>) -> Result<(), RecordFault> {
        time.ok_or(RecordFault::TimeMissing)?;
        for member in self.members.properties.iter() {
            match member.tag {
                Property::InsertId if !is_insert_id(member.value.of(self.text)) => {
                    return Err(RecordFault::InsertIdMalformed);
                }
                Property::DistinctId if distinct_id::is_banned(member.value.of(self.text)) => {
                    return Err(RecordFault::DistinctIdBanned);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Appends the event that was just read as one line.
    pub(super) fn write(
        &self,
        event: &Event,
        stamps: &Stamps,
        ids: &mut IdSource,
        out: &mut Vec<u8>,
    ) {
        let text = self.text;
        // Room for the longest stamps.
        out.reserve(event.length + 192);
        out.extend_from_slice(b"{\"event\":");
        out.extend_from_slice(event.name.of(text).as_bytes());
        out.extend_from_slice(b",\"properties\":{");
        let time = event.time.unwrap_or(stamps.now);
        let mut writer =
            Writer { text, stamps, time, ids, out, written: 0, run: TextRange::default() };
        for member in self.members.properties.iter() {
            writer.property(member);
        }
        writer.missing_stamps();
        out.push(b'}');
        for member in self.members.others.iter() {
            out.push(b',');
            copy_member(text, member, out);
        }
        out.push(b'}');
    }
}

/// Whether a value is one that `$insert_id` may have, or stands for none.
fn is_insert_id(value: &str) -> bool {
    const LONGEST: usize = 36;
    let id = value.strip_prefix('"').and_then(|id| id.strip_suffix('"'));
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    value == "null" || id.is_some_and(|id| id.len() <= LONGEST && id.bytes().all(is_legal))
}

fn too_many(limits: &TrackingLimits) -> RecordFault {
    RecordFault::TooManyProperties { limit: limits.properties }
}

fn copy_member<T>(text: &str, member: &Member<T>, out: &mut Vec<u8>) {
    copy_name(text, member, out);
    out.extend_from_slice(member.value.of(text).as_bytes());
}

fn copy_name<T>(text: &str, member: &Member<T>, out: &mut Vec<u8>) {
    out.extend_from_slice(member.name.of(text).as_bytes());
    out.push(b':');
}

/// Writes the properties of one event: each stamp in the place of the property of its name, or at
/// the end.
struct Writer<'a> {
    text: &'a str,
    stamps: &'a Stamps,
    time: UnixTime,
    ids: &'a mut IdSource,
    out: &'a mut Vec<u8>,
    /// A bit for each kind of property that was written, or is in `run`.
    written: u8,
    /// Properties that are passed on as they were received, one behind the other: copied in one piece. Empty
    /// where the last property was written.
    run: TextRange,
}

impl Writer<'_> {
    fn property(&mut self, member: &Member<Property>) {
        let is_stamped =
            member.tag.is_stamp() && self.stamps_over(member.tag, member.value.of(self.text));
        match member.received().filter(|_| !is_stamped) {
            // Between two members that stand so close is a comma.
            Some(received) if self.run.end > 0 && received.start == self.run.end + 1 => {
                self.run.end = received.end;
            }
            Some(received) => {
                self.end_run();
                self.separate();
                self.run = received;
            }
            None => {
                self.end_run();
                self.separate();
                if is_stamped {
                    copy_name(self.text, member, self.out);
                    self.stamp(member.tag);
                } else {
                    copy_member(self.text, member, self.out);
                }
            }
        }
        self.written |= member.tag.bit();
    }

    fn separate(&mut self) {
        if self.written != 0 {
            self.out.push(b',');
        }
    }

    fn end_run(&mut self) {
        self.out.extend_from_slice(self.run.of(self.text).as_bytes());
        self.run = TextRange::default();
    }

    /// Appends the stamps whose properties did not come; some property was written before.
    fn missing_stamps(&mut self) {
        self.end_run();
        if let (0, Some(token)) = (self.written & Property::Token.bit(), &self.stamps.token) {
            self.separate();
            self.out.extend_from_slice(b"\"token\":");
            self.out.extend_from_slice(token.as_bytes());
        }
        for (property, key) in STAMPS {
            if self.written & property.bit() == 0 && self.stamps_over(property, "null") {
                self.out.extend_from_slice(key);
                self.stamp(property);
            }
        }
    }

    /// Whether the stamp goes in the place of what was received.
    fn stamps_over(&self, property: Property, received: &str) -> bool {
        match property {
            Property::Time | Property::Processed => true,
            // What the sender knows better than we do.
            Property::Ip => self.stamps.ip.is_some() && matches!(received, "null" | "\"\""),
            Property::InsertId => matches!(received, "null" | "\"\""),
            Property::Test => self.stamps.test,
            // What nothing is stamped on.
            Property::Token | Property::DistinctId | Property::Other => cannot_happen(false),
        }
    }

    fn stamp(&mut self, property: Property) {
        match property {
            Property::Time => decimal::push(self.time.as_millis(), self.out),
            Property::Processed => decimal::push(self.stamps.now.as_millis(), self.out),
            Property::Ip => {
                if let Some(ip) = self.stamps.ip {
                    client::push_quoted(ip, self.out);
                }
            }
            Property::InsertId => {
                self.out.push(b'"');
                self.out.extend_from_slice(&self.ids.next_id());
                self.out.push(b'"');
            }
            Property::Test => self.out.extend_from_slice(b"true"),
            Property::Token | Property::DistinctId | Property::Other => cannot_happen(()),
        }
    }
}
