//! Accepting connections, and waiting when something is wanting.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use socket2::{SockRef, TcpKeepalive};
use windhover_core::Instant;

use super::ServeOptions;

/// How long to wait after an accept that failed for want of something: connections that end give
/// it back.
const PAUSE: Duration = Duration::from_millis(50);
/// Between the questions to a peer that does not answer, and how many there are.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;

/// A listener, and whether it is worth asking.
pub(super) struct Acceptor {
    pub(super) listener: TcpListener,
    /// Connections may wait. Told once by the operating system: true until an accept finds none.
    pub(super) is_ready: bool,
    /// Not before this instant: something was wanting.
    paused_until: Option<Instant>,
}

impl Acceptor {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self { listener, is_ready: false, paused_until: None }
    }

    /// Whether to accept at `now`.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.is_ready && self.paused_until.is_none_or(|until| until <= now)
    }

    /// When to accept: an instant in the past for at once, `None` for when a connection comes.
    pub(super) fn next(&self) -> Option<Instant> {
        self.is_ready.then(|| self.paused_until.unwrap_or_default())
    }

    /// A connection that waits; `None` when there is none, or when something is wanting.
    pub(super) fn accept(
        &mut self,
        now: Instant,
        options: &ServeOptions,
    ) -> Option<(TcpStream, SocketAddr)> {
        self.paused_until = None;
        loop {
            match self.listener.accept() {
                Ok((stream, peer)) => {
                    set_options(&stream, options);
                    return Some((stream, peer));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_ready = false;
                    return None;
                }
                Err(error) if is_about_the_peer(&error) => {}
                Err(error) => {
                    self.pause(now, &error, options);
                    return None;
                }
            }
        }
    }

    /// Notes that accepting failed for want of something.
    pub(super) fn pause(&mut self, now: Instant, error: &io::Error, options: &ServeOptions) {
        self.paused_until = Some(now + PAUSE);
        options.counters.accept_errors.fetch_add(1, Ordering::Relaxed);
        if let Some(hook) = &options.on_accept_error {
            hook(error);
        }
    }
}

fn set_options(stream: &TcpStream, options: &ServeOptions) {
    // Answers are written whole, so that waiting to fill a packet only delays them. A failure means
    // that the peer is gone, which the first read will tell.
    let _ = stream.set_nodelay(true);
    if let Some(after) = options.keepalive {
        let keepalive = TcpKeepalive::new()
            .with_time(after)
            .with_interval(KEEPALIVE_INTERVAL)
            .with_retries(KEEPALIVE_RETRIES);
        let _ = SockRef::from(stream).set_tcp_keepalive(&keepalive);
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
