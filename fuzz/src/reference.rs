//! Simple and slow: what the properties compare with. Nothing here is taken from the core, and
//! nothing here is fast.

pub mod answers;
pub mod base64;
pub mod client;
pub mod forwarded;
pub mod health;
pub mod http;
pub mod hyper;
pub mod inflate;
pub mod journal;
pub mod json;
pub mod md5;
pub mod memcache;
pub mod number;
pub mod proxy_protocol;
pub mod queue;
#[path = "../../core/tests/queue/model/queues.rs"]
pub(crate) mod queues;
pub mod replies;
pub mod ring;
pub mod tracking;
