//! The official client libraries deliver through the tracker, pymemcache reads the queue.
#![allow(clippy::panic, clippy::expect_used)]

use std::{
    net::SocketAddr,
    process::Command,
    time::{Duration, Instant},
};

use windhover_conformance::{
    Runtime, Server, Setup, TempDir, driver, on_each_runtime, peers, python, report, run,
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
    python_delivers_one_by_one,
    python_delivers_in_batches,
    node_delivers_one_by_one,
    node_delivers_in_batches,
);
