//! Accepting connections, within a bound, until the shutdown.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use async_io::{Async, Timer};
use socket2::{SockRef, TcpKeepalive};
use windhover_core::endpoint::Endpoint;
use windhover_core::{Counters, Now};

use crate::connection::{End, drive};
use crate::room::{Open, Place, Room};
use crate::socket::Socket;
use crate::{Clock, Shutdown};

/// How long to wait after an accept that failed for want of something: connections that end give
/// it back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Between the questions to a peer that does not answer, and how many there are.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;
/// How long connections that are cut have to be gone; only one that blocks its thread takes longer.
const CUT_TIMEOUT: Duration = Duration::from_secs(1);

/// What is called with the error when an accept failed for want of something of this machine's; it
/// must not block.
pub type AcceptErrorHook = Arc<dyn Fn(&io::Error) + Send + Sync>;

/// One connection, from its accept to its end: what [`serve_on`] gives to the executor.
pub type ConnectionTask = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How [`serve_on`] serves.
#[derive(Clone)]
#[non_exhaustive]
pub struct ServeOptions {
    /// Most connections open at a time. While that many are, further ones wait in the backlog of
    /// the operating system.
    pub connections: usize,
    /// After this long without a byte, the operating system asks whether the peer is still there,
    /// and ends the connection if it is not: a peer that lost its power says nothing. `None` never
    /// asks.
    pub keepalive: Option<Duration>,
    /// How long connections may take to finish what is in flight once the shutdown was triggered.
    pub shutdown_timeout: Duration,
    /// Where the time comes from.
    pub clock: Clock,
    /// Where is counted what happens.
    pub counters: Arc<Counters>,
    /// What is called when an accept fails for want of something, such as file descriptors.
    pub on_accept_error: Option<AcceptErrorHook>,
}

impl Default for ServeOptions {
    /// 10,000 connections, 60 seconds for the keepalive, 10 seconds for
    /// the shutdown, a new clock and new counters.
    fn default() -> Self {
        Self {
            connections: 10_000,
            keepalive: Some(Duration::from_secs(60)),
            shutdown_timeout: Duration::from_secs(10),
            clock: Clock::new(),
            counters: Arc::default(),
            on_accept_error: None,
        }
    }
}

impl fmt::Debug for ServeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServeOptions")
            .field("connections", &self.connections)
            .field("keepalive", &self.keepalive)
            .field("shutdown_timeout", &self.shutdown_timeout)
            .field("clock", &self.clock)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

/// How serving came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServeReport {
    /// Connections that were still at work when the time for the shutdown was over, and were cut.
    pub cut: usize,
}

/// Serves the connections that `listener` accepts, each with the endpoint that `accept` makes for
/// the peer's address and the time, as a task that `spawn` starts, until `shutdown` is triggered.
///
/// Then it accepts nothing more, asks every endpoint for an orderly end, waits for them for at most
/// [`ServeOptions::shutdown_timeout`], and cuts those that are left.
///
/// An endpoint that panics takes its own connection with it and no other, if the executor keeps a
/// panic within its task, as smol's and async-std's do.
///
/// # Errors
///
/// When the operating system refuses to have the listener waited for.
pub async fn serve_on<E, F>(
    spawn: impl Fn(ConnectionTask),
    listener: TcpListener,
    accept: F,
    options: ServeOptions,
    shutdown: Shutdown,
) -> io::Result<ServeReport>
where
    E: Endpoint + Send + 'static,
    F: Fn(SocketAddr, Now) -> E + Send + Sync + 'static,
{
    let listener = Async::new(listener)?;
    let room = Room::new(options.connections);
    let accept = Arc::new(accept);
    let cut = Shutdown::new();
    let cut_count = Arc::new(AtomicUsize::new(0));

    while let Some((stream, peer, place)) = next(&listener, &room, &options, &shutdown).await {
        let open = Open::new(Arc::clone(&options.counters), place);
        let accept = Arc::clone(&accept);
        let clock = options.clock;
        let drain = shutdown.clone();
        let cut = cut.clone();
        let cut_count = Arc::clone(&cut_count);
        spawn(Box::pin(async move {
            let _open = open;
            let endpoint = accept(peer, clock.now());
            drop(accept);
            if drive(Socket(stream), endpoint, clock, drain, cut).await == End::Cut {
                cut_count.fetch_add(1, Ordering::Relaxed);
            }
        }));
        // A full backlog is accepted from without a wait: others on this thread have their turn.
        turn_over().await;
    }

    drop(listener);
    if unless(Timer::after(options.shutdown_timeout), room.until_empty()).await.is_none() {
        cut.trigger();
        unless(Timer::after(CUT_TIMEOUT), room.until_empty()).await;
    }
    Ok(ServeReport { cut: cut_count.load(Ordering::Relaxed) })
}

/// The next connection, with its place among those open; `None` when it is time to end.
async fn next(
    listener: &Async<TcpListener>,
    room: &Arc<Room>,
    options: &ServeOptions,
    shutdown: &Shutdown,
) -> Option<(Async<TcpStream>, SocketAddr, Place)> {
    let place = unless(shutdown.wait(), room.take()).await?;
    loop {
        match unless(shutdown.wait(), listener.accept()).await? {
            Ok((stream, peer)) => {
                // Answers are written whole, so that waiting to fill a packet only delays them. A
                // failure means that the peer is gone, which the first read will tell.
                let _ = stream.get_ref().set_nodelay(true);
                if let Some(after) = options.keepalive {
                    let keepalive = TcpKeepalive::new()
                        .with_time(after)
                        .with_interval(KEEPALIVE_INTERVAL)
                        .with_retries(KEEPALIVE_RETRIES);
                    let _ = SockRef::from(stream.get_ref()).set_tcp_keepalive(&keepalive);
                }
                return Some((stream, peer, place));
            }
            Err(error) if is_about_the_peer(&error) => turn_over().await,
            Err(error) => {
                options.counters.accept_errors.fetch_add(1, Ordering::Relaxed);
                if let Some(hook) = &options.on_accept_error {
                    hook(&error);
                }
                unless(shutdown.wait(), Timer::after(ACCEPT_PAUSE)).await?;
            }
        }
    }
}

/// Whether an accept failed because that one peer is gone; the next one may succeed at once.
fn is_about_the_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

/// What comes of `future`, unless `end` comes first.
async fn unless<T>(end: impl Future, future: impl Future<Output = T>) -> Option<T> {
    let mut end = pin!(end);
    let mut future = pin!(future);
    poll_fn(|cx| {
        if end.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        future.as_mut().poll(cx).map(Some)
    })
    .await
}

/// Goes to the end of the executor's line once.
async fn turn_over() {
    let mut was_polled = false;
    poll_fn(|cx| {
        if was_polled {
            return Poll::Ready(());
        }
        was_polled = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
