//! What a call allocates in steady state, over a socket: counted on the thread that makes the calls and drives
//! their connection. The tests of every adapter run this.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::pin::{Pin, pin};
use std::thread;

use allocation_counter::measure;
use windhover_client::{Client, Store};

/// Calls that are counted, after as many that are not.
const CALLS: u64 = 200;

/// The address of a server on a thread of its own.
#[allow(dead_code, reason = "not every adapter's streams are sockets here")]
pub(crate) fn server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        // It ends with the client.
        for line in BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok) {
            stream.write_all(reply(line.as_bytes())).unwrap();
        }
    });
    address
}

/// What the server says to a line.
pub(crate) fn reply(line: &[u8]) -> &'static [u8] {
    match line {
        b"get key" => b"VALUE key 0 5\r\nhello\r\nEND\r\n",
        b"get none" => b"END\r\n",
        // What a line has announced.
        b"hello" => b"",
        _ => b"STORED\r\n",
    }
}

/// Counts with `run`, which runs a future to its end on this thread, and with it what the client needs.
pub(crate) fn check(client: &Client, mut run: impl FnMut(Pin<&mut dyn Future<Output = ()>>)) {
    let get = async || assert_eq!(client.get("key").await.unwrap().unwrap().data, "hello");
    let miss = async || assert_eq!(client.get("none").await.unwrap(), None);
    let set = async || client.set("key", Store::from_static(b"hello")).await.unwrap();

    // The value is the caller's to keep: as a part of the read buffer it would hold all of that.
    assert_eq!(count(&mut run, get), 1, "get");
    assert_eq!(count(&mut run, miss), 0, "miss");
    assert_eq!(count(&mut run, set), 0, "set");
}

/// How many allocations a call needs.
fn count(run: &mut impl FnMut(Pin<&mut dyn Future<Output = ()>>), call: impl AsyncFn()) -> u64 {
    let mut calls = || {
        run(pin!(async {
            for _ in 0..CALLS {
                call().await;
            }
        }));
    };
    calls();
    // Less than one a call, such as a timer that moves now and then, is none.
    measure(calls).count_total / CALLS
}
