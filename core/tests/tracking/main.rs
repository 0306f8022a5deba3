//! Tracking requests: what is decoded, what becomes of events, what is answered.
#![cfg(feature = "tracking")]
// Clippy's leave for tests covers test functions, not what they call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod answers;
#[cfg(feature = "gzip")]
mod compressed;
mod events;
mod import;
mod properties;
mod requests;
mod support;
mod updates;
