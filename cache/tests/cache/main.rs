//! The cache without sockets: its storage with simulated time, and its connections as bytes in and
//! bytes out.
// Clippy's leave for tests covers test functions, not what they call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod classic;
mod connection;
mod lru;
mod meta;
mod statistics;
mod storage;
mod support;
