//! The memcache, kestrel and tracking protocols as pure state machines.
//!
//! This crate contains no networking code, opens no file, starts no thread and reads no clock:
//! bytes and time go in, events, bytes and deadlines come out. An adapter (`windhover-tokio`, or
//! one of your own) gives it sockets and timers.
//!
//! It has three levels, each on the one below; take only what you want.
//!
//! # Codec
//!
//! Stateless and borrowed: a slice in; a message, "incomplete" or a typed error out ([`memcache::request`],
//! [`memcache::response`], [`proxy_protocol`]). No allocation, no copy; the other way round, messages are
//! appended to a buffer.
//!
#![cfg_attr(feature = "memcache", doc = "```")]
#![cfg_attr(not(feature = "memcache"), doc = "```ignore")]
//! use windhover_core::memcache::request::{self, Request};
//! use windhover_core::memcache::{Dialect, Limits, Parsed};
//!
//! let input = b"set greeting 0 60 5\r\nhello\r\nget gre";
//! let parse = |bytes| request::parse(bytes, Dialect::Memcached, &Limits::default());
//! let Parsed::Complete { message, consumed } = parse(input)? else { panic!("it is whole") };
//! assert!(matches!(message.request, Request::Set(item) if item.key == b"greeting"));
//! assert_eq!(message.data, b"hello");
//! // What follows has not come whole: read on.
//! assert!(matches!(parse(&input[consumed..])?, Parsed::Incomplete { .. }));
//! # Ok::<(), windhover_core::memcache::request::RequestError>(())
//! ```
//!
//! # Connection
//!
//! One peer's state machine, with owned buffers, pipelining, limits, and deadlines as data
//! ([`memcache::ServerConnection`], [`http::ServerConnection`], [`memcache::ClientConnection`]). Bytes and time go in;
//! requests, bytes to write and the next deadline come out, and every request is answered once, in its turn.
//!
//! **The one rule for callers of a connection:** after every input (bytes, end of stream, an
//! answer, a time-out), call its `poll_output` until it says that it is idle.
//!
#![cfg_attr(feature = "memcache", doc = "```")]
#![cfg_attr(not(feature = "memcache"), doc = "```ignore")]
//! use windhover_core::memcache::request::Request;
//! use windhover_core::memcache::response::Response;
//! use windhover_core::memcache::{Dialect, Limits, Output, ServerConnection};
//! use windhover_core::{Now, Timeouts};
//!
//! let now = Now::default();
//! let (limits, timeouts) = (Limits::default(), Timeouts::default());
//! let mut connection = ServerConnection::new(Dialect::Memcached, &limits, &timeouts, now.instant);
//! // What a socket read; the second request is none, and is answered by the connection.
//! connection.receive(b"set k 0 0 5\r\nhello\r\nbogus\r\n");
//! let Output::Request { request: Request::Set(item), data, .. } = connection.poll_output(now) else {
//!     panic!("a request has come");
//! };
//! assert_eq!((item.key, data.len()), (&b"k"[..], 5));
//! connection.responses_mut().respond(&Response::Stored);
//! assert!(matches!(connection.poll_output(now), Output::Write));
//! // What a socket is to write; `wrote` says how much it took.
//! let mut slices = [&b""[..]; 4];
//! let filled = connection.unsent(&mut slices);
//! assert_eq!(slices[..filled].concat(), b"STORED\r\nERROR\r\n");
//! connection.wrote(15);
//! assert!(matches!(connection.poll_output(now), Output::Idle(_)));
//! ```
//!
//! A [`memcache::handler::Handler`] is a server in one method on top of that, and an adapter's `serve` takes it;
//! whatever implements [`endpoint::Endpoint`] is served by the same loop.
//!
//! # Service
//!
//! What several connections share: the [`queue`] engine with the format of its journal, [`client`] (many servers as
//! one), the [`tracking`] API. Still pure: they ask for what is to be written, connected or read, and are told
//! what became of it.
//!
#![cfg_attr(feature = "queue", doc = "```")]
#![cfg_attr(not(feature = "queue"), doc = "```ignore")]
//! use windhover_core::Now;
//! use windhover_core::queue::{
//!     Config, ConnId, Engine, EngineOutput, OpId, OpOutcome, PutBuilder, Read, Written,
//! };
//!
//! let mut engine = Engine::new(Config::default());
//! let now = Now::default();
//! let mut put = PutBuilder::new(b"events", now.unix)?;
//! put.item(None, b"hello");
//! engine.put(OpId(1), put.finish(), now)?;
//! // The caller appends this batch to its journal, syncs it, and says so; before, nobody can read the item.
//! let batch = engine.begin_append().expect("a put leaves bytes to append");
//! engine.journaled(batch, Ok(Written { segment: 1, offset: 64 }), now);
//! let stored = EngineOutput::Done { op: OpId(1), outcome: OpOutcome::Stored };
//! assert_eq!(engine.poll_output(now), stored);
//! let got = engine.get(OpId(2), ConnId(1), b"events", Read::default(), now);
//! assert_eq!(got, Some(OpOutcome::Item(b"hello".as_slice().into())));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![cfg_attr(docsrs, feature(doc_cfg))]
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

#[cfg(test)]
extern crate std;

#[cfg_attr(
    not(all(feature = "client", feature = "queue", feature = "tracking")),
    allow(dead_code, reason = "no protocol alone calls all of it")
)]
mod buffer;
#[cfg(any(feature = "memcache", feature = "tracking"))]
mod cannot_happen;
#[cfg(target_has_atomic = "64")]
mod counters;
pub mod endpoint;
#[cfg(any(feature = "memcache", feature = "tracking"))]
mod linger;
#[cfg(any(feature = "memcache", feature = "tracking"))]
mod swar;
mod time;
mod timeouts;
#[cfg(any(feature = "memcache", feature = "tracking"))]
mod writing;

#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "tracking")]
pub mod http;
#[cfg(feature = "memcache")]
pub mod memcache;
#[cfg(feature = "nats")]
pub mod nats;
#[cfg(feature = "proxy-protocol")]
pub mod proxy_protocol;
#[cfg(feature = "queue")]
pub mod queue;
#[cfg(feature = "tracking")]
pub mod tracking;

#[cfg(target_has_atomic = "64")]
pub use counters::Counters;
pub use time::{Instant, Now, UnixTime};
pub use timeouts::Timeouts;

/// The example in the README compiles and runs.
#[cfg(all(doctest, feature = "memcache"))]
#[doc = include_str!("../README.md")]
struct Readme;
