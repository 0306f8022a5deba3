//! The HTTP/1.1 server role, driven as an adapter would, with simulated time.
#![cfg(feature = "tracking")]
// Clippy's leave for tests covers test functions, not what they call.
#![allow(clippy::unwrap_used)]

mod bodies;
mod deadlines;
mod ending;
mod exchange;
mod pipelining;
mod properties;
mod refusal_answers;
mod refusals;
mod requests;
