//! Many servers as one, example by example. Time is simulated.

// Helpers of tests may panic too; clippy.toml knows tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bounds;
mod choosing;
mod client;
mod connections;
mod ending;
mod failing;
mod health;
mod hedging;
mod leases;
mod servers;
