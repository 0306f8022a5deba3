use std::path::PathBuf;
use std::task::{Context, Poll};

use super::*;

const KEY: [u8; 16] = *b"0123456789abcdef";

fn limits(ids: u32) -> DedupLimits {
    DedupLimits::new(ids, Duration::from_secs(3600))
}

fn digest(n: u32) -> EventDigest {
    let mut bytes = [1; 16];
    bytes[..4].copy_from_slice(&n.to_le_bytes());
    EventDigest::from_bytes(bytes).unwrap()
}

fn events(numbers: impl IntoIterator<Item = u32>) -> Vec<(u32, EventDigest)> {
    (0..).zip(numbers.into_iter().map(digest)).collect()
}

fn claim(dedup: &Arc<Dedup>, numbers: impl IntoIterator<Item = u32>) -> Claimed {
    dedup.claim(&events(numbers), Instant::default())
}

fn poll(fate: &Fate) -> Poll<bool> {
    fate.poll(&Context::from_waker(Waker::noop()))
}

fn accept(dedup: &Arc<Dedup>, numbers: impl IntoIterator<Item = u32>) {
    let claimed = claim(dedup, numbers);
    claimed.claim.unwrap().settle(true, &mut Vec::new());
}

/// Which of those are new.
fn new_of(dedup: &Arc<Dedup>, numbers: impl IntoIterator<Item = u32>) -> Vec<u32> {
    let is_new = |digest| dedup.lock().window.clone().insert(digest, Instant::default()).is_ok();
    numbers.into_iter().filter(|n| is_new(digest(*n))).collect()
}

