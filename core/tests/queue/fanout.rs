//! Queues that follow others, aliases, expired items that another queue gets, and open reads with an end.

use std::time::Duration;

use crate::journal::Journal;

use windhover_core::queue::segment::Header;
use windhover_core::queue::state::Position;
use windhover_core::queue::{
    Action, AppendError, Config, ConnId, Engine, EngineOutput, Fsync, OpId, OpOutcome, Place,
    PutBuilder, PutError, QueueConfig, Read, ReadError, Recovery, Written,
};
use windhover_core::{Instant, Now, UnixTime};

const A: ConnId = ConnId(1);
const SALT: u32 = 7;

fn at(millis: u64) -> Now {
    Now {
        instant: Instant::from_epoch(Duration::from_millis(millis)),
        unix: UnixTime::from_millis(1_000_000 + millis),
    }
}

/// An engine with all that it ever wrote.
struct Journaled {
    engine: Engine,
    segment: Vec<u8>,
    op: u64,
    now: Now,
}

impl Journaled {
    fn new(config: Config) -> Self {
        let created = UnixTime::default();
        let (number, previous, previous_end, oldest) = (1, 0, 0, 1);
        let header =
            Header { number, previous, previous_end, oldest, created, salt: SALT, leftover: 0 };
        let segment = header.encode().to_vec();
        Self { engine: Engine::new(config), segment, op: 0, now: at(0) }
    }

    fn op(&mut self) -> OpId {
        self.op += 1;
        OpId(self.op)
    }

    /// Writes what waits, until nothing does.
    fn commit(&mut self) {
        while let Some(batch) = self.engine.begin_append() {
            let written = Written { segment: 1, offset: self.segment.len() as u64 };
            let bytes = batch.encode(SALT, written.offset).concat();
            assert_eq!(bytes.len() as u64, batch.len);
            self.segment.extend(bytes);
            self.engine.journaled(batch, Ok(written), self.now);
        }
    }

    /// What the journal refuses.
    fn lose(&mut self) {
        let batch = self.engine.begin_append().expect("something to append");
        self.engine.journaled(batch, Err(AppendError), self.now);
    }

    fn try_put(&mut self, queue: &str, item: &str) -> Result<(), PutError> {
        let mut put = PutBuilder::new(queue.as_bytes(), self.now.unix).unwrap();
        put.item(None, item.as_bytes());
        let op = self.op();
        self.engine.put(op, put.finish(), self.now)
    }

    /// Puts an item, which one operation's end tells.
    fn put(&mut self, queue: &str, item: &str) {
        self.try_put(queue, item).unwrap();
        self.commit();
        let op = OpId(self.op);
        let done = EngineOutput::Done { op, outcome: OpOutcome::Stored };
        assert_eq!(self.engine.poll_output(self.now), done);
        assert!(matches!(self.engine.poll_output(self.now), EngineOutput::Idle(_)));
    }

    fn read(&mut self, queue: &str, action: Action) -> Option<OpOutcome> {
        let (op, now) = (self.op(), self.now);
        let outcome = self.engine.get(op, A, queue.as_bytes(), action.into(), now);
        self.commit();
        outcome
    }

    fn get(&mut self, queue: &str) -> Option<String> {
        match self.read(queue, Action::Take) {
            Some(OpOutcome::Item(item)) => Some(String::from_utf8(item.to_vec()).unwrap()),
            Some(OpOutcome::Empty) => None,
            other => panic!("{other:?}"),
        }
    }

    fn children(&self, parent: &str) -> Vec<String> {
        let children = self.engine.children(parent.as_bytes());
        children.map(|name| String::from_utf8(name.to_vec()).unwrap()).collect()
    }

    /// The same from its journal.
    fn restart(self) -> Self {
        let mut recovery = Recovery::new();
        let end = self.segment.len() as u64;
        let report = recovery.segment(1, &self.segment, Place::LastClean { end });
        assert_eq!((report.damage, report.torn), (vec![], vec![]));
        let config = self.engine.config().clone();
        let (engine, _) = recovery.finish(config, self.now.unix);
        Self { engine, ..self }
    }
}

fn bounded(queue: &str, bounds: impl FnOnce(&mut QueueConfig)) -> Config {
    let mut config = Config::default();
    let mut queue_config = QueueConfig::default();
    bounds(&mut queue_config);
    config.queues.insert(queue.to_owned().into(), queue_config);
    config
}

