//! Many servers as one: a client without its sockets.
//!
//! [`Cluster`] knows the servers, their connections and their health, chooses who is asked, sends
//! again what may be sent again, and completes every call in time, with an answer or with what is
//! known of its effect. It is pure: it asks for connections and for bytes to be written, and is told
//! what happened; randomness comes from the caller's seed.
//!
//! [`ring`] alone says which server a key belongs to, as libmemcached and twemproxy do.

mod answer;
mod backoff;
mod budget;
mod call;
mod cluster;
mod error;
mod give;
mod health;
mod items;
mod options;
mod random;
pub mod ring;
mod servers;
mod statistics;

pub(crate) use answer::Collector;
pub use answer::{Answer, BatchAnswer, Item, MetaAnswer};
pub use backoff::Backoff;
pub use budget::RetryLimit;
pub use call::{Call, Retry, Target};
pub use cluster::{
    CallId, Cluster, ClusterError, ClusterEvent, ClusterOutput, Completed, ConnectionId,
    ReservationId,
};
pub use error::{CallError, ConnectFailure, KeyError, NotSent, Refusal};
pub use health::{HealthOptions, ServerState};
pub use items::Items;
pub use options::{ClusterOptions, Credentials, Rotation, ServerSelection};
pub use servers::{Server, ServerId};
pub use statistics::{Histogram, ServerCounters, ServerStatistics};

pub use crate::memcache::{OsError, Payload};
