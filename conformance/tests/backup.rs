//! Backups of a journal that is being written: what is restored is what was acknowledged up to the cut and not
//! confirmed before it, whoever is killed meanwhile; and everything that is wrong at the destination is found.
//!
//! `WINDHOVER_BACKUP_CUTS` says how many cuts are made (200 to be sure; some by default).
#![allow(clippy::panic, clippy::expect_used)]

use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use windhover_conformance::{
    Outcome, QueueClient, Random, Server, Setup, TempDir, binary, eventually, report, run,
};

const BOUND: Duration = Duration::from_secs(120);

const GOOD: i32 = 0;
const DAMAGED: i32 = 3;
const NOT_EMPTY: i32 = 4;
const OVERTAKEN: i32 = 5;
const OTHER_JOURNAL: i32 = 7;
const NO_BACKUP: i32 = 10;
const FAILED: i32 = 11;
const NO_KEY: i32 = 12;

/// A data directory, and where its backups go.
struct Place {
    directory: TempDir,
    key: Option<PathBuf>,
}

impl Place {
    fn new(purpose: &str) -> Self {
        Self { directory: TempDir::new(purpose), key: None }
    }

    fn with_key(mut self) -> Self {
        let path = self.path("key");
        fs::write(&path, format!("{}\n", "0f".repeat(32))).expect("a key");
        self.key = Some(path);
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn data(&self) -> PathBuf {
        self.path("data")
    }

    fn to(&self) -> PathBuf {
        self.path("backups")
    }

    /// `windhover backup` with that, and the destination.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.arg("backup").args(words);
        match words {
            [first, ..] if !first.starts_with('-') => command.arg("--from").arg(self.to()),
            _ => command.arg("--data").arg(self.data()).arg("--to").arg(self.to()),
        };
        command.arg("--json").arg("--quiet");
        if let Some(key) = &self.key {
            command.arg("--key-file").arg(key);
        }
        command
    }

    #[track_caller]
    fn run(&self, words: &[&str]) -> Outcome {
        run(&mut self.command(words), BOUND)
    }

    /// What it tells, when it succeeds.
    #[track_caller]
    fn told(&self, words: &[&str]) -> Value {
        let outcome = self.run(words);
        outcome.expect_code(GOOD);
        serde_json::from_str(&outcome.stdout).expect("JSON")
    }

    #[track_caller]
    fn backup(&self) -> Value {
        self.told(&[])
    }

    /// Restores into a new directory.
    #[track_caller]
    fn restore(&self, name: &str, words: &[&str]) -> Setup {
        let data = self.path(name);
        let path = data.to_str().expect("a path in UTF-8").to_owned();
        self.told(&[&["restore", "--data", &path], words].concat());
        Setup::new(data)
    }

    /// The files at the destination below that folder.
    fn stored(&self, folder: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.to().join(folder)];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                if entry.path().is_dir() {
                    folders.push(entry.path());
                } else {
                    found.push(entry.path());
                }
            }
        }
        found.sort();
        found
    }

    fn entry(&self, sequence: u64) -> PathBuf {
        self.to().join(format!("log/{sequence:010}.json.zst"))
    }
}

fn number(told: &Value, name: &str) -> u64 {
    told[name].as_u64().unwrap_or_else(|| panic!("no number `{name}` in {told}"))
}

/// Bytes that do not compress.
fn noise(random: &mut Random, len: usize) -> Vec<u8> {
    std::iter::repeat_with(|| random.number().to_le_bytes()).flatten().take(len).collect()
}

fn fill(server: &Server, queue: &str, items: usize, len: usize) {
    let mut random = Random::new(items as u64);
    let mut client = server.queue_client();
    for _ in 0..items {
        let stored = client.set(queue, &noise(&mut random, len)).expect("an answer");
        assert_eq!(stored, "STORED");
    }
}

#[track_caller]
fn drained(setup: &Setup, queue: &str) -> Vec<Vec<u8>> {
    let server = setup.start();
    let items = server.queue_client().drain(queue).expect("the queue gives its items");
    server.stop();
    items
}

