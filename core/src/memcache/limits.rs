//! The bounds of the memcache protocol, both sides.

/// How much of anything a peer of a memcache connection may ask for.
///
/// The defaults are memcached's. Going over one is a typed error and the protocol's own reply, never
/// unbounded memory. Sizes are in bytes.
///
/// ```
/// use windhover_core::memcache::Limits;
///
/// let large_values = Limits::default().with_value(64 << 20);
/// assert_eq!((large_values.key, large_values.value), (250, 64 << 20));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Longest key (memcached: 250).
    pub key: usize,
    /// Largest value, and largest queue item (memcached: 1 MiB). In the client's role: of what is
    /// stored, and of a cache's values that are read. A queue's items are read up to
    /// [`MAX_DISCARDED`](crate::memcache::MAX_DISCARDED).
    pub value: usize,
    /// Longest command line, except a `get` of many keys (memcached: 2,048).
    pub line: usize,
    /// Longest `get`/`gets` line.
    pub get_line: usize,
    /// Most requests of one connection that wait for their answer.
    pub pipeline: usize,
    /// Answers that wait to be written, above which a connection reads no more requests.
    pub unsent: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            key: 250,
            value: 1024 * 1024,
            line: 2048,
            get_line: 1024 * 1024,
            pipeline: 64,
            unsent: 256 * 1024,
        }
    }
}

impl Limits {
    /// With another [`key`](Self::key).
    #[must_use]
    pub const fn with_key(mut self, key: usize) -> Self {
        self.key = key;
        self
    }

    /// With another [`value`](Self::value).
    #[must_use]
    pub const fn with_value(mut self, value: usize) -> Self {
        self.value = value;
        self
    }

    /// With another [`line`](Self::line).
    #[must_use]
    pub const fn with_line(mut self, line: usize) -> Self {
        self.line = line;
        self
    }

    /// With another [`get_line`](Self::get_line).
    #[must_use]
    pub const fn with_get_line(mut self, get_line: usize) -> Self {
        self.get_line = get_line;
        self
    }

    /// With another [`pipeline`](Self::pipeline).
    #[must_use]
    pub const fn with_pipeline(mut self, pipeline: usize) -> Self {
        self.pipeline = pipeline;
        self
    }

    /// With another [`unsent`](Self::unsent).
    #[must_use]
    pub const fn with_unsent(mut self, unsent: usize) -> Self {
        self.unsent = unsent;
        self
    }
}
