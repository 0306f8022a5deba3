//! The queue engine: puts and the hand-over to the journal.

mod compact;
mod expire;
mod fanout;
mod manage;
mod moved;
mod reads;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use bytes::Bytes;

use self::reads::{Handed, Reserved};
use super::config::{Config, QueueConfig};
use super::items::{Item, Queue};
use super::outcome::{ConnId, OpId, OpOutcome, PutError};
use super::put::{Put, PutSize};
use super::record::{self, Draft};
use super::stats::EngineStats;
use super::usage::Usage;
use super::waiters::Waiters;
use crate::buffer::Outgoing;
use crate::{Instant, Now, UnixTime};

/// Records to append to the journal, in one piece and in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JournalBatch {
    /// To be named in [`Engine::journaled`].
    pub commit: u64,
    /// The records.
    pub records: Vec<Draft>,
    /// How many bytes that is.
    pub len: u64,
}

impl JournalBatch {
    /// The bytes to write at that offset of a segment with that salt: what only the journal knows.
    pub fn encode(&self, salt: u32, mut offset: u64) -> Vec<Bytes> {
        let mut bytes = Outgoing::new();
        for record in &self.records {
            bytes.put(&record.header(salt, offset));
            bytes.put_shared(record.body().clone());
            bytes.put_shared(record.shared().clone());
            offset = offset.saturating_add(record.len());
        }
        bytes.take()
    }
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
    /// Bytes wait for the journal: [`Engine::begin_append`].
    Append,
    /// Nothing to do before this instant (if any), unless something is called.
    Idle(Option<Instant>),
}

/// A put whose bytes are not yet known to be safe.
#[derive(Debug)]
struct Pending {
    commit: u64,
    /// Who is told; of a put to several queues it is the last one.
    op: Option<OpId>,
    queue: Bytes,
    first_id: u64,
    /// The record's body behind the name.
    rest: Bytes,
    items: u64,
    data_len: u64,
    record_len: u64,
    /// Its items come from another queue.
    moving: Option<moved::Moving>,
}

