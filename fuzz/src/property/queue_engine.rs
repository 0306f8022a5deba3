//! The queue engine beside a model, with a journal that fails and a process that is killed.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use windhover_core::queue::{
    Action, AppendError, Config, ConnId, Engine, EngineOutput, Fsync, Index, JournalBatch,
    JournalRead, OpId, OpOutcome, PutBuilder, QueueConfig, Read, ReadBack, ReadBackError, Recovery,
    Written,
};
use windhover_core::{Instant, Now, UnixTime};

use super::memory_journal::Journal;
use super::tells;
use crate::reference::queue::{Item, Model};
use crate::{Script, Source};

const NAMES: [&str; 4] = ["a", "jobs", "events", "q"];
const START: u64 = 1_700_000_000_000;

/// The engine does what a `VecDeque` does; what it calls stored is found again after any crash,
/// once, in order, and nothing else is.
pub fn queue_engine(input: &[u8]) {
    let script = Script::read(input);
    let Some((first, steps)) = script.steps.split_first() else {
        return;
    };
    let mut driver = Driver::new(&mut Source::new(first));
    for step in steps {
        driver.step(&mut Source::new(step));
        driver.settle();
    }
    driver.crash(&mut Source::new(&[]));
    driver.drain();
}

struct Driver {
    engine: Engine,
    model: Model,
    config: Config,
    journal: Journal,
    in_flight: Option<JournalBatch>,
    /// Since the start.
    millis: u64,
    unix: u64,
    ops: u64,
    /// Ends that were told while something else was looked for.
    told: VecDeque<(OpId, OpOutcome)>,
    /// Waits that ended with an item.
    ended: Vec<u64>,
    /// What the engine said once for a start to come.
    index: Option<Index>,
    /// Another one, that holds when the next batch is in the journal.
    next_index: Option<Index>,
}

impl Driver {
    fn new(source: &mut Source<'_>) -> Self {
        let mut config = Config::default();
        config.queue.max_items = source.pick(&[u64::MAX, 4, 1]);
        config.queue.max_bytes = source.pick(&[u64::MAX, QueueConfig::taken(3, 40)]);
        config.queue.max_item_bytes = source.pick(&[1024, 9]);
        config.queue.max_age = source.pick(&[None, Some(Duration::from_millis(300))]);
        config.queue.max_monitored_reads = source.pick(&[100, 2]);
        config.queue.discard_old = source.chance(1, 3);
        config.queue.max_open_reads = source.pick(&[1, 2, 0]);
        config.max_queues = source.pick(&[10, 2]);
        if config.max_queues == 2 {
            config.own_queues.push(NAMES[0].as_bytes().into());
        }
        config.max_backlog = source.pick(&[u64::MAX, 200]);
        config.compact_from = source.pick(&[0, 500]);
        config.compact_ratio = source.pick(&[1, 2]);
        config.queue_memory = source.pick(&[u64::MAX, 0, 500, 1500]);
        let every = Fsync::Interval(Duration::from_millis(7));
        config.queue.fsync = source.pick(&[Fsync::Always, Fsync::Never, every]);
        let written = config.queue.fsync.to_string();
        assert_eq!(written.parse(), Ok(config.queue.fsync));
        // Nothing that only begins so is a policy.
        assert!(format!("{written}s").parse::<Fsync>().is_err_and(|error| tells(&error)));
        Self {
            engine: Engine::new(config.clone()),
            model: Model::new(config.clone()),
            config,
            journal: Journal::new(),
            in_flight: None,
            millis: 1000,
            unix: START,
            ops: 0,
            told: VecDeque::new(),
            ended: Vec::new(),
            index: None,
            next_index: None,
        }
    }

    fn now(&self) -> Now {
        Now {
            instant: Instant::from_epoch(Duration::from_millis(self.millis)),
            unix: UnixTime::from_millis(self.unix),
        }
    }

