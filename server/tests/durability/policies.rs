//! Queues that are synced otherwise than most.

use std::time::Duration;

use windhover_core::queue::{Action, Config, Fsync};

use crate::disk::{Faults, SimDirectory, seed};
use crate::journaled::Journaled;

/// A journal of which most queues are synced like that, and the queue `other` otherwise.
fn open(directory: &SimDirectory, most: Fsync, other: Fsync) -> Journaled<SimDirectory> {
    let mut config = Config::default();
    let mut bounds = config.queue.clone();
    bounds.fsync = other;
    config.queues.insert("other".into(), bounds);
    config.aliases.insert("both".into(), vec!["q".into(), "other".into()]);
    Journaled::open(directory, most, 1 << 20, config).unwrap()
}

#[test]
fn what_waits_for_a_sync_survives_a_loss_of_power_though_others_do_not() {
    for most in [Fsync::Never, Fsync::Interval(Duration::from_secs(3600))] {
        for number in 0..50 {
            seed(number);
            let directory = SimDirectory::default();
            let mut journaled = open(&directory, most, Fsync::Always);
            assert!(journaled.put_on(b"q", "before"));
            let synced = directory.syncs();
            assert!(journaled.put_on(b"other", "safe"));
            assert!(directory.syncs() > synced);
            // By one record for both.
            assert!(journaled.put_on(b"both", "in both"));
            let synced = directory.syncs();
            assert!(journaled.put_on(b"q", "behind"));
            assert_eq!(directory.syncs(), synced);
            drop(journaled);
            directory.crash();
            let mut journaled = open(&directory, most, Fsync::Always);
            let drain = |queue: &[u8], journaled: &mut Journaled<_>| -> Vec<String> {
                std::iter::from_fn(|| journaled.get_from(queue, 1, Action::Take)).collect()
            };
            assert_eq!(drain(b"other", &mut journaled), ["safe", "in both"], "seed {number}");
            let others = drain(b"q", &mut journaled);
            assert!(others == ["before", "in both"] || others == ["before", "in both", "behind"]);
        }
    }
}

#[test]
fn what_waits_for_no_sync_is_stored_while_none_succeeds() {
    seed(1);
    let directory = SimDirectory::default();
    let mut journaled = open(&directory, Fsync::Always, Fsync::Never);
    // A segment is begun by a sync.
    assert!(journaled.put("first"));
    directory.set_faults(Faults { sync: 1, ..Faults::default() });
    assert!(journaled.put_on(b"other", "stored"));
    // The next one is not, and takes nothing with it that was acknowledged.
    assert!(!journaled.put("lost"));
    assert_eq!(journaled.get_from(b"other", 1, Action::Open).as_deref(), Some("stored"));
    drop(journaled);
    directory.set_faults(Faults::default());
    let mut journaled = open(&directory, Fsync::Always, Fsync::Never);
    assert_eq!(journaled.get_from(b"other", 1, Action::Take).as_deref(), Some("stored"));
    assert_eq!(journaled.drain(), ["first"]);
}

#[test]
fn the_shortest_interval_holds_for_all() {
    seed(1);
    let directory = SimDirectory::default();
    let [long, short] = [3600, 60].map(|secs| Fsync::Interval(Duration::from_secs(secs)));
    let mut journaled = open(&directory, long, short);
    assert!(journaled.put("first"));
    let far = journaled.journal.sync_due().unwrap();
    assert!(journaled.put_on(b"other", "second"));
    let near = journaled.journal.sync_due().unwrap();
    assert!(far.duration_since(near) > Duration::from_secs(3000));
    assert!(journaled.put("third"));
    assert_eq!(journaled.journal.sync_due(), Some(near));
}
