//! NATS JetStream, as far as it takes no socket: the URL that says where records are published to.
//!
//! The protocol itself is left to NATS' own library.

mod subject;
mod url;

pub use subject::{SubjectFault, check_stream_name, check_subject};
pub use url::{NatsLogin, NatsUrl, NatsUrlError};
