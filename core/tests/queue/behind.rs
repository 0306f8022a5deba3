//! Queues that are larger than memory.

use std::time::Duration;

use windhover_core::queue::{
    Action, Config, ConnId, Engine, EngineOutput, JournalRead, OpId, OpOutcome, Put, PutBuilder,
    QueueConfig, Read, ReadBackError, ReadError,
};
use windhover_core::{Instant, Now, UnixTime};

use crate::journal::Journal;

const A: ConnId = ConnId(1);

fn at(millis: u64) -> Now {
    Now {
        instant: Instant::from_epoch(Duration::from_millis(millis)),
        unix: UnixTime::from_millis(1_000_000 + millis),
    }
}

fn numbered(numbers: std::ops::Range<u64>) -> Put {
    let mut put = PutBuilder::new(b"q", at(0).unix).unwrap();
    for number in numbers {
        put.item(None, format!("{number:010}").as_bytes());
    }
    put.finish()
}

fn item(number: u64) -> OpOutcome {
    OpOutcome::Item(format!("{number:010}").into_bytes().into())
}

/// An engine that has memory for so many items of ten bytes.
fn engine(items: u64) -> (Engine, Journal) {
    let mut config = Config::default();
    config.queue_memory = QueueConfig::taken(items, 10 * items);
    (Engine::new(config), Journal::new())
}

fn put(engine: &mut Engine, journal: &mut Journal, numbers: std::ops::Range<u64>) {
    for number in numbers {
        engine.put(OpId(number), numbered(number..number + 1), at(0)).unwrap();
        journal.commit(engine, at(0));
        while let EngineOutput::Done { outcome, .. } = engine.poll_output(at(0)) {
            assert_eq!(outcome, OpOutcome::Stored);
        }
    }
}

fn next_read(engine: &mut Engine, now: Now) -> JournalRead {
    match engine.poll_output(now) {
        EngineOutput::Read(read) => read,
        other => panic!("no read but {other:?}"),
    }
}

#[test]
fn what_has_no_room_in_memory_comes_out_in_order_all_the_same() {
    let (mut engine, mut journal) = engine(10);
    put(&mut engine, &mut journal, 1..1_000);
    let stats = engine.stats();
    assert_eq!((stats.items, stats.bytes), (999, 9_990));
    assert!(stats.memory_bytes <= QueueConfig::taken(10, 100), "{}", stats.memory_bytes);
    let mut most = 0;
    for number in 1..1_000 {
        let op = OpId(1_000 + number);
        let got = engine.get(op, A, b"q", Action::Take.into(), at(0));
        let done = journal.serve(&mut engine, at(0));
        engine.collect(op);
        let got = got.or_else(|| done.first().map(|done| done.1.clone()));
        assert_eq!(got, Some(item(number)));
        most = most.max(engine.stats().memory_bytes);
        journal.commit(&mut engine, at(0));
    }
    assert_eq!(engine.stats().items, 0);
    assert_eq!(engine.stats().memory_bytes, 0);
    assert!(engine.stats().read_back_items > 900);
    let got = engine.get(OpId(9_999), A, b"q", Action::Take.into(), at(0));
    assert_eq!(got, Some(OpOutcome::Empty));
}

#[test]
fn a_read_waits_for_what_has_to_be_read_back_and_fails_when_it_does_not_come() {
    let (mut engine, mut journal) = engine(0);
    put(&mut engine, &mut journal, 1..4);
    assert_eq!(engine.get(OpId(10), A, b"q", Read::default(), at(0)), None);
    let read = next_read(&mut engine, at(0));
    let deadline = at(2_000).instant;
    assert_eq!(engine.poll_output(at(0)), EngineOutput::Idle(Some(deadline)));
    // It fails, and is tried again, until the reader has waited long enough.
    let failed = ReadBackError { segment: 1, offset: 64 };
    assert!(engine.read_back(&read, Err(failed), at(0)));
    assert_eq!(engine.poll_output(at(0)), EngineOutput::Idle(Some(at(200).instant)));
    let again = next_read(&mut engine, at(200));
    assert_eq!(again.range(), read.range());
    let error = OpOutcome::Error(ReadError::NotReadBack);
    let end = EngineOutput::Done { op: OpId(10), outcome: error.clone() };
    assert_eq!(engine.poll_output(at(2_000)), end);
    // No item was given up.
    assert!(engine.read_back(&again, Err(failed), at(2_000)));
    assert_eq!(engine.stats().read_back_failures, 2);
    assert_eq!(engine.get(OpId(11), A, b"q", Action::Peek.into(), at(2_100)), None);
    assert_eq!(journal.serve(&mut engine, at(2_200)), [(11, item(1))]);
}