#[test]
fn a_child_follows_from_its_first_use_at_its_own_pace() {
    let mut j = Journaled::new(Config::default());
    j.put("q", "before");
    assert_eq!(j.get("q+a"), None, "nothing that was put before");
    j.put("q", "one");
    assert_eq!(j.get("q+b"), None);
    j.put("q", "two");

    assert_eq!(j.children("q"), ["q+a", "q+b"]);
    assert_eq!(
        [j.get("q+a"), j.get("q+a"), j.get("q+a")],
        [Some("one".into()), Some("two".into()), None]
    );
    assert_eq!([j.get("q+b"), j.get("q+b")], [Some("two".into()), None]);
    let own: Vec<Option<String>> = (0..4).map(|_| j.get("q")).collect();
    assert_eq!(own, [Some("before".into()), Some("one".into()), Some("two".into()), None]);

    // A put to a child is the child's alone, and makes one that is not there.
    j.put("q+c", "own");
    assert_eq!([j.get("q"), j.get("q+a"), j.get("q+c")], [None, None, Some("own".into())]);
    assert_eq!(j.children("q"), ["q+a", "q+b", "q+c"]);
    // Names that only begin alike are other queues.
    j.put("q2", "other");
    assert_eq!(j.get("q+a"), None);
}

#[test]
fn a_child_survives_restarts_and_ends_when_it_is_deleted() {
    let mut j = Journaled::new(Config::default());
    assert_eq!(j.get("q+a"), None);
    j.put("q", "one");
    let mut j = j.restart();
    assert_eq!(j.get("q+a"), Some("one".into()));
    let mut j = j.restart();
    assert_eq!(j.children("q"), ["q+a"], "though it be empty");
    j.put("q", "two");
    j.engine.delete(b"q+a");
    j.commit();
    let mut j = j.restart();
    assert_eq!(j.children("q"), [""; 0]);
    j.put("q", "three");
    assert_eq!(j.get("q+a"), None, "it begins anew");
    j.put("q", "four");
    assert_eq!(j.get("q+a"), Some("four".into()));
    // Its parent may go: the name is followed.
    j.engine.delete(b"q");
    j.put("q", "five");
    assert_eq!(j.get("q+a"), Some("five".into()));
}

#[test]
fn that_a_queue_follows_is_written_again_where_a_segment_begins() {
    let mut j = Journaled::new(Config::default());
    assert_eq!(j.get("q+a"), None);
    assert_eq!(j.engine.oldest_needed(3), 1);
    j.engine.compact(100, 3);
    let batch = j.engine.begin_append().expect("the mark");
    // It fails, and is written again, since it is still true.
    j.engine.journaled(batch, Err(AppendError), at(0));
    assert_eq!(j.engine.oldest_needed(3), 1);
    let batch = j.engine.begin_append().expect("the mark");
    j.engine.journaled(batch, Ok(Written { segment: 3, offset: 64 }), at(0));
    assert_eq!(j.engine.oldest_needed(3), 3);
    j.engine.compact(100, 3);
    assert!(j.engine.begin_append().is_none(), "once for each segment");
}

#[test]
fn a_mark_that_was_lost_says_what_is_true_by_then() {
    let mut j = Journaled::new(Config::default());
    let now = j.now;
    assert_eq!(j.engine.get(OpId(1), A, b"q+a", Read::default(), now), Some(OpOutcome::Empty));
    let batch = j.engine.begin_append().expect("the mark");
    j.engine.delete(b"q+a");
    j.engine.journaled(batch, Err(AppendError), now);
    j.commit();
    assert_eq!(j.restart().children("q"), [""; 0]);
}

#[test]
fn a_put_to_several_queues_is_in_all_of_them_or_in_none() {
    let mut j = Journaled::new(Config::default());
    assert_eq!(j.get("q+a"), None);
    j.try_put("q", "lost").unwrap();
    j.lose();
    let op = OpId(j.op);
    let done = EngineOutput::Done { op, outcome: OpOutcome::NotJournaled };
    assert_eq!(j.engine.poll_output(j.now), done);
    assert_eq!([j.get("q"), j.get("q+a")], [None, None]);
    j.put("q", "kept");
    let mut j = j.restart();
    assert_eq!([j.get("q"), j.get("q+a")], [Some("kept".into()), Some("kept".into())]);
}

#[test]
fn a_parent_may_keep_nothing_itself() {
    let mut j = Journaled::new(bounded("q", |bounds| bounds.fanout_only = true));
    j.put("q", "for nobody");
    assert_eq!(j.get("q+a"), None);
    j.put("q", "one");
    assert_eq!([j.get("q"), j.get("q+a")], [None, Some("one".into())]);
    let mut j = j.restart();
    j.put("q", "two");
    assert_eq!([j.get("q"), j.get("q+a")], [None, Some("two".into())]);
}

