//! Responses: parsing (what a client does) and encoding (what a server does).
//!
//! A reply is a row of *frames*: any number of `VALUE` and `STAT` frames and one that ends it.
//! [`parse`] takes one frame at a time; which request it answers is the connection's business.

mod encode;
mod error;
mod parse;

pub use encode::{encode, encode_value_line};
pub use error::ResponseError;
pub use parse::{Line, parse, parse_line};

/// One item of a retrieval's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Value<'a> {
    /// The key as the client named it; for a queue its name without options.
    pub key: &'a [u8],
    /// The flags that the item was stored with; 0 from kestrel.
    pub flags: u32,
    /// The item's cas unique; there when it was asked for.
    pub cas: Option<u64>,
    /// The value, without its `\r\n`.
    pub data: &'a [u8],
}

/// One frame of a reply. Texts are without the line's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Response<'a> {
    /// `VALUE <key> <flags> <bytes> [<cas>]` and the data block; more frames follow.
    Value(Value<'a>),
    /// `STAT <name> <value>`; more frames follow.
    Stat {
        /// The statistic's name, without spaces.
        name: &'a [u8],
        /// Its value; may hold spaces, may be empty.
        value: &'a [u8],
    },
    /// `END`: the end of a retrieval or of statistics; kestrel's "done".
    End,
    /// `STORED`
    Stored,
    /// `NOT_STORED`
    NotStored,
    /// `DELETED`
    Deleted,
    /// `NOT_FOUND`
    NotFound,
    /// `OK`
    Ok,
    /// `RESET`: the statistics were set to zero.
    Reset,
    /// `VERSION <version>`
    Version(&'a [u8]),
    /// A number alone on its line.
    Number(u64),
    /// Any other line, where the dialect is kestrel's: `Flushed all queues.`, `UP`.
    Line(&'a [u8]),
    /// `ERROR`: the command is not known. Some servers say more behind it.
    Error(&'a [u8]),
    /// `CLIENT_ERROR <what>`: the request breaks the protocol.
    ClientError(&'a [u8]),
    /// `SERVER_ERROR <what>`: the server could not do it.
    ServerError(&'a [u8]),
}

/// A [`Response`] without its contents: what a [row of commands](super::command::Row) lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "named as the variants of `Response`")]
pub enum Kind {
    Value,
    Stat,
    End,
    Stored,
    NotStored,
    Deleted,
    NotFound,
    Ok,
    Reset,
    Version,
    Number,
    Line,
    Error,
    ClientError,
    ServerError,
}

impl Kind {
    /// Whether it is one of the three error lines, which may answer any request.
    pub const fn is_error(self) -> bool {
        matches!(self, Self::Error | Self::ClientError | Self::ServerError)
    }
}

impl Response<'_> {
    /// What frame it is.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Value(_) => Kind::Value,
            Self::Stat { .. } => Kind::Stat,
            Self::End => Kind::End,
            Self::Stored => Kind::Stored,
            Self::NotStored => Kind::NotStored,
            Self::Deleted => Kind::Deleted,
            Self::NotFound => Kind::NotFound,
            Self::Ok => Kind::Ok,
            Self::Reset => Kind::Reset,
            Self::Version(_) => Kind::Version,
            Self::Number(_) => Kind::Number,
            Self::Line(_) => Kind::Line,
            Self::Error(_) => Kind::Error,
            Self::ClientError(_) => Kind::ClientError,
            Self::ServerError(_) => Kind::ServerError,
        }
    }

    /// Whether this frame is the last of its reply.
    pub const fn ends_reply(&self) -> bool {
        !matches!(self, Self::Value(_) | Self::Stat { .. })
    }
}
