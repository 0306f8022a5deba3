//! The windhover application: a tracking front end on an embedded, journaled, kestrel-compatible
//! queue.
//!
//! The protocols are [`windhover_core`]'s, the sockets are the runtime adapter's. Here is what
//! makes a server of them: the [`journal`] on the disk, the [`store`] that all connections share,
//! one endpoint for each listener ([`tracker`], [`queue_client`], [`admin`]), the way to queue servers elsewhere
//! ([`forward`]; by hand: [`relay`]), what was refused for good ([`dead_letters`]), what was accepted already ([`dedup`]), copies
//! elsewhere ([`backup`]), and the command line ([`cli`]) with the file behind it ([`config`]).
//! Apart from all that, [`cache`] is a server of its own, on the same core; `load`, behind a feature of that name,
//! measures such servers.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod access_log;
pub mod admin;
pub mod app;
pub mod backup;
pub mod cache;
pub mod cli;
pub mod config;
pub mod data;
pub mod dead_letters;
pub mod decode;
pub mod dedup;
pub mod environment;
mod exchange;
pub mod feed;
pub mod forward;
pub mod journal;
mod kestrel_stats;
pub mod listen;
#[cfg(feature = "load")]
pub mod load;
pub mod logging;
mod memory;
pub mod metrics;
mod pages;
mod private;
pub mod queue_client;
mod queue_monitor;
mod recording;
pub mod relay;
pub mod runtime;
pub mod serve;
mod service_manager;
pub mod status;
pub mod store;
pub mod tail;
pub mod tokens;
pub mod tracker;
mod upkeep;
mod workers;

/// The example in the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
