//! Names, and what happens while they are looked up.

use std::error::Error as _;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use windhover_core::client::{CallError, ConnectFailure, NotSent};
use windhover_mio::{Client, ClientThread, ErrorKind, Resolver, block_on, connect};

use crate::script::{SOON, Script, eventually, nowhere};

#[derive(Default)]
struct Gate {
    is_open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn open(&self) {
        *self.is_open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    fn pass(&self) {
        let is_open = self.is_open.lock().unwrap();
        drop(self.opened.wait_timeout_while(is_open, SOON, |is_open| !*is_open).unwrap());
    }
}

#[test]
fn a_name_that_is_looked_up_stops_nobody_else() {
    let server = Script::cache();
    let address = server.address.parse().unwrap();
    let (gate, asked) = (Arc::new(Gate::default()), Arc::new(AtomicUsize::new(0)));
    let resolver: Resolver = Arc::new({
        let (gate, asked) = (Arc::clone(&gate), Arc::clone(&asked));
        move |name: &str| {
            if name == "slow:11211" {
                asked.fetch_add(1, Ordering::SeqCst);
                gate.pass();
            }
            Ok(vec![address])
        }
    });
    let thread = ClientThread::start_with(resolver).unwrap();
    let slow = thread.connect(Client::builder().server("slow:11211").timeout(SOON)).unwrap();
    let other = thread.connect(Client::builder().server("other:11211").timeout(SOON)).unwrap();

    let error = block_on(slow.with_timeout(Duration::from_millis(200)).set("k", "v")).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Call(CallError::NotSent { .. })), "{error}");
    for _ in 0..100 {
        block_on(other.set("k", "v")).unwrap();
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);

    // Once its address is there, so is the server.
    gate.open();
    eventually("an answer", || block_on(slow.get("k")).is_ok());
    assert_eq!(slow.statistics()[0].counters.connects, 1);
}

#[test]
fn a_names_addresses_are_tried_in_turn() {
    let server = Script::cache();
    let addresses = vec![nowhere().parse().unwrap(), server.address.parse().unwrap()];
    let resolver: Resolver = Arc::new(move |_: &str| Ok(addresses.clone()));
    let thread = ClientThread::start_with(resolver).unwrap();
    let client = thread.connect(Client::builder().server("name:11211").timeout(SOON)).unwrap();
    block_on(client.set("k", "v")).unwrap();
    assert_eq!(client.statistics()[0].counters.connect_failures, 0);
}

#[test]
fn a_name_without_an_address_is_told_as_that() {
    for (answer, cause) in [(None, Some("no such name")), (Some(Vec::new()), None)] {
        let resolver: Resolver =
            Arc::new(move |_: &str| answer.clone().ok_or_else(|| io::Error::other("no such name")));
        let thread = ClientThread::start_with(resolver).unwrap();
        let client = thread.connect(Client::builder().server("name:11211").timeout(SOON)).unwrap();
        let error = block_on(client.get("k")).unwrap_err();
        let ErrorKind::Call(CallError::NotSent { why, .. }) = *error.kind() else {
            panic!("{error}");
        };
        assert_eq!(why, NotSent::Connect(ConnectFailure::NoAddress));
        assert_eq!(error.source().map(ToString::to_string).as_deref(), cause);
    }
}

#[test]
fn the_operating_system_is_asked_unless_said_otherwise() {
    let server = Script::cache();
    let address = server.address.replace("127.0.0.1", "localhost");
    let client = connect(Client::builder().server(&address).timeout(SOON)).unwrap();
    block_on(client.set("k", "v")).unwrap();
}
