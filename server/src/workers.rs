//! Threads that work off what takes long, so that the connections which share a loop's thread do not
//! wait for it: large requests, and those that grow when they are unpacked.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use windhover_core::tracking::{Decoder, IdSource};

use crate::tokens::Tally;

/// What a thread has for its jobs.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) decoder: Decoder,
    pub(crate) tally: Tally,
    pub(crate) ids: IdSource,
}

type Job = Box<dyn FnOnce(&mut Worker) + Send>;

/// Threads that take jobs in the order in which they are given; they are started as they are needed, and
/// end when this is dropped. How many jobs there may be is not bounded here: a connection has one at most,
/// and what it holds is counted with what connections hold.
pub(crate) struct Workers {
    shared: Arc<Shared>,
    most: usize,
    seed: u64,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    waiting: usize,
    has_ended: bool,
}

impl Workers {
    /// At most so many threads as there are processors; `seed` is that of the process's ids.
    pub(crate) fn new(seed: u64) -> Self {
        let most = thread::available_parallelism().map_or(1, usize::from);
        Self { shared: Arc::default(), most, seed }
    }

    /// Has a thread do `job`. One that the system has no thread for is done at once.
    pub(crate) fn run(&self, job: impl FnOnce(&mut Worker) + Send + 'static) {
        let mut state = self.shared.lock();
        state.jobs.push_back(Box::new(job));
        if state.jobs.len() > state.waiting && state.threads < self.most {
            let worker = self.worker(state.threads);
            let shared = Arc::clone(&self.shared);
            let builder = thread::Builder::new().name("windhover-worker".into());
            match builder.spawn(move || shared.work_off(worker)) {
                Ok(_) => state.threads += 1,
                Err(error) if state.threads == 0 => {
                    tracing::warn!(%error, "no thread for a large request, it is decoded at once");
                    let job = state.jobs.pop_back();
                    drop(state);
                    if let Some(job) = job {
                        job(&mut self.worker(self.most));
                    }
                    return;
                }
                // Those that there are do it.
                Err(_) => {}
            }
        }
        drop(state);
        self.shared.work.notify_one();
    }

    /// Connections count up from 0, and never come so far.
    fn worker(&self, number: usize) -> Worker {
        let ids = IdSource::new(self.seed, u64::MAX - number as u64);
        Worker { decoder: Decoder::new(), tally: Tally::default(), ids }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.shared.lock().has_ended = true;
        self.shared.work.notify_all();
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers").field("most", &self.most).finish_non_exhaustive()
    }
}

impl Shared {
    /// No job is done under the lock, and every step of the state is whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work_off(&self, mut worker: Worker) {
        be_considerate();
        while let Some(job) = self.next() {
            // It was told by the panic's own hook; whoever waits for the job sees that it is gone.
            let _ = catch_unwind(AssertUnwindSafe(|| job(&mut worker)));
        }
    }

    /// The next job; `None` at the end.
    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.has_ended {
                return None;
            }
            state.waiting += 1;
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
    }
}

/// Leaves the processor to the loops where there is not enough for both.
fn be_considerate() {
    // Elsewhere it is the whole process that this is said of.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(NICE);
}

/// A tenth of what a loop's thread gets, where both want all.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;
