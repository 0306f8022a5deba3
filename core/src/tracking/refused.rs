//! The records of a request that are not kept, and how their sender is told.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt::{self, Write};

use super::endpoint::RecordKind;
use super::error::RecordFault;

/// Longest `$insert_id` that is kept of an event that is refused, with its quotes; the API's own
/// bound is 36 characters.
const LONGEST_ID: usize = 38;
/// Longest token that is kept of a record that is refused, with its quotes.
const LONGEST_TOKEN: usize = 256;

/// A record of a batch that is not recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefusedRecord {
    /// Which one, counted from 0.
    pub index: usize,
    /// What is wrong with it.
    pub fault: RecordFault,
    /// Its `$insert_id` as a JSON string, if it was seen and is no longer than the API allows.
    pub insert_id: Option<Box<str>>,
    /// Its token as a JSON string, if it was seen and is no longer than 254 bytes; of an event without
    /// one, that of the request's credentials.
    pub token: Option<Box<str>>,
    /// The record itself, without the encodings of the request.
    pub text: Box<[u8]>,
}

impl RefusedRecord {
    pub(super) fn new(
        index: usize,
        fault: RecordFault,
        (insert_id, token): (Option<&str>, Option<&str>),
        text: &[u8],
    ) -> Self {
        let kept = |value: Option<&str>, longest: usize| {
            value.filter(|it| it.starts_with('"') && it.len() <= longest).map(Into::into)
        };
        Self {
            index,
            fault,
            insert_id: kept(insert_id, LONGEST_ID),
            token: kept(token, LONGEST_TOKEN),
            text: text.into(),
        }
    }
}

/// The records of a request that are not kept, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RefusedRecords {
    pub(super) kind: RecordKind,
    /// How many records the request had, those that were kept included.
    pub(super) records: usize,
    pub(super) list: Vec<RefusedRecord>,
}

impl RefusedRecords {
    /// `failed_records`, in the form that the API has for `/import`.
    pub(super) fn failed_records(&self) -> Vec<u8> {
        let mut into = b"\"failed_records\":[".to_vec();
        for (at, record) in self.list.iter().enumerate() {
            if at > 0 {
                into.push(b',');
            }
            // Writing to memory does not fail.
            let _ = write!(
                Appended(&mut into),
                r#"{{"index":{},"$insert_id":{},"field":"{}","message":"{}"}}"#,
                record.index,
                record.insert_id.as_deref().unwrap_or("\"\""),
                record.fault.field(self.kind),
                // None of them needs an escape: see the tests.
                record.fault.of(self.kind),
            );
        }
        into.push(b']');
        into
    }
}

/// Some of a batch, in one sentence.
impl fmt::Display for RefusedRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (refused, records, noun) = (self.list.len(), self.records, self.kind.noun());
        write!(f, "{refused} of {records} {noun}s are not recorded")?;
        match self.list.first() {
            Some(RefusedRecord { index, fault, .. }) => {
                write!(f, ", first {noun} {index}: {}", fault.of(self.kind))
            }
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
