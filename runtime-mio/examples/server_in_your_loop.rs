//! An application with an event loop of its own answers memcache's clients from it.
//!
//! It counts datagrams, and serves its count as an item: no lock, no other thread.
//!
//! ```text
//! cargo run -p windhover-mio --example server_in_your_loop -- 127.0.0.1:11212 127.0.0.1:11213
//! echo -n x | nc -u -w 1 127.0.0.1 11212
//! printf 'get datagrams\r\nquit\r\n' | curl -s telnet://127.0.0.1:11213
//! ```

use std::cell::Cell;
use std::error::Error;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;

use bytes::BytesMut;
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};
use windhover_core::endpoint::{Endpoint, Next};
use windhover_core::memcache::request::Request;
use windhover_core::memcache::response::{Response, ValueFrame};
use windhover_core::memcache::{Dialect, Limits, Output, ServerConnection};
use windhover_core::{Now, Timeouts};
use windhover_mio::{Clock, LoopServer, ServeOptions, Shutdown, mio};

const WAKER: Token = Token(0);
const DATAGRAMS: Token = Token(1);
/// What is left of the tokens is the server's.
const SERVER: std::ops::Range<usize> = 2..10_000;

/// One client, answered from the count.
struct Peer {
    memcache: ServerConnection,
    count: Rc<Cell<u64>>,
}

impl Peer {
    fn new(count: &Rc<Cell<u64>>, now: Now) -> Self {
        let (limits, timeouts) = (Limits::default(), Timeouts::default());
        let memcache = ServerConnection::new(Dialect::Memcached, &limits, &timeouts, now.instant);
        Self { memcache, count: Rc::clone(count) }
    }
}

impl Endpoint for Peer {
    fn read_buffer(&mut self) -> &mut BytesMut {
        self.memcache.read_buffer()
    }

    fn wants_read(&self) -> bool {
        self.memcache.wants_read()
    }

    fn end_of_stream(&mut self) {
        self.memcache.end_of_stream();
    }

    fn shut_down(&mut self) {
        self.memcache.shut_down();
    }

    fn poll_output(&mut self, now: Now, _: &mut Context<'_>) -> Next {
        loop {
            let (answer, asks) = match self.memcache.poll_output(now) {
                Output::Request { request: Request::Get(mut keys), .. } => {
                    (Response::End, keys.any(|key| key == b"datagrams"))
                }
                Output::Request { .. } => (Response::Error(b""), false),
                // The connection refuses it itself.
                Output::TooLarge { .. } => continue,
                Output::Write => return Next::Write,
                Output::Idle(until) => return Next::Idle(until),
                Output::CloseWrite => return Next::CloseWrite,
                Output::Close => return Next::Close,
            };
            if asks {
                let count = self.count.get().to_string();
                let (key, data) = (&b"datagrams"[..], count.as_bytes());
                self.memcache.responses_mut().respond(&Response::Value(ValueFrame {
                    key,
                    flags: 0,
                    cas: None,
                    data,
                }));
            }
            self.memcache.responses_mut().respond(&answer);
        }
    }

    fn unsent<'a>(&'a self, into: &mut [&'a [u8]]) -> usize {
        self.memcache.unsent(into)
    }

    fn wrote(&mut self, n: usize) {
        self.memcache.wrote(n);
    }

    fn release(&mut self) {
        self.memcache.release();
    }
}

/// Runs until the shutdown is triggered, and its connections have had their end.
fn run(datagrams: UdpSocket, listener: TcpListener, shutdown: &Shutdown) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let waker = Arc::new(mio::Waker::new(poll.registry(), WAKER)?);
    let mut datagrams = datagrams;
    poll.registry().register(&mut datagrams, DATAGRAMS, Interest::READABLE)?;
    let count = Rc::new(Cell::new(0));
    let accept = |_peer, now| Peer::new(&count, now);
    let clock = Clock::new();
    let mut options = ServeOptions::default();
    options.clock = clock;
    let mut server = LoopServer::new(poll.registry(), SERVER, waker, listener, accept, options)?;
    shutdown.wake_on_trigger(server.waker());

    let mut events = Events::with_capacity(1024);
    while !server.is_finished() {
        let now = clock.now().instant;
        let timeout = server.next_deadline().map(|until| until.saturating_since(now));
        match poll.poll(&mut events, timeout) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &events {
            if !server.on_event(event) && event.token() == DATAGRAMS {
                // Until nothing is there: mio tells of it once.
                while datagrams.recv_from(&mut [0; 1500]).is_ok() {
                    count.set(count.get() + 1);
                }
            }
        }
        let now = clock.now();
        if shutdown.is_triggered() {
            server.shut_down(now);
        }
        server.turn(now);
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut address = |default: &str| -> Result<SocketAddr, Box<dyn Error>> {
        Ok(arguments.next().unwrap_or_else(|| default.to_owned()).parse()?)
    };
    let datagrams = UdpSocket::bind(address("127.0.0.1:11212")?)?;
    let listener = TcpListener::bind(address("127.0.0.1:11213")?)?;
    let shutdown = Shutdown::new();
    windhover_mio::shut_down_on_signal(&shutdown)?;
    run(datagrams, listener, &shutdown)?;
    Ok(())
}

#[cfg(all(test, feature = "client"))]
mod tests {
    use std::thread;
    use std::time::Duration;

    use windhover_mio::{Client, block_on, connect};

    use super::*;

    #[test]
    fn datagrams_are_counted_and_the_count_is_served() {
        let datagrams = UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (here, there) = (datagrams.local_addr().unwrap(), listener.local_addr().unwrap());
        let shutdown = Shutdown::new();
        let asked = shutdown.clone();
        let application = thread::spawn(move || run(datagrams, listener, &asked));

        let client = connect(Client::builder().server(&there.to_string())).unwrap();
        let client = client.with_timeout(Duration::from_secs(10));
        let count = || block_on(client.get("datagrams")).unwrap().unwrap().data;
        assert_eq!(count(), "0");
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..3 {
            sender.send_to(b"x", here).unwrap();
        }
        let begun = std::time::Instant::now();
        while count() != "3" {
            assert!(begun.elapsed() < Duration::from_secs(10));
        }
        assert_eq!(block_on(client.get("other")).unwrap(), None);
        assert!(block_on(client.set("datagrams", "0")).is_err());

        shutdown.trigger();
        application.join().unwrap().unwrap();
    }
}