/// A directory of this test's, which goes with it.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("windhover-dedup-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }

    fn open(&self, ids: u32, segments: &[&[&str]]) -> Arc<Dedup> {
        // Segments have the numbers from 1 on.
        let journal = |since: u64, visit: &mut dyn FnMut(&[Bytes]) -> bool| {
            let first = usize::try_from(since.saturating_sub(1)).unwrap();
            for segment in segments.iter().skip(first).rev() {
                let items: Vec<Bytes> =
                    segment.iter().map(|it| Bytes::copy_from_slice(it.as_bytes())).collect();
                if !visit(&items) {
                    break;
                }
            }
            Ok(segments.len() as u64 + 1)
        };
        Arc::new(Dedup::open(limits(ids), &self.0, journal, Instant::default()).unwrap())
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.retain(|path| path.file_name().unwrap() != "key");
        files
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn an_event_is_a_duplicate_once_its_first_was_accepted() {
    let dedup = Arc::new(Dedup::new(limits(100), KEY));
    let first = claim(&dedup, [1, 2, 1]);
    // Twice in one request: both are in one put, or neither.
    assert_eq!((first.duplicates, first.fates.len()), (vec![2], 0));
    first.claim.unwrap().settle(true, &mut Vec::new());

    let again = claim(&dedup, [3, 2, 1]);
    assert_eq!((again.duplicates, again.fates.len()), (vec![1, 2], 0));
    again.claim.unwrap().settle(true, &mut Vec::new());
    let last = claim(&dedup, [1, 2, 3]);
    assert_eq!((last.duplicates, last.claim.is_none()), (vec![0, 1, 2], true));
}

#[test]
fn what_failed_was_never_seen() {
    let dedup = Arc::new(Dedup::new(limits(100), KEY));
    claim(&dedup, [1, 2]).claim.unwrap().settle(false, &mut Vec::new());
    assert_eq!(new_of(&dedup, [1, 2]), [1, 2]);
    // A put that was refused.
    drop(claim(&dedup, [1, 2]).claim);
    assert_eq!(new_of(&dedup, [1, 2]), [1, 2]);
}

#[test]
fn a_duplicate_shares_the_fate_of_the_first_while_that_is_on_its_way() {
    for stored in [true, false] {
        let dedup = Arc::new(Dedup::new(limits(100), KEY));
        let first = claim(&dedup, [1, 2]);
        let second = claim(&dedup, [3, 2, 1]);
        // Both of its duplicates came in one put.
        assert_eq!((second.duplicates, second.fates.len()), (vec![1, 2], 1));
        let third = claim(&dedup, [3, 1]);
        assert_eq!((third.claim.is_none(), third.fates.len()), (true, 2));
        assert_eq!(poll(&second.fates[0]), Poll::Pending);

        let mut wakers = Vec::new();
        first.claim.unwrap().settle(stored, &mut wakers);
        assert_eq!(wakers.len(), 1);
        assert_eq!(poll(&second.fates[0]), Poll::Ready(stored));
        second.claim.unwrap().settle(true, &mut Vec::new());
        let mut fates = third.fates.iter().map(|fate| poll(fate)).collect::<Vec<_>>();
        fates.sort_by_key(|fate| *fate == Poll::Ready(stored));
        assert_eq!(fates, [Poll::Ready(true), Poll::Ready(stored)]);
        assert_eq!(new_of(&dedup, [1, 2, 3]), if stored { vec![] } else { vec![1, 2] });
    }
}

#[test]
fn puts_end_in_any_order() {
    let dedup = Arc::new(Dedup::new(limits(100), KEY));
    let mut claims: Vec<Option<Claim>> =
        (0..4).map(|n| claim(&dedup, [2 * n, 2 * n + 1]).claim).collect();
    for (place, stored) in [(2, true), (0, false), (3, false), (1, true)] {
        claims[place].take().unwrap().settle(stored, &mut Vec::new());
    }
    assert_eq!(new_of(&dedup, 0..8), [0, 1, 6, 7]);
    assert!(dedup.lock().claims.is_empty());
}

#[test]
fn what_was_saved_is_remembered_and_what_was_on_its_way_is_not() {
    let directory = Directory::new("saved");
    let dedup = directory.open(100, &[]);
    accept(&dedup, 0..5);
    dedup.save(0, true);
    let on_its_way = claim(&dedup, [5, 6]);
    accept(&dedup, [7]);
    dedup.save(0, true);
    // It ends after a later one was saved.
    on_its_way.claim.unwrap().settle(true, &mut Vec::new());
    assert_eq!(new_of(&directory.open(100, &[]), 0..9), [5, 6, 8]);
    dedup.save(0, true);
    assert_eq!(new_of(&directory.open(100, &[]), 0..9), [8]);

    // Nothing new, nothing written.
    let len = |path: &PathBuf| std::fs::metadata(path).unwrap().len();
    let before = directory.files().iter().map(len).sum::<u64>();
    dedup.save(0, true);
    directory.open(100, &[]).save(0, true);
    assert_eq!(directory.files().iter().map(len).sum::<u64>(), before);
}

#[test]
fn a_block_that_is_cut_or_damaged_costs_what_is_behind_it_alone() {
    let directory = Directory::new("cut");
    let dedup = directory.open(100, &[]);
    accept(&dedup, 0..3);
    dedup.save(0, true);
    let good = std::fs::metadata(&directory.files()[0]).unwrap().len();
    accept(&dedup, 3..5);
    dedup.save(0, true);
    let whole = std::fs::read(&directory.files()[0]).unwrap();
    let good = usize::try_from(good).unwrap();
    for cut in good..whole.len() {
        std::fs::write(&directory.files()[0], &whole[..cut]).unwrap();
        assert_eq!(new_of(&directory.open(100, &[]), 0..5), [3, 4], "cut at {cut}");
        let mut damaged = whole.clone();
        damaged[cut] ^= 0x40;
        std::fs::write(&directory.files()[0], damaged).unwrap();
        assert_eq!(new_of(&directory.open(100, &[]), 0..5), [3, 4], "damaged at {cut}");
    }
    // What is saved next takes its place.
    let dedup = directory.open(100, &[]);
    accept(&dedup, [9]);
    dedup.save(0, true);
    assert_eq!(new_of(&directory.open(100, &[]), [0, 1, 2, 3, 4, 9]), [3, 4]);
}

#[test]
fn files_go_when_others_have_all_that_is_remembered() {
    let directory = Directory::new("files");
    let dedup = directory.open(10, &[]);
    for n in 0..100 {
        accept(&dedup, [n]);
        dedup.save(0, true);
        assert!(directory.files().len() <= 2);
        // Each file has ten blocks of one digest.
        assert!(directory.files().iter().all(|it| std::fs::metadata(it).unwrap().len() <= 320));
    }
    assert_eq!(new_of(&directory.open(10, &[]), 85..100), [85, 86, 87, 88, 89]);
}

#[test]
fn without_the_key_what_was_saved_says_nothing_and_the_journal_still_does() {
    let event = r#"{"event":"e","properties":{"token":"t","$insert_id":"i","time":31536000000,"mp_processing_time_ms":4000000000000}}"#;
    let directory = Directory::new("key");
    let dedup = directory.open(100, &[]);
    accept(&dedup, 0..3);
    dedup.save(0, true);
    std::fs::write(directory.0.join("key"), [0; 20]).unwrap();
    let dedup = directory.open(100, &[&[event]]);
    assert_eq!(new_of(&dedup, 0..3), [0, 1, 2]);
    assert_eq!(dedup.len(), 1);
    assert!(directory.files().is_empty());
    let identity = EventIdentity::of_record(event.as_bytes()).unwrap().identity;
    let again = [(0, dedup.digest(&identity))];
    assert_eq!(dedup.claim(&again, Instant::default()).duplicates, [0]);
}

#[test]
fn the_journals_last_events_are_remembered_whatever_their_clock_said() {
    let event = |n: u32, received: u64| {
        format!(
            r#"{{"event":"e","properties":{{"token":"t","$insert_id":"{n}","time":5,"mp_processing_time_ms":{received}}}}}"#
        )
    };
    // The clock jumped a year ahead, and back again.
    let times = [1_800_000_000_000, 1_831_536_000_000, 1_800_000_001_000, 1_800_000_002_000];
    let lines: Vec<String> = (0..).zip(times).map(|(n, time)| event(n, time)).collect();
    let digest = |dedup: &Dedup, n: usize| {
        dedup.digest(&EventIdentity::of_record(lines[n].as_bytes()).unwrap().identity)
    };
    let [first, second] = [[&*lines[0], &lines[1]], [&*lines[2], &lines[3]]];
    for (ids, forgotten) in [(100, vec![]), (3, vec![0]), (2, vec![0, 1]), (1, vec![0, 1, 2])] {
        let directory = Directory::new(&format!("journal-{ids}"));
        let dedup = directory.open(ids, &[&first, &second]);
        let new = (0..4).filter(|&n| {
            let mut window = dedup.lock().window.clone();
            window.insert(digest(&dedup, n), Instant::default()).is_ok()
        });
        assert_eq!(new.collect::<Vec<_>>(), forgotten, "{ids}");
    }
}

#[test]
fn segments_whose_events_were_saved_are_not_read_again() {
    let event = |n: u32| {
        format!(
            r#"{{"event":"e","properties":{{"token":"t","$insert_id":"{n}","time":5,"mp_processing_time_ms":7}}}}"#
        )
    };
    let lines: Vec<String> = (0..4).map(event).collect();
    let digest = |dedup: &Dedup, n: usize| {
        dedup.digest(&EventIdentity::of_record(lines[n].as_bytes()).unwrap().identity)
    };
    let known = |dedup: &Arc<Dedup>| {
        let is_known = |n: &usize| {
            let mut window = dedup.lock().window.clone();
            window.insert(digest(dedup, *n), Instant::default()).is_err()
        };
        (0..4).filter(is_known).collect::<Vec<_>>()
    };
    let directory = Directory::new("segments");
    let dedup = directory.open(100, &[]);
    let claimed =
        dedup.claim(&[(0, digest(&dedup, 0)), (1, digest(&dedup, 1))], Instant::default());
    claimed.claim.unwrap().settle(true, &mut Vec::new());
    // Segment 2 has begun.
    dedup.save(2, false);

    // What was recorded in segment 1 is known from what was saved: what is there now is not looked at.
    let dedup = directory.open(100, &[&[&lines[3]], &[&lines[2]]]);
    assert_eq!(known(&dedup), [0, 1, 2]);
    // After a good stop nothing is.
    dedup.save_all();
    assert_eq!(known(&directory.open(100, &[&[&lines[3]], &[&lines[3]]])), [0, 1, 2]);
    // But for what was written since.
    assert_eq!(known(&directory.open(100, &[&[], &[], &[&lines[3]]])), [0, 1, 2, 3]);

    // A block that is damaged takes with it what it said of segments.
    let file = directory.files()[0].clone();
    let whole = std::fs::read(&file).unwrap();
    for place in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[place] ^= 1;
        std::fs::write(&file, &damaged).unwrap();
        let dedup = directory.open(100, &[&[&lines[0], &lines[1]], &[&lines[2]], &[&lines[3]]]);
        assert_eq!(known(&dedup), [0, 1, 2, 3], "damaged at {place}");
    }
}

#[test]
fn what_an_earlier_file_has_lost_is_read_from_the_journal() {
    let directory = Directory::new("earlier");
    let dedup = directory.open(2, &[]);
    accept(&dedup, 0..2);
    dedup.save(1, true);
    accept(&dedup, 2..3);
    dedup.save(2, true);
    let files = directory.files();
    assert_eq!(files.len(), 2);
    let asked = |directory: &Directory| {
        let mut asked = None;
        let journal = |since: u64, _: &mut dyn FnMut(&[Bytes]) -> bool| {
            asked = Some(since);
            Ok(3)
        };
        Dedup::open(limits(2), &directory.0, journal, Instant::default()).unwrap();
        asked
    };
    assert_eq!(asked(&directory), Some(2));
    let whole = std::fs::read(&files[0]).unwrap();
    std::fs::write(&files[0], &whole[..whole.len() - 1]).unwrap();
    assert_eq!(asked(&directory), Some(0));
}
