//! The queue engine's behaviour, as a kestrel user would expect it.

use std::time::Duration;

use crate::journal::Journal;
use windhover_core::queue::segment::Header;
use windhover_core::queue::{
    Action, AppendError, Config, ConnId, Engine, EngineOutput, Fsync, OpId, OpOutcome, Place, Put,
    PutBuilder, PutError, QueueConfig, Read, ReadError, Recovery, Written,
};
use windhover_core::{Instant, Now, UnixTime};

const A: ConnId = ConnId(1);
const B: ConnId = ConnId(2);

fn at(millis: u64) -> Now {
    Now {
        instant: Instant::from_epoch(Duration::from_millis(millis)),
        unix: UnixTime::from_millis(1_000_000 + millis),
    }
}

fn engine() -> Engine {
    Engine::new(Config::default())
}

fn items(items: &[&str]) -> Put {
    let mut put = PutBuilder::new(b"q", at(0).unix).unwrap();
    for item in items {
        put.item(None, item.as_bytes());
    }
    put.finish()
}

/// The salt of a journal's only segment.
const SALT: u32 = 7;

/// What a journal of one segment begins with.
fn segment_header() -> Vec<u8> {
    let created = UnixTime::default();
    let (salt, leftover) = (SALT, 0);
    Header { number: 1, previous: 0, previous_end: 0, oldest: 1, created, salt, leftover }
        .encode()
        .to_vec()
}

fn put(engine: &mut Engine, op: u64, item: &str) {
    engine.put(OpId(op), items(&[item]), at(0)).unwrap();
    commit(engine, Ok(THERE));
}

/// A place that nothing is read from.
const THERE: Written = Written { segment: 1, offset: 64 };

fn commit(engine: &mut Engine, result: Result<Written, AppendError>) {
    let batch = engine.begin_append().expect("something to append");
    engine.journaled(batch, result, at(0));
}

fn outputs(engine: &mut Engine, now: Now) -> Vec<(u64, OpOutcome)> {
    let mut done = vec![];
    while let EngineOutput::Done { op, outcome } = engine.poll_output(now) {
        done.push((op.0, outcome));
    }
    done
}

fn get(engine: &mut Engine, op: u64, conn: ConnId, action: Action) -> Option<OpOutcome> {
    engine.get(OpId(op), conn, b"q", action.into(), at(0))
}

fn wait(engine: &mut Engine, op: u64, conn: ConnId, action: Action) -> Option<OpOutcome> {
    let read = Read { action, timeout: Some(Duration::from_millis(100)) };
    engine.get(OpId(op), conn, b"q", read, at(0))
}

fn item(data: &str) -> OpOutcome {
    OpOutcome::Item(data.as_bytes().to_vec().into())
}

#[test]
fn items_come_out_in_the_order_they_went_in() {
    let mut engine = engine();
    put(&mut engine, 1, "one");
    put(&mut engine, 2, "two");
    assert_eq!(get(&mut engine, 3, A, Action::Take), Some(item("one")));
    assert_eq!(get(&mut engine, 4, B, Action::Take), Some(item("two")));
    assert_eq!(get(&mut engine, 5, A, Action::Take), Some(OpOutcome::Empty));
}

#[test]
fn an_item_is_readable_only_after_the_journal_has_it() {
    let mut engine = engine();
    engine.put(OpId(1), items(&["x"]), at(0)).unwrap();
    assert_eq!(get(&mut engine, 2, A, Action::Take), Some(OpOutcome::Empty));
    assert_eq!(engine.poll_output(at(0)), EngineOutput::Append);
    let batch = engine.begin_append().unwrap();
    assert_eq!(get(&mut engine, 3, A, Action::Take), Some(OpOutcome::Empty));
    engine.journaled(batch, Ok(THERE), at(0));
    assert_eq!(outputs(&mut engine, at(0)), [(1, OpOutcome::Stored)]);
    assert_eq!(get(&mut engine, 4, A, Action::Take), Some(item("x")));
}

