//! The queue engine: puts and the hand-over to the journal.

mod batches;
mod behind;
mod compact;
mod expire;
mod fanout;
mod manage;
mod moved;
mod reads;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;

use self::batches::{CameBack, InFlight, PlaceInBatch, Waiting};
use self::reads::{Handed, Reserved};
use super::config::{Bounds, Config, QueueConfig};
use super::extents::Extent;
use super::fsync::Fsync;
use super::index::Index;
use super::items::{Item, Queue};
use super::name::parent_of;
use super::outcome::{ConnId, OpId, OpOutcome, PutError};
use super::put::{Put, PutSize};
use super::read_back::{JournalRead, ReadBack};
use super::record::{self, Draft};
use super::state::Position;
use super::stats::EngineStats;
use super::usage::Usage;
use super::waiters::Waiters;
use crate::buffer::Outgoing;
use crate::{Instant, Now, UnixTime};

/// Most memory that is taken at once for records that are gathered.
const MAX_GATHERED: usize = 64 * 1024;

/// Records to append to the journal, in one piece and in this order.
///
/// ```
/// use windhover_core::Now;
/// use windhover_core::queue::{Config, Engine, JournalBatch, OpId, PutBuilder};
///
/// let mut engine = Engine::new(Config::default());
/// let mut put = PutBuilder::new(b"jobs", Now::default().unix)?;
/// put.item(None, b"resize 7");
/// engine.put(OpId(1), put.finish(), Now::default())?;
///
/// let batch: JournalBatch = engine.begin_append().expect("a put leaves bytes to append");
/// // To be written at byte 64 of a segment whose salt is 7; one `writev` takes all of the parts.
/// let parts = batch.encode(7, 64);
/// assert_eq!(parts.iter().map(|part| part.len() as u64).sum::<u64>(), batch.len);
/// // There is one batch at a time.
/// assert_eq!(engine.begin_append(), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JournalBatch {
    /// Its number.
    pub commit: u64,
    /// The records.
    pub records: Vec<Draft>,
    /// How many bytes that is.
    pub len: u64,
    /// When they are to be on the disk. Under [`Fsync::Always`] before [`Engine::journaled`] is told so; else it
    /// is told as soon as they are written, and the sync is the caller's to see to.
    pub fsync: Fsync,
}

impl JournalBatch {
    /// The bytes to write at that offset of a segment with that salt: what only the journal knows.
    pub fn encode(&self, salt: u32, mut offset: u64) -> Vec<Bytes> {
        let mut bytes = Outgoing::new();
        // What is longer is shared.
        bytes.tail().reserve(usize::try_from(self.len).unwrap_or(usize::MAX).min(MAX_GATHERED));
        for record in &self.records {
            bytes.put(&record.header(salt, offset));
            bytes.put_segment(record.body());
            bytes.put_segment(record.tail());
            offset = offset.saturating_add(record.len());
        }
        bytes.take()
    }
}

/// Where a batch stands in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// The segment's number.
    pub segment: u64,
    /// The offset of its first record.
    pub offset: u64,
}

/// What an engine has to say; see [`Engine::poll_output`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EngineOutput {
    /// An operation ended.
    Done {
        /// Which one.
        op: OpId,
        /// How. An item is the reader's only after [`Engine::collect`].
        outcome: OpOutcome,
    },
    /// These bytes of the journal are needed: [`Engine::read_back`] is to be told what is there. Several reads
    /// may be on their way at a time, and end in any order.
    Read(JournalRead),
    /// Bytes wait for the journal: [`Engine::begin_append`].
    Append,
    /// Nothing to do before this instant (if any), unless something is called.
    Idle(Option<Instant>),
}

/// A put whose bytes are not yet known to be safe.
#[derive(Debug)]
struct Pending {
    /// Who is told; of a put to several queues it is the last one.
    op: Option<OpId>,
    queue: Bytes,
    first_id: u64,
    /// Where the record stands.
    place: PlaceInBatch,
    /// What the put has of the backlog: of one to several queues the first has all of it.
    backlog: u64,
    items: u64,
    data_len: u64,
    /// Its items come from another queue.
    moving: Option<moved::Moving>,
}

