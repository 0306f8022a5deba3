//! Sockets and timers for `windhover-client`: clients that a loop drives, and a loop that drives
//! them.

mod block_on;
#[cfg(all(test, windhover_loom))]
mod interleavings;
mod lead;
mod link;
mod resolver;
mod thread;
mod wire;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::task::Waker;

use mio::event::Event;
use mio::{Registry, Token};
use slab::Slab;
use windhover_client::protocol::client::{ConnectFailure, ConnectionId, Server};
use windhover_client::{Builder, Client, Driver, Error};
use windhover_core::{Instant, Now};

pub use self::block_on::block_on;
use self::link::{Link, Stage, Step};
pub use self::resolver::Resolver;
use self::resolver::{Found, Lookups};
pub use self::thread::{ClientThread, StartError, connect, drive_client};
use self::wire::{Address, Attempts};
use crate::caller::Caller;
use crate::mailbox::Mailbox;
use crate::socket::Stream;
use crate::timers::Timers;

/// Gives the stream of a connection to a server, connected or under way. It must not block.
type Connector = Box<dyn FnMut(&Server) -> Result<Stream, ConnectFailure> + Send>;

/// Whose waker was called.
#[derive(Clone, Copy)]
enum Called {
    /// That of the slot's client, or of an earlier one's: it has something new.
    Client(usize),
    /// The same, of a connection.
    Connection(usize),
}

impl From<Called> for Message {
    fn from(called: Called) -> Self {
        Self::Called(called)
    }
}

/// What other threads tell.
enum Message {
    /// A waker was called.
    Called(Called),
    /// What the lookup of that number found, which was begun for the connection in the slot.
    Found { slot: usize, number: u64, found: Found },
    /// Another client.
    Add(Driver),
    /// No more clients will come.
    Released,
}

/// Clients inside an event loop that the application owns: any number of them, for any threads.
///
/// Their sockets are registered with the loop's [`Registry`], under a range of tokens that is their
/// own. The loop then does three things, again and again:
///
/// 1. wait in [`mio::Poll::poll`], at most until [`next_deadline`](Self::next_deadline);
/// 2. give every event to [`on_event`](Self::on_event), which only notes it;
/// 3. call [`turn`](Self::turn), whatever has come: also for a deadline, and for an event of the
///    [`mio::Waker`], by which calls that other threads make reach the connections.
///
/// A turn never waits: names are looked up on threads of their own, a few at most, and each
/// connection has a bounded number of reads and writes; what is left is for the next turn.
///
/// Calls are futures. Other threads wait for them in their own way, such as
/// [`block_on`](windhover_client::block_on). The loop's own thread must not; it polls them after
/// each turn, with [`waker`](Self::waker):
///
/// ```no_run
/// use std::pin::pin;
/// use std::sync::Arc;
/// use std::task::{Context, Poll};
///
/// use windhover_mio::mio::{self, Events, Token};
/// use windhover_mio::{Client, Clients, Clock};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut poll = mio::Poll::new()?;
/// let waker = Arc::new(mio::Waker::new(poll.registry(), Token(0))?);
/// // Tokens from 100 on are the application's.
/// let mut clients = Clients::new(poll.registry(), 1..100, waker)?;
/// let client = clients.connect(Client::builder().server("127.0.0.1:11211"))?;
///
/// let mut call = pin!(client.get("greeting"));
/// let waker = clients.waker();
/// let clock = Clock::new();
/// let mut events = Events::with_capacity(1024);
/// let answer = loop {
///     if let Poll::Ready(answer) = call.as_mut().poll(&mut Context::from_waker(&waker)) {
///         break answer;
///     }
///     let now = clock.now().instant;
///     let timeout = clients.next_deadline().map(|until| until.saturating_since(now));
///     poll.poll(&mut events, timeout)?;
///     for event in &events {
///         if !clients.on_event(event) {
///             // One of the application's own.
///         }
///     }
///     clients.turn(clock.now());
/// };
/// # drop(answer);
/// # Ok(())
/// # }
/// ```
///
/// Dropped, it ends every call of its clients with an error: nobody waits for ever because a loop
/// has ended.
pub struct Clients {
    registry: Registry,
    tokens: Range<usize>,
    driven: Slab<Driven>,
    /// When clients want to be asked again.
    timers: Timers,
    /// Clients that have something new.
    due: Vec<usize>,
    links: Slab<Box<Link>>,
    /// Connections with something to do, each once.
    runnable: VecDeque<usize>,
    lookups: Lookups,
    /// What gives the streams, if they are not connected here.
    connector: Option<Connector>,
    mailbox: Arc<Mailbox<Message>>,
    messages: Vec<Message>,
    /// Nothing came from other threads, and what comes next wakes the loop.
    is_parked: bool,
    is_released: bool,
}

/// A client's half that needs sockets and timers.
struct Driven {
    driver: Driver,
    /// When its timer fires.
    armed: Option<Instant>,
    caller: Arc<Caller<Message, Called>>,
    waker: Waker,
}

