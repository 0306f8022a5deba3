//! The memcache text protocol: codec and connection.
#![cfg(feature = "memcache")]
// Clippy's leave for tests covers test functions, not what they call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod as_memcached;
mod cache;
mod request;
mod response;
mod server;
