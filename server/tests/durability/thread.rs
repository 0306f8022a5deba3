//! The journal's thread: its promptness, and what it says of a disk that hangs or is full.

use std::thread;
use std::time::{Duration, Instant};

use windhover_core::queue::{Action, Config, Fsync, OpOutcome, PutBuilder};
use windhover_server::journal;
use windhover_server::store::{Begun, Store, StoreCloser};

use crate::disk::{Faults, SimDirectory, seed};
use crate::journaled::{Journaled, item, now};
use crate::store::end_of;

fn start(directory: &SimDirectory, fsync: Fsync) -> (Store, StoreCloser) {
    let keep = |_: &str, _: &[u8]| Ok(());
    let mut config = Config::default();
    config.queue.fsync = fsync;
    let opened = journal::open(directory.clone(), &keep, 1 << 30, config, now().unix).unwrap();
    Store::start(opened.engine, opened.journal, now).unwrap()
}

fn take(store: &Store) -> Begun {
    store.reader().get(b"q", Action::Take.into(), now())
}

/// Two items are stored, and one is taken while the disk is full.
fn taken_while_full(directory: &SimDirectory) -> StoreCloser {
    seed(3);
    let (store, closer) = start(directory, Fsync::Always);
    for data in ["taken", "left"] {
        assert_eq!(end_of(&mut store.put(item(b"q", data), now()).unwrap()), OpOutcome::Stored);
    }
    directory.set_faults(Faults { full: 1, ..Faults::default() });
    assert!(matches!(take(&store), Begun::Done(OpOutcome::Item(_))));
    let begun = Instant::now();
    while store.stats().1.healthy {
        assert!(begun.elapsed() < Duration::from_secs(10), "the removal must be tried");
        thread::sleep(Duration::from_millis(1));
    }
    closer
}

fn left_in(directory: &SimDirectory) -> Vec<String> {
    Journaled::open(directory, Fsync::Always, 1 << 20, Config::default()).unwrap().drain()
}

#[test]
fn a_sync_that_is_due_is_not_put_off_by_load() {
    let directory = SimDirectory::default();
    let (store, closer) = start(&directory, Fsync::Interval(Duration::from_millis(20)));
    let before = directory.syncs();
    let end = Instant::now() + Duration::from_secs(1);
    while Instant::now() < end {
        // The ticket is dropped: the put goes on, and the next one follows at once.
        drop(store.put(item(b"q", "x"), now()).unwrap());
    }
    let syncs = directory.syncs() - before;
    closer.close(Duration::from_secs(10)).unwrap();
    assert!(syncs >= 10, "{syncs} syncs in a second, at an interval of 20 ms");
}

