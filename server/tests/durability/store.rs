//! The store with its journal's thread, on the simulated disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant as StdInstant};

use crate::disk::{Faults, SimDirectory, seed};
use windhover_core::queue::{Action, Config, Engine, Fsync, OpOutcome, Put, PutBuilder, Read};
use windhover_core::{Instant, Now, UnixTime};
use windhover_server::journal;
use windhover_server::store::{Begun, Store, StoreCloser, Ticket};

/// Whether somebody was woken.
#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Wakes the thread that waits, as a runtime's waker wakes its task.
struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn now() -> Now {
    Now { instant: Instant::default(), unix: UnixTime::from_secs(1_000) }
}

pub(crate) fn end_of(ticket: &mut Ticket) -> OpOutcome {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let begun = StdInstant::now();
    loop {
        if let Poll::Ready(outcome) = ticket.poll(now(), &mut Context::from_waker(&waker)) {
            return outcome;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "no outcome came");
        thread::park_timeout(Duration::from_millis(100));
    }
}

fn start(directory: &SimDirectory) -> (Store, StoreCloser) {
    start_with(directory, Config::default())
}

fn start_with(directory: &SimDirectory, config: Config) -> (Store, StoreCloser) {
    let keep = |_: &str, _: &[u8]| Ok(());
    let opened = journal::open(directory.clone(), &keep, 4_000, config, now().unix).unwrap();
    Store::start(opened.engine, opened.journal, now).unwrap()
}

fn item(data: &str) -> Put {
    let mut put = PutBuilder::new(b"q", now().unix).unwrap();
    put.item(None, data.as_bytes());
    put.finish()
}

fn take(store: &Store) -> Option<String> {
    match store.reader().get(b"q", Action::Take.into(), now()) {
        Begun::Done(OpOutcome::Item(item)) => Some(String::from_utf8(item.to_vec()).unwrap()),
        _ => None,
    }
}

#[test]
fn what_was_stored_is_there_after_a_restart() {
    let directory = SimDirectory::default();
    let (store, closer) = start(&directory);
    let mut tickets: Vec<Ticket> =
        (0..100).map(|n| store.put(item(&n.to_string()), now()).unwrap()).collect();
    for ticket in &mut tickets {
        assert_eq!(end_of(ticket), OpOutcome::Stored);
    }
    assert_eq!(take(&store), Some("0".to_owned()));
    closer.close(Duration::from_secs(10)).unwrap();

    let (store, closer) = start(&directory);
    // Known before anything is written.
    let found = store.stats().1;
    assert!(found.healthy && found.segments > 0 && found.bytes > 100, "{found:?}");
    assert_eq!((found.batches, found.failures), (0, 0));
    for n in 1..100 {
        assert_eq!(take(&store), Some(n.to_string()));
    }
    assert_eq!(take(&store), None);
    closer.close(Duration::from_secs(10)).unwrap();
}

#[test]
fn a_put_whose_ticket_is_dropped_after_a_poll_is_written_all_the_same() {
    let directory = SimDirectory::default();
    // Nothing else wakes the journal's thread.
    let mut config = Config::default();
    config.queue.fsync = Fsync::Never;
    let (store, closer) = start_with(&directory, config);
    for polls in 0..3 {
        let mut ticket = store.put(item("x"), now()).unwrap();
        for _ in 0..polls {
            let _ = ticket.poll(now(), &mut Context::from_waker(Waker::noop()));
        }
        drop(ticket);
        let begun = StdInstant::now();
        while store.stats_of("q").items <= polls {
            assert!(begun.elapsed() < Duration::from_secs(10), "nobody writes it: {polls} polls");
            thread::sleep(Duration::from_millis(1));
        }
    }
    closer.close(Duration::from_secs(10)).unwrap();
}

