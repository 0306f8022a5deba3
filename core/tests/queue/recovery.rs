//! Any history of operations recovers to what the engine held at its end.

use proptest::prelude::*;
use windhover_core::queue::segment::HEADER;
use windhover_core::queue::state::Position;
use windhover_core::queue::{
    Action, AppendError, Config, ConnId, Engine, Index, OpId, OpOutcome, PutBuilder, Recovery,
};
use windhover_core::{Instant, Now, UnixTime};

use crate::journal::{Journal, salt};

const CONN: ConnId = ConnId(1);
const QUEUES: [&[u8]; 3] = [b"a", b"b", b"c"];

fn now() -> Now {
    Now { instant: Instant::default(), unix: UnixTime::from_secs(1_000) }
}

#[derive(Clone, Debug)]
enum Step {
    Put(usize, u8),
    Get(usize, Action),
    Disconnect,
    Flush(usize),
    Delete(usize),
    Compact,
    Index,
    Commit,
    Lose,
}

fn step() -> impl Strategy<Value = Step> {
    let action = prop::sample::select(vec![
        Action::Take,
        Action::Open,
        Action::Open,
        Action::Close,
        Action::CloseOpen,
        Action::Monitor,
        Action::Abort,
        Action::Peek,
    ]);
    prop_oneof![
        4 => (0..3usize, 1..4u8).prop_map(|(queue, items)| Step::Put(queue, items)),
        8 => (0..3usize, action).prop_map(|(queue, action)| Step::Get(queue, action)),
        1 => Just(Step::Disconnect),
        1 => (0..3usize).prop_map(Step::Flush),
        1 => (0..3usize).prop_map(Step::Delete),
        1 => Just(Step::Compact),
        1 => Just(Step::Index),
        5 => Just(Step::Commit),
        2 => Just(Step::Lose),
    ]
}

/// The engine with the segments that it was journaled to.
struct Journaled {
    engine: Engine,
    journal: Journal,
    batches: usize,
    /// What the engine said of all but the last segments.
    index: Option<Index>,
}

impl Journaled {
    fn new(queue_memory: u64) -> Self {
        let mut config = Config::default();
        config.compact_from = 0;
        config.compact_ratio = 0;
        config.queue_memory = queue_memory;
        Self { engine: Engine::new(config), journal: Journal::new(), batches: 0, index: None }
    }

    fn commit(&mut self) {
        if self.batches % 3 == 2 {
            self.journal.rotate();
        }
        if self.journal.commit(&mut self.engine, now()) {
            self.batches += 1;
        }
    }

    /// Takes the index anew.
    fn index(&mut self) {
        let (segment, end) = (self.journal.active(), self.journal.segments.last().unwrap().len());
        let at = Position { segment, end: end as u64 };
        let index = self.engine.index(at, salt(segment));
        assert_eq!(Index::decode(&index.encode()), Ok(index.clone()));
        self.index = Some(index);
    }

    fn step(&mut self, op: OpId, step: &Step) {
        let engine = &mut self.engine;
        match *step {
            Step::Put(queue, items) => {
                let mut put = PutBuilder::new(QUEUES[queue], now().unix).unwrap();
                for n in 0..items {
                    put.item(None, format!("{}.{n}", op.0).as_bytes());
                }
                engine.put(op, put.finish(), now()).unwrap();
            }
            Step::Get(queue, action) => {
                engine.get(op, CONN, QUEUES[queue], action.into(), now());
            }
            Step::Disconnect => engine.disconnect(CONN, now()),
            Step::Flush(queue) => engine.flush(QUEUES[queue]),
            Step::Delete(queue) => engine.delete(QUEUES[queue]),
            Step::Compact => engine.compact(u64::MAX, self.journal.active()),
            Step::Index => self.index(),
            Step::Commit => self.commit(),
            Step::Lose => {
                if let Some(batch) = engine.begin_append() {
                    engine.journaled(batch, Err(AppendError), now());
                }
            }
        }
        for (op, _) in self.journal.serve(&mut self.engine, now()) {
            self.engine.collect(OpId(op));
        }
    }
}

/// What each queue holds, items that were open included, in the order of reading.
fn drain(engine: &mut Engine, journal: &Journal) -> Vec<Vec<String>> {
    engine.disconnect(CONN, now());
    let mut op = 1 << 32;
    let mut take = |queue: &[u8]| {
        op += 1;
        let outcome = engine.get(OpId(op), ConnId(2), queue, Action::Take.into(), now());
        let done = journal.serve(engine, now());
        match outcome.or_else(|| done.into_iter().find(|done| done.0 == op).map(|done| done.1)) {
            Some(OpOutcome::Item(item)) => {
                engine.collect(OpId(op));
                Some(String::from_utf8(item.to_vec()).unwrap())
            }
            _ => None,
        }
    };
    QUEUES.iter().map(|queue| std::iter::from_fn(|| take(queue)).collect()).collect()
}

