//! All that queues do, beside a model: queues that follow others, aliases, expired items that move, bounds
//! that change, open reads with an end, items that are in the journal alone, reads of it that fail or come
//! too late, an index at the start, a journal that fails, and a process that is killed.

use core::time::Duration;
use std::collections::VecDeque;

use windhover_core::queue::{
    Action, AppendError, Config, ConnId, Engine, EngineOutput, Index, IndexError, JournalBatch,
    JournalRead, OpId, OpOutcome, PutBuilder, Read, ReadBack, ReadBackError, ReadError, Recovery,
    check_name,
};
use windhover_core::{Instant, Now, UnixTime};

use super::memory_journal::Journal;
use crate::reference::journal::crc32;
use crate::reference::queues::{self, ACTIONS, Model, NAMES, Name, PARENTS, named};
use crate::{Script, Source};

const START: u64 = 1_000_000;
/// A read of the journal that failed is asked for again after so many milliseconds.
const RETRY: u64 = 200;

/// The engine does what the model does, whatever fails.
pub fn queue_service(input: &[u8]) {
    let script = Script::read(input);
    let Some((first, steps)) = script.steps.split_first() else {
        return;
    };
    let mut driver = Driver::new(&mut Source::new(first));
    for step in steps {
        let source = &mut Source::new(step);
        driver.step(source);
        if source.chance(1, 8) {
            driver.hold();
        } else {
            driver.settle(source);
        }
    }
    driver.settle(&mut Source::new(&[]));
    driver.drain();
    driver.crash(&mut Source::new(&[]));
    driver.drain();
}

struct Driver {
    engine: Engine,
    model: Model,
    /// The same in every configuration.
    memory: u64,
    read_back_timeout: Duration,
    journal: Journal,
    in_flight: Option<JournalBatch>,
    op: u64,
    /// Ends that were told while something else was looked for.
    told: VecDeque<(u64, OpOutcome)>,
    /// Reads of the journal that are under way.
    held: Vec<JournalRead>,
    /// What the engine said once for a start to come; the second holds when the next batch is in the journal.
    index: Option<Index>,
    next_index: Option<Index>,
    /// The last segment that was to say again who follows.
    marked: u64,
}

impl Driver {
    fn new(source: &mut Source<'_>) -> Self {
        assert!(check_name(b"p+").is_err() && check_name(b"+x").is_err());
        let memory = source.pick(&[u64::MAX, 0, 400, 1000]);
        let read_back_timeout = Duration::from_millis(source.pick(&[2000, 100]));
        let config = Self::config(0, memory, read_back_timeout);
        Self {
            engine: Engine::new(config.clone()),
            model: Model::new(config),
            memory,
            read_back_timeout,
            journal: Journal::new(),
            in_flight: None,
            op: 0,
            told: VecDeque::new(),
            held: Vec::new(),
            index: None,
            next_index: None,
            marked: 0,
        }
    }

    fn config(variant: u64, memory: u64, read_back_timeout: Duration) -> Config {
        let mut config = queues::config(variant);
        (config.compact_from, config.compact_ratio) = (0, 1);
        (config.queue_memory, config.read_back_timeout) = (memory, read_back_timeout);
        config.queue.max_queue_age = Some(Duration::from_secs(1));
        for (name, bounds) in &mut config.queues {
            if name == "p" {
                bounds.max_queue_age = config.queue.max_queue_age;
            }
            // What has to be read back first moves by several puts, and so partly where there is no room for
            // all of it, and not all at the same time.
            if name == "late" && memory != u64::MAX {
                (bounds.max_items, bounds.max_age) = (u64::MAX, None);
            }
        }
        config
    }

    fn now(&self) -> Now {
        let millis = self.model.now;
        Now {
            instant: Instant::from_epoch(Duration::from_millis(millis)),
            unix: UnixTime::from_millis(START + millis),
        }
    }

    fn step(&mut self, source: &mut Source<'_>) {
        let (now, name, conn) = (self.now(), source.pick(&NAMES), source.below(3) as u64);
        self.op += 1;
        match source.below(26) {
            0..=5 => self.put(name, source),
            6..=11 => self.get(name, conn, source),
            12 | 13 => self.begin_append(source),
            14..=17 => {
                self.begin_append(source);
                let safe = !source.chance(1, 5);
                self.journaled(safe, source);
            }
            18 => self.model.now += source.pick(&[1, 50, 100, 250, 500]),
            19 => {
                self.engine.disconnect(ConnId(conn), now);
                self.model.disconnect(conn);
            }
            20 => self.manage(name, conn, source),
            21 => {
                let variant = source.below(3) as u64;
                let config = Self::config(variant, self.memory, self.read_back_timeout);
                self.engine.set_config(config.clone());
                assert_eq!(self.engine.config(), &config);
                self.model.config = config;
            }
            22 => self.crash(source),
            23 => {
                let op = self.op.saturating_sub(source.below(8) as u64);
                self.engine.cancel(OpId(op), now);
                self.model.cancel(op);
            }
            24 => {
                self.compact();
                if self.in_flight.is_none() && source.chance(1, 2) {
                    self.index(source);
                }
            }
            _ => self.expire_queues(),
        }
    }

