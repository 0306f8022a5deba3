//! A server inside an event loop that the test owns, with time that the test makes.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mio::{Events, Interest, Poll, Token};
use windhover_core::{Instant, Now, UnixTime};
use windhover_mio::{ConnectionLimit, LoopServer, ServeOptions, mio};

use crate::echo::{Echo, Gate, Watched};
use crate::shared::server::{Peer, eventually};

const WAKER: Token = Token(0);

impl Peer {
    /// Whether something has come.
    pub(crate) fn has_some(&self) -> bool {
        self.0.set_nonblocking(true).unwrap();
        let peeked = self.0.peek(&mut [0]);
        self.0.set_nonblocking(false).unwrap();
        peeked.is_ok_and(|n| n > 0)
    }
}

/// The application's event loop.
struct Application {
    poll: Poll,
    waker: Arc<mio::Waker>,
    now: Now,
}

type EchoServer = LoopServer<Echo, Box<dyn FnMut(windhover_mio::Peer, Now) -> Echo>>;

impl Application {
    fn new() -> Self {
        let poll = Poll::new().unwrap();
        let waker = Arc::new(mio::Waker::new(poll.registry(), WAKER).unwrap());
        let instant = Instant::from_epoch(Duration::from_secs(1000));
        Self { poll, waker, now: Now { instant, unix: UnixTime::from_secs(1000) } }
    }

    fn serve(
        &self,
        tokens: Range<usize>,
        options: ServeOptions,
        accept: impl Fn() -> Echo + 'static,
    ) -> (EchoServer, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let waker = Arc::clone(&self.waker);
        let accept: Box<dyn FnMut(windhover_mio::Peer, Now) -> Echo> =
            Box::new(move |_, _| accept());
        let server =
            LoopServer::new(self.poll.registry(), tokens, waker, listener, accept, options);
        (server.unwrap(), address)
    }

    /// Hands out what events there are, and gives every server a turn. How many events were those
    /// of the waker.
    fn step(&mut self, servers: &mut [&mut EchoServer]) -> usize {
        let mut events = Events::with_capacity(64);
        self.poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        let mut wake_ups = 0;
        for event in &events {
            let taken =
                servers.iter_mut().filter_map(|server| server.on_event(event).then_some(()));
            match (taken.count(), event.token()) {
                (0, WAKER) => wake_ups += 1,
                (taken, token) => assert_eq!(taken, 1, "{token:?}"),
            }
        }
        for server in servers {
            server.turn(self.now);
        }
        wake_ups
    }

    fn until(&mut self, servers: &mut [&mut EchoServer], what: &str, done: impl Fn() -> bool) {
        eventually(what, || {
            self.step(servers);
            done()
        });
    }

    /// What comes back for `message`.
    fn ask(&mut self, server: &mut EchoServer, peer: &mut Peer, message: &[u8]) -> Vec<u8> {
        peer.send(message);
        self.until(&mut [server], "an answer", || peer.has_some());
        peer.receive(message.len())
    }

    fn sleep(&mut self, duration: Duration) {
        self.now.instant = self.now.instant + duration;
    }
}

fn echo() -> Echo {
    Echo::new(&Arc::default())
}

#[test]
fn it_serves_beside_what_else_the_loop_does() {
    let mut app = Application::new();
    let (mut server, address) = app.serve(10..20, ServeOptions::default(), echo);
    let mut other = mio::net::UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    app.poll.registry().register(&mut other, Token(20), Interest::READABLE).unwrap();
    let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    sender.send_to(b"x", other.local_addr().unwrap()).unwrap();

    let mut events = Events::with_capacity(8);
    app.poll.poll(&mut events, Some(Duration::from_secs(10))).unwrap();
    let tokens: Vec<_> = events.iter().map(|e| (e.token(), server.on_event(e))).collect();
    assert_eq!(tokens, [(Token(20), false)]);

    let mut peer = Peer::connect(address);
    assert_eq!(app.ask(&mut server, &mut peer, b"hello"), b"hello");
}

#[test]
fn too_few_tokens_are_refused() {
    let app = Application::new();
    for tokens in [5..5, 5..6] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let waker = Arc::clone(&app.waker);
        let accept = |_, _| echo();
        let options = ServeOptions::default();
        let server = LoopServer::new(app.poll.registry(), tokens, waker, listener, accept, options);
        assert_eq!(server.err().unwrap().kind(), io::ErrorKind::InvalidInput);
    }
}

