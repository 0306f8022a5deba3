//! Events that are sent again and again are recorded once, across kills, restarts, segments that are deleted,
//! a clock that jumps and a disk that hangs.
#![allow(clippy::panic, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use windhover_conformance::{
    HttpClient, Random, Runtime, Server, Setup, SlowDisk, TempDir, WallClock, eventually,
    on_each_runtime, report,
};

const BOUND: Duration = Duration::from_secs(20);
const ROUNDS: u32 = 8;
/// New events in each round.
const NEW: u32 = 300;

fn event(number: u32) -> String {
    format!(
        r#"{{"event":"buy","properties":{{"token":"t","distinct_id":"d","$insert_id":"id-{number}","time":1334859600,"n":{number}}}}}"#
    )
}

fn batch(numbers: &[u32]) -> String {
    let events: Vec<String> = numbers.iter().map(|number| event(*number)).collect();
    format!("[{}]", events.join(","))
}

/// The number of an event that was recorded.
fn number(item: &[u8]) -> u32 {
    let text = String::from_utf8_lossy(item);
    let digits = text.split_once(r#""n":"#).expect("an event of this test").1;
    digits.split([',', '}']).next().and_then(|digits| digits.parse().ok()).expect("its number")
}

/// The value of a metric; 0 where nothing was counted.
fn metric(server: &Server, name: &str) -> u64 {
    server.metric(name).unwrap_or(0)
}

/// Sends all of them, in batches of an order of its own, until the server is gone; those that were answered.
fn send(http: SocketAddr, numbers: &[u32], seed: u64, accepted: &Mutex<BTreeSet<u32>>) {
    let mut random = Random::new(seed);
    let mut numbers = numbers.to_vec();
    numbers.sort_by_cached_key(|_| random.number());
    let Ok(mut client) = HttpClient::connect(http) else {
        return;
    };
    for numbers in numbers.chunks(7) {
        match client.track(&batch(numbers)) {
            Ok(answer) if answer.accepted() => accepted.lock().expect("a lock").extend(numbers),
            Ok(answer) => panic!("{answer:?}"),
            Err(_) => return,
        }
    }
}

/// What was read of each event.
type Seen = BTreeMap<u32, BTreeSet<Vec<u8>>>;

/// Takes what is recorded; returns how many items that were. An item that was taken before a kill may come
/// again after it, as it was; an event that is recorded again has another time of receipt.
fn drain(server: &Server, seen: &mut Seen) -> usize {
    let items = server.queue_client().drain("events").expect("the queue gives its items");
    let numbers: BTreeSet<u32> = items.iter().map(|item| number(item)).collect();
    assert_eq!(numbers.len(), items.len(), "each is there once");
    let count = items.len();
    for item in items {
        seen.entry(number(&item)).or_default().insert(item);
    }
    count
}

fn events_sent_again_are_recorded_once_across_kills_and_deleted_segments(runtime: Runtime) {
    let directory = TempDir::new("dedup");
    let setup = Setup::new(directory.path().join("data"))
        .runtime(runtime)
        // Small, so that segments are deleted as soon as their events were taken.
        .flag("--segment-bytes", "16384");
    let mut random = Random::from_environment();
    let accepted = Mutex::new(BTreeSet::new());
    let mut seen = Seen::new();
    for round in 0..ROUNDS {
        let server = setup.start();
        // All that was ever sent, and some more.
        let numbers: Vec<u32> = (0..(round + 1) * NEW).collect();
        let seeds = [random.number(), random.number(), random.number()];
        let moment = random.millis(5, 150);
        let (http, is_killed) = (server.http(), round % 2 == 0);
        let server = thread::scope(|scope| {
            for seed in seeds {
                let (numbers, accepted) = (&numbers, &accepted);
                scope.spawn(move || send(http, numbers, seed, accepted));
            }
            if !is_killed {
                return Some(server);
            }
            thread::sleep(moment);
            server.kill();
            None
        });
        if let Some(server) = server {
            drain(&server, &mut seen);
            server.kill();
        }
    }
    let server = setup.start();
    let numbers: Vec<u32> = (0..ROUNDS * NEW).collect();
    send(server.http(), &numbers, 1, &accepted);
    let duplicates = metric(&server, "windhover_events_duplicate_total");
    drain(&server, &mut seen);
    server.stop();

    let accepted = accepted.into_inner().expect("a lock");
    assert_eq!(accepted.len(), numbers.len(), "each was answered as accepted");
    assert_eq!(seen.keys().copied().collect::<Vec<_>>(), numbers, "none is missing");
    let twice: Vec<_> = seen.iter().filter(|(_, items)| items.len() != 1).take(5).collect();
    assert!(twice.is_empty(), "recorded more than once: {twice:?}");
    report(&format!(
        "{}: {} events, each sent up to {} times across {ROUNDS} kills: each recorded once, {duplicates} \
         duplicates in the last life",
        runtime.name(),
        numbers.len(),
        3 * ROUNDS + 1,
    ));
}

fn events_sent_again_are_recorded_once_whatever_the_clock_says(runtime: Runtime) {
    const DAY: i64 = 86_400;
    let directory = TempDir::new("dedup-clock");
    let clock = WallClock::new();
    let setup = Setup::new(directory.path().join("data"))
        .runtime(runtime)
        .within(clock.within())
        .flag("--segment-bytes", "16384");
    let (accepted, mut seen) = (Mutex::new(BTreeSet::new()), Seen::new());
    let mut server = setup.start();
    // Two days ahead, five back, a year ahead, and right again; with a kill and a start behind each of them.
    for (round, ahead) in (1..).zip([0, 2 * DAY, -3 * DAY, 365 * DAY, 0]) {
        clock.set_ahead(ahead);
        let date = server.http_client().get("/healthz").expect("an answer");
        let numbers: Vec<u32> = (0..round * NEW).collect();
        send(server.http(), &numbers, u64::from(round), &accepted);
        drain(&server, &mut seen);
        if ahead == 365 * DAY {
            let year = |text: &str| text.split(' ').nth(3).and_then(|it| it.parse::<u32>().ok());
            let told = date.header("date").and_then(year).expect("a date");
            let right = eventually("a date", BOUND, || {
                clock.set_ahead(0);
                let date = server.http_client().get("/healthz").expect("an answer");
                date.header("date").and_then(year).filter(|it| *it < told)
            });
            assert_eq!(told, right + 1, "the server goes by the clock of this test");
            clock.set_ahead(ahead);
        }
        server.kill();
        server = setup.start();
        send(server.http(), &numbers, u64::from(round) + 100, &accepted);
        drain(&server, &mut seen);
    }
    server.stop();
    let numbers: Vec<u32> = (0..5 * NEW).collect();
    assert_eq!(accepted.into_inner().expect("a lock").len(), numbers.len());
    assert_eq!(seen.keys().copied().collect::<Vec<_>>(), numbers, "none is missing");
    let twice: Vec<_> = seen.iter().filter(|(_, items)| items.len() != 1).take(5).collect();
    assert!(twice.is_empty(), "recorded more than once: {twice:?}");
    report(&format!(
        "{}: {} events, sent again while the clock jumped by days and a year, across kills: each once",
        runtime.name(),
        numbers.len()
    ));
}

fn a_duplicate_is_not_accepted_before_its_first_is_safe(runtime: Runtime) {
    let directory = TempDir::new("dedup-disk");
    let disk = SlowDisk::new();
    let server = Setup::new(directory.path().join("data"))
        .runtime(runtime)
        .within(disk.within())
        .flag("--answer-timeout", "1")
        .start();
    let mut clients = [server.http_client(), server.http_client()];
    assert!(clients[0].track(&event(1)).expect("an answer").accepted());

    disk.hang();
    // What is safe already needs no disk.
    assert!(clients[0].track(&event(1)).expect("an answer").accepted());
    for client in &mut clients {
        let body = event(2);
        let head = format!(
            "POST /track HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        client.send(head.as_bytes()).expect("it is taken");
    }
    for client in &mut clients {
        assert_eq!(client.receive().expect("an answer").status, 503);
    }
    disk.recover();
    eventually("it is accepted", BOUND, || {
        clients[1].track(&event(2)).expect("an answer").accepted().then_some(())
    });
    assert_eq!(drain(&server, &mut Seen::new()), 2);
    server.stop();
}

fn events_without_an_id_and_those_of_a_server_that_is_told_to_are_recorded_each_time(
    runtime: Runtime,
) {
    let directory = TempDir::new("dedup-off");
    let no_id = r#"{"event":"buy","properties":{"token":"t","time":1334859600,"n":1}}"#;
    for (window, expected) in [("3600", [3, 1]), ("0", [3, 3])] {
        let setup = Setup::new(directory.path().join(window)).runtime(runtime);
        let server = setup.flag("--dedup-window", window).start();
        let mut client = server.http_client();
        for _ in 0..3 {
            let answer = client.track(&format!("[{no_id},{}]", event(2))).expect("an answer");
            assert!(answer.accepted(), "{answer:?}");
        }
        let items = server.queue_client().drain("events").expect("the queue gives its items");
        let recorded = [1, 2].map(|n| items.iter().filter(|item| number(item) == n).count());
        assert_eq!(recorded, expected, "--dedup-window {window}");
        server.stop();
    }
}

on_each_runtime!(
    events_sent_again_are_recorded_once_across_kills_and_deleted_segments,
    events_sent_again_are_recorded_once_whatever_the_clock_says,
    a_duplicate_is_not_accepted_before_its_first_is_safe,
    events_without_an_id_and_those_of_a_server_that_is_told_to_are_recorded_each_time,
);
