//! What has to be done now and then, whatever the runtime: a thread of its own.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use windhover_core::queue::EngineStats;
use windhover_runtime::Clock;

use crate::app::App;
use crate::memory::{GiveBack, give_back};
use crate::service_manager;

/// How often there is a turn.
const TURN: Duration = Duration::from_secs(1);
/// So many turns are the time that weighs most when it is said which tokens send most.
const WEIGHED: u64 = 60;
/// Refused puts are told once in so many turns at most.
const TURNS: u32 = 5;

/// The thread.
#[derive(Debug)]
pub(crate) struct Upkeep {
    end: Sender<()>,
    thread: JoinHandle<()>,
}

impl Upkeep {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the operating system gives none.
    pub(crate) fn start(app: Arc<App>, clock: Clock) -> io::Result<Self> {
        let (end, ended) = mpsc::channel();
        let mut refused = RefusedLog { told: EngineStats::default(), quiet: TURNS };
        let keep = move || {
            // What reading the journal took.
            give_back();
            let (mut memory, mut turn) = (GiveBack::default(), 0_u64);
            while ended.recv_timeout(TURN) == Err(RecvTimeoutError::Timeout) {
                // Open reads that end, and items that expire where nobody reads.
                app.store.tick(clock.now());
                app.store.flush_aged(clock.now());
                app.store.manage(clock.now(), |engine| engine.expire_queues(clock.now()));
                turn += 1;
                if turn.is_multiple_of(WEIGHED) {
                    app.token_counts.forget_half();
                }
                let stats = app.store.stats().0;
                // Queues with nothing in them but what has expired take no place either.
                if stats.refused_too_many_queues > refused.told.refused_too_many_queues {
                    app.store.flush_all_expired(clock.now());
                }
                refused.turn(stats, app.settings.max_queues);
                let held = u64::try_from(app.connection_memory.used()).unwrap_or(u64::MAX);
                memory.turn(stats.memory_bytes.saturating_add(held));
                service_manager::alive();
            }
        };
        let thread = thread::Builder::new().name("upkeep".to_owned()).spawn(keep)?;
        Ok(Self { end, thread })
    }

    /// Ends the thread.
    pub(crate) fn end(self) {
        drop(self.end);
        // Even if it panicked, there is nothing left to keep up.
        let _ = self.thread.join();
    }
}

/// Tells in the log how many puts were refused: soon when it begins, now and then when it goes on.
struct RefusedLog {
    told: EngineStats,
    /// Turns since it was told.
    quiet: u32,
}

impl RefusedLog {
    fn turn(&mut self, stats: EngineStats, max_queues: u32) {
        self.quiet = self.quiet.saturating_add(1);
        let full = stats.refused_full - self.told.refused_full;
        let too_many_queues = stats.refused_too_many_queues - self.told.refused_too_many_queues;
        let too_large = stats.refused_item_too_large - self.told.refused_item_too_large;
        let behind = stats.refused_busy - self.told.refused_busy;
        let journal_full = stats.refused_journal_full - self.told.refused_journal_full;
        let all = full + too_many_queues + too_large + behind + journal_full;
        if self.quiet < TURNS || all == 0 {
            return;
        }
        (self.told, self.quiet) = (stats, 0);
        if too_many_queues > 0 {
            tracing::warn!(
                "{too_many_queues} items for new queues were refused: there are {max_queues} queues with \
                 items in them, as many as --max-queues allows"
            );
        }
        if full > 0 {
            tracing::warn!(
                "{full} puts were refused: their queue is full (--max-queue-items, --max-queue-bytes)"
            );
        }
        if too_large > 0 {
            tracing::warn!("{too_large} puts were refused: an item is too large");
        }
        if journal_full > 0 {
            tracing::warn!(
                "{journal_full} puts were refused: the journal has as many bytes as it may \
                 (--max-journal-bytes)"
            );
        }
        if behind > 0 {
            tracing::warn!("{behind} puts were refused: the journal is behind");
        }
    }
}
