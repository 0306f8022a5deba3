//! How a cluster behaves.

use core::time::Duration;

use bytes::Bytes;

use super::budget::RetryLimit;
use super::health::HealthOptions;
use super::ring::{HashTag, KeyHash, Naming};
use crate::memcache::{ClientTimeouts, Dialect, Limits};

/// How a server is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerSelection {
    /// By key, on a ring that other clients agree with ([`Ring`](super::ring::Ring)).
    Ketama {
        /// How points are named.
        naming: Naming,
        /// How keys are hashed.
        hash: KeyHash,
        /// The part of a key that counts, where not all of it does.
        tag: Option<HashTag>,
    },
    /// By key, moving only what has to move ([`Rendezvous`](super::ring::Rendezvous)).
    Rendezvous,
}

impl Default for ServerSelection {
    /// What libmemcached's clients agree with.
    fn default() -> Self {
        Self::Ketama { naming: Naming::Libmemcached, hash: KeyHash::Md5, tag: None }
    }
}

/// Which server is next where every one will do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rotation {
    /// One after the other.
    #[default]
    RoundRobin,
    /// At random.
    Random,
}

/// Who a client is, to servers that ask for it (protocol.txt, "Authentication").
///
/// ```
/// use windhover_core::client::{ClusterOptions, Credentials};
///
/// let mut options = ClusterOptions::default();
/// options.credentials = Some(Credentials { user: "ann".into(), password: "secret".into() });
/// // Nothing that is logged has the password in it.
/// assert!(!format!("{options:?}").contains("secret"));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name; without spaces.
    pub user: Bytes,
    /// The password; without spaces.
    pub password: Bytes,
}

impl core::fmt::Debug for Credentials {
    /// The password is nobody's business.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// How a [`Cluster`](super::Cluster) behaves. Every wait in it has a bound.
///
/// ```
/// use core::time::Duration;
/// use windhover_core::client::ring::{HashTag, KeyHash, Naming};
/// use windhover_core::client::{ClusterOptions, Rotation, ServerSelection};
///
/// // Beside twemproxy, whose keys `user:{7}:name` and `user:{7}:mail` are one server's.
/// let mut cache = ClusterOptions::default();
/// cache.selection = ServerSelection::Ketama {
///     naming: Naming::TwemproxyAddress,
///     hash: KeyHash::Fnv1a64,
///     tag: Some(HashTag { open: b'{', close: b'}' }),
/// };
/// // A read that has no answer after 5 ms is asked of a second server as well.
/// cache.hedge = Some(Duration::from_millis(5));
///
/// let mut queues = ClusterOptions::queues();
/// queues.rotation = Rotation::Random;
/// assert!(queues.dialect.is_queue() && !cache.dialect.is_queue());
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClusterOptions {
    /// What the servers speak.
    pub dialect: Dialect,
    /// Bounds on keys, values, lines, and on the requests under way on one connection
    /// ([`Limits::pipeline`]).
    pub limits: Limits,
    /// How long a server may be silent.
    pub timeouts: ClientTimeouts,
    /// How long a connection may take to be made, credentials included.
    pub connect_timeout: Duration,
    /// How long one server is waited for before the next one is tried, where there is one that the
    /// call may go to: while it waits for a connection, and for its answer where it may be done
    /// twice ([`Retry::AtLeastOnce`](super::Retry::AtLeastOnce)). What a request itself lets the
    /// server wait (kestrel's `t=`) is added to the latter. Never longer than the call's own
    /// deadline.
    pub attempt_timeout: Duration,
    /// A call that ran into its deadline counts against the server's health when it waited at least
    /// this long for its answer, though other bytes came meanwhile: one caller's short deadline is no sign of a
    /// fault, calls in a row that nobody answers are.
    pub slow: Duration,
    /// How a key finds its server.
    pub selection: ServerSelection,
    /// How the next server is found where every one will do.
    pub rotation: Rotation,
    /// When a server is taken out of use.
    pub health: HealthOptions,
    /// So many times a call is sent at most, the first time included. Servers that do not take it
    /// (they cannot be connected to, say) do not count: each of them is tried once.
    pub attempts: u32,
    /// How many calls may be sent again.
    pub retries: RetryLimit,
    /// How long the first server of a [hedged](super::Call::hedged) call is waited for before a
    /// second one is asked as well. `None` never does.
    pub hedge: Option<Duration>,
    /// So many connections to each server are shared by all calls.
    pub connections: usize,
    /// So many of them are made before they are needed.
    pub opened_in_advance: usize,
    /// So many connections to each server may be in exclusive use: reservations and reads that wait.
    pub exclusive: usize,
    /// A connection is replaced when it is this old, or up to a tenth younger: it serves until the
    /// new one is there. One that was never used is closed. `None` keeps them.
    pub max_age: Option<Duration>,
    /// So many calls may be under way at a time.
    pub waiting: usize,
    /// Sent first on every connection, where the servers ask for it.
    pub credentials: Option<Credentials>,
}

impl Default for ClusterOptions {
    /// For caches of memcached's kind that are near.
    fn default() -> Self {
        Self {
            dialect: Dialect::Memcached,
            limits: Limits::default(),
            timeouts: ClientTimeouts::default(),
            connect_timeout: Duration::from_millis(500),
            attempt_timeout: Duration::from_millis(250),
            slow: Duration::from_millis(50),
            selection: ServerSelection::default(),
            rotation: Rotation::default(),
            health: HealthOptions::default(),
            attempts: 3,
            retries: RetryLimit::default(),
            hedge: None,
            connections: 1,
            opened_in_advance: 0,
            exclusive: 64,
            max_age: None,
            waiting: 65_536,
            credentials: None,
        }
    }
}

impl ClusterOptions {
    /// For queue servers of kestrel's kind: the last one stays in use whatever happens.
    pub fn queues() -> Self {
        let health = HealthOptions { keep_last: true, ..HealthOptions::default() };
        Self { dialect: Dialect::Kestrel, health, ..Self::default() }
    }
}
