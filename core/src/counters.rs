//! What a listener counts, for metrics.

use core::sync::atomic::{AtomicU64, Ordering};

/// What a listener has seen since it began; each counter only grows, unless a cache's `stats reset` sets
/// those of authentication back.
///
/// ```
/// use core::sync::atomic::Ordering;
/// use windhover_core::Counters;
///
/// let counters = Counters::default();
/// // What a listener does for each connection.
/// counters.accepted.fetch_add(2, Ordering::Relaxed);
/// counters.closed.fetch_add(1, Ordering::Relaxed);
/// assert_eq!(counters.active(), 1);
/// ```
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections accepted.
    pub accepted: AtomicU64,
    /// Connections that ended, however they did.
    pub closed: AtomicU64,
    /// Bytes read from them: of requests, without what TLS puts around them.
    pub read_bytes: AtomicU64,
    /// Bytes written to them.
    pub written_bytes: AtomicU64,
    /// Accepts that failed for lack of something of this machine's, such as file descriptors.
    pub accept_errors: AtomicU64,
    /// Names and passwords that were given, right or wrong.
    pub authentications: AtomicU64,
    /// Those that were wrong.
    pub authentication_failures: AtomicU64,
}

impl Counters {
    /// How many connections are open now.
    pub fn active(&self) -> u64 {
        // `closed` first: the other way round, a connection that comes and goes between the two
        // reads would be subtracted without having been added.
        let closed = self.closed.load(Ordering::Acquire);
        self.accepted.load(Ordering::Acquire).saturating_sub(closed)
    }
}
