//! A cluster in a world that goes wrong: servers that stop, die, lie and come back, a network that
//! delays, splits, cuts off and goes dark, callers with short deadlines, and an operator who changes the
//! set of servers all the while. Time is simulated, and chance comes from a seed: one seed, one run.
//!
//! `WINDHOVER_SIM_RUNS` sets how many seeds are tried, `WINDHOVER_SEED` tries one and tells all.
#![cfg(feature = "client")]
// Clippy's leave for tests covers test functions, not what they call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod acts;
mod cache;
mod check;
mod dice;
mod host;
mod load;
mod log;
mod network;
mod queue;
mod session;
mod settings;
mod world;

use acts::Summary;
use host::Sabotage;
use world::World;

/// Runs that every test run makes.
const RUNS: u64 = 2000;

fn number(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is not a number: {value}")))
}

/// Plays a seed again, and tells how it ended.
fn tell(seed: u64, wrong: &str) -> String {
    let mut world = World::new(seed, Sabotage::None, true);
    let again = world.run().err();
    let trace = world.trace().join("\n");
    format!("{trace}\nseed {seed}: {wrong}\n(again: {again:?}; WINDHOVER_SEED={seed} repeats it)")
}

/// Plays every so many-th seed from `first` on.
fn play(first: u64, step: u64, runs: u64) -> Summary {
    let mut total = Summary::default();
    for seed in (first..runs).step_by(step.try_into().unwrap()) {
        match World::new(seed, Sabotage::None, false).run() {
            Ok(it) => total = total.plus(it),
            Err(wrong) => panic!("{}", tell(seed, &wrong)),
        }
    }
    total
}

#[test]
fn whatever_goes_wrong_the_client_tells_the_truth_in_time() {
    if let Some(seed) = number("WINDHOVER_SEED") {
        let mut world = World::new(seed, Sabotage::None, true);
        world.trace_most = usize::MAX;
        let ended = world.run();
        println!("{}\nseed {seed}: {ended:?}", world.trace().join("\n"));
        ended.unwrap();
        return;
    }
    let runs = number("WINDHOVER_SIM_RUNS").unwrap_or(RUNS);
    let threads = std::thread::available_parallelism().map_or(1, |it| it.get() as u64);
    let total = std::thread::scope(|scope| {
        let parts: Vec<_> =
            (0..threads).map(|part| scope.spawn(move || play(part, threads, runs))).collect();
        parts.into_iter().map(|part| part.join().unwrap()).fold(Summary::default(), Summary::plus)
    });
    println!("{runs} runs, no violation: {total:?}");
    // A world in which nothing works, or nothing fails, shows nothing.
    assert!(total.answered > total.calls / 4 && total.unknown > total.calls / 100, "{total:?}");
}

/// In servers that are not as they should be, the checks find what is wrong before long.
fn must_find(sabotage: Sabotage, wrong: &str) {
    let mut found = (0..500).filter_map(|seed| World::new(seed, sabotage, false).run().err());
    assert!(found.any(|it| it.contains(wrong)), "{sabotage:?} is not found");
}

#[test]
fn a_reply_that_is_taken_for_anothers_is_found() {
    must_find(Sabotage::SkipsReplies, "which no server did");
}

#[test]
fn a_write_that_is_done_twice_is_found() {
    must_find(Sabotage::DoesTwice, "was done more than once");
}

#[test]
fn a_value_from_another_time_is_found() {
    must_find(Sabotage::TellsOldValues, "which it was not at the time");
}

#[test]
fn an_item_that_is_lost_is_found() {
    must_find(Sabotage::LosesItems, "which no server did");
}

#[test]
fn an_item_that_does_not_come_back_is_found() {
    must_find(Sabotage::KeepsWhatIsOpen, "never put back");
}

#[test]
fn a_wait_past_its_deadline_is_found() {
    must_find(Sabotage::WakesLate, "after its deadline");
}

#[test]
fn a_server_that_is_never_asked_again_is_found() {
    must_find(Sabotage::StaysDown, "is not asked");
}
