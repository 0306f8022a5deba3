//! SIGKILL under all that queues do at a time: events by HTTP, sets, open, abort and confirm, flush, delete, and
//! queues that follow. Nothing acknowledged is lost, nothing appears that nobody put or that was gone for good,
//! and the order is kept.
#![allow(clippy::panic, clippy::expect_used)]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use windhover_conformance::{
    HttpClient, Item, Ledger, QueueClient, QueueLedger, Random, Runtime, Setup, TempDir, WRITERS,
    on_each_runtime, report,
};

/// What one connection does to a queue that nobody else uses: sets, and now and then a flush or a delete.
#[derive(Debug, Default)]
struct Scratch {
    next: u64,
    /// What was answered since the last flush was sent, and what was put before it.
    stored: BTreeSet<u64>,
    before: u64,
    /// Something was answered after the flush, so that the journal has both.
    is_flushed: bool,
    flushes: u64,
}

fn scratch(address: SocketAddr, scratch: &Mutex<Scratch>, mut random: Random) {
    let Ok(mut client) = QueueClient::connect(address) else { return };
    loop {
        let ends = random.number().is_multiple_of(20);
        let number = {
            let mut scratch = scratch.lock().expect("no thread panics with it");
            if ends {
                scratch.stored.clear();
                (scratch.before, scratch.is_flushed) = (scratch.next, false);
                scratch.flushes += 1;
            } else {
                scratch.next += 1;
            }
            scratch.next
        };
        if ends {
            let command = if number.is_multiple_of(2) { "flush scratch" } else { "delete scratch" };
            if client.command(command).is_err() {
                return;
            }
        } else if let Ok(answer) = client.set("scratch", &QueueLedger::encode((0, number))) {
            assert_eq!(answer, "STORED");
            let mut scratch = scratch.lock().expect("no thread panics with it");
            scratch.stored.insert(number);
            scratch.is_flushed = true;
        } else {
            return;
        }
    }
}

impl Scratch {
    /// What is there after a kill is what has to be.
    fn check(&mut self, items: Vec<Item>) {
        let there: BTreeSet<u64> = items.into_iter().map(|(_, number)| number).collect();
        let lost: Vec<&u64> = self.stored.difference(&there).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
        assert!(there.last() <= Some(&self.next), "nobody put {:?}", there.last());
        let ghosts: Vec<&u64> = there.iter().filter(|number| **number <= self.before).collect();
        assert!(!self.is_flushed || ghosts.is_empty(), "flushed, and there: {ghosts:?}");
        // They were just taken.
        self.stored.clear();
        (self.before, self.is_flushed) = (self.next, false);
    }
}

fn nothing_is_lost_and_nothing_comes_back(runtime: Runtime) {
    let kills = std::env::var("WINDHOVER_KILLS").map_or(6, |n| n.parse().expect("a number"));
    let directory = TempDir::new("mixed-kills");
    let setup = Setup::new(directory.path().join("data"))
        .runtime(runtime)
        // Small, so that segments rotate and are deleted under the kills too.
        .flag("--segment-bytes", "262144")
        .flag("--max-queue-bytes", "10000000000");
    let mut random = Random::from_environment();
    let (ledger, jobs) = (Ledger::default(), QueueLedger::new("jobs"));
    let own = Mutex::new(Scratch::default());
    let started = Instant::now();
    for round in 0..kills {
        let server = setup.start();
        let mut client = server.queue_client();
        if round == 0 {
            assert_eq!(client.get("jobs+copy").expect("an answer"), None);
        }
        let left = QueueLedger::drained(&mut client, "scratch");
        own.lock().expect("no thread panicked").check(left);
        let (http, queue) = (server.http(), server.queue());
        let killed = AtomicBool::new(false);
        let seed = random.number();
        thread::scope(|scope| {
            let (ledger, jobs, own, killed) = (&ledger, &jobs, &own, &killed);
            for batch in [1, 7] {
                scope.spawn(move || {
                    let Ok(mut client) = HttpClient::connect(http) else { return };
                    while ledger.send(&mut client, batch) {}
                });
            }
            for writer in 0..WRITERS {
                scope.spawn(move || jobs.write(writer, queue));
            }
            for reader in 0..2 {
                scope.spawn(move || jobs.read(queue, Random::new(seed + reader)));
            }
            scope.spawn(move || jobs.monitor(queue, killed));
            scope.spawn(move || scratch(queue, own, Random::new(seed + 9)));
            thread::sleep(random.millis(20, 400));
            server.kill();
            killed.store(true, Ordering::Relaxed);
        });
    }

    let server = setup.start();
    let mut client = server.queue_client();
    let left = QueueLedger::drained(&mut client, "scratch");
    let mut own = own.into_inner().expect("no thread panicked");
    own.check(left);
    for item in client.drain("events").expect("the queue gives its items") {
        ledger.saw(&item);
    }
    let events = ledger.balance();
    let jobs = jobs.books().clone();
    let left: BTreeSet<Item> = QueueLedger::drained(&mut client, "jobs").into_iter().collect();
    let copied: BTreeSet<Item> =
        QueueLedger::drained(&mut client, "jobs+copy").into_iter().collect();
    let (sets, again) = (jobs.stored.len(), left.intersection(&jobs.done).count());
    assert_eq!(jobs.phantom(left.iter().chain(&copied)), None, "nobody put it");
    let lost = jobs.lost(&left);
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    let lost: Vec<&Item> = jobs.stored.difference(&copied).collect();
    assert!(lost.is_empty(), "acknowledged, and the queue that follows lost them: {lost:?}");
    assert!(events.accepted > 0 && sets > 0 && !jobs.done.is_empty(), "the load never got through");
    report(&format!(
        "{}, {kills} kills in {:.1?}: {events}; {sets} sets answered `STORED`, {} confirmed, {} aborted, \
         {} in the queue that follows, {} flushes and deletes; 0 lost, 0 phantom, {again} of those confirmed came \
         again",
        runtime.name(),
        started.elapsed(),
        jobs.done.len(),
        jobs.aborted,
        copied.len(),
        own.flushes,
    ));
    server.stop();
}

on_each_runtime!(nothing_is_lost_and_nothing_comes_back);
