//! What a thread does for the journal before it is needed, on the simulated disk.

use std::thread;
use std::time::{Duration, Instant};

use windhover_core::queue::{Config, Fsync};
use windhover_server::journal::Directory as _;

use crate::disk::{SimDirectory, random, seed};
use crate::journaled::Journaled;

const SEGMENT: u64 = 4_000;
/// The length of a spare file that is made for it.
const MADE: u64 = 2 * SEGMENT;

fn open(directory: &SimDirectory, fsync: Fsync, config: Config) -> Journaled<SimDirectory> {
    let mut journaled = Journaled::open(directory, fsync, SEGMENT, config).unwrap();
    journaled.journal.work_ahead(fsync == Fsync::Always).unwrap();
    journaled
}

/// The lengths of the files with that ending.
fn lengths(directory: &SimDirectory, ending: &str) -> Vec<u64> {
    let files = directory.list().unwrap();
    files.iter().filter(|file| file.name.ends_with(ending)).map(|file| file.len).collect()
}

#[test]
fn segments_are_begun_in_spare_files_that_are_made_meanwhile() {
    seed(1);
    let directory = SimDirectory::default();
    let mut journaled = open(&directory, Fsync::Always, Config::default());
    let begun = Instant::now();
    // Zeros that are written ahead of the records end with the segment.
    let spare_ones = || lengths(&directory, ".log").into_iter().filter(|len| *len == MADE).count();
    while spare_ones() < 3 {
        assert!(journaled.put(&"y".repeat(100)));
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", lengths(&directory, ".log"));
    }
}

#[test]
fn what_was_synced_is_there_after_a_crash_whatever_was_being_made() {
    for number in 1..=60 {
        seed(number);
        let directory = SimDirectory::default();
        let mut journaled = open(&directory, Fsync::Always, Config::default());
        let stored: Vec<String> = (0..random(150)).map(|n| format!("{n:0100}")).collect();
        for item in &stored {
            assert!(journaled.put(item));
            if random(20) == 0 {
                thread::sleep(Duration::from_micros(300));
            }
        }
        // The thread goes on, with files that nobody looks at any more.
        let left = directory.copy();
        left.crash();
        let mut found = open(&left, Fsync::Always, Config::default());
        assert_eq!(found.drain(), stored, "seed {number}");
        assert!(found.put("another"));
    }
}

#[test]
fn what_is_written_out_is_as_good_as_what_is_not() {
    seed(1);
    let directory = SimDirectory::default();
    let mut journaled =
        Journaled::open(&directory, Fsync::Never, 32 << 20, Config::default()).unwrap();
    journaled.journal.work_ahead(false).unwrap();
    let item = "z".repeat(1 << 20);
    for _ in 0..3 {
        assert!(journaled.put(&item));
    }
    let begun = Instant::now();
    // A crash keeps all that was written before the last of it was written out.
    loop {
        let left = directory.copy();
        left.crash();
        let found = Journaled::open(&left, Fsync::Never, 32 << 20, Config::default());
        if found.unwrap().drain().len() >= 2 {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "nothing is written out");
    }
}

#[test]
fn no_spare_file_is_made_that_would_not_fit() {
    let directory = SimDirectory::default();
    let mut config = Config::default();
    config.max_journal_bytes = MADE - 1;
    let mut journaled = open(&directory, Fsync::Always, config);
    while journaled.try_put(&"y".repeat(100)) == Some(true) {
        journaled.compact();
    }
    journaled.close();
    assert!(lengths(&directory, ".spare").is_empty());
    assert!(lengths(&directory, ".log").iter().all(|len| *len < MADE));
}

#[test]
fn a_stop_leaves_no_spare_file_in_the_making() {
    let directory = SimDirectory::default();
    for _ in 0..20 {
        let segment = 1 << 20;
        let mut journaled =
            Journaled::open(&directory, Fsync::Always, segment, Config::default()).unwrap();
        journaled.journal.work_ahead(true).unwrap();
        assert!(journaled.put("one"));
        journaled.close();
        let spares = lengths(&directory, ".spare");
        assert!(spares.iter().all(|len| *len == 2 * segment), "{spares:?}");
    }
}
