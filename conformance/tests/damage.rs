//! Damaged data directories: a clear report and an exit code, nothing lost in silence, and after
//! `windhover repair` everything that is intact.
#![allow(clippy::panic, clippy::expect_used)]

use std::{
    collections::BTreeSet,
    fs::{self, OpenOptions},
    ops::Range,
    path::{Path, PathBuf},
};

use windhover_conformance::{Outcome, Server, Setup, TempDir};
use windhover_core::queue::{record::Draft, segment::Header};

const EVENTS: u64 = 1000;
const DAMAGED: i32 = 3;
const LOCKED: i32 = 4;

/// A data directory with 1,000 events in several segments.
struct Journal {
    directory: TempDir,
    setup: Setup,
}

impl Journal {
    /// Filled, and stopped in order.
    fn stopped() -> Self {
        let (journal, server) = Self::filled();
        server.stop();
        journal
    }

    /// Filled, and killed.
    fn killed() -> Self {
        let (journal, server) = Self::filled();
        server.kill();
        journal
    }

    fn filled() -> (Self, Server) {
        let directory = TempDir::new("damage");
        let setup = Setup::new(directory.path().join("data")).flag("--segment-bytes", "65536");
        let server = setup.start();
        let mut client = server.http_client();
        let pad = "p".repeat(200);
        for n in 0..EVENTS {
            let answer = client
                .track(&format!(
                    r#"{{"event":"e","properties":{{"token":"t","n":{n},"pad":"{pad}"}}}}"#
                ))
                .expect("the tracker answers");
            assert!(answer.accepted(), "{answer:?}");
        }
        let journal = Self { directory, setup };
        assert!(journal.segments().len() >= 4, "{:?}", journal.segments());
        (journal, server)
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// The segments, oldest first.
    fn segments(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.data().join("journal")).expect("the journal is a folder");
        let mut segments: Vec<_> = entries
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
            .collect();
        segments.sort();
        segments
    }

    fn last(&self) -> PathBuf {
        self.segments().pop().expect("a segment")
    }

    /// What was put aside, by name.
    fn kept(&self) -> Vec<(String, Vec<u8>)> {
        let entries = fs::read_dir(self.data().join("damaged")).into_iter().flatten();
        let paths = entries.map(|entry| entry.expect("an entry").path());
        paths.map(|path| (name(&path).to_owned(), fs::read(&path).expect("a file"))).collect()
    }

    /// The server refuses to start, twice with the same words: looking changes nothing.
    #[track_caller]
    fn assert_refused(&self, expected: &[&str]) {
        let first = self.setup.refused();
        first.expect_code(DAMAGED);
        for words in expected {
            assert!(first.stderr.contains(words), "no `{words}` in:\n{}", first.stderr);
        }
        let remedy = format!("windhover repair --data {}", self.data().display());
        assert!(first.stderr.contains(&remedy), "no `{remedy}` in:\n{}", first.stderr);
        let second = self.setup.refused();
        second.expect_code(DAMAGED);
        for words in expected {
            assert!(second.stderr.contains(words), "no `{words}` in:\n{}", second.stderr);
        }
    }

    /// After a repair every event but `missing` is there; what was damaged is kept; the server works.
    #[track_caller]
    fn assert_repaired(&self, missing: &BTreeSet<u64>, kept: Option<&Path>) -> Outcome {
        let before = kept.map(|path| fs::read(path).expect("the damaged file"));
        let outcome = self.setup.repair();
        outcome.expect_code(0);
        if let Some((path, before)) = kept.zip(before) {
            let kept = self.kept();
            let whole = kept.iter().find(|(kept, _)| kept.ends_with(name(path)));
            let (_, bytes) = whole.unwrap_or_else(|| panic!("not kept: {outcome:?}"));
            assert!(*bytes == before, "the damaged file is kept as it was");
        }
        self.assert_starts_without(missing);
        outcome
    }

