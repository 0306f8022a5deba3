//! Connections that come in: a server that a loop drives, and the loops that drive it.

mod accept;
mod drive;
mod serve;
mod slots;

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use mio::event::Event;
use mio::{Interest, Registry, Token};
use windhover_core::endpoint::Endpoint;
use windhover_core::{Instant, Now};
use windhover_runtime::{
    Acquire, Connection, ConnectionLimit, Peer, Permit, ServeOptions, ServeReport, StdListener,
    Step,
};

use self::accept::{Acceptor, Listening};
pub use self::drive::drive;
pub use self::serve::serve;
use self::slots::Slots;
use crate::mailbox::Mailbox;
use crate::socket::{Registered, Socket, Stream};

/// Most connections accepted before those that are open have their turn.
const ACCEPTS: usize = 16;

/// Connections of one listener, TCP or Unix, inside an event loop that the application owns.
///
/// It registers its sockets with the loop's [`Registry`], under a range of tokens that is its own.
/// The loop then does four things, again and again:
///
/// 1. wait in [`mio::Poll::poll`], at most until [`next_deadline`](Self::next_deadline);
/// 2. give every event to [`on_event`](Self::on_event), which only notes it;
/// 3. call [`turn`](Self::turn), whatever has come: also for a deadline, and for an event of the
///    [`mio::Waker`], by which other threads reach the connections;
/// 4. once [`shut_down`](Self::shut_down) was called, end when it [`is_finished`](Self::is_finished).
///
/// A turn is short: each connection that has something to do is driven for a bounded number of
/// reads and writes, then the next one, and what is left is for the next turn, behind the others.
///
/// An endpoint that panics takes its own connection with it and no other. Dropping the server drops
/// its connections.
///
/// ```no_run
/// use std::net::TcpListener;
/// use std::sync::Arc;
///
/// use windhover_core::Now;
/// use windhover_core::endpoint::Endpoint;
/// use windhover_mio::mio::{Events, Poll, Token, Waker};
/// use windhover_mio::{Clock, LoopServer, Peer, ServeOptions};
///
/// fn run<E: Endpoint>(accept: impl FnMut(Peer, Now) -> E) -> std::io::Result<()> {
///     let mut poll = Poll::new()?;
///     let waker = Arc::new(Waker::new(poll.registry(), Token(0))?);
///     let listener = TcpListener::bind("127.0.0.1:11211")?;
///     let clock = Clock::new();
///     let mut options = ServeOptions::default();
///     options.clock = clock;
///     // Tokens from 20,000 on are the application's.
///     let mut server =
///         LoopServer::new(poll.registry(), 1..20_000, waker, listener, accept, options)?;
///     let mut events = Events::with_capacity(1024);
///     loop {
///         let now = clock.now().instant;
///         let timeout = server.next_deadline().map(|until| until.saturating_since(now));
///         poll.poll(&mut events, timeout)?;
///         for event in &events {
///             if !server.on_event(event) {
///                 // One of the application's own.
///             }
///         }
///         server.turn(clock.now());
///     }
/// }
/// ```
///
/// [`serve`] is this loop, once per core.
pub struct LoopServer<E, F> {
    registry: Registry,
    tokens: Range<usize>,
    accept: F,
    options: ServeOptions,
    /// Gone once no more connections are accepted.
    acceptor: Option<Acceptor>,
    limit: ConnectionLimit,
    /// All permits were out when it asked for one.
    acquire: Option<Acquire>,
    slots: Slots<E>,
    /// Connections with something to do, each once.
    runnable: VecDeque<usize>,
    /// The slots whose connection's waker was called, or an earlier one's.
    mailbox: Arc<Mailbox<usize>>,
    messages: Vec<usize>,
    /// Nothing came from other threads, and what comes next wakes the loop.
    is_parked: bool,
    /// When connections that are still at work are cut.
    cut_at: Option<Instant>,
    cut_count: usize,
}

