//! `windhover-conformance play`: it finds nothing wrong with memcached, and all that is wrong with a server that
//! is wrong in ten ways.
#![allow(clippy::panic, clippy::expect_used)]

mod double;

use std::net::SocketAddr;
use std::time::Duration;

use double::{DEVIATIONS, Double};
use windhover_conformance::play::{PlayOptions, PlayReport, Role, Verdict, play};
use windhover_conformance::vectors::Vector;
use windhover_conformance::{CacheServer, memcached_version};

fn played(address: SocketAddr, timeout: Duration) -> PlayReport {
    let options = PlayOptions {
        address,
        role: Role::Memcached(memcached_version()),
        only: Vec::new(),
        holders: Vec::new(),
        timeout,
        configured: false,
    };
    play(&options).expect("the server can be asked")
}

#[test]
fn nothing_differs_from_memcached_itself() {
    let memcached = CacheServer::memcached(&["-m", "64"]);
    let report = played(memcached.address(), Duration::from_secs(10));
    assert_eq!(report.differing(), Vec::<String>::new(), "{report}");
    assert_eq!(report.unsupported().len(), 0, "{report}");
    assert!(report.holds() >= 700, "{report}");
    assert_eq!(report.json()["differs"], 0);
}

#[test]
fn ten_planted_deviations_are_named() {
    let memcached = CacheServer::memcached(&["-m", "64"]);
    let double = Double::before(memcached.address());
    // What it never says is waited for, a dozen times.
    let report = played(double.address(), Duration::from_millis(250));
    for deviation in &DEVIATIONS {
        let is_it =
            |vector: &Vector| format!("{}: {}", vector.file, vector.name) == deviation.seen_by;
        let (_, verdict) =
            report.played.iter().find(|(vector, _)| is_it(vector)).expect(deviation.seen_by);
        let Verdict::Differs(mismatch) = verdict else {
            panic!("{} is not named: {}: {verdict:?}", deviation.what, deviation.seen_by);
        };
        let text = &mismatch.text;
        assert!(text.contains(deviation.as_seen), "{}: {text}", deviation.what);
    }
    // What is right is not named.
    assert!(report.holds() >= 300, "{report}");
}

#[test]
fn a_server_with_items_is_not_emptied() {
    let memcached = CacheServer::memcached(&[]);
    let mut stream = std::net::TcpStream::connect(memcached.address()).expect("a connection");
    let mut reply = [0; 8];
    std::io::Write::write_all(&mut stream, b"set mine 0 0 1\r\nx\r\n").expect("it is sent");
    std::io::Read::read_exact(&mut stream, &mut reply).expect("it is answered");
    let role = Role::Memcached(memcached_version());
    let options = PlayOptions {
        address: memcached.address(),
        role,
        only: Vec::new(),
        holders: Vec::new(),
        timeout: Duration::from_secs(2),
        configured: false,
    };
    let refused = play(&options).expect_err("somebody's items are in there");
    assert!(refused.contains("holds 1 items"), "{refused}");
}
