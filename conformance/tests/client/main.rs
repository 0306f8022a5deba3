//! Every typed operation of the client, against the real memcached, `windhover cache` and the
//! embedded queue.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cache;
mod compute;
mod queue;
