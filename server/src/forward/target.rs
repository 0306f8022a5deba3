//! What records are sent to, whatever speaks there.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;

use super::doubt::Answer;

/// A record on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// As it came.
    pub bytes: Bytes,
    /// What it is known by.
    pub name: RecordName,
}

/// What a record is known by where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordName {
    /// An item of a data directory: the directory's identity, the queue, and the item's id there, which it may have in
    /// several queues.
    Item(u128, Bytes, u64),
    /// The id of the message that it came as.
    Message(String),
    /// Nothing but its place among those that this process takes: the process's own number, and that place.
    Place(u128, u64),
}

/// What the sending of a record comes to.
pub(crate) type Putting = Pin<Box<dyn Future<Output = Result<(), PutError>> + Send>>;

/// A queue elsewhere. One that takes a record has it for good.
pub(crate) trait Target: fmt::Debug + Send {
    /// Sends a record; it has arrived when this succeeds. Otherwise it may have, too: unless the target knows
    /// by the record's name that it was there before, it is there twice when it is sent again.
    fn put(&self, record: Record) -> Putting;
}

/// Why a record is not known to have arrived.
#[derive(Debug)]
pub struct PutError {
    /// What that says of the record.
    pub answer: Answer,
    why: Box<dyn Error + Send + Sync>,
}

impl PutError {
    /// An answer, and how the target put it.
    pub fn new(answer: Answer, why: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { answer, why: why.into() }
    }
}

impl fmt::Display for PutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error: &(dyn Error + 'static) = self.why.as_ref();
        windhover_runtime::Report::new(error).fmt(f)
    }
}
