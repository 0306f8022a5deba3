//! The buffers that every connection owns: what came in, what is to go out.

mod incoming;
mod outgoing;
mod spare;

pub use incoming::Incoming;
pub use outgoing::Outgoing;
pub use spare::Spare;
