//! What every adapter needs and `no_std` may not have: the loop between a stream and its
//! [`Endpoint`], the loop of a listener, the clock, the shutdown, the bound on connections, and what
//! to do when the operating system has no more descriptors.
//!
//! There is no runtime in here, and no protocol. An adapter for a runtime whose streams are polled
//! gives four things:
//!
//! | trait | what it is | `windhover-tokio` gives |
//! |---|---|---|
//! | [`Timers`] | a future that is ready at an instant | `tokio::time::Sleep` |
//! | [`Runtime`] | starts a task | `tokio::spawn` |
//! | [`PollStream`] | reads, writes, flushes, ends what is written | its TCP and Unix streams |
//! | [`Listener`] | accepts | its TCP and Unix listeners |
//!
//! and has [`serve`] and [`drive`] for it; with the sockets of a connect more, the client's half
//! (`windhover_client::drive_client`). `docs/adapter.md` builds one step by step. An adapter that is an
//! event loop, as `windhover-mio`, has loops of its own and takes the rest: [`Clock`], [`Shutdown`],
//! [`ConnectionLimit`], [`ServeOptions`], [`TcpOptions`].
//!
//! ```
//! use windhover_core::Now;
//! use windhover_core::endpoint::Endpoint;
//! use windhover_runtime::{
//!     Listener, Peer, ServeOptions, ServeReport, Shutdown, SpawnOn, Task, Timers, serve,
//! };
//!
//! /// The server's half of an adapter, for an executor that is known by how it starts a task.
//! async fn serve_on<E: Endpoint + Send + 'static>(
//!     spawn: impl Fn(Task),
//!     timers: impl Timers,
//!     listener: impl Listener,
//!     accept: impl Fn(Peer, Now) -> E + Send + Sync + 'static,
//!     shutdown: Shutdown,
//! ) -> ServeReport {
//!     serve(SpawnOn { spawn, timers }, listener, accept, ServeOptions::default(), shutdown).await
//! }
//! ```
//!
//! Users of an adapter need not name this crate: adapters export what belongs to their interface ([`exports`]).
//!
//! [`Endpoint`]: windhover_core::endpoint::Endpoint
#![cfg_attr(docsrs, feature(doc_cfg))]

mod address;
mod clock;
mod connection;
mod drive;
pub mod exports;
#[cfg(all(test, windhover_loom))]
mod interleavings;
mod limit;
mod listen;
mod listeners;
mod memory;
#[cfg(windhover_loom)]
pub mod model;
mod options;
mod proxies;
mod reload;
mod report;
mod runtime;
mod secured;
mod serve;
mod shutdown;
#[cfg(feature = "signal")]
mod signal;
mod socket;
mod stream;
mod sync;
mod task;
mod tcp;
#[cfg(feature = "tls")]
mod tls;
#[cfg(unix)]
mod unix;

pub use address::{ListenAddress, ListenAddressError, ListenAddressFault};
pub use clock::Clock;
pub use connection::{Connection, ConnectionEnd, Step};
pub use drive::drive;
pub use limit::{Acquire, ConnectionLimit, OpenConnection, Permit};
pub use listen::{StdListener, StdSocket, listen, listen_shared};
pub use listeners::Listeners;
pub use memory::{ConnectionMemory, Eviction};
pub use options::{AcceptErrorHook, BeforeWaitHook, ServeOptions, ServeReport};
pub use proxies::ProxyProtocol;
pub use reload::Reload;
pub use report::Report;
pub use runtime::{Listener, Peer, Runtime, Timers};
pub use serve::serve;
pub use shutdown::{Shutdown, Triggered};
#[cfg(feature = "signal")]
pub use signal::shut_down_on_signal;
pub use socket::Socket;
pub use stream::{PollStream, ReadBlock, read_spare, write_slices};
pub use task::{SpawnOn, Task};
pub use tcp::{AsSocket, TcpOptions, close_write};
#[cfg(feature = "tls")]
pub use tls::{ServerTls, ServerTlsError};
#[cfg(unix)]
pub use unix::{SocketFile, listen_unix};
pub use windhover_core::Counters;

/// The example in the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
