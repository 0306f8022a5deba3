//! Segments that are rewritten, deleted and given up.

use std::time::Duration;

use windhover_core::queue::{Action, Config, Fsync};
use windhover_server::journal::Directory;

use crate::disk::{SimDirectory, seed};
use crate::journaled::Journaled;

fn compacting(compact_from: u64, compact_ratio: u64) -> Config {
    let mut config = Config::default();
    config.compact_from = compact_from;
    config.compact_ratio = compact_ratio;
    config
}

#[test]
fn an_old_place_goes_only_when_the_new_one_is_safe() {
    for fsync in [Fsync::Always, Fsync::Interval(Duration::from_millis(50)), Fsync::Never] {
        for number in 0..40 {
            seed(number);
            let directory = SimDirectory::default();
            let open = || Journaled::open(&directory, fsync, 1_000, compacting(0, 2)).unwrap();
            let mut journaled = open();
            assert!(journaled.put("old"));
            assert_eq!(journaled.get(7, Action::Open).as_deref(), Some("old"));
            for _ in 0..30 {
                assert!(journaled.put(&"y".repeat(100)));
                journaled.get(1, Action::Take);
            }
            assert!(journaled.commit());
            journaled.journal.sync().unwrap();
            journaled.compact();
            assert!(journaled.commit());
            journaled.reclaim();
            assert!(journaled.journal.segments() < 3);
            drop(journaled);
            directory.crash();
            assert!(open().drain().contains(&"old".to_owned()), "{fsync}, seed {number}");
        }
    }
}

#[test]
fn compaction_comes_to_rest() {
    // A long name and small items: most of the journal is not data.
    let name = [b'n'; 100];
    let directory = SimDirectory::default();
    let config = compacting(8_000, Config::default().compact_ratio);
    let mut journaled = Journaled::open(&directory, Fsync::Always, 2_000, config).unwrap();
    for _ in 0..100 {
        assert!(journaled.put_on(&name, "12345678"));
    }
    for _ in 0..1_000 {
        journaled.compact();
        let before = journaled.journal.len();
        assert!(journaled.commit());
        journaled.reclaim();
        if journaled.journal.len() == before {
            return;
        }
    }
    panic!("an idle server goes on writing");
}

#[test]
fn batches_that_do_not_fit_leave_no_segments_behind() {
    let directory = SimDirectory::default();
    let mut journaled =
        Journaled::open(&directory, Fsync::Always, 1 << 20, Config::default()).unwrap();
    assert!(journaled.put("kept"));
    // A segment's header still fits, a batch does not.
    directory.set_largest_append(64);
    for _ in 0..10 {
        assert!(!journaled.put(&"x".repeat(500)));
    }
    let files = directory.list().unwrap();
    assert!(files.len() <= 3, "{files:?}");
}

/// The files of a journal: how many are spare, and how many bytes all have.
fn files(directory: &SimDirectory) -> (usize, u64) {
    let files = directory.list().unwrap();
    let is_of = |name: &str, kind| name.ends_with(kind);
    let spare = files.iter().filter(|file| is_of(&file.name, ".spare")).count();
    let all = files.iter().filter(|file| is_of(&file.name, ".spare") || is_of(&file.name, ".log"));
    (spare, all.map(|file| file.len).sum())
}

#[test]
fn a_queue_that_is_read_as_it_is_written_grows_no_file() {
    let directory = SimDirectory::default();
    let mut journaled =
        Journaled::open(&directory, Fsync::Always, 1_000, Config::default()).unwrap();
    let mut most = 0;
    for n in 0..300 {
        assert!(journaled.put(&"y".repeat(100)));
        assert!(journaled.get(1, Action::Take).is_some());
        journaled.reclaim();
        let (spare, bytes) = files(&directory);
        assert!(spare <= 4, "{spare} spare files");
        assert_eq!(journaled.journal.disk_bytes(), bytes, "every file is counted");
        if n == 100 {
            most = bytes;
        }
        assert!(n <= 100 || bytes <= most + 400, "{bytes} bytes, {most} before");
    }
    // A restart finds them again.
    drop(journaled);
    let journaled = Journaled::open(&directory, Fsync::Always, 1_000, Config::default()).unwrap();
    let (spare, bytes) = files(&directory);
    assert!(spare > 0);
    assert_eq!(journaled.journal.disk_bytes(), bytes);
}

#[test]
fn a_disk_without_room_ahead_of_the_records_takes_them_all_the_same() {
    let directory = SimDirectory::default();
    let mut journaled =
        Journaled::open(&directory, Fsync::Always, 10_000, Config::default()).unwrap();
    assert!(journaled.put("one"));
    assert_eq!(journaled.journal.disk_bytes(), 10_000, "zeros as far as the segment goes");
    let directory = SimDirectory::default();
    let mut journaled =
        Journaled::open(&directory, Fsync::Always, 10_000, Config::default()).unwrap();
    directory.set_largest_append(200);
    for item in ["one", "two", "three"] {
        assert!(journaled.put(item));
    }
    assert_eq!(journaled.journal.disk_bytes(), journaled.journal.len());
    assert_eq!(journaled.drain(), ["one", "two", "three"]);
}

#[test]
fn spare_files_are_bounded_and_make_room_for_segments() {
    let directory = SimDirectory::default();
    let mut config = Config::default();
    config.max_journal_bytes = 20_000;
    let mut journaled = Journaled::open(&directory, Fsync::Always, 1_000, config).unwrap();
    let mut puts = 0;
    journaled.compact();
    while journaled.try_put(&"y".repeat(100)) == Some(true) {
        puts += 1;
        journaled.compact();
    }
    assert!((100..160).contains(&puts), "{puts} items in 20,000 bytes");
    // The last segment may be written ahead to its end.
    assert!(journaled.journal.disk_bytes() < 21_000);
    // What is read makes room, and nothing is kept that would not fit.
    for round in 0..3 {
        assert_eq!(journaled.drain().len(), puts, "round {round}");
        assert!(journaled.commit());
        journaled.reclaim();
        journaled.compact();
        for _ in 0..puts {
            assert_eq!(journaled.try_put("z"), Some(true));
            assert!(journaled.journal.disk_bytes() < 23_000);
            journaled.compact();
            journaled.reclaim();
        }
    }
}
