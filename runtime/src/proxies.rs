//! Proxies in front of a listener, which say whose connection they pass on (PROXY protocol).

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use windhover_core::Instant;
use windhover_core::proxy_protocol::{ParsedProxyHeader, parse};

use crate::{Peer, PollStream};

/// How long a proxy may take for its header, unless it is said otherwise. It sends it with the first
/// packet.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// Room for a header of the usual length, and for what may come with it.
const READ: usize = 1024;

/// Has connections that come from proxies of one's own begin with a header of the PROXY protocol, which
/// names whom they are passed on for; [`ServeOptions::proxies`](crate::ServeOptions::proxies) takes it.
/// Clones are handles to the same counter.
///
/// It is the address that decides, never what comes: a connection of a trusted peer without a header, or
/// with one that is malformed or takes longer than five seconds, is closed and nothing of it reaches
/// its endpoint; what other peers send is their own, and a header from them is not looked at. The header
/// comes before everything, TLS included.
///
/// ```
/// use windhover_runtime::{Peer, ProxyProtocol, ServeOptions};
///
/// // The balancer is on this machine.
/// let proxies = ProxyProtocol::new(|peer: Peer| peer.ip().is_some_and(|ip| ip.is_loopback()))
///     .on_failure(|peer, why| eprintln!("{peer}: {why}"));
/// let mut options = ServeOptions::default();
/// options.proxies = Some(proxies.clone());
/// assert_eq!(proxies.failures(), 0);
/// ```
#[derive(Clone)]
pub struct ProxyProtocol {
    trusts: Trust,
    header_timeout: Duration,
    on_failure: Option<FailureHook>,
    failures: Arc<AtomicU64>,
}

/// Whether a peer is a proxy of one's own.
type Trust = Arc<dyn Fn(Peer) -> bool + Send + Sync>;
/// Is told of a proxy whose header was none, and why.
type FailureHook = Arc<dyn Fn(Peer, &str) + Send + Sync>;

impl ProxyProtocol {
    /// Expects a header from the peers that `trusts` says are proxies of one's own, and from no others.
    pub fn new(trusts: impl Fn(Peer) -> bool + Send + Sync + 'static) -> Self {
        Self {
            trusts: Arc::new(trusts),
            header_timeout: HEADER_TIMEOUT,
            on_failure: None,
            failures: Arc::default(),
        }
    }

    /// Gives proxies so long for their header, in place of five seconds.
    #[must_use]
    pub fn header_timeout(mut self, timeout: Duration) -> Self {
        self.header_timeout = timeout;
        self
    }

    /// Is told of a proxy that sent no header, and why it is none. It must not block.
    #[must_use]
    pub fn on_failure(mut self, hook: impl Fn(Peer, &str) + Send + Sync + 'static) -> Self {
        self.on_failure = Some(Arc::new(hook));
        self
    }

    /// How many connections of proxies were closed for lack of a header.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    fn failed(&self, peer: Peer, why: &str) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        if let Some(on_failure) = &self.on_failure {
            on_failure(peer, why);
        }
    }
}

impl fmt::Debug for ProxyProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyProtocol")
            .field("header_timeout", &self.header_timeout)
            .field("failures", &self.failures())
            .finish_non_exhaustive()
    }
}

/// A connection of a proxy's whose header has not come whole.
#[derive(Debug)]
pub(crate) struct Unannounced {
    peer: Peer,
    proxies: ProxyProtocol,
    come: BytesMut,
    /// When the header has to have come.
    pub(crate) announce_by: Instant,
}

/// What came with a header.
pub(crate) struct Announced {
    /// Whom the connection is passed on for, if the proxy says so.
    pub(crate) source: Option<SocketAddr>,
    /// What came behind the header.
    pub(crate) rest: BytesMut,
}

impl Unannounced {
    /// A connection of `peer`'s that was accepted at `now`, if it has to begin with a header.
    pub(crate) fn new(peer: Peer, proxies: &ProxyProtocol, now: Instant) -> Option<Box<Self>> {
        if !(proxies.trusts)(peer) {
            return None;
        }
        let announce_by = now + proxies.header_timeout;
        let proxies = proxies.clone();
        Some(Box::new(Self { peer, proxies, come: BytesMut::new(), announce_by }))
    }

    /// It took too long.
    pub(crate) fn give_up(&self) {
        self.proxies.failed(self.peer, "its header of the PROXY protocol did not come in time");
    }

    /// How many bytes of memory it holds.
    pub(crate) fn held(&self) -> usize {
        self.come.capacity()
    }

    /// Reads on to the header's end.
    pub(crate) fn poll_header(
        &mut self,
        stream: &mut impl PollStream,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Announced>> {
        loop {
            match parse(&self.come) {
                Ok(ParsedProxyHeader::Complete { header, length }) => {
                    self.come.advance(length);
                    let rest = std::mem::take(&mut self.come);
                    return Poll::Ready(Ok(Announced { source: header.source(), rest }));
                }
                Ok(_) => {}
                Err(error) => {
                    self.proxies.failed(self.peer, &error.to_string());
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
                }
            }
            let come = &mut self.come;
            let read = stream.poll_read(cx, || {
                come.reserve(READ);
                come
            });
            if ready!(read)? == 0 {
                // A balancer that looks whether somebody listens sends nothing at all.
                if !self.come.is_empty() {
                    let why = "it ended within its header of the PROXY protocol";
                    self.proxies.failed(self.peer, why);
                }
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }
}
