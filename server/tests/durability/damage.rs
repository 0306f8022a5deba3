//! A journal that was damaged while nobody looked: what is reported, and what a repair keeps.

use std::collections::BTreeSet;
use std::io;

use crate::disk::SimDirectory;
use windhover::journal::{self, Directory, Fault, Fsync, OpenError, Opened};
use windhover_core::queue::segment::{Damage, What};
use windhover_core::queue::{Action, Config, ConnId, Engine, OpId, Outcome, PutBuilder};
use windhover_core::{Instant, Now, UnixTime};

const ITEMS: u64 = 60;

fn now() -> Now {
    Now { instant: Instant::default(), unix: UnixTime::from_secs(1_000) }
}

fn open(directory: &SimDirectory) -> Result<Opened<SimDirectory>, OpenError> {
    let keep = |_: &str, _: &[u8]| Ok(());
    let config = Config::default();
    journal::open(directory.clone(), &keep, Fsync::Always, 1_000, config, now().unix)
}

/// A journal of several segments, one item a record, with or without a clean stop.
fn journal(clean: bool) -> SimDirectory {
    let directory = SimDirectory::default();
    let Opened { mut journal, mut engine, .. } = open(&directory).unwrap();
    for n in 0..ITEMS {
        let mut put = PutBuilder::new(b"q", now().unix).unwrap();
        put.item(None, format!("{n:050}").as_bytes());
        engine.put(OpId(n), put.finish(), now()).unwrap();
        let batch = engine.begin_append().unwrap();
        let segment = journal.append(&batch.pieces, now().unix).unwrap();
        engine.journaled(batch.commit, Ok(segment), now());
    }
    if clean {
        journal.close().unwrap();
    }
    directory
}

fn drain(engine: &mut Engine) -> BTreeSet<u64> {
    let mut items = BTreeSet::new();
    while let Some(Outcome::Item(item)) =
        engine.get(OpId(u64::MAX), ConnId(1), b"q", Action::Take.into(), now())
    {
        items.insert(std::str::from_utf8(&item).unwrap().parse().unwrap());
    }
    items
}

fn name(number: u64) -> String {
    format!("{number:020}.log")
}

fn faults(directory: &SimDirectory) -> Vec<Fault> {
    match open(directory) {
        Err(OpenError::Damaged { faults, .. }) => faults,
        Err(error) => panic!("{error}"),
        Ok(_) => vec![],
    }
}

/// Mends, and returns the items that are missing then.
fn repair(directory: &SimDirectory) -> Vec<u64> {
    let report =
        journal::repair(directory, &|_: &str, _: &[u8]| Ok::<(), io::Error>(()), now().unix);
    assert!(!report.unwrap().faults.is_empty());
    let found = drain(&mut open(directory).unwrap().engine);
    (0..ITEMS).filter(|n| !found.contains(n)).collect()
}

fn change(directory: &SimDirectory, number: u64, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = directory.read(&name(number)).unwrap();
    change(&mut bytes);
    directory.overwrite(&name(number), &bytes).unwrap();
}

#[test]
fn a_whole_journal_opens_with_everything() {
    for clean in [true, false] {
        let opened = open(&journal(clean)).unwrap();
        assert_eq!(opened.clean, clean);
        assert!(opened.segments > 4);
        let mut engine = opened.engine;
        assert_eq!(drain(&mut engine).len() as u64, ITEMS);
    }
}

#[test]
fn a_flipped_bit_anywhere_is_reported_and_costs_one_record_at_most() {
    for number in [1, 3] {
        let len = journal(true).read(&name(number)).unwrap().len();
        for byte in 0..len {
            let directory = journal(true);
            change(&directory, number, |bytes| bytes[byte] ^= 0x10);
            assert!(!faults(&directory).is_empty(), "segment {number}, byte {byte}");
            let missing = repair(&directory);
            assert!(missing.len() <= 1, "segment {number}, byte {byte}: {missing:?}");
        }
    }
}

#[test]
fn a_flipped_bit_in_the_last_segment_is_reported_after_a_clean_stop() {
    let directory = journal(true);
    let last = open(&journal(true)).unwrap().segments as u64;
    change(&directory, last, |bytes| bytes[70] ^= 1);
    let [Fault::Damaged { number, damage, .. }] = &faults(&directory)[..] else {
        panic!("one fault")
    };
    assert_eq!((*number, damage.what), (last, What::RecordHeader));
}

