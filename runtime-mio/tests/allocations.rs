//! What a call of a client allocates in a mio loop that makes the calls itself.
// Clippy's leave for tests covers test functions, not what they call.
#![allow(clippy::unwrap_used)]

#[path = "../../client/tests/adapters/allocations.rs"]
mod shared;

use std::sync::Arc;
use std::task::Context;

use windhover_mio::mio::{Events, Poll, Token, Waker};
use windhover_mio::{Client, Clients, Clock};

#[test]
fn a_call_allocates_no_more_than_its_value() {
    let mut poll = Poll::new().unwrap();
    let waker = Arc::new(Waker::new(poll.registry(), Token(0)).unwrap());
    let mut clients = Clients::new(poll.registry(), 1..10, waker).unwrap();
    let client = clients.connect(Client::builder().server(&shared::server())).unwrap();
    let (clock, mut events) = (Clock::new(), Events::with_capacity(64));
    shared::check(&client, |mut calls| {
        let waker = clients.waker();
        while calls.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            let now = clock.now().instant;
            let timeout = clients.next_deadline().map(|until| until.saturating_since(now));
            poll.poll(&mut events, timeout).unwrap();
            for event in &events {
                clients.on_event(event);
            }
            clients.turn(clock.now());
        }
    });
}
