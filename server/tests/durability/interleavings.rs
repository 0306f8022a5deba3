//! Models of the places where connections and the journal's threads meet, run by loom in every order: a put, a read
//! or a thread that nobody wakes is a deadlock there. `conformance/interleavings` runs them.
//!
//! No time passes in a model: nothing is mended by a deadline. The disk is no place where threads meet.

use std::future::poll_fn;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::disk::{SimDirectory, seed};
use loom::future::block_on;
use loom::thread::{self, JoinHandle};
use windhover_core::queue::{Action, Config, OpOutcome, Put, PutBuilder, Read};
use windhover_core::{Instant, Now, UnixTime};
use windhover_runtime::model::model_of_few;
use windhover_server::journal;
use windhover_server::store::{Begun, Store, StoreCloser, Ticket};

fn now() -> Now {
    Now { instant: Instant::default(), unix: UnixTime::from_secs(1_000) }
}

/// A store that keeps so many bytes of items in memory.
fn start(queue_memory: u64) -> (Store, StoreCloser) {
    seed(1);
    let keep = |_: &str, _: &[u8]| Ok(());
    let mut config = Config::default();
    config.queue_memory = queue_memory;
    let directory = SimDirectory::default();
    let opened = journal::open(directory, &keep, 1 << 20, config, now().unix).unwrap();
    Store::start(opened.engine, opened.journal, now).unwrap()
}

fn end(closer: StoreCloser) {
    closer.close(Duration::ZERO).unwrap();
}

fn item() -> Put {
    let mut put = PutBuilder::new(b"q", now().unix).unwrap();
    put.item(None, b"item");
    put.finish()
}

fn end_of(mut ticket: Ticket) -> OpOutcome {
    block_on(poll_fn(|cx| ticket.poll(now(), cx)))
}

/// Puts an item as a tracker's connection does: whose waker is known before the ticket is polled.
fn put(store: &Store) {
    let mut ticket = None;
    let outcome = block_on(poll_fn(|cx| {
        let ticket = ticket.get_or_insert_with(|| {
            store.put_claimed(item(), None, now(), Some(cx.waker())).unwrap()
        });
        ticket.poll(now(), cx)
    }));
    assert_eq!(outcome, OpOutcome::Stored);
}

fn puts(store: &Store) -> JoinHandle<()> {
    let store = store.clone();
    thread::spawn(move || put(&store))
}

/// Takes an item, which is waited for.
fn takes(store: &Store) -> JoinHandle<()> {
    let store = store.clone();
    thread::spawn(move || {
        let mut reader = store.reader();
        let read = Read { action: Action::Take, timeout: Some(Duration::from_secs(9)) };
        let outcome = match reader.get(b"q", read, now()) {
            Begun::Done(outcome) => outcome,
            Begun::Waiting(ticket) => end_of(ticket),
        };
        assert!(matches!(outcome, OpOutcome::Item(..)), "{outcome:?}");
    })
}

#[test]
fn puts_in_a_row_are_stored() {
    model_of_few("puts_in_a_row_are_stored", 2, || {
        let (store, closer) = start(u64::MAX);
        put(&store);
        put(&store);
        end(closer);
    });
}

/// One of them wakes the journal's thread for both, or each for itself.
#[test]
fn puts_of_two_connections_are_stored() {
    model_of_few("puts_of_two_connections_are_stored", 1, || {
        let (store, closer) = start(u64::MAX);
        let other = puts(&store);
        put(&store);
        other.join().unwrap();
        end(closer);
    });
}

/// Who was to wake the journal's thread has gone before its turn came.
#[test]
fn a_put_beside_one_that_is_given_up_is_stored() {
    model_of_few("a_put_beside_one_that_is_given_up_is_stored", 2, || {
        let (store, closer) = start(u64::MAX);
        let other = puts(&store);
        let mut given_up = store.put(item(), now()).unwrap();
        let _ = given_up.poll(now(), &mut Context::from_waker(Waker::noop()));
        drop(given_up);
        other.join().unwrap();
        end(closer);
    });
}

/// A task that moves to another waker is called by that one.
#[test]
fn a_put_that_another_task_waits_for_is_stored() {
    model_of_few("a_put_that_another_task_waits_for_is_stored", 2, || {
        let (store, closer) = start(u64::MAX);
        let noop = Waker::noop();
        let mut ticket = store.put_claimed(item(), None, now(), Some(noop)).unwrap();
        let polled = ticket.poll(now(), &mut Context::from_waker(noop));
        assert_eq!(polled, Poll::Pending);
        assert_eq!(end_of(ticket), OpOutcome::Stored);
        let ticket = store.put_claimed(item(), None, now(), Some(noop)).unwrap();
        assert_eq!(end_of(ticket), OpOutcome::Stored);
        end(closer);
    });
}

/// Nobody waits for it but who reads.
#[test]
fn a_read_that_waits_gets_what_is_put() {
    model_of_few("a_read_that_waits_gets_what_is_put", 2, || {
        let (store, closer) = start(u64::MAX);
        let taken = takes(&store);
        store.put_unattended(item(), now()).unwrap();
        taken.join().unwrap();
        end(closer);
    });
}

/// What is in the journal alone is read back by a thread that has to be woken for it.
#[test]
fn an_item_that_is_not_in_memory_is_read_back() {
    model_of_few("an_item_that_is_not_in_memory_is_read_back", 1, || {
        let (store, closer) = start(0);
        put(&store);
        put(&store);
        takes(&store).join().unwrap();
        takes(&store).join().unwrap();
        end(closer);
    });
}
