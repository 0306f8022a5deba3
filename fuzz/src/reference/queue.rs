//! Queues as a model: a `VecDeque` each, and what has to be in the journal.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use windhover_core::queue::{Action, Config, OpOutcome, PutError, ReadError};

/// Milliseconds since 1970.
type Millis = u64;

/// An item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Rises from put to put.
    pub id: u64,
    /// The queue's name.
    pub queue: &'static str,
    /// What it holds.
    pub data: Vec<u8>,
    expires: Option<Millis>,
    added: Millis,
}

/// A put that waits for the journal.
#[derive(Clone, Debug)]
struct Put {
    op: u64,
    queue: &'static str,
    items: Vec<Item>,
    record: u64,
    batch: u64,
}

#[derive(Clone, Debug)]
struct Waiter {
    conn: u64,
    queue: &'static str,
    action: Action,
    deadline: Millis,
}

/// The queues.
#[derive(Clone, Debug)]
pub struct Model {
    config: Config,
    queues: BTreeMap<&'static str, VecDeque<Item>>,
    pending: VecDeque<Put>,
    batch: u64,
    /// Set aside: by connection, in the order in which they were opened.
    open: Vec<(u64, Item)>,
    /// Given to waits that ended, until they are collected.
    handed: BTreeMap<u64, (Waiter, Item)>,
    waiters: BTreeMap<u64, Waiter>,
    /// What is still to be told, in order.
    pub done: VecDeque<(u64, OpOutcome)>,
    next_id: u64,
    /// What is safe, by id.
    pub safe: BTreeMap<u64, Item>,
    /// Ids of safe items that are gone; whether the journal knows it yet cannot be told.
    pub gone: BTreeSet<u64>,
    removals: Vec<u64>,
    removals_in_flight: Vec<u64>,
    in_flight: Option<u64>,
}

/// What a record of a put takes in the journal, without its items' data.
const RECORD: usize = 28 + 8;
const ITEM: usize = 12;

/// What items count for: their bytes, and so much for each.
fn taken(items: usize, bytes: usize) -> u64 {
    (bytes + items * 160) as u64
}

