//! The memcache text protocol: codec and connection.
#![cfg(feature = "memcache")]
// Clippy's leave for tests covers test functions, not what they call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod as_memcached;
mod authentication;
mod cache;
mod client;
mod examples;
#[cfg(feature = "ticket")]
mod handler;
mod lingering;
mod meta;
mod monitor;
mod quiet;
mod request;
mod response;
mod round_trip;
mod server;
mod streams;

use windhover_core::{Instant, Now};

/// A turn at this instant, of a protocol that has no use for the time of day.
fn turn(instant: Instant) -> Now {
    Now { instant, ..Now::default() }
}