    fn step(&mut self, source: &mut Source<'_>) {
        let queue = NAMES[source.below(8) % 4];
        let name = queue.as_bytes();
        let now = self.now();
        match source.below(20) {
            0..=4 => self.put(queue, source),
            5..=8 => self.get(queue, source),
            9 | 10 => self.append(source),
            11 => {
                self.append(source);
                self.settle_batch(true, source);
            }
            12 => {
                let safe = !source.chance(1, 3);
                self.settle_batch(safe, source);
            }
            13 => {
                let wait = source.pick(&[1, 10, 100, 101, 1000]);
                self.millis += wait;
                self.unix = if source.chance(1, 10) { self.unix - wait } else { self.unix + wait };
            }
            14 => {
                let Some(op) = self.ended.pop() else { return };
                if source.chance(1, 2) {
                    self.engine.collect(OpId(op));
                    self.model.collect(op);
                } else {
                    self.engine.cancel(OpId(op), now);
                    self.model.cancel(op, self.unix);
                }
            }
            15 => {
                let conn = source.below(3) as u64;
                self.engine.disconnect(ConnId(conn), now);
                self.model.disconnect(conn, self.unix);
            }
            16 => match source.below(6) {
                0 => {
                    self.engine.flush(name);
                    self.model.flush(queue);
                }
                1 => {
                    self.engine.delete(name);
                    self.model.delete(queue);
                }
                2 => {
                    let before = self.engine.stats_of(name).expired_items;
                    let mut dropped = self.engine.flush_expired(name, now);
                    if self.read_back() {
                        dropped = self.engine.stats_of(name).expired_items - before;
                    }
                    assert_eq!(dropped, self.model.drop_expired(queue, self.unix));
                }
                3 => {
                    self.engine.flush_all();
                    for queue in NAMES {
                        self.model.flush(queue);
                    }
                }
                4 => {
                    let dropped = self.engine.flush_all_expired(now);
                    let expected: u64 =
                        NAMES.iter().map(|queue| self.model.drop_expired(queue, self.unix)).sum();
                    assert!(self.read_back() || dropped == expected);
                }
                _ => {
                    self.engine.end_waits();
                    self.model.end_waits();
                    self.close_many(queue, source);
                }
            },
            17 => {
                self.engine.compact(self.journal.len(), self.journal.active());
                if self.in_flight.is_none() && source.chance(1, 2) {
                    self.next_index = Some(self.journal.index(&mut self.engine));
                }
            }
            18 => {
                let op = source.below(32) as u64;
                self.engine.cancel(OpId(op), now);
                self.model.cancel(op, self.unix);
                self.ended.retain(|ended| *ended != op);
            }
            _ => self.crash(source),
        }
    }

    /// Confirms as many reads as asked for, or none.
    fn close_many(&mut self, queue: &'static str, source: &mut Source<'_>) {
        let (conn, count) = (source.below(3) as u64, source.below(3));
        let has_as_many = self.model.open_reads(conn, queue) >= count;
        assert_eq!(
            self.engine.close_many(ConnId(conn), queue.as_bytes(), count),
            has_as_many,
            "{count} of {queue}"
        );
        if has_as_many {
            for _ in 0..count {
                self.ops += 1;
                let now = (self.millis, self.unix);
                self.model.get(self.ops, conn, queue, Action::Close, None, now);
            }
        }
    }

