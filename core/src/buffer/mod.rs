//! The buffers that every connection owns: what came in, what is to go out.

mod incoming;
mod outgoing;

pub use incoming::Incoming;
pub use outgoing::Outgoing;