/// Kestrel-like queues as a pure state machine.
///
/// **The rule:** after every call, take [`poll_output`](Self::poll_output) until it says
/// [`EngineOutput::Idle`], or [`EngineOutput::Append`] while a batch is on its way.
///
/// A reliable read: the item stays the queue's until its reader confirms it.
///
/// ```
/// use windhover_core::Now;
/// use windhover_core::queue::{
///     Action, Config, ConnId, Engine, OpId, OpOutcome, PutBuilder, Written,
/// };
///
/// let (mut engine, now) = (Engine::new(Config::default()), Now::default());
/// # let mut put = PutBuilder::new(b"jobs", now.unix)?;
/// # put.item(None, b"resize 7");
/// # engine.put(OpId(1), put.finish(), now)?;
/// # let batch = engine.begin_append().expect("a put leaves bytes to append");
/// # engine.journaled(batch, Ok(Written { segment: 1, offset: 64 }), now);
/// // "resize 7" was put, and is in the journal.
/// let (broken, other) = (ConnId(1), ConnId(2));
/// let job = || Some(OpOutcome::Item("resize 7".into()));
/// assert_eq!(engine.get(OpId(2), broken, b"jobs", Action::Open.into(), now), job());
/// let none = engine.get(OpId(3), other, b"jobs", Action::Open.into(), now);
/// assert_eq!(none, Some(OpOutcome::Empty));
/// // The first one's connection breaks before it has confirmed: the item goes back to the head.
/// engine.disconnect(broken, now);
/// assert_eq!(engine.get(OpId(4), other, b"jobs", Action::Open.into(), now), job());
/// engine.get(OpId(5), other, b"jobs", Action::Close.into(), now);
/// engine.disconnect(other, now);
/// assert_eq!(engine.stats_of(b"jobs").items, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Engine {
    config: Config,
    bounds: Bounds,
    /// Of what is written again.
    strictest: Fsync,
    queues: BTreeMap<Bytes, Queue>,
    /// A queue may have become empty since empty ones were last looked for.
    may_be_empty: bool,
    /// Ids are unique over all queues and never used again, so that a removal that reaches the
    /// journal late can never meet another item.
    next_id: u64,
    pending: VecDeque<Pending>,
    waiting: Waiting,
    in_flight: Option<InFlight>,
    /// Bytes of puts that wait, in `append` or on their way.
    backlog: u64,
    /// Bytes in the journal, as last told.
    journal_len: u64,
    moves: VecDeque<compact::Move>,
    /// How many queues follow another one.
    following: usize,
    marks: VecDeque<fanout::FollowMark>,
    /// The last segment in which all of them were to be marked.
    marked_segment: u64,
    /// Queues whose expired items are to be moved as soon as the journal has written others.
    put_off: BTreeSet<Bytes>,
    /// When open reads end that may not be open for ever.
    open_until: BTreeSet<(Instant, ConnId, u64)>,
    /// Reads for items that are to be moved, and what those found that have ended.
    moving: BTreeSet<u64>,
    found: Vec<(Bytes, ReadBack)>,
    next_read: u64,
    /// Reads that are to be asked for.
    reads: VecDeque<JournalRead>,
    /// Queues of which something is to be read back.
    hungry: VecDeque<Bytes>,
    /// Queues whose last such read failed, and when it is tried again.
    failed: Vec<Bytes>,
    /// Queues that were flushed: nobody waits any more for what was in the journal.
    flushed: Vec<Bytes>,
    retry_at: Option<Instant>,
    usage: Usage,
    waiters: Waiters,
    reserved: BTreeMap<ConnId, Vec<Reserved>>,
    handed: BTreeMap<OpId, Handed>,
    done: VecDeque<(OpId, OpOutcome)>,
    stats: EngineStats,
}

impl Engine {
    /// An engine without queues.
    pub fn new(config: Config) -> Self {
        Self {
            strictest: config.strictest(),
            bounds: Bounds::new(&config),
            config,
            queues: BTreeMap::new(),
            may_be_empty: false,
            next_id: 1,
            pending: VecDeque::new(),
            waiting: Waiting::default(),
            in_flight: None,
            backlog: 0,
            journal_len: 0,
            moves: VecDeque::new(),
            following: 0,
            marks: VecDeque::new(),
            marked_segment: 0,
            put_off: BTreeSet::new(),
            open_until: BTreeSet::new(),
            moving: BTreeSet::new(),
            found: Vec::new(),
            next_read: 1,
            reads: VecDeque::new(),
            hungry: VecDeque::new(),
            failed: Vec::new(),
            flushed: Vec::new(),
            retry_at: None,
            usage: Usage::default(),
            waiters: Waiters::default(),
            reserved: BTreeMap::new(),
            handed: BTreeMap::new(),
            done: VecDeque::new(),
            stats: EngineStats::default(),
        }
    }