fn finish(recovery: Recovery, items: usize, queue_memory: u64) -> Engine {
    let mut config = Config::default();
    config.queue_memory = queue_memory;
    let (engine, found) = recovery.finish(config, now().unix);
    assert_eq!(found.items, items as u64);
    engine
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn recovery_gives_back_what_was_held(
        steps in prop::collection::vec(step(), 1..120),
        memory in prop::sample::select(vec![0, 400, 1_000, u64::MAX]),
    ) {
        let mut journaled = Journaled::new(memory);
        for (op, step) in (1..).map(OpId).zip(&steps) {
            journaled.step(op, step);
        }
        journaled.commit();
        let Journaled { mut engine, mut journal, index, .. } = journaled;
        // Segments before the oldest needed one make no difference.
        let oldest = engine.oldest_needed(journal.active());
        let held = drain(&mut engine, &journal);
        for segment in &mut journal.segments[..usize::try_from(oldest).unwrap() - 1] {
            segment.truncate(HEADER);
        }
        let items = held.iter().map(Vec::len).sum();
        for memory in [u64::MAX, memory] {
            let recovery = journal.recover(Recovery::with_memory(memory));
            let mut recovered = finish(recovery, items, memory);
            prop_assert_eq!(&drain(&mut recovered, &journal), &held);
        }
        // An index of what is not needed any more helps nobody.
        if let Some(index) = index.filter(|index| index.at().segment >= oldest) {
            let recovery = journal.recover(Recovery::indexed(index, oldest, memory));
            let mut recovered = finish(recovery, items, memory);
            prop_assert_eq!(&drain(&mut recovered, &journal), &held);
        }
    }
}

#[test]
fn who_begins_at_an_index_knows_what_is_in_it() {
    let mut journaled = Journaled::new(0);
    let steps = [Step::Put(0, 3), Step::Put(1, 2), Step::Commit, Step::Get(1, Action::Take)];
    for (op, step) in (1..).map(OpId).zip([&steps[..], &[Step::Commit, Step::Index]].concat()) {
        journaled.step(op, &step);
    }
    let Journaled { journal, index: Some(index), .. } = journaled else { panic!("it was taken") };
    let recovery = journal.recover(Recovery::indexed(index.clone(), index.at().segment, 0));
    let mut recovered = finish(recovery, 4, 0);
    // The next item has the number that it had had there.
    assert_eq!(recovered.index(index.at(), salt(index.at().segment)), index);
}

#[test]
fn items_of_several_records_are_one_extent_again() {
    let mut journaled = Journaled::new(0);
    let steps = [Step::Put(0, 3), Step::Put(0, 2), Step::Commit, Step::Index];
    for (op, step) in (1..).map(OpId).zip(steps) {
        journaled.step(op, &step);
    }
    let Journaled { journal, index: Some(index), .. } = journaled else { panic!("it was taken") };
    let mut recovered = finish(journal.recover(Recovery::with_memory(0)), 5, 0);
    assert_eq!(recovered.index(index.at(), salt(index.at().segment)), index);
}

#[test]
fn what_was_moved_and_taken_does_not_come_back_between_its_neighbours() {
    let Journaled { mut engine, mut journal, .. } = Journaled::new(0);
    let put = |engine: &mut Engine, op: u64| {
        let mut put = PutBuilder::new(b"q", now().unix).unwrap();
        put.item(None, op.to_string().as_bytes());
        engine.put(OpId(op), put.finish(), now()).unwrap();
    };
    let compact = |engine: &mut Engine, journal: &Journal| {
        engine.compact(u64::MAX, journal.active());
        journal.serve(engine, now());
    };
    for op in [1, 2] {
        put(&mut engine, op);
        journal.commit(&mut engine, now());
        journal.rotate();
    }
    // The first item comes to stand behind the second one.
    compact(&mut engine, &journal);
    journal.commit(&mut engine, now());
    let (segment, end) = (journal.active(), journal.segments.last().unwrap().len());
    let index = engine.index(Position { segment, end: end as u64 }, salt(segment));
    // The second one follows; both are taken; and a third comes.
    compact(&mut engine, &journal);
    for op in [3, 4] {
        engine.get(OpId(op), CONN, b"q", Action::Take.into(), now());
        for (op, _) in journal.serve(&mut engine, now()) {
            engine.collect(OpId(op));
        }
    }
    put(&mut engine, 5);
    journal.commit(&mut engine, now());
    assert_eq!(engine.stats_of(b"q").items, 1);
    let recovery = journal.recover(Recovery::indexed(index, segment, 0));
    let mut recovered = finish(recovery, 1, 0);
    let left = recovered.get(OpId(9), ConnId(2), b"q", Action::Take.into(), now());
    let waited = journal.serve(&mut recovered, now()).pop().map(|done| done.1);
    assert_eq!(left.or(waited), Some(OpOutcome::Item("5".into())));
}
