//! SIGKILL under all that queues do at a time: events by HTTP, sets, open, abort and confirm, flush, delete, and
//! queues that follow. Nothing acknowledged is lost, nothing appears that nobody put or that was gone for good,
//! and the order is kept.
#![allow(clippy::panic, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use windhover_conformance::{
    HttpClient, Ledger, QueueClient, Random, Runtime, Setup, TempDir, on_each_runtime, report,
};

/// Writers to the queue that is read while it is written to.
const WRITERS: usize = 3;

/// An item says who wrote it, and the how manieth it is.
type Item = (usize, u64);

/// What is known of the queue `jobs`, and of `jobs+copy`, which is read at the end alone.
#[derive(Debug, Default)]
struct Jobs {
    /// The next number of each writer, and those that were answered `STORED`.
    next: [u64; WRITERS],
    stored: BTreeSet<Item>,
    /// What a reader said it was done with.
    done: BTreeSet<Item>,
    aborted: u64,
}

fn encode((writer, number): Item) -> Vec<u8> {
    let pad = "p".repeat(usize::try_from(number * 37 % 300).expect("it is small"));
    format!("{writer} {number} {pad}").into_bytes()
}

fn decode(item: &[u8]) -> Item {
    let text = String::from_utf8_lossy(item);
    let mut words = text.split(' ');
    let mut next = || words.next().and_then(|word| word.parse::<u64>().ok());
    let (Some(writer), Some(number)) = (next(), next()) else { panic!("nobody put `{text}`") };
    let read = (usize::try_from(writer).expect("it is small"), number);
    assert_eq!(item, encode(read), "an item is as it was put");
    read
}

/// Sets until the server is gone.
fn write(writer: usize, address: SocketAddr, jobs: &Mutex<Jobs>) {
    let Ok(mut client) = QueueClient::connect(address) else { return };
    loop {
        let item = {
            let mut jobs = jobs.lock().expect("no thread panics with it");
            jobs.next[writer] += 1;
            (writer, jobs.next[writer])
        };
        match client.set("jobs", &encode(item)) {
            Ok(answer) if answer == "STORED" => {
                jobs.lock().expect("no thread panics with it").stored.insert(item);
            }
            Ok(answer) => panic!("a set was answered {answer}"),
            Err(_) => return,
        }
    }
}

/// Opens items, and is done with some of them.
fn read(address: SocketAddr, jobs: &Mutex<Jobs>, mut random: Random) {
    let Ok(mut client) = QueueClient::connect(address) else { return };
    while let Ok(item) = client.get("jobs/open/t=10") {
        let Some(item) = item else { continue };
        let item = decode(&item);
        let aborts = random.number().is_multiple_of(3);
        {
            let mut jobs = jobs.lock().expect("no thread panics with it");
            assert!(item.1 <= jobs.next[item.0], "nobody put {item:?}");
            // Before the server can know.
            if aborts {
                jobs.aborted += 1;
            } else {
                jobs.done.insert(item);
            }
        }
        if client.get(if aborts { "jobs/abort" } else { "jobs/close" }).is_err() {
            return;
        }
    }
}

/// Opens many at a time, and confirms all of them.
fn monitor(address: SocketAddr, jobs: &Mutex<Jobs>, killed: &AtomicBool) {
    let Ok(mut client) = QueueClient::connect(address) else { return };
    while !killed.load(Ordering::Relaxed) {
        let Ok(items) = client.monitor("jobs", 1, 5) else { return };
        let count = items.len();
        let items = items.iter().map(|item| decode(item));
        jobs.lock().expect("no thread panics with it").done.extend(items);
        if !client.command(&format!("confirm jobs {count}")).is_ok_and(|answer| answer == "END") {
            return;
        }
    }
}

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
        } else if let Ok(answer) = client.set("scratch", &encode((0, number))) {
            assert_eq!(answer, "STORED");
            let mut scratch = scratch.lock().expect("no thread panics with it");
            scratch.stored.insert(number);
            scratch.is_flushed = true;
        } else {
            return;
        }
    }
}

/// Takes all of a queue, which is in order for each who wrote to it.
fn drained(client: &mut QueueClient, queue: &str) -> Vec<Item> {
    let items = client.drain(queue).expect("the queue gives its items");
    let items: Vec<Item> = items.iter().map(|item| decode(item)).collect();
    let mut last = BTreeMap::new();
    for &(writer, number) in &items {
        let before = last.insert(writer, number);
        assert!(before < Some(number), "{queue}: {number} of {writer} behind {before:?}");
    }
    items
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
    let (ledger, jobs, mut sets) = (Ledger::default(), Mutex::new(Jobs::default()), 0);
    let own = Mutex::new(Scratch::default());
    let started = Instant::now();
    for round in 0..kills {
        let server = setup.start();
        let mut client = server.queue_client();
        if round == 0 {
            assert_eq!(client.get("jobs+copy").expect("an answer"), None);
        }
        let left = drained(&mut client, "scratch");
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
                scope.spawn(move || write(writer, queue, jobs));
            }
            for reader in 0..2 {
                scope.spawn(move || read(queue, jobs, Random::new(seed + reader)));
            }
            scope.spawn(move || monitor(queue, jobs, killed));
            scope.spawn(move || scratch(queue, own, Random::new(seed + 9)));
            thread::sleep(random.millis(20, 400));
            server.kill();
            killed.store(true, Ordering::Relaxed);
        });
        sets = jobs.lock().expect("no thread panicked").stored.len();
    }

    let server = setup.start();
    let mut client = server.queue_client();
    let left = drained(&mut client, "scratch");
    let mut own = own.into_inner().expect("no thread panicked");
    own.check(left);
    for item in client.drain("events").expect("the queue gives its items") {
        ledger.saw(&item);
    }
    let events = ledger.balance();
    let Jobs { next, stored, done, aborted } = jobs.into_inner().expect("no thread panicked");
    let left: BTreeSet<Item> = drained(&mut client, "jobs").into_iter().collect();
    let copied: BTreeSet<Item> = drained(&mut client, "jobs+copy").into_iter().collect();
    let again = left.intersection(&done).count();
    let phantom = left.iter().chain(&copied).find(|(writer, number)| *number > next[*writer]);
    assert_eq!(phantom, None, "nobody put it");
    let lost: Vec<&Item> =
        stored.iter().filter(|item| !left.contains(item) && !done.contains(item)).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    let lost: Vec<&Item> = stored.difference(&copied).collect();
    assert!(lost.is_empty(), "acknowledged, and the queue that follows lost them: {lost:?}");
    assert!(events.accepted > 0 && sets > 0 && !done.is_empty(), "the load never got through");
    report(&format!(
        "{}, {kills} kills in {:.1?}: {events}; {sets} sets answered `STORED`, {} confirmed, {aborted} aborted, \
         {} in the queue that follows, {} flushes and deletes; 0 lost, 0 phantom, {again} of those confirmed came \
         again",
        runtime.name(),
        started.elapsed(),
        done.len(),
        copied.len(),
        own.flushes,
    ));
    server.stop();
}

on_each_runtime!(nothing_is_lost_and_nothing_comes_back);
