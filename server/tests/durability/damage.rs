//! A journal that was damaged while nobody looked: what is reported, and what a repair keeps.

use std::collections::BTreeSet;
use std::io;

use crate::disk::SimDirectory;
use windhover_core::queue::record::{self, Draft};
use windhover_core::queue::segment::{self, Damage, SegmentEnd, What};
use windhover_core::queue::{Action, Config, ConnId, Engine, OpId, OpOutcome, PutBuilder};
use windhover_core::{Instant, Now, UnixTime};
use windhover_server::journal::{self, Directory, JournalFault, OpenError, Opened};

const ITEMS: u64 = 60;
/// A record's bytes: its header, the name, the time, the item's header, the item.
const RECORD: usize = 28 + 1 + 8 + 12 + 50;

fn now() -> Now {
    Now { instant: Instant::default(), unix: UnixTime::from_secs(1_000) }
}

fn open(directory: &SimDirectory) -> Result<Opened<SimDirectory>, OpenError> {
    let keep = |_: &str, _: &[u8]| Ok(());
    let config = Config::default();
    journal::open(directory.clone(), &keep, 1_000, config, now().unix)
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
        let segment = journal.append(&batch, now().unix).unwrap();
        engine.journaled(batch, Ok(segment), now());
    }
    if clean {
        journal.close(|at, salt| engine.index(at, salt)).unwrap();
    }
    directory
}

/// Where the records of a segment end: zeros stand behind those of the last one after a kill.
fn end(directory: &SimDirectory, number: u64) -> usize {
    let bytes = directory.read(&name(number)).unwrap();
    usize::try_from(segment::scan(&bytes, SegmentEnd::AtLeast(0), |_, _| ()).end).unwrap()
}

fn drain(engine: &mut Engine) -> BTreeSet<u64> {
    let mut items = BTreeSet::new();
    while let Some(OpOutcome::Item(item)) =
        engine.get(OpId(u64::MAX), ConnId(1), b"q", Action::Take.into(), now())
    {
        items.insert(std::str::from_utf8(&item).unwrap().parse().unwrap());
    }
    items
}

fn name(number: u64) -> String {
    format!("{number:020}.log")
}

fn faults(directory: &SimDirectory) -> Vec<JournalFault> {
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
    let [JournalFault::Damaged { number, damage, .. }] = &faults(&directory)[..] else {
        panic!("one fault")
    };
    assert_eq!((*number, damage.what), (last, What::RecordHeader));
}

#[test]
fn a_shortened_segment_is_reported() {
    let directory = journal(true);
    let len = directory.read(&name(2)).unwrap().len() as u64;
    change(&directory, 2, |bytes| bytes.truncate(bytes.len() - 10));
    let [JournalFault::Damaged { number: 2, damage: Damage { range, what, .. }, .. }] =
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
    change(&directory, last, |bytes| bytes.truncate(bytes.len() - RECORD));
    assert_eq!(faults(&directory).len(), 1);
    assert_eq!(repair(&directory), [ITEMS - 1]);
}

