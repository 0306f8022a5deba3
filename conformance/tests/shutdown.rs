//! SIGTERM: what is in flight is finished, what was accepted is kept, and the exit code is 0.
#![allow(clippy::panic, clippy::expect_used)]

use std::{
    thread,
    time::{Duration, Instant},
};

use windhover_conformance::{HttpClient, Ledger, Runtime, Setup, TempDir, on_each_runtime, report};

/// Loose: it says "does not hang", not "is fast".
const BOUND: Duration = Duration::from_secs(20);

fn under_load_it_ends_with_0_and_keeps_what_it_accepted(runtime: Runtime) {
    let directory = TempDir::new("shutdown");
    let setup = Setup::new(directory.path().join("data")).runtime(runtime);
    let ledger = Ledger::default();

    for fsync in ["always", "interval=50", "never"] {
        let server = setup.clone().flag("--fsync", fsync).start();
        let http = server.http();
        thread::scope(|scope| {
            for batch in [1, 1, 10] {
                let ledger = &ledger;
                scope.spawn(move || {
                    let mut client = HttpClient::connect(http).expect("the tracker listens");
                    while ledger.send(&mut client, batch) {}
                });
            }
            thread::sleep(Duration::from_millis(300));
            server.terminate();
            let (status, log) = server.wait(BOUND);
            assert_eq!(status.code(), Some(0), "fsync {fsync}: {status}\n{log}");
        });
    }

    let server = setup.start();
    let mut queue = server.queue_client();
    for item in queue.drain("events").expect("the queue gives its items") {
        ledger.saw(&item);
    }
    let totals = ledger.balance();
    report(&format!("orderly ends under load: {totals}"));
    assert!(totals.accepted > 0, "the load never got through");
    assert_eq!(totals.repeated, 0, "an orderly end repeats nothing");
}

fn a_request_that_had_begun_is_finished(runtime: Runtime) {
    let directory = TempDir::new("shutdown");
    let server = Setup::new(directory.path().join("data")).runtime(runtime).start();
    let body = r#"{"event":"late","properties":{"token":"t"}}"#;
    let mut client = server.http_client();
    let head = format!(
        "POST /track HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    client.send(head.as_bytes()).expect("the tracker reads");
    client.send(&body.as_bytes()[..10]).expect("the tracker reads");
    thread::sleep(Duration::from_millis(300));

    server.terminate();
    thread::sleep(Duration::from_millis(300));
    client.send(&body.as_bytes()[10..]).expect("the tracker still reads");
    let answer = client.receive().expect("the tracker still answers");
    assert!(answer.accepted(), "{answer:?}");
    assert_eq!(answer.header("connection"), Some("close"));

    let (status, log) = server.wait(BOUND);
    assert_eq!(status.code(), Some(0), "{log}");
    let server = Setup::new(directory.path().join("data")).runtime(runtime).start();
    let items = server.queue_client().drain("events").expect("items");
    assert_eq!(items.len(), 1);
}

fn peers_that_never_finish_are_left_at_the_deadline(runtime: Runtime) {
    let directory = TempDir::new("shutdown");
    let server = Setup::new(directory.path().join("data"))
        .runtime(runtime)
        .flag("--shutdown-timeout", "1")
        .start();
    let mut half = server.http_client();
    half.send(b"POST /track HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\n1")
        .expect("the tracker reads");
    let idle = server.http_client();
    let reader = server.queue_client();
    thread::sleep(Duration::from_millis(200));

    let started = Instant::now();
    server.terminate();
    let (status, log) = server.wait(BOUND);
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    drop((half, idle, reader));
}

fn sigint_ends_it_like_sigterm(runtime: Runtime) {
    let directory = TempDir::new("shutdown");
    let server = Setup::new(directory.path().join("data")).runtime(runtime).start();
    server.interrupt();
    let (status, log) = server.wait(BOUND);
    assert_eq!(status.code(), Some(0), "{log}");
}

on_each_runtime!(
    under_load_it_ends_with_0_and_keeps_what_it_accepted,
    a_request_that_had_begun_is_finished,
    peers_that_never_finish_are_left_at_the_deadline,
    sigint_ends_it_like_sigterm,
);
