//! Generators: choices in, messages out.

pub mod calls;
pub mod command;
pub mod http;
pub mod listen;
pub mod memcache;
pub mod nats;
pub mod proxy_protocol;
pub mod replies;
#[cfg(feature = "server")]
pub mod server;
pub mod tracking;
