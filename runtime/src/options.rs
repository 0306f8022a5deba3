//! How to serve, what to do when an accept fails, and how serving ended.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use windhover_core::Counters;

use crate::{Clock, ConnectionMemory, ProxyProtocol, TcpOptions};

/// How long to wait after an accept that failed for lack of something: connections that end give
/// it back. At once would take a whole core, and giving up would end the server for a moment's
/// shortage.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long connections that are cut have to be gone; only one that blocks its thread takes longer.
pub(crate) const CUT_TIMEOUT: Duration = Duration::from_secs(1);
/// Most connections open at a time, unless it is said otherwise.
const CONNECTIONS: usize = 10_000;
/// After so long without a byte a peer is asked whether it is there.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// How long what is in flight may take at the shutdown.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// What is called with the error when an accept failed for lack of something of this machine's; it
/// must not block.
pub type AcceptErrorHook = Arc<dyn Fn(&io::Error) + Send + Sync>;

/// What an event loop calls before it waits, when no socket is ready. Whatever else has this processor is not
/// interrupted meanwhile by sockets that become ready: it may wait for that, some hundred microseconds at most.
pub type BeforeWaitHook = Arc<dyn Fn() + Send + Sync>;

/// How to serve the connections of a listener.
///
/// ```
/// use std::io;
/// use std::sync::Arc;
/// use std::sync::atomic::Ordering;
/// use std::time::Duration;
/// use windhover_runtime::ServeOptions;
///
/// let mut options = ServeOptions::default();
/// options.connections = 50_000;
/// options.shutdown_timeout = Duration::from_secs(25);
/// options.on_accept_error = Some(Arc::new(|error| eprintln!("accept: {error}")));
/// let idle = options.counters.clone();
/// options.before_wait = Some(Arc::new(move || println!("idle: {idle:?}")));
///
/// // What a loop does that accepts: one peer was gone; there are no more descriptors.
/// assert_eq!(options.accept_failed(&io::ErrorKind::ConnectionAborted.into()), None);
/// assert!(options.accept_failed(&io::ErrorKind::OutOfMemory.into()).is_some());
/// assert_eq!(options.counters.accept_errors.load(Ordering::Relaxed), 1);
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct ServeOptions {
    /// Most connections open at a time, over all threads and event loops. While that many are,
    /// further ones wait in the backlog of the operating system.
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
    /// What connections may hold together; `None` bounds each for itself alone.
    pub memory: Option<ConnectionMemory>,
    /// The proxies in front that say whose connections they pass on; `None` believes nobody.
    pub proxies: Option<ProxyProtocol>,
    /// The certificate of connections that speak TLS; `None` takes them as they come.
    #[cfg(feature = "tls")]
    pub tls: Option<crate::ServerTls>,
    /// What is called when an accept fails for lack of something, such as file descriptors.
    pub on_accept_error: Option<AcceptErrorHook>,
    /// What a loop of `windhover-mio`'s calls before it waits; tokio has `on_thread_park` for that, and async-std
    /// nothing.
    pub before_wait: Option<BeforeWaitHook>,
}

impl ServeOptions {
    /// What an accepted TCP connection is set to.
    pub fn tcp(&self) -> TcpOptions {
        TcpOptions { keepalive: self.keepalive }
    }

    /// How long connections have from the shutdown's trigger until nobody waits for them any more:
    /// [`shutdown_timeout`](Self::shutdown_timeout), and a second for those that are cut then.
    pub fn end_timeout(&self) -> Duration {
        self.shutdown_timeout.saturating_add(CUT_TIMEOUT)
    }

    /// What to do about an accept that failed: `None` says to try again at once, for that one peer
    /// was gone, and anything else how long to wait before. That was counted, and the hook called.
    pub fn accept_failed(&self, error: &io::Error) -> Option<Duration> {
        if is_about_the_peer(error) {
            return None;
        }
        self.counters.accept_errors.fetch_add(1, Ordering::Relaxed);
        if let Some(hook) = &self.on_accept_error {
            hook(error);
        }
        Some(ACCEPT_PAUSE)
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

impl Default for ServeOptions {
    /// 10,000 connections, 60 seconds for the keepalive, 10 seconds for the shutdown, a new clock and
    /// new counters.
    fn default() -> Self {
        Self {
            connections: CONNECTIONS,
            keepalive: Some(KEEPALIVE),
            shutdown_timeout: SHUTDOWN_TIMEOUT,
            clock: Clock::new(),
            counters: Arc::default(),
            memory: None,
            proxies: None,
            #[cfg(feature = "tls")]
            tls: None,
            on_accept_error: None,
            before_wait: None,
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

/// How serving ended.
///
/// ```
/// use windhover_runtime::ServeReport;
///
/// /// The exit code of a server that was stopped.
/// fn exit_code(report: ServeReport) -> u8 {
///     u8::from(report.cut > 0)
/// }
/// assert_eq!(exit_code(ServeReport::default()), 0);
/// assert_eq!(exit_code(ServeReport::new(3)), 1);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServeReport {
    /// Connections that were still at work when the time for the shutdown was over, and were cut.
    pub cut: usize,
}

impl ServeReport {
    /// So many were cut.
    pub fn new(cut: usize) -> Self {
        Self { cut }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn a_peer_that_is_gone_costs_no_pause_and_is_not_counted() {
        let options = ServeOptions::default();
        for kind in [io::ErrorKind::ConnectionAborted, io::ErrorKind::Interrupted] {
            assert_eq!(options.accept_failed(&kind.into()), None);
        }
        assert_eq!(options.counters.accept_errors.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_shortage_is_counted_told_and_waited_out() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&seen);
        let hook = move |error: &io::Error| told.lock().unwrap().push(error.kind());
        let options =
            ServeOptions { on_accept_error: Some(Arc::new(hook)), ..ServeOptions::default() };
        let pause = options.accept_failed(&io::ErrorKind::OutOfMemory.into());
        assert_eq!(pause, Some(ACCEPT_PAUSE));
        assert_eq!(options.counters.accept_errors.load(Ordering::Relaxed), 1);
        assert_eq!(*seen.lock().unwrap(), [io::ErrorKind::OutOfMemory]);
    }
}