#[test]
fn a_shortened_segment_is_reported() {
    let directory = journal(true);
    let len = directory.read(&name(2)).unwrap().len() as u64;
    change(&directory, 2, |bytes| bytes.truncate(bytes.len() - 10));
    let [Fault::Damaged { number: 2, damage: Damage { range, what, .. }, .. }] =
        &faults(&directory)[..]
    else {
        panic!("one fault")
    };
    assert_eq!((range.end, *what), (len, What::Cut));
    assert_eq!(repair(&directory).len(), 1);
}

#[test]
fn a_last_segment_that_was_cut_at_a_record_is_reported_after_a_clean_stop() {
    let directory = journal(true);
    let last = open(&journal(true)).unwrap().segments as u64;
    // The last record: its header, the name, the time, the item's header, the item.
    change(&directory, last, |bytes| bytes.truncate(bytes.len() - (24 + 1 + 8 + 12 + 50)));
    assert_eq!(faults(&directory).len(), 1);
    assert_eq!(repair(&directory), [ITEMS - 1]);
}

#[test]
fn a_missing_segment_is_reported_wherever_it_was() {
    let last = open(&journal(true)).unwrap().segments as u64;
    for number in [1, 2, last] {
        let directory = journal(true);
        directory.remove(&name(number)).unwrap();
        let missing =
            |fault: &Fault| matches!(fault, Fault::Missing { number: n, .. } if *n == number);
        assert!(faults(&directory).iter().any(missing), "segment {number}");
        let lost = repair(&directory).len();
        assert!((1..20).contains(&lost), "segment {number}: {lost} items");
    }
}

#[test]
fn segments_that_changed_places_are_reported() {
    let directory = journal(true);
    let (two, three) = (directory.read(&name(2)).unwrap(), directory.read(&name(3)).unwrap());
    directory.overwrite(&name(2), &three).unwrap();
    directory.overwrite(&name(3), &two).unwrap();
    assert!(faults(&directory).contains(&Fault::Misnamed { number: 2, is: 3 }));
    repair(&directory);
}

#[test]
fn a_damaged_state_file_is_reported_and_mended_without_loss() {
    let directory = journal(true);
    directory.overwrite("state", b"nonsense").unwrap();
    assert_eq!(faults(&directory), [Fault::State]);
    assert_eq!(repair(&directory), [0; 0]);
}

#[test]
fn an_unfinished_write_is_cut_at_every_length() {
    let whole = journal(false);
    let last = open(&whole).unwrap().segments as u64;
    let len = journal(false).read(&name(last)).unwrap().len();
    let record = 24 + 1 + 8 + 12 + 50;
    for cut in 1..record {
        let directory = journal(false);
        change(&directory, last, |bytes| bytes.truncate(len - cut));
        let opened = open(&directory).unwrap();
        assert_eq!(opened.torn.len(), 1, "cut by {cut}");
        let mut engine = opened.engine;
        assert_eq!(drain(&mut engine).len() as u64, ITEMS - 1);
        drop(opened.journal);
        assert!(open(&directory).unwrap().torn.is_empty(), "it is mended");
    }
}

#[test]
fn other_files_are_named_and_left_alone() {
    let directory = journal(true);
    directory.overwrite("00000000000000000001.log~", b"an editor's").unwrap();
    let opened = open(&directory).unwrap();
    assert_eq!(opened.foreign, ["00000000000000000001.log~"]);
    assert!(directory.read("00000000000000000001.log~").is_ok());
}

#[test]
fn what_a_later_version_wrote_is_refused_and_not_mended() {
    let directory = journal(true);
    // A whole record of a kind that is not known: the checksum over its header is made anew.
    change(&directory, 2, |bytes| {
        let header = &mut bytes[64..88];
        header[16] = 200;
        let sum = crc32fast::hash(&header[..20]);
        header[20..].copy_from_slice(&sum.to_le_bytes());
    });
    assert!(matches!(open(&directory), Err(OpenError::LaterVersion { .. })));
    let before = directory.read(&name(2)).unwrap();
    let keep = |_: &str, _: &[u8]| Ok::<(), io::Error>(());
    let repaired = journal::repair(&directory, &keep, now().unix);
    assert!(matches!(repaired, Err(OpenError::LaterVersion { .. })));
    assert_eq!(directory.read(&name(2)).unwrap(), before);
}
