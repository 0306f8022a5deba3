//! A client of memcache and kestrel servers that never hides a failure.
//!
//! Everything but sockets and timers is here, for any runtime: [`Client`] is what an application
//! holds, [`Driver`] is what an adapter (`windhover-tokio`, `windhover-async-std`, `windhover-mio`)
//! gives sockets and timers to. Calls are ordinary futures that need no runtime of their own;
//! [`block_on`] waits for one on a thread without any. With the feature `tls`, what is written and read
//! can be TLS; an adapter does nothing for it.
//!
//! # A client
//!
//! A [`Builder`] says which servers, and how patient it is; an adapter's `connect` drives what it builds:
//! `windhover_tokio::connect(Client::builder().server("10.0.0.1:11211"))?`. Adapters export all of this crate.
//!
//! ```
//! use windhover_client::{Client, Error};
//!
//! # async fn example(client: Client) -> Result<(), Error> {
//! client.set("greeting", "hello").await?;
//! match client.get("greeting").await {
//!     Ok(Some(value)) => println!("{:?}", value.data),
//!     Ok(None) => println!("not there"),
//!     // Never mistaken for a miss. `outcome` says what is known of its effect.
//!     Err(error) => println!("{:?}: {error:#}", error.outcome()),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Queues
//!
//! Servers that speak kestrel's dialect hold queues ([`Client::queue_builder`], [`Queue`]). An item is its reader's
//! until it is confirmed; a reader that crashes before gives it back.
//!
//! ```
//! use std::time::Duration;
//! use windhover_client::{Client, Error};
//!
//! # async fn example(client: Client) -> Result<(), Error> {
//! let mails = client.queue("mails");
//! mails.enqueue("to: ann@example.com").await?;
//! if let Some(mail) = mails.reserve_within(Duration::from_secs(1)).await? {
//!     println!("{:?}", mail.item());
//!     mail.confirm().await?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Without an adapter
//!
//! [`Builder::build`] gives the client and its [`Driver`], whose page drives a call by hand. Below that,
//! [`protocol`] has the levels that this one stands on: a cluster of servers, one connection, the codec.
//!
//! ```
//! use windhover_client::{Client, Outcome, block_on};
//!
//! let (client, driver) = Client::builder().server("10.0.0.1:11211").build()?;
//! drop(driver);
//! // Nobody drives it: a call ends at once, and says that nothing was sent.
//! let error = block_on(client.get("greeting")).unwrap_err();
//! assert_eq!(error.outcome(), Outcome::NotSent);
//! # Ok::<(), windhover_client::Error>(())
//! ```
#![cfg_attr(docsrs, feature(doc_cfg))]

mod address;
mod block_on;
mod builder;
mod cache;
mod client;
mod compression;
mod compute;
#[cfg(feature = "serde")]
mod config;
mod connect_error;
mod convert;
mod drive;
mod error;
mod expires;
mod forward;
mod hub;
#[cfg(all(test, windhover_loom))]
mod interleavings;
#[cfg(feature = "json")]
mod json;
mod many;
mod meta;
mod meta_flags;
mod names;
mod parts;
mod queue;
mod reservation;
mod spare;
mod sync;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tracing")]
mod trace;
mod update;
mod value;
mod value_error;
mod write_many;

pub use address::{AddressError, AddressFault, server_address};
pub use block_on::{block_on, block_on_ticking};
pub use builder::{Builder, Event, EventHook};
pub use bytes::Bytes;
pub use cache::Cas;
pub use client::{Client, PreparedCall};
pub use compression::{Compression, CompressionFlags, FLAG_ZLIB, FLAG_ZSTD};
pub use compute::{Computed, Origin, Recompute};
#[cfg(feature = "serde")]
pub use config::{ClientConfig, ConfigError};
pub use connect_error::ConnectError;
pub use convert::{FromValue, IntoBytes};
pub use drive::{Address, Connect, Connector, drive_client};
pub use error::{Error, ErrorKind, Outcome};
pub use expires::{Expires, ExpiresError};
pub use forward::Forwarded;
pub use hub::{DrivenConnection, Driver, DriverStep, Turn, connect_failure};
pub use many::Found;
pub use meta_flags::{ArithmeticFlags, DeleteFlags, GetFlags, SetFlags};
pub use names::{FollowedNames, Names, NamesEvent};
pub use queue::Queue;
pub use reservation::Reservation;
#[cfg(feature = "tls")]
pub use tls::{Tls, TlsError};
pub use value::{Store, Value};
pub use value_error::ValueError;
pub use windhover_core as protocol;
pub use windhover_core::client::{
    Answer, Backoff, Call, CallError, ClusterError, ClusterOptions, ConnectFailure, Credentials,
    HealthOptions, Item, Items, KeyError, MetaAnswer, NotSent, OsError, Refusal, Retry, RetryLimit,
    Rotation, Server, ServerId, ServerSelection, ServerState, ServerStatistics, Target,
};
pub use windhover_core::memcache::meta::{ArithmeticMode, MetaCode, SetMode};
pub use windhover_runtime::{PollStream, Report};
pub use write_many::{Deleted, MetaCommands, Stored};

/// The example in the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
