//! What the classic commands do (protocol.txt, "Storage commands" to "Other commands").

use std::collections::VecDeque;
use std::task::{Context, Poll};

use windhover_core::Now;
use windhover_core::memcache::handler::{Deferred, Handler, Reply, ReplyError};
use windhover_core::memcache::meta::FlagBuffer;
use windhover_core::memcache::request::{Request, StoreRequest};
use windhover_core::memcache::response::Response;
use windhover_core::memcache::{Data, Keys};

use crate::meta::{Key, MAX_KEY};
use crate::storage::{
    Arithmetic, ArithmeticError, Deadline, DeleteError, Storage, StoreError, StoreMode,
    StoreOptions, StoredItem, Time,
};
use crate::{Cache, VERSION, stats};

/// The least that `cache_memlimit` takes, in MiB, and the answer to less; as in memcached.
const MIN_MEGABYTES: u32 = 8;
const TOO_SMALL: &[u8] = b"MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m";
/// A value at least this long is shared with the reply in place of being copied into it: below it, a reply
/// copies anyway, and the first to share an item allocates the count of its users.
pub(crate) const SHARE_FROM: usize = 4096;

/// Answers the requests of one connection to a [`Cache`].
///
/// A cache of an application's own, asked as a client asks it, without a socket:
///
/// ```
/// use std::task::{Context, Waker};
/// use windhover_cache::{Cache, CacheHandler};
/// use windhover_core::Now;
/// use windhover_core::endpoint::{Endpoint, Next};
/// use windhover_core::memcache::handler::Session;
///
/// let (cache, now) = (Cache::default(), Now::default());
/// let mut session: Session<CacheHandler> = cache.accept(now);
/// session.read_buffer().extend_from_slice(b"set k 0 0 5\r\nhello\r\nget k\r\n");
/// assert_eq!(session.poll_output(now, &mut Context::from_waker(Waker::noop())), Next::Write);
/// let mut slices = [&b""[..]; 8];
/// let filled = session.unsent(&mut slices);
/// assert_eq!(slices[..filled].concat(), b"STORED\r\nVALUE k 0 5\r\nhello\r\nEND\r\n");
/// ```
#[derive(Debug)]
pub struct CacheHandler {
    pub(crate) cache: Cache,
    /// The flags of the reply that is being given.
    pub(crate) flags: FlagBuffer,
}

impl CacheHandler {
    pub(crate) const fn new(cache: Cache) -> Self {
        Self { cache, flags: FlagBuffer::new() }
    }

    /// The cache.
    pub const fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Answers with the items under these keys, and touches them where there is an expiry.
    fn items(
        &self,
        mut keys: Keys<'_>,
        with_cas: bool,
        expiry: Option<Deadline>,
        reply: &mut Reply<'_>,
    ) -> Result<(), ReplyError> {
        let time = Time::new(reply.now());
        while !reply.is_full() {
            let Some(key) = keys.next() else {
                return reply.end();
            };
            let (hash, mut storage) = self.cache.lock(key);
            if let Some(item) = read(&mut storage, hash, key, expiry, time) {
                give_item(item, with_cas, reply)?;
            }
        }
        // The rest is shared with the storage, and leaves as the client reads. What it asks next waits, so
        // that one which does not read is held to one such request.
        let rest = keys.filter_map(|key| {
            let (hash, mut storage) = self.cache.lock(key);
            read(&mut storage, hash, key, expiry, time).cloned()
        });
        let items = rest.collect();
        reply.hold();
        reply.defer(Rest { items, with_cas });
        Ok(())
    }

    fn store(
        &self,
        request: &StoreRequest<'_>,
        data: &Data<'_>,
        how: &StoreOptions,
        time: Time,
    ) -> Response<'static> {
        let deadline = Deadline::of(request.exptime, time);
        let item = StoredItem::new(request.key, request.flags, deadline, data);
        let (hash, mut storage) = self.cache.lock(request.key);
        match storage.store(hash, item, how, time) {
            Ok(_) => Response::Stored,
            Err(StoreError::NotStored) => Response::NotStored,
            Err(StoreError::Exists) => Response::Exists,
            Err(StoreError::NotFound) => Response::NotFound,
            Err(error) => no_room(error),
        }
    }

    fn change(&self, key: &[u8], delta: u64, decrement: bool, time: Time) -> Response<'static> {
        let change = Arithmetic { decrement, delta, cas: None, new_cas: None };
        let (hash, mut storage) = self.cache.lock(key);
        match storage.arithmetic(hash, key, &change, time) {
            Ok((_, number)) => Response::Number(number),
            Err(ArithmeticError::NonNumeric) => NON_NUMERIC,
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
        if megabytes < MIN_MEGABYTES {
            return Response::Line(TOO_SMALL);
        }
        self.cache.limit_memory((megabytes as usize) << 20, time);
        Response::Ok
    }
}