const QUEUES: [&str; 3] = ["one", "two", "three"];

/// What was done with one queue: items are numbered, put in order, and confirmed in order.
#[derive(Debug, Default)]
struct Books {
    /// Every number below was sent.
    sent: AtomicU64,
    /// Every number below was acknowledged, or is unknown.
    acknowledged: AtomicU64,
    /// Numbers of which no answer came.
    unknown: Mutex<BTreeSet<u64>>,
    /// Every number below was confirmed, and the server has said so.
    confirmed: AtomicU64,
    /// Every number below was given out, and may have been confirmed.
    given: AtomicU64,
}

/// Puts and takes items until it is told to end, whichever server there is.
fn write(queue: &str, books: &Books, address: &Mutex<SocketAddr>, end: &AtomicBool) {
    let mut client = None;
    while !end.load(Ordering::Relaxed) {
        let Some(connected) = client.as_mut() else {
            client = connect(address);
            continue;
        };
        let number = books.sent.fetch_add(1, Ordering::SeqCst);
        let len = 20 + usize::try_from(number * 7919 % 900).expect("a length");
        match QueueClient::set(connected, queue, format!("{number:0len$}").as_bytes()) {
            Ok(answer) if answer == "STORED" => {}
            Ok(answer) => panic!("{answer}"),
            Err(_) => {
                books.unknown.lock().expect("nobody panics").insert(number);
                client = None;
            }
        }
        books.acknowledged.store(number + 1, Ordering::SeqCst);
    }
}

fn read(queue: &str, books: &Books, address: &Mutex<SocketAddr>, end: &AtomicBool) {
    let mut client: Option<QueueClient> = None;
    let mut open = None;
    while !end.load(Ordering::Relaxed) {
        // Some stay, and the rest goes as fast as it comes.
        let stays = books.acknowledged.load(Ordering::SeqCst).saturating_sub(300);
        if books.given.load(Ordering::SeqCst) > stays {
            thread::sleep(Duration::from_millis(1));
            continue;
        }
        let Some(connected) = client.as_mut() else {
            (client, open) = (connect(address), None);
            continue;
        };
        match connected.get(&format!("{queue}/t=10/close/open")) {
            Ok(item) => {
                if let Some(number) = open.take() {
                    books.confirmed.fetch_max(number + 1, Ordering::SeqCst);
                }
                open = item.map(|item| number_of(&item));
                if let Some(number) = open {
                    books.given.fetch_max(number + 1, Ordering::SeqCst);
                }
            }
            Err(_) => client = None,
        }
    }
}

fn connect(address: &Mutex<SocketAddr>) -> Option<QueueClient> {
    let address = *address.lock().expect("nobody panics");
    let client = QueueClient::connect(address);
    if client.is_err() {
        thread::sleep(Duration::from_millis(5));
    }
    client.ok()
}

fn number_of(item: &[u8]) -> u64 {
    let text = std::str::from_utf8(item).expect("digits");
    text.parse().expect("a number")
}

/// A removal may not be in the journal yet that a consumer was told of; so many at most.
const UNWRITTEN: u64 = 1000;

/// What may be in a queue of a backup, by what was known before it and after.
struct Window {
    acknowledged: u64,
    confirmed: u64,
}

impl Window {
    fn of(books: &Books) -> Self {
        let confirmed = books.confirmed.load(Ordering::SeqCst);
        Self { acknowledged: books.acknowledged.load(Ordering::SeqCst), confirmed }
    }