    /// The server starts and has every event but `missing`, in order; then it takes a new one.
    #[track_caller]
    fn assert_starts_without(&self, missing: &BTreeSet<u64>) -> String {
        let server = self.setup.start();
        assert_eq!(
            drain(&server),
            (0..EVENTS).filter(|n| !missing.contains(n)).collect::<Vec<_>>()
        );
        let log = server.log();
        let event = format!(r#"{{"event":"new","properties":{{"token":"t","n":{EVENTS}}}}}"#);
        assert!(server.http_client().track(&event).expect("an answer").accepted());
        server.stop();
        let server = self.setup.start();
        assert_eq!(drain(&server), [EVENTS]);
        server.stop();
        log
    }
}

fn drain(server: &Server) -> Vec<u64> {
    let items = server.queue_client().drain("events").expect("the queue gives its items");
    items.iter().flat_map(|item| numbers(item)).collect()
}

/// The numbers of the events whose text is in `bytes`.
fn numbers(bytes: &[u8]) -> Vec<u64> {
    let text = String::from_utf8_lossy(bytes);
    let after = text.split(r#""n":"#).skip(1);
    after
        .map(|rest| {
            let digits = rest.split(|c: char| !c.is_ascii_digit()).next();
            digits.and_then(|digits| digits.parse().ok()).expect("digits")
        })
        .collect()
}

/// Where the records of a segment stand: behind 64 bytes of header, each begins with the length of
/// what follows its own 28 bytes of header. Behind the last one are zeros, if anything is.
fn records(segment: &[u8]) -> Vec<Range<usize>> {
    let mut records = Vec::new();
    let mut at = 64;
    while let Some(header) = segment.get(at..at + 28).filter(|header| *header != [0; 28]) {
        let length = u32::from_le_bytes(header[..4].try_into().expect("four bytes"));
        let end = at + 28 + usize::try_from(length).expect("a length");
        records.push(at..end);
        at = end;
    }
    records
}

/// The records of a segment that hold an event.
fn puts(segment: &[u8]) -> Vec<Range<usize>> {
    let records = records(segment).into_iter();
    records.filter(|record| !numbers(&segment[record.clone()]).is_empty()).collect()
}

fn cut(path: &Path, length: usize) {
    let file = OpenOptions::new().write(true).open(path).expect("a segment");
    file.set_len(length as u64).expect("a file can be cut");
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).expect("a segment");
    bytes[at] ^= 0b0001_0000;
    fs::write(path, bytes).expect("a segment can be written");
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).expect("a name")
}

#[test]
fn a_torn_tail_is_cut_and_told() {
    let journal = Journal::killed();
    let last = journal.last();
    let mut bytes = fs::read(&last).expect("a segment");
    let torn_from = records(&bytes).pop().expect("a record").end;
    let salt = Header::decode(&bytes).expect("a segment's header").salt;
    let torn = Draft::remove(1, "events".into()).encode(salt, torn_from as u64);
    bytes.splice(torn_from.., torn[..torn.len() - 3].iter().copied());
    fs::write(&last, bytes).expect("a segment can be written");

    let log = journal.assert_starts_without(&BTreeSet::new());

    assert!(log.contains(name(&last)), "the log names the file:\n{log}");
    assert!(log.contains(&torn_from.to_string()), "the log names the offset:\n{log}");
}

#[test]
fn an_end_that_was_acknowledged_is_missed_also_after_a_kill() {
    for left in ["all but a few bytes", "all but a record", "the header", "no byte", "no file"] {
        let journal = Journal::killed();
        let last = journal.last();
        let bytes = fs::read(&last).expect("a segment");
        let record = records(&bytes).pop().expect("a record");
        let length = match left {
            "all but a few bytes" => record.end - 3,
            "all but a record" => record.start,
            "the header" => 64,
            _ => 0,
        };
        match left {
            "no file" => fs::remove_file(&last).expect("a file can be removed"),
            _ => cut(&last, length),
        }
        let lost = records(&bytes).into_iter().filter(|record| record.end > length);
        let missing = lost.flat_map(|record| numbers(&bytes[record])).collect();

        journal.assert_refused(&[name(&last)]);
        journal.assert_repaired(&missing, last.exists().then_some(&*last));
    }
}

#[test]
fn where_the_end_is_not_known_it_is_said() {
    let journal = Journal::killed();
    fs::remove_file(journal.data().join("journal/synced")).expect("a file can be removed");

    let log = journal.assert_starts_without(&BTreeSet::new());

    assert!(log.contains("whether events are missing"), "{log}");
}

#[test]
fn a_segment_without_even_a_header_after_a_crash_is_no_damage() {
    let journal = Journal::killed();
    let last = journal.last();
    let number: u64 = name(&last)[..20].parse().expect("a number");
    fs::write(last.with_file_name(format!("{:020}.log", number + 1)), []).expect("a file");

    journal.assert_starts_without(&BTreeSet::new());
}

