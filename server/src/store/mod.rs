//! The queues of this server: the core's engine behind a lock, its journal on a thread of its own,
//! and the wake-ups between them and the connections. It knows no runtime: what waits is polled
//! with a [`Context`], by whichever runtime the connection runs on.

mod reader;
mod slots;
mod sync;
mod writer;

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use windhover_core::Now;
use windhover_core::queue::{
    Action, ConnId, Engine, EngineOutput, EngineStats, JournalRead, OpId, OpOutcome, Put, PutError,
    QueueStats, Read,
};

use self::slots::Slots;
use self::sync::thread::{self, JoinHandle};
use self::sync::{Condvar, Mutex, MutexGuard};
use crate::dedup::Claim;
use crate::journal::{Directory, Journal};
use crate::metrics::Histogram;

/// After so many removals that the journal has not written, no item is given out until it has: each of
/// them would come again after a crash. Some are left for those who have an item already: a thousand is
/// what is promised.
const UNWRITTEN: u64 = 900;

/// A write or a sync that takes longer counts as failed for as long as it lasts.
const HUNG: Duration = Duration::from_secs(1);

/// How long a thread with nothing else to do waits for a write: some times what one takes.
const WRITE: Duration = Duration::from_micros(200);

/// What the journal's thread last knew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct JournalStats {
    /// Whether the last write and the last sync succeeded, and none has been going on for over a
    /// second.
    pub healthy: bool,
    /// Bytes of all its files, those that are kept to be written over included.
    pub bytes: u64,
    /// Segments.
    pub segments: u64,
    /// How often a further segment was begun.
    pub rotations: u64,
    /// Items that were written again so that old segments could go.
    pub rewrites: u64,
    /// Batches written.
    pub batches: u64,
    /// Bytes written.
    pub written: u64,
    /// Batches that could not be written or synced.
    pub failures: u64,
    /// Time spent in writing and syncing.
    pub busy: Duration,
    /// For how long the first of the puts has waited that are not in the journal yet.
    pub lag: Duration,
}

#[derive(Debug)]
struct State {
    engine: Engine,
    slots: Slots,
    next_op: u64,
    next_conn: u64,
    journal: JournalStats,
    /// Since when the journal's thread has been at the disk, while it is.
    working_since: Option<Instant>,
    /// Since when puts have waited that the journal's thread has not taken yet, and those that it has.
    waiting_since: Option<Instant>,
    in_flight_since: Option<Instant>,
    /// The journal's thread sleeps, and must be woken for work.
    asleep: bool,
    /// Threads wait for the end of a batch, and were not told of it yet: [`Store::await_write`].
    is_awaited: bool,
    /// Somebody will wake it soon: [`HandOver`].
    handing_over: bool,
    orders: Orders,
    /// Reads that were put off until the journal has written the removals.
    put_off: Vec<Waker>,
    /// What is to be read of the journal.
    reads: VecDeque<JournalRead>,
}

/// What the journal's thread is told to do.
#[derive(Debug, Default)]
struct Orders {
    /// To end.
    stop: bool,
    /// To go on in a further segment.
    roll: bool,
}

/// Why a read cannot begin.
enum NotYet {
    /// As many removals as allowed wait for the journal.
    Journal,
    /// Many expired items stand before the first that it may get.
    Sweep,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    work: Condvar,
    /// For the thread that reads back.
    read_work: Condvar,
    /// For those who wait for the end of a batch.
    written: Condvar,
    /// Bytes that wait for the journal, to be looked at without the lock.
    backlog: AtomicU64,
    /// The journal's thread writes, or is about to, and need not sync then. Changed with the lock.
    is_quick: AtomicBool,
    /// Called when segments begin, and before they go.
    at_rotation: OnceLock<AtRotation>,
    sync_seconds: Histogram,
}

/// What is called when the journal has begun a segment, with its number, and before others are given up: the flag
/// is whether they are.
struct AtRotation(Box<dyn Fn(u64, bool) + Send + Sync>);

impl std::fmt::Debug for AtRotation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AtRotation")
    }
}