#[test]
fn a_child_has_its_parents_bounds_and_what_it_has_no_room_for_the_others_get() {
    let mut j = Journaled::new(bounded("q", |bounds| bounds.max_items = 2));
    assert_eq!(j.get("q+a"), None);
    for item in ["1", "2", "3"] {
        j.put("q", item);
        assert_eq!(j.get("q"), Some(item.into()));
    }
    assert_eq!(
        [j.get("q+a"), j.get("q+a"), j.get("q+a")],
        [Some("1".into()), Some("2".into()), None]
    );
    assert_eq!(j.engine.stats_of(b"q+a").refused, 1);
    assert_eq!(j.engine.stats().refused_full, 1);

    // Where only children keep anything, and none of them can, the put is refused.
    let mut j = Journaled::new(bounded("q", |bounds| {
        (bounds.fanout_only, bounds.max_items) = (true, 1);
    }));
    assert_eq!(j.get("q+a"), None);
    j.put("q", "1");
    assert_eq!(j.try_put("q", "2"), Err(PutError::Full));
}

#[test]
fn only_so_many_queues_follow_one() {
    let mut config = Config::default();
    config.max_children = 2;
    let mut j = Journaled::new(config);
    assert_eq!([j.get("q+a"), j.get("q+b"), j.get("r+a")], [None, None, None]);
    let refused = OpOutcome::Error(ReadError::TooManyQueues);
    assert_eq!(j.read("q+c", Action::Peek), Some(refused));
    assert_eq!(j.try_put("q+c", "x"), Err(PutError::TooManyQueues));
    assert_eq!(
        j.read("q+c", Action::Close),
        Some(OpOutcome::Empty),
        "which names no queue to follow"
    );
    j.engine.delete(b"q+a");
    assert_eq!(j.get("q+c"), None);
}

#[test]
fn an_alias_stands_for_several_queues() {
    let mut config = bounded("few", |bounds| bounds.max_items = 1);
    config.aliases.insert("both".into(), vec!["few".into(), "many".into()]);
    config.aliases.insert("one".into(), vec!["many".into()]);
    config.aliases.insert("none".into(), vec![]);
    let mut j = Journaled::new(config);
    assert_eq!(j.get("many+child"), None);
    j.put("both", "1");
    // None gets what one of them does not take.
    assert_eq!(j.try_put("both", "2"), Err(PutError::Full));
    j.put("one", "3");
    j.put("none", "4");
    assert_eq!(j.get("both"), None, "it cannot be read");
    let mut j = j.restart();
    assert_eq!([j.get("few"), j.get("few")], [Some("1".into()), None]);
    for queue in ["many", "many+child"] {
        assert_eq!(
            [j.get(queue), j.get(queue), j.get(queue)],
            [Some("1".into()), Some("3".into()), None]
        );
    }
}

#[test]
fn expired_items_go_to_another_queue() {
    let mut j = Journaled::new(bounded("q", |bounds| {
        bounds.max_age = Some(Duration::from_secs(1));
        bounds.move_expired_to = Some("late".into());
    }));
    j.put("q", "1");
    j.put("q", "2");
    j.now = at(1_500);
    j.put("q", "3");
    assert_eq!(j.get("q"), Some("3".into()));
    assert_eq!(j.engine.stats_of(b"q").expired_items, 2);
    let mut j = j.restart();
    assert_eq!([j.get("q"), j.get("late")], [None, Some("1".into())]);
    j.now = at(1_000_000);
    assert_eq!([j.get("late"), j.get("late")], [Some("2".into()), None]);
    assert_eq!(j.engine.unwritten_removals(), 0);
}

#[test]
fn what_cannot_be_moved_now_is_nowhere_else_and_is_moved_later() {
    let mut j = Journaled::new(bounded("q", |bounds| bounds.move_expired_to = Some("late".into())));
    let mut put = PutBuilder::new(b"q", j.now.unix).unwrap();
    put.item(Some(at(10).unix), b"old");
    put.item(None, b"new");
    j.engine.put(OpId(100), put.finish(), j.now).unwrap();
    j.commit();
    j.now = at(20);
    assert_eq!(j.engine.sweep(b"q", j.now), 1);
    // On its way it is in neither; a flush meanwhile does not reach it.
    assert_eq!(j.engine.stats_of(b"q").items, 1);
    j.lose();
    assert_eq!(j.engine.stats_of(b"q").expired_items, 1, "it is on its way again");
    j.engine.flush(b"q");
    j.commit();
    let mut j = j.restart();
    assert_eq!([j.get("q"), j.get("late"), j.get("late")], [None, Some("old".into()), None]);
}

