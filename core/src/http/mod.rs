//! HTTP/1.1, server role, as far as a tracking endpoint needs it (RFC 9110, RFC 9112).
//!
//! Where the standard leaves a choice, this server takes the strict side, because two programs
//! that read one request differently are how requests are smuggled:
//!
//! - Every line ends in CR LF; a bare LF is refused, in heads and in chunked bodies.
//! - `Content-Length` is one header of digits only; a second one is refused even when it is equal,
//!   and so is one beside `Transfer-Encoding`.
//! - No space before a header's colon, no folded lines, no control characters in values.
//! - The trailers of a chunked body are fields as headers are; anything else there is refused.
//! - HTTP/1.1 has exactly one `Host`; a request target has no `#`.
//! - Every error that the connection finds itself ends the connection after its answer, which the
//!   application may shape ([`ServerConnection::with_refusals`]).

mod chunked;
mod connection;
mod date;
mod encode;
mod error;
mod fixed_headers;
mod head;
mod limits;
mod refused_request;
mod request;
mod response;
mod taken_request;
mod target;

pub use connection::{HttpSettings, Output, ServerConnection};
pub(crate) use encode::SpareStart;
pub use error::HttpError;
pub use fixed_headers::FixedHeaders;
pub use limits::HttpLimits;
pub use refused_request::RefusedRequest;
pub use request::{Headers, Method, Request};
pub use response::{Body, Response, Status};
pub use taken_request::TakenRequest;
