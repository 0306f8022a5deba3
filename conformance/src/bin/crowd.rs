//! Many connections to one server, in a process of their own, for a process may open only so many.
//!
//! `crowd ADDRESS COUNT cache|tracker` opens them, makes one request on each, and says `ready`. For
//! every line that it reads it makes one more request on each and says `served` and how long the
//! slowest took, in microseconds. It ends with its input.
#![allow(clippy::panic, clippy::expect_used)]

use std::{
    io::{Read, Write, stdin},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use windhover_conformance::raise_open_files;

const BOUND: Duration = Duration::from_secs(30);

struct Exchange {
    request: &'static [u8],
    answer_starts: &'static [u8],
    answer_ends: &'static [u8],
}

const CACHE: Exchange =
    Exchange { request: b"get k\r\n", answer_starts: b"END\r\n", answer_ends: b"END\r\n" };
const TRACKER: Exchange = Exchange {
    request: b"GET /healthz HTTP/1.1\r\nHost: crowd\r\n\r\n",
    answer_starts: b"HTTP/1.1 200 OK\r\n",
    answer_ends: b"ok\n",
};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, count, protocol] = arguments.as_slice() else {
        panic!("usage: crowd ADDRESS COUNT cache|tracker, got {arguments:?}");
    };
    let address: SocketAddr = address.parse().expect("an address");
    let count: usize = count.parse().expect("a number of connections");
    let exchange = match protocol.as_str() {
        "cache" => CACHE,
        "tracker" => TRACKER,
        other => panic!("expected `cache` or `tracker`, got `{other}`"),
    };
    raise_open_files(count as u64 + 64);

    let mut crowd: Vec<TcpStream> = (0..count).map(|number| connect(address, number)).collect();
    for peer in &mut crowd {
        ask(peer, &exchange);
    }
    println!("ready");
    for _ in stdin().lines().map_while(Result::ok) {
        let slowest = crowd.iter_mut().map(|peer| {
            let started = Instant::now();
            ask(peer, &exchange);
            started.elapsed()
        });
        println!("served {}", slowest.max().unwrap_or_default().as_micros());
    }
}

fn connect(address: SocketAddr, number: usize) -> TcpStream {
    let peer = TcpStream::connect_timeout(&address, BOUND)
        .unwrap_or_else(|error| panic!("connection {number}: {error}"));
    peer.set_read_timeout(Some(BOUND)).expect("a socket takes a time limit");
    peer
}

fn ask(peer: &mut TcpStream, exchange: &Exchange) {
    peer.write_all(exchange.request).expect("the server reads");
    let mut answer = Vec::new();
    let mut chunk = [0; 1024];
    while !answer.ends_with(exchange.answer_ends) {
        let read = peer.read(&mut chunk).expect("the server answers");
        assert!(read > 0, "the server closed behind {:?}", answer.escape_ascii().to_string());
        answer.extend_from_slice(&chunk[..read]);
    }
    assert!(answer.starts_with(exchange.answer_starts), "{}", answer.escape_ascii());
}
