//! Accepting connections, within a bound, until the shutdown.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use windhover_core::endpoint::Endpoint;
use windhover_core::{Counters, Now};

use crate::connection::{End, drive};
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

/// How [`serve`] serves.
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
    /// 10,000 connections, 60 seconds for the keepalive, 10 seconds for the shutdown, a new clock
    /// and new counters.
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
/// the peer's address and the time, until `shutdown` is triggered.
///
/// Then it accepts nothing more, asks every endpoint for an orderly end, waits for them for at most
/// [`ServeOptions::shutdown_timeout`], and drops those that are left.
///
/// An endpoint that panics takes its own connection with it and no other.
pub async fn serve<E, F>(
    listener: TcpListener,
    accept: F,
    options: ServeOptions,
    shutdown: Shutdown,
) -> ServeReport
where
    E: Endpoint + Send + 'static,
    F: Fn(SocketAddr, Now) -> E + Send + Sync + 'static,
{
    let most = options.connections.clamp(1, Semaphore::MAX_PERMITS);
    let most = u32::try_from(most).unwrap_or(u32::MAX);
    let room = Arc::new(Semaphore::new(most as usize));
    let accept = Arc::new(accept);
    let cut = Shutdown::new();
    let cut_count = Arc::new(AtomicUsize::new(0));

    while let Some((stream, peer, permit)) = next(&listener, &room, &options, &shutdown).await {
        let open = Open::new(Arc::clone(&options.counters), permit);
        let accept = Arc::clone(&accept);
        let clock = options.clock;
        let drain = shutdown.clone();
        let cut = cut.clone();
        let cut_count = Arc::clone(&cut_count);
        tokio::spawn(async move {
            let _open = open;
            let endpoint = accept(peer, clock.now());
            drop(accept);
            if drive(stream, endpoint, clock, drain, cut).await == End::Cut {
                cut_count.fetch_add(1, Ordering::Relaxed);
            }
        });
    }

    drop(listener);
    if timeout(options.shutdown_timeout, room.acquire_many(most)).await.is_err() {
        cut.trigger();
        let _ = timeout(CUT_TIMEOUT, room.acquire_many(most)).await;
    }
    ServeReport { cut: cut_count.load(Ordering::Relaxed) }
}

/// The next connection, with its place among those open; `None` when it is time to end.
async fn next(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
    options: &ServeOptions,
    shutdown: &Shutdown,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = unless(shutdown, Arc::clone(room).acquire_owned()).await?.ok()?;
    loop {
        match unless(shutdown, listener.accept()).await? {
            Ok((stream, peer)) => {
                // Answers are written whole, so that waiting to fill a packet only delays them. A
                // failure means that the peer is gone, which the first read will tell.
                let _ = stream.set_nodelay(true);
                if let Some(after) = options.keepalive {
                    let keepalive = TcpKeepalive::new()
                        .with_time(after)
                        .with_interval(KEEPALIVE_INTERVAL)
                        .with_retries(KEEPALIVE_RETRIES);
                    let _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive);
                }
                return Some((stream, peer, permit));
            }
            Err(error) if is_about_the_peer(&error) => {}
            Err(error) => {
                options.counters.accept_errors.fetch_add(1, Ordering::Relaxed);
                if let Some(hook) = &options.on_accept_error {
                    hook(&error);
                }
                unless(shutdown, sleep(ACCEPT_PAUSE)).await?;
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

/// What comes of `future`, unless `shutdown` is triggered first.
async fn unless<T>(shutdown: &Shutdown, future: impl Future<Output = T>) -> Option<T> {
    let mut triggered = pin!(shutdown.wait());
    let mut future = pin!(future);
    poll_fn(|cx| {
        if triggered.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        future.as_mut().poll(cx).map(Some)
    })
    .await
}

/// One of the open connections, counted for as long as it lives: also when it panics.
struct Open {
    counters: Arc<Counters>,
    _permit: OwnedSemaphorePermit,
}

impl Open {
    fn new(counters: Arc<Counters>, permit: OwnedSemaphorePermit) -> Self {
        counters.accepted.fetch_add(1, Ordering::Release);
        Self { counters, _permit: permit }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.counters.closed.fetch_add(1, Ordering::Release);
    }
}