#[test]
fn expired_items_go_where_the_other_queue_takes_no_more() {
    let mut config = bounded("q", |bounds| {
        bounds.max_age = Some(Duration::from_secs(1));
        bounds.move_expired_to = Some("late".into());
    });
    let mut late = QueueConfig::default();
    late.max_items = 1;
    config.queues.insert("late".into(), late);
    let mut j = Journaled::new(config);
    j.put("late", "full");
    j.put("q", "1");
    j.now = at(2_000);
    assert_eq!([j.get("q"), j.get("late"), j.get("late")], [None, Some("full".into()), None]);
    assert_eq!(j.engine.stats_of(b"late").refused, 1);
    assert_eq!(j.restart().get("q"), None);
}

#[test]
fn a_waiter_gets_what_stands_behind_expired_items_that_move() {
    let mut j = Journaled::new(bounded("q", |bounds| {
        bounds.max_age = Some(Duration::from_secs(1));
        bounds.move_expired_to = Some("late".into());
    }));
    let wait = Read { action: Action::Take, timeout: Some(Duration::from_secs(10)) };
    let (op, now) = (j.op(), j.now);
    assert_eq!(j.engine.get(op, A, b"late", wait, now), None);
    j.put("q", "1");
    j.now = at(2_000);
    assert_eq!(j.get("q"), None);
    let outcome = OpOutcome::Item("1".into());
    assert_eq!(j.engine.poll_output(j.now), EngineOutput::Done { op, outcome });
}

#[test]
fn an_open_read_ends_when_its_time_is_over() {
    let mut j = Journaled::new(bounded("q", |bounds| {
        bounds.open_timeout = Some(Duration::from_secs(5));
        bounds.max_open_reads = 2;
    }));
    j.put("q", "1");
    j.put("q", "2");
    assert_eq!(j.read("q", Action::Open), Some(OpOutcome::Item("1".into())));
    j.now = at(3_000);
    assert_eq!(j.read("q", Action::Open), Some(OpOutcome::Item("2".into())));
    let due = Instant::from_epoch(Duration::from_secs(5));
    assert_eq!(j.engine.poll_output(j.now), EngineOutput::Idle(Some(due)));
    assert!(!j.engine.is_due(at(4_999)) && j.engine.is_due(at(5_000)));
    j.now = at(5_000);
    j.engine.handle_timeout(j.now);
    // A close that comes too late confirms the one that is open still.
    assert_eq!(j.engine.open_reads(A, b"q"), 1);
    assert_eq!(j.read("q", Action::Close), Some(OpOutcome::Empty));
    assert_eq!([j.get("q"), j.get("q")], [Some("1".into()), None]);
    assert_eq!(j.engine.stats_of(b"q").canceled_transactions, 1);
    assert_eq!(j.engine.poll_output(j.now), EngineOutput::Idle(None));
}

#[test]
fn an_empty_queue_goes_when_it_is_old() {
    let mut j = Journaled::new(bounded("q", |bounds| {
        bounds.max_queue_age = Some(Duration::from_secs(60));
    }));
    j.put("q", "1");
    j.put("other", "1");
    assert_eq!(j.get("q+a"), None);
    j.now = at(61_000);
    assert_eq!(
        j.engine.expire_queues(j.now),
        1,
        "the child, which is empty and has the same bounds"
    );
    assert_eq!(j.children("q"), [""; 0]);
    assert_eq!([j.get("q"), j.get("other")], [Some("1".into()), Some("1".into())]);
    assert_eq!(j.engine.expire_queues(at(59_000)), 0);
    assert_eq!((j.engine.expire_queues(j.now), j.engine.names()), (1, vec!["other".into()]));
    assert_eq!(j.engine.stats().queue_expires, 2);
}

