//! A cache of a few lines behind a server connection, and a loop that drives both without sockets.

use std::collections::HashMap;

use bytes::Bytes;
use windhover_core::memcache::command::Command;
use windhover_core::memcache::meta::{
    FlagBuffer, MetaCode, MetaFlags, MetaReply, MetaRequest, decode_key, encode_key,
};
use windhover_core::memcache::request::{Request, StoreRequest};
use windhover_core::memcache::response::{Response, ValueFrame};
use windhover_core::memcache::{Dialect, Limits, Output, ServerConnection};
use windhover_core::{Instant, Timeouts};

use crate::turn;

/// Items by key.
#[derive(Default)]
pub(crate) struct Cache(HashMap<Vec<u8>, Item>);

#[derive(Clone)]
struct Item {
    flags: u32,
    binary: bool,
    data: Vec<u8>,
}

/// A frame that has no borrow of the connection.
enum Frame {
    Fixed(Response<'static>),
    Value(Vec<u8>, Item),
    Meta(MetaCode, Vec<u8>, Vec<u8>),
}

impl Cache {
    /// Answers the request as memcached 1.6.18 does; what needs cas or a clock is left out.
    fn answer(&mut self, request: &Request<'_>, data: Vec<u8>) -> Vec<Frame> {
        let fixed = |response| vec![Frame::Fixed(response)];
        match request {
            Request::Get(keys)
            | Request::Gets(keys)
            | Request::Gat { keys, .. }
            | Request::Gats { keys, .. } => self.get(keys.clone()),
            Request::QueueRead(read) => self.get([read.queue].into_iter()),
            Request::Set(store) => fixed(self.store(store, data, |_| true)),
            Request::Add(store) => fixed(self.store(store, data, |there| !there)),
            Request::Replace(store) => fixed(self.store(store, data, |there| there)),
            Request::Append(store) => fixed(self.extend(store.key, |old| old.extend(data))),
            Request::Prepend(store) => fixed(self.extend(store.key, |old| {
                old.splice(..0, data);
            })),
            Request::Cas { store, .. } => fixed(if self.0.contains_key(store.key) {
                Response::Exists
            } else {
                Response::NotFound
            }),
            Request::Delete { key, .. } => fixed(match self.0.remove(*key) {
                Some(_) => Response::Deleted,
                None => Response::NotFound,
            }),
            Request::Incr { key, delta, .. } => fixed(self.count(key, |n| n.wrapping_add(*delta))),
            Request::Decr { key, delta, .. } => {
                fixed(self.count(key, |n| n.saturating_sub(*delta)))
            }
            Request::Touch { key, .. } => fixed(if self.0.contains_key(*key) {
                Response::Touched
            } else {
                Response::NotFound
            }),
            Request::MetaNoop => fixed(Response::MetaNoop),
            Request::MetaDebug { .. } => vec![Frame::Meta(MetaCode::Miss, Vec::new(), Vec::new())],
            Request::MetaGet(meta)
            | Request::MetaSet(meta)
            | Request::MetaDelete(meta)
            | Request::MetaArithmetic(meta) => self.meta(request.command(), meta, data),
            Request::Version => fixed(Response::Version(b"1.6.18")),
            Request::Stats { arguments: b"reset" } => fixed(Response::Reset),
            _ => fixed(Response::Ok),
        }
    }

    fn get<'a>(&self, keys: impl Iterator<Item = &'a [u8]>) -> Vec<Frame> {
        keys.filter_map(|key| Some(Frame::Value(key.to_vec(), self.0.get(key)?.clone())))
            .chain([Frame::Fixed(Response::End)])
            .collect()
    }

