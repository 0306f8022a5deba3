//! What the classic commands do (protocol.txt, "Storage commands" to "Other commands").

use std::collections::VecDeque;
use std::sync::Arc;

use windhover_core::memcache::meta::{FlagBuffer, MetaCode};
use windhover_core::memcache::request::{Request, Store as StoreRequest};
use windhover_core::memcache::response::Response;
use windhover_core::memcache::{Data, Keys};

use super::meta::{KEY_MOST, Key};
use super::storage::{
    Arithmetic, ArithmeticRefused, Deadline, DeleteRefused, Digits, Item, Mode, Store,
    StoreRefused, Time,
};
use super::{Cache, VERSION, stats};

/// The least that `cache_memlimit` takes, in MiB, and the answer to less; as in memcached.
const LEAST_MEGABYTES: u32 = 8;
const TOO_SMALL: &[u8] = b"MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m";
/// Places for items found that an idle connection keeps: most requests ask for one.
const KEEP: usize = 4;

/// What a request came to. It owns what it holds: the request is gone when the answer is given.
#[derive(Debug)]
pub(super) enum Answer {
    Response(Response<'static>),
    /// The items in [`Commands::found`], then `END`.
    Items {
        with_cas: bool,
    },
    /// With the flags in [`Commands::flags`].
    Meta {
        code: MetaCode,
        data: MetaData,
    },
    MetaDebug {
        key: Vec<u8>,
        fields: String,
    },
    /// Name, value.
    Stats(Vec<(&'static str, String)>),
    Listing(Vec<Vec<u8>>),
}

/// The data block of an answer to a meta command.
#[derive(Debug)]
pub(super) enum MetaData {
    None,
    Item(Item),
    Number(Digits),
}

/// Answers the requests of one connection; keeps what their answers are made of.
#[derive(Debug)]
pub(super) struct Commands {
    pub(super) cache: Arc<Cache>,
    pub(super) found: VecDeque<Item>,
    pub(super) flags: FlagBuffer,
}

impl Commands {
    pub(super) const fn new(cache: Arc<Cache>) -> Self {
        Self { cache, found: VecDeque::new(), flags: FlagBuffer::new() }
    }

    /// Gives back the memory that an idle connection does not need.
    pub(super) fn release(&mut self) {
        if self.found.is_empty() && self.found.capacity() > KEEP {
            self.found = VecDeque::new();
        }
    }

    pub(super) fn answer(&mut self, request: &Request<'_>, data: &Data<'_>, time: Time) -> Answer {
        let store = |item, mode| self.store(item, data, Store { mode, ..Store::default() }, time);
        Answer::Response(match request {
            Request::Get(keys) => return self.get(keys, false, time),
            Request::Gets(keys) => return self.get(keys, true, time),
            Request::Gat { exptime, keys } => return self.gat(*exptime, keys, false, time),
            Request::Gats { exptime, keys } => return self.gat(*exptime, keys, true, time),
            Request::MetaGet(meta) => return self.meta_get(meta, time),
            Request::MetaSet(meta) => return self.meta_set(meta, data, time),
            Request::MetaDelete(meta) => return self.meta_delete(meta, time),
            Request::MetaArithmetic(meta) => return self.meta_arithmetic(meta, time),
            Request::MetaDebug { key, base64 } => return self.meta_debug(key, *base64, time),
            Request::MetaNoop => Response::MetaNoop,
            Request::Set(item) => store(item, Mode::Set),
            Request::Add(item) => store(item, Mode::Add),
            Request::Replace(item) => store(item, Mode::Replace),
            Request::Append(item) => store(item, Mode::Append),
            Request::Prepend(item) => store(item, Mode::Prepend),
            Request::Cas { store: item, unique } => {
                self.store(item, data, Store { cas: Some(*unique), ..Store::default() }, time)
            }
            Request::Delete { key, .. } => {
                let (hash, mut storage) = self.cache.lock(key);
                match storage.delete(hash, key, None, time) {
                    Ok(()) => Response::Deleted,
                    Err(DeleteRefused::NotFound | DeleteRefused::Exists) => Response::NotFound,
                }
            }
            Request::Incr { key, delta, .. } => self.change(key, *delta, false, time),
            Request::Decr { key, delta, .. } => self.change(key, *delta, true, time),
            Request::Touch { key, exptime, .. } => {
                let (hash, mut storage) = self.cache.lock(key);
                match storage.touch(hash, key, Deadline::of(*exptime, time), time) {
                    Some(_) => Response::Touched,
                    None => Response::NotFound,
                }
            }
            Request::FlushAll { delay, .. } => self.flush(delay.unwrap_or_default(), time),
            Request::Version => Response::Version(VERSION.as_bytes()),
            Request::Verbosity { .. } => Response::Ok,
            Request::Stats { arguments } => return stats::answer(&self.cache, arguments, time),
            Request::CacheMemlimit { megabytes, .. } => self.limit_memory(*megabytes, time),
            Request::Shutdown { .. } => Response::Line(b"ERROR: shutdown not enabled"),
            // What tells memcached's slabs and threads what to do has nothing to do here.
            _ => Response::Error(b""),
        })
    }

    /// Takes note of a value above the limit, whose client is answered already. As in memcached,
    /// `set` and, in every mode, `ms` let go of what is there, lest it be read as the new value.
    pub(super) fn refuse_value(&self, request: &Request<'_>, time: Time) {
        let mut room = [0; KEY_MOST];
        let (key, replaces) = match request {
            Request::Set(item) => (item.key, true),
            Request::MetaSet(meta) => {
                (Key::new(meta.key, meta.flags.base64(), &mut room).bytes, true)
            }
            Request::Add(item)
            | Request::Replace(item)
            | Request::Append(item)
            | Request::Prepend(item)
            | Request::Cas { store: item, .. } => (item.key, false),
            _ => return,
        };
        let (hash, mut storage) = self.cache.lock(key);
        storage.counters.store_too_large += 1;
        if replaces {
            storage.discard(hash, key, time);
        }
    }

    fn get(&mut self, keys: &Keys<'_>, with_cas: bool, time: Time) -> Answer {
        for key in keys.clone() {
            let (hash, mut storage) = self.cache.lock(key);
            self.found.extend(storage.read(hash, key, time).cloned());
        }
        Answer::Items { with_cas }
    }

    fn gat(&mut self, exptime: i64, keys: &Keys<'_>, with_cas: bool, time: Time) -> Answer {
        let deadline = Deadline::of(exptime, time);
        for key in keys.clone() {
            let (hash, mut storage) = self.cache.lock(key);
            self.found.extend(storage.touch(hash, key, deadline, time).cloned());
        }
        Answer::Items { with_cas }
    }

    fn store(
        &self,
        request: &StoreRequest<'_>,
        data: &Data<'_>,
        how: Store,
        time: Time,
    ) -> Response<'static> {
        let deadline = Deadline::of(request.exptime, time);
        let item = Item::new(request.key, request.flags, deadline, data);
        let (hash, mut storage) = self.cache.lock(request.key);
        match storage.store(hash, item, &how, time) {
            Ok(_) => Response::Stored,
            Err(StoreRefused::NotStored) => Response::NotStored,
            Err(StoreRefused::Exists) => Response::Exists,
            Err(StoreRefused::NotFound) => Response::NotFound,
            Err(refused) => no_room(refused),
        }
    }

    fn change(&self, key: &[u8], delta: u64, decrement: bool, time: Time) -> Response<'static> {
        let change = Arithmetic { decrement, delta, cas: None, new_cas: None };
        let (hash, mut storage) = self.cache.lock(key);
        match storage.arithmetic(hash, key, &change, time) {
            Ok((_, number)) => Response::Number(number),
            Err(ArithmeticRefused::NonNumeric) => NON_NUMERIC,
            Err(_) => Response::NotFound,
        }
    }

    /// At once, or after a delay that is given like an exptime.
    fn flush(&self, delay: i64, time: Time) -> Response<'static> {
        let at = if delay == 0 { Deadline::now(time) } else { Deadline::of(delay, time) };
        self.cache.each_shard(|storage| storage.flush(at, time));
        Response::Ok
    }

    fn limit_memory(&self, megabytes: u32, time: Time) -> Response<'static> {
        if megabytes < LEAST_MEGABYTES {
            return Response::Line(TOO_SMALL);
        }
        self.cache.limit_memory((megabytes as usize) << 20, time);
        Response::Ok
    }
}

pub(super) const NON_NUMERIC: Response<'static> =
    Response::ClientError(b"cannot increment or decrement non-numeric value");

/// The answer where a value is too large.
pub(super) const fn no_room(refused: StoreRefused) -> Response<'static> {
    Response::ServerError(match refused {
        StoreRefused::TooLarge => b"object too large for cache",
        _ => b"out of memory storing object",
    })
}
