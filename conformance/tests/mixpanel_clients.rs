//! The official client libraries deliver through the tracker, pymemcache reads the queue.
#![allow(clippy::panic, clippy::expect_used)]

use std::{
    net::SocketAddr,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use windhover_conformance::{
    Authority, Runtime, Server, Setup, TempDir, binary, driver, on_each_runtime, peers, python,
    report, run,
};

const EVENTS: u32 = 1000;
const BOUND: Duration = Duration::from_secs(120);

fn node(script: &str) -> Command {
    let mut command = Command::new("node");
    command
        .env("NODE_PATH", peers().join("node/node_modules"))
        // The library would send through a proxy that the environment names.
        .env_remove("HTTP_PROXY")
        .env_remove("HTTPS_PROXY")
        .arg(driver(script));
    command
}

/// Sends with `deliver`, reads back, and prints how long each took.
fn round_trip(
    runtime: Runtime,
    title: &str,
    mut deliver: Command,
    mode: &str,
    target: &str,
    order: &str,
) {
    let directory = TempDir::new("clients");
    let server = Setup::new(directory.path().join("data")).runtime(runtime).start();
    let sent = directory.path().join("sent.jsonl");

    let started = Instant::now();
    deliver
        .arg(target.replace("HOST:PORT", &server.http().to_string()))
        .args([&EVENTS.to_string(), mode])
        .arg(&sent);
    run(&mut deliver, BOUND).expect_code(0);
    let delivered = started.elapsed();

    let mut read_back = python("read_back.py");
    read_back.args([&server.queue().to_string(), "events"]).arg(&sent).arg(order);
    run(&mut read_back, BOUND).expect_code(0);
    let seconds = delivered.as_secs_f64();
    report(&format!(
        "{title}: {EVENTS} events in {seconds:.2} s ({:.0}/s), read back equal, {order}",
        f64::from(EVENTS) / seconds
    ));
    assert_nothing_left(&server, server.queue());
    server.stop();
}

/// For drivers that send the same events in one form after the other, and look for each.
const DEDUP_OFF: (&str, &str) = ("--dedup-window", "0");

fn assert_nothing_left(server: &Server, queue: SocketAddr) {
    let stats = server.queue_client().stats().expect("the queue answers stats");
    let left = stats.get("queue_events_items").map(String::as_str);
    assert_eq!(left, Some("0"), "of the queue at {queue}: {stats:?}");
}

fn python_delivers_one_by_one(runtime: Runtime) {
    let target = "http://HOST:PORT/track";
    round_trip(runtime, "python, singly", python("track.py"), "single", target, "ordered");
}

fn python_delivers_in_batches(runtime: Runtime) {
    let target = "http://HOST:PORT/track";
    round_trip(runtime, "python, batches of 50", python("track.py"), "batch", target, "ordered");
}

fn node_delivers_one_by_one(runtime: Runtime) {
    round_trip(runtime, "node, singly", node("track.js"), "single", "HOST:PORT", "ordered");
}

fn node_delivers_in_batches(runtime: Runtime) {
    let order = "batches-of-50";
    round_trip(runtime, "node, batches of 50", node("track.js"), "batch", "HOST:PORT", order);
}

/// Every kind of record, through a library that reads back what it sent.
fn every_kind(runtime: Runtime, library: &str) {
    let directory = TempDir::new("clients");
    let server = Setup::new(directory.path().join("data")).runtime(runtime).start();
    let mut driver = python("records.py");
    driver.args([library, &server.http().to_string(), &server.queue().to_string()]);
    let outcome = run(&mut driver, BOUND);
    outcome.expect_code(0);
    report(&format!("{library}: {}", outcome.stdout.trim()));
    server.stop();
}

/// Every method of the library for Node, over both of its transports.
fn node_sends_every_kind_of_record(runtime: Runtime) {
    let (directory, authority) = (TempDir::new("clients"), Authority::new());
    let (trusted, sent) = (directory.path().join("ca.pem"), directory.path().join("sent.jsonl"));
    std::fs::write(&trusted, authority.pem()).expect("a file can be written");
    let certificate = authority.sign("127.0.0.1");
    for protocol in ["http", "https"] {
        let setup = Setup::new(directory.path().join(protocol)).runtime(runtime);
        let mut setup = setup.flag(DEDUP_OFF.0, DEDUP_OFF.1);
        if protocol == "https" {
            for (flag, file) in
                [("--tls-cert", &certificate.chain), ("--tls-key", &certificate.key)]
            {
                setup = setup.flag(flag, &file.to_string_lossy());
            }
            setup = setup.flag("--tls", "http");
        }
        let server = setup.start();
        let mut driver = node("records.js");
        driver.env("NODE_EXTRA_CA_CERTS", &trusted);
        driver.args([protocol, &server.http().to_string()]).arg(&sent);
        run(&mut driver, BOUND).expect_code(0);
        report(&format!("node by {protocol}: {}", read_back(&server, &sent)));
        server.stop();
    }
}

/// Holds what is in the queues against a file of what was sent; says how much it was.
fn read_back(server: &Server, sent: &Path) -> String {
    let mut driver = python("records_read_back.py");
    driver.arg(server.queue().to_string()).arg(sent);
    let outcome = run(&mut driver, BOUND);
    outcome.expect_code(0);
    outcome.stdout.trim().to_owned()
}

/// What the libraries for Swift, Android, Java and Go send, compressed forms among it.
fn requests_of_other_languages_are_read(runtime: Runtime) {
    let directory = TempDir::new("clients");
    let sent = directory.path().join("sent.jsonl");
    let setup = Setup::new(directory.path().join("data")).runtime(runtime);
    let server = setup.flag(DEDUP_OFF.0, DEDUP_OFF.1).start();
    let mut driver = python("senders.py");
    driver.args(["recorded", &server.http().to_string()]).arg(&sent);
    let outcome = run(&mut driver, BOUND);
    outcome.expect_code(0);
    report(&format!("{}: {}", outcome.stdout.trim(), read_back(&server, &sent)));
    server.stop();
}

/// The same with a bad record in each batch, by the rule of 2012: nothing is recorded, and `windhover replay`
/// sends each request again as it was, once the rule is another one.
fn requests_that_were_refused_as_a_whole_are_sent_again(runtime: Runtime) {
    let directory = TempDir::new("clients");
    let sent = directory.path().join("sent.jsonl");
    let setup = Setup::new(directory.path().join("data")).runtime(runtime);
    let setup = setup.flag(DEDUP_OFF.0, DEDUP_OFF.1);
    let server = setup.clone().switch("--all-or-nothing").start();
    let mut driver = python("senders.py");
    driver.args(["refused", &server.http().to_string()]).arg(&sent);
    let outcome = run(&mut driver, BOUND);
    outcome.expect_code(0);
    let requests = outcome.stdout.split(' ').next().expect("a number");
    server.stop();

    let server = setup.start();
    let replayed = setup.replay(&server);
    replayed.expect_code(0);
    let taken = format!("taken          {requests}\nrefused again  0");
    assert!(replayed.stdout.contains(&taken), "{replayed:#?}");
    report(&format!("{requests} requests sent again: {}", read_back(&server, &sent)));
    // What was wrong in them is refused by itself now.
    let letters = server.queue_client().drain("dead-letters").expect("the queue answers");
    assert_eq!(letters.len().to_string(), requests);
    server.stop();
}

/// The library for browsers, in one: pages of another origin, batches that are halved, a server that is
/// restarted in between, pages that are closed. On one runtime, for the time that it takes; mio has most code
/// of its own for sockets that are handed over.
#[test]
fn a_browser_sends_every_kind_of_record() {
    let runtime = Runtime::Mio;
    let directory = TempDir::new("clients");
    let mut driver = python("browser.py");
    driver.arg(binary()).arg(directory.path().join("data")).arg(runtime.name());
    driver.arg(peers().join("node/node_modules"));
    // What the browser writes goes with the test.
    driver.env("TMPDIR", directory.path()).env("HOME", directory.path());
    let outcome = run(&mut driver, BOUND);
    report(&format!("browser, {}: {}", runtime.name(), outcome.stdout.trim()));
    outcome.expect_code(0);
}

fn python_sends_every_kind_of_record(runtime: Runtime) {
    every_kind(runtime, "mixpanel");
}

fn mixpanel_utils_imports_events_and_profiles(runtime: Runtime) {
    every_kind(runtime, "mixpanel-utils");
}

fn aiomixpanel_sends_events_and_updates(runtime: Runtime) {
    every_kind(runtime, "aiomixpanel");
}

on_each_runtime!(
    python_sends_every_kind_of_record,
    mixpanel_utils_imports_events_and_profiles,
    aiomixpanel_sends_events_and_updates,
    node_sends_every_kind_of_record,
    requests_of_other_languages_are_read,
    requests_that_were_refused_as_a_whole_are_sent_again,
    python_delivers_one_by_one,
    python_delivers_in_batches,
    node_delivers_one_by_one,
    node_delivers_in_batches,
);