#[test]
fn a_put_that_the_journal_refused_leaves_nothing() {
    let mut engine = engine();
    engine.put(OpId(1), items(&["x"]), at(0)).unwrap();
    commit(&mut engine, Err(AppendError));
    assert_eq!(outputs(&mut engine, at(0)), [(1, OpOutcome::NotJournaled)]);
    assert_eq!(get(&mut engine, 2, A, Action::Take), Some(OpOutcome::Empty));
    assert_eq!(engine.stats().backlog_bytes, 0);
}

#[test]
fn a_removal_survives_the_loss_of_its_batch() {
    let mut engine = engine();
    put(&mut engine, 1, "x");
    get(&mut engine, 2, A, Action::Take).unwrap();
    let lost = engine.begin_append().unwrap();
    engine.journaled(lost.clone(), Err(AppendError), at(0));
    let again = engine.begin_append().unwrap();
    assert_eq!(again.records, lost.records);
}

#[test]
fn an_open_item_is_gone_after_close_and_back_at_the_head_after_abort() {
    let mut engine = engine();
    put(&mut engine, 1, "one");
    put(&mut engine, 2, "two");
    assert_eq!(get(&mut engine, 3, A, Action::Open), Some(item("one")));
    assert_eq!(get(&mut engine, 4, A, Action::Abort), Some(OpOutcome::Empty));
    assert_eq!(get(&mut engine, 5, A, Action::Open), Some(item("one")));
    assert_eq!(get(&mut engine, 6, A, Action::CloseOpen), Some(item("two")));
    assert_eq!(get(&mut engine, 7, A, Action::Close), Some(OpOutcome::Empty));
    assert_eq!(get(&mut engine, 8, A, Action::Take), Some(OpOutcome::Empty));
}

#[test]
fn a_disconnect_puts_open_items_back_in_their_order() {
    let mut engine = engine();
    put(&mut engine, 1, "one");
    put(&mut engine, 2, "two");
    get(&mut engine, 3, A, Action::Open);
    get(&mut engine, 4, B, Action::Open);
    engine.disconnect(B, at(0));
    engine.disconnect(A, at(0));
    assert_eq!(get(&mut engine, 5, A, Action::Take), Some(item("one")));
    assert_eq!(get(&mut engine, 6, A, Action::Take), Some(item("two")));
}

#[test]
fn one_connection_has_one_read_open_on_a_queue() {
    let mut engine = engine();
    put(&mut engine, 1, "one");
    put(&mut engine, 2, "two");
    get(&mut engine, 3, A, Action::Open);
    let refused = Some(OpOutcome::Error(ReadError::AlreadyOpen));
    assert_eq!(get(&mut engine, 4, A, Action::Open), refused);
    assert_eq!(get(&mut engine, 5, A, Action::Take), refused);
    assert_eq!(get(&mut engine, 6, A, Action::Peek), Some(item("two")));
    assert_eq!(get(&mut engine, 7, B, Action::Open), Some(item("two")));
}

#[test]
fn those_who_wait_are_served_in_the_order_they_came() {
    let mut engine = engine();
    assert_eq!(wait(&mut engine, 1, A, Action::Take), None);
    assert_eq!(wait(&mut engine, 2, B, Action::Peek), None);
    assert_eq!(wait(&mut engine, 3, B, Action::Open), None);
    put(&mut engine, 4, "one");
    put(&mut engine, 5, "two");
    let expected = [
        (4, OpOutcome::Stored),
        (1, item("one")),
        (5, OpOutcome::Stored),
        (2, item("two")),
        (3, item("two")),
    ];
    assert_eq!(outputs(&mut engine, at(1)), expected);
}

#[test]
fn a_wait_ends_at_its_deadline() {
    let mut engine = engine();
    assert_eq!(wait(&mut engine, 1, A, Action::Take), None);
    assert_eq!(engine.poll_output(at(99)), EngineOutput::Idle(Some(at(100).instant)));
    assert_eq!(outputs(&mut engine, at(100)), [(1, OpOutcome::Empty)]);
    assert_eq!(engine.poll_output(at(100)), EngineOutput::Idle(None));
}