#[test]
fn an_item_that_several_queues_get_is_written_once() {
    let mut config = Config::default();
    config.aliases.insert("all".into(), vec!["one".into(), "two".into(), "three".into()]);
    let mut j = Journaled::new(config);
    for child in ["q+a", "q+b"] {
        assert_eq!(j.get(child), None);
    }
    let (before, long) = (j.segment.len(), "x".repeat(10_000));
    j.put("q", &long);
    j.put("all", &long);
    assert!(j.segment.len() - before < 20_300, "{}", j.segment.len() - before);
    let mut j = j.restart();
    for queue in ["q", "q+a", "q+b", "one", "two", "three"] {
        assert_eq!(j.get(queue), Some(long.clone()), "{queue}");
    }
    // Each has a place of its own.
    let mut j = j.restart();
    for queue in ["q", "q+a", "q+b", "one", "two", "three"] {
        assert_eq!(j.get(queue), None, "{queue}");
    }
}

#[test]
fn what_several_queues_have_is_written_again_once() {
    let mut config = Config::default();
    (config.compact_from, config.compact_ratio) = (0, 0);
    for queue_memory in [0, u64::MAX] {
        config.queue_memory = queue_memory;
        let (mut engine, mut journal) = (Engine::new(config.clone()), Journal::new());
        let take = |engine: &mut Engine, journal: &Journal, op: u64, queue: &str| {
            let (op, read) = (OpId(op), Action::Take.into());
            let outcome = engine.get(op, A, queue.as_bytes(), read, at(0));
            let waited = journal.serve(engine, at(0)).into_iter().find(|(of, _)| *of == op.0);
            engine.collect(op);
            match outcome.or(waited.map(|waited| waited.1)) {
                Some(OpOutcome::Item(item)) => Some(item[0]),
                _ => None,
            }
        };
        assert_eq!(take(&mut engine, &journal, 1, "q+a"), None);
        assert_eq!(take(&mut engine, &journal, 2, "q+b"), None);
        let mut put = PutBuilder::new(b"q", at(0).unix).unwrap();
        for item in [1, 2, 3] {
            put.item(None, &[item; 1000]);
        }
        engine.put(OpId(3), put.finish(), at(0)).unwrap();
        journal.commit(&mut engine, at(0));
        journal.serve(&mut engine, at(0));
        assert_eq!(take(&mut engine, &journal, 4, "q+a"), Some(1));
        journal.commit(&mut engine, at(0));

        journal.rotate();
        engine.compact(u64::MAX, journal.active());
        while journal.commit(&mut engine, at(0)) || !journal.serve(&mut engine, at(0)).is_empty() {}
        journal.serve(&mut engine, at(0));
        while journal.commit(&mut engine, at(0)) {}
        assert_eq!(engine.stats().rewritten_items, 3);
        assert_eq!(engine.oldest_needed(journal.active()), journal.active());
        assert!(journal.segments[1].len() < 4000, "{}", journal.segments[1].len());
        journal.segments[0].truncate(64);
        let recovery = journal.recover(Recovery::with_memory(queue_memory));
        let (mut engine, _) = recovery.finish(config.clone(), at(0).unix);
        let mut op = 10;
        for (queue, items) in [("q", &[1, 2, 3][..]), ("q+a", &[2, 3]), ("q+b", &[1, 2, 3])] {
            let left = std::iter::from_fn(|| {
                op += 1;
                take(&mut engine, &journal, op, queue)
            });
            assert_eq!(left.collect::<Vec<_>>(), items, "{queue}");
        }
    }
}

#[test]
fn what_need_not_wait_for_a_sync_is_written_before_what_must() {
    let mut j = Journaled::new(bounded("lax", |bounds| bounds.fsync = Fsync::Never));
    j.try_put("lax", "1").unwrap();
    j.try_put("q", "2").unwrap();
    // Behind that one, to keep the order.
    j.try_put("lax", "3").unwrap();
    let first = j.engine.begin_append().unwrap();
    assert_eq!((first.records.len(), first.fsync), (1, Fsync::Never));
    assert_eq!(j.engine.begin_append(), None, "one batch at a time");
    j.engine.journaled(first, Ok(Written { segment: 1, offset: 64 }), j.now);
    let done = EngineOutput::Done { op: OpId(1), outcome: OpOutcome::Stored };
    assert_eq!(j.engine.poll_output(j.now), done);
    assert_eq!(j.engine.poll_output(j.now), EngineOutput::Append);
    let second = j.engine.begin_append().unwrap();
    assert_eq!((second.records.len(), second.fsync), (2, Fsync::Always));
    // What comes meanwhile waits for the one that is on its way, and for no other.
    j.try_put("lax", "4").unwrap();
    j.engine.journaled(second, Err(AppendError), j.now);
    for op in [2, 3] {
        let done = EngineOutput::Done { op: OpId(op), outcome: OpOutcome::NotJournaled };
        assert_eq!(j.engine.poll_output(j.now), done);
    }
    assert_eq!(j.engine.begin_append().map(|batch| batch.fsync), Some(Fsync::Never));
}

