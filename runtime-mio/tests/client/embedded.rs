//! Clients inside an event loop that the test owns.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use windhover_client::Outcome;
use windhover_core::client::{CallError, ConnectFailure, NotSent};
use windhover_mio::mio::{self, Events, Interest, Token};
use windhover_mio::{Client, Clients, Clock, ErrorKind, block_on};

use crate::script::{SOON, Script, eventually};

const WAKER: Token = Token(0);

/// The application's event loop.
struct Application {
    poll: mio::Poll,
    clients: Clients,
    clock: Clock,
}

impl Application {
    fn new() -> Self {
        Self::with_tokens(10..20)
    }

    fn with_tokens(tokens: std::ops::Range<usize>) -> Self {
        let poll = mio::Poll::new().unwrap();
        let waker = Arc::new(mio::Waker::new(poll.registry(), WAKER).unwrap());
        let clients = Clients::new(poll.registry(), tokens, waker).unwrap();
        Self { poll, clients, clock: Clock::new() }
    }

    fn client(&mut self, server: &Script) -> Client {
        let builder = Client::builder().server(&server.address).timeout(SOON);
        self.clients.connect(builder).unwrap()
    }

    /// Waits for events no longer than that, hands them out, and gives the clients a turn. How many
    /// events were those of the waker.
    fn step(&mut self, most: Duration) -> usize {
        let now = self.clock.now().instant;
        let until = self.clients.next_deadline().map_or(most, |until| until.saturating_since(now));
        let mut events = Events::with_capacity(64);
        self.poll.poll(&mut events, Some(until.min(most))).unwrap();
        let mut wake_ups = 0;
        for event in &events {
            match (self.clients.on_event(event), event.token()) {
                (false, WAKER) => wake_ups += 1,
                (taken, token) => assert!(taken, "{token:?}"),
            }
        }
        self.clients.turn(self.clock.now());
        wake_ups
    }

    /// What comes of a call that the loop's own thread makes.
    fn run<T>(&mut self, call: impl Future<Output = T>) -> T {
        let mut call: Pin<Box<dyn Future<Output = T>>> = Box::pin(call);
        let (waker, begun) = (self.clients.waker(), Instant::now());
        loop {
            if let Poll::Ready(output) = call.as_mut().poll(&mut Context::from_waker(&waker)) {
                return output;
            }
            assert!(begun.elapsed() < SOON, "no answer");
            self.step(SOON);
        }
    }

    /// Goes on until there is nothing to do.
    fn settle(&mut self) {
        while self.clients.next_deadline() == Some(windhover_core::Instant::default()) {
            self.step(Duration::ZERO);
        }
    }
}

#[test]
fn the_loops_own_thread_makes_calls() {
    let server = Script::cache();
    let mut app = Application::new();
    let client = app.client(&server);
    app.run(async {
        client.set("k", "hello").await.unwrap();
        assert_eq!(client.get("k").await.unwrap().unwrap().data, "hello");
    });
    assert!(!app.clients.is_empty());
    drop(client);
    let begun = Instant::now();
    while !app.clients.is_empty() {
        assert!(begun.elapsed() < SOON);
        app.step(SOON);
    }
    assert_eq!(app.clients.next_deadline(), None);
}

#[test]
fn what_is_not_theirs_is_left_to_the_application() {
    let mut app = Application::new();
    let mut other = mio::net::UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    app.poll.registry().register(&mut other, Token(20), Interest::READABLE).unwrap();
    let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    sender.send_to(b"x", other.local_addr().unwrap()).unwrap();
    let mut events = Events::with_capacity(8);
    app.poll.poll(&mut events, Some(SOON)).unwrap();
    let taken: Vec<_> = events.iter().map(|e| (e.token(), app.clients.on_event(e))).collect();
    assert_eq!(taken, [(Token(20), false)]);
}

#[test]
fn other_threads_make_calls() {
    let server = Script::cache();
    let mut app = Application::new();
    let client = app.client(&server);
    let caller = thread::spawn(move || {
        for n in 0..50 {
            block_on(client.set("k", n.to_string())).unwrap();
        }
    });
    // The last handle goes with the thread.
    let begun = Instant::now();
    while !app.clients.is_empty() {
        assert!(begun.elapsed() < SOON);
        app.step(SOON);
    }
    caller.join().unwrap();
}

#[test]
fn many_calls_are_one_wake_up() {
    let server = Script::silent();
    let mut app = Application::new();
    let client = app.client(&server);
    let mut cx = Context::from_waker(Waker::noop());
    let mut first = Box::pin(client.get("first"));
    assert!(first.as_mut().poll(&mut cx).is_pending());
    let begun = Instant::now();
    while client.statistics()[0].counters.sent == 0 {
        assert!(begun.elapsed() < SOON);
        app.step(Duration::from_millis(10));
    }
    app.settle();
    assert_eq!(app.step(Duration::ZERO), 0);

    let mut calls: Vec<_> = (0..20).map(|_| Box::pin(client.get("k"))).collect();
    for call in &mut calls {
        assert!(call.as_mut().poll(&mut cx).is_pending());
    }
    assert_eq!(app.step(SOON), 1);
    app.settle();
    assert_eq!(app.step(Duration::ZERO), 0);
}

#[test]
fn deadlines_are_kept_without_an_event() {
    let server = Script::silent();
    let mut app = Application::new();
    let client = app.client(&server).with_timeout(Duration::from_millis(150));
    let begun = Instant::now();
    let error = app.run(client.get("k")).unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown);
    assert!(begun.elapsed() >= Duration::from_millis(150));
}

#[test]
fn clients_that_are_dropped_end_their_calls() {
    let server = Script::silent();
    let mut app = Application::new();
    let client = app.client(&server);
    let waiting = thread::spawn({
        let client = client.clone();
        move || block_on(client.get("k"))
    });
    let begun = Instant::now();
    while client.statistics()[0].counters.sent == 0 {
        assert!(begun.elapsed() < SOON);
        app.step(Duration::from_millis(10));
    }
    drop(app);
    let error = waiting.join().unwrap().unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown);
    let error = block_on(client.get("k")).unwrap_err();
    let ErrorKind::Call(CallError::NotSent { why, .. }) = *error.kind() else {
        panic!("{error}");
    };
    assert_eq!(why, NotSent::ShuttingDown);
}

#[test]
fn there_are_never_more_connections_than_tokens() {
    let servers = [Script::cache(), Script::cache()];
    let mut app = Application::with_tokens(10..11);
    let [one, other] = [0, 1].map(|n| app.client(&servers[n]));
    app.run(one.set("k", "v")).unwrap();
    let error = app.run(other.set("k", "v")).unwrap_err();
    let ErrorKind::Call(CallError::NotSent { why, .. }) = *error.kind() else {
        panic!("{error}");
    };
    assert_eq!(why, NotSent::Connect(ConnectFailure::Other));
    // A client that has gone leaves its tokens to others.
    drop(one);
    eventually("a token", || app.run(other.set("k", "v")).is_ok());
}
