//! Items that are not in memory, read back from the journal.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::ops::{Range, RangeInclusive};

use bytes::Bytes;

use super::extents::Extent;
use super::items::Item;
use super::record::{self, Kind};

/// A stretch of a segment that an engine or a recovery needs; see
/// [`EngineOutput::Read`](super::EngineOutput::Read).
///
/// An engine without memory for its items, whose journal is a vector:
///
/// ```
/// use core::time::Duration;
/// use windhover_core::Now;
/// use windhover_core::queue::{
///     Config, ConnId, Engine, EngineOutput, OpId, OpOutcome, PutBuilder, Read, ReadBack,
///     ReadBackError, Written,
/// };
///
/// let now = Now::default();
/// let mut config = Config::default();
/// config.queue_memory = 0;
/// let mut engine = Engine::new(config);
/// let mut put = PutBuilder::new(b"jobs", now.unix)?;
/// put.item(None, b"resize 7");
/// engine.put(OpId(1), put.finish(), now)?;
/// let batch = engine.begin_append().expect("a put leaves bytes to append");
/// let (salt, offset) = (7, 64);
/// let journal = batch.encode(salt, offset).concat();
/// engine.journaled(batch, Ok(Written { segment: 1, offset }), now);
/// # assert!(matches!(engine.poll_output(now), EngineOutput::Done { .. }));
///
/// // Somebody asks for the item, which is in the journal alone.
/// assert_eq!(engine.get(OpId(2), ConnId(1), b"jobs", Read::default(), now), None);
/// let EngineOutput::Read(read) = engine.poll_output(now) else { panic!("it is needed") };
/// assert_eq!((read.segment(), read.range().clone()), (1, 64..64 + journal.len() as u64));
/// // A segment that was cut, or overwritten, is noticed.
/// let lost = ReadBackError { segment: 1, offset: 64 };
/// assert_eq!(read.decode(salt, &journal[1..]), Err(lost));
/// let found: ReadBack = read.decode(salt, &journal)?;
/// engine.read_back(&read, Ok(found), now);
/// let item = OpOutcome::Item("resize 7".into());
/// assert_eq!(engine.poll_output(now), EngineOutput::Done { op: OpId(2), outcome: item });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalRead {
    /// Unique among the reads of an engine.
    pub(super) id: u64,
    pub(super) queue: Bytes,
    segment: u64,
    range: Range<u64>,
    /// Of the items in it, those that are wanted.
    pub(super) ids: RangeInclusive<u64>,
    /// Other queues that have the same items are wanted too.
    with_others: bool,
}

impl JournalRead {
    /// A read of that extent, for its items with ids above that one.
    pub(super) fn new(id: u64, queue: Bytes, extent: &Extent, above: u64) -> Self {
        let first = extent.first_id.max(above.saturating_add(1));
        let ids = first..=extent.last_id;
        let (segment, range) = (extent.segment, extent.range.clone());
        Self { id, queue, segment, range, ids, with_others: false }
    }

    /// The same, also for the names of other queues that have the items.
    pub(super) fn with_others(self) -> Self {
        Self { with_others: true, ..self }
    }

    /// The segment's number.
    pub const fn segment(&self) -> u64 {
        self.segment
    }

    /// The bytes of the segment. They are no more than 256 KiB, but for a single record that is longer.
    pub const fn range(&self) -> &Range<u64> {
        &self.range
    }

    /// Whether it reads from where that extent stands.
    pub(super) fn is_of(&self, extent: &Extent) -> bool {
        self.segment == extent.segment && self.range.start == extent.range.start
    }