#[test]
fn a_shortened_closed_segment_is_damage() {
    let journal = Journal::stopped();
    let segment = journal.segments().swap_remove(1);
    let bytes = fs::read(&segment).expect("a segment");
    let events = puts(&bytes);
    let first_lost = events[events.len() / 2].clone();
    cut(&segment, first_lost.start + 30);
    let missing = numbers(&bytes[first_lost.start..]).into_iter().collect();

    journal.assert_refused(&[name(&segment), &first_lost.start.to_string()]);
    journal.assert_repaired(&missing, Some(&segment));
}

#[test]
fn a_closed_segment_cut_between_two_records_is_damage() {
    let journal = Journal::stopped();
    let segment = journal.segments().swap_remove(0);
    let bytes = fs::read(&segment).expect("a segment");
    let events = puts(&bytes);
    let first_lost = events[events.len() - 5].clone();
    cut(&segment, first_lost.start);
    let missing = numbers(&bytes[first_lost.start..]).into_iter().collect();

    journal.assert_refused(&[name(&segment), &first_lost.start.to_string()]);
    journal.assert_repaired(&missing, Some(&segment));
}

#[test]
fn a_record_that_is_both_damaged_and_shortened_is_repaired_too() {
    let journal = Journal::stopped();
    let segment = journal.segments().swap_remove(1);
    let bytes = fs::read(&segment).expect("a segment");
    let hit = puts(&bytes).pop().expect("an event");
    flip(&segment, hit.start);
    cut(&segment, hit.end - 3);
    let missing = numbers(&bytes[hit.start..]).into_iter().collect();

    journal.assert_refused(&[name(&segment), &hit.start.to_string()]);
    journal.assert_repaired(&missing, Some(&segment));
}

#[test]
fn a_last_segment_shortened_after_an_orderly_stop_is_damage() {
    for within_a_record in [true, false] {
        let journal = Journal::stopped();
        let last = journal.last();
        let bytes = fs::read(&last).expect("a segment");
        let torn = puts(&bytes).pop().expect("an event");
        cut(&last, if within_a_record { torn.end - 3 } else { torn.start });
        let missing = numbers(&bytes[torn.clone()]).into_iter().collect();

        journal.assert_refused(&[name(&last), &torn.start.to_string()]);
        journal.assert_repaired(&missing, Some(&last));
    }
}

#[test]
fn a_flipped_bit_in_a_closed_segment_is_damage_and_what_is_behind_it_survives() {
    // In an event, in the length of a record, in the checksum of its body.
    for offset in [100, 0, 5] {
        let journal = Journal::stopped();
        let segment = journal.segments().swap_remove(1);
        let bytes = fs::read(&segment).expect("a segment");
        let events = puts(&bytes);
        let hit = events[events.len() / 2].clone();
        flip(&segment, hit.start + offset);
        let missing = numbers(&bytes[hit.clone()]).into_iter().collect();

        journal.assert_refused(&[name(&segment), &hit.start.to_string()]);
        journal.assert_repaired(&missing, Some(&segment));
    }
}

#[test]
fn a_flipped_bit_in_the_last_segment_is_damage_however_the_server_ended() {
    for journal in [Journal::stopped(), Journal::killed()] {
        let last = journal.last();
        let bytes = fs::read(&last).expect("a segment");
        let hit = puts(&bytes).swap_remove(0);
        flip(&last, hit.end - 10);
        let missing = numbers(&bytes[hit.clone()]).into_iter().collect();

        journal.assert_refused(&[name(&last), &hit.start.to_string()]);
        journal.assert_repaired(&missing, Some(&last));
    }
}

#[test]
fn a_flipped_bit_in_the_header_of_a_segment_costs_no_event() {
    let journal = Journal::stopped();
    let segment = journal.segments().swap_remove(1);
    flip(&segment, 17);

    journal.assert_refused(&[name(&segment)]);
    journal.assert_repaired(&BTreeSet::new(), Some(&segment));
}

#[test]
fn a_missing_segment_is_damage_wherever_it_stood() {
    for place in ["first", "middle", "last"] {
        let journal = Journal::stopped();
        let segments = journal.segments();
        let at = match place {
            "first" => 0,
            "middle" => segments.len() / 2,
            _ => segments.len() - 1,
        };
        let bytes = fs::read(&segments[at]).expect("a segment");
        fs::remove_file(&segments[at]).expect("a file can be removed");
        let missing = numbers(&bytes).into_iter().collect();

        journal.assert_refused(&[name(&segments[at]), "missing"]);
        journal.assert_repaired(&missing, None);
    }
}

