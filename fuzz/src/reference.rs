//! Simple and slow: what the properties compare with. Nothing here is taken from the core, and
//! nothing here is fast.

pub mod base64;
pub mod http;
pub mod journal;
pub mod json;
pub mod memcache;
pub mod number;
pub mod queue;
pub mod tracking;