#[test]
fn a_flush_ends_the_reads_that_wait_for_what_it_drops() {
    let (mut engine, mut journal) = engine(0);
    put(&mut engine, &mut journal, 1..4);
    assert_eq!(engine.get(OpId(10), A, b"q", Read::default(), at(0)), None);
    let read = next_read(&mut engine, at(0));
    // This one would wait for another item, too.
    let waits = Read { timeout: Some(Duration::from_secs(1)), ..Read::default() };
    assert_eq!(engine.get(OpId(20), A, b"q", waits, at(0)), None);
    engine.flush(b"q");
    let end = EngineOutput::Done { op: OpId(10), outcome: OpOutcome::Empty };
    assert_eq!(engine.poll_output(at(0)), end);
    journal.commit(&mut engine, at(0));
    assert_eq!(engine.poll_output(at(0)), EngineOutput::Idle(Some(at(1_000).instant)));
    let end = EngineOutput::Done { op: OpId(20), outcome: OpOutcome::Empty };
    assert_eq!(engine.poll_output(at(1_000)), end);
    assert!(!engine.read_back(&read, journal.read(&read), at(0)), "nobody wants it any more");
    assert_eq!((engine.stats().items, engine.stats().memory_bytes), (0, 0));
    put(&mut engine, &mut journal, 4..5);
    assert_eq!(engine.get(OpId(11), A, b"q", Read::default(), at(0)), None);
    assert_eq!(journal.serve(&mut engine, at(0)), [(11, item(4))]);
}

#[test]
fn what_expired_behind_the_head_is_an_empty_queue_to_those_who_wait() {
    let (mut engine, mut journal) = engine(0);
    let mut put = PutBuilder::new(b"q", at(0).unix).unwrap();
    put.item(Some(at(10).unix), b"short");
    engine.put(OpId(1), put.finish(), at(0)).unwrap();
    journal.commit(&mut engine, at(0));
    assert_eq!(engine.get(OpId(2), A, b"q", Read::default(), at(10)), None);
    let done = journal.serve(&mut engine, at(10));
    assert_eq!(done, [(1, OpOutcome::Stored), (2, OpOutcome::Empty)]);
    assert_eq!((engine.stats().items, engine.stats_of(b"q").expired_items), (0, 1));
}

#[test]
fn those_who_wait_get_what_is_put_without_a_read() {
    let (mut engine, mut journal) = engine(0);
    let read = Read { action: Action::Take, timeout: Some(Duration::from_secs(1)) };
    assert_eq!(engine.get(OpId(1), A, b"q", read, at(0)), None);
    engine.put(OpId(2), numbered(7..8), at(0)).unwrap();
    journal.commit(&mut engine, at(0));
    let outcomes = [EngineOutput::Done { op: OpId(2), outcome: OpOutcome::Stored }];
    assert_eq!([engine.poll_output(at(0))], outcomes);
    assert_eq!(engine.poll_output(at(0)), EngineOutput::Done { op: OpId(1), outcome: item(7) });
}

