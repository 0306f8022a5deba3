//! Every bound of the library in one place.

use core::time::Duration;

/// How much of anything a peer may ask for.
///
/// The defaults are memcached's for memcache, and the tracking API's for tracking. Going over one
/// is a typed error and the protocol's own reply, never unbounded memory. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Longest memcache key (memcached: 250).
    pub key: usize,
    /// Largest memcache value, and largest queue item (memcached: 1 MiB).
    pub value: usize,
    /// Longest memcache command line, except a `get` of many keys (memcached: 2,048).
    pub line: usize,
    /// Longest memcache `get`/`gets` line.
    pub get_line: usize,
    /// Longest HTTP head: request line, headers and the empty line.
    pub head: usize,
    /// Most headers in a HTTP request.
    pub headers: usize,
    /// Largest HTTP body after its transfer encoding is undone.
    pub body: usize,
    /// Largest event as JSON (tracking API: 1 MB).
    pub event: usize,
    /// Most events in one tracking request (tracking API: 2,000).
    pub batch: usize,
    /// Most properties of an event, and of any object in it (tracking API: fewer than 255).
    pub properties: usize,
    /// Most elements of an array in an event (tracking API: fewer than 255).
    pub array: usize,
    /// Deepest nesting of objects and arrays inside one property (tracking API: 3).
    pub depth: usize,
    /// Most requests of one connection that wait for their answer.
    pub pipeline: usize,
    /// Answers that wait to be written, above which a connection reads no more requests.
    pub unsent: usize,
    /// Most connections open at a time on one listener.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            key: 250,
            value: 1024 * 1024,
            line: 2048,
            get_line: 1024 * 1024,
            head: 16 * 1024,
            headers: 64,
            body: 10 * 1024 * 1024,
            event: 1024 * 1024,
            batch: 2000,
            properties: 254,
            array: 254,
            depth: 3,
            pipeline: 64,
            unsent: 256 * 1024,
            connections: 10_000,
        }
    }
}

/// How long a server's connection that has said its last word goes on reading, so that closing it does
/// not take the answer away from a peer that is still sending (RFC 9112 §9.6).
#[cfg(any(feature = "memcache", feature = "tracking"))]
pub(crate) const LINGER: Duration = Duration::from_secs(2);

/// How long a peer may take. None of them is "forever".
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// From the first byte of a request's head (or line) to its end.
    pub head: Duration,
    /// From the end of the head to the end of the body (or data block).
    pub body: Duration,
    /// Between requests, while nothing is owed to either side.
    pub idle: Duration,
    /// With answers to write, how long the peer may take none of them.
    pub write: Duration,
}

impl Default for Timeouts {
    /// Values for a HTTP server that faces the public; the queue's listener uses a longer idle.
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            body: Duration::from_secs(30),
            idle: Duration::from_secs(75),
            write: Duration::from_secs(30),
        }
    }
}

/// How long a server may take, seen from its client. None of them is "forever"; a request has a
/// deadline of its own besides.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientTimeouts {
    /// While replies are owed, how long no byte may come. What a request itself lets the server
    /// wait (kestrel's `t=`) is added.
    pub stall: Duration,
    /// With requests to write, how long the server may take none of them.
    pub write: Duration,
    /// How long a connection is kept without a request.
    pub idle: Duration,
}

impl Default for ClientTimeouts {
    /// Values for a server that is near.
    fn default() -> Self {
        Self {
            stall: Duration::from_secs(2),
            write: Duration::from_secs(2),
            idle: Duration::from_secs(300),
        }
    }
}
