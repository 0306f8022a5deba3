//! Requests and replies of memcache, parsed and encoded on slices.

use std::hint::black_box;

use bytes::BytesMut;
use windhover_core::memcache::Limits;
use windhover_core::memcache::meta::{MetaFlags, MetaReply, MetaRequest};
use windhover_core::memcache::request::{self, Request, StoreRequest};
use windhover_core::memcache::response::{self, Response, ValueFrame};
use windhover_core::memcache::{Dialect, Keys, Parsed};

/// The key of every case, as long as keys of applications are.
pub const KEY: &[u8] = b"bench:item:0042";

/// Which request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// `get <key>`
    Get,
    /// `set <key> 0 0 <bytes>`
    Set,
    /// `mg <key> v`
    MetaGet,
    /// `ms <key> <bytes>`
    MetaSet,
}

/// Which reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `VALUE <key> 0 <bytes>`, the data and `END`.
    Hit,
    /// `VA <bytes>` and the data.
    MetaHit,
    /// `STORED`
    Stored,
}

/// Data of `size` bytes, with line ends in it as real values have them.
pub fn data(size: usize) -> Vec<u8> {
    b"0123456789abcdefghijklmnopqrstuvwxyz\r\nABCDEFGHIJKLMNOPQRSTUVWXYZ"
        .iter()
        .copied()
        .cycle()
        .take(size)
        .collect()
}

/// `count` requests on the wire, one behind the other; `size` is that of the data of those that have
/// some.
pub fn requests(command: Command, size: usize, count: usize) -> Vec<u8> {
    let mut wire = BytesMut::new();
    Codec::default().encode_requests(command, &data(size), count, &mut wire);
    wire.to_vec()
}

/// `count` replies on the wire, one behind the other.
pub fn replies(reply: Reply, size: usize, count: usize) -> Vec<u8> {
    let mut wire = BytesMut::new();
    Codec::default().encode_replies(reply, &data(size), count, &mut wire);
    wire.to_vec()
}

/// The codec as a server and as a client call it.
#[derive(Clone, Debug, Default)]
pub struct Codec {
    limits: Limits,
}

impl Codec {
    /// Parses every request of `wire`: how many there are, and the bytes of their data.
    pub fn parse_requests(&self, mut wire: &[u8]) -> (usize, usize) {
        let (mut count, mut bytes) = (0, 0);
        while !wire.is_empty()
            && let Ok(Parsed::Complete { message, consumed }) =
                request::parse(wire, Dialect::Memcached, &self.limits)
        {
            count += 1;
            bytes += message.data.len();
            wire = wire.get(consumed..).unwrap_or_default();
        }
        (count, bytes)
    }

    /// Parses every frame of `wire`: how many there are, and the bytes of their data.
    pub fn parse_replies(&self, mut wire: &[u8]) -> (usize, usize) {
        let (mut count, mut bytes) = (0, 0);
        while !wire.is_empty()
            && let Ok(Parsed::Complete { message, consumed }) =
                response::parse(wire, Dialect::Memcached, &self.limits)
        {
            count += 1;
            bytes += match message {
                Response::Value(value) => value.data.len(),
                Response::Meta(reply) => reply.data.len(),
                _ => 0,
            };
            wire = wire.get(consumed..).unwrap_or_default();
        }
        (count, bytes)
    }

    /// Appends `count` requests to `out`.
    ///
    /// Encoding checks its input; what is given here is valid.
    pub fn encode_requests(&self, command: Command, data: &[u8], count: usize, out: &mut BytesMut) {
        // An application's keys are not known to the compiler.
        let key = black_box(KEY);
        let keys = [key];
        for _ in 0..count {
            let (request, data) = match command {
                Command::Get => (Request::Get(Keys::new(&keys)), &[][..]),
                Command::Set => (Request::Set(StoreRequest::new(key)), data),
                Command::MetaGet => {
                    (Request::MetaGet(MetaRequest::new(key, MetaFlags::new(b"v"))), &[][..])
                }
                Command::MetaSet => {
                    (Request::MetaSet(MetaRequest::new(key, MetaFlags::new(b""))), data)
                }
            };
            let done = request::encode(&request, data, Dialect::Memcached, &self.limits, out);
            debug_assert_eq!(done, Ok(()));
        }
    }

    /// Appends `count` replies to `out`.
    pub fn encode_replies(&self, reply: Reply, data: &[u8], count: usize, out: &mut BytesMut) {
        let key = black_box(KEY);
        for _ in 0..count {
            match reply {
                Reply::Hit => {
                    let value = ValueFrame { key, flags: 0, cas: None, data };
                    response::encode(&Response::Value(value), out);
                    response::encode(&Response::End, out);
                }
                Reply::MetaHit => {
                    let reply = MetaReply::value(MetaFlags::new(b""), data);
                    response::encode(&Response::Meta(reply), out);
                }
                Reply::Stored => response::encode(&Response::Stored, out),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_what_memcached_takes_and_parse_again() {
        let codec = Codec::default();
        let get = requests(Command::Get, 100, 2);
        assert_eq!(get, b"get bench:item:0042\r\nget bench:item:0042\r\n");
        assert_eq!(codec.parse_requests(&get), (2, 0));
        let set = requests(Command::Set, 4096, 64);
        assert!(set.starts_with(b"set bench:item:0042 0 0 4096\r\n0123"));
        assert_eq!(codec.parse_requests(&set), (64, 64 * 4096));
        assert_eq!(requests(Command::MetaGet, 0, 1), b"mg bench:item:0042 v\r\n");
        assert_eq!(requests(Command::MetaSet, 2, 1), b"ms bench:item:0042 2\r\n01\r\n");
    }

    #[test]
    fn replies_are_what_memcached_gives_and_parse_again() {
        let codec = Codec::default();
        let hit = replies(Reply::Hit, 3, 1);
        assert_eq!(hit, b"VALUE bench:item:0042 0 3\r\n012\r\nEND\r\n");
        // END is a frame of its own.
        assert_eq!(codec.parse_replies(&hit), (2, 3));
        assert_eq!(replies(Reply::MetaHit, 3, 1), b"VA 3\r\n012\r\n");
        assert_eq!(codec.parse_replies(&replies(Reply::MetaHit, 100, 64)), (64, 6400));
        assert_eq!(codec.parse_replies(&replies(Reply::Stored, 0, 3)), (3, 0));
    }
}