#[test]
fn an_item_given_to_a_reader_who_left_is_not_lost() {
    for action in [Action::Take, Action::Open] {
        let mut engine = engine();
        assert_eq!(wait(&mut engine, 1, A, action), None);
        put(&mut engine, 2, "x");
        engine.cancel(OpId(1), at(1));
        engine.disconnect(A, at(1));
        assert_eq!(get(&mut engine, 3, B, Action::Take), Some(item("x")));
    }
}

#[test]
fn a_collected_open_read_can_be_closed() {
    let mut engine = engine();
    assert_eq!(wait(&mut engine, 1, A, Action::Open), None);
    put(&mut engine, 2, "x");
    engine.collect(OpId(1));
    assert_eq!(engine.open_reads(A, b"q"), 1);
    get(&mut engine, 3, A, Action::Close);
    assert_eq!(get(&mut engine, 4, A, Action::Take), Some(OpOutcome::Empty));
}

#[test]
fn an_expired_item_is_not_given() {
    let mut engine = engine();
    let mut put = PutBuilder::new(b"q", at(0).unix).unwrap();
    put.item(Some(at(10).unix), b"short");
    put.item(None, b"long");
    engine.put(OpId(1), put.finish(), at(0)).unwrap();
    commit(&mut engine, Ok(THERE));
    let got = engine.get(OpId(2), A, b"q", Read::default(), at(10));
    assert_eq!(got, Some(item("long")));
    assert_eq!(engine.queue_stats().next().unwrap().1.expired_items, 1);
}

/// A queue of so many items that have expired at 10, and one that has not.
fn expired(count: u64) -> Engine {
    let mut engine = engine();
    let mut put = PutBuilder::new(b"q", at(0).unix).unwrap();
    for _ in 0..count {
        put.item(Some(at(10).unix), b"short");
    }
    put.item(None, b"long");
    engine.put(OpId(1), put.finish(), at(0)).unwrap();
    commit(&mut engine, Ok(THERE));
    engine
}

#[test]
fn expired_items_are_dropped_step_by_step() {
    let mut engine = expired(2 * Engine::SWEEP + 1);
    assert_eq!(engine.sweep(b"q", at(9)), 0, "not yet");
    let steps: Vec<u64> = (0..4).map(|_| engine.sweep(b"q", at(10))).collect();
    assert_eq!(steps, [Engine::SWEEP, Engine::SWEEP, 1, 0]);
    assert_eq!(engine.sweep(b"another", at(10)), 0);
    assert_eq!(get(&mut engine, 2, A, Action::Take), Some(item("long")));
}

#[test]
fn a_read_finds_what_stands_behind_any_number_of_expired_items() {
    let count = 3 * Engine::SWEEP;
    let mut engine = expired(count);
    let got = engine.get(OpId(2), A, b"q", Read::default(), at(10));
    assert_eq!(got, Some(item("long")));
    assert_eq!(engine.queue_stats().next().unwrap().1.expired_items, count);
}

#[test]
fn what_expires_takes_little_of_the_journal() {
    let mut engine = expired(Engine::SWEEP);
    engine.sweep(b"q", at(10));
    let batch = engine.begin_append().unwrap();
    assert!(batch.len < 100, "{} bytes for {} items", batch.len, Engine::SWEEP);
}

#[test]
fn an_item_that_is_open_outlives_those_that_expire_behind_it() {
    let mut journal = segment_header();
    let mut write = |engine: &mut Engine| {
        let batch = engine.begin_append().unwrap();
        journal.extend(batch.encode(SALT, journal.len() as u64).concat());
        engine.journaled(batch, Ok(THERE), at(0));
    };
    let mut engine = engine();
    let mut put = PutBuilder::new(b"q", at(0).unix).unwrap();
    put.item(None, b"open");
    for _ in 0..5 {
        put.item(Some(at(10).unix), b"short");
    }
    put.item(None, b"long");
    engine.put(OpId(1), put.finish(), at(0)).unwrap();
    write(&mut engine);
    assert_eq!(get(&mut engine, 2, A, Action::Open), Some(item("open")));
    assert_eq!(engine.sweep(b"q", at(10)), 5);
    write(&mut engine);

    let mut recovery = Recovery::new();
    recovery.segment(1, &journal, Place::LastOpen { synced: 0 });
    let mut engine = recovery.finish(Config::default(), at(5).unix).0;
    assert_eq!(get(&mut engine, 3, A, Action::Take), Some(item("open")));
    assert_eq!(get(&mut engine, 4, A, Action::Take), Some(item("long")));
}