impl Shared {
    /// A thread that panicked while it held the lock leaves an engine whose every step is whole,
    /// so that the others can go on.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends what is due at `now`, runs `f` on the state, hands out what the engine has to say, and
    /// wakes those concerned after the lock is free.
    fn with<T>(&self, now: Now, f: impl FnOnce(&mut State) -> T) -> T {
        let mut wakers = Vec::new();
        let mut state = self.lock();
        if state.engine.is_due(now) {
            state.settle(now, &mut wakers);
        }
        let result = f(&mut state);
        let append = state.settle(now, &mut wakers);
        self.backlog.store(state.engine.backlog_bytes(), Ordering::Relaxed);
        let wake_writer = append && state.asleep && !state.handing_over;
        if wake_writer {
            state.asleep = false;
        }
        let wake_reader = !state.reads.is_empty();
        drop(state);
        if wake_reader {
            self.read_work.notify_one();
        }
        if wake_writer {
            self.work.notify_one();
        }
        wakers.into_iter().for_each(Waker::wake);
        result
    }
}

impl State {
    /// Takes everything that the engine has to say; returns whether bytes wait for the journal.
    fn settle(&mut self, now: Now, wakers: &mut Vec<Waker>) -> bool {
        loop {
            match self.engine.poll_output(now) {
                EngineOutput::Done { op, outcome } => {
                    if !self.slots.finish(op, outcome, wakers) {
                        self.engine.cancel(op, now);
                    }
                }
                EngineOutput::Read(read) => self.reads.push_back(read),
                EngineOutput::Append => return true,
                _ => return false,
            }
        }
    }

    /// Why a read cannot begin now, if it cannot.
    fn not_yet(&mut self, queue: &[u8], action: Action, now: Now) -> Option<NotYet> {
        let (looks, gives) = match action {
            Action::Close | Action::Abort => (false, false),
            Action::Peek => (true, false),
            Action::Take | Action::Open | Action::Monitor | Action::CloseOpen => (true, true),
        };
        // Where nothing can be written, reading on is what makes room.
        if gives && self.journal.healthy && self.engine.unwritten_removals() >= UNWRITTEN {
            return Some(NotYet::Journal);
        }
        let sweeps = looks && self.engine.sweep(queue, now) == Engine::SWEEP;
        sweeps.then_some(NotYet::Sweep)
    }

    /// Begins a read; `Err` when it waits.
    fn begin(
        &mut self,
        conn: ConnId,
        queue: &[u8],
        read: Read,
        now: Now,
    ) -> Result<OpOutcome, OpId> {
        let op = self.new_op();
        match self.engine.get(op, conn, queue, read, now) {
            Some(outcome) => Ok(outcome),
            None => {
                self.slots.open(op);
                Err(op)
            }
        }
    }

    fn new_op(&mut self) -> OpId {
        let op = OpId(self.next_op);
        self.next_op += 1;
        op
    }
}

/// The queues of this server; cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    shared: Arc<Shared>,
}

/// Ends the journal's thread, see [`StoreCloser::close`].
#[derive(Debug)]
pub struct StoreCloser {
    shared: Arc<Shared>,
    thread: JoinHandle<io::Result<()>>,
}

/// How a read began.
#[derive(Debug)]
pub enum Begun {
    /// It is over.
    Done(OpOutcome),
    /// It waits.
    Waiting(Ticket),
}

