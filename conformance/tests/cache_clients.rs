//! Clients of memcached that people use, against `windhover cache`; and each against the real
//! memcached too, so that a driver cannot expect what only ours does.
#![allow(clippy::panic, clippy::expect_used)]

use std::thread;
use std::time::Duration;

use windhover_conformance::{
    CacheServer, DELETE_WITH_A_TIME, Proxy, Runtime, memccapable, python, report, run,
};

const BOUND: Duration = Duration::from_secs(120);

/// Several threads, as in service: four shards each.
fn windhover() -> CacheServer {
    CacheServer::windhover(Runtime::Tokio, &["--memory", "256", "--threads", "2"])
}

fn memcached() -> CacheServer {
    CacheServer::memcached(&["-m", "256"])
}

/// Runs a driver against both, at the same time: most of it is waiting for items to expire.
fn drive(title: &str, script: &str) {
    let drive = |server: CacheServer| {
        let outcome = run(python(script).arg(server.address().to_string()), BOUND);
        let done = outcome.expect_code(0).stdout.lines().last().unwrap_or_default();
        report(&format!("{title}, {}: {done}", server.name()));
    };
    thread::scope(|scope| {
        scope.spawn(|| drive(memcached()));
        drive(windhover());
    });
}

#[test]
fn pymemcache_does_all_it_can() {
    drive("pymemcache", "cache_pymemcache.py");
}

#[test]
fn pylibmc_does_all_it_can() {
    drive("pylibmc", "cache_pylibmc.py");
}

#[test]
fn meta_memcache_does_all_it_can() {
    drive("meta-memcache", "cache_meta_memcache.py");
}

#[test]
fn memccapable_passes_every_test_but_of_delete() {
    // What there is in libmemcached 1.1.4; a test that was not run has not passed.
    const TESTS: usize = 27;
    let theirs = thread::spawn(|| memccapable(memcached().address()));
    let (passed, failed) = memccapable(windhover().address());
    assert_eq!(failed, DELETE_WITH_A_TIME);
    assert_eq!(passed.len(), TESTS - DELETE_WITH_A_TIME.len(), "{passed:?}");
    let (theirs, _) = theirs.join().expect("memcached is asked, too");
    assert!(passed.iter().all(|test| theirs.contains(test)), "{passed:?}, but {theirs:?}");
    report(&format!("memccapable -a: {} of {TESTS} tests pass, all but {failed:?}", passed.len()));
}

#[test]
fn nutcracker_spreads_keys_over_two_caches() {
    for caches in [[memcached(), memcached()], [windhover(), windhover()]] {
        let addresses = caches.each_ref().map(CacheServer::address);
        let proxy = Proxy::nutcracker(&addresses);
        let mut driver = python("cache_through_proxy.py");
        driver.arg(proxy.address().to_string()).args(addresses.map(|address| address.to_string()));
        let outcome = run(&mut driver, BOUND);
        let spread = outcome.expect_code(0).stdout.trim();
        report(&format!("nutcracker, two of {}: {spread}", caches[0].name()));
    }
}
