//! The queue engine and the recovery of its journal.
#![cfg(feature = "queue")]
// Clippy's leave for tests covers test functions, not what they call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod behind;
mod engine;
mod fanout;
mod journal;
mod model;
mod recovery;
