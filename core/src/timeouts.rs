//! How long a peer may take.

use core::time::Duration;

/// How long a peer may take. None of them is "forever".
///
/// ```
/// use core::time::Duration;
/// use windhover_core::Timeouts;
///
/// // Workers wait for long between two requests, and send each of them at once.
/// let workers =
///     Timeouts::default().with_idle(Duration::from_secs(3600)).with_head(Duration::from_secs(2));
/// assert_eq!(workers.idle, Duration::from_secs(3600));
/// assert_eq!(workers.answer, Timeouts::default().answer);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// From the first byte of a request's head (or line) to its end.
    pub head: Duration,
    /// From the end of the head to the end of the body (or data block).
    pub body: Duration,
    /// Between requests, while neither side waits for the other.
    pub idle: Duration,
    /// With answers to write, how long the peer may take none of them.
    pub write: Duration,
    /// From a memcache request to the end of its reply, on top of what the request itself may wait
    /// (kestrel's `t=` and `monitor`); then the peer is answered `SERVER_ERROR`.
    pub answer: Duration,
}

impl Default for Timeouts {
    /// Values for a HTTP server that faces the public; the queue's listener uses a longer idle.
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            body: Duration::from_secs(30),
            idle: Duration::from_secs(75),
            write: Duration::from_secs(30),
            answer: Duration::from_secs(30),
        }
    }
}

impl Timeouts {
    /// With another [`head`](Self::head).
    #[must_use]
    pub const fn with_head(mut self, head: Duration) -> Self {
        self.head = head;
        self
    }

    /// With another [`body`](Self::body).
    #[must_use]
    pub const fn with_body(mut self, body: Duration) -> Self {
        self.body = body;
        self
    }

    /// With another [`idle`](Self::idle).
    #[must_use]
    pub const fn with_idle(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }

    /// With another [`write`](Self::write).
    #[must_use]
    pub const fn with_write(mut self, write: Duration) -> Self {
        self.write = write;
        self
    }

    /// With another [`answer`](Self::answer).
    #[must_use]
    pub const fn with_answer(mut self, answer: Duration) -> Self {
        self.answer = answer;
        self
    }
}