    /// What it keeps for the queue of that name.
    pub(super) fn bounds_of(&self, queue: &[u8]) -> Arc<QueueConfig> {
        self.bounds.of(queue)
    }

    /// It gets the queues that a journal held, and those that follow others, each with the segment that says so.
    pub(super) fn recover(
        &mut self,
        queues: Vec<Queue>,
        usage: Usage,
        following: BTreeMap<Bytes, u64>,
        next_id: u64,
        now: UnixTime,
    ) {
        (self.next_id, self.usage) = (next_id, usage);
        self.queues = queues.into_iter().map(|queue| (queue.name.clone(), queue)).collect();
        for name in self.names() {
            self.feed(&name);
        }
        for (name, segment) in following {
            let bounds = self.bounds.of(&name);
            let new = || Queue::new(name.clone(), bounds, next_id.saturating_sub(1), now);
            let queue = self.queues.entry(name.clone()).or_insert_with(new);
            (queue.follows, queue.marked_in) = (true, Some(segment));
            self.following += 1;
        }
    }

    /// Puts items, all or none. When the put is not refused at once, [`EngineOutput::Done`] says later
    /// whether the items are [`Stored`](OpOutcome::Stored) or
    /// [`NotJournaled`](OpOutcome::NotJournaled); until then no reader sees them.
    ///
    /// # Errors
    /// [`PutError`] says which bound the put would break; nothing was taken.
    pub fn put(&mut self, op: OpId, put: Put, now: Now) -> Result<(), PutError> {
        self.take_up(op, put, now).inspect_err(|refused| self.stats.count(*refused))
    }

    /// The same for several puts, each to a queue of its own: all of them are taken, or none.
    ///
    /// # Errors
    /// [`PutError`] says which bound the first of them would break that breaks one; nothing was taken.
    pub fn put_all(&mut self, op: OpId, puts: Vec<Put>, now: Now) -> Result<(), PutError> {
        self.stats.cmd_set += puts.len() as u64;
        self.take_up_all(op, puts, now).inspect_err(|refused| self.stats.count(*refused))
    }

    fn take_up_all(&mut self, op: OpId, puts: Vec<Put>, now: Now) -> Result<(), PutError> {
        for put in &puts {
            if !self.is_alias(put.queue()) {
                check_items(self.config.of(put.queue()), put.size())?;
            }
        }
        self.take_up_for_many(op, puts.into_iter().filter(|put| put.items() > 0), now)
    }

    fn take_up(&mut self, op: OpId, put: Put, now: Now) -> Result<(), PutError> {
        let size = put.size();
        self.stats.cmd_set += 1;
        let is_alias = self.is_alias(put.queue());
        let line = self.queues.get(put.queue());
        let bounds = line.map_or_else(|| self.config.of(put.queue()), |line| &*line.bounds);
        let (fanout_only, fsync) = (bounds.fanout_only, bounds.fsync);
        if !is_alias {
            check_items(bounds, size)?;
        }
        if size.items == 0 {
            self.done.push_back((op, OpOutcome::Stored));
            return Ok(());
        }
        if fanout_only || is_alias || self.has_children(put.queue()) {
            return self.take_up_for_many(op, [put], now);
        }
        self.check_backlog(put.record_len())?;
        let name = match line {
            Some(line) if line.has_room_for(size) && parent_of(&line.name).is_none() => {
                line.name.clone()
            }
            _ => self.check_room(put.queue(), size, now)?,
        };
        self.enlist(Some(op), name, put, fsync);
        Ok(())
    }

    /// Whether so many bytes more may wait for the journal.
    fn check_backlog(&self, len: u64) -> Result<(), PutError> {
        self.check_backlog_of_moves(len)?;
        if self.journal_len.saturating_add(self.backlog).saturating_add(len)
            > self.config.max_journal_bytes
        {
            return Err(PutError::JournalFull);
        }
        Ok(())
    }

    /// The same where what is written makes room elsewhere in the journal.
    fn check_backlog_of_moves(&self, len: u64) -> Result<(), PutError> {
        if self.backlog.saturating_add(len) > self.config.max_backlog {
            return Err(PutError::Busy);
        }
        Ok(())
    }