#[test]
fn bounds_are_kept_and_count_what_is_on_its_way() {
    let mut config = Config::default();
    config.queue.max_items = 2;
    config.queue.max_item_bytes = 4;
    let mut engine = Engine::new(config);
    let mut put = |op, put| engine.put(OpId(op), put, at(0));
    assert_eq!(put(1, items(&["a", "b", "c"])), Err(PutError::Full));
    assert_eq!(put(2, items(&["a", "b"])), Ok(()));
    assert_eq!(put(3, items(&["c"])), Err(PutError::Full));
    assert_eq!(put(4, items(&["12345"])), Err(PutError::ItemTooLarge { len: 5, limit: 4 }));
    commit(&mut engine, Ok(THERE));
    get(&mut engine, 5, A, Action::Open);
    assert_eq!(engine.put(OpId(6), items(&["c"]), at(0)), Err(PutError::Full));
    get(&mut engine, 7, A, Action::Close);
    assert_eq!(engine.put(OpId(8), items(&["c"]), at(0)), Ok(()));
}

#[test]
fn many_reads_are_opened_by_a_monitor_and_confirmed_together() {
    let mut config = Config::default();
    config.queue.max_monitored_reads = 3;
    let mut engine = Engine::new(config);
    engine.put(OpId(1), items(&["a", "b", "c", "d"]), at(0)).unwrap();
    commit(&mut engine, Ok(THERE));
    for (op, expected) in (2..).zip(["a", "b", "c"]) {
        assert_eq!(get(&mut engine, op, A, Action::Monitor), Some(item(expected)));
    }
    assert_eq!(
        get(&mut engine, 5, A, Action::Monitor),
        Some(OpOutcome::Empty),
        "as many as allowed"
    );
    assert_eq!(get(&mut engine, 6, B, Action::Monitor), Some(item("d")), "but to others");

    assert!(!engine.close_many(A, b"q", 4), "fewer are open");
    assert_eq!(engine.open_reads(A, b"q"), 3, "and all stay so");
    assert!(engine.close_many(A, b"q", 2));
    engine.disconnect(A, at(0));
    assert_eq!(get(&mut engine, 7, A, Action::Take), Some(item("c")), "the first two are gone");
}

#[test]
fn what_an_item_takes_beside_its_bytes_counts_as_well() {
    let mut config = Config::default();
    config.queue.max_bytes = 1_000;
    let mut engine = Engine::new(config);
    // 160 bytes each, though they are empty: the seventh has no room, before they are safe or behind.
    assert_eq!(engine.put(OpId(1), items(&[""; 6]), at(0)), Ok(()));
    assert_eq!(engine.put(OpId(2), items(&[""]), at(0)), Err(PutError::Full));
    commit(&mut engine, Ok(THERE));
    assert_eq!(engine.put(OpId(3), items(&[""]), at(0)), Err(PutError::Full));
    assert_eq!(engine.stats().taken_bytes, 960);
    get(&mut engine, 4, A, Action::Open);
    assert_eq!(engine.put(OpId(5), items(&[""]), at(0)), Err(PutError::Full), "open is held");
    get(&mut engine, 6, A, Action::Close);
    assert_eq!(engine.put(OpId(7), items(&["0123456789".repeat(4).as_str()]), at(0)), Ok(()));
    assert_eq!(engine.stats().taken_bytes, 1_000);
}

