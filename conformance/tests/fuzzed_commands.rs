//! The commands that the fuzzer's generators make, to memcached and to `windhover cache` at once: each
//! has to answer in the protocol, stay in its place, and say what the other says.
#![allow(clippy::panic, clippy::expect_used)]

use std::env;

use windhover_conformance::{CacheServer, Random, Runtime, on_each_runtime, report};
use windhover_fuzz::peer;

/// How long, in the test command; `WINDHOVER_FUZZED_COMMANDS` sets other seconds.
const SECONDS: u64 = 3;

fn generated_commands_are_answered_as_memcached_answers(runtime: Runtime) {
    let seconds = env::var("WINDHOVER_FUZZED_COMMANDS").map_or(SECONDS, |text| {
        text.parse().expect("WINDHOVER_FUZZED_COMMANDS is a number of seconds")
    });
    let memcached = CacheServer::memcached_alone(&["-m", "256"]);
    let windhover = CacheServer::windhover(runtime, &["--memory", "256"]);
    let seed = Random::seed_from_environment();
    match peer::fuzz(&[memcached.address(), windhover.address()], seconds, seed) {
        Ok(commands) => {
            assert!(commands > 100, "only {commands} commands in {seconds} s");
            report(&format!("{runtime:?}: {commands} commands in {seconds} s, seed {seed}"));
        }
        Err(difference) => panic!("seed {seed}: {difference}"),
    }
}

on_each_runtime!(generated_commands_are_answered_as_memcached_answers);