#[test]
fn there_are_never_more_connections_than_tokens() {
    let mut app = Application::new();
    let options = ServeOptions::default();
    let counters = Arc::clone(&options.counters);
    let (mut server, address) = app.serve(10..13, options, echo);
    let peers: Vec<_> = (0..3).map(|_| Peer::connect(address)).collect();
    app.until(&mut [&mut server], "two", || counters.active() == 2);
    for _ in 0..10 {
        app.step(&mut [&mut server]);
    }
    assert_eq!(counters.active(), 2);
    // It waits for an event, and does not ask again and again.
    assert!(server.next_deadline().unwrap() > app.now.instant);

    drop(peers);
    app.until(&mut [&mut server], "all", || {
        counters.accepted.load(Ordering::SeqCst) == 3 && counters.active() == 0
    });
}

#[test]
fn deadlines_are_told_and_kept() {
    let mut app = Application::new();
    let watched = Arc::new(Watched::default());
    let shared = Arc::clone(&watched);
    let (mut server, address) = app.serve(10..20, ServeOptions::default(), move || {
        Echo::new(&shared).timeout(Duration::from_secs(60))
    });
    app.step(&mut [&mut server]);
    assert_eq!(server.next_deadline(), None);

    let mut peer = Peer::connect(address);
    assert_eq!(app.ask(&mut server, &mut peer, b"x"), b"x");
    app.step(&mut [&mut server]);
    let first = app.now.instant + Duration::from_secs(60);
    assert_eq!(server.next_deadline(), Some(first));

    // Traffic moves the deadline, but not the timer: it fires, and is set anew.
    app.sleep(Duration::from_secs(40));
    assert_eq!(app.ask(&mut server, &mut peer, b"y"), b"y");
    let second = app.now.instant + Duration::from_secs(60);
    assert_eq!(server.next_deadline(), Some(first));
    app.sleep(Duration::from_secs(20));
    app.step(&mut [&mut server]);
    assert_eq!(server.next_deadline(), Some(second));
    assert_eq!(watched.dropped.load(Ordering::SeqCst), 0);

    app.sleep(Duration::from_secs(40));
    app.step(&mut [&mut server]);
    assert_eq!(peer.receive_to_end(), b"");
    assert_eq!(watched.dropped.load(Ordering::SeqCst), 1);
    assert_eq!(server.next_deadline(), None);
}

#[test]
fn a_connection_that_ends_takes_its_deadline_along() {
    let mut app = Application::new();
    let options = ServeOptions::default();
    let counters = Arc::clone(&options.counters);
    let (mut server, address) = app.serve(10..20, options, echo);
    let peer = Peer::connect(address);
    app.until(&mut [&mut server], "one", || counters.active() == 1);
    drop(peer);
    app.until(&mut [&mut server], "none", || counters.active() == 0);
    app.step(&mut [&mut server]);
    assert_eq!(server.next_deadline(), None);
}

#[test]
fn a_turn_reaches_everybody_and_leaves_the_rest_of_a_flood_for_the_next() {
    let mut app = Application::new();
    let (mut server, address) = app.serve(10..20, ServeOptions::default(), echo);
    let mut flooder = Peer::connect(address);
    let mut peer = Peer::connect(address);
    assert_eq!(app.ask(&mut server, &mut flooder, b"a"), b"a");
    assert_eq!(app.ask(&mut server, &mut peer, b"b"), b"b");
    flooder.0.set_nonblocking(true).unwrap();
    while flooder.0.write(&vec![b'x'; 65_536]).is_ok() {}
    peer.send(b"ping");

    app.step(&mut [&mut server]);
    assert_eq!(peer.receive(4), b"ping");
    assert_eq!(server.next_deadline(), Some(Instant::default()));
}

#[test]
fn many_calls_of_wakers_are_one_wake_up() {
    let mut app = Application::new();
    let gate = Arc::new(Gate::default());
    let behind = Arc::clone(&gate);
    let make = move || Echo::new(&Arc::default()).behind(&behind);
    let options = ServeOptions::default();
    let counters = Arc::clone(&options.counters);
    let (mut server, address) = app.serve(10..20, options, make);
    let mut peers: Vec<_> = (0..5).map(|_| Peer::connect(address)).collect();
    app.until(&mut [&mut server], "all", || counters.active() == 5);
    for peer in &mut peers {
        peer.send(b"question");
    }
    for _ in 0..10 {
        app.step(&mut [&mut server]);
    }
    assert_eq!(app.step(&mut [&mut server]), 0);

    let opener = Arc::clone(&gate);
    std::thread::spawn(move || opener.open()).join().unwrap();
    assert_eq!(app.step(&mut [&mut server]), 1);
    for peer in &mut peers {
        assert_eq!(peer.receive(8), b"question");
    }
    // What was called once is called again.
    gate.open();
    assert_eq!(app.step(&mut [&mut server]), 1);
    assert_eq!(app.step(&mut [&mut server]), 0);
}