    /// Whether a queue has room, which is made where there is none of that name. Its name.
    fn check_room(&mut self, name: &[u8], size: PutSize, now: Now) -> Result<Bytes, PutError> {
        if !self.follow(name, now) {
            return Err(PutError::TooManyQueues);
        }
        let queue = self.queue_or_new(name, now).ok_or(PutError::TooManyQueues)?;
        if !queue.has_room_for(size) {
            queue.stats.refused += 1;
            self.may_be_empty = true;
            return Err(PutError::Full);
        }
        Ok(queue.name.clone())
    }

    /// A queue that has room gets a put.
    fn enlist(&mut self, op: Option<OpId>, name: Bytes, put: Put, fsync: Fsync) {
        let size = put.size();
        let first_id = self.take_ids(size.items);
        let place = self.waiting.write(put.into_draft(first_id), fsync);
        self.backlog += place.len;
        self.expect(op, (name, first_id), size, place, place.len);
    }

    /// The ids of so many items: the first one.
    fn take_ids(&mut self, items: u64) -> u64 {
        let first = self.next_id;
        self.next_id = first.saturating_add(items);
        first
    }

    /// A record has a put for a queue, with that first id: the queue waits for it.
    fn expect(
        &mut self,
        op: Option<OpId>,
        (queue, first_id): (Bytes, u64),
        size: PutSize,
        place: PlaceInBatch,
        backlog: u64,
    ) {
        let PutSize { items, data_len, .. } = size;
        if let Some(line) = self.queues.get_mut(&queue) {
            line.pending += items;
            line.pending_bytes += data_len;
        }
        let moving = None;
        self.pending.push_back(Pending {
            op,
            queue,
            first_id,
            place,
            backlog,
            items,
            data_len,
            moving,
        });
    }

    fn queue_or_new(&mut self, name: &[u8], now: Now) -> Option<&mut Queue> {
        if !self.queues.contains_key(name) {
            if !self.has_room_for(name) {
                return None;
            }
            self.stats.queue_creates += 1;
            let name = Bytes::copy_from_slice(name);
            let (bounds, mark) = (self.bounds.of(&name), self.next_id.saturating_sub(1));
            self.queues.insert(name.clone(), Queue::new(name, bounds, mark, now.unix));
        }
        self.queues.get_mut(name)
    }

    /// Whether a queue of that name may be made; those that hold nothing make room for it.
    fn has_room_for(&mut self, name: &[u8]) -> bool {
        if self.is_own(name) || self.counted_queues() < self.config.max_queues {
            return true;
        }
        if core::mem::take(&mut self.may_be_empty) {
            let before = self.queues.len();
            let own = &self.config.own_queues;
            self.queues
                .retain(|name, queue| queue.held() != 0 || queue.follows || own.contains(name));
            let gone = (before - self.queues.len()) as u64;
            self.stats.queue_deletes += gone;
            self.stats.queue_expires += gone;
        }
        self.counted_queues() < self.config.max_queues
    }

    fn is_own(&self, name: &[u8]) -> bool {
        self.config.own_queues.iter().any(|own| own == name)
    }

    /// How many queues there are beside the application's own.
    fn counted_queues(&self) -> usize {
        let own = self.config.own_queues.iter().filter(|own| self.queues.contains_key(*own));
        self.queues.len() - own.count()
    }

    /// Takes the bytes to append to the journal next, or `None` when there are none or a batch is
    /// on its way. What becomes of them must be told to [`journaled`](Self::journaled).
    pub fn begin_append(&mut self) -> Option<JournalBatch> {
        if self.in_flight.is_some() {
            return None;
        }
        let (batch, removals) = self.waiting.take()?;
        self.in_flight = Some(InFlight { commit: batch.commit, removals, fsync: batch.fsync });
        Some(batch)
    }

    /// Takes a batch back, and what became of it: `Ok` with its place, once it is as safe as it is to be
    /// ([`JournalBatch::fsync`]), or `Err` when none of it can be relied on. Anything but the batch that is on its
    /// way is ignored.
    pub fn journaled(
        &mut self,
        batch: JournalBatch,
        result: Result<Written, AppendError>,
        now: Now,
    ) {
        let JournalBatch { commit, records, .. } = batch;
        let Some(InFlight { removals, fsync, .. }) =
            self.in_flight.take_if(|batch| batch.commit == commit)
        else {
            return;
        };
        if result.is_err() {
            // Behind those that came since: the order of removals does not matter.
            for removal in removals {
                self.write_removal(removal, fsync);
            }
        }
        let mut records = CameBack::new(records);
        while self.pending.front().is_some_and(|put| put.place.commit <= commit) {
            let Some(put) = self.pending.pop_front() else {
                break;
            };
            self.backlog = self.backlog.saturating_sub(put.backlog);
            let rest = records.rest_of(put.place);
            self.settle(put, rest, result, now);
        }
        self.settle_moves(commit, result);
        self.settle_marks(commit, result.ok().map(|written| written.segment));
        self.move_on(now);
    }

