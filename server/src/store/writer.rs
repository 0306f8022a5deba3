//! The journal's thread: many waiting operations, one write, one sync.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;
use std::time::{Duration, Instant};

use windhover_core::Now;
use windhover_core::queue::{AppendError, Fsync, JournalBatch, Written};

use super::{Shared, State};
use crate::journal::{Directory, Journal};

/// After a failure, how long until the journal is tried again when nobody asks for it, and how
/// long those who ask wait for the answer at most.
const RETRY: Duration = Duration::from_millis(100);

pub(super) struct Writer<D: Directory, C> {
    pub(super) shared: Arc<Shared>,
    pub(super) journal: Journal<D>,
    pub(super) clock: C,
    /// The segment that was written to first.
    pub(super) first: u64,
    /// The segment that [`Store::at_rotation`](super::Store::at_rotation)'s call was told of last.
    pub(super) rotated: Option<u64>,
}

enum Work {
    /// The flag is whether it is tried for the last time.
    Append(JournalBatch, bool),
    Sync,
    Roll,
    Probe,
    Stop,
}

impl<D: Directory, C: Fn() -> Now> Writer<D, C> {
    pub(super) fn run(mut self) -> io::Result<()> {
        let mut failed_at = None;
        let mut unwritten = None;
        loop {
            let work = self.next_work(failed_at, unwritten.is_some());
            match work {
                Work::Append(batch, is_last) => {
                    let begun = Instant::now();
                    let result = self.journal.append(&batch, (self.clock)().unix);
                    let error = result.as_ref().err().map(io::Error::kind);
                    failed_at = self.appended(batch, result, begun.elapsed());
                    if is_last {
                        unwritten = error;
                    }
                    continue;
                }
                Work::Sync => {
                    if let Err(error) = self.journal.sync() {
                        failed_at = Some(self.failed("sync", &error));
                    }
                }
                Work::Roll => {
                    if let Err(error) = self.journal.roll() {
                        failed_at = Some(self.failed("sync", &error));
                    }
                }
                Work::Probe => {
                    failed_at = match self.journal.begin_segment((self.clock)().unix) {
                        Ok(()) => {
                            tracing::info!("the journal takes writes again");
                            self.shared.lock().journal.healthy = true;
                            None
                        }
                        Err(_) => Some(Instant::now()),
                    };
                }
                Work::Stop => break,
            }
            self.shared.lock().working_since = None;
        }
        let shared = &self.shared;
        self.journal.close(|at, salt| shared.lock().engine.index(at, salt))?;
        // What was confirmed comes back: the stop must not look like a good one.
        unwritten.map_or(Ok(()), |kind| Err(kind.into()))
    }

    /// Waits until there is something to do, which is then begun.
    fn next_work(&self, failed_at: Option<Instant>, tried: bool) -> Work {
        let mut state = self.shared.lock();
        let work = loop {
            let retry_in = failed_at.map(|at| RETRY.saturating_sub(at.elapsed()));
            // Before appends: under load there always is one.
            if self.journal.sync_due().is_some_and(|due| due <= Instant::now()) {
                break Work::Sync;
            }
            if std::mem::take(&mut state.orders.roll) {
                break Work::Roll;
            }
            if retry_in.is_none_or(|wait| wait.is_zero() || state.orders.stop)
                && let Some(batch) = state.engine.begin_append()
            {
                // Removals that cannot be written must not hold up the stop.
                if !(state.orders.stop && tried) {
                    state.in_flight_since = state.waiting_since.take();
                    break Work::Append(batch, state.orders.stop);
                }
                state.engine.journaled(batch, Err(AppendError), (self.clock)());
                break Work::Stop;
            }
            if state.orders.stop {
                break Work::Stop;
            }
            if retry_in.is_some_and(|wait| wait.is_zero()) {
                break Work::Probe;
            }
            let sync_in =
                self.journal.sync_due().map(|due| due.saturating_duration_since(Instant::now()));
            if sync_in.is_some_and(|wait| wait.is_zero()) {
                break Work::Sync;
            }
            let timeout = retry_in.into_iter().chain(sync_in).min();
            // While a retry is due anyway, work that comes earlier waits for it.
            state.asleep = retry_in.is_none();
            self.shared.is_quick.store(false, Ordering::Relaxed);
            if std::mem::take(&mut state.is_awaited) {
                self.shared.written.notify_all();
            }
            state = match timeout {
                Some(timeout) => {
                    let woken = self.shared.work.wait_timeout(state, timeout);
                    woken.unwrap_or_else(std::sync::PoisonError::into_inner).0
                }
                None => {
                    let woken = self.shared.work.wait(state);
                    woken.unwrap_or_else(std::sync::PoisonError::into_inner)
                }
            };
            state.asleep = false;
        };
        state.handing_over = false;
        let is_quick = matches!(&work, Work::Append(batch, _) if batch.fsync != Fsync::Always);
        self.shared.is_quick.store(is_quick, Ordering::Relaxed);
        state.working_since = Some(Instant::now());
        work
    }

