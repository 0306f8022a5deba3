//! The dead-letter queue: records that were refused for good, with why, whence and when beside their
//! bytes, for whoever is to look at them and send them again (`windhover replay`).
//!
//! It is a queue like others, in the same journal, and is read like others. It is bounded: when it is
//! full, the oldest letters go, and are counted.

mod letter;
mod refused;
mod replay;

use windhover_core::Now;
use windhover_core::queue::{PutBuilder, PutError, QueueConfig};

use crate::metrics::Reasons;
use crate::store::{Store, Ticket};

pub use letter::{DeadLetter, LetterError, Origin};
pub(crate) use refused::Asked;
pub use replay::{ReplayArgs, ReplayError, ReplayReport, replay};

/// The name of the queue. Nobody but the server puts items there.
pub const DEAD_LETTERS: &str = "dead-letters";

/// Letters are put together up to so many bytes.
const PUT: usize = 256 * 1024;
/// While more than this waits for the journal, letters are lost: whoever sends much that is refused is not to
/// have good events wait behind it, or refused because of it.
const BACKLOG: u64 = 2 * 1024 * 1024;

/// Takes dead letters; cheap to clone.
#[derive(Clone, Debug)]
pub struct DeadLetters {
    store: Store,
    reasons: Reasons,
}

impl DeadLetters {
    /// Those of that store, counted by reason.
    pub fn new(store: Store, reasons: Reasons) -> Self {
        Self { store, reasons }
    }

    /// The bounds of the queue when it may hold so many bytes: any letter fits that is no longer.
    pub fn bounds(max_bytes: u64) -> QueueConfig {
        let mut bounds = QueueConfig::default();
        bounds.max_bytes = max_bytes;
        bounds.max_item_bytes = max_bytes;
        bounds.discard_old = true;
        bounds
    }

    /// Takes letters, and returns at once.
    ///
    /// **When they are durable:** no later than anything that is [put](Store::put) after this call.
    /// There is one journal, and it is written in order: whoever puts the good events of a request after
    /// its letters, and waits for that put, has waited for the letters. Without such a put they are
    /// written with the journal's next batch, at once, and nobody waits.
    ///
    /// Letters that the journal cannot take (it is behind, or fails) are lost, and counted as such:
    /// their senders were refused, and know. It is behind when 2 MiB wait for it, though all letters of one
    /// call are taken, or none.
    pub fn put(&self, letters: impl IntoIterator<Item = DeadLetter>, now: Now) {
        let mut letters = letters.into_iter().peekable();
        if letters.peek().is_some() && self.store.backlog_bytes() > BACKLOG {
            let count = letters.inspect(|letter| self.reasons.count(&letter.reason)).count();
            self.store.count_lost(count as u64);
            return;
        }
        while letters.peek().is_some() {
            let Ok(mut put) = PutBuilder::new(DEAD_LETTERS.as_bytes(), now.unix) else {
                return;
            };
            let mut len = 0;
            while len < PUT
                && let Some(letter) = letters.next()
            {
                len += self.add(&letter, &mut put);
            }
            // Refusals are counted by the store.
            let _ = self.store.put_unattended(put.finish(), now);
        }
    }

    /// Takes a letter; the ticket ends as [`Outcome::Stored`](windhover_core::queue::OpOutcome::Stored)
    /// once it is safe. For whoever still has the record, and lets go of it then.
    ///
    /// # Errors
    /// [`PutError`] when the journal is behind.
    pub fn put_safely(&self, letter: &DeadLetter, now: Now) -> Result<Ticket, PutError> {
        let put = PutBuilder::new(DEAD_LETTERS.as_bytes(), now.unix);
        // The name is one that queues may have: see the tests.
        let mut put = put.map_err(|_| PutError::TooManyQueues)?;
        self.add(letter, &mut put);
        self.store.put(put.finish(), now)
    }

    /// Adds a letter to a put; returns how long it is.
    fn add(&self, letter: &DeadLetter, put: &mut PutBuilder) -> usize {
        self.reasons.count(&letter.reason);
        let into = put.begin_item(None);
        let begin = into.len();
        letter.write(into);
        let len = into.len() - begin;
        put.end_item();
        len
    }
}

#[cfg(test)]
mod tests {
    use windhover_core::queue::check_name;

    use super::*;

    #[test]
    fn the_queue_has_a_name_that_clients_can_read() {
        assert_eq!(check_name(DEAD_LETTERS.as_bytes()), Ok(()));
    }
}
