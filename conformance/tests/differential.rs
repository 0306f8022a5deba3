//! memcached and `windhover cache`, side by side: the same requests, the same replies.
#![allow(clippy::panic, clippy::expect_used)]

use std::{env, fs, path::Path, time::Instant};

use windhover_conformance::differential::{Peer, RULES, compare};
use windhover_conformance::{
    CacheServer, Random, Runtime, memcached_version, on_each_runtime, report,
};

/// Requests in a run of the test command; `WINDHOVER_DIFFERENTIAL` sets another number.
const COMMANDS: usize = 50_000;

fn the_same_requests_get_the_same_replies(runtime: Runtime) {
    let commands = env::var("WINDHOVER_DIFFERENTIAL").map_or(COMMANDS, |text| {
        text.parse().expect("WINDHOVER_DIFFERENTIAL is a number of requests")
    });
    let peer = Peer::of_version(&memcached_version());
    let first_seed = Random::seed_from_environment();
    let started = Instant::now();
    let (mut seed, mut done, mut moments) = (first_seed, 0, 0);
    while done < commands {
        // Enough memory that nothing is evicted.
        let memcached = CacheServer::memcached_alone(&["-m", "256"]);
        let windhover = CacheServer::windhover(runtime, &["--memory", "256", "--threads", "1"]);
        let left = (memcached.address(), peer);
        match compare(left, windhover.address(), seed, commands - done) {
            Ok(compared) => done += compared,
            // It reads what earlier items have left behind a value (`differences.md`, "minus"): the
            // stream once more, on servers that have seen nothing before it, and then the rest.
            Err(difference) if !difference.lasts && moments < 1 + commands / 500_000 => {
                moments += 1;
                done += difference.done;
                seed = difference.seed;
                report(&format!("{runtime:?}: a difference that does not last, seed {seed}"));
            }
            Err(difference) => panic!("{difference}"),
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    report(&format!(
        "{runtime:?}: {done} requests in {seconds:.1} s, no difference that lasts, seed {first_seed}"
    ));
}

#[test]
fn every_rule_is_documented_and_every_documented_rule_is_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("differences.md");
    let text = fs::read_to_string(path).expect("differences.md is there");
    let mut documented: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(name, _)| name)
        .collect();
    let mut rules: Vec<&str> = RULES.iter().map(|rule| rule.name).collect();
    documented.sort_unstable();
    rules.sort_unstable();
    assert_eq!(documented, rules);
}

on_each_runtime!(the_same_requests_get_the_same_replies);
