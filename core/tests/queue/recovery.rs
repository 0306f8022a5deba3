//! Any history of operations recovers to what the engine held at its end.

use proptest::prelude::*;
use windhover_core::queue::segment::{HEADER, Header};
use windhover_core::queue::{
    Action, AppendError, Config, ConnId, Engine, EngineOutput, OpId, OpOutcome, Place, PutBuilder,
    Recovery,
};
use windhover_core::{Instant, Now, UnixTime};

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
        5 => Just(Step::Commit),
        2 => Just(Step::Lose),
    ]
}

fn salt(segment: u64) -> u32 {
    u32::try_from(segment).unwrap() + 100
}

/// The engine with the segments that it was journaled to.
struct Journaled {
    engine: Engine,
    segments: Vec<Vec<u8>>,
    batches: usize,
}

impl Journaled {
    fn new() -> Self {
        let mut config = Config::default();
        config.compact_from = 0;
        config.compact_ratio = 0;
        let mut new = Self { engine: Engine::new(config), segments: vec![], batches: 0 };
        new.rotate();
        new
    }

    fn rotate(&mut self) {
        let number = self.segments.len() as u64 + 1;
        let (created, salt) = (now().unix, salt(number));
        let (previous, previous_end, leftover) = (0, 0, 0);
        let header = Header { number, previous, previous_end, oldest: 1, created, salt, leftover };
        self.segments.push(header.encode().to_vec());
    }

    fn commit(&mut self) {
        let Some(batch) = self.engine.begin_append() else {
            return;
        };
        self.batches += 1;
        if self.batches.is_multiple_of(3) {
            self.rotate();
        }
        let number = self.segments.len() as u64;
        let segment = self.segments.last_mut().unwrap();
        let bytes = batch.encode(salt(number), segment.len() as u64).concat();
        segment.extend_from_slice(&bytes);
        self.engine.journaled(batch.commit, Ok(number), now());
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
            Step::Compact => engine.compact(u64::MAX, self.segments.len() as u64),
            Step::Commit => self.commit(),
            Step::Lose => {
                if let Some(batch) = engine.begin_append() {
                    engine.journaled(batch.commit, Err(AppendError), now());
                }
            }
        }
        while let EngineOutput::Done { .. } = self.engine.poll_output(now()) {}
    }
}

/// What each queue holds, items that were open included, in the order of reading.
fn drain(engine: &mut Engine) -> Vec<Vec<String>> {
    engine.disconnect(CONN, now());
    let mut take = |queue: &[u8]| {
        let read = Action::Take.into();
        match engine.get(OpId(u64::MAX), ConnId(2), queue, read, now()) {
            Some(OpOutcome::Item(item)) => Some(String::from_utf8(item.to_vec()).unwrap()),
            _ => None,
        }
    };
    QUEUES.iter().map(|queue| std::iter::from_fn(|| take(queue)).collect()).collect()
}

fn recover(segments: &[Vec<u8>]) -> Engine {
    let mut recovery = Recovery::new();
    for (number, bytes) in (1..).zip(segments) {
        let report = recovery.segment(number, bytes, Place::LastOpen { synced: 0 });
        assert!(report.damage.is_empty() && report.torn.is_empty(), "{report:?}");
    }
    recovery.finish(Config::default(), now().unix).0
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn recovery_gives_back_what_was_held(steps in prop::collection::vec(step(), 1..120)) {
        let mut journaled = Journaled::new();
        for (op, step) in (1..).map(OpId).zip(&steps) {
            journaled.step(op, step);
        }
        journaled.commit();
        let Journaled { mut engine, mut segments, .. } = journaled;
        // Segments before the oldest needed one make no difference.
        let oldest = usize::try_from(engine.oldest_needed(segments.len() as u64)).unwrap();
        for segment in &mut segments[..oldest - 1] {
            segment.truncate(HEADER);
        }
        prop_assert_eq!(drain(&mut recover(&segments)), drain(&mut engine));
    }
}
