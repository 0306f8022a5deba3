//! One event: checked, cleaned up, stamped, and written as one line of JSON.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::net::IpAddr;

use super::compact::Level;
use super::id::IdSource;
use super::json::Unreadable;
use super::limits::TrackingLimits;
use super::members::{Member, Members, Name};
use super::mend::Repairs;
use super::rejection::EventFault;
use super::{client, compact, decimal, json, time};
use crate::UnixTime;

/// Properties that are looked at; every other one is passed on unseen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Property {
    Token,
    Time,
    Ip,
    Processed,
    InsertId,
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
            "$test" => Self::Test,
            _ => Self::Other,
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }

    const fn is_stamp(self) -> bool {
        !matches!(self, Self::Token | Self::Other)
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

/// What is stamped on every event of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamps {
    pub(super) now: UnixTime,
    /// The client's address, when `ip=1`.
    pub(super) ip: Option<IpAddr>,
    /// `test=1`.
    pub(super) test: bool,
}

/// Reads the events of one text one after the other; its memory serves for the next.
#[derive(Clone, Debug, Default)]
pub(super) struct EventReader<'a> {
    properties: Members<'a, Property>,
    /// What an event has beside `event` and `properties`.
    others: Members<'a, ()>,
    levels: Vec<Level>,
}

/// An event that was read and found good; its members are in the [`EventReader`].
#[derive(Clone, Debug)]
pub(super) struct Event<'a> {
    name: Cow<'a, str>,
    /// `None`: it came without, and is stamped with the time of its receipt.
    time: Option<UnixTime>,
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
    /// Takes an event: what is wrong with it, or that it is no object at all.
    pub(super) fn read(
        &mut self,
        text: &'a str,
        limits: &TrackingLimits,
        now: UnixTime,
        repairs: &mut Repairs,
    ) -> Result<Result<Event<'a>, EventFault>, Unreadable> {
        self.properties.clear();
        self.others.clear();
        let mut name = None;
        let mut properties = Properties::Missing;
        let taken = json::members(text, |key, value| {
            let key = Name::new(key, repairs);
            match key.as_str() {
                "event" => name = Some(compact::value(value, limits, &mut self.levels, repairs)?),
                "properties" => properties = self.read_properties(value, limits, repairs)?,
                _ => {
                    let value = compact::value(value, limits, &mut self.levels, repairs)?;
                    self.others
                        .insert(key, value, limits.properties, |_| ())
                        .map_err(|_| too_many(limits))?;
                }
            }
            Ok(())
        })?;
        Ok(taken.and_then(|()| {
            let (name, time) = self.check(name, properties, now)?;
            Ok(Event { name, time, length: text.len() })
        }))
    }

    /// The value of `$insert_id` of what was read last.
    pub(super) fn insert_id(&self) -> Option<&str> {
        let id = self.properties.iter().find(|member| member.tag == Property::InsertId);
        id.map(|member| &*member.value)
    }

    fn read_properties(
        &mut self,
        text: &'a str,
        limits: &TrackingLimits,
        repairs: &mut Repairs,
    ) -> Result<Properties, EventFault> {
        self.properties.clear();
        let taken = json::members(text, |key, value| {
            let value = compact::value(value, limits, &mut self.levels, repairs)?;
            self.properties
                .insert(Name::new(key, repairs), value, limits.properties, Property::of)
                .map_err(|_| too_many(limits))
        });
        match taken {
            Ok(taken) => taken.map(|()| Properties::Object),
            // It is JSON: the event's members were found around it.
            Err(Unreadable) => Ok(Properties::NotAnObject),
        }
    }

    /// The event's name and time, if everything that must be there is.
    fn check(
        &self,
        name: Option<Cow<'a, str>>,
        properties: Properties,
        now: UnixTime,
    ) -> Result<(Cow<'a, str>, Option<UnixTime>), EventFault> {
        let name = name.ok_or(EventFault::NameMissing)?;
        match name.as_bytes() {
            b"\"\"" => return Err(EventFault::NameEmpty),
            [b'"', ..] => {}
            _ => return Err(EventFault::NameNotAString),
        }
        match properties {
            Properties::Missing => return Err(EventFault::PropertiesMissing),
            Properties::NotAnObject => return Err(EventFault::PropertiesNotAnObject),
            Properties::Object => {}
        }
        let mut token = Err(EventFault::TokenMissing);
        let mut time = Ok(None);
        for member in self.properties.iter() {
            match (member.tag, member.value.as_bytes()) {
                (Property::Token, b"\"\"") => token = Err(EventFault::TokenEmpty),
                (Property::Token, [b'"', ..]) => token = Ok(()),
                (Property::Token, _) => token = Err(EventFault::TokenNotAString),
                (Property::Time, b"null") => {}
                (Property::Time, [b'"', digits @ .., b'"']) => {
                    time = time::parse(digits, now).map(Some);
                }
                (Property::Time, number) => time = time::parse(number, now).map(Some),
                _ => {}
            }
        }
        token?;
        Ok((name, time?))
    }

    /// Appends the event that was just read as one line.
    pub(super) fn write(
        &self,
        event: &Event<'_>,
        stamps: &Stamps,
        ids: &mut IdSource,
        out: &mut Vec<u8>,
    ) {
        // Room for the longest stamps.
        out.reserve(event.length + 192);
        out.extend_from_slice(b"{\"event\":");
        out.extend_from_slice(event.name.as_bytes());
        out.extend_from_slice(b",\"properties\":{");
        let mut writer =
            Writer { stamps, time: event.time.unwrap_or(stamps.now), ids, out, written: 0 };
        for member in self.properties.iter() {
            writer.property(member);
        }
        writer.missing_stamps();
        out.push(b'}');
        for member in self.others.iter() {
            out.push(b',');
            copy_member(member, out);
        }
        out.push(b'}');
    }
}

fn too_many(limits: &TrackingLimits) -> EventFault {
    EventFault::TooManyProperties { limit: limits.properties }
}

fn copy_member<T>(member: &Member<'_, T>, out: &mut Vec<u8>) {
    copy_name(member, out);
    out.extend_from_slice(member.value.as_bytes());
}

fn copy_name<T>(member: &Member<'_, T>, out: &mut Vec<u8>) {
    out.extend_from_slice(member.name.text.as_bytes());
    out.push(b':');
}

/// Writes the properties of one event: each stamp in the place of the property of its name, or at
/// the end.
struct Writer<'a> {
    stamps: &'a Stamps,
    time: UnixTime,
    ids: &'a mut IdSource,
    out: &'a mut Vec<u8>,
    /// A bit for each kind of property that was written.
    written: u8,
}

impl Writer<'_> {
    fn property(&mut self, member: &Member<'_, Property>) {
        if self.written != 0 {
            self.out.push(b',');
        }
        self.written |= member.tag.bit();
        if member.tag.is_stamp() && self.stamps_over(member.tag, &member.value) {
            copy_name(member, self.out);
            self.stamp(member.tag);
        } else {
            copy_member(member, self.out);
        }
    }

    /// Appends the stamps whose properties did not come; some property was written before.
    fn missing_stamps(&mut self) {
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
            Property::Token | Property::Other => false,
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
            Property::Token | Property::Other => {}
        }
    }
}
