//! A memcache server is a type with one method.
//!
//! [`Handler::handle`] gets a request, its data block and where the reply goes; [`Session`] joins it to a
//! connection, and is an [`Endpoint`](crate::endpoint::Endpoint) that every adapter serves. The level
//! below, [`ServerConnection`](super::ServerConnection), is for whoever keeps replies in order
//! themselves.
//!
//! A whole server without its socket; `docs/embedding.md` gives it one:
//!
//! ```
//! use bytes::Bytes;
//! use std::collections::HashMap;
//! use windhover_core::memcache::handler::{Data, Handled, Handler, Reply, Request, Response};
//!
//! #[derive(Default)]
//! struct Map(HashMap<Vec<u8>, Bytes>);
//!
//! impl Handler for Map {
//!     fn handle(&mut self, request: Request<'_>, data: Data<'_>, reply: &mut Reply<'_>) -> Handled {
//!         match request {
//!             Request::Get(keys) => {
//!                 for key in keys {
//!                     if let Some(value) = self.0.get(key) {
//!                         reply.value(key, 0, None, value)?;
//!                     }
//!                 }
//!                 reply.end()
//!             }
//!             Request::Set(item) => {
//!                 self.0.insert(item.key.to_vec(), data.to_bytes());
//!                 reply.send(&Response::Stored)
//!             }
//!             _ => reply.send(&Response::Error(b"")),
//!         }
//!     }
//! }
//!
//! # use std::task::{Context, Waker};
//! # use windhover_core::endpoint::{Endpoint, Next};
//! # use windhover_core::memcache::handler::Session;
//! # let now = windhover_core::Now::default();
//! let mut session = Session::with_defaults(Map::default(), now);
//! session.read_buffer().extend_from_slice(b"set k 0 0 5\r\nhello\r\nget k\r\n");
//! # assert_eq!(session.poll_output(now, &mut Context::from_waker(Waker::noop())), Next::Write);
//! # let mut slices = [&b""[..]; 1];
//! # session.unsent(&mut slices);
//! # assert_eq!(slices[0], b"STORED\r\nVALUE k 0 5\r\nhello\r\nEND\r\n");
//! ```

mod deferred;
mod error;
mod reply;
mod session;
#[cfg(feature = "ticket")]
mod ticket;

pub use deferred::Deferred;
pub use error::ReplyError;
pub use reply::Reply;
pub use session::{Handled, Handler, Session};
#[cfg(feature = "ticket")]
pub use ticket::ReplyTicket;

/// What a handler is given, and answers with.
#[doc(no_inline)]
pub use super::{Data, request::Request, response::Response};
