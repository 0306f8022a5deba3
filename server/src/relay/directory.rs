//! A data directory whose server does not run, as a place of a relay.

use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use windhover_core::queue::{Config, OpOutcome, PutBuilder, PutError as Refused};
use windhover_runtime::Clock;

use super::error::{RelayError, system};
use super::source::Drained;
use crate::data::DataDirectory;
use crate::dead_letters::{DEAD_LETTERS, DeadLetters};
use crate::forward::doubt::Answer;
use crate::forward::stored::StoredQueue;
use crate::forward::target::{PutError, Putting, Record, Target};
use crate::metrics::Reasons;
use crate::store::{Store, StoreCloser};

/// As large as `serve` makes them when nothing else is said.
const SEGMENT_BYTES: u64 = 16 * 1024 * 1024;
/// Items of up to so many bytes are taken, whatever a server on the directory takes.
const MAX_ITEM_BYTES: u64 = 64 * 1024 * 1024;
/// How long the disk may take at the end.
const CLOSE: Duration = Duration::from_secs(30);

/// A directory that this process has locked, and the queues in it.
pub(super) struct Directory {
    data: DataDirectory,
    store: Store,
    closer: StoreCloser,
    clock: Clock,
}

impl Directory {
    pub(super) fn open(path: &Path, is_source: bool) -> Result<Self, RelayError> {
        let data = if is_source {
            DataDirectory::lock_existing(path)?
        } else {
            DataDirectory::lock(path)?
        };
        let clock = Clock::new();
        let mut config = Config::default();
        config.queue.max_bytes = u64::MAX;
        config.queue.max_item_bytes = MAX_ITEM_BYTES;
        config.queues.insert(DEAD_LETTERS.into(), DeadLetters::bounds(u64::MAX));
        let opened = data.open(SEGMENT_BYTES, config, clock.now().unix)?;
        let (store, closer) = Store::start(opened.engine, opened.journal, move || clock.now())
            .map_err(system("start the journal's thread"))?;
        Ok(Self { data, store, closer, clock })
    }

    pub(super) fn source(&self, queue: &[u8]) -> Result<StoredQueue, RelayError> {
        let clock = self.clock;
        Ok(StoredQueue {
            store: self.store.clone(),
            dead_letters: DeadLetters::new(self.store.clone(), Reasons::default()),
            name: queue.to_vec().into(),
            identity: self.data.identity()?,
            clock: Arc::new(move || clock.now()),
            idle: Vec::new(),
        })
    }

    pub(super) fn target(&self, queue: &[u8]) -> Box<dyn Target> {
        Box::new(Stored { store: self.store.clone(), name: queue.to_vec(), clock: self.clock })
    }

    /// Writes what is not written, and gives the directory back.
    pub(super) fn close(self) -> Result<(), RelayError> {
        self.closer.close(CLOSE).map_err(system("close the journal"))
    }
}

impl Drained for StoredQueue {
    fn is_drained(&mut self) -> Result<bool, Infallible> {
        let name = String::from_utf8_lossy(&self.name).into_owned();
        let stats = self.store.stats_of(&name);
        Ok(stats.items == 0)
    }
}

/// A queue of a data directory that records are put into.
struct Stored {
    store: Store,
    name: Vec<u8>,
    clock: Clock,
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.name))
    }
}

impl Target for Stored {
    fn put(&self, record: Record) -> Putting {
        let now = self.clock.now();
        let begun = PutBuilder::new(&self.name, now.unix)
            .map_err(|error| PutError::new(Answer::Wrong, error))
            .and_then(|mut put| {
                put.begin_item(None).extend_from_slice(&record.bytes);
                put.end_item();
                self.store.put(put.finish(), now).map_err(|error| {
                    let answer = match error {
                        Refused::ItemTooLarge { .. } => Answer::TooLarge,
                        _ => Answer::None,
                    };
                    PutError::new(answer, error)
                })
            });
        let clock = self.clock;
        Box::pin(async move {
            let mut ticket = begun?;
            match poll_fn(|cx| ticket.poll(clock.now(), cx)).await {
                OpOutcome::Stored => Ok(()),
                _ => Err(PutError::new(Answer::None, "the journal could not be written")),
            }
        })
    }
}
