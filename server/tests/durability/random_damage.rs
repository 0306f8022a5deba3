//! Five hundred damages, each to a journal that was stopped and to one that was killed: each is of no
//! consequence or is named, one repair is enough, and only what was hit is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;

use bytes::Bytes;
use windhover_core::queue::record::{self, Kind};
use windhover_core::queue::segment::{HEADER, Header};
use windhover_core::queue::{Action, Config, Fsync};
use windhover_server::journal::{self, Directory, OpenError};

use crate::disk::{SimDirectory, random, random_index, seed};
use crate::journaled::{Journaled, now};

const DAMAGES: u64 = 500;

/// A journal, what is in it, and where.
struct Sample {
    directory: SimDirectory,
    /// The items that were put and not taken.
    live: BTreeSet<u64>,
    /// Every item that was ever put.
    put: BTreeSet<u64>,
    /// Where the journal's records of an item stand.
    places: BTreeMap<u64, Vec<(u64, Range<usize>)>>,
    /// The segments' bytes, by number.
    segments: BTreeMap<u64, Vec<u8>>,
}

fn open(directory: &SimDirectory) -> Result<Journaled<SimDirectory>, OpenError> {
    let mut config = Config::default();
    (config.compact_from, config.compact_ratio) = (0, 3);
    Journaled::open(directory, Fsync::Always, 1_000, config)
}

impl Sample {
    fn new(clean: bool) -> Self {
        let directory = SimDirectory::default();
        let mut server = open(&directory).unwrap();
        let (mut live, mut put) = (BTreeSet::new(), BTreeSet::new());
        for item in 0..120 {
            let padding = "x".repeat(random_index(120));
            assert!(server.put(&format!("{item} {padding}")));
            live.insert(item);
            put.insert(item);
            if random(3) == 0 {
                let taken = server.get(1, Action::Take).unwrap();
                live.remove(&number(&taken));
            }
            server.compact();
            assert!(server.commit());
            server.reclaim();
        }
        if clean {
            server.close();
        }
        let mut sample =
            Self { directory, live, put, places: BTreeMap::new(), segments: BTreeMap::new() };
        sample.find_places();
        sample
    }

    fn find_places(&mut self) {
        let mut recycled = false;
        for (name, bytes) in files(&self.directory) {
            let Ok(Header { number: segment, salt, .. }) = Header::decode(&bytes) else { continue };
            if name != format!("{segment:020}.log") {
                continue;
            }
            let mut at = HEADER;
            while let Ok(found) = record::decode(&bytes[at..], salt, at as u64) {
                let range = at..at + found.len;
                at = range.end;
                if found.kind == Kind::Put {
                    for item in record::put_parts(Bytes::copy_from_slice(found.rest)).1 {
                        let item = number(std::str::from_utf8(&item.data).unwrap());
                        self.places.entry(item).or_default().push((segment, range.clone()));
                    }
                }
            }
            let is_recycled = Header::decode(&bytes).unwrap().leftover > 0;
            assert!(at == bytes.len() || is_recycled, "{name}");
            recycled |= is_recycled;
            self.segments.insert(segment, bytes);
        }
        assert!(recycled, "leftovers of an earlier life are there too");
        assert!(self.segments.len() > 4 && !self.segments.contains_key(&1), "as it is in service");
    }

    /// The items of which a whole record stands at its place in what is left of its segment.
    fn intact(&self, damaged: &SimDirectory) -> BTreeSet<u64> {
        let mut left: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
        let files = files(damaged);
        for &segment in self.segments.keys() {
            let is_it = |bytes: &Vec<u8>| Header::decode(bytes).is_ok_and(|h| h.number == segment);
            let own = files.get(&format!("{segment:020}.log"));
            let segments = || files.iter().filter(|(name, _)| is_segment(name));
            let renamed = || segments().map(|(_, bytes)| bytes).find(|bytes| is_it(bytes));
            let found = own.filter(|bytes| is_it(bytes)).or_else(renamed).or(own);
            left.extend(found.map(|bytes| (segment, bytes.clone())));
        }
        let is_intact = |(segment, range): &(u64, Range<usize>)| {
            let found = left.get(segment).and_then(|bytes| bytes.get(range.clone()));
            found.is_some_and(|bytes| *bytes == self.segments[segment][range.clone()])
        };
        let intact = self.live.iter().filter(|item| self.places[item].iter().any(is_intact));
        intact.copied().collect()
    }
}

/// Whether a segment can have that name.
fn is_segment(name: &str) -> bool {
    let number = name.strip_suffix(".log").and_then(|number| number.parse().ok());
    number.is_some_and(|number: u64| (1..1 << 63).contains(&number))
}

fn number(item: &str) -> u64 {
    item.split(' ').next().unwrap().parse().unwrap()
}

fn files(directory: &SimDirectory) -> BTreeMap<String, Vec<u8>> {
    let entries = directory.list().unwrap().into_iter();
    entries.map(|entry| (entry.name.clone(), directory.read(&entry.name).unwrap())).collect()
}

