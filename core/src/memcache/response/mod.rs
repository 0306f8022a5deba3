//! Responses: parsing (what a client does) and encoding (what a server does).
//!
//! A reply is a row of *frames*: any number of `VALUE` and `STAT` frames and one that ends it.
//! [`parse`] takes one frame at a time; which request it answers is the connection's business, and
//! [`ReplyEnd`] follows where a reply ends.

mod encode;
mod error;
mod parse;
mod reply_end;
mod spans;

pub use encode::{encode, encode_meta_value_line, encode_value_line};
pub use error::ResponseError;
pub(crate) use parse::parse_line_with_any_flags;
#[cfg(feature = "client")]
pub(crate) use parse::{ItemLine, VALUE, item_line};
pub use parse::{ResponseLine, parse, parse_line};
pub(crate) use reply_end::Ending;
pub use reply_end::ReplyEnd;
pub(crate) use spans::ResponseSpans;

use super::meta::{MetaCode, MetaReply};

/// One item of a retrieval's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ValueFrame<'a> {
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Response<'a> {
    /// `VALUE <key> <flags> <bytes> [<cas>]` and the data block; more frames follow.
    Value(ValueFrame<'a>),
    /// `STAT <name> <value>`; more frames follow.
    Stat {
        /// The statistic's name, without spaces.
        name: &'a [u8],
        /// Its value; may hold spaces, may be empty.
        value: &'a [u8],
    },
    /// A line of a listing that goes on: kestrel's `queue 'Q' {`, `  k=v` and `}`, memcached's
    /// `ITEM …`, `PREFIX …`, `key=…` (which memcached ends with a bare newline) and `ts=…`, and the
    /// `mg …` of `lru_crawler mgdump`.
    Listing(&'a [u8]),
    /// `END`: the end of a retrieval or of statistics; kestrel's "done".
    End,
    /// `STORED`
    Stored,
    /// `NOT_STORED`
    NotStored,
    /// `EXISTS`: the item's cas unique is another.
    Exists,
    /// `DELETED`
    Deleted,
    /// `NOT_FOUND`
    NotFound,
    /// `TOUCHED`
    Touched,
    /// `OK`
    Ok,
    /// `RESET`: the statistics were set to zero.
    Reset,
    /// `VERSION <version>`
    Version(&'a [u8]),
    /// A number alone on its line.
    Number(u64),
    /// `VA`, `HD`, `EN`, `NS`, `EX` or `NF` with flags, `VA` with a data block too.
    Meta(MetaReply<'a>),
    /// `ME <key> <k>=<v>*`: what `me` tells of an item.
    MetaDebug {
        /// The key, in base64 where the item was stored so.
        key: &'a [u8],
        /// The rest of the line: `exp=-1 la=0 cas=1 fetch=no cls=1 size=63`.
        fields: &'a [u8],
    },
    /// `MN`
    MetaNoop,
    /// Any other line that is a whole reply: kestrel's `Flushed all queues.` and `UP`; memcached's
    /// `BUSY …`, `BADCLASS …`, `MEMLIMIT_TOO_SMALL …`, `ERROR: …` to administrative commands.
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
    Listing,
    End,
    Stored,
    NotStored,
    Exists,
    Deleted,
    NotFound,
    Touched,
    Ok,
    Reset,
    Version,
    Number,
    Meta(MetaCode),
    MetaDebug,
    MetaNoop,
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

    /// Its bit in a set of kinds.
    pub(crate) const fn bit(self) -> u32 {
        1 << match self {
            Self::Value => 0,
            Self::Stat => 1,
            Self::Listing => 2,
            Self::End => 3,
            Self::Stored => 4,
            Self::NotStored => 5,
            Self::Exists => 6,
            Self::Deleted => 7,
            Self::NotFound => 8,
            Self::Touched => 9,
            Self::Ok => 10,
            Self::Reset => 11,
            Self::Version => 12,
            Self::Number => 13,
            Self::MetaDebug => 14,
            Self::MetaNoop => 15,
            Self::Line => 16,
            Self::Error => 17,
            Self::ClientError => 18,
            Self::ServerError => 19,
            Self::Meta(code) => 20 + code as u32,
        }
    }

    /// The frame of that kind, where it is one word and nothing else.
    pub const fn word(self) -> Option<Response<'static>> {
        Some(match self {
            Self::End => Response::End,
            Self::Stored => Response::Stored,
            Self::NotStored => Response::NotStored,
            Self::Exists => Response::Exists,
            Self::Deleted => Response::Deleted,
            Self::NotFound => Response::NotFound,
            Self::Touched => Response::Touched,
            Self::Ok => Response::Ok,
            Self::Reset => Response::Reset,
            Self::MetaNoop => Response::MetaNoop,
            Self::Value
            | Self::Stat
            | Self::Listing
            | Self::Version
            | Self::Number
            | Self::Meta(_)
            | Self::MetaDebug
            | Self::Line
            | Self::Error
            | Self::ClientError
            | Self::ServerError => return None,
        })
    }

    /// How the frame begins on the wire.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Value => "VALUE",
            Self::Stat => "STAT",
            Self::Listing => "a listing",
            Self::End => "END",
            Self::Stored => "STORED",
            Self::NotStored => "NOT_STORED",
            Self::Exists => "EXISTS",
            Self::Deleted => "DELETED",
            Self::NotFound => "NOT_FOUND",
            Self::Touched => "TOUCHED",
            Self::Ok => "OK",
            Self::Reset => "RESET",
            Self::Version => "VERSION",
            Self::Number => "a number",
            Self::Meta(code) => code.text(),
            Self::MetaDebug => "ME",
            Self::MetaNoop => "MN",
            Self::Line => "a sentence",
            Self::Error => "ERROR",
            Self::ClientError => "CLIENT_ERROR",
            Self::ServerError => "SERVER_ERROR",
        }
    }
}

impl Response<'_> {
    /// What frame it is.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Value(_) => Kind::Value,
            Self::Stat { .. } => Kind::Stat,
            Self::Listing(_) => Kind::Listing,
            Self::End => Kind::End,
            Self::Stored => Kind::Stored,
            Self::NotStored => Kind::NotStored,
            Self::Exists => Kind::Exists,
            Self::Deleted => Kind::Deleted,
            Self::NotFound => Kind::NotFound,
            Self::Touched => Kind::Touched,
            Self::Ok => Kind::Ok,
            Self::Reset => Kind::Reset,
            Self::Version(_) => Kind::Version,
            Self::Number(_) => Kind::Number,
            Self::Meta(reply) => Kind::Meta(reply.code),
            Self::MetaDebug { .. } => Kind::MetaDebug,
            Self::MetaNoop => Kind::MetaNoop,
            Self::Line(_) => Kind::Line,
            Self::Error(_) => Kind::Error,
            Self::ClientError(_) => Kind::ClientError,
            Self::ServerError(_) => Kind::ServerError,
        }
    }

    /// Whether this frame is the last of its reply, whatever was asked; `monitor` and `watch` are
    /// answered otherwise ([`ReplyEnd`]).
    pub const fn ends_reply(&self) -> bool {
        !matches!(self, Self::Value(_) | Self::Stat { .. } | Self::Listing(_))
    }
}
