//! The events of a batch that are not recorded, and how their sender is told.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt::{self, Write};

use super::rejection::EventFault;

/// Longest `$insert_id` that is kept of an event that is refused, with its quotes; the API's own
/// bound is 36 characters.
const LONGEST_ID: usize = 38;

/// An event of a batch that is not recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefusedEvent {
    /// Which one, counted from 0.
    pub index: usize,
    /// What is wrong with it.
    pub fault: EventFault,
    /// Its `$insert_id` as a JSON string, if it was seen and is no longer than the API allows.
    pub insert_id: Option<Box<str>>,
}

impl RefusedEvent {
    pub(super) fn new(index: usize, insert_id: Option<&str>, fault: EventFault) -> Self {
        let fits = |id: &&str| id.starts_with('"') && id.len() <= LONGEST_ID;
        Self { index, fault, insert_id: insert_id.filter(fits).map(Into::into) }
    }
}

/// The events of a request that are not recorded, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RefusedEvents {
    /// How many events the request had, those that were recorded included.
    pub(super) events: usize,
    pub(super) list: Vec<RefusedEvent>,
}

impl RefusedEvents {
    /// Appends `failed_records`, in the form that the API has for `/import`.
    pub(super) fn push_failed_records(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(b"\"failed_records\":[");
        for (at, event) in self.list.iter().enumerate() {
            if at > 0 {
                into.push(b',');
            }
            // Writing to memory does not fail.
            let _ = write!(
                Appended(into),
                r#"{{"index":{},"$insert_id":{},"field":"{}","message":"{}"}}"#,
                event.index,
                event.insert_id.as_deref().unwrap_or("\"\""),
                event.fault.field(),
                // None of them needs an escape: see the tests.
                event.fault,
            );
        }
        into.push(b']');
    }
}

/// Some of a batch, in one sentence.
impl fmt::Display for RefusedEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (refused, events) = (self.list.len(), self.events);
        write!(f, "{refused} of {events} events are not recorded")?;
        match self.list.first() {
            Some(RefusedEvent { index, fault, .. }) => write!(f, ", first event {index}: {fault}"),
            None => Ok(()),
        }
    }
}

/// Text appended to bytes.
struct Appended<'a>(&'a mut Vec<u8>);

impl Write for Appended<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}
