//! The store with its journal's thread, on the simulated disk.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant as StdInstant};

use crate::disk::{Faults, SimDirectory, seed};
use windhover::journal::{self, Fsync};
use windhover::store::{Begun, Store, StoreCloser, Ticket};
use windhover_core::queue::{Action, Config, Outcome, Put, PutBuilder, Read};
use windhover_core::{Instant, Now, UnixTime};

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

pub(crate) fn end_of(ticket: &mut Ticket) -> Outcome {
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
    let keep = |_: &str, _: &[u8]| Ok(());
    let config = Config::default();
    let opened =
        journal::open(directory.clone(), &keep, Fsync::Always, 4_000, config, now().unix).unwrap();
    Store::start(opened.engine, opened.journal, now).unwrap()
}

fn item(data: &str) -> Put {
    let mut put = PutBuilder::new(b"q", now().unix).unwrap();
    put.item(None, data.as_bytes());
    put.finish()
}

fn take(store: &Store) -> Option<String> {
    match store.reader().get(b"q", Action::Take.into(), now()) {
        Begun::Done(Outcome::Item(item)) => Some(String::from_utf8(item.to_vec()).unwrap()),
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
        assert_eq!(end_of(ticket), Outcome::Stored);
    }
    assert_eq!(take(&store), Some("0".to_owned()));
    closer.close(Duration::from_secs(10)).unwrap();

    let (store, closer) = start(&directory);
    for n in 1..100 {
        assert_eq!(take(&store), Some(n.to_string()));
    }
    assert_eq!(take(&store), None);
    closer.close(Duration::from_secs(10)).unwrap();
}

#[test]
fn a_full_disk_is_an_answer_and_ends_when_there_is_room() {
    seed(1);
    let directory = SimDirectory::default();
    let (store, closer) = start(&directory);
    directory.set_faults(Faults { full: 1, ..Faults::default() });
    assert_eq!(end_of(&mut store.put(item("lost"), now()).unwrap()), Outcome::NotJournaled);
    assert!(!store.stats().1.healthy);

    directory.set_faults(Faults::default());
    let begun = StdInstant::now();
    while !store.stats().1.healthy {
        assert!(begun.elapsed() < Duration::from_secs(10), "it must find out by itself");
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(end_of(&mut store.put(item("kept"), now()).unwrap()), Outcome::Stored);
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
    assert_eq!(end_of(&mut put), Outcome::Stored);
    drop(abandoned);
    drop(gone);
    assert_eq!(end_of(&mut waits), Outcome::Item(b"x".to_vec().into()));
    closer.close(Duration::from_secs(10)).unwrap();
}

#[test]
fn segments_go_when_their_items_are_gone() {
    let directory = SimDirectory::default();
    let (store, closer) = start(&directory);
    for n in 0..200 {
        assert_eq!(
            end_of(&mut store.put(item(&format!("{n:0100}")), now()).unwrap()),
            Outcome::Stored
        );
    }
    assert!(store.stats().1.segments > 5);
    while take(&store).is_some() {}
    assert_eq!(end_of(&mut store.put(item("last"), now()).unwrap()), Outcome::Stored);
    assert_eq!(end_of(&mut store.put(item("really"), now()).unwrap()), Outcome::Stored);
    assert!(store.stats().1.segments <= 3, "{:?}", store.stats());
    closer.close(Duration::from_secs(10)).unwrap();
}