/// Kestrel-like queues as a pure state machine.
///
/// **The rule:** after every call, take [`poll_output`](Self::poll_output) until it says
/// [`EngineOutput::Idle`], or [`EngineOutput::Append`] while a batch is on its way.
#[derive(Debug)]
pub struct Engine {
    config: Config,
    queues: BTreeMap<Bytes, Queue>,
    /// A queue may have become empty since empty ones were last looked for.
    may_be_empty: bool,
    /// Ids are unique over all queues and never used again, so that a removal that reaches the
    /// journal late can never meet another item.
    next_id: u64,
    pending: VecDeque<Pending>,
    /// Gathers the next batch.
    append: Vec<Draft>,
    append_len: u64,
    /// The removals in the next batch, and in the one on its way: they must not be lost with it.
    removals: Vec<Draft>,
    removals_in_flight: Vec<Draft>,
    next_commit: u64,
    in_flight: Option<u64>,
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
            config,
            queues: BTreeMap::new(),
            may_be_empty: false,
            next_id: 1,
            pending: VecDeque::new(),
            append: Vec::new(),
            append_len: 0,
            removals: Vec::new(),
            removals_in_flight: Vec::new(),
            next_commit: 1,
            in_flight: None,
            backlog: 0,
            journal_len: 0,
            moves: VecDeque::new(),
            following: 0,
            marks: VecDeque::new(),
            marked_segment: 0,
            put_off: BTreeSet::new(),
            open_until: BTreeSet::new(),
            usage: Usage::default(),
            waiters: Waiters::default(),
            reserved: BTreeMap::new(),
            handed: BTreeMap::new(),
            done: VecDeque::new(),
            stats: EngineStats::default(),
        }
    }

    /// An engine with the items that a journal held, and the queues that follow others, each with the segment
    /// that says so.
    pub(super) fn recovered(
        config: Config,
        items: BTreeMap<Bytes, BTreeMap<u64, Item>>,
        following: BTreeMap<Bytes, u64>,
        next_id: u64,
        now: UnixTime,
    ) -> Self {
        let mut engine = Self::new(config);
        engine.next_id = next_id;
        for (name, items) in items.into_iter().filter(|(_, items)| !items.is_empty()) {
            let mut queue = Queue::new(name.clone(), now);
            for (id, item) in items {
                engine.usage.add(item.segment, id, item.journal_len(&name));
                queue.insert(item);
            }
            engine.queues.insert(name, queue);
        }
        for (name, segment) in following {
            let new = || Queue::new(name.clone(), now);
            let queue = engine.queues.entry(name.clone()).or_insert_with(new);
            (queue.follows, queue.marked_in) = (true, Some(segment));
            engine.following += 1;
        }
        engine
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

    fn take_up(&mut self, op: OpId, put: Put, now: Now) -> Result<(), PutError> {
        let size = put.size();
        self.stats.cmd_set += 1;
        let (fanout_only, is_alias) =
            (self.config.of(put.queue()).fanout_only, self.is_alias(put.queue()));
        if !is_alias {
            self.check_items(put.queue(), size)?;
        }
        if size.items == 0 {
            self.done.push_back((op, OpOutcome::Stored));
            return Ok(());
        }
        if fanout_only || is_alias || self.has_children(put.queue()) {
            return self.take_up_for_many(op, put, now);
        }
        self.check_backlog(put.record_len())?;
        self.check_room(put.queue(), size, now)?;
        let Some(name) = self.queues.get(put.queue()).map(|queue| queue.name.clone()) else {
            return Err(PutError::TooManyQueues);
        };
        let rest_offset = put.rest_offset();
        let record = put.into_draft(self.next_id);
        let rest = record.body().slice(rest_offset..);
        self.enlist(Some(op), name, size, record, rest);
        Ok(())
    }

    fn check_items(&self, queue: &[u8], size: PutSize) -> Result<(), PutError> {
        let (len, limit) = (size.largest, self.config.of(queue).max_item_bytes);
        if len > limit {
            return Err(PutError::ItemTooLarge { len, limit });
        }
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

    /// Whether a queue has room, which is made where there is none of that name.
    fn check_room(&mut self, name: &[u8], size: PutSize, now: Now) -> Result<(), PutError> {
        if !self.follow(name, now) {
            return Err(PutError::TooManyQueues);
        }
        let bounds = self.config.of(name);
        let (max_items, max_bytes) = (bounds.max_items, bounds.max_bytes);
        let discard_old = bounds.discard_old;
        let queue = self.queue_or_new(name, now).ok_or(PutError::TooManyQueues)?;
        let (held, held_bytes) =
            if discard_old { (0, 0) } else { (queue.held(), queue.held_bytes()) };
        let PutSize { items, data_len, .. } = size;
        if held.saturating_add(items) > max_items
            || held_bytes.saturating_add(QueueConfig::taken(items, data_len)) > max_bytes
        {
            queue.stats.refused += 1;
            self.may_be_empty = true;
            return Err(PutError::Full);
        }
        Ok(())
    }

    /// A queue that has room gets what a record has, whose first id is the next one.
    fn enlist(&mut self, op: Option<OpId>, name: Bytes, size: PutSize, record: Draft, rest: Bytes) {
        let PutSize { items, data_len, .. } = size;
        if let Some(queue) = self.queues.get_mut(&name) {
            queue.pending += items;
            queue.pending_bytes += data_len;
        }
        let first_id = self.next_id;
        self.next_id = self.next_id.saturating_add(items);
        let record_len = record.len();
        self.pending.push_back(Pending {
            commit: self.next_commit,
            op,
            queue: name,
            first_id,
            rest,
            items,
            data_len,
            record_len,
            moving: None,
        });
        self.backlog += record_len;
        self.write(record);
    }

    fn write(&mut self, record: Draft) {
        self.append_len += record.len();
        self.append.push(record);
    }

    fn queue_or_new(&mut self, name: &[u8], now: Now) -> Option<&mut Queue> {
        if !self.queues.contains_key(name) {
            if !self.has_room_for(name) {
                return None;
            }
            self.stats.queue_creates += 1;
            let name = Bytes::copy_from_slice(name);
            self.queues.insert(name.clone(), Queue::new(name, now.unix));
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
        if self.in_flight.is_some() || self.append.is_empty() {
            return None;
        }
        let commit = self.next_commit;
        self.next_commit += 1;
        self.in_flight = Some(commit);
        self.removals_in_flight = core::mem::take(&mut self.removals);
        let records = core::mem::take(&mut self.append);
        Some(JournalBatch { commit, records, len: core::mem::take(&mut self.append_len) })
    }

    /// Tells what became of a batch: `Ok` with the number of the segment that holds it, once it is
    /// as safe as the operator asked for, or `Err` when none of it can be relied on. Anything but
    /// the batch that is on its way is ignored.
    pub fn journaled(&mut self, commit: u64, result: Result<u64, AppendError>, now: Now) {
        if self.in_flight != Some(commit) {
            return;
        }
        self.in_flight = None;
        let removals = core::mem::take(&mut self.removals_in_flight);
        if result.is_err() {
            // Behind those that came since: the order of removals does not matter.
            for removal in removals {
                self.write_removal(removal);
            }
        }
        while self.pending.front().is_some_and(|put| put.commit <= commit) {
            let Some(put) = self.pending.pop_front() else {
                break;
            };
            self.backlog = self.backlog.saturating_sub(put.record_len);
            self.settle(put, result, now);
        }
        self.settle_moves(commit, result);
        self.settle_marks(commit, result.ok());
        self.move_on(now);
    }

    fn settle(&mut self, mut put: Pending, result: Result<u64, AppendError>, now: Now) {
        if let Some(moving) = put.moving.take() {
            self.settle_moved(moving, result.is_ok());
        }
        let Some(queue) = self.queues.get_mut(&put.queue) else {
            return;
        };
        queue.pending = queue.pending.saturating_sub(put.items);
        queue.pending_bytes = queue.pending_bytes.saturating_sub(put.data_len);
        let Ok(segment) = result else {
            self.may_be_empty = true;
            self.stats.journal_refused += 1;
            self.done.extend(put.op.map(|op| (op, OpOutcome::NotJournaled)));
            return;
        };
        queue.stats.total_items += put.items;
        self.stats.total_items += put.items;
        let (added, items) = record::put_parts(put.rest);
        for (id, item) in (put.first_id..).zip(items) {
            let record::Item { data, expires } = item;
            let item = Item { id, data, expires, added, segment };
            self.usage.add(segment, id, item.journal_len(&put.queue));
            queue.insert(item);
        }
        self.discard_old(&put.queue);
        self.done.extend(put.op.map(|op| (op, OpOutcome::Stored)));
        self.serve_waiters(&put.queue, now);
    }

    /// Writes down that an item is gone.
    fn remove(&mut self, queue: Bytes, item: &Item) {
        self.usage.remove(item.segment, item.journal_len(&queue));
        self.write_removal(Draft::remove(item.id, queue));
    }

    fn write_removal(&mut self, record: Draft) {
        self.may_be_empty = true;
        self.removals.push(record.clone());
        self.write(record);
    }

    /// Writes down that the items of a queue with smaller ids are gone, but for those that are open.
    fn write_discard(&mut self, queue: &[u8], below: u64) {
        let held = self.reserved.values().flatten().map(|r| (&r.queue, &r.item));
        let handed = self.handed.values().map(|h| (&h.queue, &h.item));
        let moving = self.pending.iter().filter_map(|put| put.moving.as_ref());
        let moving = moving.flat_map(|moving| moving.items.iter().map(|item| (&moving.from, item)));
        let kept: Vec<u64> = held
            .chain(handed)
            .chain(moving)
            .filter(|(name, item)| **name == queue && item.id < below)
            .map(|(_, item)| item.id)
            .collect();
        self.write_removal(Draft::discard(below, queue, &kept));
    }

    /// How many removals are not known to be in the journal: were the server killed now, at most so many
    /// items that were confirmed would come again. Whoever is to bound it gives out no further items
    /// meanwhile.
    pub fn unwritten_removals(&self) -> u64 {
        (self.removals.len() + self.removals_in_flight.len()) as u64
    }

    /// Whether [`poll_output`](Self::poll_output) has something to say at `now` that was not there when it
    /// was last called: a wait, or an open read, whose time has come.
    pub fn is_due(&self, now: Now) -> bool {
        let open = self.open_until.first().is_some_and(|(until, ..)| *until <= now.instant);
        open || self.waiters.due(now.instant).is_some()
    }

    /// Ends the waits whose deadline has come, and reads that have been open for too long.
    pub fn handle_timeout(&mut self, now: Now) {
        self.end_open_reads(now);
        while let Some(op) = self.waiters.due(now.instant) {
            self.waiters.remove(op);
            self.stats.get_misses += 1;
            self.done.push_back((op, OpOutcome::Empty));
        }
    }

    /// What the engine has to say at `now`; waits whose time has come end here.
    pub fn poll_output(&mut self, now: Now) -> EngineOutput {
        self.handle_timeout(now);
        if let Some((op, outcome)) = self.done.pop_front() {
            return EngineOutput::Done { op, outcome };
        }
        if self.in_flight.is_none() && !self.append.is_empty() {
            return EngineOutput::Append;
        }
        let open_until = self.open_until.first().map(|(until, ..)| *until);
        EngineOutput::Idle(self.waiters.next_deadline().into_iter().chain(open_until).min())
    }
}

/// The journal could not take a batch, or could not make it safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendError;

impl core::fmt::Display for AppendError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the journal did not take the batch: nothing of it was recorded")
    }
}

impl core::error::Error for AppendError {}
