//! The bounds of HTTP.

/// How much of anything a peer of a HTTP connection may ask for.
///
/// Going over one is a typed error and a status of its own, never unbounded memory. Sizes are in bytes.
///
/// ```
/// use windhover_core::http::HttpLimits;
///
/// let small_bodies = HttpLimits::default().with_body(64 * 1024);
/// assert_eq!((small_bodies.head, small_bodies.body), (16 * 1024, 64 * 1024));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpLimits {
    /// Longest head: request line, headers and the empty line.
    pub head: usize,
    /// Most headers in a request.
    pub headers: usize,
    /// Largest body after its transfer encoding is undone.
    pub body: usize,
    /// Most requests of one connection that wait for their answer.
    pub pipeline: usize,
    /// Answers that wait to be written, above which a connection reads no more requests.
    pub unsent: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            head: 16 * 1024,
            headers: 64,
            body: 10 * 1024 * 1024,
            pipeline: 64,
            unsent: 256 * 1024,
        }
    }
}

impl HttpLimits {
    /// With another [`head`](Self::head).
    #[must_use]
    pub const fn with_head(mut self, head: usize) -> Self {
        self.head = head;
        self
    }

    /// With another [`headers`](Self::headers).
    #[must_use]
    pub const fn with_headers(mut self, headers: usize) -> Self {
        self.headers = headers;
        self
    }

    /// With another [`body`](Self::body).
    #[must_use]
    pub const fn with_body(mut self, body: usize) -> Self {
        self.body = body;
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
