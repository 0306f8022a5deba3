//! The memcache text protocol and kestrel's dialect of it.
//!
//! Level 1 is the codec: [`request`] and [`response`], for both roles, driven by one table of
//! [commands](command::TABLE); [`meta`] has the flags and keys of the meta commands, [`kestrel`] the
//! names and reads of queues. Level 2 is [`ServerConnection`], which obeys a table of
//! states (`docs/states.md`). Both follow memcached's `protocol.txt` and, where it is silent, what
//! memcached 1.6.45 does; differences are noted where they are made. UDP and the binary protocol are
//! not spoken.
//!
//! A server that embeds the parser:
//!
//! ```
//! use windhover_core::memcache::{Dialect, Limits, Parsed, request};
//!
//! let mut input: &[u8] = b"set k 0 0 5\r\nhello\r\nget k\r\nbogus\r\n";
//! loop {
//!     match request::parse(input, Dialect::Memcached, &Limits::default()) {
//!         Ok(Parsed::Incomplete { .. }) => break, // read more first
//!         Ok(Parsed::Complete { message, consumed }) => {
//!             println!("{:?} with {} bytes", message.request, message.data.len());
//!             input = &input[consumed..];
//!         }
//!         Err(error) => {
//!             // `error.recovery` says where the next request starts
//!             println!("answer {:?}, because {error}", error.reply);
//!             break;
//!         }
//!     }
//! }
//! ```

mod client;
pub mod command;
mod data;
mod dialect;
mod exptime;
pub mod handler;
pub mod kestrel;
mod key;
mod limits;
mod line;
pub mod meta;
mod number;
mod parsed;
mod payload;
pub mod request;
pub mod response;
mod server;
mod span;
mod states;
mod timeouts;
mod users;

#[cfg(feature = "client")]
pub(crate) use client::NextFound;
pub use client::{
    AnswerError, Cancelled, ClientConnection, ClientOutput, End, Frame, MAX_DISCARDED, OsError,
    Oversized, Reason, Received, ReplyParser, SendError, Ticket,
};
pub use data::Data;
pub use dialect::{Dialect, QUEUE_RULES, QueueRules};
pub use exptime::{Expiry, KESTREL_ABSOLUTE_FROM, MEMCACHED_MAX_RELATIVE};
pub use key::Keys;
pub use limits::Limits;
pub use parsed::Parsed;
pub use payload::Payload;
pub(crate) use server::SparePending;
pub use server::{Output, Responses, ServerConnection};
pub use timeouts::ClientTimeouts;
pub use users::{MAX_USER_LINE, User, UserLineError, UserLineFault, users};
