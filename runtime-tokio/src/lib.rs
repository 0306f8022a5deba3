//! Tokio sockets and timers around the connections of `windhover-core`.
//!
//! [`serve`] accepts connections and drives an [`Endpoint`] for each of them until a [`Shutdown`]
//! is triggered. Nothing here knows a protocol: the same loop serves HTTP and memcache.
//!
//! [`drive`] drives one over a stream that is given: [`Tokio`]'s, as a [`Stream`] or a [`Socket`].
//!
//! [`connect`] makes a [`Client`] and drives it on the runtime's tasks, over TCP, Unix sockets, or what a
//! [`Connector`] makes; over TLS with the feature `tls`, when its builder says so. Without the default
//! feature `client` there is none of it.
//!
//! ```
//! use std::task::Context;
//!
//! use windhover_core::endpoint::{Endpoint, Incoming, Next, Outgoing};
//! use windhover_core::{Instant, Now};
//! use windhover_tokio::{ServeOptions, Shutdown, serve};
//!
//! /// Says what it is told.
//! #[derive(Default)]
//! struct Echo {
//!     incoming: Incoming,
//!     outgoing: Outgoing,
//!     ended: bool,
//! }
//!
//! impl Endpoint for Echo {
//!     fn read_buffer(&mut self) -> &mut bytes::BytesMut {
//!         self.incoming.read_buffer(0)
//!     }
//!     fn wants_read(&self) -> bool {
//!         !self.ended && self.outgoing.is_empty()
//!     }
//!     fn end_of_stream(&mut self) {
//!         self.ended = true;
//!     }
//!     fn shut_down(&mut self) {
//!         self.ended = true;
//!     }
//!     fn poll_output(&mut self, now: Now, _: &mut Context<'_>) -> Next {
//!         self.outgoing.put_shared(self.incoming.take(usize::MAX));
//!         match (self.outgoing.is_empty(), self.ended) {
//!             (false, _) => Next::Write,
//!             (true, true) => Next::Close,
//!             (true, false) => Next::Idle(now.instant + std::time::Duration::from_secs(60)),
//!         }
//!     }
//!     fn unsent<'a>(&'a self, into: &mut [&'a [u8]]) -> usize {
//!         self.outgoing.slices(into)
//!     }
//!     fn wrote(&mut self, n: usize) {
//!         self.outgoing.advance(n);
//!     }
//!     fn release(&mut self) {
//!         self.incoming.release();
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let address = listener.local_addr()?;
//! let shutdown = Shutdown::new();
//! let server = tokio::spawn(serve(
//!     [listener],
//!     |_peer, _now| Echo::default(),
//!     ServeOptions::default(),
//!     shutdown.clone(),
//! ));
//!
//! let mut peer = tokio::net::TcpStream::connect(address).await?;
//! peer.write_all(b"hello").await?;
//! let mut answer = [0; 5];
//! peer.read_exact(&mut answer).await?;
//! assert_eq!(&answer, b"hello");
//!
//! shutdown.trigger();
//! assert_eq!(server.await?.cut, 0);
//! # Ok(())
//! # }
//! ```
//!
//! [`Endpoint`]: windhover_core::endpoint::Endpoint
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(not(feature = "client"), allow(rustdoc::broken_intra_doc_links))]

#[cfg(feature = "client")]
mod client;
mod runtime;
mod server;
mod stream;

#[cfg(feature = "client")]
pub use client::{connect, connect_with};
pub use runtime::Tokio;
pub use server::{Listening, serve};
pub use stream::{Socket, Stream};
/// All of the client: an application depends on this crate alone.
#[cfg(feature = "client")]
#[doc(inline)]
pub use windhover_client::{self, *};
#[doc(inline)]
pub use windhover_runtime::exports::*;
pub use windhover_runtime::{drive, listen};

/// The example in the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
