//! Event loops on threads of their own, each around a server.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};
use windhover_core::Now;
use windhover_core::endpoint::Endpoint;
use windhover_runtime::{ConnectionLimit, Peer, ServeOptions, ServeReport, Shutdown, StdListener};

use super::LoopServer;

/// The loop's waker; all tokens behind it are the server's.
const WAKER: usize = 0;
/// Most events taken at a time.
const EVENTS: usize = 1024;

/// Serves the connections of `listeners`, each on a thread with an event loop of its own, with the
/// endpoints that `accept` makes for the peer's address and the time, until `shutdown` is triggered.
/// Blocks the thread that calls it; [`listen`](crate::listen) makes the listeners. Those of Unix
/// sockets are served, too.
///
/// Then it accepts nothing more, asks every endpoint for an orderly end, waits for them for at most
/// [`ServeOptions::shutdown_timeout`], and drops those that are left. A loop whose thread is blocked
/// by an endpoint is left behind.
///
/// The bound on connections is one for all loops. An endpoint that panics takes its own connection
/// with it and no other.
///
/// # Errors
///
/// When a loop or a thread cannot be had, or a loop fails. If others run by then, `shutdown` is
/// triggered, and they end first.
pub fn serve<E, F>(
    listeners: impl IntoIterator<Item = impl Into<StdListener>>,
    accept: F,
    options: ServeOptions,
    shutdown: &Shutdown,
) -> io::Result<ServeReport>
where
    E: Endpoint + Send + 'static,
    F: Fn(Peer, Now) -> E + Send + Sync + 'static,
{
    let end_timeout = options.end_timeout();
    let limit = ConnectionLimit::new(options.connections);
    let accept = Arc::new(accept);
    let mut loops = Vec::new();
    for listener in listeners {
        let accept = Arc::clone(&accept);
        let accept = move |peer, now| accept(peer, now);
        loops.push(EventLoop::new(listener, accept, options.clone(), &limit)?);
    }
    drop((accept, options));

    let (sender, receiver) = channel();
    shutdown.wake_on_trigger(Waker::from(Arc::new(Asked(sender.clone()))));
    let mut running = 0;
    let mut failure = None;
    for (number, event_loop) in loops.into_iter().enumerate() {
        let (sender, asked) = (sender.clone(), shutdown.clone());
        let run = move || {
            let end = catch_unwind(AssertUnwindSafe(|| event_loop.run(&asked)))
                .unwrap_or_else(|_| Err(io::Error::other("an event loop panicked")));
            // Nobody listens any more when the loop took too long.
            let _ = sender.send(News::Ended(end));
        };
        match thread::Builder::new().name(format!("windhover-{number}")).spawn(run) {
            Ok(_) => running += 1,
            Err(error) => {
                failure = Some(error);
                shutdown.trigger();
                break;
            }
        }
    }
    wait(&receiver, running, failure, end_timeout, shutdown)
}

/// What the thread that called [`serve`] waits for.
enum News {
    /// The shutdown was triggered.
    Asked,
    /// A loop ended.
    Ended(io::Result<ServeReport>),
}

struct Asked(Sender<News>);

impl Wake for Asked {
    fn wake(self: Arc<Self>) {
        // Nobody listens any more when the loops have ended before.
        let _ = self.0.send(News::Asked);
    }
}

/// Gathers the ends of `running` loops, which after the shutdown may take `end_timeout` at most.
fn wait(
    news: &Receiver<News>,
    mut running: usize,
    mut failure: Option<io::Error>,
    end_timeout: Duration,
    shutdown: &Shutdown,
) -> io::Result<ServeReport> {
    let mut cut = 0;
    let mut asked: Option<Instant> = None;
    while running > 0 {
        let next = match asked {
            None => news.recv().ok(),
            Some(asked) => news.recv_timeout(end_timeout.saturating_sub(asked.elapsed())).ok(),
        };
        match next {
            Some(News::Asked) => asked = Some(Instant::now()),
            Some(News::Ended(Ok(ended))) => {
                running -= 1;
                cut += ended.cut;
            }
            Some(News::Ended(Err(error))) => {
                running -= 1;
                failure.get_or_insert(error);
                shutdown.trigger();
            }
            None => break,
        }
    }
    failure.map_or(Ok(ServeReport::new(cut)), Err)
}

struct EventLoop<E, F> {
    poll: Poll,
    server: LoopServer<E, F>,
    options: ServeOptions,
}

impl<E, F> EventLoop<E, F>
where
    E: Endpoint,
    F: FnMut(Peer, Now) -> E,
{
    fn new(
        listener: impl Into<StdListener>,
        accept: F,
        options: ServeOptions,
        limit: &ConnectionLimit,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(mio::Waker::new(poll.registry(), Token(WAKER))?);
        let tokens = WAKER + 1..usize::MAX;
        let server =
            LoopServer::new(poll.registry(), tokens, waker, listener, accept, options.clone())?
                .with_limit(limit.clone());
        Ok(Self { poll, server, options })
    }

    fn run(mut self, shutdown: &Shutdown) -> io::Result<ServeReport> {
        let clock = self.options.clock;
        let mut events = Events::with_capacity(EVENTS);
        shutdown.wake_on_trigger(self.server.waker());
        while !self.server.is_finished() {
            let now = clock.now().instant;
            let timeout = self.server.next_deadline().map(|until| until.saturating_since(now));
            self.wait(&mut events, timeout)?;
            for event in &events {
                self.server.on_event(event);
            }
            let now = clock.now();
            if shutdown.is_triggered() {
                self.server.shut_down(now);
            }
            self.server.turn(now);
        }
        Ok(self.server.report())
    }

    /// Waits for sockets and messages.
    fn wait(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        if let Some(before_wait) = &self.options.before_wait
            && timeout != Some(Duration::ZERO)
        {
            poll(&mut self.poll, events, Some(Duration::ZERO))?;
            if !events.is_empty() {
                return Ok(());
            }
            if !self.server.waits_after(|| before_wait()) {
                return Ok(());
            }
        }
        poll(&mut self.poll, events, timeout)
    }
}

fn poll(poll: &mut Poll, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
    match poll.poll(events, timeout) {
        Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
        _ => Ok(()),
    }
}