#[test]
fn a_disk_that_hangs_is_not_called_healthy() {
    let directory = SimDirectory::default();
    let (store, closer) = start(&directory, Fsync::Always);
    directory.set_hang(Duration::from_secs(3));
    let mut put = store.put(item(b"q", "x"), now()).unwrap();
    // A ticket that nobody polls need not wake the journal's thread.
    let ended = thread::spawn(move || end_of(&mut put));
    let begun = Instant::now();
    while store.stats().1.healthy {
        assert!(begun.elapsed() < Duration::from_secs(3), "nobody says that the disk hangs");
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(ended.join().unwrap(), OpOutcome::Stored);
    closer.close(Duration::from_secs(10)).unwrap();
}

#[test]
fn who_has_nothing_to_do_waits_for_a_write_and_never_for_a_sync() {
    const HANG: Duration = Duration::from_secs(3);
    for fsync in [Fsync::Never, Fsync::Always] {
        let directory = SimDirectory::default();
        let (store, closer) = start(&directory, fsync);
        store.await_write();
        directory.set_hang(HANG);
        let mut put = store.put(item(b"q", "x"), now()).unwrap();
        let ended = thread::spawn(move || end_of(&mut put));
        let begun = Instant::now();
        for _ in 0..100 {
            store.await_write();
        }
        assert!(begun.elapsed() < HANG, "a hundred times a fifth of a millisecond at most");
        assert_eq!(ended.join().unwrap(), OpOutcome::Stored);
        store.await_write();
        closer.close(Duration::from_secs(10)).unwrap();
        store.await_write();
    }
}

#[test]
fn a_stop_that_could_not_write_a_removal_says_so() {
    let directory = SimDirectory::default();
    let closer = taken_while_full(&directory);
    assert!(closer.close(Duration::from_secs(10)).is_err());
    directory.set_faults(Faults::default());
    assert_eq!(left_in(&directory), ["taken", "left"]);
}

#[test]
fn a_stop_tries_once_more_to_write_a_removal() {
    let directory = SimDirectory::default();
    let closer = taken_while_full(&directory);
    directory.set_faults(Faults::default());
    closer.close(Duration::from_secs(10)).unwrap();
    assert_eq!(left_in(&directory), ["left"]);
}

/// As many items are stored as that.
fn stored(directory: &SimDirectory, count: u64) -> (Store, StoreCloser) {
    let (store, closer) = start(directory, Fsync::Always);
    let mut put = PutBuilder::new(b"q", now().unix).unwrap();
    (0..count).for_each(|number| put.item(None, number.to_string().as_bytes()));
    assert_eq!(end_of(&mut store.put(put.finish(), now()).unwrap()), OpOutcome::Stored);
    (store, closer)
}

#[test]
fn no_more_is_given_out_than_may_come_again() {
    let directory = SimDirectory::default();
    let (store, closer) = stored(&directory, 3_000);
    directory.set_hang(Duration::from_millis(50));
    let mut given = 0;
    let mut put_off = 0;
    let mut since = 0;
    while given < 3_000 {
        let outcome = match take(&store) {
            Begun::Done(outcome) => outcome,
            Begun::Waiting(mut ticket) => {
                assert!(since <= 1_000, "{since} items would have come again");
                (put_off, since) = (put_off + 1, 0);
                end_of(&mut ticket)
            }
        };
        assert_eq!(outcome, OpOutcome::Item(given.to_string().into_bytes().into()));
        (given, since) = (given + 1, since + 1);
    }
    assert!(put_off >= 2, "{put_off}");
    closer.close(Duration::from_secs(10)).unwrap();
}

#[test]
fn a_reserved_item_can_be_closed_and_looked_at_whatever_waits_for_the_journal() {
    let directory = SimDirectory::default();
    let (store, closer) = stored(&directory, 1_500);
    directory.set_hang(Duration::from_secs(1));
    let mut reader = store.reader();
    let open = reader.get(b"q", Action::Open.into(), now());
    assert!(matches!(open, Begun::Done(OpOutcome::Item(_))));
    while matches!(take(&store), Begun::Done(_)) {}
    let looked = store.reader().get(b"q", Action::Peek.into(), now());
    assert!(matches!(looked, Begun::Done(OpOutcome::Item(_))));
    let closed = reader.get(b"q", Action::Close.into(), now());
    assert!(matches!(closed, Begun::Done(OpOutcome::Empty)));
    directory.set_hang(Duration::ZERO);
    closer.close(Duration::from_secs(10)).unwrap();
}

#[test]
fn a_full_disk_does_not_keep_items_from_being_read() {
    let directory = SimDirectory::default();
    let (store, closer) = stored(&directory, 3_000);
    directory.set_faults(Faults { full: 1, ..Faults::default() });
    for _ in 0..3_000 {
        let outcome = match take(&store) {
            Begun::Done(outcome) => outcome,
            Begun::Waiting(mut ticket) => end_of(&mut ticket),
        };
        assert!(matches!(outcome, OpOutcome::Item(_)));
    }
    directory.set_faults(Faults::default());
    closer.close(Duration::from_secs(10)).unwrap();
}