impl Clients {
    /// No clients yet.
    ///
    /// Each connection, also one that is being made, has one of `tokens`; where they do not suffice,
    /// it counts as one that cannot be made. A client has as many connections at most as
    /// [`ClusterOptions::connections`] and [`ClusterOptions::exclusive`] allow for all its servers.
    /// `waker` is the loop's only [`mio::Waker`]; its token is none of these.
    ///
    /// [`ClusterOptions::connections`]: windhover_core::client::ClusterOptions::connections
    /// [`ClusterOptions::exclusive`]: windhover_core::client::ClusterOptions::exclusive
    ///
    /// # Errors
    ///
    /// When the operating system does not let the registry be shared.
    pub fn new(
        registry: &Registry,
        tokens: Range<usize>,
        waker: Arc<mio::Waker>,
    ) -> io::Result<Self> {
        Self::with_mailbox(registry, tokens, Arc::new(Mailbox::new(waker)))
    }

    fn with_mailbox(
        registry: &Registry,
        tokens: Range<usize>,
        mailbox: Arc<Mailbox<Message>>,
    ) -> io::Result<Self> {
        Ok(Self {
            registry: registry.try_clone()?,
            tokens,
            driven: Slab::new(),
            timers: Timers::default(),
            due: Vec::new(),
            links: Slab::new(),
            runnable: VecDeque::new(),
            lookups: Lookups::new(resolver::system(), Arc::clone(&mailbox)),
            connector: None,
            mailbox,
            messages: Vec::new(),
            is_parked: true,
            is_released: false,
        })
    }

    /// Looks names up with `resolver` instead of the operating system. Addresses that are numbers
    /// are not looked up. To be called before the first turn.
    #[must_use]
    pub fn with_resolver(mut self, resolver: Resolver) -> Self {
        self.lookups = Lookups::new(resolver, Arc::clone(&self.mailbox));
        self
    }

    /// Drives the clients over the streams that `connector` gives, instead of connecting itself: those
    /// that encrypt, those of a test. To be called before the first turn.
    #[must_use]
    pub fn with_connector(
        mut self,
        connector: impl FnMut(&Server) -> Result<Stream, ConnectFailure> + Send + 'static,
    ) -> Self {
        self.connector = Some(Box::new(connector));
        self
    }

    /// Makes a client and drives it until its last handle is gone.
    ///
    /// # Errors
    ///
    /// As [`Builder::build`].
    pub fn connect(&mut self, builder: Builder) -> Result<Client, Error> {
        let (client, driver) = builder.build()?;
        self.add(driver);
        Ok(client)
    }

    /// Drives a client that was made elsewhere, until its last handle is gone.
    pub fn add(&mut self, driver: Driver) {
        let slot = self.driven.vacant_key();
        let caller = Caller::new(Called::Client(slot), &self.mailbox);
        let waker = Waker::from(Arc::clone(&caller));
        self.driven.insert(Driven { driver, armed: None, caller, waker });
        self.due.push(slot);
    }

    /// Whether no client is left: every handle is gone, and every call is over.
    pub fn is_empty(&self) -> bool {
        self.driven.is_empty()
    }