#[test]
fn a_queue_that_discards_drops_its_oldest_items_once_the_new_ones_are_safe() {
    let mut config = Config::default();
    let mut bounds = QueueConfig::default();
    (bounds.max_items, bounds.max_bytes, bounds.discard_old) =
        (3, 10 + 3 * QueueConfig::ITEM_OVERHEAD, true);
    config.queues.insert("q".into(), bounds);
    let mut engine = Engine::new(config.clone());
    let mut journal = segment_header();
    let mut commit = |engine: &mut Engine| {
        let batch = engine.begin_append().expect("something to append");
        journal.extend(batch.encode(SALT, journal.len() as u64).concat());
        engine.journaled(batch, Ok(THERE), at(0));
    };
    let put = |engine: &mut Engine, op, put| engine.put(OpId(op), put, at(0));

    // An item that is open stays.
    put(&mut engine, 1, items(&["a", "b", "c"])).unwrap();
    commit(&mut engine);
    assert_eq!(get(&mut engine, 2, A, Action::Open), Some(item("a")));
    put(&mut engine, 3, items(&["d", "e"])).unwrap();
    assert_eq!(engine.queue_stats().next().unwrap().1.items, 2, "nothing goes before they came");
    commit(&mut engine);
    let stats = engine.queue_stats().next().unwrap().1;
    assert_eq!((stats.items, stats.discarded), (2, 2));
    assert_eq!(get(&mut engine, 4, B, Action::Peek), Some(item("d")));

    // Bytes count as well, and what could never fit is refused.
    let large = "x".repeat(2 * 160 + 11);
    assert_eq!(put(&mut engine, 5, items(&[&large])), Err(PutError::Full));
    assert_eq!(put(&mut engine, 6, items(&["1", "2", "3", "4"])), Err(PutError::Full));
    put(&mut engine, 7, items(&["12345678"])).unwrap();
    commit(&mut engine);
    assert_eq!(engine.queue_stats().next().unwrap().1.bytes, 9);

    // The journal knows what went.
    commit(&mut engine);
    let mut recovery = Recovery::new();
    recovery.segment(1, &journal, Place::LastOpen { synced: 0 });
    let mut engine = recovery.finish(config, at(0).unix).0;
    for expected in ["a", "e", "12345678"] {
        assert_eq!(get(&mut engine, 9, A, Action::Take), Some(item(expected)));
    }
    assert_eq!(get(&mut engine, 9, A, Action::Take), Some(OpOutcome::Empty));
}

#[test]
fn a_journal_that_is_behind_refuses_more() {
    let mut config = Config::default();
    config.max_backlog = 100;
    let mut engine = Engine::new(config);
    assert_eq!(engine.put(OpId(1), items(&["0123456789"]), at(0)), Ok(()));
    assert_eq!(engine.put(OpId(2), items(&["0123456789"]), at(0)), Err(PutError::Busy));
    commit(&mut engine, Ok(THERE));
    assert_eq!(engine.put(OpId(3), items(&["0123456789"]), at(0)), Ok(()));
}

#[test]
fn a_journal_that_is_full_refuses_more_and_moves_what_is_left_of_its_oldest_segment() {
    let mut config = Config::default();
    config.max_journal_bytes = 1_000;
    let mut engine = Engine::new(config);
    let mut journal = Journal::new();
    engine.put(OpId(1), items(&["old"]), at(0)).unwrap();
    journal.commit(&mut engine, at(0));
    journal.rotate();
    engine.compact(945, 2);
    journal.serve(&mut engine, at(0));
    let refused = engine.put(OpId(2), items(&["0123456789"]), at(0));
    assert_eq!(refused, Err(PutError::JournalFull));
    assert_eq!(refused.unwrap_err().to_string(), "the journal is full; read items to make room");
    assert_eq!(engine.stats().refused_journal_full, 1);
    // Most of it is not needed: the item is written again, so that its segment can go.
    assert_eq!(engine.oldest_needed(2), 1);
    journal.commit(&mut engine, at(0));
    assert_eq!(engine.oldest_needed(2), 2);
    // Far from the bound that is not worth it.
    engine.compact(700, 3);
    assert_eq!(engine.begin_append(), None);
    assert_eq!(engine.put(OpId(3), items(&["0123456789"]), at(0)), Ok(()));
}

