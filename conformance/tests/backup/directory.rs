//! Backups in a directory: what is sent, found, restored, deleted and refused.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Child,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use windhover_conformance::{Random, Setup, report};

use super::{
    DAMAGED, EndOnDrop, FAILED, GOOD, NO_BACKUP, NO_KEY, NOT_EMPTY, OTHER_JOURNAL, OVERTAKEN,
    Place, drained, fill, number, spawn,
};

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
    // What the second backup sent is behind what the first did.
    let is_second = |path: &PathBuf| path.to_string_lossy().ends_with("-2");
    let object = place.stored("objects").into_iter().find(is_second).expect("an object");
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