#[test]
fn a_queue_that_discards_does_so_though_a_read_is_aborted_before_it_knows_what_goes() {
    let mut config = Config::default();
    config.queue_memory = 0;
    (config.queue.max_items, config.queue.discard_old) = (3, true);
    let (mut engine, mut journal) = (Engine::new(config), Journal::new());
    put(&mut engine, &mut journal, 1..2);
    journal.rotate();
    put(&mut engine, &mut journal, 2..4);
    assert_eq!(engine.get(OpId(10), A, b"q", Action::Open.into(), at(0)), None);
    assert_eq!(journal.serve(&mut engine, at(0)), [(10, item(1))]);
    engine.collect(OpId(10));
    // The queue is full, and what is to go has to be read back.
    engine.put(OpId(11), numbered(4..5), at(0)).unwrap();
    journal.commit(&mut engine, at(0));
    engine.disconnect(A, at(0));
    assert_eq!(journal.serve(&mut engine, at(0)), [(11, OpOutcome::Stored)]);
    assert_eq!(engine.stats_of(b"q").items, 3);
    assert_eq!(engine.stats_of(b"q").discarded, 1);
}

#[test]
fn a_queue_that_no_longer_discards_keeps_what_was_to_go_when_it_is_read_back() {
    let mut config = Config::default();
    config.queue_memory = 0;
    (config.queue.max_items, config.queue.discard_old) = (3, true);
    let (mut engine, mut journal) = (Engine::new(config.clone()), Journal::new());
    for (op, numbers) in [(1, 1..3), (2, 3..5)] {
        engine.put(OpId(op), numbered(numbers), at(0)).unwrap();
        journal.commit(&mut engine, at(0));
        let stored = EngineOutput::Done { op: OpId(op), outcome: OpOutcome::Stored };
        assert_eq!(engine.poll_output(at(0)), stored);
    }
    // One is to go, which one has to be read; meanwhile the bounds change.
    let read = next_read(&mut engine, at(0));
    config.queue.discard_old = false;
    engine.set_config(config);
    assert!(engine.read_back(&read, journal.read(&read), at(0)));
    assert_eq!(engine.stats_of(b"q").items, 4);
    assert_eq!(engine.stats_of(b"q").discarded, 0);
}

#[test]
fn a_queue_that_discards_its_oldest_drops_what_is_not_in_memory_too() {
    let mut config = Config::default();
    config.queue_memory = 0;
    config.queue.max_items = 2;
    config.queue.discard_old = true;
    let (mut engine, mut journal) = (Engine::new(config), Journal::new());
    for number in 1..50 {
        engine.put(OpId(number), numbered(number..number + 1), at(0)).unwrap();
        if number % 7 == 0 {
            journal.rotate();
        }
        journal.commit(&mut engine, at(0));
        journal.serve(&mut engine, at(0));
        let stats = engine.stats_of(b"q");
        assert_eq!((stats.items, stats.discarded), (number.min(2), number.saturating_sub(2)));
    }
    for number in [48, 49] {
        let got = engine.get(OpId(number + 10), A, b"q", Read::default(), at(0));
        let done = journal.serve(&mut engine, at(0));
        assert_eq!(got.unwrap_or_else(|| done[0].1.clone()), item(number));
        engine.collect(OpId(number + 10));
    }
}

#[test]
fn compaction_moves_what_is_not_in_memory() {
    let mut config = Config::default();
    config.queue_memory = 0;
    config.compact_from = 0;
    config.compact_ratio = 0;
    let (mut engine, mut journal) = (Engine::new(config), Journal::new());
    put(&mut engine, &mut journal, 1..30);
    journal.rotate();
    put(&mut engine, &mut journal, 30..60);
    while engine.oldest_needed(journal.active()) == 1 {
        engine.compact(journal.len(), journal.active());
        journal.serve(&mut engine, at(0));
        assert!(journal.commit(&mut engine, at(0)), "nothing is moved");
    }
    assert_eq!(engine.stats().memory_bytes, 0);
    for number in 1..60 {
        let op = OpId(100 + number);
        let got = engine.get(op, A, b"q", Read::default(), at(0));
        let done = journal.serve(&mut engine, at(0));
        assert_eq!(got.unwrap_or_else(|| done[0].1.clone()), item(number));
        engine.collect(op);
    }
    assert_eq!(engine.stats().items, 0);
}
