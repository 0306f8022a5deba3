//! Requests made ready to be sent, as often as it takes.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;
use core::ops::Range;
use core::time::Duration;

use bytes::{Bytes, BytesMut};

use super::{BLOCK_END, EncodeError, Request, StoreRequest, encode, encode_line};
use crate::buffer::Outgoing;
use crate::memcache::Limits;
use crate::memcache::command::{self, Command, Row};
use crate::memcache::kestrel::ReadMode;
use crate::memcache::response::ReplyEnd;
use crate::memcache::{Dialect, key, number};

/// Room for a line without its keys.
const LINE: usize = 64;

/// The room for a line that is kept for the next request.
const KEPT: usize = 1024;

/// A request that was checked and encoded once, with what its connection has to know of the
/// answer. It can be sent to any server of its dialect, and again to another one; copies are cheap
/// and share their bytes.
///
/// ```
/// use bytes::Bytes;
/// use windhover_core::memcache::request::{EncodeError, Prepared, Request, StoreRequest};
/// use windhover_core::memcache::{Dialect, Limits};
///
/// let set = Request::Set(StoreRequest::new(b"greeting"));
/// let limits = Limits::default();
/// let prepared = Prepared::new(&set, Bytes::from_static(b"hello"), Dialect::Memcached, &limits)?;
/// assert_eq!(prepared.wire().concat(), b"set greeting 0 0 5\r\nhello\r\n");
///
/// let silent = Request::Delete { key: b"k", noreply: true };
/// let refused = Prepared::new(&silent, Bytes::new(), Dialect::Memcached, &limits);
/// assert_eq!(refused.err(), Some(EncodeError::NeedsBarrier));
/// # Ok::<(), EncodeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Prepared(Arc<Shared>);

/// The memory of a request that is over ([`Prepared::into_spare`]), for the next one.
///
/// ```
/// use bytes::Bytes;
/// use windhover_core::memcache::request::{EncodeError, Prepared, Request};
/// use windhover_core::memcache::{Dialect, Keys, Limits};
///
/// let limits = Limits::default();
/// let mut spare = None;
/// for key in [&b"one"[..], b"two", b"three"] {
///     let keys = [key];
///     let get = Request::Get(Keys::new(&keys));
///     let prepared = Prepared::new_in(spare, &get, Bytes::new(), Dialect::Memcached, &limits)?;
///     assert_eq!(prepared.key(), key);
///     spare = prepared.into_spare();
/// }
/// # Ok::<(), EncodeError>(())
/// ```
#[derive(Debug)]
pub struct SpareRequest(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    wire: Wire,
    expected: Expected,
}

#[derive(Debug)]
enum Wire {
    /// The line that the answer is matched with.
    Line,
    /// The same, with a data block.
    Store(Bytes),
    Batch(Box<[Bytes]>),
}

/// What a connection has to know of a request to match its answer.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Expected {
    pub(crate) reply: ReplyEnd,
    pub(crate) row: &'static Row,
    /// The line; of a batch, what names its first key.
    line: BytesMut,
    /// The words of it that name what may be answered: keys, or a queue.
    keys: Range<usize>,
    /// The flags of a meta command, as they stand on it.
    flags: Range<usize>,
    /// How long the server may rightly say nothing.
    pub(crate) wait: Duration,
    /// Whether an item that comes is only set aside: it is put back when the connection closes.
    pub(crate) opens: bool,
    /// Whether the item that is open is confirmed or put back.
    pub(crate) closes: bool,
    /// Whether a queue is read for a consumer group, whose name the answer may carry too.
    pub(crate) group: bool,
    /// How many requests stand before this one, the barrier of a batch.
    pub(crate) batch: Option<usize>,
    /// Whether one of them has a data block.
    pub(crate) batch_has_data: bool,
}

impl Prepared {
    /// Checks and encodes a request. `data` is its data block; empty where the command takes none.
    ///
    /// # Errors
    /// [`EncodeError`]; for a request that hides its answer (`noreply`, the meta flag `q`)
    /// [`EncodeError::NeedsBarrier`]: it belongs into a [`Batch`](super::Batch).
    pub fn new(
        request: &Request<'_>,
        data: Bytes,
        dialect: Dialect,
        limits: &Limits,
    ) -> Result<Self, EncodeError> {
        Self::new_in(None, request, data, dialect, limits)
    }