#[test]
fn servers_may_share_a_limit() {
    let mut app = Application::new();
    let limit = ConnectionLimit::new(1);
    let options = ServeOptions::default();
    let counters = Arc::clone(&options.counters);
    let (one, first) = app.serve(10..20, options.clone(), echo);
    let (two, second) = app.serve(20..30, options, echo);
    let (mut one, mut two) = (one.with_limit(limit.clone()), two.with_limit(limit));
    let peer = Peer::connect(first);
    app.until(&mut [&mut one, &mut two], "the first", || counters.active() == 1);
    let mut waiting = Peer::connect(second);
    waiting.send(b"x");
    for _ in 0..10 {
        app.step(&mut [&mut one, &mut two]);
    }
    assert!(!waiting.has_some());

    drop(peer);
    app.until(&mut [&mut one, &mut two], "the second", || waiting.has_some());
    assert_eq!(counters.active(), 1);

    // The permit of a server that is gone is free again.
    drop(two);
    assert_eq!(waiting.receive_to_end(), b"x");
    let mut peer = Peer::connect(first);
    assert_eq!(app.ask(&mut one, &mut peer, b"y"), b"y");
}

#[test]
fn a_server_that_ends_keeps_no_permit_from_others() {
    for is_dropped in [true, false] {
        let mut app = Application::new();
        let limit = ConnectionLimit::new(1);
        let options = ServeOptions::default();
        let counters = Arc::clone(&options.counters);
        let (one, first) = app.serve(10..20, options.clone(), echo);
        let (two, second) = app.serve(20..30, options.clone(), echo);
        let (three, third) = app.serve(30..40, options, echo);
        let (mut one, mut two) = (one.with_limit(limit.clone()), two.with_limit(limit.clone()));
        let mut three = three.with_limit(limit);
        let peer = Peer::connect(first);
        app.until(&mut [&mut one, &mut two, &mut three], "one", || counters.active() == 1);
        let _second = Peer::connect(second);
        app.step(&mut [&mut one, &mut two, &mut three]);
        let mut waiting = Peer::connect(third);
        waiting.send(b"x");
        app.step(&mut [&mut one, &mut two, &mut three]);

        // The second server is given the permit when it is about to go, or has ended and is kept.
        let waker = two.waker();
        if !is_dropped {
            two.shut_down(app.now);
            two.turn(app.now);
            assert!(two.is_finished());
        }
        drop(peer);
        app.until(&mut [&mut one], "the end of the first", || counters.active() == 0);
        for _ in 0..10 {
            app.step(&mut [&mut one]);
        }
        let kept = (!is_dropped).then_some(two);
        app.until(&mut [&mut one, &mut three], "the third", || waiting.has_some());
        drop((kept, waker));
    }
}

#[test]
fn a_shutdown_ends_what_it_can_and_cuts_the_rest() {
    let mut app = Application::new();
    let watched = Arc::new(Watched::default());
    let (shared, behind) = (Arc::clone(&watched), Arc::default());
    let make = move || Echo::new(&shared).behind(&behind).timeout(Duration::from_secs(60));
    let options = ServeOptions::default();
    let (counters, timeout) = (Arc::clone(&options.counters), options.shutdown_timeout);
    let (mut server, address) = app.serve(10..20, options, make);
    let mut idle = Peer::connect(address);
    let mut stuck = Peer::connect(address);
    app.until(&mut [&mut server], "both", || counters.active() == 2);
    stuck.send(b"never answered");
    for _ in 0..10 {
        app.step(&mut [&mut server]);
    }

    server.shut_down(app.now);
    app.step(&mut [&mut server]);
    assert_eq!(idle.receive_to_end(), b"");
    assert!(std::net::TcpStream::connect(address).is_err());
    assert!(!server.is_finished());
    assert_eq!(server.next_deadline(), Some(app.now.instant + timeout));

    app.sleep(timeout);
    app.step(&mut [&mut server]);
    assert!(server.is_finished());
    assert_eq!(server.report().cut, 1);
    assert_eq!(watched.dropped.load(Ordering::SeqCst), 2);
    assert!(stuck.0.take_error().unwrap().is_some() || stuck.receive_to_end().is_empty());
}
