//! A cache of a few lines behind a server connection, and a loop that drives both without sockets.

use std::collections::HashMap;

use bytes::Bytes;
use windhover_core::memcache::request::Request;
use windhover_core::memcache::response::{Response, Value};
use windhover_core::memcache::{Dialect, Output, ServerConnection};
use windhover_core::{Instant, Limits, Timeouts};

/// Items by key: flags and value.
#[derive(Default)]
pub(crate) struct Cache(HashMap<Vec<u8>, (u32, Vec<u8>)>);

impl Cache {
    /// Answers the request as memcached 1.6.18 does.
    fn answer(&mut self, request: &Owned) -> Vec<Frame> {
        match request {
            Owned::Get(keys) => keys
                .iter()
                .filter_map(|key| {
                    let (flags, data) = self.0.get(key)?;
                    Some(Frame::Value(key.clone(), *flags, data.clone()))
                })
                .chain([Frame::Fixed(Response::End)])
                .collect(),
            Owned::Set(key, flags, exptime, data) => {
                if *exptime < 0 {
                    self.0.remove(key);
                } else {
                    self.0.insert(key.clone(), (*flags, data.clone()));
                }
                vec![Frame::Fixed(Response::Stored)]
            }
            Owned::Delete(key) => vec![Frame::Fixed(match self.0.remove(key) {
                Some(_) => Response::Deleted,
                None => Response::NotFound,
            })],
            Owned::Fixed(response) => vec![Frame::Fixed(*response)],
        }
    }
}

/// A request that has left its connection.
enum Owned {
    Get(Vec<Vec<u8>>),
    Set(Vec<u8>, u32, i64, Vec<u8>),
    Delete(Vec<u8>),
    Fixed(Response<'static>),
}

enum Frame {
    Value(Vec<u8>, u32, Vec<u8>),
    Fixed(Response<'static>),
}

/// What came of a connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Served {
    /// Every byte that it wrote.
    pub(crate) written: Vec<u8>,
    /// Every request that it gave, as text with its data.
    pub(crate) requests: Vec<String>,
    /// Whether it asked to be closed.
    pub(crate) closed: bool,
}

/// Gives the pieces of input one by one to a new connection, with the cache behind it.
pub(crate) fn serve(dialect: Dialect, cache: &mut Cache, pieces: &[&[u8]]) -> Served {
    let now = Instant::default();
    let mut connection =
        ServerConnection::new(dialect, &Limits::default(), &Timeouts::default(), now);
    let mut served = Served { written: Vec::new(), requests: Vec::new(), closed: false };
    for piece in pieces {
        connection.receive(piece);
        drain(&mut connection, now, cache, &mut served);
        connection.release();
    }
    served
}

/// Polls until the connection is idle or closed.
pub(crate) fn drain(
    connection: &mut ServerConnection,
    now: Instant,
    cache: &mut Cache,
    served: &mut Served,
) {
    loop {
        let request = match connection.poll_output(now) {
            Output::Request { request, data } => {
                let mut value = Vec::new();
                data.extend_into(&mut value);
                served.requests.push(format!("{request:?} {}", value.escape_ascii()));
                match request {
                    Request::Get(keys) | Request::Gets(keys) => {
                        Owned::Get(keys.map(<[u8]>::to_vec).collect())
                    }
                    Request::QueueRead(read) => Owned::Get(vec![read.queue.to_vec()]),
                    Request::Set(item) => {
                        Owned::Set(item.key.to_vec(), item.flags, item.exptime, value)
                    }
                    Request::Delete { key, .. } => Owned::Delete(key.to_vec()),
                    Request::Version => Owned::Fixed(Response::Version(b"1.6.18")),
                    Request::Stats { arguments: b"reset" } => Owned::Fixed(Response::Reset),
                    _ => Owned::Fixed(Response::Ok),
                }
            }
            Output::Write => {
                write_all(connection, &mut served.written);
                continue;
            }
            Output::Idle(_) => return,
            Output::Close => {
                served.closed = true;
                return;
            }
        };
        for frame in cache.answer(&request) {
            match frame {
                Frame::Fixed(response) => connection.respond(&response),
                Frame::Value(key, flags, data) if data.len() > 100 => {
                    connection.respond_value(&key, flags, None, Bytes::from(data));
                }
                Frame::Value(key, flags, data) => connection.respond(&Response::Value(Value {
                    key: &key,
                    flags,
                    cas: None,
                    data: &data,
                })),
            }
        }
    }
}

/// Writes what is unsent, three bytes less than the first slice at a time where that leaves some.
pub(crate) fn write_all(connection: &mut ServerConnection, into: &mut Vec<u8>) {
    loop {
        let mut slices = [&b""[..]; 2];
        if connection.unsent(&mut slices) == 0 {
            return;
        }
        let n = slices[0].len().saturating_sub(3).max(1);
        into.extend_from_slice(&slices[0][..n]);
        connection.wrote(n);
    }
}
