//! Backups in a bucket: the same as in a directory, whatever becomes of requests and answers on their way.

use std::fs;

use serde_json::Value;
use windhover_conformance::{Server, Setup, eventually, full_binary, report};

use super::store::{Fault, Store};
use super::{BOUND, DAMAGED, FAILED, GOOD, NO_BACKUP, Place, drained, fill, number};

fn place(purpose: &str, store: &Store) -> Place {
    let variables = [
        ("AWS_ACCESS_KEY_ID", "access"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_REGION", "us-east-1"),
        // So that silence is not waited for.
        ("AWS_READ_TIMEOUT", "1s"),
        ("NO_PROXY", "*"),
    ];
    let mut variables: Vec<(&str, String)> =
        variables.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
    variables.push(("WINDHOVER_BACKUP_ENDPOINT", store.endpoint()));
    let mut place = Place::new(purpose);
    place.bucket = Some(("s3://bucket/some/where".to_owned(), variables));
    place
}

fn filled(place: &Place) -> Server {
    let server = Setup::new(place.data()).flag("--segment-bytes", "65536").start();
    fill(&server, "q", 20, 10_000);
    server
}

#[test]
fn a_bucket_is_as_good_as_a_directory() {
    let store = Store::start();
    let place = place("backup-bucket", &store);
    let server = filled(&place);
    place.run(&["list"]).expect_code(NO_BACKUP);
    place.backup();
    fill(&server, "q", 5, 10_000);
    let second = place.backup();
    assert_eq!((number(&second, "parent"), number(&second, "items")), (1, 25));
    assert!(number(&second, "sent") < 100_000, "{second}");
    place.told(&["verify"]);
    assert_eq!(number(&place.told(&["drill"]), "items"), 25);
    let pruned = place.told(&["prune", "--keep-last", "1"]);
    assert_eq!(pruned["deleted"], serde_json::json!([1]));
    place.told(&["verify"]);
    server.stop();
    assert_eq!(drained(&place.restore("restored", &[]), "q").len(), 25);
}

#[test]
fn a_backup_meets_a_store_that_fails_and_is_whole_or_tells() {
    let store = Store::start();
    let place = place("backup-bucket-faults", &store);
    let server = filled(&place);
    place.backup();
    let mut told = Vec::new();
    // What the store does, how often, and whether a backup has to come through.
    let faults = [
        (Fault::Answer(500, "InternalError"), 2, true),
        (Fault::Answer(503, "SlowDown"), 2, true),
        (Fault::LoseAnswer, 1, false),
        (Fault::CutPut, 1, false),
        (Fault::Silence, 1, false),
        (Fault::Answer(400, "BadDigest"), 1, false),
        (Fault::Answer(403, "AccessDenied"), 1, false),
        (Fault::Answer(500, "InternalError"), 1000, false),
    ];
    let all = faults.iter().map(|fault| ("PUT /objects/", *fault));
    let some = faults.iter().skip(2).take(2);
    let all = all
        .chain(some.clone().map(|fault| ("PUT .json.zst", *fault)))
        .chain(some.map(|fault| ("PUT .sum", *fault)));
    for (words, (fault, times, must_succeed)) in all {
        fill(&server, "q", 1, 5_000);
        store.spoil(fault, words, times);
        let outcome = place.run(&[]);
        let code = outcome.status.code();
        assert!(times > 2 || store.is_done(), "{fault:?} of {words} met nothing");
        store.heal();
        let allowed: &[Option<i32>] =
            if must_succeed { &[Some(GOOD)] } else { &[Some(GOOD), Some(FAILED)] };
        assert!(allowed.contains(&code), "{fault:?} of {words}: {outcome:#?}");
        if times > 2 || matches!(fault, Fault::Answer(400 | 403, _)) {
            assert_eq!(code, Some(FAILED), "{fault:?} of {words}");
            assert!(outcome.stderr.contains("the destination failed: put"), "{outcome:#?}");
        }
        told.push(code == Some(GOOD));
        // Whatever it was, what is there is whole.
        place.told(&["verify"]);
    }
    place.told(&["verify"]);
    place.told(&["drill"]);
    let good = told.iter().filter(|good| **good).count();
    report(&format!(
        "{} faults of the store: {good} backups came through, {} said that they failed, all that is there is whole",
        told.len(),
        told.len() - good
    ));
    server.stop();
}

#[test]
fn everything_that_is_wrong_in_a_bucket_is_found() {
    let store = Store::start();
    let place = place("backup-bucket-damage", &store);
    let server = filled(&place);
    // A store that accepts what is not what was sent, as AWS does not: the checksum goes with it.
    store.spoil(Fault::FlipPut, "PUT /objects/", 1);
    place.backup();
    let outcome = place.run(&["verify"]);
    outcome.expect_code(DAMAGED);
    assert_eq!(outcome.stderr.matches("is damaged").count(), 1, "{}", outcome.stderr);
    let data = place.path("restored");
    let words = ["restore", "--data", data.to_str().expect("a path in UTF-8")];
    place.run(&words).expect_code(DAMAGED);
    server.stop();

    let mut place = self::place("backup-bucket-more-damage", &store);
    let (to, _) = place.bucket.as_mut().expect("a bucket");
    *to = "s3://bucket/other".to_owned();
    let server = filled(&place);
    place.backup();
    fill(&server, "q", 5, 10_000);
    place.backup();
    server.stop();
    place.told(&["verify"]);
    // On the way back.
    for (fault, codes) in [(Fault::FlipGet, &[DAMAGED][..]), (Fault::CutGet, &[GOOD, FAILED])] {
        for words in ["GET /objects/", "GET .json.zst"] {
            store.spoil(fault, words, 1);
            let code = place.run(&["verify"]).status.code().expect("an exit code");
            assert!(codes.contains(&code), "{fault:?} of {words}: {code}");
            assert!(store.is_done(), "{fault:?} of {words} met nothing");
            store.heal();
        }
    }
    // At rest: the object of the first backup, the manifests.
    let keys = store.keys("other/");
    let objects: Vec<&String> = keys.iter().filter(|key| key.contains("/objects/")).collect();
    let manifests: Vec<&String> = keys.iter().filter(|key| key.contains(".json.zst")).collect();
    assert_eq!(manifests.len(), 2);
    let mut found = 0;
    let targets = [objects[0], objects[1], manifests[0], manifests[1]];
    for (key, action) in targets.into_iter().zip(["flip", "cut", "flip", "delete"]) {
        store.act(&[action, "bucket", key]);
        let outcome = place.run(&["verify"]);
        outcome.expect_code(DAMAGED);
        found += 1;
        let name = key.rsplit('/').next().expect("a name");
        assert!(outcome.stderr.contains(name), "{action} {key}: {}", outcome.stderr);
        assert_eq!(outcome.stderr.lines().filter(|it| it.contains("windhover: ")).count(), found);
        // Of what is needed only by a manifest that is lost, nothing is known.
        if action == "flip" && key == manifests[0] {
            break;
        }
    }
    report(&format!("{found} damages in a bucket, one on the other, and every one was found"));
    store.act(&["delete", "bucket", manifests[1]]);
    let outcome = place.run(&["verify"]);
    outcome.expect_code(DAMAGED);
    assert!(outcome.stderr.contains("is lost"), "{}", outcome.stderr);
}

#[test]
fn a_server_makes_backups_in_a_bucket_on_any_runtime() {
    let store = Store::start();
    for runtime in ["tokio", "async-std", "mio"] {
        let mut place = place("backup-bucket-continuous", &store);
        let to = format!("s3://bucket/{runtime}");
        let (place_to, variables) = place.bucket.as_mut().expect("a bucket");
        place_to.clone_from(&to);
        let within = variables.iter().map(|(name, value)| format!("{name}={value}"));
        let within: Vec<String> = std::iter::once("env".to_owned()).chain(within).collect();
        let setup = Setup::new(place.data())
            .within(within)
            .program(full_binary())
            .flag("--runtime", runtime)
            .flag("--backup-to", &to)
            .flag("--backup-every", "1s");
        let server = setup.start();
        fill(&server, "q", 3, 1_000);
        eventually("a backup of all", BOUND, || {
            let outcome = place.run(&["list"]);
            let listed: Value = serde_json::from_str(&outcome.stdout).ok()?;
            (listed.as_array()?.last()?["items"].as_u64() == Some(3)).then_some(())
        });
        server.stop();
        let restored = place.restore("restored", &[]);
        assert_eq!(drained(&restored, "q").len(), 3);
        fs::remove_dir_all(restored.data()).expect("it can be removed");
    }
}
