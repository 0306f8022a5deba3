//! Clients over real sockets, against servers that do as the test says.
// Clippy's leave for tests covers test functions, not what they call.
#![allow(clippy::unwrap_used, clippy::panic)]

mod calls;
mod embedded;
mod ending;
mod failing;
mod leading;
mod names;
mod script;
mod wire;
