//! One record of a request, of whichever kind: what they have in common.

use alloc::vec::Vec;

use super::endpoint::RecordKind;
use super::error::RecordFault;
use super::event::{Event, EventMembers, EventReader};
use super::id::IdSource;
use super::identity::EventIdentity;
use super::json::Unreadable;
use super::limits::TrackingLimits;
use super::members::Members;
use super::mend::Repairs;
use super::scan::{Level, Scanner};
use super::stamps::Stamps;
use super::update::{Tag, Update, UpdateReader};
use crate::cannot_happen::cannot_happen;

/// What reading records needs, kept for the next request.
#[derive(Clone, Debug, Default)]
pub(super) struct ReaderMemory {
    pub(super) levels: Vec<Level>,
    event: EventMembers,
    update: Members<Tag>,
}

impl ReaderMemory {
    /// How many bytes it is.
    pub(super) fn capacity(&self) -> usize {
        self.levels.capacity() * size_of::<Level>() + self.event.capacity() + self.update.capacity()
    }
}

/// Reads the records of one text one after the other; its memory serves for the next.
#[derive(Clone, Debug)]
pub(super) enum RecordReader<'a> {
    Events(EventReader<'a>),
    Updates(UpdateReader<'a>),
}

/// A record that was read and found good; its members are in the [`RecordReader`].
#[derive(Clone, Debug)]
pub(super) enum Record {
    Event(Event),
    Update(Update),
}

impl<'a> RecordReader<'a> {
    /// A reader of records of that kind, with memory that served before.
    pub(super) fn new(kind: RecordKind, memory: &mut ReaderMemory) -> Self {
        match kind {
            RecordKind::Event => Self::Events(EventReader::new(core::mem::take(&mut memory.event))),
            RecordKind::UserUpdate | RecordKind::GroupUpdate => {
                Self::Updates(UpdateReader::new(core::mem::take(&mut memory.update)))
            }
        }
    }

    /// Gives its memory back.
    pub(super) fn end(self, memory: &mut ReaderMemory) {
        match self {
            Self::Events(events) => memory.event = events.into_members(),
            Self::Updates(updates) => memory.update = updates.into_members(),
        }
    }

    /// Forgets what was read last.
    pub(super) fn clear(&mut self) {
        match self {
            Self::Events(events) => events.clear(),
            Self::Updates(updates) => updates.clear(),
        }
    }

    /// Takes the record that stands next: what is wrong with it, or that it is no object at all.
    pub(super) fn read(
        &mut self,
        scanner: &mut Scanner<'a>,
        limits: &TrackingLimits,
        stamps: &Stamps,
        repairs: &mut Repairs,
    ) -> Result<Result<Record, RecordFault>, Unreadable> {
        Ok(match self {
            Self::Events(events) => {
                events.read(scanner, limits, stamps, repairs)?.map(Record::Event)
            }
            Self::Updates(updates) => {
                updates.read(scanner, limits, stamps, repairs)?.map(Record::Update)
            }
        })
    }

    /// Appends the record that was just read as one line.
    pub(super) fn write(
        &self,
        record: &Record,
        stamps: &Stamps,
        ids: &mut IdSource,
        out: &mut Vec<u8>,
    ) {
        match (self, record) {
            (Self::Events(events), Record::Event(event)) => events.write(event, stamps, ids, out),
            (Self::Updates(updates), Record::Update(update)) => {
                updates.write(*update, stamps, out);
            }
            // A reader reads one kind.
            _ => cannot_happen(()),
        }
    }

    /// What the event that was just read is recognised by when it is sent again.
    pub(super) fn identity<'s>(
        &'s self,
        record: &'s Record,
        stamps: &'s Stamps,
    ) -> Option<EventIdentity<'s>> {
        match (self, record) {
            (Self::Events(events), Record::Event(event)) => events.identity(event, stamps),
            _ => None,
        }
    }

    /// The `$insert_id` of the event that was read last.
    pub(super) fn insert_id(&self) -> Option<&str> {
        match self {
            Self::Events(events) => events.insert_id(),
            Self::Updates(_) => None,
        }
    }

    /// The token of what was read last.
    pub(super) fn token(&self) -> Option<&str> {
        match self {
            Self::Events(events) => events.token(),
            Self::Updates(updates) => updates.token(),
        }
    }
}