impl Model {
    /// No queues.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            queues: BTreeMap::new(),
            pending: VecDeque::new(),
            batch: 1,
            open: Vec::new(),
            handed: BTreeMap::new(),
            waiters: BTreeMap::new(),
            done: VecDeque::new(),
            next_id: 1,
            safe: BTreeMap::new(),
            gone: BTreeSet::new(),
            removals: Vec::new(),
            removals_in_flight: Vec::new(),
            in_flight: None,
        }
    }

    fn held<'a>(&'a self, queue: &'a str) -> impl Iterator<Item = &'a Item> {
        let ready = self.queues.get(queue).into_iter().flatten();
        let open = self.open.iter().map(|(_, item)| item);
        let handed = self.handed.values().map(|(_, item)| item);
        let pending = self.pending.iter().flat_map(|put| &put.items);
        ready.chain(open.chain(handed).chain(pending).filter(move |item| item.queue == queue))
    }

    fn make(&mut self, queue: &'static str) -> bool {
        if !self.queues.contains_key(queue) && !self.is_own(queue) {
            let counted =
                |model: &Self| model.queues.keys().filter(|name| !model.is_own(name)).count();
            if counted(self) >= self.config.max_queues {
                let empty: Vec<&str> = self
                    .queues
                    .keys()
                    .copied()
                    .filter(|name| !self.is_own(name) && self.held(name).next().is_none())
                    .collect();
                self.queues.retain(|name, _| !empty.contains(name));
            }
            if counted(self) >= self.config.max_queues {
                return false;
            }
        }
        self.queues.entry(queue).or_default();
        true
    }

    fn is_own(&self, queue: &str) -> bool {
        self.config.own_queues.iter().any(|own| own == queue.as_bytes())
    }

    /// A put of items with when they expire.
    ///
    /// # Errors
    /// The bound that it would break.
    pub fn put(
        &mut self,
        op: u64,
        queue: &'static str,
        items: &[(Option<Millis>, Vec<u8>)],
        now: Millis,
    ) -> Result<(), PutError> {
        let largest = items.iter().map(|(_, data)| data.len() as u64).max().unwrap_or(0);
        if largest > self.config.queue.max_item_bytes {
            return Err(PutError::ItemTooLarge {
                len: largest,
                limit: self.config.queue.max_item_bytes,
            });
        }
        if items.is_empty() {
            self.done.push_back((op, OpOutcome::Stored));
            return Ok(());
        }
        let bytes: usize = items.iter().map(|(_, data)| data.len()).sum();
        let record = (RECORD + queue.len() + items.len() * ITEM + bytes) as u64;
        let backlog: u64 = self.pending.iter().map(|put| put.record).sum();
        if backlog + record > self.config.max_backlog {
            return Err(PutError::Busy);
        }
        if !self.make(queue) {
            return Err(PutError::TooManyQueues);
        }
        let held: Vec<usize> = self.held(queue).map(|item| item.data.len()).collect();
        let held = if self.config.queue.discard_old { Vec::new() } else { held };
        if (held.len() + items.len()) as u64 > self.config.queue.max_items
            || taken(held.len() + items.len(), held.iter().sum::<usize>() + bytes)
                > self.config.queue.max_bytes
        {
            return Err(PutError::Full);
        }
        let items = items
            .iter()
            .map(|(expires, data)| {
                let id = self.next_id;
                self.next_id += 1;
                Item { id, queue, data: data.clone(), expires: *expires, added: now }
            })
            .collect();
        self.pending.push_back(Put { op, queue, items, record, batch: self.batch });
        Ok(())
    }

    /// A batch was handed to the journal.
    pub fn begin_append(&mut self) {
        self.in_flight = Some(self.batch);
        self.batch += 1;
        self.removals_in_flight = core::mem::take(&mut self.removals);
    }

    /// What became of it.
    pub fn journaled(&mut self, safe: bool, now: Millis) {
        let Some(batch) = self.in_flight.take() else {
            return;
        };
        let removals = core::mem::take(&mut self.removals_in_flight);
        if safe {
            for id in removals {
                self.safe.remove(&id);
                self.gone.remove(&id);
            }
        } else {
            self.removals.extend(removals);
        }
        while self.pending.front().is_some_and(|put| put.batch <= batch) {
            let Some(put) = self.pending.pop_front() else { break };
            if !safe {
                self.done.push_back((put.op, OpOutcome::NotJournaled));
                continue;
            }
            for item in put.items {
                self.safe.insert(item.id, item.clone());
                self.queues.entry(put.queue).or_default().push_back(item);
            }
            self.discard_old(put.queue);
            self.done.push_back((put.op, OpOutcome::Stored));
            self.serve(put.queue, now);
        }
    }

    /// Makes room in a queue for what was put.
    fn discard_old(&mut self, queue: &str) {
        if !self.config.queue.discard_old {
            return;
        }
        loop {
            let pending = self.pending.iter().flat_map(|put| &put.items);
            let pending: Vec<u64> = pending.map(|item| item.id).collect();
            let held: Vec<usize> = self
                .held(queue)
                .filter(|item| !pending.contains(&item.id))
                .map(|item| item.data.len())
                .collect();
            let is_full = held.len() as u64 > self.config.queue.max_items
                || taken(held.len(), held.iter().sum()) > self.config.queue.max_bytes;
            let line = self.queues.get_mut(queue).filter(|_| is_full);
            let Some(head) = line.and_then(VecDeque::pop_front) else { return };
            self.remove(&head);
        }
    }

    /// How many items are gone of which the journal does not yet say so.
    pub fn unwritten_removals(&self) -> u64 {
        (self.removals.len() + self.removals_in_flight.len()) as u64
    }

    /// The puts of the batch that is on its way, each whole.
    pub fn on_their_way(&self) -> Vec<Vec<Item>> {
        let batch = self.in_flight.unwrap_or(0);
        self.pending.iter().filter(|put| put.batch <= batch).map(|put| put.items.clone()).collect()
    }

    fn remove(&mut self, item: &Item) {
        self.removals.push(item.id);
        self.gone.insert(item.id);
    }

    /// Drops what has expired at a queue's head; how many.
    pub fn drop_expired(&mut self, queue: &str, now: Millis) -> u64 {
        let mut dropped = 0;
        while let Some(head) = self.queues.get(queue).and_then(VecDeque::front) {
            let expired = head.expires.is_some_and(|at| at != 0 && at <= now);
            let max_age = self.config.queue.max_age.map(|age| age.as_millis());
            let old = max_age.is_some_and(|age| u128::from(now.saturating_sub(head.added)) > age);
            if !expired && !old {
                break;
            }
            let head = self.queues.get_mut(queue).and_then(VecDeque::pop_front);
            self.remove(&head.expect("it was there"));
            dropped += 1;
        }
        dropped
    }

    fn serve(&mut self, queue: &'static str, now: Millis) {
        loop {
            let first = self.waiters.iter().find(|(_, waiter)| waiter.queue == queue);
            let Some(op) = first.map(|(op, _)| *op) else { return };
            self.drop_expired(queue, now);
            let Some(line) = self.queues.get_mut(queue) else { return };
            let Some(head) = line.front().cloned() else { return };
            let waiter = self.waiters.remove(&op).expect("it was there");
            self.done.push_back((op, OpOutcome::Item(head.data.clone().into())));
            if waiter.action != Action::Peek {
                line.pop_front();
                self.handed.insert(op, (waiter, head));
            }
        }
    }

    fn put_back(&mut self, item: Item, now: Millis) {
        let queue = item.queue;
        let line = self.queues.entry(queue).or_default();
        line.push_back(item);
        line.make_contiguous().sort_by_key(|item| item.id);
        self.serve(queue, now);
    }

    /// How many reads a connection has open on a queue.
    pub fn open_reads(&self, conn: u64, queue: &str) -> usize {
        self.open.iter().filter(|(holder, item)| *holder == conn && item.queue == queue).count()
    }

    fn take_open(&mut self, conn: u64, queue: &str) -> Option<Item> {
        let place = self.open.iter().position(|(by, item)| *by == conn && item.queue == queue)?;
        Some(self.open.remove(place).1)
    }

    /// A read; `None` where it waits.
    pub fn get(
        &mut self,
        op: u64,
        conn: u64,
        queue: &'static str,
        action: Action,
        wait: Option<Millis>,
        now: (Millis, Millis),
    ) -> Option<OpOutcome> {
        let (instant, now) = now;
        match action {
            Action::Abort => {
                if let Some(item) = self.take_open(conn, queue) {
                    self.put_back(item, now);
                }
                return Some(OpOutcome::Empty);
            }
            Action::Close | Action::CloseOpen => {
                if let Some(item) = self.take_open(conn, queue) {
                    self.remove(&item);
                }
                if action == Action::Close {
                    return Some(OpOutcome::Empty);
                }
            }
            _ => {}
        }
        let open = self.open_reads(conn, queue);
        if action == Action::Monitor && open >= self.config.queue.max_monitored_reads {
            return Some(OpOutcome::Empty);
        }
        let most = match action {
            Action::Peek | Action::Monitor => usize::MAX,
            Action::Take => 0,
            _ => self.config.queue.max_open_reads.saturating_sub(1),
        };
        if open > most
            || (self.config.queue.max_open_reads == 0 && most == 0 && action != Action::Take)
        {
            return Some(OpOutcome::Error(ReadError::AlreadyOpen));
        }
        self.drop_expired(queue, now);
        let line = self.queues.get_mut(queue);
        if let Some(head) = line.as_ref().and_then(|line| line.front()).cloned() {
            match action {
                Action::Peek => {}
                Action::Take => {
                    line.expect("it is there").pop_front();
                    self.remove(&head);
                }
                _ => {
                    line.expect("it is there").pop_front();
                    self.open.push((conn, head.clone()));
                }
            }
            return Some(OpOutcome::Item(head.data.into()));
        }
        let Some(wait) = wait.filter(|wait| *wait > 0) else {
            return Some(OpOutcome::Empty);
        };
        self.waiters.insert(op, Waiter { conn, queue, action, deadline: instant + wait });
        None
    }

    /// Waits whose time has come end.
    pub fn time_out(&mut self, instant: Millis) {
        let mut due: Vec<(Millis, u64)> = self
            .waiters
            .iter()
            .filter(|(_, waiter)| waiter.deadline <= instant)
            .map(|(op, waiter)| (waiter.deadline, *op))
            .collect();
        due.sort_unstable();
        for (_, op) in due {
            self.waiters.remove(&op);
            self.done.push_back((op, OpOutcome::Empty));
        }
    }

    /// When the next wait ends.
    pub fn next_deadline(&self) -> Option<Millis> {
        self.waiters.values().map(|waiter| waiter.deadline).min()
    }

    /// Every wait ends.
    pub fn end_waits(&mut self) {
        for (op, _) in core::mem::take(&mut self.waiters) {
            self.done.push_back((op, OpOutcome::Empty));
        }
    }

    /// The reader of a wait that ended takes what it was given.
    pub fn collect(&mut self, op: u64) {
        let Some((waiter, item)) = self.handed.remove(&op) else {
            return;
        };
        if waiter.action == Action::Take {
            self.remove(&item);
        } else {
            self.open.push((waiter.conn, item));
        }
    }

    /// Nobody wants it any more.
    pub fn cancel(&mut self, op: u64, now: Millis) {
        self.waiters.remove(&op);
        if let Some((_, item)) = self.handed.remove(&op) {
            self.put_back(item, now);
        }
    }

    /// A connection is gone.
    pub fn disconnect(&mut self, conn: u64, now: Millis) {
        while let Some(place) = self.open.iter().position(|(holder, _)| *holder == conn) {
            let (_, item) = self.open.remove(place);
            self.put_back(item, now);
        }
    }

    /// Drops what can be read of a queue.
    pub fn flush(&mut self, queue: &str) {
        let Some(line) = self.queues.get_mut(queue) else {
            return;
        };
        for item in core::mem::take(line) {
            self.remove(&item);
        }
    }

    /// Drops a queue, or what can be read of it where it is in use.
    pub fn delete(&mut self, queue: &str) {
        self.flush(queue);
        let waits = self.waiters.values().any(|waiter| waiter.queue == queue);
        if !waits && self.held(queue).next().is_none() {
            self.queues.remove(queue);
        }
    }

    /// The queues, with their readable items, how many reads wait, and how many items are set aside.
    pub fn summary(&self) -> Vec<(&'static str, u64, u64, u64, u64)> {
        self.queues
            .iter()
            .map(|(name, line)| {
                let bytes: usize = line.iter().map(|item| item.data.len()).sum();
                let waits = self.waiters.values().filter(|waiter| waiter.queue == *name).count();
                let open = self.open.iter().filter(|(_, item)| item.queue == *name).count();
                let handed = self.handed.values().filter(|(_, item)| item.queue == *name).count();
                (*name, line.len() as u64, bytes as u64, waits as u64, (open + handed) as u64)
            })
            .collect()
    }

    /// The process is gone and comes back with those items.
    pub fn crash(&mut self, items: BTreeMap<u64, Item>) {
        let mut fresh = Self::new(self.config.clone());
        fresh.next_id = self.next_id;
        for item in items.values() {
            fresh.queues.entry(item.queue).or_default().push_back(item.clone());
        }
        fresh.safe = items;
        *self = fresh;
    }
}