#[test]
fn a_foreign_file_under_a_segments_name_is_damage_and_is_kept() {
    let journal = Journal::stopped();
    let segment = journal.segments().swap_remove(1);
    let bytes = fs::read(&segment).expect("a segment");
    fs::write(&segment, "a letter that somebody saved in the wrong place\n".repeat(10))
        .expect("a file");
    let missing = numbers(&bytes).into_iter().collect();

    journal.assert_refused(&[name(&segment)]);
    journal.assert_repaired(&missing, Some(&segment));
}

#[test]
fn a_foreign_file_beside_the_segments_is_left_alone() {
    let journal = Journal::stopped();
    let notes = journal.data().join("journal/notes.txt");
    fs::write(&notes, "mine").expect("a file");

    journal.assert_starts_without(&BTreeSet::new());

    assert_eq!(fs::read(&notes).expect("still there"), b"mine");
}

#[test]
fn a_file_that_is_named_as_a_segment_far_away_is_foreign() {
    for stray in
        ["18446744073709551615.log", "09223372036854775807.log", "00000000000000001000.log"]
    {
        for copied in [true, false] {
            let journal = Journal::killed();
            let path = journal.data().join("journal").join(stray);
            let content = if copied {
                fs::read(journal.last()).expect("a segment")
            } else {
                b"a letter".to_vec()
            };
            fs::write(&path, &content).expect("a file");

            let repaired = journal.setup.repair();
            repaired.expect_code(0);
            assert!(repaired.stdout.contains(stray), "{}", repaired.stdout);
            let log = journal.assert_starts_without(&BTreeSet::new());
            assert!(log.contains(stray), "the log names it:\n{log}");
            assert_eq!(fs::read(&path).expect("still there"), content);
            assert!(journal.segments().len() < 20, "{:?}", journal.segments());
        }
    }
}

#[test]
fn what_is_no_file_is_foreign() {
    let journal = Journal::stopped();
    let last = journal.segments().len() as u64;
    let at = |number: u64| journal.data().join(format!("journal/{number:020}.log"));
    fs::create_dir(at(last + 1)).expect("a folder");
    std::os::unix::fs::symlink("nowhere", at(last + 2)).expect("a link");

    let log = journal.assert_starts_without(&BTreeSet::new());

    assert!(log.contains(name(&at(last + 1))) && log.contains(name(&at(last + 2))), "{log}");
}

#[test]
fn segments_that_changed_places_are_put_back_by_one_repair() {
    for journal in [Journal::stopped(), Journal::killed()] {
        let segments = journal.segments();
        let (one, two) = (&segments[1], &segments[2]);
        let (first, second) =
            (fs::read(one).expect("a segment"), fs::read(two).expect("a segment"));
        fs::write(one, second).expect("a segment can be written");
        fs::write(two, first).expect("a segment can be written");

        journal.assert_refused(&[name(one), name(two)]);
        journal.assert_repaired(&BTreeSet::new(), Some(one));
    }
}

#[test]
fn a_segment_of_which_nothing_is_left_takes_one_repair() {
    for length in [0, 1, 10, 63, 64] {
        let journal = Journal::stopped();
        let segment = journal.segments().swap_remove(1);
        let missing = numbers(&fs::read(&segment).expect("a segment")).into_iter().collect();
        cut(&segment, length);

        journal.assert_refused(&[name(&segment)]);
        journal.assert_repaired(&missing, Some(&segment));
    }
}

#[test]
fn a_repair_of_a_whole_journal_changes_nothing() {
    let journal = Journal::stopped();
    journal.assert_repaired(&BTreeSet::new(), None);
    assert_eq!(journal.kept(), []);
}

#[test]
fn a_second_process_on_the_same_directory_is_refused() {
    let (journal, server) = Journal::filled();

    for deleted in [false, true] {
        if deleted {
            fs::remove_file(journal.data().join("lock")).expect("a file can be removed");
        }
        let second = journal.setup.refused();
        second.expect_code(LOCKED);
        let data = journal.data().display().to_string();
        assert!(second.stderr.contains(&data), "{}", second.stderr);
        journal.setup.repair().expect_code(LOCKED);
    }

    assert_eq!(drain(&server).len() as u64, EVENTS, "the first is not disturbed");
    server.stop();
}