    /// What an operator does.
    fn manage(&mut self, name: Name, conn: u64, source: &mut Source<'_>) {
        match source.below(5) {
            0 => {
                self.engine.flush(name.as_bytes());
                self.model.flush(name);
            }
            1 => {
                self.engine.delete(name.as_bytes());
                self.model.delete(name);
            }
            2 => {
                self.answer();
                self.sweep(name);
            }
            3 => {
                let count = source.below(3);
                let has = self.model.open_reads(conn, name) >= count;
                assert_eq!(self.engine.close_many(ConnId(conn), name.as_bytes(), count), has);
                for _ in 0..if has { count } else { 0 } {
                    self.model.get(0, conn, name, Action::Close, 0);
                }
            }
            _ => {
                self.engine.end_waits();
                self.model.end_waits();
            }
        }
    }

    /// Drops, or moves, what has expired.
    fn sweep(&mut self, name: Name) {
        let before = self.engine.stats_of(name.as_bytes()).expired_items;
        self.engine.flush_expired(name.as_bytes(), self.now());
        self.answer();
        let dropped = self.engine.stats_of(name.as_bytes()).expired_items - before;
        assert_eq!(dropped, self.model.sweep_all(name), "expired in {name}");
    }

    fn expire_queues(&mut self) {
        let before = self.engine.names();
        let gone = self.engine.expire_queues(self.now());
        let mut names = before;
        names.retain(|name| self.engine.stats_of(name).create_time == 0);
        assert_eq!(names.len() as u64, gone);
        for name in names {
            let may_go = self.engine.config().of(&name).max_queue_age.is_some();
            let name = named(&name);
            let held = self.model.items(name) + self.model.set_aside(name);
            assert_eq!(held + self.model.pending(name), 0, "items are lost with {name}");
            assert!(may_go && self.model.first_waiter(name).is_none(), "{name} is in use");
            self.model.delete(name);
        }
    }

    fn put(&mut self, name: Name, source: &mut Source<'_>) {
        let items: Vec<(String, Option<u64>)> = (0..source.pick(&[1, 1, 2, 0]))
            .map(|n| {
                let expires = source.pick(&[None, None, None, Some(40), Some(400)]);
                (format!("{}.{n}", self.op), expires.map(|millis| self.model.now + millis))
            })
            .collect();
        let mut put = PutBuilder::new(name.as_bytes(), self.now().unix).expect("a legal name");
        for (data, expires) in &items {
            put.item(expires.map(|at| UnixTime::from_millis(START + at)), data.as_bytes());
        }
        assert_eq!(put.items() as usize, items.len());
        assert!(put.data().eq(items.iter().map(|(data, _)| data.as_bytes())));
        let ours = self.engine.put(OpId(self.op), put.finish(), self.now());
        assert_eq!(ours, self.model.put(self.op, name, &items), "a put of {items:?} to {name}");
    }

    fn get(&mut self, name: Name, conn: u64, source: &mut Source<'_>) {
        let action = source.pick(&ACTIONS);
        let wait = source.pick(&[0, 0, 60, 300]);
        let fails = source.chance(1, 6);
        let stops = source.chance(1, 4);
        self.get_now(name, conn, action, wait, Failing { fails, stops });
    }

    /// A read, with what has to be read back for it; what it got.
    fn get_now(
        &mut self,
        name: Name,
        conn: u64,
        action: Action,
        mut wait: u64,
        Failing { fails, stops }: Failing,
    ) -> Option<OpOutcome> {
        if self.engine.is_due(self.now()) {
            self.answer();
        }
        let read = Read { action, timeout: Some(Duration::from_millis(wait)) };
        let (op, before) = (OpId(self.op), self.model.now);
        let mut ours = self.engine.get(op, ConnId(conn), name.as_bytes(), read, self.now());
        let mut asked = action;
        if ours.is_none() {
            if action == Action::CloseOpen {
                // Closed it is at once, whatever comes then.
                self.model.get(self.op, conn, name, Action::Close, 0);
                asked = Action::Open;
            }
            if fails && self.fail_reads() {
                if stops {
                    self.engine.end_waits();
                    self.model.end_waits();
                    // This one, too, which the model does not know yet.
                    wait = 0;
                }
                self.model.now += RETRY;
            }
            self.answer();
            if let Some(at) = self.told.iter().position(|(told, _)| *told == op.0) {
                ours = self.told.remove(at).map(|(_, outcome)| outcome);
                self.engine.collect(op);
            }
        }
        if let Some(OpOutcome::Error(error)) = &ours {
            assert!(crate::property::tells(error));
        }
        if ours == Some(OpOutcome::Error(ReadError::NotReadBack)) {
            assert!(fails && self.model.items(name) > 0, "{name} could have been read");
            assert!(self.model.follow(name), "room was found for it");
            self.sweep_both(name);
            return ours;
        }
        let wait = wait.saturating_sub(self.model.now - before);
        let theirs = self.model.get(self.op, conn, name, asked, wait);
        assert_eq!(ours, theirs, "{action:?} of {name} by {conn}");
        if self.model.now > before {
            self.sweep_both(name);
        }
        ours
    }