impl Handler for CacheHandler {
    fn handle(
        &mut self,
        request: Request<'_>,
        data: Data<'_>,
        reply: &mut Reply<'_>,
    ) -> Result<(), ReplyError> {
        let time = Time::new(reply.now());
        let store = |item, mode| {
            let how = StoreOptions { mode, ..StoreOptions::default() };
            self.store(item, &data, &how, time)
        };
        let response = match &request {
            Request::Get(keys) => return self.items(keys.clone(), false, None, reply),
            Request::Gets(keys) => return self.items(keys.clone(), true, None, reply),
            Request::Gat { exptime, keys } => {
                let expiry = Deadline::of(*exptime, time);
                return self.items(keys.clone(), false, Some(expiry), reply);
            }
            Request::Gats { exptime, keys } => {
                let expiry = Deadline::of(*exptime, time);
                return self.items(keys.clone(), true, Some(expiry), reply);
            }
            Request::MetaGet(meta) => return self.meta_get(meta, reply),
            Request::MetaSet(meta) => return self.meta_set(meta, &data, reply),
            Request::MetaDelete(meta) => return self.meta_delete(meta, reply),
            Request::MetaArithmetic(meta) => return self.meta_arithmetic(meta, reply),
            Request::MetaDebug { key, base64 } => return self.meta_debug(key, *base64, reply),
            Request::MetaNoop => Response::MetaNoop,
            Request::Set(item) => store(item, StoreMode::Set),
            Request::Add(item) => store(item, StoreMode::Add),
            Request::Replace(item) => store(item, StoreMode::Replace),
            Request::Append(item) => store(item, StoreMode::Append),
            Request::Prepend(item) => store(item, StoreMode::Prepend),
            Request::Cas { store: item, unique } => {
                let how = StoreOptions { cas: Some(*unique), ..StoreOptions::default() };
                self.store(item, &data, &how, time)
            }
            Request::Delete { key, .. } => {
                let (hash, mut storage) = self.cache.lock(key);
                match storage.delete(hash, key, None, time) {
                    Ok(()) => Response::Deleted,
                    Err(DeleteError::NotFound | DeleteError::Exists) => Response::NotFound,
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
            Request::Stats { arguments } => return stats::answer(&self.cache, arguments, reply),
            Request::CacheMemlimit { megabytes, .. } => self.limit_memory(*megabytes, time),
            Request::Shutdown { .. } => Response::Line(b"SERVER_ERROR: shutdown not enabled"),
            // What tells memcached's slabs and threads what to do has nothing to do here.
            _ => Response::Error(b""),
        };
        reply.send(&response)
    }

    /// As in memcached, `set` and, in every mode, `ms` let go of what is there, lest it be read as the new
    /// value.
    fn too_large(&mut self, request: Request<'_>, now: Now) {
        let mut room = [0; MAX_KEY];
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
            storage.discard(hash, key, Time::new(now));
        }
    }
}

/// What of a `get` of many keys did not fit into what may wait to be written.
struct Rest {
    items: VecDeque<StoredItem>,
    with_cas: bool,
}

impl Deferred for Rest {
    fn poll(&mut self, reply: &mut Reply<'_>, _: &mut Context<'_>) -> Poll<Result<(), ReplyError>> {
        while !reply.is_full() {
            let Some(item) = self.items.pop_front() else {
                return Poll::Ready(reply.end());
            };
            if let Err(error) = give_item(&item, self.with_cas, reply) {
                return Poll::Ready(Err(error));
            }
        }
        // Asked again when the client has taken some.
        Poll::Pending
    }
}

fn read<'a>(
    storage: &'a mut Storage,
    hash: u64,
    key: &[u8],
    expiry: Option<Deadline>,
    time: Time,
) -> Option<&'a StoredItem> {
    match expiry {
        None => storage.read(hash, key, time),
        Some(expiry) => storage.touch(hash, key, expiry, time),
    }
}

fn give_item(item: &StoredItem, with_cas: bool, reply: &mut Reply<'_>) -> Result<(), ReplyError> {
    let (key, flags, cas) = (item.key(), item.flags, with_cas.then_some(item.cas));
    if item.value().len() < SHARE_FROM {
        reply.value(key, flags, cas, item.value())
    } else {
        reply.value(key, flags, cas, &item.shared_value())
    }
}

pub(crate) const NON_NUMERIC: Response<'static> =
    Response::ClientError(b"cannot increment or decrement non-numeric value");

/// The answer where a value is too large.
pub(crate) const fn no_room(error: StoreError) -> Response<'static> {
    Response::ServerError(match error {
        StoreError::TooLarge => b"object too large for cache",
        _ => b"out of memory storing object",
    })
}
