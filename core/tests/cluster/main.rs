//! Many servers as one, example by example. Time is simulated.
#![cfg(feature = "client")]
// Clippy's leave for tests covers test functions, not what they call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bounds;
mod choosing;
mod client;
mod connections;
mod ending;
mod failing;
mod health;
mod hedging;
mod keys;
mod reading;
mod reservations;
mod servers;