    /// The same in the memory of a request that is over: nothing is allocated where the line has room in it.
    ///
    /// # Errors
    /// As [`new`](Self::new); the memory is given back to the system.
    pub fn new_in(
        spare: Option<SpareRequest>,
        request: &Request<'_>,
        data: Bytes,
        dialect: Dialect,
        limits: &Limits,
    ) -> Result<Self, EncodeError> {
        if request.noreply() && dialect.is_queue() {
            return Err(EncodeError::NoreplyNotKnown);
        }
        if request.noreply() || request.quiet() {
            return Err(EncodeError::NeedsBarrier);
        }
        let row = row_of(request, dialect)?;
        let keys: usize = request.keys().map(|key| key.len() + 1).sum();
        // Nobody shares what is spare.
        let mut spare = spare.map(|spare| spare.0);
        let mut line = match spare.as_mut().and_then(Arc::get_mut) {
            Some(room) => mem::take(&mut room.expected.line),
            None => BytesMut::new(),
        };
        line.clear();
        line.reserve(keys + LINE);
        let wire = if matches!(request, Request::Authenticate { .. }) {
            encode(request, &data, dialect, limits, &mut line)?;
            Wire::Line
        } else if encode_line(request, data.len(), dialect, limits, &mut line)? {
            Wire::Store(data)
        } else {
            Wire::Line
        };
        let expected = Expected::of(request, row, line, dialect);
        let shared = Shared { wire, expected };
        if let Some(mut spare) = spare
            && let Some(room) = Arc::get_mut(&mut spare)
        {
            *room = shared;
            return Ok(Self(spare));
        }
        Ok(Self(Arc::new(shared)))
    }

    /// Its memory, for the next request; `None` where a copy of it is in use still, or it is large.
    pub fn into_spare(mut self) -> Option<SpareRequest> {
        let shared = Arc::get_mut(&mut self.0)?;
        if shared.expected.line.capacity() > KEPT {
            return None;
        }
        // The application's data is not kept for the sake of that.
        shared.wire = Wire::Line;
        Some(SpareRequest(self.0))
    }

    /// The command that is answered: of a [`Batch`](super::Batch) its barrier.
    pub fn command(&self) -> Command {
        self.0.expected.reply.command()
    }

    /// The first key, or the queue; empty where the command has none.
    pub fn key(&self) -> &[u8] {
        key::first_word(self.0.expected.keys()).map_or(&[], |(key, _)| key)
    }

    /// The keys that are asked for, in their order, or the queue.
    pub fn keys(&self) -> impl Iterator<Item = &[u8]> + Clone {
        key::words(self.0.expected.keys())
    }

    /// The key, or the queue, where it names just one.
    pub fn only_key(&self) -> Option<&[u8]> {
        let mut keys = self.keys();
        let key = keys.next()?;
        keys.next().is_none().then_some(key)
    }

    /// How many bytes it is on the wire.
    pub fn len(&self) -> usize {
        let Shared { wire, expected } = &*self.0;
        match wire {
            Wire::Line => expected.line.len(),
            Wire::Store(data) => expected.line.len() + data.len() + BLOCK_END.len(),
            Wire::Batch(pieces) => pieces.iter().map(Bytes::len).sum(),
        }
    }

    /// Whether it has no bytes: never.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its bytes, in order: for tests and logs.
    pub fn wire(&self) -> Vec<Bytes> {
        let mut out = Outgoing::new();
        self.put(&mut out);
        out.take()
    }

    pub(crate) fn put(&self, out: &mut Outgoing) {
        let Shared { wire, expected } = &*self.0;
        match wire {
            Wire::Line => out.put(&expected.line),
            Wire::Store(data) => {
                out.put(&expected.line);
                out.put_segment(data);
                out.put(BLOCK_END);
            }
            Wire::Batch(pieces) => pieces.iter().for_each(|piece| out.put_segment(piece)),
        }
    }

    /// `first_key` decides where it goes.
    pub(super) fn batch(pieces: Vec<Bytes>, first_key: &[u8], barrier: Expected) -> Self {
        let expected = Expected { line: first_key.into(), keys: 0..first_key.len(), ..barrier };
        Self(Arc::new(Shared { wire: Wire::Batch(pieces.into()), expected }))
    }

    pub(crate) fn expected(&self) -> &Expected {
        &self.0.expected
    }
}