impl Store {
    /// Starts the journal's threads, the one that writes and the one that reads back. `clock` tells them the
    /// time.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start<D: Directory>(
        mut engine: Engine,
        journal: Journal<D>,
        clock: impl Fn() -> Now + Clone + Send + 'static,
    ) -> io::Result<(Self, StoreCloser)> {
        let stats = JournalStats {
            healthy: true,
            bytes: journal.disk_bytes(),
            segments: journal.segments() as u64,
            ..JournalStats::default()
        };
        engine.compact(journal.len(), journal.active_number());
        let state = State {
            engine,
            slots: Slots::default(),
            next_op: 1,
            next_conn: 1,
            journal: stats,
            working_since: None,
            waiting_since: None,
            in_flight_since: None,
            asleep: false,
            is_awaited: false,
            handing_over: false,
            orders: Orders::default(),
            put_off: Vec::new(),
            reads: VecDeque::new(),
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            work: Condvar::new(),
            read_work: Condvar::new(),
            written: Condvar::new(),
            backlog: AtomicU64::new(0),
            is_quick: AtomicBool::new(false),
            at_rotation: OnceLock::new(),
            sync_seconds: journal.sync_seconds().clone(),
        });
        let reader = reader::Reader {
            shared: shared.clone(),
            journal: journal.reader(),
            clock: clock.clone(),
        };
        // It ends by itself with the store, and is not waited for: a disk may hang.
        thread::Builder::new().name("read back".to_owned()).spawn(move || reader.run())?;
        let first = journal.active_number();
        let writer =
            writer::Writer { shared: shared.clone(), journal, clock, first, rotated: None };
        let thread =
            thread::Builder::new().name("journal".to_owned()).spawn(move || writer.run())?;
        Ok((Self { shared: shared.clone() }, StoreCloser { shared, thread }))
    }

    /// Puts items, all or none; the ticket ends as [`OpOutcome::Stored`] once they are safe.
    ///
    /// # Errors
    /// [`PutError`] when a bound is reached.
    pub fn put(&self, put: Put, now: Now) -> Result<Ticket, PutError> {
        self.put_claimed(put, None, now, None)
    }

    /// The same with what was claimed for the events that the items are. The claim ends with the put, even when
    /// nobody waits for that any more, and fails when the put is refused. `waker` is that of the task which will
    /// poll the ticket first, in the same turn, if that is known: the first poll then needs no look.
    ///
    /// # Errors
    /// [`PutError`] when a bound is reached.
    pub fn put_claimed(
        &self,
        put: Put,
        claim: Option<Claim>,
        now: Now,
        waker: Option<&Waker>,
    ) -> Result<Ticket, PutError> {
        self.put_with(claim, now, waker, |engine, op| engine.put(op, put, now))
    }

    /// The same for several puts, each to a queue of its own: all of them are taken, or none.
    ///
    /// # Errors
    /// [`PutError`] when a bound is reached.
    pub fn put_all_claimed(
        &self,
        puts: Vec<Put>,
        claim: Option<Claim>,
        now: Now,
        waker: Option<&Waker>,
    ) -> Result<Ticket, PutError> {
        self.put_with(claim, now, waker, |engine, op| engine.put_all(op, puts, now))
    }

    fn put_with(
        &self,
        mut claim: Option<Claim>,
        now: Now,
        waker: Option<&Waker>,
        put: impl FnOnce(&mut Engine, OpId) -> Result<(), PutError>,
    ) -> Result<Ticket, PutError> {
        // What is refused is given up after the lock is free.
        self.shared.with(now, |state| {
            let op = state.new_op();
            put(&mut state.engine, op)?;
            state.slots.open_claimed(op, waker.cloned(), claim.take());
            state.waiting_since.get_or_insert_with(Instant::now);
            let mut ticket = self.ticket(Stage::Begun(op));
            ticket.registered = waker.cloned();
            if state.asleep && !state.handing_over {
                state.handing_over = true;
                ticket.hand_over = HandOver::later(now);
            }
            Ok(ticket)
        })
    }

    /// For a thread with nothing to do but to wait for sockets: waits while the journal's thread writes what it was
    /// given, 200 µs at most, and not for a sync.
    ///
    /// On the same processor each socket that becomes ready would take that from the journal's thread, in the middle
    /// of a write that all wait for; a write was cut into dozens of pieces.
    pub fn await_write(&self) {
        let is_quick = || self.shared.is_quick.load(Ordering::Relaxed);
        if !is_quick() {
            return;
        }
        let mut state = self.shared.lock();
        let batches = state.journal.batches;
        let until = Instant::now() + WRITE;
        while is_quick() && state.journal.batches == batches {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state.is_awaited = true;
            let woken = self.shared.written.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// From now on, `call` is called on the journal's thread when it has begun a segment, with its number, and
    /// before others are given up (with `true`), for whoever has to know what is in them: whatever was put into
    /// those before it is settled then. Said once; a second one is not called.
    pub fn at_rotation(&self, call: impl Fn(u64, bool) + Send + Sync + 'static) {
        let _ = self.shared.at_rotation.set(AtRotation(Box::new(call)));
    }

    /// Puts items, all or none, that nobody will wait for. They are in the journal no later than what is
    /// put after them. Those that do not come into the queue, also later because the journal fails, are
    /// counted ([`lost`](Self::lost)).
    ///
    /// # Errors
    /// [`PutError`] when a bound is reached.
    pub fn put_unattended(&self, put: Put, now: Now) -> Result<(), PutError> {
        self.shared.with(now, |state| {
            let (op, items) = (state.new_op(), u64::from(put.items()));
            let refused = state.engine.put(op, put, now);
            match refused {
                Ok(()) => {
                    state.slots.open_unattended(op, items);
                    state.waiting_since.get_or_insert_with(Instant::now);
                }
                Err(_) => state.slots.lost += items,
            }
            refused
        })
    }

    /// Counts items as lost that were not even put.
    pub(crate) fn count_lost(&self, items: u64) {
        self.shared.lock().slots.lost += items;
    }

    /// How many items of [`put_unattended`](Self::put_unattended) were lost.
    pub fn lost(&self) -> u64 {
        self.shared.lock().slots.lost
    }

    fn ticket(&self, stage: Stage) -> Ticket {
        let hand_over = HandOver::Done;
        let shared = self.shared.clone();
        Ticket { shared, now: Now::default(), stage, hand_over, registered: None }
    }

    /// Drops the expired items at a queue's head; returns how many. Others get at the queues meanwhile.
    pub fn flush_expired(&self, queue: &[u8], now: Now) -> u64 {
        let mut all = 0;
        loop {
            let dropped = self.manage(now, |engine| engine.sweep(queue, now));
            all += dropped;
            if dropped == 0 {
                // And what has to be read back for it.
                return all + self.manage(now, |engine| engine.flush_expired(queue, now));
            }
        }
    }

    /// The same for every queue; returns how many in all.
    pub fn flush_all_expired(&self, now: Now) -> u64 {
        let names = self.manage(now, |engine| engine.names());
        names.iter().map(|name| self.flush_expired(name, now)).sum()
    }

    /// The same for the queues whose items expire by their age, or go elsewhere then.
    pub fn flush_aged(&self, now: Now) {
        let aged = self.manage(now, |engine| {
            let mut names = engine.names();
            names.retain(|name| {
                let bounds = engine.config().of(name);
                bounds.max_age.is_some() || bounds.move_expired_to.is_some()
            });
            names
        });
        for name in aged {
            self.flush_expired(&name, now);
        }
    }

    /// A reader of this store, who may have reads open.
    pub fn reader(&self) -> Reader {
        let conn = {
            let mut state = self.shared.lock();
            state.next_conn += 1;
            ConnId(state.next_conn)
        };
        Reader { reads: OpenReads { store: self.clone(), conn }, now: Now::default() }
    }

    /// Runs `f` on the engine: for what an operator asks for.
    pub fn manage<T>(&self, now: Now, f: impl FnOnce(&mut Engine) -> T) -> T {
        self.shared.with(now, |state| f(&mut state.engine))
    }

    /// Has what is put next go into a further segment of the journal.
    pub fn roll(&self, now: Now) {
        self.shared.with(now, |state| state.orders.roll = true);
        self.shared.work.notify_one();
    }

    /// Lets waits end whose time has come.
    pub fn tick(&self, now: Now) {
        self.shared.with(now, |_| ());
    }

    /// Ends every wait at once, as empty: the server is about to stop.
    pub fn end_waits(&self, now: Now) {
        self.shared.with(now, |state| state.engine.end_waits());
    }

    /// Bytes that wait for the journal, as of the last change; takes no lock.
    pub fn backlog_bytes(&self) -> u64 {
        self.shared.backlog.load(Ordering::Relaxed)
    }

    /// The counters of the engine and the journal.
    pub fn stats(&self) -> (EngineStats, JournalStats) {
        let state = self.shared.lock();
        let mut journal = state.journal;
        // A disk that hangs says nothing, and must not pass for a good one.
        journal.healthy &= state.working_since.is_none_or(|since| since.elapsed() < HUNG);
        let engine = state.engine.stats();
        journal.rewrites = engine.rewritten_items;
        let since = state.in_flight_since.or(state.waiting_since);
        journal.lag = since.map_or(Duration::ZERO, |since| since.elapsed());
        (engine, journal)
    }

    /// What bounds the memory for items.
    pub fn queue_memory(&self) -> u64 {
        self.shared.lock().engine.config().queue_memory
    }

    /// How long the journal's syncs take.
    pub fn sync_seconds(&self) -> &Histogram {
        &self.shared.sync_seconds
    }

    /// The counters of one queue; all zero when there is none of that name.
    pub fn stats_of(&self, queue: &str) -> QueueStats {
        self.shared.lock().engine.stats_of(queue.as_bytes())
    }

    /// The counters of each queue, by name.
    pub fn queue_stats(&self) -> Vec<(String, QueueStats)> {
        let state = self.shared.lock();
        let named = |(name, stats): (&[u8], QueueStats)| {
            (String::from_utf8_lossy(name).into_owned(), stats)
        };
        state.engine.queue_stats().map(named).collect()
    }
}

impl StoreCloser {
    /// Writes and syncs everything that waits, notes that the stop was clean, and ends the thread;
    /// waits for that as long as `timeout`.
    ///
    /// # Errors
    /// Those of the file system, and [`io::ErrorKind::TimedOut`] when the disk hangs: what was
    /// acknowledged is safe all the same, but the next start will not take the stop for a clean
    /// one.
    pub fn close(self, timeout: Duration) -> io::Result<()> {
        self.shared.lock().orders.stop = true;
        self.shared.work.notify_one();
        self.shared.read_work.notify_one();
        let ended = sync::join_within(self.thread, timeout).ok_or(io::ErrorKind::TimedOut)?;
        ended.unwrap_or_else(|_| Err(io::Error::other("the journal's thread panicked")))
    }
}

/// A connection's view of the queues: its open reads are put back when it is dropped.
#[derive(Debug)]
pub struct Reader {
    reads: OpenReads,
    /// The time of the last call; good enough for the items that a drop puts back.
    now: Now,
}

/// The reads of a connection, for what answers it later and goes with it. What it opens is the
/// [`Reader`]'s, which puts it back.
#[derive(Clone, Debug)]
pub struct OpenReads {
    store: Store,
    conn: ConnId,
}

impl OpenReads {
    /// Reads from a queue.
    pub fn get(&self, queue: &[u8], read: Read, now: Now) -> Begun {
        let (store, conn) = (&self.store, self.conn);
        let begun = store.shared.with(now, |state| {
            if state.not_yet(queue, read.action, now).is_some() {
                let until = read.timeout.map(|timeout| now.instant + timeout);
                let queue = Box::from(queue);
                return Err(Stage::PutOff { conn, queue, action: read.action, until });
            }
            state.begin(conn, queue, read, now).map_err(Stage::Begun)
        });
        match begun {
            Ok(outcome) => Begun::Done(outcome),
            Err(stage) => Begun::Waiting(store.ticket(stage)),
        }
    }
}

impl Reader {
    /// Reads from a queue.
    pub fn get(&mut self, queue: &[u8], read: Read, now: Now) -> Begun {
        self.now = now;
        self.reads.get(queue, read, now)
    }

    /// Confirms the oldest `count` open reads of a queue, or none when there are fewer: whether there were
    /// as many.
    pub fn close_many(&mut self, queue: &[u8], count: usize, now: Now) -> bool {
        let conn = self.reads.conn;
        self.now = now;
        self.reads.store.manage(now, |engine| engine.close_many(conn, queue, count))
    }

    /// The id of the item that it opened last, of those that it has open.
    pub fn open_id(&mut self, now: Now) -> Option<u64> {
        let conn = self.reads.conn;
        self.now = now;
        self.reads.store.manage(now, |engine| engine.open_ids(conn).last())
    }

    /// The same connection's reads, for what answers it later.
    pub fn reads(&self) -> OpenReads {
        self.reads.clone()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let (conn, now) = (self.reads.conn, self.now);
        self.reads.store.shared.with(now, |state| state.engine.disconnect(conn, now));
    }
}

/// An operation that has not ended. Dropping it ends a wait; an item that it was given goes back
/// to the head of its queue; a put goes on.
#[derive(Debug)]
pub struct Ticket {
    shared: Arc<Shared>,
    now: Now,
    stage: Stage,
    hand_over: HandOver,
    /// The waker that is called for the end already, until it is polled for the first time.
    registered: Option<Waker>,
}

/// Whose turn it is to wake the journal's thread for what was put. The first put since it sleeps does it, not at
/// once, but when it was polled so many times more, for which it asks at once: after the others that its loop serves
/// in the same turn, and after what its connection could not read in one, so that all of it is in the same batch. A
/// thread that is woken in the middle of that takes the loop's processor away, and finds one put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HandOver {
    Later {
        polls: u8,
        /// Where a turn takes long, nothing is waited for.
        until: windhover_core::Instant,
    },
    Done,
}