    /// What was acknowledged before and not given out since has to be there; what was confirmed before or sent
    /// after must not; and between the first and the last there is no gap.
    #[track_caller]
    fn check(&self, books: &Books, after: &Window, sent: u64, given: u64, items: &[Vec<u8>]) {
        let numbers: Vec<u64> = items.iter().map(|item| number_of(item)).collect();
        let unknown = books.unknown.lock().expect("nobody panics");
        let first = numbers.first().copied().unwrap_or(after.acknowledged);
        let last = numbers.last().map_or(first, |last| last + 1);
        assert!(first + UNWRITTEN >= self.confirmed, "{first} was confirmed long before");
        assert!(first <= given, "{first} is the first, and only {given} were given out");
        let missing = (last..self.acknowledged).find(|number| !unknown.contains(number));
        assert_eq!(
            missing, None,
            "acknowledged before the backup, and not in it: {last} is its end"
        );
        assert!(last <= sent, "{last} was sent after the backup");
        let mut expected = first;
        for number in numbers {
            while expected < number && unknown.contains(&expected) {
                expected += 1;
            }
            assert_eq!(number, expected, "a gap, or twice the same");
            expected += 1;
        }
    }
}

/// Who is killed in the middle of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Killed {
    Nobody,
    Backup,
    Server,
}