#[test]
fn flush_drops_what_is_readable_and_keeps_what_is_open() {
    let mut engine = engine();
    put(&mut engine, 1, "open");
    put(&mut engine, 2, "flushed");
    get(&mut engine, 3, A, Action::Open);
    engine.flush(b"q");
    assert_eq!(get(&mut engine, 4, B, Action::Take), Some(OpOutcome::Empty));
    get(&mut engine, 5, A, Action::Abort);
    assert_eq!(get(&mut engine, 6, B, Action::Take), Some(item("open")));
}

#[test]
fn a_flush_leaves_the_bytes_of_what_is_open_and_no_others() {
    let with_open = |others: &[&str]| {
        let mut engine = engine();
        let mut journal = Journal::new();
        engine.put(OpId(1), items(&[&["open"], others].concat()), at(0)).unwrap();
        journal.commit(&mut engine, at(0));
        get(&mut engine, 2, A, Action::Open);
        if !others.is_empty() {
            engine.flush(b"q");
            journal.commit(&mut engine, at(0));
        }
        engine.stats_of(b"q")
    };
    let (alone, flushed) = (with_open(&[]), with_open(&["flushed", "with it"]));
    assert_eq!((flushed.items, flushed.taken_bytes), (alone.items, alone.taken_bytes));
}

#[test]
fn a_flush_in_the_journal_ends_what_went_before_it_though_that_removal_is_not_written_yet() {
    let mut config = Config::default();
    config.queue.fsync = Fsync::Never;
    config.queues.insert("strict".into(), QueueConfig::default());
    let mut engine = Engine::new(config.clone());
    let mut journal = Journal::new();
    for (op, item) in (1..).zip(["taken", "open", "flushed"]) {
        engine.put(OpId(op), items(&[item]), at(0)).unwrap();
        assert!(journal.commit(&mut engine, at(0)));
    }
    get(&mut engine, 4, A, Action::Take).unwrap();
    get(&mut engine, 5, A, Action::Open).unwrap();
    let lost = engine.begin_append().unwrap();
    engine.flush(b"q");
    let mut strict = PutBuilder::new(b"strict", at(0).unix).unwrap();
    strict.item(None, b"x");
    engine.put(OpId(6), strict.finish(), at(0)).unwrap();
    // The removal is written again, but behind the put that demands a sync; the flush stands before that.
    engine.journaled(lost, Err(AppendError), at(0));
    assert!(journal.commit(&mut engine, at(0)));
    assert_eq!(engine.unwritten_removals(), 1);

    let recovered = journal.recover(Recovery::new());
    let mut again = recovered.finish(config, at(0).unix).0;
    assert_eq!(get(&mut again, 7, B, Action::Take), Some(item("open")));
    assert_eq!(get(&mut again, 8, B, Action::Take), Some(OpOutcome::Empty));
}

#[test]
fn segments_are_needed_while_an_item_in_them_lives() {
    let mut engine = engine();
    for segment in [1, 2] {
        engine.put(OpId(segment), items(&["x"]), at(0)).unwrap();
        commit(&mut engine, Ok(Written { segment, offset: 64 }));
    }
    assert_eq!(engine.oldest_needed(3), 1);
    get(&mut engine, 3, A, Action::Open);
    assert_eq!(engine.oldest_needed(3), 1);
    get(&mut engine, 4, A, Action::Close);
    assert_eq!(engine.oldest_needed(3), 2);
    get(&mut engine, 5, A, Action::Take);
    assert_eq!(engine.oldest_needed(3), 3);
}

#[test]
fn compaction_moves_a_lone_item_out_of_an_old_segment() {
    let mut config = Config::default();
    config.compact_from = 0;
    let mut engine = Engine::new(config);
    let mut journal = Journal::new();
    engine.put(OpId(1), items(&["lone"]), at(0)).unwrap();
    journal.commit(&mut engine, at(0));
    (0..8).for_each(|_| journal.rotate());
    assert_eq!(engine.oldest_needed(9), 1);
    engine.compact(1_000_000, 9);
    journal.serve(&mut engine, at(0));
    journal.commit(&mut engine, at(0));
    assert_eq!(engine.oldest_needed(9), 9);
    assert_eq!(get(&mut engine, 2, A, Action::Take), Some(item("lone")));
}

