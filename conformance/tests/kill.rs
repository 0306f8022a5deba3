//! SIGKILL under load: what was answered `1` survives, and nothing else appears.
#![allow(clippy::panic, clippy::expect_used)]

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use windhover_conformance::{
    HttpClient, Ledger, QueueClient, Random, Runtime, Server, Setup, TempDir, on_each_runtime,
    report,
};

fn answered_events_survive_kills_when_every_write_is_synced(runtime: Runtime) {
    rounds(runtime, 20, "always", &[]);
}

/// Most items are in the journal alone, and are read back from it.
fn answered_events_survive_kills_when_they_have_no_room_in_memory(runtime: Runtime) {
    rounds(runtime, 10, "always", &[("--queue-memory", "65536")]);
}

/// The page cache outlives a process that is killed, so `never` must hold here as well: the write
/// itself has to come before the answer.
fn answered_events_survive_kills_when_nothing_is_synced(runtime: Runtime) {
    rounds(runtime, 5, "never", &[]);
}

fn rounds(runtime: Runtime, count: u32, fsync: &str, flags: &[(&str, &str)]) {
    let directory = TempDir::new("kill");
    let setup = Setup::new(directory.path().join("data")).runtime(runtime);
    let setup = flags.iter().fold(setup, |setup, (flag, value)| setup.flag(flag, value));
    let setup = setup
        .flag("--fsync", fsync)
        // Small, so that segments rotate and are deleted under the kills too.
        .flag("--segment-bytes", "262144")
        .flag("--max-queue-items", "100000000")
        .flag("--max-queue-bytes", "10000000000");
    let mut random = Random::from_environment();
    let ledger = Ledger::default();
    let started = Instant::now();

    for _ in 0..count {
        let server = setup.start();
        load_until_killed(server, &ledger, random.millis(20, 500));
    }

    let server = setup.start();
    let mut queue = server.queue_client();
    for item in queue.drain("events").expect("the queue gives its items") {
        ledger.saw(&item);
    }
    let totals = ledger.balance();
    report(&format!(
        "fsync {fsync} {flags:?}, {count} kills in {:.1?}: {totals}",
        started.elapsed()
    ));
    assert!(totals.accepted > 0, "the load never got through");
    server.stop();
}

/// Senders of single events and of batches and a reader run until the server is killed.
fn load_until_killed(server: Server, ledger: &Ledger, moment: Duration) {
    let (http, queue) = (server.http(), server.queue());
    let killed = AtomicBool::new(false);
    thread::scope(|scope| {
        for batch in [1, 1, 7, 20] {
            scope.spawn(move || {
                let Ok(mut client) = HttpClient::connect(http) else {
                    return;
                };
                while ledger.send(&mut client, batch) {}
            });
        }
        let killed = &killed;
        scope.spawn(move || {
            let Ok(mut client) = QueueClient::connect(queue) else {
                return;
            };
            // Reliable reads only: an item that a plain get took may be lost with its answer.
            while !killed.load(Ordering::Relaxed) {
                match client.get("events/t=10/close/open") {
                    Ok(Some(item)) => ledger.saw(&item),
                    Ok(None) => {}
                    Err(_) => return,
                }
            }
        });
        thread::sleep(moment);
        server.kill();
        killed.store(true, Ordering::Relaxed);
    });
}

on_each_runtime!(
    answered_events_survive_kills_when_every_write_is_synced,
    answered_events_survive_kills_when_they_have_no_room_in_memory,
    answered_events_survive_kills_when_nothing_is_synced,
);