fn spawn(place: &Place) -> Child {
    let mut command = place.command(&[]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs")
}

#[test]
fn what_is_restored_is_what_was_acknowledged_up_to_the_cut() {
    let cuts =
        std::env::var("WINDHOVER_BACKUP_CUTS").map_or(8, |text| text.parse().expect("a number"));
    let place = Place::new("backup-cuts");
    let setup = Setup::new(place.data())
        // Small, so that segments are closed, given up and written over all the time.
        .flag("--segment-bytes", "65536")
        .flag("--max-queue-items", "10000000");
    let mut random = Random::from_environment();
    let first = setup.start();
    let address = Mutex::new(first.queue());
    let mut server = Some(first);
    let end = AtomicBool::new(false);
    let books: Vec<Books> = QUEUES.iter().map(|_| Books::default()).collect();
    let (mut killed_backups, mut killed_servers, mut items, mut all_counted) = (0, 0, 0, 0);
    let began = Instant::now();
    thread::scope(|scope| {
        // Also when an assertion fails.
        let end = EndOnDrop(&end);
        for (queue, books) in QUEUES.iter().zip(&books) {
            let (address, end) = (&address, end.0);
            scope.spawn(move || write(queue, books, address, end));
            scope.spawn(move || read(queue, books, address, end));
        }
        for cut in 0..cuts {
            thread::sleep(random.millis(5, 100));
            let who = match cut % 4 {
                1 => Killed::Backup,
                3 => Killed::Server,
                _ => Killed::Nobody,
            };
            if who == Killed::Backup {
                let mut child = spawn(&place);
                thread::sleep(random.millis(1, 25));
                child.kill().expect("a child can be killed");
                child.wait().expect("a child can be waited for");
                killed_backups += 1;
            }
            let before: Vec<Window> = books.iter().map(Window::of).collect();
            if who == Killed::Server {
                let mut child = spawn(&place);
                thread::sleep(random.millis(1, 15));
                server.take().expect("it runs").kill();
                child.wait().expect("a child can be waited for");
                killed_servers += 1;
            }
            let made = place.backup();
            let sent: Vec<(u64, u64)> = books
                .iter()
                .map(|books| {
                    (books.sent.load(Ordering::SeqCst), books.given.load(Ordering::SeqCst))
                })
                .collect();
            let after: Vec<Window> = books.iter().map(Window::of).collect();
            if who == Killed::Server {
                let started = setup.start();
                *address.lock().expect("nobody panics") = started.queue();
                server = Some(started);
            }
            let name = format!("restored-{cut}");
            let restored = place.restore(&name, &[]).start();
            let mut client = restored.queue_client();
            let mut all = 0;
            for (at, queue) in QUEUES.iter().enumerate() {
                let found = client.drain(queue).expect("the queue gives its items");
                all += found.len() as u64;
                let (sent, given) = sent[at];
                before[at].check(&books[at], &after[at], sent, given, &found);
            }
            // Not there when segments went faster than they could be counted.
            if let Some(counted) = made["items"].as_u64() {
                assert_eq!(counted, all, "the manifest says how many there are");
                all_counted += 1;
            }
            items += all;
            restored.kill();
            fs::remove_dir_all(place.path(&name)).expect("it can be removed");
        }
    });
    place.told(&["verify"]);
    let put: u64 = books.iter().map(|books| books.acknowledged.load(Ordering::SeqCst)).sum();
    report(&format!(
        "{cuts} cuts in {:.1?} ({killed_backups} backups and {killed_servers} servers killed): {put} items put, \
         {items} restored, each as it was at its cut; {all_counted} manifests say how many there were",
        began.elapsed()
    ));
}

struct EndOnDrop<'a>(&'a AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_second_backup_sends_what_is_new() {
    let place = Place::new("backup-second");
    let server = Setup::new(place.data()).flag("--segment-bytes", "4194304").start();
    fill(&server, "q", 800, 32_000);
    let first = place.backup();
    fill(&server, "q", 8, 32_000);
    let second = place.backup();
    let (all, sent) = (number(&second, "bytes"), number(&second, "sent"));
    assert!(number(&first, "sent") > 25_000_000 && sent > 250_000, "{first} {second}");
    assert!(sent * 100 < all * 3, "{sent} of {all} bytes were sent");
    report(&format!("1 % of new data: {sent} of {all} bytes were sent"));
    // And nothing but a manifest when there is nothing new.
    assert!(number(&place.backup(), "sent") < 10_000);
    assert_eq!(number(&place.told(&["drill"]), "items"), 808);
    server.stop();
}

#[test]
fn of_two_backups_at_once_one_loses() {
    let place = Place::new("backup-two");
    let server = Setup::new(place.data()).start();
    fill(&server, "q", 50, 10_000);
    let mut lost = 0;
    for round in 1..=10 {
        let children: Vec<Child> = (0..3).map(|_| spawn(&place)).collect();
        let codes: Vec<Option<i32>> = children
            .into_iter()
            .map(|mut child| child.wait().expect("a child can be waited for").code())
            .collect();
        assert!(codes.contains(&Some(GOOD)), "round {round}: {codes:?}");
        let is_lost = |code: &&Option<i32>| **code == Some(OVERTAKEN);
        let of_round = codes.iter().filter(is_lost).count();
        assert_eq!(of_round + codes.iter().filter(|code| **code == Some(GOOD)).count(), 3);
        lost += of_round;
    }
    report(&format!("of 30 backups, three at once, {lost} lost"));
    let listed = place.told(&["list"]);
    let numbers: Vec<u64> =
        listed.as_array().expect("a list").iter().map(|it| number(it, "backup")).collect();
    assert_eq!(numbers, (1..=30 - lost as u64).collect::<Vec<_>>());
    place.told(&["verify"]);
    server.stop();
}

#[test]
fn everything_that_is_wrong_at_the_destination_is_found() {
    for place in [Place::new("backup-damage"), Place::new("backup-damage").with_key()] {
        let server = Setup::new(place.data()).flag("--segment-bytes", "65536").start();
        for _ in 0..3 {
            fill(&server, "q", 10, 10_000);
            place.backup();
        }
        server.stop();
        let good = place.told(&["verify"]);
        let objects = place.stored("objects");
        assert_eq!(number(&good, "read"), objects.len() as u64);

        let change = |path: &Path, change: &dyn Fn(&mut Vec<u8>)| {
            let before = fs::read(path).expect("it is there");
            let mut bytes = before.clone();
            change(&mut bytes);
            fs::write(path, bytes).expect("it can be written");
            before
        };
        let mut random = Random::from_environment();
        let mut found = 0;
        let mut expect_found = |path: &Path, words: &str| {
            let outcome = place.run(&["verify"]);
            outcome.expect_code(DAMAGED);
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            assert!(outcome.stderr.contains(&name), "{name}: {}", outcome.stderr);
            assert!(outcome.stderr.contains(words), "{words}: {}", outcome.stderr);
            found += 1;
        };
        // The first, one in the middle, the last; and every kind of file.
        let objects = [&objects[0], &objects[objects.len() / 2], &objects[objects.len() - 1]];
        let entries: Vec<PathBuf> = (1..=3).map(|sequence| place.entry(sequence)).collect();
        for path in objects.into_iter().chain(&entries) {
            let flip = random.number();
            let before = change(path, &|bytes| {
                let bit = usize::try_from(flip % (bytes.len() as u64 * 8)).expect("a place");
                bytes[bit / 8] ^= 1 << (bit % 8);
            });
            expect_found(path, "is damaged");
            change(path, &|bytes| bytes.truncate(bytes.len() / 2));
            expect_found(path, "is damaged");
            change(path, &Vec::clear);
            expect_found(path, "is damaged");
            fs::remove_file(path).expect("it can be removed");
            expect_found(path, "is lost");
            fs::write(path, before).expect("it can be written");
        }
        // One under another's name.
        let before =
            change(objects[0], &|bytes| *bytes = fs::read(objects[1]).expect("it is there"));
        expect_found(objects[0], "is damaged");
        fs::write(objects[0], before).expect("it can be written");
        place.told(&["verify"]);
        report(&format!("{found} damages were made, one at a time, and every one was found"));

        // A part of it: whether all is there is looked at in any case.
        let sampled = place.told(&["verify", "--sample", "5%"]);
        assert_eq!(number(&sampled, "read"), 1);
        fs::remove_file(objects[1]).expect("it can be removed");
        place.run(&["verify", "--sample", "5%"]).expect_code(DAMAGED);
        let data = place.path("restored");
        let words = ["restore", "--data", data.to_str().expect("a path in UTF-8")];
        place.run(&words).expect_code(DAMAGED);
        // And what was restored in part is no data directory.
        Setup::new(&data).refused();
    }
}

#[test]
fn a_restore_goes_where_nothing_is_and_can_be_gone_on_with() {
    let place = Place::new("backup-restore");
    let server = Setup::new(place.data()).flag("--segment-bytes", "65536").start();
    place.run(&["list"]).expect_code(NO_BACKUP);
    fill(&server, "first", 40, 10_000);
    place.backup();
    fill(&server, "second", 20, 10_000);
    place.backup();
    server.stop();

    // A full directory is refused.
    let full = place.data();
    let words = ["restore", "--data", full.to_str().expect("a path in UTF-8")];
    place.run(&words).expect_code(NOT_EMPTY);

    // One that was interrupted is gone on with, and is no data directory until then.
    let object = place.stored("objects").into_iter().last().expect("an object");
    let bytes = fs::read(&object).expect("it is there");
    fs::remove_file(&object).expect("it can be removed");
    let path = place.path("resumed");
    let words = ["restore", "--data", path.to_str().expect("a path in UTF-8")];
    place.run(&words).expect_code(DAMAGED);
    let refused = Setup::new(&path).refused();
    assert!(refused.stderr.contains("windhover backup restore"), "{}", refused.stderr);
    fs::write(&object, bytes).expect("it can be written");
    let older = ["restore", "--backup", "1", "--data", path.to_str().expect("a path in UTF-8")];
    place.run(&older).expect_code(NOT_EMPTY);
    let resumed = place.told(&words);
    assert!(number(&resumed, "found") > 0, "{resumed}");
    assert_eq!(number(&resumed, "items"), 60);
    assert_eq!(drained(&Setup::new(&path), "second").len(), 20);

    // An earlier one: by its number, and by its time.
    assert!(drained(&place.restore("by-number", &["--backup", "1"]), "second").is_empty());
    let listed = place.told(&["list"]);
    let taken = listed[0]["taken"].as_str().expect("a time");
    let earlier = place.restore("by-time", &["--at", taken]);
    assert_eq!(drained(&earlier, "first").len(), 40);
    let long_ago = ["restore", "--data", "/nowhere", "--at", "2001-01-01T00:00:00Z"];
    place.run(&long_ago).expect_code(NO_BACKUP);

    // One queue.
    let one = place.restore("one-queue", &["--queue", "second"]);
    let server = one.start();
    let mut client = server.queue_client();
    assert_eq!(client.drain("first").expect("an answer"), [] as [Vec<u8>; 0]);
    assert_eq!(client.drain("second").expect("an answer").len(), 20);
    server.stop();
    let data = place.path("no-queue");
    let words = ["restore", "--queue", "third", "--data", data.to_str().expect("a path in UTF-8")];
    place.run(&words).expect_code(NO_BACKUP);
}

#[test]
fn a_prune_deletes_what_no_kept_backup_needs() {
    let place = Place::new("backup-prune");
    let server = Setup::new(place.data()).flag("--segment-bytes", "65536").start();
    for _ in 0..5 {
        fill(&server, "q", 10, 10_000);
        // All but the last go, so that segments are given up.
        server.queue_client().drain("q").expect("the queue gives its items");
        fill(&server, "q", 2, 10_000);
        place.backup();
    }
    // What a killed backup leaves goes too.
    fs::create_dir_all(place.to().join("objects/ab")).expect("a folder");
    let left = place.to().join(format!("objects/ab/{}-6", "ab".repeat(32)));
    fs::write(&left, "left").expect("it can be written");
    let strange = place.to().join("objects/README");
    fs::write(&strange, "somebody's").expect("it can be written");

    let before = place.stored("");
    let dry = place.told(&["prune", "--keep-last", "2", "--dry-run"]);
    assert_eq!(place.stored(""), before);
    let done = place.told(&["prune", "--keep-last", "2"]);
    assert_eq!((&dry["deleted"], &dry["objects"]), (&done["deleted"], &done["objects"]));
    assert_eq!(done["kept"], serde_json::json!([4, 5]));
    assert!(!left.exists() && strange.exists());
    assert!(place.stored("objects").len() < before.len());
    place.told(&["verify"]);
    assert_eq!(number(&place.told(&["drill"]), "items"), 2);

    // The next one builds on what was kept, and a prune that keeps nothing keeps the last.
    assert_eq!(number(&place.backup(), "parent"), 5);
    place.run(&["prune"]).expect_code(2);
    assert_eq!(place.told(&["prune", "--keep-last", "0"])["kept"], serde_json::json!([7]));
    place.told(&["verify"]);
    // An entry that was kept, and is lost.
    fs::remove_file(place.entry(7)).expect("it can be removed");
    place.run(&["verify"]).expect_code(DAMAGED);
    server.stop();
}

#[test]
fn a_prune_and_a_backup_do_not_meet() {
    let place = Place::new("backup-race");
    let server = Setup::new(place.data()).flag("--segment-bytes", "16384").start();
    fill(&server, "q", 20, 2_000);
    place.backup();
    let end = AtomicBool::new(false);
    let (mut made, mut lost) = (0, 0);
    thread::scope(|scope| {
        let end = EndOnDrop(&end);
        let (place, server, stop) = (&place, &server, end.0);
        scope.spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                fill(server, "q", 5, 2_000);
                server.queue_client().drain("q").expect("the queue gives its items");
            }
        });
        let pruner = scope.spawn(move || {
            let mut done = 0;
            while !stop.load(Ordering::Relaxed) {
                let code = place.run(&["prune", "--keep-last", "1"]).status.code();
                assert!([Some(GOOD), Some(OVERTAKEN)].contains(&code), "{code:?}");
                done += 1;
            }
            done
        });
        for _ in 0..25 {
            match place.run(&[]).status.code() {
                Some(GOOD) => made += 1,
                Some(OVERTAKEN) => lost += 1,
                other => panic!("{other:?}"),
            }
            place.told(&["verify"]);
        }
        drop(end);
        let prunes: u32 = pruner.join().expect("it ends");
        report(&format!(
            "{made} backups and {lost} that lost, beside {prunes} prunes: each verified"
        ));
    });
    place.told(&["drill"]);
    server.stop();
}

