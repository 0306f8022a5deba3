//! How long a server may take.

use core::time::Duration;

/// How long a server may take, seen from its client. None of them is "forever"; a request has a
/// deadline of its own besides.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientTimeouts {
    /// While replies are pending, how long no byte may come. What a request itself lets the server
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

impl ClientTimeouts {
    /// With another [`stall`](Self::stall).
    #[must_use]
    pub const fn with_stall(mut self, stall: Duration) -> Self {
        self.stall = stall;
        self
    }

    /// With another [`write`](Self::write).
    #[must_use]
    pub const fn with_write(mut self, write: Duration) -> Self {
        self.write = write;
        self
    }

    /// With another [`idle`](Self::idle).
    #[must_use]
    pub const fn with_idle(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }
}