    /// When what has expired goes depends on when it is read back.
    fn sweep_what_is_read_back(&mut self) {
        self.answer();
        for name in NAMES {
            if self.memory != u64::MAX && self.model.has_expired(name) {
                self.sweep_both(name);
            }
        }
    }

    /// Some of what has expired went when it was read back.
    fn sweep_both(&mut self, name: Name) {
        self.engine.flush_expired(name.as_bytes(), self.now());
        self.answer();
        self.model.sweep_all(name);
    }

    /// Answers one read of the journal after the other, and takes what else is told.
    fn answer(&mut self) {
        self.model.time_out();
        for read in core::mem::take(&mut self.held) {
            // It is perhaps about what was flushed or moved meanwhile, and gone.
            if read.segment() >= self.journal.oldest() {
                let found = self.journal.read(&read, &[]);
                self.read_back(&read, found);
            } else {
                let error = ReadBackError { segment: read.segment(), offset: read.range().start };
                assert!(!self.read_back(&read, Err(error)), "it was needed");
            }
        }
        while let Some(read) = self.next_read() {
            let found = self.journal.read(&read, &[]);
            assert!(self.read_back(&read, found), "nobody wanted it");
        }
    }

    /// Tells what came of a read.
    fn read_back(&mut self, read: &JournalRead, found: Result<ReadBack, ReadBackError>) -> bool {
        let before = self.engine.stats().rewritten_items;
        let still = self.engine.read_back(read, found, self.now());
        if self.engine.stats().rewritten_items > before {
            self.model.write_again(false);
        }
        still
    }

    /// Some of what stands in an old segment is to be written again, and who follows in each new one.
    fn compact(&mut self) {
        let active = self.journal.active();
        self.engine.compact(self.journal.len(), active);
        let follows = PARENTS.iter().any(|parent| !self.model.children(parent).is_empty());
        if follows && self.marked < active {
            self.marked = active;
            self.model.write_again(true);
        }
    }

    fn next_read(&mut self) -> Option<JournalRead> {
        loop {
            match self.engine.poll_output(self.now()) {
                EngineOutput::Read(read) => return Some(read),
                EngineOutput::Done { op, outcome } => self.told.push_back((op.0, outcome)),
                EngineOutput::Append => {
                    assert!(self.in_flight.is_none());
                    return None;
                }
                EngineOutput::Idle(_) => return None,
                other => panic!("{other:?}"),
            }
        }
    }

    /// No read of the journal finds anything; whether there was one.
    fn fail_reads(&mut self) -> bool {
        self.model.time_out();
        let mut reads = core::mem::take(&mut self.held);
        while let Some(read) = self.next_read() {
            reads.push(read);
        }
        for read in &reads {
            let error = ReadBackError { segment: read.segment(), offset: read.range().start };
            self.read_back(read, Err(error));
            assert!(!self.read_back(read, Err(error)), "it was told twice");
        }
        !reads.is_empty()
    }

    /// The next read of the journal takes its time.
    fn hold(&mut self) {
        self.model.time_out();
        let read = self.next_read();
        self.held.extend(read);
    }

    fn begin_append(&mut self, source: &mut Source<'_>) {
        // What goes when it has been read is in the next batch, too.
        self.sweep_what_is_read_back();
        if source.chance(1, 8) {
            self.journal.rotate(self.model.now);
        }
        if let Some(batch) = self.engine.begin_append() {
            assert!(self.in_flight.is_none(), "two batches at a time");
            self.model.begin_append(batch.fsync);
            self.in_flight = Some(batch);
        }
    }

    fn journaled(&mut self, safe: bool, source: &mut Source<'_>) {
        let Some(batch) = self.in_flight.take() else { return };
        let bytes = self.journal.encode(&batch);
        let result = if safe {
            self.index = self.next_index.take().or(self.index.take());
            Ok(self.journal.append(&bytes))
        } else {
            self.next_index = None;
            self.journal.fail(&bytes, source.below(256), self.model.now);
            Err(AppendError)
        };
        let moved_from = self.model.moved_from();
        self.engine.journaled(batch, result, self.now());
        self.model.journaled(safe);
        // Which ones go of a queue that is full may depend on when they have been read.
        self.answer();
        // They go on to move what has expired by now, the engine as far as it is in memory.
        for name in moved_from {
            self.sweep_both(name);
        }
    }

