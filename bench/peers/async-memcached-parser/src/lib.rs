//! The parser of async-memcached 0.9, as it was published. The crate has no public way to it that does
//! not read from a socket.
#![allow(dead_code, mismatched_lifetime_syntaxes, clippy::all)]

include!(concat!(env!("OUT_DIR"), "/modules.rs"));

pub use self::error::Error;
pub use self::parser::{
    ErrorKind, KeyMetadata, MetaValue, MetadumpResponse, Response, StatsResponse, Status, Value,
};
