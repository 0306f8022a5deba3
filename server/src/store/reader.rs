//! The thread that reads back what is in the journal alone.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use windhover_core::Now;
use windhover_core::queue::{JournalRead, ReadBackError};

use super::Shared;
use crate::journal::{Directory, JournalReader, ReaderError};

/// While nothing can be read, the engine is asked so often whether it wants to try again.
const RETRY: Duration = Duration::from_millis(100);

pub(super) struct Reader<D, C> {
    pub(super) shared: Arc<Shared>,
    pub(super) journal: JournalReader<D>,
    pub(super) clock: C,
}

impl<D: Directory, C: Fn() -> Now> Reader<D, C> {
    pub(super) fn run(mut self) {
        let mut is_failing = false;
        loop {
            // At the start, and while nothing can be read, the engine has to be asked what it wants.
            self.shared.with((self.clock)(), |_| ());
            let read = match self.next(is_failing) {
                Next::Read(read) => read,
                Next::Nothing => continue,
                Next::End => return,
            };
            // Neither the disk nor the checksums need the lock.
            let found = self.journal.read(&read);
            let (error, result) = match found {
                Ok(found) => (None, Ok(found)),
                Err(error) => {
                    let segment = read.segment();
                    let place = ReadBackError { segment, offset: read.range().start };
                    let damaged =
                        if let ReaderError::Damaged(there) = error { there } else { place };
                    (Some(error), Err(damaged))
                }
            };
            let matters = self.shared.with((self.clock)(), |state| {
                state.engine.read_back(&read, result, (self.clock)())
            });
            if let Some(error) = error.filter(|_| matters) {
                if !std::mem::replace(&mut is_failing, true) {
                    tell(&error);
                }
            } else if matters && std::mem::take(&mut is_failing) {
                tracing::info!("items can be read back from the journal again");
            }
        }
    }

    /// What is to be read; waits for it, but while reads fail not for long.
    fn next(&self, is_failing: bool) -> Next {
        let mut state = self.shared.lock();
        loop {
            if state.orders.stop {
                return Next::End;
            }
            if let Some(read) = state.reads.pop_front() {
                return Next::Read(read);
            }
            if is_failing {
                let _ = self.shared.read_work.wait_timeout(state, RETRY);
                return Next::Nothing;
            }
            let woken = self.shared.read_work.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

enum Next {
    Read(JournalRead),
    /// For a while.
    Nothing,
    /// The store ends.
    End,
}

fn tell(error: &ReaderError) {
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    tracing::error!(
        cause,
        "{error}: items of a queue cannot be read back, and reads of it fail; nothing is given up, it is tried \
         again. If the file is damaged, stop the server and run `windhover repair`"
    );
}