    /// A waker that ends the loop's wait, for calls that the loop's own thread polls, and for what
    /// else it wants to look at; see
    /// [`Shutdown::wake_on_trigger`](crate::Shutdown::wake_on_trigger).
    pub fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.mailbox))
    }

    /// Notes what an event tells; `false` when its token is none of these clients'.
    pub fn on_event(&mut self, event: &Event) -> bool {
        let Token(token) = event.token();
        if !self.tokens.contains(&token) {
            return false;
        }
        let slot = token - self.tokens.start;
        if let Some(link) = self.links.get_mut(slot) {
            link.note(event);
            self.enqueue(slot);
        }
        true
    }

    /// When the next turn is due, if nothing else comes before: an instant in the past when there
    /// is work left, `None` when there is nothing to wait for but events.
    pub fn next_deadline(&self) -> Option<Instant> {
        if !self.is_at_rest() {
            return Some(Instant::default());
        }
        self.timers.next()
    }

    /// Does what is to be done at `now`, which holds for the whole turn.
    pub fn turn(&mut self, now: Now) {
        self.read_mail();
        while let Some(slot) = self.timers.pop_due(now.instant) {
            if let Some(client) = self.driven.get_mut(slot) {
                client.armed = None;
                self.due.push(slot);
            }
        }
        while let Some(slot) = self.due.pop() {
            self.ask(slot, now.instant);
        }
        for _ in 0..self.runnable.len() {
            if let Some(slot) = self.runnable.pop_front() {
                self.run(slot);
            }
        }
        // While there is more to do, whoever sends a message need not wake the loop.
        self.is_parked = self.runnable.is_empty() && self.mailbox.park();
    }

    /// Nothing is left to do, and what comes next is told.
    fn is_at_rest(&self) -> bool {
        self.is_parked && self.runnable.is_empty() && self.due.is_empty()
    }

    /// The same, and no call of its clients is under way.
    fn is_quiet(&self) -> bool {
        self.is_at_rest() && self.driven.iter().all(|(_, client)| !client.driver.has_calls())
    }

    /// No client is left, and none will come.
    fn is_over(&self) -> bool {
        self.is_released && self.is_empty()
    }

    fn read_mail(&mut self) {
        let mut messages = std::mem::take(&mut self.messages);
        self.mailbox.receive(&mut messages);
        for message in messages.drain(..) {
            match message {
                Message::Called(Called::Client(slot)) => {
                    if self.driven.get(slot).is_some_and(|client| client.caller.take_call()) {
                        self.due.push(slot);
                    }
                }
                Message::Called(Called::Connection(slot)) => {
                    if self.links.get(slot).is_some_and(|link| link.caller.take_call()) {
                        self.enqueue(slot);
                    }
                }
                Message::Found { slot, number, found } => self.found(slot, number, found),
                Message::Add(driver) => self.add(driver),
                Message::Released => self.is_released = true,
            }
        }
        self.messages = messages;
    }

    /// Does what a client wants done, until it waits.
    fn ask(&mut self, slot: usize, now: Instant) {
        while let Some(client) = self.driven.get_mut(slot) {
            match client.driver.next(&client.waker) {
                windhover_client::DriverStep::Connect { connection, server } => {
                    self.open(slot, connection, &server);
                }
                windhover_client::DriverStep::Wait(time) => {
                    self.timers.arm(slot, &mut client.armed, now + time);
                    return;
                }
                windhover_client::DriverStep::Closed => self.remove(slot),
            }
        }
    }

    fn open(&mut self, client: usize, connection: ConnectionId, server: &Server) {
        let Some(driven) = self.driven.get(client) else { return };
        if self.links.len() >= self.tokens.len() {
            driven.driver.connect_failed(connection, ConnectFailure::Other);
            return;
        }
        let slot = self.links.vacant_key();
        let known = match &mut self.connector {
            Some(connector) => connector(server).map(|stream| Some(Address::Given(stream))),
            None => Ok(known_address(&server.address)),
        };
        let stage = match known {
            Ok(Some(address)) => Stage::Connecting(Attempts::new(vec![address])),
            Ok(None) => Stage::Resolving(self.lookups.begin(&server.address, slot)),
            Err(why) => {
                driven.driver.connect_failed(connection, why);
                return;
            }
        };
        let caller = Caller::new(Called::Connection(slot), &self.mailbox);
        self.links.insert(Box::new(Link::new(client, connection, stage, caller)));
        self.enqueue(slot);
    }

    fn found(&mut self, slot: usize, number: u64, found: Found) {
        let Some(link) = self.links.get_mut(slot) else { return };
        let Some(client) = self.driven.get(link.client) else { return };
        match link.found(number, found, &client.driver) {
            Some(Step::End) => self.close(slot),
            Some(Step::Again) => self.enqueue(slot),
            Some(Step::Wait) | None => {}
        }
    }

    fn enqueue(&mut self, slot: usize) {
        if let Some(link) = self.links.get_mut(slot)
            && !link.is_queued
        {
            link.is_queued = true;
            self.runnable.push_back(slot);
        }
    }

    fn run(&mut self, slot: usize) {
        let token = Token(self.tokens.start + slot);
        let Some(link) = self.links.get_mut(slot) else { return };
        link.is_queued = false;
        let Some(client) = self.driven.get(link.client) else { return };
        match link.turn(&client.driver, &self.registry, token) {
            Step::Again => self.enqueue(slot),
            Step::Wait => {}
            Step::End => self.close(slot),
        }
    }

    fn close(&mut self, slot: usize) {
        if let Some(link) = self.links.try_remove(slot) {
            link.close(&self.registry);
        }
    }

    /// A client is over, and with it what is left of its connections.
    fn remove(&mut self, slot: usize) {
        let Some(mut client) = self.driven.try_remove(slot) else { return };
        self.timers.disarm(slot, &mut client.armed);
        let links = self.links.iter().filter(|(_, link)| link.client == slot);
        let links: Vec<usize> = links.map(|(link, _)| link).collect();
        for link in links {
            self.close(link);
        }
    }
}

/// An address that need not be looked up: numbers, or the path of a Unix socket.
fn known_address(address: &str) -> Option<Address> {
    match windhover_client::Address::of(address) {
        #[cfg(unix)]
        windhover_client::Address::Unix(path) => Some(Address::Unix(path.into())),
        windhover_client::Address::Tcp(address) => Some(Address::Tcp(address)),
        _ => None,
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients")
            .field("tokens", &self.tokens)
            .field("clients", &self.driven.len())
            .field("connections", &self.links.len())
            .finish_non_exhaustive()
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        // Clients that were still to come end their calls, too.
        drop(self.mailbox.close());
    }
}