impl HandOver {
    const POLLS: u8 = 4;
    const WAIT: Duration = Duration::from_micros(500);

    fn later(now: Now) -> Self {
        Self::Later { polls: Self::POLLS, until: now.instant + Self::WAIT }
    }
}

#[derive(Debug)]
enum Stage {
    /// A read that has not begun. Expired items are dropped step by step, each time that it is polled, and
    /// the lock is given up in between.
    PutOff {
        conn: ConnId,
        queue: Box<[u8]>,
        action: Action,
        until: Option<windhover_core::Instant>,
    },
    /// It waits.
    Begun(OpId),
    /// Its end was taken.
    Over,
}

impl Ticket {
    /// The end of the operation; until it has come, `cx`'s waker will be called for it.
    pub fn poll(&mut self, now: Now, cx: &mut Context<'_>) -> Poll<OpOutcome> {
        self.now = now;
        if let Stage::PutOff { conn, queue, action, until } = &self.stage {
            let begun = self.shared.with(now, |state| {
                if let Some(reason) = state.not_yet(queue, *action, now) {
                    if matches!(reason, NotYet::Journal) {
                        state.put_off.push(cx.waker().clone());
                    }
                    return Err(reason);
                }
                let timeout = until.map(|until| until.saturating_since(now.instant));
                Ok(state.begin(*conn, queue, Read { action: *action, timeout }, now))
            });
            match begun {
                Err(NotYet::Journal) => return Poll::Pending,
                Err(NotYet::Sweep) => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Ok(Ok(outcome)) => {
                    self.stage = Stage::Over;
                    return Poll::Ready(outcome);
                }
                Ok(Err(op)) => self.stage = Stage::Begun(op),
            }
        }
        let Stage::Begun(op) = self.stage else {
            return Poll::Ready(OpOutcome::Empty);
        };
        let was_handed_over = self.hand_over == HandOver::Done;
        let mut hands_over = false;
        if let HandOver::Later { polls, until } = &mut self.hand_over {
            *polls = polls.saturating_sub(1);
            hands_over = *polls == 0 || *until <= now.instant;
            if hands_over {
                self.hand_over = HandOver::Done;
            } else {
                cx.waker().wake_by_ref();
            }
        }
        // It has just begun. Should it be over already, the waker was called.
        if !hands_over && self.registered.take().is_some_and(|waker| waker.will_wake(cx.waker())) {
            return Poll::Pending;
        }
        if was_handed_over && let Some(outcome) = self.shared.lock().slots.take_put(op) {
            self.stage = Stage::Over;
            return Poll::Ready(outcome);
        }
        let outcome = self.shared.with(now, |state| {
            if hands_over {
                state.handing_over = false;
            }
            let outcome = state.slots.take(op, cx.waker());
            if outcome.is_some() {
                state.engine.collect(op);
            }
            outcome
        });
        match outcome {
            Some(outcome) => {
                self.stage = Stage::Over;
                Poll::Ready(outcome)
            }
            None => Poll::Pending,
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Stage::Begun(op) = self.stage {
            let now = self.now;
            let hands_over = self.hand_over != HandOver::Done;
            self.shared.with(now, |state| {
                if hands_over {
                    state.handing_over = false;
                }
                if state.slots.close(op) {
                    state.engine.cancel(op, now);
                }
            });
        }
    }
}