#[test]
fn backups_of_another_journal_are_not_mixed_with_these() {
    let place = Place::new("backup-other");
    let server = Setup::new(place.data()).start();
    fill(&server, "q", 3, 100);
    place.backup();
    server.stop();
    fs::remove_dir_all(place.data()).expect("it can be removed");
    let server = Setup::new(place.data()).start();
    fill(&server, "q", 3, 100);
    place.run(&[]).expect_code(OTHER_JOURNAL);
    place.told(&["--other-journal"]);
    place.told(&["verify"]);
    server.stop();
}

#[test]
fn without_its_key_a_backup_is_nothing() {
    let mut place = Place::new("backup-key").with_key();
    let server = Setup::new(place.data()).start();
    let mut client = server.queue_client();
    assert_eq!(client.set("q", b"a secret that nobody may read").expect("an answer"), "STORED");
    place.backup();
    for path in place.stored("") {
        let bytes = fs::read(&path).expect("it is there");
        assert!(!bytes.windows(8).any(|window| window == b"a secret"), "{}", path.display());
    }
    assert_eq!(number(&place.told(&["drill"]), "items"), 1);
    let key = place.key.replace(place.path("other-key")).expect("a key");
    fs::write(place.path("other-key"), "11".repeat(32)).expect("it can be written");
    for words in [&["list"][..], &["verify"], &["drill"], &[]] {
        place.run(words).expect_code(NO_KEY);
    }
    fs::write(place.path("other-key"), "no key").expect("it can be written");
    place.run(&["list"]).expect_code(NO_KEY);
    place.key = None;
    place.run(&["list"]).expect_code(NO_KEY);
    place.key = Some(key);
    place.told(&["verify"]);
    server.stop();
}

