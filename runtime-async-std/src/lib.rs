//! `futures-io` streams and `async-io` timers around the connections of `windhover-core`: for
//! async-std, for smol, and for any executor beside `async-io`.
//!
//! [`serve`] accepts connections and drives an [`Endpoint`] for each of them until a [`Shutdown`]
//! is triggered. Nothing here knows a protocol: the same loop serves HTTP and memcache.
//!
//! [`connect`] makes a [`Client`] and drives it on async-std's tasks ([`connect_on`] on any executor's),
//! over TCP, Unix sockets, or what a [`Connector`] makes; over TLS with the feature `tls`, when its
//! builder says so. Without the default feature `client` there is none of it.
//!
//! ```
//! use std::task::Context;
//!
//! use windhover_async_std::{ServeOptions, Shutdown, serve};
//! use windhover_core::endpoint::{Endpoint, Incoming, Next, Outgoing};
//! use windhover_core::{Instant, Now};
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
//! # #[cfg(feature = "async-std")]
//! #[async_std::main]
//! async fn main() -> std::io::Result<()> {
//!     use async_std::io::{ReadExt, WriteExt};
//!
//!     let listener = windhover_async_std::listen("127.0.0.1:0".parse().unwrap())?;
//!     let address = listener.local_addr()?;
//!     let shutdown = Shutdown::new();
//!     let server = async_std::task::spawn(serve(
//!         [listener],
//!         |_peer, _now| Echo::default(),
//!         ServeOptions::default(),
//!         shutdown.clone(),
//!     ));
//!
//!     let mut peer = async_std::net::TcpStream::connect(address).await?;
//!     peer.write_all(b"hello").await?;
//!     let mut answer = [0; 5];
//!     peer.read_exact(&mut answer).await?;
//!     assert_eq!(&answer, b"hello");
//!
//!     shutdown.trigger();
//!     assert_eq!(server.await?.cut, 0);
//!     Ok(())
//! }
//! # #[cfg(not(feature = "async-std"))]
//! # fn main() {}
//! ```
//!
//! # smol, and others
//!
//! async-std is no longer maintained, and its own page points to smol. smol's sockets and timers
//! are those of `async-io`, as async-std's are: leave the default feature `async-std` out, and give
//! [`serve_on`] the means to start a task:
//!
//! ```
//! use std::net::TcpListener;
//!
//! use windhover_async_std::{ServeOptions, Shutdown, serve_on};
//! # use std::task::Context;
//! # use windhover_core::{Now, endpoint::{Endpoint, Next}};
//! # #[derive(Default)]
//! # struct Deaf(bytes::BytesMut);
//! # impl Endpoint for Deaf {
//! #     fn read_buffer(&mut self) -> &mut bytes::BytesMut { &mut self.0 }
//! #     fn wants_read(&self) -> bool { false }
//! #     fn end_of_stream(&mut self) {}
//! #     fn shut_down(&mut self) {}
//! #     fn poll_output(&mut self, _: Now, _: &mut Context<'_>) -> Next { Next::Close }
//! #     fn unsent<'a>(&'a self, _: &mut [&'a [u8]]) -> usize { 0 }
//! #     fn wrote(&mut self, _: usize) {}
//! #     fn release(&mut self) {}
//! # }
//! # fn new_endpoint() -> Deaf { Deaf::default() }
//!
//! # fn main() -> std::io::Result<()> {
//! smol::block_on(async {
//!     let listener = TcpListener::bind("127.0.0.1:0")?;
//!     let shutdown = Shutdown::new();
//!     # shutdown.trigger();
//!     let report = serve_on(
//!         |connection| smol::spawn(connection).detach(),
//!         [listener],
//!         |_peer, _now| new_endpoint(),
//!         ServeOptions::default(),
//!         shutdown,
//!     )
//!     .await?;
//!     assert_eq!(report.cut, 0);
//!     Ok(())
//! })
//! # }
//! ```
//!
//! For a stream that is no TCP socket, or is wrapped in another, [`drive`] is the loop alone, with the timers
//! [`AsyncIo`] and a [`Stream`].
//!
//! [`Endpoint`]: windhover_core::endpoint::Endpoint
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    not(all(feature = "async-std", feature = "client")),
    allow(rustdoc::broken_intra_doc_links)
)]

#[cfg(feature = "async-std")]
mod async_std;
#[cfg(feature = "client")]
mod client;
mod runtime;
mod server;
mod stream;

#[cfg(all(feature = "async-std", feature = "client"))]
pub use self::async_std::{connect, connect_with};
#[cfg(feature = "async-std")]
pub use self::async_std::{serve, start_threads};
#[cfg(feature = "client")]
pub use client::{connect_on, connect_on_with};
pub use runtime::AsyncIo;
pub use server::serve_on;
pub use stream::{Socket, Stream};
/// All of the client: an application depends on this crate alone.
#[cfg(feature = "client")]
#[doc(inline)]
pub use windhover_client::{self, *};
#[doc(inline)]
pub use windhover_runtime::exports::*;
pub use windhover_runtime::{SpawnOn, Task, drive, listen};

/// The example in the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
