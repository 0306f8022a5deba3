//! Event loops on [mio] around the connections of `windhover-core`, and for `windhover-client`.
//!
//! [`serve`] runs one event loop per listener, each on a thread of its own, and drives an
//! [`Endpoint`] for every connection until a [`Shutdown`] is triggered; [`listen`] makes as many
//! listeners for one address as there are loops. An application that owns an event loop puts a
//! [`LoopServer`] into it instead: `serve` is that loop, once per core. Nothing here knows a protocol:
//! the same loop serves HTTP and memcache.
//!
//! [`connect`] makes a [`Client`] and drives it on a thread of its own; a [`ClientThread`] drives
//! many, and an application that owns an event loop puts [`Clients`] into it instead. With the feature
//! `tls` they speak TLS, when their builder says so. Without the default feature `client` there is none
//! of it.
//!
//! A connection stays on the loop that accepted it. Its endpoint's waker may be called from any
//! thread: it reaches the loop through a queue, and wakes it only when it waits.
//!
//! ```
//! use std::task::Context;
//!
//! use windhover_core::endpoint::{Endpoint, Incoming, Next, Outgoing};
//! use windhover_core::{Instant, Now};
//! use windhover_mio::{ServeOptions, Shutdown, listen, serve};
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
//! # fn main() -> std::io::Result<()> {
//! use std::io::{Read, Write};
//! use std::net::TcpStream;
//!
//! let listeners = listen("127.0.0.1:0".parse().unwrap(), 2)?;
//! let address = listeners[0].local_addr()?;
//! let shutdown = Shutdown::new();
//! let asked = shutdown.clone();
//! let server = std::thread::spawn(move || {
//!     serve(listeners, |_peer, _now| Echo::default(), ServeOptions::default(), &asked)
//! });
//!
//! let mut peer = TcpStream::connect(address)?;
//! peer.write_all(b"hello")?;
//! let mut answer = [0; 5];
//! peer.read_exact(&mut answer)?;
//! assert_eq!(&answer, b"hello");
//!
//! shutdown.trigger();
//! assert_eq!(server.join().unwrap()?.cut, 0);
//! # Ok(())
//! # }
//! ```
//!
//! [`Endpoint`]: windhover_core::endpoint::Endpoint
//! [mio]: https://docs.rs/mio
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(not(feature = "client"), allow(rustdoc::broken_intra_doc_links))]

mod caller;
#[cfg(feature = "client")]
mod client;
#[cfg(all(test, windhover_loom))]
mod interleavings;
mod mailbox;
mod server;
mod socket;
mod sync;
mod timers;

#[cfg(feature = "client")]
pub use client::{ClientThread, Clients, Resolver, StartError, block_on, connect, drive_client};
pub use mio;
pub use server::{LoopServer, drive, serve};
pub use socket::Stream;
/// All of the client: an application depends on this crate alone.
#[cfg(feature = "client")]
#[doc(inline)]
pub use windhover_client::{self, *};
#[doc(inline)]
pub use windhover_runtime::exports::*;
pub use windhover_runtime::{ConnectionLimit, listen_shared as listen};

/// The example in the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