#[test]
fn a_journal_that_is_damaged_is_not_taken_for_a_whole_one() {
    let place = Place::new("backup-damaged-journal");
    let server = Setup::new(place.data()).flag("--segment-bytes", "16384").start();
    fill(&server, "q", 20, 2_000);
    let mut segments: Vec<PathBuf> = fs::read_dir(place.data().join("journal"))
        .expect("the journal is there")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    segments.sort();
    let mut bytes = fs::read(&segments[1]).expect("it is there");
    bytes[1000] ^= 1;
    fs::write(&segments[1], bytes).expect("it can be written");
    let outcome = place.run(&[]);
    outcome.expect_code(DAMAGED);
    let name = segments[1].file_name().expect("a name").to_string_lossy().into_owned();
    assert!(outcome.stderr.contains(&name), "{}", outcome.stderr);
    assert_eq!(place.stored("log"), [] as [PathBuf; 0]);
    server.kill();
}

#[test]
fn a_destination_that_fails_is_told() {
    let place = Place::new("backup-destination");
    let server = Setup::new(place.data()).start();
    fill(&server, "q", 1, 100);
    fs::write(place.to(), "a file").expect("it can be written");
    place.run(&[]).expect_code(FAILED);
    server.stop();
}

/// The value of a metric.
fn metric(server: &Server, name: &str) -> f64 {
    let page = server.http_client().get("/metrics").expect("a page").text();
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in:\n{page}")).parse().expect("a number")
}

