//! Backups that a server makes of its own journal, one after the other.
//!
//! They are made on a thread of their own, which reads the journal as another process would. Nothing is kept for a
//! backup's sake: while the destination is away the journal goes on, and what piles up is what the journal holds in
//! any case, within its own bounds.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use windhover_runtime::Report;

use super::command::now;
use super::create::{CreateOptions, Created, Run};
use super::error::BackupError;
use super::layout::{CHECKS, Check};
use super::priority::give_way;
use super::progress::Progress;
use super::repository::Repository;
use crate::journal::OsDirectory;

/// How often it is looked whether a segment was closed, which is shipped at once.
const LOOK: Duration = Duration::from_secs(1);
/// How often it is asked when backups were verified and drilled, elsewhere.
const ASK: Duration = Duration::from_secs(300);
/// While backups fail, the log says so this often.
const TELL: Duration = Duration::from_secs(600);
/// How long the end of the server waits for one that is being made.
const END: Duration = Duration::from_secs(2);

/// How backups stand, for whoever looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupStats {
    /// When the cut of the last backup was made, in milliseconds since 1970.
    pub last: Option<u64>,
    /// Bytes that had been written to the journal then, since the server's start.
    pub written: u64,
    /// When a backup was last verified.
    pub verified: Option<u64>,
    /// When one was last drilled.
    pub drilled: Option<u64>,
    /// Backups made.
    pub made: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// Bytes sent.
    pub sent: u64,
    /// Whether the last attempt failed.
    pub failing: bool,
}

/// The same, shared with the thread that makes them.
#[derive(Clone, Debug, Default)]
pub struct BackupStatus(Arc<Mutex<BackupStats>>);

impl BackupStatus {
    /// How they stand now.
    pub fn get(&self) -> BackupStats {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, BackupStats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How it is done.
#[derive(Clone, Copy, Debug)]
pub struct ContinuousOptions {
    /// How long from one backup to the next.
    pub every: Duration,
}

/// The thread that makes backups.
#[derive(Debug)]
pub struct Continuous {
    end: Sender<()>,
    thread: JoinHandle<()>,
}

impl Continuous {
    /// Starts it. `written` says how many bytes were written to the journal since the server's start.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start(
        journal: OsDirectory,
        repository: Repository,
        options: ContinuousOptions,
        status: BackupStatus,
        written: impl Fn() -> u64 + Send + 'static,
    ) -> io::Result<Self> {
        let (end, ended) = mpsc::channel();
        let mut shipping = Shipping { journal, status, written, asked: None, told: None };
        let ship = move || {
            give_way();
            let mut next = Instant::now();
            let mut begun = None;
            loop {
                let wait = next.saturating_duration_since(Instant::now()).min(LOOK);
                if ended.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
                begun = if Instant::now() >= next {
                    next = Instant::now() + options.every;
                    shipping.back_up(&repository, begun)
                } else {
                    begun.and_then(|run| shipping.ship_closed(run))
                };
            }
        };
        let thread = thread::Builder::new().name("backup".to_owned()).spawn(ship)?;
        Ok(Self { end, thread })
    }

    /// Ends it. A destination that hangs is not waited for long: what was sent is of use to the next one.
    pub fn end(self) {
        drop(self.end);
        let deadline = Instant::now() + END;
        while !self.thread.is_finished() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

struct Shipping<W> {
    journal: OsDirectory,
    status: BackupStatus,
    written: W,
    asked: Option<Instant>,
    told: Option<Instant>,
}

impl<W: Fn() -> u64> Shipping<W> {
    /// Makes a backup, of what was shipped for it and what is new. Returns what the next one begins with.
    fn back_up<'a>(
        &mut self,
        repository: &'a Repository,
        begun: Option<Run<'a, OsDirectory>>,
    ) -> Option<Run<'a, OsDirectory>> {
        // Before the cut, so that the lag is never told too small.
        let written = (self.written)();
        let made = self.make(repository, begun).and_then(|made| {
            self.succeeded(&made, written);
            Run::begin(self.journal.clone(), repository)
        });
        self.ask(repository);
        made.inspect_err(|error| self.failed(error)).ok()
    }

    fn make<'a>(
        &self,
        repository: &'a Repository,
        begun: Option<Run<'a, OsDirectory>>,
    ) -> Result<Created, BackupError> {
        let run = match begun {
            Some(run) if run.is_current()? => run,
            _ => Run::begin(self.journal.clone(), repository)?,
        };
        let options = CreateOptions { other_journal: false, skip_unchanged: true };
        run.create(options, &now, &mut Progress::silent())
    }

    /// Ships what was closed since, for the next backup.
    fn ship_closed<'a>(&mut self, mut run: Run<'a, OsDirectory>) -> Option<Run<'a, OsDirectory>> {
        match run.ship_closed() {
            Ok(()) => Some(run),
            Err(error) => {
                self.failed(&error);
                None
            }
        }
    }

    fn succeeded(&mut self, made: &Created, written: u64) {
        let was_failing = {
            let mut status = self.status.lock();
            status.last = Some(made.taken);
            status.written = written;
            status.made += u64::from(!made.unchanged);
            status.sent += made.sent;
            std::mem::replace(&mut status.failing, false)
        };
        if was_failing {
            tracing::info!(backup = made.sequence, cut = %made.cut, "backups are made again");
        }
        self.told = None;
    }

    fn failed(&mut self, error: &BackupError) {
        {
            let mut status = self.status.lock();
            status.failures += 1;
            status.failing = true;
        }
        // Another backup was as good; the next attempt builds on it.
        if matches!(error, BackupError::Overtaken { .. }) {
            tracing::info!("another backup was faster");
        } else if self.told.is_none_or(|told| told.elapsed() >= TELL) {
            self.told = Some(Instant::now());
            tracing::error!(error = %Report::new(error), "backups fail; they are tried again");
        }
    }

    /// Asks now and then when backups were found good.
    fn ask(&mut self, repository: &Repository) {
        if self.asked.is_some_and(|asked| asked.elapsed() < ASK) {
            return;
        }
        self.asked = Some(Instant::now());
        let Ok(listed) = repository.destination().list(CHECKS) else {
            return;
        };
        let last = |check: Check| listed.iter().filter_map(|it| check.time_of(&it.name)).max();
        let mut status = self.status.lock();
        (status.verified, status.drilled) = (last(Check::Verified), last(Check::Drilled));
    }
}