    fn put(&mut self, queue: &'static str, source: &mut Source<'_>) {
        self.ops += 1;
        // No two items are alike, so that what comes back is known.
        let items: Vec<(Option<u64>, Vec<u8>)> = (0..source.below(4))
            .map(|at| {
                let expires = source.chance(1, 4).then(|| self.unix + source.below(200) as u64);
                let mut data = format!("{:x}{at}", self.ops).into_bytes();
                data.resize(data.len() + source.below(7), b'.');
                (expires, data)
            })
            .collect();
        let mut put = PutBuilder::new(queue.as_bytes(), self.now().unix).expect("a legal name");
        // What is forgotten leaves nothing.
        put.abort_item();
        put.item(None, b"forgotten with all others");
        put.clear();
        put.begin_item(None).extend_from_slice(b"forgotten");
        put.abort_item();
        for (at, (expires, data)) in items.iter().enumerate() {
            let expires = expires.map(UnixTime::from_millis);
            if at % 2 == 0 {
                put.item(expires, data);
            } else {
                put.begin_item(expires).extend_from_slice(data);
            }
        }
        let put = put.finish();
        assert_eq!(u64::from(put.items()), items.len() as u64);
        assert_eq!(put.data_len(), items.iter().map(|(_, data)| data.len() as u64).sum::<u64>());
        let (op, now) = (OpId(self.ops), self.now());
        // Of one put both do the same.
        let ours = match self.ops % 2 {
            0 => self.engine.put(op, put, now),
            _ => self.engine.put_all(op, vec![put], now),
        };
        let theirs = self.model.put(self.ops, queue, &items, self.unix);
        assert_eq!(ours, theirs);
        if let Err(refused) = ours {
            assert!(!refused.to_string().is_empty());
        }
    }

    fn get(&mut self, queue: &'static str, source: &mut Source<'_>) {
        self.ops += 1;
        let conn = source.below(3) as u64;
        let action = source.pick(&[
            Action::Take,
            Action::Open,
            Action::Close,
            Action::CloseOpen,
            Action::Monitor,
            Action::Abort,
            Action::Peek,
        ]);
        let wait = source.pick(&[None, Some(0), Some(50), Some(100)]);
        let read = Read { action, timeout: wait.map(Duration::from_millis) };
        let ours = self.get_now(conn, queue.as_bytes(), read);
        let now = (self.millis, self.unix);
        let theirs = self.model.get(self.ops, conn, queue, action, wait, now);
        assert_eq!(ours, theirs, "{action:?} of {queue} by {conn}");
        if let Some(OpOutcome::Error(error)) = &ours {
            assert!(crate::property::tells(&error));
        }
        assert_eq!(
            self.engine.open_reads(ConnId(conn), queue.as_bytes()),
            self.model.open_reads(conn, queue)
        );
    }

    /// A read, with what has to be read back for it; `None` where it waits for an item to come.
    fn get_now(&mut self, conn: u64, queue: &[u8], read: Read) -> Option<OpOutcome> {
        let op = OpId(self.ops);
        let ours = self.engine.get(op, ConnId(conn), queue, read, self.now());
        if ours.is_none() && self.read_back() {
            let at = self.told.iter().position(|(told, _)| *told == op)?;
            self.engine.collect(op);
            return self.told.remove(at).map(|(_, outcome)| outcome);
        }
        ours
    }

    /// Reads what the engine asks for; whether there was anything.
    fn read_back(&mut self) -> bool {
        let mut any = false;
        let now = self.now();
        loop {
            match self.engine.poll_output(now) {
                EngineOutput::Read(read) => {
                    let found = self.journal.read(&read, &[]);
                    assert!(found.is_ok(), "{read:?}");
                    assert!(self.engine.read_back(&read, found, now), "nobody wanted it");
                    any = true;
                }
                EngineOutput::Done { op, outcome } => self.told.push_back((op, outcome)),
                _ => return any,
            }
        }
    }

    fn append(&mut self, source: &mut Source<'_>) {
        if source.chance(1, 8) {
            self.journal.rotate(self.unix);
        }
        let Some(batch) = self.engine.begin_append() else {
            let waits = self.in_flight.is_some() || self.engine.backlog_bytes() == 0;
            assert!(waits, "bytes that nobody asks for");
            return;
        };
        assert!(self.in_flight.is_none(), "two batches at a time");
        assert_eq!(batch.len, self.journal.encode(&batch).len() as u64);
        assert_eq!(batch.fsync, self.config.queue.fsync);
        self.model.begin_append();
        self.in_flight = Some(batch);
    }

