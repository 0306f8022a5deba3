//! Nothing that was acknowledged is lost: the real journal and store on a simulated disk.
// Clippy's leave for tests covers test functions, not what they call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod ahead;
mod crash;
mod damage;
mod dead_letters;
mod disk;
mod inspected;
#[cfg(windhover_loom)]
mod interleavings;
mod journaled;
mod pipeline;
mod policies;
mod random_damage;
mod restart;
mod store;
mod thread;
mod tracked;
mod upkeep;