    /// A put is in the journal, or is not; `rest` is its record's body behind the names.
    fn settle(
        &mut self,
        mut put: Pending,
        rest: Option<Bytes>,
        result: Result<Written, AppendError>,
        now: Now,
    ) {
        if let Some(moving) = put.moving.take() {
            self.settle_moved(moving, result.is_ok());
        }
        let Some(queue) = self.queues.get_mut(&put.queue) else {
            return;
        };
        queue.pending = queue.pending.saturating_sub(put.items);
        queue.pending_bytes = queue.pending_bytes.saturating_sub(put.data_len);
        let Ok(written) = result else {
            self.may_be_empty = true;
            self.stats.journal_refused += 1;
            self.done.extend(put.op.map(|op| (op, OpOutcome::NotJournaled)));
            return;
        };
        queue.stats.total_items += put.items;
        self.stats.total_items += put.items;
        let was_behind = queue.is_behind();
        let start = written.offset.saturating_add(put.place.offset);
        let extent = Extent {
            segment: written.segment,
            range: start..start.saturating_add(put.place.len),
            first_id: put.first_id,
            last_id: put.first_id.saturating_add(put.items - 1),
            items: put.items,
            bytes: put.data_len,
        };
        let last_id = extent.last_id;
        queue.add(extent, &mut self.usage);
        let taken = QueueConfig::taken(put.items, put.data_len);
        let memory = self.usage.memory().saturating_add(self.backlog).saturating_add(taken);
        let has_room =
            memory <= self.config.queue_memory || self.waiters.first(&queue.name).is_some();
        if has_room
            && !was_behind
            && let Some(rest) = rest
        {
            let (added, items) = record::put_parts(rest);
            for (id, item) in record::ids_from(put.first_id).zip(items) {
                let record::Item { data, expires } = item;
                queue.load(Item { id, data, expires, added }, &mut self.usage);
            }
            queue.loaded_to = last_id;
        }
        // Both look the queue up, mostly for nothing.
        let (discards, is_behind) = (queue.bounds.discard_old, queue.is_behind());
        if discards {
            self.discard_old(&put.queue);
        }
        self.done.extend(put.op.map(|op| (op, OpOutcome::Stored)));
        if is_behind || !self.waiters.is_empty() {
            self.serve_waiters(&put.queue, now);
        }
    }

    /// An item that was popped is gone: writes that down.
    fn remove(&mut self, queue: Bytes, item: &Item) {
        let line = self.queues.get_mut(&queue);
        let own = line.map(|line| {
            line.remove(item, &mut self.usage);
            line.bounds.fsync
        });
        let fsync = own.unwrap_or_else(|| self.config.of(&queue).fsync);
        self.write_removal(Draft::remove(item.id, queue), fsync);
    }

    fn write_removal(&mut self, record: Draft, fsync: Fsync) {
        self.may_be_empty = true;
        self.waiting.write_removal(record, fsync);
    }

    /// Writes down that the items of a queue with smaller ids are gone, but for those that are open.
    fn write_discard(&mut self, queue: &[u8], below: u64) {
        let out = self.queues.get(queue).map(|line| line.out.range(..below).map(|(id, _)| *id));
        let kept: Vec<u64> = out.into_iter().flatten().collect();
        let fsync = self.config.of(queue).fsync;
        self.write_removal(Draft::discard(below, queue, &kept), fsync);
    }

    /// All that a later start has to know beside the segments, at a place of the journal up to which all
    /// batches were told of ([`journaled`](Self::journaled)), and none behind it; `salt` is that segment's.
    ///
    /// Items that are gone are not in it, though the journal may not say so yet
    /// ([`unwritten_removals`](Self::unwritten_removals)). It is to be used only when the next batch is in the
    /// journal, which has those, and never where that one fails: else an item could be gone after one start
    /// and there after another.
    pub fn index(&mut self, at: Position, salt: u32) -> Index {
        self.join_batches();
        let held = self.queues.values().filter(|queue| queue.extents.items() > 0);
        let following = self.queues.values().filter(|queue| queue.follows);
        let following =
            following.filter_map(|queue| queue.marked_in.map(|place| (queue.name.clone(), place)));
        Index::new(at, salt, self.next_id, following.collect(), held)
    }

