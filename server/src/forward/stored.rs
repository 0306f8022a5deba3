//! A queue of this server's store as a source.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use windhover_client::block_on_ticking;
use windhover_core::Now;
use windhover_core::queue::{Action, OpOutcome, Read};

use super::WAIT;
use super::pump::Source;
use super::target::{Record, RecordName};
use super::window::Hopeless;
use crate::dead_letters::{DEAD_LETTERS, DeadLetter, DeadLetters, Origin};
use crate::store::{Begun, Reader, Store};

/// A queue of a store.
pub(crate) struct StoredQueue {
    pub(crate) store: Store,
    pub(crate) dead_letters: DeadLetters,
    pub(crate) name: Bytes,
    /// Of the data directory.
    pub(crate) identity: u128,
    pub(crate) clock: Arc<dyn Fn() -> Now + Send + Sync>,
    /// Readers that have nothing open: each has one record open at most, so that each can be confirmed for
    /// itself.
    pub(crate) idle: Vec<Reader>,
}

impl Source for StoredQueue {
    type Taken = Reader;
    type Error = Infallible;

    fn take(&mut self, wait: Duration) -> Result<Option<(Reader, Record)>, Infallible> {
        let mut reader = self.idle.pop().unwrap_or_else(|| self.store.reader());
        let timeout = Some(wait).filter(|wait| !wait.is_zero());
        let read = Read { action: Action::Open, timeout };
        let outcome = match reader.get(&self.name, read, (self.clock)()) {
            Begun::Done(outcome) => outcome,
            // It has to be read back from the journal, or removals are to be written first.
            Begun::Waiting(_) if wait.is_zero() => OpOutcome::Empty,
            Begun::Waiting(mut ticket) => {
                self.wait_for(poll_fn(|cx| ticket.poll((self.clock)(), cx)))
            }
        };
        let OpOutcome::Item(bytes) = outcome else {
            self.idle.push(reader);
            return Ok(None);
        };
        let id = reader.open_id((self.clock)()).unwrap_or_default();
        Ok(Some((
            reader,
            Record { bytes, name: RecordName::Item(self.identity, self.name.clone(), id) },
        )))
    }

    fn confirm(&mut self, arrived: Vec<Reader>) -> Result<(), Infallible> {
        for mut reader in arrived {
            let _ = reader.get(&self.name, Read::from(Action::Close), (self.clock)());
            self.idle.push(reader);
        }
        Ok(())
    }

    fn give_up(&mut self, hopeless: Hopeless<Reader>) -> Option<Hopeless<Reader>> {
        let now = (self.clock)();
        let letter = DeadLetter {
            reason: hopeless.why.reason().to_owned(),
            detail: hopeless.error.to_string(),
            origin: Origin::Queue(String::from_utf8_lossy(&self.name).into_owned()),
            token: None,
            time: now.unix,
            content_type: None,
            content_encoding: None,
            bytes: hopeless.record.bytes.clone(),
        };
        let Ok(mut ticket) = self.dead_letters.put_safely(&letter, now) else {
            return Some(hopeless);
        };
        let outcome = self.wait_for(poll_fn(|cx| ticket.poll((self.clock)(), cx)));
        if outcome != OpOutcome::Stored {
            return Some(hopeless);
        }
        tracing::warn!(
            error = %hopeless.error,
            bytes = hopeless.record.bytes.len(),
            "an event will never be taken; it is in the queue `{DEAD_LETTERS}` now"
        );
        let Ok(()) = self.confirm(vec![hopeless.taken]);
        None
    }

    /// Waits in the store end in time meanwhile.
    fn wait_for<F: Future>(&self, future: F) -> F::Output {
        block_on_ticking(future, WAIT, || self.store.tick((self.clock)()))
    }
}