    /// The items that are wanted, of those bytes: the ones at [`range`](Self::range) in the segment, which
    /// has that salt ([`segment::Header::salt`](super::segment::Header::salt)). It takes no lock of the
    /// engine's, nor its time.
    ///
    /// # Errors
    /// When they are not what was written there.
    pub fn decode(&self, salt: u32, bytes: &[u8]) -> Result<ReadBack, ReadBackError> {
        let mut found = Gathered::default();
        let mut at = self.range.start;
        let mut rest = bytes;
        while at < self.range.end {
            let damaged = || ReadBackError { segment: self.segment, offset: at };
            let record = record::decode(rest, salt, at).map_err(|_| damaged())?;
            let is_put = record.kind == Kind::Put;
            let mut puts = record.puts().filter(|_| is_put);
            if let Some((_, first_id)) = puts.find(|(queue, _)| *queue == &*self.queue) {
                self.put(&record, first_id, at, &mut found);
            }
            at += record.len as u64;
            rest = rest.get(record.len..).unwrap_or_default();
        }
        found.share();
        Ok(ReadBack { items: found.items })
    }

    fn put(&self, record: &record::Record<'_>, first_id: u64, at: u64, into: &mut Gathered) {
        if first_id > *self.ids.end() {
            return;
        }
        let others = self.others(record, first_id);
        let (added, items) = record::borrowed_put_parts(record.rest);
        let range = at..at + record.len as u64;
        for (id, (data, expires)) in record::ids_from(first_id).zip(items) {
            if self.ids.contains(&id) {
                let item = Item { id, data: Bytes::new(), expires, added };
                into.push(Located { item, record: range.clone(), others: others.clone() }, data);
            }
        }
    }

    /// Other queues that have a put's items, if they are wanted.
    fn others(&self, record: &record::Record<'_>, first_id: u64) -> Option<Arc<[(Bytes, u64)]>> {
        let others = record.puts().filter(|(queue, _)| self.with_others && *queue != &*self.queue);
        let ahead =
            |(queue, id): (&[u8], u64)| (Bytes::copy_from_slice(queue), id.wrapping_sub(first_id));
        let others: Vec<(Bytes, u64)> = others.map(ahead).collect();
        (!others.is_empty()).then(|| others.into())
    }
}

/// Items share so many bytes of memory, or little more: an allocation for each would be most of what a read costs.
const SHARED: usize = 4096;

/// Items, the last of which have no data yet: it waits to be shared.
#[derive(Debug, Default)]
struct Gathered {
    items: Vec<Located>,
    data: Vec<u8>,
    /// How long that of each of the last items is.
    lens: Vec<usize>,
}

impl Gathered {
    fn push(&mut self, located: Located, data: &[u8]) {
        if !self.data.is_empty() && self.data.len() + data.len() > SHARED {
            self.share();
        }
        if self.data.is_empty() {
            self.data.reserve_exact(data.len().max(SHARED));
        }
        self.data.extend_from_slice(data);
        self.lens.push(data.len());
        self.items.push(located);
    }

    /// Gives the last items their data. The stretch that was read does not stay for the sake of one of them.
    fn share(&mut self) {
        let mut data = core::mem::take(&mut self.data);
        if data.len() < SHARED / 2 {
            data.shrink_to_fit();
        }
        let mut data = Bytes::from(data);
        let first = self.items.len().saturating_sub(self.lens.len());
        let last = self.items.iter_mut().skip(first);
        for (located, len) in last.zip(self.lens.drain(..)) {
            located.item.data = data.split_to(len.min(data.len()));
        }
    }
}

/// An item and the place of its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Located {
    pub(super) item: Item,
    pub(super) record: Range<u64>,
    /// Other queues that have it, and what their ids are ahead of this one; where they were asked for.
    pub(super) others: Option<Arc<[(Bytes, u64)]>>,
}

/// What was read of the journal; see [`JournalRead::decode`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadBack {
    pub(super) items: Vec<Located>,
}

/// A part of the journal is not as it was written, or cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadBackError {
    /// The segment's number.
    pub segment: u64,
    /// The offset of the record.
    pub offset: u64,
}

impl fmt::Display for ReadBackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { segment, offset } = self;
        write!(f, "segment {segment} of the journal has no whole record at byte {offset}")
    }
}

impl core::error::Error for ReadBackError {}
