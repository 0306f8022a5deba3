//! How an item is to be read.

use core::time::Duration;

/// What a read does (kestrel's guide, "Memcache commands" and "Reliable reads").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Action {
    /// Take the item at the head (`get Q`).
    #[default]
    Take,
    /// Look at the item at the head (`/peek`).
    Peek,
    /// Set the item aside until it is closed (`/open`).
    Open,
    /// The same, for one of many that the connection has open at a time (`monitor`). No item comes where
    /// it has as many as allowed
    /// ([`QueueConfig::max_monitored_reads`](super::QueueConfig::max_monitored_reads)).
    Monitor,
    /// Confirm the item that this connection has open (`/close`).
    Close,
    /// Confirm, and set the next item aside (`/close/open`).
    CloseOpen,
    /// Put the item that this connection has open back at the head (`/abort`).
    Abort,
}

/// How an item is to be read: the options of kestrel's `get Q/…`. Combinations that kestrel
/// refuses cannot be said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// What to do.
    pub action: Action,
    /// How long to wait for an item when there is none (`/t=MS`); `None` and zero do not wait.
    pub timeout: Option<Duration>,
}

impl From<Action> for Read {
    fn from(action: Action) -> Self {
        Self { action, timeout: None }
    }
}