    fn settle_batch(&mut self, safe: bool, source: &mut Source<'_>) {
        let Some(batch) = self.in_flight.take() else {
            return;
        };
        // Another batch than the one that is on its way is nobody's.
        let nowhere = Written { segment: 1, offset: 0 };
        let mut other = batch.clone();
        other.commit += 1;
        self.engine.journaled(other, Ok(nowhere), self.now());
        let bytes = self.journal.encode(&batch);
        let result = if safe {
            self.index = self.next_index.take().or(self.index.take());
            Ok(self.journal.append(&bytes))
        } else {
            self.next_index = None;
            self.journal.fail(&bytes, source.below(256), self.unix);
            assert!(crate::property::tells(&AppendError));
            Err(AppendError)
        };
        self.engine.journaled(batch, result, self.now());
        self.model.journaled(safe, self.unix);
    }

    /// Takes what the engine has to say, and compares.
    fn settle(&mut self) {
        self.model.time_out(self.millis);
        loop {
            let told =
                self.told.pop_front().map(|(op, outcome)| EngineOutput::Done { op, outcome });
            match told.unwrap_or_else(|| self.engine.poll_output(self.now())) {
                EngineOutput::Done { op, outcome } => {
                    let expected = self.model.done.pop_front();
                    assert_eq!(Some((op.0, outcome.clone())), expected);
                    if matches!(outcome, OpOutcome::Item(_)) {
                        self.ended.push(op.0);
                    }
                }
                EngineOutput::Read(read) => {
                    let found = self.journal.read(&read, &[]);
                    assert!(self.engine.read_back(&read, found, self.now()), "nobody wanted it");
                }
                EngineOutput::Append => {
                    assert!(self.in_flight.is_none());
                    break;
                }
                EngineOutput::Idle(deadline) => {
                    let expected = self.model.next_deadline().map(Duration::from_millis);
                    assert_eq!(deadline.map(Instant::since_epoch), expected);
                    assert!(!self.engine.is_due(self.now()), "a wait whose time has come");
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(self.model.done.front(), None, "the engine keeps this to itself");
        let seen: Vec<_> = self
            .engine
            .queue_stats()
            .map(|(name, stats)| {
                let name =
                    *NAMES.iter().find(|known| known.as_bytes() == name).expect("a name of ours");
                (name, stats.items, stats.bytes, stats.waiters, stats.open_transactions)
            })
            .collect();
        let mut expected = self.model.summary();
        expected.sort_unstable();
        assert_eq!(seen, expected, "queue, items, bytes, waits, set aside; expected on the right");
        for (name, items, ..) in &seen {
            assert_eq!(self.engine.stats_of(name.as_bytes()).items, *items);
        }
        let stats = self.engine.stats();
        assert_eq!(stats.items, expected.iter().map(|queue| queue.1).sum::<u64>());
        assert_eq!(stats.bytes, expected.iter().map(|queue| queue.2).sum::<u64>());
        // Items that go together are one record.
        let (records, items) = (self.engine.unwritten_removals(), self.model.unwritten_removals());
        assert!(records <= items && (records == 0) == (items == 0), "{records} for {items}");
        let needed = self.engine.oldest_needed(self.journal.active());
        self.journal.forget_before(needed);
    }

    /// The process is killed: a part of what was on its way may be in the file.
    fn crash(&mut self, source: &mut Source<'_>) {
        let written = self.in_flight.take().map(|batch| self.journal.encode(&batch));
        let written = written.unwrap_or_default();
        let cut = source.below(512).min(written.len());
        let clean = written.is_empty() && source.chance(1, 2);
        self.next_index = None;
        let index = self.index.take().filter(|_| source.chance(2, 3));
        let index = index.filter(|index| index.at().segment >= self.journal.oldest());
        let recovery = |memory: u64| {
            let mut recovery = match &index {
                Some(index) => Recovery::indexed(index.clone(), self.journal.oldest(), memory),
                None => Recovery::with_memory(memory),
            };
            self.journal.recover(&mut recovery, &written[..cut], clean);
            recovery.finish(self.config.clone(), self.now().unix)
        };
        let memory = self.config.queue_memory;
        let (mut engine, found) = recovery(memory);
        let items = read_all(&mut engine, |read| self.journal.read(read, &written[..cut]));
        assert_eq!(found.items, items.values().map(Vec::len).sum::<usize>() as u64);
        assert_eq!(found.queues, items.len() as u64);

        // What is safe is there, but for what was gone already; a put is there whole or not at all.
        let mut kept: BTreeMap<u64, Item> = BTreeMap::new();
        let mut left = items;
        let mut known: Vec<Vec<Item>> =
            self.model.safe.values().map(|item| vec![item.clone()]).collect();
        let safe = known.len();
        known.extend(self.model.on_their_way());
        let mut missing = false;
        for (at, put) in known.into_iter().enumerate() {
            let queue = put[0].queue;
            let line = left.entry(queue.to_owned()).or_default();
            let datas: Vec<&[u8]> = put.iter().map(|item| &item.data[..]).collect();
            let there = line.len() >= datas.len()
                && line.iter().zip(&datas).all(|(ours, data)| ours == data);
            let may_be_missing = at >= safe || self.model.gone.contains(&put[0].id);
            if there && !(at >= safe && missing) {
                line.drain(..datas.len());
                kept.extend(put.into_iter().map(|item| (item.id, item)));
            } else {
                // Of the batch on its way, a later put is not there without the earlier.
                missing |= at >= safe;
                assert!(may_be_missing, "lost: {put:?}; left: {left:?}");
            }
        }
        assert!(
            left.values().all(Vec::is_empty),
            "items that nobody put, or in disorder: {left:?}"
        );

        let again = recovery(memory).0;
        self.model.crash(kept);
        self.engine = again;
        self.journal.go_on(&written[..cut], self.unix);
        self.told.clear();
        self.ended.clear();
        self.ops += 1000;
        self.settle();
    }

    /// Everything comes out in the end.
    fn drain(&mut self) {
        for queue in NAMES {
            loop {
                self.ops += 1;
                let ours = self.get_now(9, queue.as_bytes(), Read::default());
                let now = (self.millis, self.unix);
                let theirs = self.model.get(self.ops, 9, queue, Action::Take, None, now);
                assert_eq!(ours, theirs);
                if !matches!(ours, Some(OpOutcome::Item(_))) {
                    break;
                }
            }
        }
    }
}

/// The data of all items by queue, in order; expired ones too.
fn read_all(
    engine: &mut Engine,
    journal: impl Fn(&JournalRead) -> Result<ReadBack, ReadBackError>,
) -> BTreeMap<String, Vec<Bytes>> {
    let names: Vec<Vec<u8>> = engine.queue_stats().map(|(name, _)| name.to_vec()).collect();
    let long_ago = Now::default();
    let mut all = BTreeMap::new();
    let mut op = 0;
    for name in names {
        let mut items = Vec::new();
        loop {
            op += 1;
            let mut got = engine.get(OpId(op), ConnId(1), &name, Read::default(), long_ago);
            while got.is_none() {
                match engine.poll_output(long_ago) {
                    EngineOutput::Read(read) => {
                        engine.read_back(&read, journal(&read), long_ago);
                    }
                    EngineOutput::Done { outcome, .. } => got = Some(outcome),
                    other => panic!("it waits for ever: {other:?}"),
                }
            }
            engine.collect(OpId(op));
            let Some(OpOutcome::Item(item)) = got else { break };
            items.push(item);
        }
        all.insert(String::from_utf8_lossy(&name).into_owned(), items);
    }
    all
}