#[test]
fn a_full_disk_is_an_answer_and_ends_when_there_is_room() {
    seed(1);
    let directory = SimDirectory::default();
    let (store, closer) = start(&directory);
    directory.set_faults(Faults { full: 1, ..Faults::default() });
    assert_eq!(end_of(&mut store.put(item("lost"), now()).unwrap()), OpOutcome::NotJournaled);
    assert!(!store.stats().1.healthy);

    directory.set_faults(Faults::default());
    let begun = StdInstant::now();
    while !store.stats().1.healthy {
        assert!(begun.elapsed() < Duration::from_secs(10), "it must find out by itself");
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(end_of(&mut store.put(item("kept"), now()).unwrap()), OpOutcome::Stored);
    assert_eq!(take(&store), Some("kept".to_owned()));
    closer.close(Duration::from_secs(10)).unwrap();
}

#[test]
fn a_reader_that_waits_is_woken_by_a_put_and_an_abandoned_wait_loses_nothing() {
    let directory = SimDirectory::default();
    let (store, closer) = start(&directory);
    let read = Read { action: Action::Take, timeout: Some(Duration::from_secs(60)) };
    let mut gone = store.reader();
    let mut stays = store.reader();
    let Begun::Waiting(abandoned) = gone.get(b"q", read, now()) else { panic!("it must wait") };
    let Begun::Waiting(mut waits) = stays.get(b"q", read, now()) else { panic!("it must wait") };

    let mut put = store.put(item("x"), now()).unwrap();
    assert_eq!(end_of(&mut put), OpOutcome::Stored);
    drop(abandoned);
    drop(gone);
    assert_eq!(end_of(&mut waits), OpOutcome::Item(b"x".to_vec().into()));
    closer.close(Duration::from_secs(10)).unwrap();
}

#[test]
fn segments_go_when_their_items_are_gone() {
    let directory = SimDirectory::default();
    let (store, closer) = start(&directory);
    for n in 0..200 {
        assert_eq!(
            end_of(&mut store.put(item(&format!("{n:0100}")), now()).unwrap()),
            OpOutcome::Stored
        );
    }
    assert!(store.stats().1.segments > 5);
    while take(&store).is_some() {}
    assert_eq!(end_of(&mut store.put(item("last"), now()).unwrap()), OpOutcome::Stored);
    assert_eq!(end_of(&mut store.put(item("really"), now()).unwrap()), OpOutcome::Stored);
    assert!(store.stats().1.segments <= 3, "{:?}", store.stats());
    closer.close(Duration::from_secs(10)).unwrap();
}

#[test]
fn a_read_behind_many_expired_items_lets_others_in_between() {
    let directory = SimDirectory::default();
    let (store, closer) = start(&directory);
    let mut put = PutBuilder::new(b"q", now().unix).unwrap();
    for _ in 0..10 * Engine::SWEEP {
        put.item(Some(UnixTime::from_millis(1)), b"expired");
    }
    put.item(None, b"live");
    assert_eq!(end_of(&mut store.put(put.finish(), now()).unwrap()), OpOutcome::Stored);

    let mut reader = store.reader();
    let Begun::Waiting(mut ticket) = reader.get(b"q", Action::Open.into(), now()) else {
        panic!("it must be given up in between")
    };
    let mut turns = 0;
    let outcome = loop {
        turns += 1;
        assert!(turns < 100);
        let woken = Arc::new(Flag::default());
        let waker = Waker::from(woken.clone());
        match ticket.poll(now(), &mut Context::from_waker(&waker)) {
            Poll::Ready(outcome) => break outcome,
            Poll::Pending => assert!(woken.0.load(Ordering::Relaxed), "it goes on by itself"),
        }
        assert!(store.queue_stats().iter().all(|(_, stats)| stats.items > 0), "others get in");
    };
    assert_eq!(outcome, OpOutcome::Item(b"live".to_vec().into()));
    assert!(turns >= 10, "{turns}");
    drop(reader);
    assert_eq!(take(&store), Some("live".to_owned()), "it was open");
    closer.close(Duration::from_secs(10)).unwrap();
}

#[test]
fn a_wait_behind_many_expired_items_ends_in_time() {
    let directory = SimDirectory::default();
    let (store, closer) = start(&directory);
    let mut put = PutBuilder::new(b"q", now().unix).unwrap();
    for _ in 0..2 * Engine::SWEEP {
        put.item(Some(UnixTime::from_millis(1)), b"expired");
    }
    assert_eq!(end_of(&mut store.put(put.finish(), now()).unwrap()), OpOutcome::Stored);
    let at = |millis| Now { instant: Instant::from_epoch(Duration::from_millis(millis)), ..now() };

    let mut reader = store.reader();
    let read = Read { action: Action::Take, timeout: Some(Duration::from_millis(100)) };
    let Begun::Waiting(mut ticket) = reader.get(b"q", read, at(0)) else { panic!("it waits") };
    let mut poll = |millis| ticket.poll(at(millis), &mut Context::from_waker(Waker::noop()));
    assert_eq!([poll(40), poll(80), poll(99)], [const { Poll::Pending }; 3]);
    assert_eq!(poll(100), Poll::Ready(OpOutcome::Empty));
    drop(reader);
    closer.close(Duration::from_secs(10)).unwrap();
}

#[test]
fn what_an_operator_flushes_as_expired_is_counted_whole() {
    let directory = SimDirectory::default();
    let (store, closer) = start(&directory);
    for queue in [b"a", b"b"] {
        let mut put = PutBuilder::new(queue, now().unix).unwrap();
        for _ in 0..=2 * Engine::SWEEP {
            put.item(Some(UnixTime::from_millis(1)), b"expired");
        }
        put.item(None, b"live");
        assert_eq!(end_of(&mut store.put(put.finish(), now()).unwrap()), OpOutcome::Stored);
    }
    assert_eq!(store.flush_expired(b"a", now()), 2 * Engine::SWEEP + 1);
    assert_eq!(store.flush_all_expired(now()), 2 * Engine::SWEEP + 1);
    assert_eq!(store.stats().0.items, 2);
    closer.close(Duration::from_secs(10)).unwrap();
}
