//! HTTP/1.1, server role, as far as a tracking endpoint needs it (RFC 9110, RFC 9112).

mod request;
mod response;

pub use request::{Headers, Method, Request};
pub use response::{Body, Response, Status};