    /// The index is written down. One that is damaged is never taken for another.
    fn index(&mut self, source: &mut Source<'_>) {
        let index = self.journal.index(&mut self.engine);
        self.model.is_joined = true;
        let bytes = index.encode();
        let at = source.below(65_536) % bytes.len();
        for damaged in [with_bit(&bytes, at), bytes[..at].to_vec()] {
            assert_eq!(Index::decode(&damaged), Err(IndexError::Damaged));
        }
        // The sum fits, and what it is of is none.
        let content = &bytes[..bytes.len() - 4];
        let cut = content[..at.min(content.len() - 1)].to_vec();
        for wrong in [cut, [content, b"more"].concat(), with_bit(content, 0)] {
            assert_eq!(Index::decode(&with_sum(wrong)), Err(IndexError::Damaged));
        }
        let version = IndexError::Version(content[7] ^ 1);
        assert_eq!(Index::decode(&with_sum(with_bit(content, 7))), Err(version));
        assert!([version, IndexError::Damaged].iter().all(|error| crate::property::tells(error)));
        self.next_index = Some(index);
    }

    /// The process is killed, with what was on its way written or hardly begun.
    fn crash(&mut self, source: &mut Source<'_>) {
        let written = self.in_flight.take().map(|batch| self.journal.encode(&batch));
        let written = written.unwrap_or_default();
        let is_written = !source.chance(1, 2);
        let torn =
            if is_written { &written[..] } else { &written[..source.below(20).min(written.len())] };
        self.next_index = None;
        let index = self.index.take().filter(|_| !source.chance(1, 4));
        let index = index.filter(|index| index.at().segment >= self.journal.oldest());
        let mut recovery = match index {
            Some(index) => Recovery::indexed(index, self.journal.oldest(), self.memory),
            None if self.memory == u64::MAX => Recovery::default(),
            None => Recovery::with_memory(self.memory),
        };
        let clean = torn.is_empty() && source.chance(1, 2);
        self.journal.recover(&mut recovery, torn, clean);
        let (engine, found) = recovery.finish(self.model.config.clone(), self.now().unix);
        (self.engine, self.marked) = (engine, 0);
        self.journal.go_on(torn, self.model.now);
        self.model.crash(is_written);
        (self.told, self.held) = (VecDeque::new(), Vec::new());
        let items: usize = NAMES.iter().map(|name| self.model.items(name)).sum();
        assert_eq!(found.items, items as u64, "items after a start");
    }

    /// Takes what both have to say.
    fn settle(&mut self, source: &mut Source<'_>) {
        self.sweep_what_is_read_back();
        while let Some((op, outcome)) = self.told.pop_front() {
            let is_item = matches!(outcome, OpOutcome::Item(_));
            assert_eq!(Some((op, outcome)), self.model.done.pop_front());
            if is_item && source.chance(1, 4) {
                self.engine.cancel(OpId(op), self.now());
                self.model.cancel(op);
            } else {
                self.engine.collect(OpId(op));
                self.model.collect(op);
            }
            self.sweep_what_is_read_back();
        }
        self.model.check(&self.engine);
        assert!(!self.engine.is_due(self.now()), "an end whose time has come");
        // Else what is gone by something that is not written yet could be gone already.
        if self.model.is_written() {
            let needed = self.engine.oldest_needed(self.journal.active());
            self.journal.forget_before(needed);
        }
    }

    /// All that is there comes out, in its order.
    fn drain(&mut self) {
        let source = &mut Source::new(&[]);
        self.journaled(true, source);
        for conn in 0..3 {
            self.engine.disconnect(ConnId(conn), self.now());
            self.model.disconnect(conn);
        }
        self.settle(source);
        for name in NAMES {
            loop {
                self.op += 1;
                let got = self.get_now(name, 9, Action::Take, 0, Failing::default());
                if !matches!(got, Some(OpOutcome::Item(_))) {
                    break;
                }
            }
        }
        self.settle(source);
    }
}

/// What becomes of a read that needs the journal.
#[derive(Clone, Copy, Debug, Default)]
struct Failing {
    /// It cannot be read at first.
    fails: bool,
    /// All waits are ended then.
    stops: bool,
}

/// The same with one bit of a byte turned.
fn with_bit(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut other = bytes.to_vec();
    other[at] ^= 1;
    other
}

fn with_sum(mut content: Vec<u8>) -> Vec<u8> {
    let sum = crc32(&content);
    content.extend_from_slice(&sum.to_le_bytes());
    content
}