/// One random damage; returns what it was.
fn damage(directory: &SimDirectory) -> String {
    let files: Vec<(String, Vec<u8>)> = files(directory).into_iter().collect();
    if files.is_empty() {
        return "nothing is left".to_owned();
    }
    let (name, mut bytes) = files[random_index(files.len())].clone();
    let (other, other_bytes) = files[random_index(files.len())].clone();
    let (start, more) = (random_index(bytes.len() + 1), random_index(200));
    let end = (start + more).min(bytes.len());
    let what = match random(12) {
        0..3 if !bytes.is_empty() => {
            let at = random_index(bytes.len());
            bytes[at] ^= 1 << random(8);
            format!("a bit of {name} is flipped at {at}")
        }
        3 => {
            bytes.truncate(if random(3) == 0 { random_index(90) } else { start });
            format!("{name} is cut to {} bytes", bytes.len())
        }
        4 => {
            directory.remove(&name).unwrap();
            return format!("{name} is deleted");
        }
        5 => {
            directory.overwrite(&other, &bytes).unwrap();
            bytes = other_bytes;
            format!("{name} and {other} are swapped")
        }
        6 => {
            directory.overwrite(&other, &bytes).unwrap();
            format!("{name} is copied over {other}")
        }
        7 | 8 => return foreign(directory, &files, &bytes),
        9 => {
            bytes[start..end].fill(0);
            format!("{name} is zero from {start} to {end}")
        }
        10 => {
            bytes.extend(
                (0..more).map(|_| if random(2) == 0 { 0 } else { random(256).to_le_bytes()[0] }),
            );
            format!("{more} bytes are left behind the end of {name}")
        }
        _ => {
            bytes.drain(start..end);
            format!("{name} lacks the bytes from {start} to {end}")
        }
    };
    directory.overwrite(&name, &bytes).unwrap();
    what
}

/// A file that is not the journal's, which may be named as a segment.
fn foreign(directory: &SimDirectory, files: &[(String, Vec<u8>)], copied: &[u8]) -> String {
    let numbers = files.iter().filter_map(|(name, _)| name.get(..20)?.parse::<u64>().ok());
    let last = numbers.filter(|number| *number < 1000).max();
    let last = last.unwrap_or_default();
    let numbers = [last + 1, last + 2, 1000, u64::MAX / 2, u64::MAX / 2 + 1, u64::MAX, 0];
    let name = match random(10) {
        0 => "notes.txt".to_owned(),
        1 => "synced~".to_owned(),
        _ => format!("{:020}.log", numbers[random_index(numbers.len())]),
    };
    let content = match random(3) {
        0 => copied.to_vec(),
        1 => b"a letter to somebody".repeat(random_index(20)),
        _ => vec![0; random_index(300)],
    };
    directory.overwrite(&name, &content).unwrap();
    format!("{} bytes are put into {name}", content.len())
}

/// Whether the start says that something is wrong.
fn is_named(directory: &SimDirectory) -> bool {
    let keep = |_: &str, _: &[u8]| Ok(());
    // On a copy, for an opened journal is another one afterwards.
    let directory = directory.copy();
    let config = Config::default();
    match journal::open(directory, &keep, 1_000, config, now().unix) {
        Ok(opened) => opened.end_unknown,
        Err(OpenError::Damaged { faults, .. }) => {
            assert!(!faults.is_empty());
            true
        }
        Err(error) => panic!("{error}"),
    }
}

fn check(sample: &Sample, directory: &SimDirectory, what: &str) -> bool {
    let intact = sample.intact(directory);
    let named = is_named(directory);
    let keep = |_: &str, _: &[u8]| Ok::<(), io::Error>(());
    journal::repair(directory, &keep, now().unix).unwrap();
    let again = journal::repair(directory, &keep, now().unix).unwrap();
    assert_eq!(again.faults, [""; 0], "one repair is enough: {what}");
    let mut server = open(directory).unwrap_or_else(|error| panic!("{what}: {error}"));
    // It takes, and keeps, another item.
    assert!(server.put("1000"), "{what}");
    drop(server);
    let mut server = open(directory).unwrap_or_else(|error| panic!("{what}, then: {error}"));
    let mut found: BTreeSet<u64> = server.drain().iter().map(|item| number(item)).collect();
    assert!(found.remove(&1000), "{what}");
    let lost: Vec<_> = intact.difference(&found).collect();
    assert!(lost.is_empty(), "what was not hit is lost: {lost:?}: {what}");
    let appeared: Vec<_> = found.difference(&sample.put).collect();
    assert!(appeared.is_empty(), "what was never put appears: {appeared:?}: {what}");
    assert!(named || found == sample.live, "in silence: {what}");
    named
}

#[test]
fn each_damage_is_of_no_consequence_or_named_and_repaired_at_once() {
    let mut named = 0;
    for clean in [true, false] {
        seed(1);
        let samples: Vec<Sample> = (0..10).map(|_| Sample::new(clean)).collect();
        for number in 0..DAMAGES {
            seed(number);
            let sample = &samples[random_index(samples.len())];
            let directory = sample.directory.copy();
            // Mostly one, for several hide each other.
            let count = if random(3) == 0 { 2 + random(3) } else { 1 };
            let what: Vec<_> = (0..count).map(|_| damage(&directory)).collect();
            let what = format!("seed {number}, clean stop: {clean}: {}", what.join("; "));
            named += u64::from(check(sample, &directory, &what));
        }
    }
    assert!((DAMAGES..2 * DAMAGES).contains(&named), "{named} of {} were named", 2 * DAMAGES);
}
