//! A loop of its own for clients, on a thread.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use mio::{Events, Poll, Token};
use windhover_client::protocol::client::{ConnectFailure, Server};
use windhover_client::{Builder, Client, Driver, Error};
use windhover_core::Instant;

use super::lead::{Lead, Runs};
use super::{Clients, Message, Resolver};
use crate::Clock;
use crate::mailbox::Mailbox;
use crate::socket::Stream;

/// The loop's waker; all tokens behind it are the clients'.
const WAKER: usize = 0;
const TOKENS: Range<usize> = WAKER + 1..usize::MAX;
/// Most events taken at a time.
const EVENTS: usize = 256;

/// Makes a client and drives it on a thread of its own, until its last handle is gone and its last
/// call is over. Calls are waited for with [`block_on`](crate::block_on), on any thread: a thread that is
/// the only one to wait drives the client itself meanwhile.
///
/// A process that ends does not wait for that thread: wait for the calls that matter.
///
/// ```
/// use std::time::Duration;
/// use windhover_mio::{Client, block_on, connect};
///
/// # fn main() -> Result<(), windhover_mio::StartError> {
/// let client = connect(Client::builder().server("127.0.0.1:1"))?;
/// // Nobody listens there: an error, not a miss.
/// assert!(block_on(client.with_timeout(Duration::from_millis(500)).get("greeting")).is_err());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`StartError`].
pub fn connect(builder: Builder) -> Result<Client, StartError> {
    let thread = ClientThread::start().map_err(StartError::Loop)?;
    thread.connect(builder).map_err(StartError::Client)
}

/// Why [`connect`] made no client.
///
/// ```
/// use windhover_mio::{Client, StartError, connect};
///
/// // An address that nobody can connect to.
/// let refused = connect(Client::builder().server("memcached://cache-1"));
/// assert!(matches!(refused, Err(StartError::Client(_))));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// It cannot be made as asked.
    Client(Error),
    /// The operating system refuses the loop, or its thread.
    Loop(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(error) => error.fmt(f),
            Self::Loop(_) => f.write_str("no event loop for the client"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Client(error) => error.source(),
            Self::Loop(error) => Some(error),
        }
    }
}

/// A thread that drives clients. Clones are handles to the same thread.
///
/// It ends when all handles are gone and all its clients are. Should its loop fail, every call ends
/// with an error, and so does each that comes later.
///
/// ```
/// use windhover_mio::{Client, ClientThread};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // One thread for all clients of an application.
/// let thread = ClientThread::start()?;
/// let cache = thread.connect(Client::builder().server("10.0.0.1:11211"))?;
/// let queues = thread.connect(Client::queue_builder().server("10.0.0.2:22133"))?;
/// # drop((cache, queues));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ClientThread(Arc<Hold>);

impl ClientThread {
    /// A thread without clients.
    ///
    /// # Errors
    ///
    /// When the operating system refuses a loop, or the thread.
    pub fn start() -> io::Result<Self> {
        Self::start_with(super::resolver::system())
    }

    /// The same, with names looked up by `resolver`; see [`Clients::with_resolver`].
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_with(resolver: Resolver) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(mio::Waker::new(poll.registry(), Token(WAKER))?);
        let lead = Lead::new(&waker);
        let mailbox = Arc::clone(&lead.mailbox);
        let clients = Clients::with_mailbox(poll.registry(), TOKENS, Arc::clone(&mailbox))?;
        let event_loop = EventLoop::new(poll, clients.with_resolver(resolver));
        let thread = thread::Builder::new().name("windhover-client".into());
        thread.spawn(move || drop(lead.keep(event_loop)))?;
        Ok(Self(Arc::new(Hold(mailbox))))
    }

    /// Makes a client, which the thread drives until its last handle is gone.
    ///
    /// # Errors
    ///
    /// As [`Builder::build`].
    pub fn connect(&self, builder: Builder) -> Result<Client, Error> {
        let (client, driver) = builder.build()?;
        // A driver that comes back from a thread that has failed is dropped: its calls end.
        drop(self.0.0.send(Message::Add(driver)));
        Ok(client)
    }
}

impl fmt::Debug for ClientThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientThread").finish_non_exhaustive()
    }
}

/// What lets the thread go once it is dropped.
struct Hold(Arc<Mailbox<Message>>);

impl Drop for Hold {
    fn drop(&mut self) {
        let _ = self.0.send(Message::Released);
    }
}

/// Does what one client wants done, on the thread that calls it, until its last handle is gone: over the
/// streams that `connector` gives; those that encrypt, those of a test.
///
/// ```
/// use std::net::SocketAddr;
/// use std::thread;
/// use windhover_mio::mio::net::TcpStream;
/// use windhover_mio::{Client, ConnectFailure, Server, Stream, connect_failure, drive_client};
///
/// /// Connects; a stream that encrypts would be put around it here.
/// fn connect(server: &Server) -> Result<Stream, ConnectFailure> {
///     let address: SocketAddr = server.address.parse().map_err(|_| ConnectFailure::NoAddress)?;
///     TcpStream::connect(address).map(Stream::from).map_err(|error| connect_failure(&error))
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (client, driver) = Client::builder().server("127.0.0.1:1").build()?;
/// let driving = thread::spawn(move || drive_client(driver, connect));
/// // It goes on until the last handle is gone.
/// drop(client);
/// assert!(driving.join().is_ok_and(|driven| driven.is_ok()));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// When the operating system refuses the loop, or it fails; every call ends with an error then.
pub fn drive_client(
    driver: Driver,
    connector: impl FnMut(&Server) -> Result<Stream, ConnectFailure> + Send + 'static,
) -> io::Result<()> {
    let poll = Poll::new()?;
    let waker = Arc::new(mio::Waker::new(poll.registry(), Token(WAKER))?);
    let clients = Clients::new(poll.registry(), TOKENS, waker)?;
    let mut clients = clients.with_connector(connector);
    clients.add(driver);
    clients.is_released = true;
    let mut event_loop = EventLoop::new(poll, clients);
    while !event_loop.is_over() {
        event_loop.wait(None)?;
        event_loop.turn();
    }
    Ok(())
}

/// Clients, and the loop that drives them.
struct EventLoop {
    poll: Poll,
    events: Events,
    clients: Clients,
    clock: Clock,
}

impl EventLoop {
    fn new(poll: Poll, clients: Clients) -> Box<Self> {
        let events = Events::with_capacity(EVENTS);
        Box::new(Self { poll, events, clients, clock: Clock::new() })
    }
}

impl Runs for EventLoop {
    type Message = Message;
    type Waker = mio::Waker;

    fn turn(&mut self) -> Instant {
        let now = self.clock.now();
        self.clients.turn(now);
        now.instant
    }

    fn wait(&mut self, at_most: Option<Duration>) -> io::Result<()> {
        let now = self.clock.now().instant;
        let deadline = self.clients.next_deadline().map(|until| until.saturating_since(now));
        let timeout = deadline.into_iter().chain(at_most).min();
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &self.events {
            self.clients.on_event(event);
        }
        Ok(())
    }

    fn is_at_rest(&self) -> bool {
        self.clients.is_at_rest()
    }

    fn is_quiet(&self) -> bool {
        self.clients.is_quiet()
    }

    fn is_over(&self) -> bool {
        self.clients.is_over()
    }
}
