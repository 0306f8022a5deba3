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
///
/// A read that waits is answered later, by [`Engine::poll_output`](super::Engine::poll_output).
///
/// ```
/// use core::time::Duration;
/// use windhover_core::Now;
/// use windhover_core::queue::{
///     Action, Config, ConnId, Engine, EngineOutput, OpId, OpOutcome, Read,
/// };
///
/// let (mut engine, mut now) = (Engine::new(Config::default()), Now::default());
/// // kestrel's `get jobs/open/t=250`.
/// let read = Read { action: Action::Open, timeout: Some(Duration::from_millis(250)) };
/// assert_eq!(engine.get(OpId(1), ConnId(1), b"jobs", read, now), None);
/// assert_eq!(
///     engine.poll_output(now),
///     EngineOutput::Idle(Some(now.instant + Duration::from_millis(250)))
/// );
/// // Nothing came.
/// now.instant = now.instant + Duration::from_millis(250);
/// engine.handle_timeout(now);
/// let ended = EngineOutput::Done { op: OpId(1), outcome: OpOutcome::Empty };
/// assert_eq!(engine.poll_output(now), ended);
/// ```
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
