//! Hostile requests, many at a time: the server stays within its memory, panics at nothing, and goes on
//! serving whoever behaves.
//!
//! `WINDHOVER_HOSTILE=200000` sends as many to each runtime; without it it is some thousands.
//!
//! An attacker is on another machine, and so is whoever behaves; here they share one with the server. So that
//! what is measured is the server, it has a core of its own, and the load has another one (as in `bench/run`);
//! what attackers send is made before; and their threads run only where those who behave leave the load's core
//! alone (`SCHED_IDLE`). They are more than a single one, so that one which waits for an answer does not lower
//! their rate, which is told beside the figures. The idle figure is taken in the same way.
#![allow(clippy::panic, clippy::expect_used)]

mod attack;
mod behaved;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use windhover_conformance::{
    Cores, QueueClient, Random, Runtime, Server, Setup, TempDir, Until, memory, on_each_runtime,
    raise_open_files, report, watch_memory,
};

use crate::attack::{Hostile, Large};
use crate::behaved::{EVENT, Rounds};

const MIB: u64 = 1024 * 1024;
/// `--connection-memory`, in MiB.
const BUDGET: u64 = 64;
/// What may come on top of it.
const SLACK: u64 = 64;
/// How many are sent in the test command.
const FEW: u64 = 2000;
const ATTACKERS: u64 = 16;
/// Hostile requests in each second, as far as the machine gets to it: as many as those who behave send.
const HOSTILE_RATE: u64 = 2000;
/// Loose: a machine that does other work beside has its own moments.
const SERVED_WITHIN: Duration = Duration::from_secs(60);

fn hostile_requests() -> u64 {
    std::env::var("WINDHOVER_HOSTILE").map_or(FEW, |count| {
        count
            .parse()
            .unwrap_or_else(|_| panic!("WINDHOVER_HOSTILE is `{count}`, expected a number"))
    })
}

/// Takes what is recorded, so that it is not held; how many events of those who behave.
fn consume(server: &Server) -> Until<u64> {
    let mut queue: QueueClient = server.queue_client();
    Until::start(move |has_ended| {
        let mut count = 0;
        loop {
            // Looked at before, so that what came last is taken too.
            let is_last = has_ended.load(Ordering::Relaxed);
            for name in ["events", "engage", "groups"] {
                let items = queue.drain(name).expect("the queue answers");
                count += items.iter().filter(|item| is_behaved(item)).count() as u64;
            }
            if is_last {
                return count;
            }
            thread::sleep(Duration::from_millis(20));
        }
    })
}

/// What each attacker sends.
fn make_requests(count: u64, seed: u64) -> Vec<Vec<Hostile>> {
    let large = Large::new();
    let make = |number: u64| {
        let seed = seed.wrapping_mul(ATTACKERS).wrapping_add(number);
        attack::requests(count.div_ceil(ATTACKERS), seed, &large)
    };
    (0..ATTACKERS).map(make).collect()
}

fn is_behaved(item: &[u8]) -> bool {
    let name = format!(r#""event":"{EVENT}""#);
    item.windows(name.len()).any(|window| window == name.as_bytes())
}

fn hostile_requests_cost_others_nothing(runtime: Runtime) {
    raise_open_files(4096);
    let seed = Random::seed_from_environment();
    let wanted = hostile_requests();
    let directory = TempDir::new("hostile");
    let cores = Cores::two();
    let server = Setup::new(directory.path().join("data"))
        .runtime(runtime)
        .within(cores.iter().flat_map(|cores| cores.server_prefix()))
        .flag("--connection-memory", &BUDGET.to_string())
        .flag("--threads", "2")
        // What is refused is kept; here it would only be memory.
        .flag("--dead-letter-bytes", &(2 * MIB).to_string())
        .start();
    if let Some(cores) = cores {
        cores.run_load();
    }
    let consumer = consume(&server);
    let round = Duration::from_millis(if wanted > FEW { 2000 } else { 400 });

    let requests = make_requests(wanted, seed);
    let quiet = behaved::rounds(server.http(), round, || true);
    let idle = memory(server.pid());
    let watching = watch_memory(server.pid());
    let (sent, begun) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let interval = Duration::from_secs(ATTACKERS) / u32::try_from(HOSTILE_RATE).expect("few");
    let start = |requests: Vec<Hostile>| {
        let (address, sent) = (server.http(), Arc::clone(&sent));
        Until::start(move |has_ended| {
            attack::attack(address, &requests, interval, &sent, has_ended)
        })
    };
    let attackers: Vec<_> = requests.into_iter().map(start).collect();
    let besieged = behaved::rounds(server.http(), round, || sent.load(Ordering::Relaxed) >= wanted);
    let kinds = attackers.into_iter().map(Until::end).fold([0; attack::KINDS], |mut all, one| {
        all.iter_mut().zip(one).for_each(|(all, one)| *all += one);
        all
    });
    let rate = u128::from(sent.load(Ordering::Relaxed)) * 1000 / begun.elapsed().as_millis().max(1);
    let most = watching.end();
    let sent = sent.load(Ordering::Relaxed);

    report(&format!(
        "{}: {sent} hostile requests at {rate}/s {kinds:?}; {} MiB at most with a budget of {BUDGET} ({} idle); p99 at \
         {}/s {:.2?} beside {:.2?} idle ({:.1}×), medians of {} and {} rounds, {} and {} events",
        runtime.name(),
        most / MIB,
        idle / MIB,
        behaved::RATE,
        besieged.p99(),
        quiet.p99(),
        besieged.p99().as_secs_f64() / quiet.p99().as_secs_f64(),
        besieged.count(),
        quiet.count(),
        besieged.accepted,
        quiet.accepted,
    ));
    assert!(sent >= wanted, "{sent} of {wanted} were sent");
    assert!(kinds.iter().all(|&count| count > 0), "each kind was sent: {kinds:?}");
    assert!(most <= (BUDGET + SLACK) * MIB, "{} MiB", most / MIB);
    assert_served(&besieged);
    let log = server.log();
    assert!(!log.contains("panicked"), "{log}");
    assert_eq!(consumer.end(), quiet.accepted + besieged.accepted, "what was accepted is there");
    server.stop();
}

fn assert_served(besieged: &Rounds) {
    assert!(besieged.p99() < SERVED_WITHIN, "p99 is {:?}", besieged.p99());
}

on_each_runtime!(hostile_requests_cost_others_nothing);
