//! What is measured of the protocols without a socket: the inputs, and the calls that take them.
//!
//! They are here once, for the instruction counts (`benches/instructions.rs`) and for the timings beside
//! other libraries (`bench/peers/codec`). When the API of the core changes, this is the place that
//! changes with it.

pub mod cache;
pub mod calls;
pub mod client;
pub mod codec;
pub mod server;
pub mod tracker;
