//! Streams that are given: one that holds back what is written until it is flushed, as one that encrypts
//! does, and sends only some of it at a time.
#![cfg(unix)]
// Clippy's leave for tests covers test functions, not what they call.
#![allow(clippy::unwrap_used)]

use std::io::{self, Read, Write};
use std::net::{Shutdown as Half, TcpListener};
use std::os::unix::net::UnixStream as Peer;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use mio::event::Source;
use mio::net::UnixStream;
use mio::{Events, Interest, Poll, Registry, Token};
use windhover_client::protocol::client::ConnectFailure;
use windhover_mio::{
    Client, Clock, ConnectionEnd, LoopServer, ServeOptions, Shutdown, Stream, block_on, drive,
    drive_client, mio,
};

#[path = "../../core/tests/endpoints/echo.rs"]
#[expect(dead_code, reason = "other tests use all of it")]
mod echo;

use echo::Echo;

struct Holding {
    socket: UnixStream,
    held: Vec<u8>,
}

impl Source for Holding {
    fn register(&mut self, to: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        self.socket.register(to, token, interest)
    }

    fn reregister(&mut self, to: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        self.socket.reregister(to, token, interest)
    }

    fn deregister(&mut self, from: &Registry) -> io::Result<()> {
        self.socket.deregister(from)
    }
}

impl Read for Holding {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.socket.read(into)
    }
}

impl Write for Holding {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.held.is_empty() {
            let some = self.held.get(..4096).unwrap_or(&self.held);
            let n = self.socket.write(some)?;
            self.held.drain(..n);
        }
        Ok(())
    }
}

fn pair() -> (Peer, Holding) {
    let (peer, socket) = Peer::pair().unwrap();
    peer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket.set_nonblocking(true).unwrap();
    (peer, Holding { socket: UnixStream::from_std(socket), held: Vec::new() })
}

fn echoes(mut peer: &Peer) {
    for message in [&b"a"[..], b"hello", &vec![b'x'; 40_000]] {
        peer.write_all(message).unwrap();
        let mut answer = vec![0; message.len()];
        peer.read_exact(&mut answer).unwrap();
        assert!(answer == message);
    }
}

#[test]
fn answers_leave_a_stream_that_holds_them_back() {
    let (peer, stream) = pair();
    let (drain, cut) = (Shutdown::new(), Shutdown::new());
    let driven = thread::spawn(move || {
        let close_write = |stream: &mut Holding| stream.socket.shutdown(Half::Write);
        let stream = Stream::with_close_write(stream, close_write);
        drive(stream, Echo::new(&Arc::default()), Clock::new(), &drain, &cut)
    });
    echoes(&peer);
    peer.shutdown(Half::Write).unwrap();
    assert_eq!((&peer).read(&mut [0]).unwrap(), 0);
    assert_eq!(driven.join().unwrap().unwrap(), ConnectionEnd::Closed);
}

#[test]
fn a_server_drives_a_stream_beside_those_that_it_accepts() {
    let mut poll = Poll::new().unwrap();
    let waker = Arc::new(mio::Waker::new(poll.registry(), Token(0)).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let accept = |_, _| Echo::new(&Arc::default());
    let options = ServeOptions::default();
    let mut server =
        LoopServer::new(poll.registry(), 1..3, waker, listener, accept, options).unwrap();
    let (peer, stream) = pair();
    server.add(stream, Echo::new(&Arc::default())).unwrap();
    let (_other, stream) = pair();
    let full = server.add(stream, Echo::new(&Arc::default())).unwrap_err();
    assert_eq!(full.kind(), io::ErrorKind::OutOfMemory);

    let sender = thread::spawn(move || {
        echoes(&peer);
        peer.shutdown(Half::Write).unwrap();
        assert_eq!((&peer).read(&mut [0]).unwrap(), 0);
    });
    let clock = Clock::new();
    let mut events = Events::with_capacity(8);
    while !sender.is_finished() {
        poll.poll(&mut events, Some(Duration::from_millis(5))).unwrap();
        for event in &events {
            server.on_event(event);
        }
        server.turn(clock.now());
    }
    sender.join().unwrap();
    server.shut_down(clock.now());
    server.turn(clock.now());
    assert!(server.is_finished());
}

#[test]
fn a_client_is_driven_over_what_its_connector_gives() {
    let (mut peer, stream) = pair();
    let (client, driver) = Client::builder().server("cache:11211").build().unwrap();
    let mut stream = Some(stream);
    let driven = thread::spawn(move || {
        drive_client(driver, move |server| {
            assert_eq!(&*server.address, "cache:11211");
            stream.take().map(Stream::from).ok_or(ConnectFailure::Refused)
        })
    });
    let server = thread::spawn(move || {
        let mut request = vec![0; "set k 0 0 30000\r\n".len() + 30_002];
        peer.read_exact(&mut request).unwrap();
        peer.write_all(b"STORED\r\n").unwrap();
        (request, peer)
    });
    block_on(client.with_timeout(Duration::from_secs(10)).set("k", vec![b'x'; 30_000])).unwrap();
    let (request, peer) = server.join().unwrap();
    assert!(request.ends_with(b"xx\r\n"));
    // There is no second one: an error, and no miss.
    drop(peer);
    assert!(block_on(client.with_timeout(Duration::from_millis(300)).get("k")).is_err());
    drop(client);
    driven.join().unwrap().unwrap();
}