    fn store(
        &mut self,
        store: &StoreRequest<'_>,
        data: Vec<u8>,
        may: impl Fn(bool) -> bool,
    ) -> Response<'static> {
        if !may(self.0.contains_key(store.key)) {
            return Response::NotStored;
        }
        if store.exptime < 0 {
            self.0.remove(store.key);
        } else {
            self.0.insert(store.key.to_vec(), Item { flags: store.flags, binary: false, data });
        }
        Response::Stored
    }

    fn extend(&mut self, key: &[u8], extend: impl FnOnce(&mut Vec<u8>)) -> Response<'static> {
        match self.0.get_mut(key) {
            Some(item) => {
                extend(&mut item.data);
                Response::Stored
            }
            None => Response::NotStored,
        }
    }

    fn count(&mut self, key: &[u8], change: impl FnOnce(u64) -> u64) -> Response<'static> {
        let Some(item) = self.0.get_mut(key) else {
            return Response::NotFound;
        };
        match std::str::from_utf8(&item.data).ok().and_then(|text| text.parse().ok()) {
            Some(number) => {
                let number = change(number);
                item.data = number.to_string().into_bytes();
                Response::Number(number)
            }
            None => Response::ClientError(b"cannot increment or decrement non-numeric value"),
        }
    }

    fn meta(&mut self, command: Command, meta: &MetaRequest<'_>, data: Vec<u8>) -> Vec<Frame> {
        let flags = meta.flags;
        let mut room = [0; 256];
        let key = if flags.base64() {
            decode_key(meta.key, &mut room).expect("it was checked")
        } else {
            meta.key
        };
        let item = match command {
            Command::MetaSet => {
                let binary = flags.base64();
                self.0.insert(key.to_vec(), Item { flags: flags.client_flags(), binary, data });
                None
            }
            Command::MetaDelete => self.0.remove(key),
            _ => self.0.get(key).cloned(),
        };
        let found = item.is_some();
        let item = item.filter(|_| command == Command::MetaGet);
        let code = match command {
            Command::MetaSet => MetaCode::Done,
            Command::MetaGet if found && flags.has(b'v') => MetaCode::Value,
            _ if found => MetaCode::Done,
            Command::MetaGet => MetaCode::Miss,
            _ => MetaCode::NotFound,
        };
        let mut reply = FlagBuffer::new();
        for flag in flags {
            match (flag.letter, &item) {
                (b'O', _) => {
                    reply.push_flag(flag);
                }
                (b'k', _) if flags.base64() || item.as_ref().is_some_and(|item| item.binary) => {
                    let mut encoded = [0; 256];
                    let key = encode_key(key, &mut encoded).expect("it has room");
                    reply.push(b'k', key).push(b'b', b"");
                }
                (b'k', _) => {
                    reply.push(b'k', key);
                }
                (b'f', Some(item)) => {
                    reply.push_unsigned(b'f', u64::from(item.flags));
                }
                (b's', Some(item)) => {
                    reply.push_unsigned(b's', item.data.len().try_into().unwrap());
                }
                (b't', Some(_)) => {
                    reply.push_signed(b't', -1);
                }
                _ => {}
            }
        }
        let data = item.map(|item| item.data).unwrap_or_default();
        vec![Frame::Meta(code, reply.flags().text().to_vec(), data)]
    }
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
        let frames = match connection.poll_output(turn(now)) {
            Output::Request { request, data, .. } => {
                let mut value = Vec::new();
                data.extend_into(&mut value);
                served.requests.push(format!("{request:?} {}", value.escape_ascii()));
                cache.answer(&request, value)
            }
            Output::TooLarge { request } => {
                served.requests.push(format!("{request:?} refused"));
                continue;
            }
            Output::Write => {
                write_all(connection, &mut served.written);
                continue;
            }
            Output::Idle(_) => return,
            Output::CloseWrite | Output::Close => {
                served.closed = true;
                return;
            }
        };
        for frame in frames {
            match frame {
                Frame::Fixed(response) => connection.responses_mut().respond(&response),
                Frame::Value(key, item) if item.data.len() > 100 => {
                    connection.responses_mut().respond_value(
                        &key,
                        item.flags,
                        None,
                        &Bytes::from(item.data),
                    );
                }
                Frame::Value(key, Item { flags, data, .. }) => {
                    connection.responses_mut().respond(&Response::Value(ValueFrame {
                        key: &key,
                        flags,
                        cas: None,
                        data: &data,
                    }));
                }
                Frame::Meta(code, flags, data) => {
                    let flags = MetaFlags::new(&flags);
                    connection.responses_mut().respond(&Response::Meta(MetaReply {
                        code,
                        flags,
                        data: &data,
                    }));
                }
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
