//! One record of a request, of whichever kind: what they have in common.

use alloc::vec::Vec;

use super::endpoint::RecordKind;
use super::error::RecordFault;
use super::event::{Event, EventReader};
use super::id::IdSource;
use super::identity::EventIdentity;
use super::json::Unreadable;
use super::limits::TrackingLimits;
use super::mend::Repairs;
use super::stamps::Stamps;
use super::update::{Update, UpdateReader};
use crate::cannot_happen::cannot_happen;

/// Reads the records of one text one after the other; its memory serves for the next.
#[derive(Clone, Debug)]
pub(super) enum RecordReader<'a> {
    Events(EventReader<'a>),
    Updates(UpdateReader<'a>),
}

/// A record that was read and found good; its members are in the [`RecordReader`].
#[derive(Clone, Debug)]
pub(super) enum Record<'a> {
    Event(Event<'a>),
    Update(Update),
}

impl<'a> RecordReader<'a> {
    /// A reader of records of that kind.
    pub(super) fn new(kind: RecordKind) -> Self {
        match kind {
            RecordKind::Event => Self::Events(EventReader::default()),
            RecordKind::UserUpdate | RecordKind::GroupUpdate => {
                Self::Updates(UpdateReader::default())
            }
        }
    }

    /// Takes a record: what is wrong with it, or that it is no object at all.
    pub(super) fn read(
        &mut self,
        text: &'a str,
        limits: &TrackingLimits,
        stamps: &Stamps,
        repairs: &mut Repairs,
    ) -> Result<Result<Record<'a>, RecordFault>, Unreadable> {
        Ok(match self {
            Self::Events(events) => events.read(text, limits, stamps, repairs)?.map(Record::Event),
            Self::Updates(updates) => {
                updates.read(text, limits, stamps, repairs)?.map(Record::Update)
            }
        })
    }

    /// Appends the record that was just read as one line.
    pub(super) fn write(
        &self,
        record: &Record<'_>,
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
        record: &'s Record<'_>,
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