#[test]
fn a_server_makes_backups_of_its_own_and_goes_on_while_the_destination_is_away() {
    let place = Place::new("backup-continuous");
    let to = place.to().to_str().expect("a path in UTF-8").to_owned();
    let setup = Setup::new(place.data())
        .flag("--segment-bytes", "65536")
        .flag("--backup-to", &to)
        .flag("--backup-every", "1s");
    let server = setup.start();
    fill(&server, "q", 20, 10_000);
    let listed = |items: u64| {
        eventually("a backup of all", BOUND, || {
            let outcome = place.run(&["list"]);
            let listed: Value = serde_json::from_str(&outcome.stdout).ok()?;
            let last = listed.as_array()?.last()?;
            (last["items"].as_u64() == Some(items)).then_some(())
        });
    };
    listed(20);
    eventually("no lag", BOUND, || {
        (metric(&server, "windhover_backup_lag_bytes") == 0.0).then_some(())
    });
    assert!(metric(&server, "windhover_backup_age_seconds") < 60.0);
    assert!(metric(&server, "windhover_backup_drilled_age_seconds").is_infinite());

    // The destination goes away, and everything else goes on.
    let away = place.path("away");
    fs::rename(place.to(), &away).expect("it can be renamed");
    fs::write(place.to(), "not a directory").expect("it can be written");
    fill(&server, "q", 30, 10_000);
    eventually("a failure", BOUND, || {
        (metric(&server, "windhover_backup_healthy") == 0.0).then_some(())
    });
    assert!(metric(&server, "windhover_backup_lag_bytes") > 300_000.0);
    assert!(metric(&server, "windhover_backup_lag_seconds") > 0.0);
    assert!(metric(&server, "windhover_backup_failures_total") > 0.0);
    assert!(server.log().contains("backups fail"), "{}", server.log());
    fs::remove_file(place.to()).expect("it can be removed");
    fs::rename(&away, place.to()).expect("it can be renamed");
    listed(50);
    eventually("it is told", BOUND, || server.log().contains("made again").then_some(()));

    // What a killed server had shipped is there, and another server goes on with it.
    server.kill();
    place.told(&["verify"]);
    place.told(&["drill"]);
    let server = setup.start();
    fill(&server, "q", 10, 10_000);
    listed(60);
    eventually("it is known when it was drilled", BOUND, || {
        (metric(&server, "windhover_backup_drilled_age_seconds") < 600.0).then_some(())
    });
    server.stop();
    let restored = place.restore("restored", &[]);
    assert_eq!(drained(&restored, "q").len(), 60);
}

