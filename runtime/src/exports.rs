//! What belongs to the interface of every adapter, which exports all of it.

#[cfg(feature = "signal")]
pub use crate::shut_down_on_signal;
pub use crate::{
    AcceptErrorHook, BeforeWaitHook, Clock, ConnectionEnd, ConnectionMemory, Counters, Eviction,
    Peer, ServeOptions, ServeReport, Shutdown, StdListener,
};
#[cfg(feature = "tls")]
pub use crate::{ServerTls, ServerTlsError};