impl<E, F> LoopServer<E, F>
where
    E: Endpoint,
    F: FnMut(Peer, Now) -> E,
{
    /// Serves the connections of `listener` with the endpoints that `accept` makes for the peer's
    /// address and the time.
    ///
    /// The first of `tokens` is the listener's, each connection has one of the others; so there are
    /// never more than that, nor than [`ServeOptions::connections`]. `waker` is the loop's only
    /// [`mio::Waker`]; its token is none of these.
    ///
    /// # Errors
    ///
    /// When the operating system refuses to have the listener watched, or `tokens` has not two.
    pub fn new(
        registry: &Registry,
        tokens: Range<usize>,
        waker: Arc<mio::Waker>,
        listener: impl Into<StdListener>,
        accept: F,
        options: ServeOptions,
    ) -> io::Result<Self> {
        if tokens.len() < 2 {
            let fault = format!("{} tokens given, a server needs two at least", tokens.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, fault));
        }
        let mut listener = Listening::try_from(listener.into())?;
        let registry = registry.try_clone()?;
        registry.register(listener.source(), Token(tokens.start), Interest::READABLE)?;
        Ok(Self {
            registry,
            tokens,
            accept,
            limit: ConnectionLimit::new(options.connections),
            options,
            acceptor: Some(Acceptor::new(listener)),
            acquire: None,
            slots: Slots::default(),
            runnable: VecDeque::new(),
            mailbox: Arc::new(Mailbox::new(waker)),
            messages: Vec::new(),
            is_parked: true,
            cut_at: None,
            cut_count: 0,
        })
    }

    /// Shares `limit` with other servers, in place of [`ServeOptions::connections`] for this one
    /// alone. To be called before the first turn.
    #[must_use]
    pub fn with_limit(mut self, limit: ConnectionLimit) -> Self {
        self.limit = limit;
        self
    }

    /// Drives `endpoint` over a stream that is given, beside the connections that are accepted: one
    /// that encrypts, one of an accept loop of your own. It is not counted among those, nor bounded by
    /// [`ServeOptions::connections`]; the shutdown ends it with them.
    ///
    /// # Errors
    ///
    /// When no token is left, or the stream cannot be registered.
    pub fn add(&mut self, stream: impl Into<Stream>, endpoint: E) -> io::Result<()> {
        if self.slots.len() >= self.tokens.len() - 1 {
            let fault = format!("all {} tokens are in use", self.tokens.len());
            return Err(io::Error::new(io::ErrorKind::OutOfMemory, fault));
        }
        let token = Token(self.tokens.start + 1 + self.slots.next());
        let socket = Socket::given(stream);
        let stream = Registered::new(socket, true, &self.registry, token)?;
        let slot = self.slots.insert(Connection::new(stream, endpoint), None, &self.mailbox);
        self.enqueue(slot);
        Ok(())
    }

    /// A waker that ends the loop's wait, for what the application wants to look at itself; see
    /// [`Shutdown::wake_on_trigger`](crate::Shutdown::wake_on_trigger).
    pub fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.mailbox))
    }

    /// Notes what an event tells; `false` when its token is none of this server's.
    pub fn on_event(&mut self, event: &Event) -> bool {
        let Token(token) = event.token();
        if !self.tokens.contains(&token) {
            return false;
        }
        match (token - self.tokens.start).checked_sub(1) {
            Some(slot) => {
                if self.slots.get_mut(slot).is_some_and(|open| open.note(event)) {
                    self.enqueue(slot);
                }
            }
            None => {
                if let Some(acceptor) = &mut self.acceptor {
                    acceptor.is_ready = true;
                }
            }
        }
        true
    }

    /// When the next turn is due, if nothing else comes before: an instant in the past when there
    /// is work left, `None` when there is nothing to wait for but events.
    pub fn next_deadline(&self) -> Option<Instant> {
        if !self.is_parked || !self.runnable.is_empty() {
            return Some(Instant::default());
        }
        let accept = self.acceptor.as_ref().filter(|_| self.may_accept()).and_then(Acceptor::next);
        [self.slots.timers.next(), accept, self.cut_at].into_iter().flatten().min()
    }

    /// Does what is to be done at `now`, which holds for the whole turn.
    pub fn turn(&mut self, now: Now) {
        self.read_mail();
        while let Some(slot) = self.slots.pop_due(now.instant) {
            self.enqueue(slot);
        }
        self.accept(now);
        for _ in 0..self.runnable.len() {
            if let Some(slot) = self.runnable.pop_front() {
                self.run(slot, now);
            }
        }
        if self.cut_at.is_some_and(|cut_at| cut_at <= now.instant) {
            self.cut();
        }
        // While there is more to do, whoever sends a message need not wake the loop.
        self.is_parked = self.runnable.is_empty() && self.mailbox.park();
    }

    /// Does that before it waits for events: who leaves a message meanwhile need not call it out of a wait. Whether
    /// it is to wait still.
    pub(crate) fn waits_after(&mut self, before: impl FnOnce()) -> bool {
        self.mailbox.unpark();
        before();
        self.is_parked = self.mailbox.park();
        self.is_parked
    }

    /// Accepts nothing more, and asks every endpoint for an orderly end. Those that are not done
    /// after [`ServeOptions::shutdown_timeout`] are dropped.
    pub fn shut_down(&mut self, now: Now) {
        if self.cut_at.is_some() {
            return;
        }
        self.cut_at = Some(now.instant + self.options.shutdown_timeout);
        if let Some(mut acceptor) = self.acceptor.take() {
            let _ = self.registry.deregister(acceptor.listener.source());
        }
        // A permit that still comes is for others.
        self.acquire = None;
        for slot in self.slots.numbers() {
            self.enqueue(slot);
        }
    }

    /// Whether it was shut down and no connection is left.
    pub fn is_finished(&self) -> bool {
        self.cut_at.is_some() && self.slots.is_empty()
    }

    /// How it ended.
    pub fn report(&self) -> ServeReport {
        ServeReport::new(self.cut_count)
    }

    fn enqueue(&mut self, slot: usize) {
        if let Some(open) = self.slots.get_mut(slot)
            && !open.is_queued
        {
            open.is_queued = true;
            self.runnable.push_back(slot);
        }
    }

    fn read_mail(&mut self) {
        let mut messages = std::mem::take(&mut self.messages);
        self.mailbox.receive(&mut messages);
        for slot in messages.drain(..) {
            if self.slots.take_call(slot) {
                self.enqueue(slot);
            }
        }
        self.messages = messages;
    }

    /// A permit for a connection; when there is none, one is asked for, and the loop is called once
    /// there is.
    fn acquire(&mut self) -> Option<Permit> {
        let mut acquire = self.acquire.take().unwrap_or_else(|| self.limit.acquire());
        let waker = self.waker();
        match Pin::new(&mut acquire).poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(permit) => Some(permit),
            Poll::Pending => {
                self.acquire = Some(acquire);
                None
            }
        }
    }

    fn may_accept(&self) -> bool {
        self.acquire.is_none() && self.slots.len() < self.tokens.len() - 1
    }

    /// Accepts what waits, first with the permit that was asked for; unused, it goes to others.
    fn accept(&mut self, now: Now) {
        let mut granted = None;
        if self.acquire.is_some() {
            granted = self.acquire();
        }
        for _ in 0..ACCEPTS {
            if !self.may_accept() || !self.acceptor.as_ref().is_some_and(|a| a.is_due(now.instant))
            {
                return;
            }
            let Some(permit) = granted.take().or_else(|| self.acquire()) else { return };
            let Some(acceptor) = &mut self.acceptor else { return };
            let Some((socket, peer)) = acceptor.accept(now.instant, &self.options) else {
                return;
            };
            self.open(socket, peer, permit, now);
        }
    }

    fn open(&mut self, socket: Socket, peer: Peer, permit: Permit, now: Now) {
        let token = Token(self.tokens.start + 1 + self.slots.next());
        let mut stream = match Registered::new(socket, true, &self.registry, token) {
            Ok(stream) => stream,
            Err(error) => {
                if let Some(acceptor) = &mut self.acceptor {
                    acceptor.failed(now.instant, &error, &self.options);
                }
                return;
            }
        };
        let counted = permit.count(Arc::clone(&self.options.counters));
        // A panic drops the connection, and was told by the panic's own hook.
        let Ok(endpoint) = catch_unwind(AssertUnwindSafe(|| (self.accept)(peer, now))) else {
            stream.deregister(&self.registry);
            return;
        };
        // A stream that is dropped is no longer watched.
        let accepted = Connection::accepted(stream, peer, endpoint, &self.options, now.instant);
        if let Ok(connection) = accepted {
            let slot = self.slots.insert(connection, Some(counted), &self.mailbox);
            self.enqueue(slot);
        }
    }

    fn run(&mut self, slot: usize, now: Now) {
        let drain = self.cut_at.is_some();
        let Some(open) = self.slots.get_mut(slot) else { return };
        open.is_queued = false;
        match catch_unwind(AssertUnwindSafe(|| open.turn(now, drain))) {
            Ok(Step::Again) => self.enqueue(slot),
            Ok(Step::Wait(Some(until))) => self.slots.arm(slot, until),
            Ok(Step::Wait(None)) => {}
            Ok(Step::End(_)) | Err(_) => self.close(slot),
        }
    }

    fn cut(&mut self) {
        self.runnable.clear();
        for slot in self.slots.numbers() {
            self.cut_count += 1;
            self.close(slot);
        }
    }

    fn close(&mut self, slot: usize) {
        if let Some(mut open) = self.slots.remove(slot) {
            open.connection.stream_mut().deregister(&self.registry);
            // An endpoint may panic here too.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(open)));
        }
    }
}

impl<E, F> Drop for LoopServer<E, F> {
    fn drop(&mut self) {
        drop(self.mailbox.close());
    }
}