/// The time of each put of 20,000 in a second, with and without a backup beside: the coordinator of a measurement
/// runs it on a quiet machine, by `--ignored --nocapture`.
#[test]
#[ignore = "a measurement, for a quiet machine"]
fn the_server_is_not_held_up() {
    let place = Place::new("backup-latency");
    let server = Setup::new(place.data()).flag("--max-queue-bytes", "4000000000").start();
    fill(&server, "old", 6400, 16_000);
    let mut ratios: Vec<f64> = (0..5)
        .map(|_| {
            let without = p99(&server, &|_| {});
            let with = p99(&server, &|end| {
                while !end.load(Ordering::Relaxed) {
                    let _ = fs::remove_dir_all(place.to());
                    place.backup();
                }
            });
            let ratio = with.as_secs_f64() / without.as_secs_f64();
            report(&format!(
                "p99 without a backup {without:.2?}, with one after the other {with:.2?}"
            ));
            ratio
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    report(&format!("median of the ratios: {:.2}", ratios[2]));
    server.stop();
}

/// The 99th percentile of the time from when a put was due to its answer, of 20,000 in a second for three seconds.
fn p99(server: &Server, beside: &(dyn Fn(&AtomicBool) + Sync)) -> Duration {
    const CONNECTIONS: u32 = 20;
    const PER_SECOND: u32 = 20_000;
    const SECONDS: u32 = 3;
    let end = AtomicBool::new(false);
    let each = PER_SECOND / CONNECTIONS;
    let mut times: Vec<Duration> = thread::scope(|scope| {
        let besides = scope.spawn(|| beside(&end));
        let writers: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = server.queue_client();
                    let began = Instant::now();
                    let mut times = Vec::new();
                    for n in 0..each * SECONDS {
                        let due = Duration::from_secs(1) * n / each;
                        thread::sleep(due.saturating_sub(began.elapsed()));
                        assert_eq!(client.set("load", &[b'x'; 200]).expect("an answer"), "STORED");
                        times.push(began.elapsed().saturating_sub(due));
                    }
                    times
                })
            })
            .collect();
        let times =
            writers.into_iter().flat_map(|writer| writer.join().expect("it ends")).collect();
        end.store(true, Ordering::Relaxed);
        besides.join().expect("it ends");
        times
    });
    eventually("the queue is empty", BOUND, || {
        let mut client = server.queue_client();
        client.command("flush load").ok()
    });
    times.sort_unstable();
    times[times.len() * 99 / 100]
}
