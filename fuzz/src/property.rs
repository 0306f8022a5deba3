//! The properties: functions over bytes that panic where something does not hold.

#[cfg(feature = "server")]
mod backup_manifest;
mod client_connection;
mod client_health;
mod client_hostile;
mod cluster;
#[cfg(feature = "server")]
mod config_file;
#[cfg(feature = "server")]
mod dead_letters;
mod deduplication;
#[cfg(feature = "server")]
mod forward_window;
mod http_connection;
mod http_requests;
mod http_smuggling;
mod journal;
mod listen_address;
mod memcache_commands;
mod memcache_handler;
mod memcache_replies;
mod memcache_requests;
mod memcache_server;
mod memcache_users;
mod memory_journal;
mod nats_url;
mod proxy_protocol;
mod queue_engine;
mod queue_service;
mod ring;
mod splits;
mod tracking;

use std::error::Error;

#[cfg(feature = "server")]
pub use backup_manifest::backup_manifest;
pub use client_connection::client_connection;
pub use client_health::client_health;
pub use client_hostile::client_hostile;
pub use cluster::cluster;
#[cfg(feature = "server")]
pub use config_file::config_file;
#[cfg(feature = "server")]
pub use dead_letters::dead_letters;
pub use deduplication::deduplication;
#[cfg(feature = "server")]
pub use forward_window::forward_window;
pub use http_connection::http_connection;
pub use http_requests::http_requests;
pub use http_smuggling::http_smuggling;
pub use journal::journal;
pub use listen_address::listen_address;
pub use memcache_commands::memcache_commands;
pub use memcache_handler::memcache_handler;
pub use memcache_replies::{memcache_replies, memcache_responses};
pub use memcache_requests::memcache_requests;
pub use memcache_server::memcache_server;
pub use memcache_users::memcache_users;
pub use nats_url::nats_url;
pub use proxy_protocol::proxy_protocol;
pub use queue_engine::queue_engine;
pub use queue_service::queue_service;
pub use ring::ring;
pub use tracking::tracking;

/// An error says what it is, and so does what caused it, which the error itself does not repeat.
pub(crate) fn tells(error: &dyn Error) -> bool {
    let text = error.to_string();
    let says_more = |cause: &(dyn Error + 'static)| !text.contains(&cause.to_string());
    !text.is_empty() && error.source().is_none_or(|cause| says_more(cause) && tells(cause))
}
