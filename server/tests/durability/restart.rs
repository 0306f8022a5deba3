//! What one process leaves behind, the next one must make safe before it builds on it.

use std::time::Duration;

use windhover_core::queue::{Action, AppendError, Config, Fsync, OpId};
use windhover_server::journal::Directory;

use crate::disk::{Faults, SimDirectory, seed};
use crate::journaled::{Journaled, item, now};

const INTERVAL: Fsync = Fsync::Interval(Duration::from_millis(50));

fn open(directory: &SimDirectory, fsync: Fsync) -> Journaled<SimDirectory> {
    match Journaled::open(directory, fsync, 100_000, Config::default()) {
        Ok(journaled) => journaled,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_first_start_that_found_the_disk_full_can_be_repeated() {
    let directory = SimDirectory::default();
    directory.overwrite("state", b"").unwrap();
    assert!(open(&directory, Fsync::Always).drain().is_empty());
}

#[test]
fn a_restart_syncs_what_a_killed_process_had_only_written() {
    for number in 0..40 {
        seed(number);
        let directory = SimDirectory::default();
        // Under `interval`, a write is left as `always` leaves it when it is killed before its sync.
        assert!(open(&directory, INTERVAL).put("before"));
        let mut second = open(&directory, Fsync::Always);
        assert!(second.put("after"));
        drop(second);
        directory.crash();
        assert_eq!(open(&directory, Fsync::Always).drain(), ["before", "after"], "seed {number}");
    }
}

#[test]
fn an_acknowledged_write_is_synced_although_the_next_one_failed() {
    for number in 0..40 {
        seed(number);
        let directory = SimDirectory::default();
        let mut journaled = open(&directory, INTERVAL);
        assert!(journaled.put("one"));
        directory.set_faults(Faults { full: 1, ..Faults::default() });
        assert!(!journaled.put("refused"));
        directory.set_faults(Faults::default());
        assert!(journaled.put("two"));
        journaled.journal.sync().unwrap();
        drop(journaled);
        directory.crash();
        assert_eq!(open(&directory, INTERVAL).drain(), ["one", "two"], "seed {number}");
    }
}

#[test]
fn without_syncs_a_loss_of_power_loses_events_but_damages_nothing() {
    for number in 0..40 {
        seed(number);
        let directory = SimDirectory::default();
        let never = |segment| {
            Journaled::open(&directory, Fsync::Never, segment, Config::default())
                .unwrap_or_else(|error| panic!("seed {number}: {error}"))
        };
        let mut journaled = never(1_000);
        for _ in 0..30 {
            assert!(journaled.put(&"x".repeat(100)));
        }
        let clean = number % 2 == 0;
        if clean {
            journaled.close();
        }
        directory.crash();
        let found = never(1_000).drain().len();
        assert!(!clean || found == 30, "seed {number}: a clean stop makes everything safe");
    }
}

#[test]
fn a_refused_event_does_not_come_back_after_a_clean_stop() {
    for number in 0..100 {
        seed(number);
        let directory = SimDirectory::default();
        let mut journaled = open(&directory, Fsync::Always);
        assert!(journaled.put("stored"));
        // The sync fails, and mostly the cut behind it too.
        directory.set_faults(Faults { sync: 1, full: u64::MAX, ..Faults::default() });
        assert!(!journaled.put("refused"));
        directory.set_faults(Faults::default());
        journaled.close();
        drop(open(&directory, Fsync::Always));
        assert_eq!(open(&directory, Fsync::Always).drain(), ["stored"], "seed {number}");
    }
}

#[test]
fn a_queue_follows_its_parent_after_restarts_though_the_segment_that_said_so_is_gone() {
    let directory = SimDirectory::default();
    let start = || Journaled::open(&directory, Fsync::Always, 1_000, Config::default()).unwrap();
    let mut journaled = start();
    assert_eq!(journaled.get_from(b"q+child", 1, Action::Take), None);
    assert!(journaled.commit());
    for round in 0..5 {
        // Segment after segment, of which nothing is needed any more.
        for _ in 0..50 {
            assert!(journaled.put("item"));
            journaled.engine.flush_all();
            assert!(journaled.commit());
            journaled.compact();
            assert!(journaled.commit());
            journaled.reclaim();
        }
        assert!(journaled.journal.segments() <= 3, "{}", journaled.journal.segments());
        if round % 2 == 0 {
            journaled.close();
        } else {
            drop(journaled);
            directory.crash();
        }
        journaled = start();
        assert!(journaled.put("copied"));
        let copy = journaled.get_from(b"q+child", 1, Action::Take);
        assert_eq!(copy.as_deref(), Some("copied"), "round {round}");
    }
}

#[test]
fn an_item_that_is_gone_after_a_start_is_gone_without_the_index_too() {
    let directory = SimDirectory::default();
    let mut config = Config::default();
    // All is in the journal alone, and any start wants its index.
    config.queue_memory = 0;
    let mut lax = config.queue.clone();
    lax.fsync = Fsync::Never;
    config.queues.insert("lax".into(), lax);
    let start = |directory| Journaled::open(directory, Fsync::Always, 100_000, config.clone());
    let mut journaled = start(&directory).unwrap();
    assert!(journaled.put("taken"));
    drop(journaled);

    // An index is taken note of while the removal waits, with whose batch it would be true.
    let mut journaled = start(&directory).unwrap();
    journaled.engine.put(OpId(100), item(b"lax", "first"), now()).unwrap();
    assert_eq!(journaled.get(1, Action::Take).as_deref(), Some("taken"));
    assert!(journaled.commit());
    let removal = journaled.engine.begin_append().unwrap();
    journaled.engine.put(OpId(101), item(b"lax", "second"), now()).unwrap();
    directory.set_faults(Faults { full: 1, ..Faults::default() });
    assert!(journaled.journal.append(&removal, now().unix).is_err());
    directory.set_faults(Faults::default());
    journaled.engine.journaled(removal, Err(AppendError), now());
    assert!(journaled.commit());
    drop(journaled);

    let without = directory.copy();
    without.remove("index").unwrap_or_default();
    let found = start(&directory).unwrap().drain();
    assert_eq!(found, start(&without).unwrap().drain());
    assert_eq!(found, ["taken"]);
}