#[test]
fn a_missing_segment_is_reported_wherever_it_was() {
    let last = open(&journal(true)).unwrap().segments as u64;
    for number in [1, 2, last] {
        let directory = journal(true);
        directory.remove(&name(number)).unwrap();
        let missing = |fault: &JournalFault| matches!(fault, JournalFault::Missing { first, last, .. } if (*first, *last) == (number, number));
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
    assert!(faults(&directory).contains(&JournalFault::Misnamed { number: 2, is: 3 }));
    repair(&directory);
}

#[test]
fn a_damaged_state_file_is_reported_and_mended_without_loss() {
    let directory = journal(true);
    directory.overwrite("state", b"nonsense").unwrap();
    assert_eq!(faults(&directory), [JournalFault::State]);
    assert_eq!(repair(&directory), [0; 0]);
}

#[test]
fn an_unfinished_write_is_cut_at_every_length() {
    let whole = journal(false);
    let last = open(&whole).unwrap().segments as u64;
    for written in 1..RECORD {
        let directory = journal(false);
        // The start of a record, as a process leaves it that is killed while it writes.
        let end = end(&directory, last);
        let offset = u64::try_from(end).unwrap();
        change(&directory, last, |bytes| {
            let salt = segment::Header::decode(bytes).unwrap().salt;
            let item = Draft::remove(1, vec![b'q'; RECORD - record::HEADER].into());
            bytes[end..end + written].copy_from_slice(&item.encode(salt, offset)[..written]);
        });
        let opened = open(&directory).unwrap();
        // Less than a header cannot be told from what an earlier life left.
        let is_begun = written >= record::HEADER;
        assert_eq!(opened.torn.len(), usize::from(is_begun), "{written} bytes");
        let mut engine = opened.engine;
        assert_eq!(drain(&mut engine).len() as u64, ITEMS);
        drop(opened.journal);
        assert!(open(&directory).unwrap().torn.is_empty(), "it is mended");
    }
}

#[test]
fn a_missing_end_is_reported_also_after_a_kill() {
    let last = open(&journal(false)).unwrap().segments as u64;
    let len = end(&journal(false), last);
    for cut in 0..len {
        let directory = journal(false);
        change(&directory, last, |bytes| bytes.truncate(cut));
        assert!(!faults(&directory).is_empty(), "cut to {cut} bytes");
        let lost = repair(&directory);
        assert!(lost.iter().all(|item| item + 20 > ITEMS), "cut to {cut} bytes: {lost:?}");
    }
    let directory = journal(false);
    directory.remove(&name(last)).unwrap();
    let end = Some(len as u64);
    assert_eq!(faults(&directory), [JournalFault::Missing { first: last, last, end }]);
    assert!(!repair(&directory).is_empty());
}

#[test]
fn a_journal_whose_end_is_not_known_says_so() {
    for content in [None, Some(b"nonsense".as_slice())] {
        for clean in [true, false] {
            let directory = journal(clean);
            match content {
                Some(content) => directory.overwrite("synced", content).unwrap(),
                None => directory.remove("synced").unwrap(),
            }
            let opened = open(&directory).unwrap();
            assert_eq!(opened.end_unknown, !clean);
            drop(opened.journal);
            assert!(!open(&directory).unwrap().end_unknown, "it is known again");
        }
    }
}

#[test]
fn a_number_that_a_stray_file_has_is_passed_over() {
    let last = open(&journal(true)).unwrap().segments as u64;
    for clean in [true, false] {
        for content in [b"a letter".to_vec(), vec![7; 500], journal(true).read(&name(2)).unwrap()] {
            let directory = journal(clean);
            for stray in [last + 1, last + 2, last + 4] {
                directory.overwrite(&name(stray), &content).unwrap();
            }
            for n in 0..40 {
                let mut opened = open(&directory).unwrap();
                let strays = [last + 1, last + 2, last + 4].map(name);
                assert_eq!(opened.foreign, strays, "clean stop: {clean}, start {n}");
                let mut put = PutBuilder::new(b"q", now().unix).unwrap();
                put.item(None, format!("{:050}", ITEMS + n).as_bytes());
                opened.engine.put(OpId(1), put.finish(), now()).unwrap();
                let batch = opened.engine.begin_append().unwrap();
                opened.journal.append(&batch, now().unix).unwrap();
            }
            assert_eq!(drain(&mut open(&directory).unwrap().engine).len() as u64, ITEMS + 40);
            for stray in [last + 1, last + 2, last + 4] {
                assert_eq!(directory.read(&name(stray)).unwrap(), content);
            }
        }
    }
}

#[test]
fn a_stray_file_is_foreign_however_large_its_number() {
    for stray in [u64::MAX, u64::MAX / 2, 1000] {
        for copied in [true, false] {
            let directory = journal(true);
            let content =
                if copied { directory.read(&name(2)).unwrap() } else { b"a letter".to_vec() };
            directory.overwrite(&name(stray), &content).unwrap();
            let keep = |_: &str, _: &[u8]| Ok::<(), io::Error>(());
            let report = journal::repair(&directory, &keep, now().unix).unwrap();
            assert!(report.faults.is_empty(), "{report:?}");
            let mut opened = open(&directory).unwrap();
            assert_eq!(opened.foreign, [name(stray)]);
            assert_eq!(drain(&mut opened.engine).len() as u64, ITEMS);
            assert_eq!(directory.read(&name(stray)).unwrap(), content);
        }
    }
}

/// What may happen to the files of a journal, by a name and what does it.
type Accident = (String, Box<dyn Fn(&SimDirectory)>);

/// Accidents to each segment, and between each two, by as many lengths and places as there are.
fn accidents(segments: u64) -> Vec<Accident> {
    let mut all: Vec<Accident> = vec![
        ("no state".to_owned(), Box::new(|directory| directory.remove("state").unwrap())),
        (
            "an empty state and no note of the end".to_owned(),
            Box::new(|directory| {
                directory.overwrite("state", b"").unwrap();
                directory.remove("synced").unwrap();
            }),
        ),
    ];
    for number in 1..=segments {
        for len in [0, 1, 10, 23, 63, 64, 65, 80, 92, 100, 300] {
            let cut = move |directory: &SimDirectory| {
                change(directory, number, |bytes| bytes.truncate(len));
            };
            all.push((format!("{number} cut to {len}"), Box::new(cut)));
        }
        for len in [1, 10, 27, 28, 29, 98] {
            let shorten = move |directory: &SimDirectory| {
                change(directory, number, |bytes| bytes.truncate(bytes.len() - len));
            };
            all.push((format!("{number} shorter by {len}"), Box::new(shorten)));
        }
        for at in [0, 7, 8, 40, 48, 52, 60, 64, 68, 84, 88, 92, 120] {
            for len in [1, 30, 100] {
                let zero = move |directory: &SimDirectory| {
                    change(directory, number, |bytes| bytes[at..at + len].fill(0));
                };
                all.push((format!("{number} zeroed at {at} for {len}"), Box::new(zero)));
            }
        }
        let grow = move |directory: &SimDirectory| {
            change(directory, number, |bytes| bytes.extend_from_slice(&[7; 200]));
        };
        all.push((format!("{number} longer"), Box::new(grow)));
        let remove = move |directory: &SimDirectory| directory.remove(&name(number)).unwrap();
        all.push((format!("{number} removed"), Box::new(remove)));
        let junk = move |directory: &SimDirectory| {
            directory.overwrite(&name(number), &[b'x'; 500]).unwrap();
        };
        all.push((format!("{number} is junk"), Box::new(junk)));
        for other in (1..=segments).filter(|other| *other != number) {
            let copy = move |directory: &SimDirectory| {
                let bytes = directory.read(&name(number)).unwrap();
                directory.overwrite(&name(other), &bytes).unwrap();
            };
            all.push((format!("{number} over {other}"), Box::new(copy)));
            if other > number {
                let swap = move |directory: &SimDirectory| {
                    let (one, two) = (name(number), name(other));
                    let bytes = directory.read(&one).unwrap();
                    directory.overwrite(&one, &directory.read(&two).unwrap()).unwrap();
                    directory.overwrite(&two, &bytes).unwrap();
                };
                all.push((format!("{number} and {other} swapped"), Box::new(swap)));
            }
        }
    }
    all
}

#[test]
fn after_one_repair_the_journal_opens_whatever_had_happened_to_it() {
    let segments = open(&journal(true)).unwrap().segments as u64;
    let mut silent = 0;
    let all = accidents(segments);
    for (what, happens) in &all {
        for clean in [true, false] {
            let directory = journal(clean);
            happens(&directory);
            let reported = !faults(&directory).is_empty();
            let keep = |_: &str, _: &[u8]| Ok::<(), io::Error>(());
            let report = journal::repair(&directory, &keep, now().unix).unwrap();
            assert_eq!(reported, !report.faults.is_empty(), "{what}, clean stop: {clean}");
            let mut opened = open(&directory)
                .unwrap_or_else(|error| panic!("{what}, clean stop: {clean}: {error}"));
            let found = drain(&mut opened.engine).len() as u64;
            let warned = opened.end_unknown || !opened.torn.is_empty();
            assert!(
                reported || warned || found == ITEMS,
                "{what}, clean stop: {clean}: lost in silence"
            );
            silent += u64::from(!reported && found == ITEMS);
            // It takes and keeps another item.
            let mut put = PutBuilder::new(b"q", now().unix).unwrap();
            put.item(None, b"12345");
            opened.engine.put(OpId(1), put.finish(), now()).unwrap();
            let batch = opened.engine.begin_append().unwrap();
            opened.journal.append(&batch, now().unix).unwrap();
            drop(opened.journal);
            let mut again = open(&directory)
                .unwrap_or_else(|error| panic!("{what}, clean stop: {clean}, then: {error}"));
            assert!(drain(&mut again.engine).contains(&12345), "{what}, clean stop: {clean}");
        }
    }
    assert!(all.len() > 250 && silent < 100, "{} accidents, {silent} of no consequence", all.len());
}

#[test]
fn segments_that_changed_places_lose_nothing() {
    let last = open(&journal(true)).unwrap().segments as u64;
    for (one, two) in [(1, 2), (2, 3), (1, last), (3, last)] {
        for clean in [true, false] {
            let directory = journal(clean);
            let (a, b) = (directory.read(&name(one)).unwrap(), directory.read(&name(two)).unwrap());
            directory.overwrite(&name(one), &b).unwrap();
            directory.overwrite(&name(two), &a).unwrap();
            assert_eq!(repair(&directory), [0; 0], "{one} and {two}");
        }
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
        let header = &mut bytes[64..92];
        header[16] = 200;
        let sum = crc32fast::hash(&[&64_u64.to_le_bytes(), &header[..24]].concat());
        header[24..].copy_from_slice(&sum.to_le_bytes());
    });
    assert!(matches!(open(&directory), Err(OpenError::OtherVersion { .. })));
    let before = directory.read(&name(2)).unwrap();
    let keep = |_: &str, _: &[u8]| Ok::<(), io::Error>(());
    let repaired = journal::repair(&directory, &keep, now().unix);
    assert!(matches!(repaired, Err(OpenError::OtherVersion { .. })));
    assert_eq!(directory.read(&name(2)).unwrap(), before);
}