#[test]
fn an_index_is_of_all_that_waits() {
    let mut j = Journaled::new(bounded("lax", |bounds| bounds.fsync = Fsync::Never));
    j.put("lax", "1");
    j.put("q", "2");
    assert_eq!([j.get("lax"), j.get("q")], [Some("1".into()), Some("2".into())]);
    j.put("lax", "3");
    let (queue, action) = (b"lax", Action::Take.into());
    j.engine.get(OpId(50), A, queue, action, j.now);
    j.try_put("q", "4").unwrap();
    j.try_put("lax", "5").unwrap();
    j.engine.index(Position { segment: 1, end: j.segment.len() as u64 }, SALT);
    let batch = j.engine.begin_append().unwrap();
    assert_eq!((batch.records.len(), batch.fsync), (3, Fsync::Always));
    let written = Written { segment: 1, offset: j.segment.len() as u64 };
    j.segment.extend(batch.encode(SALT, written.offset).concat());
    j.engine.journaled(batch, Ok(written), j.now);
    let mut j = j.restart();
    assert_eq!(
        [j.get("q"), j.get("lax"), j.get("lax")],
        [Some("4".into()), Some("5".into()), None]
    );
}

fn put_of(queue: &str, items: &[&str], now: Now) -> windhover_core::queue::Put {
    let mut put = PutBuilder::new(queue.as_bytes(), now.unix).unwrap();
    for item in items {
        put.item(None, item.as_bytes());
    }
    put.finish()
}

#[test]
fn puts_to_several_queues_are_taken_together_or_not_at_all() {
    let mut config = Config::default();
    config.queue.max_items = 2;
    let mut j = Journaled::new(config);
    let now = j.now;
    let put_all = |j: &mut Journaled, puts: &[(&str, &[&str])]| {
        let op = j.op();
        let puts = puts.iter().map(|(queue, items)| put_of(queue, items, now)).collect();
        let taken = j.engine.put_all(op, puts, now);
        j.commit();
        let mut ends = Vec::new();
        while let EngineOutput::Done { op, outcome } = j.engine.poll_output(now) {
            ends.push((op, outcome));
        }
        let expected = taken.is_ok().then_some((op, OpOutcome::Stored));
        assert_eq!(ends, expected.into_iter().collect::<Vec<_>>(), "one end for all of them");
        taken
    };
    assert_eq!(put_all(&mut j, &[("a", &["1"]), ("b", &["2", "3"]), ("empty", &[])]), Ok(()));
    // `b` is full: nothing comes into `a` either.
    assert_eq!(put_all(&mut j, &[("a", &["4"]), ("b", &["5"])]), Err(PutError::Full));
    let mut j = j.restart();
    assert_eq!([j.get("a"), j.get("a")], [Some("1".to_owned()), None]);
    assert_eq!([j.get("b"), j.get("b")], [Some("2".to_owned()), Some("3".to_owned())]);
    // Of one that others follow, those get it too.
    assert_eq!(j.get("a+c"), None);
    assert_eq!(put_all(&mut j, &[("b", &["6"]), ("a", &["7"])]), Ok(()));
    assert_eq!([j.get("a"), j.get("a+c"), j.get("b")].map(Option::unwrap), ["7", "7", "6"]);
    assert_eq!(put_all(&mut j, &[]), Ok(()));
}

#[test]
fn puts_to_several_queues_are_as_safe_as_the_strictest_of_them_asks() {
    let mut j = Journaled::new(bounded("lax", |bounds| bounds.fsync = Fsync::Never));
    let puts = ["strict", "lax"].map(|queue| put_of(queue, &["1"], j.now)).into();
    j.engine.put_all(OpId(1), puts, j.now).unwrap();
    let batch = j.engine.begin_append().unwrap();
    assert_eq!((batch.records.len(), batch.fsync), (2, Fsync::Always));
    assert!(matches!(j.engine.poll_output(j.now), EngineOutput::Idle(_)), "neither counts yet");
    j.engine.journaled(batch, Err(AppendError), j.now);
    let done = EngineOutput::Done { op: OpId(1), outcome: OpOutcome::NotJournaled };
    assert_eq!(j.engine.poll_output(j.now), done);
    assert_eq!([j.get("strict"), j.get("lax")], [None, None]);
}
