//! How many instructions one turn of a connection to the cache takes, each run once under callgrind:
//! apart from `instructions.rs`, because what else calls the protocol changes what is inlined.
#![allow(missing_docs, reason = "what the macros make is for the harness alone")]

use std::hint::black_box;

use gungraun::prelude::*;
use windhover_bench_cases::cache::CacheConnection;
use windhover_bench_cases::codec::{self, Command};

fn cache(command: Command, size: usize, count: usize) -> (CacheConnection, Vec<u8>) {
    let (mut cache, wire) = (CacheConnection::new(size), codec::requests(command, size, count));
    for _ in 0..4 {
        black_box(cache.turn(&wire));
    }
    (cache, wire)
}

#[library_benchmark(setup = cache)]
#[bench::get(Command::Get, 100, 1)]
#[bench::get_64(Command::Get, 100, 64)]
#[bench::set(Command::Set, 100, 1)]
#[bench::mg(Command::MetaGet, 100, 1)]
fn cache_turn((mut cache, wire): (CacheConnection, Vec<u8>)) -> (CacheConnection, Vec<u8>) {
    black_box(cache.turn(black_box(&wire)));
    (cache, wire)
}

library_benchmark_group!(name = cache_turns, benchmarks = [cache_turn]);
main!(library_benchmark_groups = cache_turns);
