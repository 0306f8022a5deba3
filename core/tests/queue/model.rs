//! The engine beside a model of all that queues do: queues that follow others, aliases, expired items that
//! move, bounds that change, waits, open reads with an end, a journal that fails, and a process that is
//! killed.
//!
//! `WINDHOVER_MODEL_RUNS=100000 cargo test --release -p windhover-core -F queue --test queue model` takes some
//! minutes; `WINDHOVER_SEED=n` repeats the sequence that failed, or is the first of so many runs.

mod queues;

use std::env;
use std::time::Duration;

use windhover_core::queue::segment::Header;
use windhover_core::queue::{
    Action, AppendError, ConnId, Engine, EngineOutput, JournalBatch, OpId, OpOutcome, Place,
    PutBuilder, Read, Recovery, Written,
};
use windhover_core::{Instant, Now, UnixTime};

use self::queues::{ACTIONS, Model, NAMES, Name, config};

const START: u64 = 1_000_000;
const SALT: u32 = 7;

/// A small generator (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }
}

struct Run {
    random: Random,
    engine: Engine,
    model: Model,
    in_flight: Option<JournalBatch>,
    segment: Vec<u8>,
    op: u64,
    /// What was done, for whoever reads of a failure.
    told: Vec<String>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let config = config(0);
        let created = UnixTime::default();
        let (number, previous, previous_end, oldest) = (1, 0, 0, 1);
        let header =
            Header { number, previous, previous_end, oldest, created, salt: SALT, leftover: 0 };
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..8 {
            random.below(2);
        }
        Self {
            random,
            engine: Engine::new(config.clone()),
            model: Model::new(config),
            in_flight: None,
            segment: header.encode().to_vec(),
            op: 0,
            told: Vec::new(),
        }
    }

    fn now(&self) -> Now {
        let millis = self.model.now;
        Now {
            instant: Instant::from_epoch(Duration::from_millis(millis)),
            unix: UnixTime::from_millis(START + millis),
        }
    }

    fn step(&mut self) {
        let (now, name, conn) = (self.now(), self.random.pick(&NAMES), self.random.below(3));
        self.op += 1;
        match self.random.below(24) {
            0..=5 => self.put(name),
            6..=11 => self.get(name, conn),
            12 | 13 => self.begin_append(),
            14..=17 => {
                self.begin_append();
                let safe = self.random.below(5) > 0;
                self.journaled(safe);
            }
            18 => {
                let passed = self.random.pick(&[1, 50, 100, 250, 500]);
                self.told.push(format!("{passed} ms pass"));
                self.model.now += passed;
            }
            19 => {
                self.told.push(format!("disconnect {conn}"));
                self.engine.disconnect(ConnId(conn), now);
                self.model.disconnect(conn);
            }
            20 => match self.random.below(5) {
                0 => {
                    self.told.push(format!("flush {name}"));
                    self.engine.flush(name.as_bytes());
                    self.model.flush(name);
                }
                1 => {
                    self.told.push(format!("delete {name}"));
                    self.engine.delete(name.as_bytes());
                    self.model.delete(name);
                }
                2 => {
                    self.told.push(format!("flush_expired {name}"));
                    let dropped = self.engine.flush_expired(name.as_bytes(), now);
                    assert_eq!(dropped, self.model.sweep_all(name));
                }
                3 => {
                    self.told.push("all waits end".to_owned());
                    self.engine.end_waits();
                    self.model.end_waits();
                }
                _ => {
                    let count = usize::try_from(self.random.below(3)).unwrap();
                    self.told.push(format!("confirm {count} of {name} by {conn}"));
                    let has = self.model.open_reads(conn, name) >= count;
                    assert_eq!(self.engine.close_many(ConnId(conn), name.as_bytes(), count), has);
                    for _ in 0..if has { count } else { 0 } {
                        self.model.get(0, conn, name, Action::Close, 0);
                    }
                }
            },
            21 => {
                let variant = self.random.below(3);
                self.told.push(format!("configuration {variant}"));
                self.engine.set_config(config(variant));
                self.model.config = config(variant);
            }
            22 => self.crash(),
            _ => {
                let op = self.op.saturating_sub(self.random.below(8));
                self.told.push(format!("cancel {op}"));
                self.engine.cancel(OpId(op), now);
                self.model.cancel(op);
            }
        }
        self.settle();
    }

    fn put(&mut self, name: Name) {
        let count = 1 + self.random.below(3) / 2;
        let items: Vec<(String, Option<u64>)> = (0..count)
            .map(|n| {
                let expires = self.random.pick(&[None, None, None, Some(40), Some(400)]);
                (format!("{}.{n}", self.op), expires.map(|millis| self.model.now + millis))
            })
            .collect();
        self.told.push(format!("{}: put {name} {items:?}", self.op));
        let mut put = PutBuilder::new(name.as_bytes(), self.now().unix).unwrap();
        for (data, expires) in &items {
            put.item(expires.map(|at| UnixTime::from_millis(START + at)), data.as_bytes());
        }
        let ours = self.engine.put(OpId(self.op), put.finish(), self.now());
        assert_eq!(ours, self.model.put(self.op, name, &items));
    }

    fn get(&mut self, name: Name, conn: u64) {
        let action = self.random.pick(&ACTIONS);
        let wait = self.random.pick(&[0, 0, 60, 300]);
        self.told.push(format!("{}: get {name} {action:?} by {conn}, waits {wait}", self.op));
        let read = Read { action, timeout: Some(Duration::from_millis(wait)) };
        let op = OpId(self.op);
        let ours = self.engine.get(op, ConnId(conn), name.as_bytes(), read, self.now());
        assert_eq!(ours, self.model.get(self.op, conn, name, action, wait));
    }

    fn begin_append(&mut self) {
        if let Some(batch) = self.engine.begin_append() {
            self.told.push(format!("begin, fsync {}", batch.fsync));
            self.model.begin_append(batch.fsync);
            self.in_flight = Some(batch);
        }
    }

    fn journaled(&mut self, safe: bool) {
        let Some(batch) = self.in_flight.take() else { return };
        self.told.push(format!("journaled: {safe}"));
        let result = if safe { Ok(self.append(&batch)) } else { Err(AppendError) };
        self.engine.journaled(batch, result, self.now());
        self.model.journaled(safe);
    }

    fn append(&mut self, batch: &JournalBatch) -> Written {
        let written = Written { segment: 1, offset: self.segment.len() as u64 };
        self.segment.extend(batch.encode(SALT, written.offset).concat());
        written
    }

    fn crash(&mut self) {
        let is_written = self.random.below(2) == 0;
        self.told.push(format!("crash, written: {is_written}"));
        if let Some(batch) = self.in_flight.take().filter(|_| is_written) {
            self.append(&batch);
        }
        let mut recovery = Recovery::new();
        let synced = self.segment.len() as u64;
        let report = recovery.segment(1, &self.segment, Place::LastOpen { synced });
        assert_eq!((report.damage, report.torn), (vec![], vec![]));
        assert!(recovery.next_read().is_none(), "everything has room in memory");
        self.engine = recovery.finish(self.model.config.clone(), self.now().unix).0;
        self.model.crash(is_written);
    }

    /// Takes what both have to say.
    fn settle(&mut self) {
        self.model.time_out();
        loop {
            match self.engine.poll_output(self.now()) {
                EngineOutput::Done { op, outcome } => {
                    let is_item = matches!(outcome, OpOutcome::Item(_));
                    assert_eq!(Some((op.0, outcome)), self.model.done.pop_front());
                    if is_item && self.random.below(4) == 0 {
                        self.engine.cancel(op, self.now());
                        self.model.cancel(op.0);
                    } else {
                        self.engine.collect(op);
                        self.model.collect(op.0);
                    }
                }
                EngineOutput::Append | EngineOutput::Idle(_) => break,
                other => panic!("{other:?}"),
            }
        }
        self.model.check(&self.engine);
    }

    /// All that is there comes out, in its order.
    fn drain(&mut self) {
        self.journaled(true);
        for conn in 0..3 {
            self.engine.disconnect(ConnId(conn), self.now());
            self.model.disconnect(conn);
        }
        self.settle();
        for name in NAMES {
            loop {
                self.op += 1;
                let (op, now) = (OpId(self.op), self.now());
                let action = Action::Take.into();
                let ours = self.engine.get(op, ConnId(9), name.as_bytes(), action, now);
                assert_eq!(ours, self.model.get(self.op, 9, name, Action::Take, 0), "{name}");
                if !matches!(ours, Some(OpOutcome::Item(_))) {
                    break;
                }
            }
        }
    }
}

/// Says which sequence it was, if it fails.
struct Told(u64, Run);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self(seed, run) = self;
            eprintln!(
                "sequence {seed} (repeat with WINDHOVER_SEED={seed}):\n{}",
                run.told.join("\n")
            );
        }
    }
}

fn number(name: &str) -> Option<u64> {
    Some(env::var(name).ok()?.parse().expect("a number"))
}

#[test]
fn any_sequence_does_what_the_model_does() {
    let (seed, runs) = (number("WINDHOVER_SEED"), number("WINDHOVER_MODEL_RUNS"));
    let runs = runs.unwrap_or(if seed.is_some() { 1 } else { 300 });
    let first = seed.unwrap_or(0);
    for seed in first..first + runs {
        let mut run = Told(seed, Run::new(seed));
        for _ in 0..100 {
            run.1.step();
        }
        run.1.drain();
        run.1.crash();
        run.1.drain();
    }
}