/// The row of a request, where the dialect has it.
pub(super) fn row_of(request: &Request<'_>, dialect: Dialect) -> Result<&'static Row, EncodeError> {
    let command = request.command();
    command::row(command, dialect).ok_or(EncodeError::NotInDialect { command })
}

impl Expected {
    /// `line` is the request's, of that row.
    pub(super) fn of(
        request: &Request<'_>,
        row: &'static Row,
        line: BytesMut,
        dialect: Dialect,
    ) -> Self {
        let arguments = row.verb.len()..line.len().saturating_sub(BLOCK_END.len());
        let mut expected = Self {
            reply: ReplyEnd::to(request, dialect),
            row,
            line,
            keys: 0..0,
            flags: 0..0,
            wait: Duration::ZERO,
            opens: false,
            closes: false,
            group: false,
            batch: None,
            batch_has_data: false,
        };
        // A word and the space before it.
        let word = |word: &[u8]| arguments.start..arguments.start + 1 + word.len();
        match request {
            Request::Get(_) | Request::Gets(_) => expected.keys = arguments,
            Request::Gat { exptime, .. } | Request::Gats { exptime, .. } => {
                let digits = number::digits(exptime.unsigned_abs(), &mut [0; 20]).len();
                let skipped = 1 + usize::from(*exptime < 0) + digits;
                expected.keys = arguments.start + skipped..arguments.end;
            }
            Request::QueueRead(read) => {
                expected.keys = word(read.queue);
                expected.wait = read.timeout.unwrap_or_default();
                expected.opens = read.mode.opens();
                expected.closes = read.mode.closes() || read.mode == ReadMode::Abort;
                expected.group = read.group.is_some();
            }
            Request::Monitor { queue, seconds, .. } => {
                expected.keys = word(queue);
                expected.wait = Duration::from_secs(u64::from(*seconds));
                expected.opens = true;
            }
            Request::MetaGet(meta)
            | Request::MetaSet(meta)
            | Request::MetaDelete(meta)
            | Request::MetaArithmetic(meta) => {
                expected.keys = word(meta.key);
                expected.flags = expected.keys.end..arguments.end;
            }
            Request::Set(StoreRequest { key, .. })
            | Request::SetSync(StoreRequest { key, .. })
            | Request::Add(StoreRequest { key, .. })
            | Request::Replace(StoreRequest { key, .. })
            | Request::Append(StoreRequest { key, .. })
            | Request::Prepend(StoreRequest { key, .. })
            | Request::Cas { store: StoreRequest { key, .. }, .. }
            | Request::Delete { key, .. }
            | Request::Incr { key, .. }
            | Request::Decr { key, .. }
            | Request::Touch { key, .. }
            | Request::MetaDebug { key, .. }
            | Request::Flush { queue: key }
            | Request::FlushExpired { queue: key }
            | Request::Confirm { queue: key, .. }
            | Request::Roll { queue: key } => expected.keys = word(key),
            Request::Authenticate { .. }
            | Request::MetaNoop
            | Request::Version
            | Request::Verbosity { .. }
            | Request::Stats { .. }
            | Request::FlushAll { .. }
            | Request::CacheMemlimit { .. }
            | Request::Admin { .. }
            | Request::Shutdown { .. }
            | Request::Quit
            | Request::FlushAllExpired
            | Request::DumpStats { .. }
            | Request::DumpConfig { .. }
            | Request::Reload
            | Request::Status { .. } => {}
        }
        expected
    }

    pub(crate) fn keys(&self) -> &[u8] {
        self.line.get(self.keys.clone()).unwrap_or_default()
    }

    pub(crate) fn flags(&self) -> &[u8] {
        self.line.get(self.flags.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memcache::Keys;
    use crate::memcache::kestrel::{QueueRead, ReadMode};
    use crate::memcache::meta::{MetaFlags, MetaRequest};

    fn prepare(request: &Request<'_>, dialect: Dialect) -> Prepared {
        Prepared::new(request, Bytes::new(), dialect, &Limits::default()).unwrap()
    }

    #[test]
    fn the_keys_are_found_on_every_line() {
        let keys: [&[u8]; 2] = [b"one", b"two"];
        for request in [
            Request::Get(Keys::new(&keys)),
            Request::Gats { exptime: -15, keys: Keys::new(&keys) },
            Request::Gat { exptime: 0, keys: Keys::new(&keys) },
        ] {
            let prepared = prepare(&request, Dialect::Memcached);
            assert!(prepared.keys().eq(keys) && prepared.only_key().is_none());
        }
        let read = QueueRead::new(b"jobs", ReadMode::Open).wait(Duration::from_secs(2));
        let read = prepare(&Request::QueueRead(read), Dialect::Kestrel);
        assert_eq!((read.key(), read.only_key()), (&b"jobs"[..], Some(&b"jobs"[..])));
        assert_eq!(read.expected().wait, Duration::from_secs(2));
        let get = MetaRequest::new(b"k", MetaFlags::new(b"v O7"));
        let get = prepare(&Request::MetaGet(get), Dialect::Memcached);
        assert_eq!((get.key(), get.expected().flags()), (&b"k"[..], &b" v O7"[..]));
        assert_eq!(prepare(&Request::Version, Dialect::Memcached).key(), b"");
    }
}