fn put_to(engine: &mut Engine, op: u64, queue: &str) -> Result<(), PutError> {
    let mut put = PutBuilder::new(queue.as_bytes(), at(0).unix).unwrap();
    put.item(None, b"x");
    engine.put(OpId(op), put.finish(), at(0))?;
    commit(engine, Ok(THERE));
    Ok(())
}

fn names(engine: &Engine) -> Vec<String> {
    let names = engine.queue_stats().map(|(name, _)| String::from_utf8_lossy(name).into_owned());
    names.collect()
}

fn few_queues() -> Engine {
    let mut config = Config::default();
    (config.max_queues, config.own_queues) = (2, vec![b"own".to_vec().into()]);
    Engine::new(config)
}

#[test]
fn a_read_makes_no_queue_also_when_it_waits() {
    let mut engine = engine();
    let mut op = 0;
    for action in [Action::Take, Action::Peek, Action::Open, Action::CloseOpen] {
        for timeout in [None, Some(Duration::from_millis(1))] {
            op += 1;
            engine.get(OpId(op), A, b"q", Read { action, timeout }, at(0));
        }
    }
    assert!(names(&engine).is_empty());
    assert_eq!(outputs(&mut engine, at(1)).len(), 4, "the waits end all the same");
}

#[test]
fn who_waits_for_a_queue_that_is_not_there_gets_its_first_item() {
    let mut engine = engine();
    assert_eq!(wait(&mut engine, 1, A, Action::Take), None);
    put(&mut engine, 2, "first");
    assert_eq!(outputs(&mut engine, at(1)), [(2, OpOutcome::Stored), (1, item("first"))]);
}

#[test]
fn empty_queues_make_room_for_others_and_those_with_items_do_not() {
    let mut engine = few_queues();
    assert_eq!(put_to(&mut engine, 1, "a"), Ok(()));
    assert_eq!(put_to(&mut engine, 2, "b"), Ok(()));
    assert_eq!(put_to(&mut engine, 3, "c"), Err(PutError::TooManyQueues));
    assert_eq!(engine.stats().refused_too_many_queues, 1);
    assert_eq!(engine.get(OpId(4), A, b"a", Action::Open.into(), at(0)), Some(item("x")));
    assert_eq!(put_to(&mut engine, 5, "c"), Err(PutError::TooManyQueues), "an open item is one");
    engine.get(OpId(6), A, b"a", Action::Close.into(), at(0));
    assert_eq!(put_to(&mut engine, 7, "c"), Ok(()));
    assert_eq!(names(&engine), ["b", "c"]);
    engine.flush(b"b");
    assert_eq!(put_to(&mut engine, 8, "d"), Ok(()));
    assert_eq!(names(&engine), ["c", "d"]);
}

#[test]
fn a_queue_that_a_refused_put_had_made_makes_room_as_well() {
    let mut engine = few_queues();
    for queue in [b"a", b"b"] {
        let mut put = PutBuilder::new(queue, at(0).unix).unwrap();
        put.item(None, b"x");
        engine.put(OpId(1), put.finish(), at(0)).unwrap();
        commit(&mut engine, Err(AppendError));
    }
    assert_eq!(put_to(&mut engine, 2, "c"), Ok(()));
    assert_eq!(put_to(&mut engine, 3, "d"), Ok(()));
    assert_eq!(names(&engine), ["c", "d"]);
}

#[test]
fn the_applications_own_queues_are_not_counted_and_stay() {
    let mut engine = few_queues();
    for queue in ["a", "b"] {
        assert_eq!(put_to(&mut engine, 1, queue), Ok(()));
    }
    assert_eq!(put_to(&mut engine, 2, "own"), Ok(()));
    assert_eq!(put_to(&mut engine, 3, "c"), Err(PutError::TooManyQueues));
    for queue in ["a", "own"] {
        engine.flush(queue.as_bytes());
    }
    assert_eq!(put_to(&mut engine, 4, "c"), Ok(()));
    assert_eq!(names(&engine), ["b", "c", "own"]);
    assert_eq!(put_to(&mut engine, 5, "own"), Ok(()));
}