    fn appended(
        &mut self,
        batch: JournalBatch,
        result: io::Result<Written>,
        took: Duration,
    ) -> Option<Instant> {
        let failed_at = match &result {
            Ok(_) => None,
            Err(error) => Some(self.failed("append", error)),
        };
        let (now, batch_len) = ((self.clock)(), batch.len);
        let (len, active) = (self.journal.len(), self.journal.active_number());
        let mut wakers: Vec<Waker> = Vec::new();
        let (oldest, is_awaited) = {
            let mut state = self.shared.lock();
            let State { engine, journal, put_off, .. } = &mut *state;
            engine.journaled(batch, result.map_err(|_| AppendError), now);
            wakers.append(put_off);
            if failed_at.is_none() {
                journal.batches += 1;
                journal.written += batch_len;
                journal.healthy = true;
                engine.compact(len, active);
            }
            journal.busy += took;
            journal.bytes = self.journal.disk_bytes();
            journal.segments = self.journal.segments() as u64;
            journal.rotations = active.saturating_sub(self.first);
            let oldest = engine.oldest_needed(active);
            state.settle(now, &mut wakers);
            self.shared.backlog.store(state.engine.backlog_bytes(), Ordering::Relaxed);
            (state.working_since, state.in_flight_since) = (None, None);
            if !state.reads.is_empty() {
                self.shared.read_work.notify_one();
            }
            (oldest, std::mem::take(&mut state.is_awaited))
        };
        wakers.into_iter().for_each(Waker::wake);
        if is_awaited {
            self.shared.written.notify_all();
        }
        if failed_at.is_none() {
            let shared = &self.shared;
            self.journal.note_index(|at, salt| shared.lock().engine.index(at, salt));
        }
        let reclaims = self.journal.has_before(oldest);
        if let Some(call) = self.shared.at_rotation.get()
            && (reclaims || self.rotated != Some(active))
        {
            self.rotated = Some(active);
            (call.0)(active, reclaims);
        }
        if let Err(error) = self.journal.reclaim(oldest) {
            tracing::warn!(%error, "old segments of the journal could not be deleted");
        }
        failed_at
    }

    fn failed(&self, what: &str, error: &io::Error) -> Instant {
        let mut state = self.shared.lock();
        state.journal.failures += 1;
        self.shared.is_quick.store(false, Ordering::Relaxed);
        let put_off = std::mem::take(&mut state.put_off);
        let was_healthy = std::mem::replace(&mut state.journal.healthy, false);
        drop(state);
        put_off.into_iter().for_each(Waker::wake);
        if was_healthy {
            tracing::error!(%error, "the journal failed to {what}; nothing is accepted until it recovers");
        }
        Instant::now()
    }
}