    /// Makes one batch of all that waits.
    fn join_batches(&mut self) {
        let Some((commit, ahead)) = self.waiting.join() else {
            return;
        };
        let behind = |place: &mut PlaceInBatch| {
            if place.commit > commit {
                (place.commit, place.offset) = (commit, place.offset + ahead);
            }
        };
        self.pending.iter_mut().map(|put| &mut put.place).for_each(behind);
        self.moves.iter_mut().map(|moved| &mut moved.place).for_each(behind);
        self.marks.iter_mut().for_each(|mark| mark.commit = mark.commit.min(commit));
    }

    /// How many removals are not known to be in the journal: were the server killed now, at most so many
    /// items that were confirmed would come again. Whoever is to bound it gives out no further items
    /// meanwhile.
    pub fn unwritten_removals(&self) -> u64 {
        let in_flight = self.in_flight.as_ref().map_or(0, |batch| batch.removals.len());
        (self.waiting.removals() + in_flight) as u64
    }

    /// Whether [`poll_output`](Self::poll_output) has something to say at `now` that was not there when it
    /// was last called: a wait, or an open read, whose time has come.
    pub fn is_due(&self, now: Now) -> bool {
        let open = self.open_until.first().is_some_and(|(until, ..)| *until <= now.instant);
        let retry = self.retry_at.is_some_and(|at| at <= now.instant);
        open || retry || self.waiters.due(now.instant).is_some()
    }

    /// Ends the waits whose deadline has come, and reads that have been open for too long; asks again for what
    /// could not be read back.
    pub fn handle_timeout(&mut self, now: Now) {
        // Most often nobody waits for anything.
        if self.waiters.is_empty()
            && self.open_until.is_empty()
            && self.flushed.is_empty()
            && self.retry_at.is_none()
        {
            return;
        }
        self.end_open_reads(now);
        while let Some(op) = self.waiters.due(now.instant) {
            self.end_wait(op, now);
        }
        for queue in core::mem::take(&mut self.flushed) {
            self.end_overdue(&queue, now);
        }
        if self.retry_at.is_some_and(|at| at <= now.instant) {
            self.retry_at = None;
            for queue in core::mem::take(&mut self.failed) {
                self.feed(&queue);
            }
        }
    }

    /// What the engine has to say at `now`; waits whose time has come end here.
    pub fn poll_output(&mut self, now: Now) -> EngineOutput {
        self.handle_timeout(now);
        if let Some((op, outcome)) = self.done.pop_front() {
            return EngineOutput::Done { op, outcome };
        }
        if let Some(read) = self.next_read() {
            return EngineOutput::Read(read);
        }
        if self.in_flight.is_none() && !self.waiting.is_empty() {
            return EngineOutput::Append;
        }
        let open_until = self.open_until.first().map(|(until, ..)| *until);
        let next = self.waiters.next_deadline().into_iter().chain(open_until).chain(self.retry_at);
        EngineOutput::Idle(next.min())
    }
}

/// Whether items are as small as the queue with those bounds wants them.
fn check_items(bounds: &QueueConfig, size: PutSize) -> Result<(), PutError> {
    let (len, limit) = (size.largest, bounds.max_item_bytes);
    if len > limit {
        return Err(PutError::ItemTooLarge { len, limit });
    }
    Ok(())
}

/// The journal could not take a batch, or could not make it safe.
///
/// ```
/// use windhover_core::Now;
/// use windhover_core::queue::{
///     AppendError, Config, Engine, EngineOutput, OpId, OpOutcome, PutBuilder,
/// };
///
/// let (mut engine, now) = (Engine::new(Config::default()), Now::default());
/// let mut put = PutBuilder::new(b"jobs", now.unix)?;
/// put.item(None, b"resize 7");
/// engine.put(OpId(1), put.finish(), now)?;
/// let batch = engine.begin_append().expect("a put leaves bytes to append");
/// // The disk is full: the sender is told so, and nobody ever reads the item.
/// engine.journaled(batch, Err(AppendError), now);
/// let refused = EngineOutput::Done { op: OpId(1), outcome: OpOutcome::NotJournaled };
/// assert_eq!(engine.poll_output(now), refused);
/// assert_eq!(engine.stats_of(b"jobs").items, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendError;

impl core::fmt::Display for AppendError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the journal did not take the batch: nothing of it was recorded")
    }
}

impl core::error::Error for AppendError {}
