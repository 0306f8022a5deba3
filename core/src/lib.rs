//! The memcache, kestrel and tracking protocols as pure state machines.
//!
//! This crate contains no networking code, opens no file, starts no thread and reads no clock:
//! bytes and time go in, events, bytes and deadlines come out. An adapter (`windhover-tokio`, or
//! one of your own) gives it sockets and timers.
//!
//! It has three levels; take only what you want:
//!
//! 1. **Codec** – stateless and borrowed: a slice in, a message or "incomplete" or a typed error
//!    out ([`memcache::request`], [`memcache::response`]).
//! 2. **Connection** – one peer's state machine with owned buffers, pipelining and deadlines as
//!    data ([`memcache::ServerConnection`], [`http::ServerConnection`]).
//! 3. **Service** – what several connections share: the [`queue`] engine and its journal format,
//!    and the [`tracking`] decoder.
//!
//! **The one rule for callers of a connection:** after every input (bytes, end of stream, an
//! answer, a time-out), call its `poll_output` until it says that it is idle.
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
