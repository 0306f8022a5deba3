//! Endpoints served over real sockets.
// Clippy's leave for tests covers test functions, not what they call.
#![allow(clippy::unwrap_used)]

mod bounds;
mod echo;
mod embedded;
mod ending;
mod exchange;
mod http;
mod loops;
mod one;
mod server;
