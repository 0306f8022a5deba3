//! What a start has to know of a journal, beside its last segment, so that it need not read the others.
//!
//! All numbers are little-endian:
//!
//! | bytes | field |
//! |---|---|
//! | 8 | magic; the last byte is the format's number |
//! | 8, 8, 4 | the place in the journal that this is told of: segment, offset, and the segment's salt |
//! | 8 | the next item's id |
//! | 4 | how many queues follow another one |
//! | | for each: length of the name (1), name, the last segment that says so (8) |
//! | 4 | how many queues hold items |
//! | | for each: length of the name (1), name, the largest id that was ever taken from its head (8) |
//! | | how many of the items up to that one are still there (4), their ids (8 each) |
//! | | how many extents there are (4), and for each: segment, start, end, first id, last id, items, bytes of data (8 each) |
//! | 4 | CRC-32 of all before |
//!
//! It is told anew now and then. What is behind its place in the journal is read as ever.

use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

use super::extents::Extent;
use super::items::Queue;
use super::state::Position;

/// What an index begins with. The last byte is the format's version.
const MAGIC: [u8; 8] = *b"WHINDX\0\x01";

/// See [`Engine::index`](super::Engine::index).
///
/// ```
/// use windhover_core::queue::state::Position;
/// use windhover_core::queue::{Config, Engine, Index, IndexError};
///
/// let mut engine = Engine::new(Config::default());
/// // Everything before byte 4096 of segment 3, whose salt is 7, is in it.
/// let index = engine.index(Position { segment: 3, end: 4096 }, 7);
/// let mut file = index.encode();
/// assert_eq!(Index::decode(&file), Ok(index));
/// // One that is damaged is not believed: the journal's segments say the same, only slower.
/// file[20] ^= 1;
/// assert_eq!(Index::decode(&file), Err(IndexError::Damaged));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    at: Position,
    salt: u32,
    pub(super) next_id: u64,
    /// Queues that follow another one, and the last segment that says so.
    pub(super) following: Vec<(Bytes, u64)>,
    pub(super) queues: Vec<IndexedQueue>,
}

/// A queue that holds items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IndexedQueue {
    pub(super) name: Bytes,
    pub(super) mark: u64,
    /// Of the ids up to the mark, those that are there.
    pub(super) ids: Vec<u64>,
    pub(super) extents: Vec<Extent>,
}

/// Why an index cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IndexError {
    /// It is not as it was written.
    Damaged,
    /// The format is of another version.
    Version(u8),
}

impl fmt::Display for IndexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged => f.write_str("the index is damaged"),
            Self::Version(version) => {
                write!(
                    f,
                    "the index is of format {version}; this program reads format {}",
                    MAGIC[7]
                )
            }
        }
    }
}

impl core::error::Error for IndexError {}

impl Index {
    pub(super) fn new<'a>(
        at: Position,
        salt: u32,
        next_id: u64,
        following: Vec<(Bytes, u64)>,
        queues: impl Iterator<Item = &'a Queue>,
    ) -> Self {
        let indexed = |queue: &Queue| {
            let ready = queue.ready.iter().map(|item| item.id);
            let mut ids: Vec<u64> = ready.take_while(|id| *id <= queue.mark).collect();
            ids.extend(queue.out.keys().chain(&queue.unread));
            ids.sort_unstable();
            let extents = queue.extents.iter().cloned().collect();
            IndexedQueue { name: queue.name.clone(), mark: queue.mark, ids, extents }
        };
        Self { at, salt, next_id, following, queues: queues.map(indexed).collect() }
    }

    /// The place in the journal that it is told of.
    pub const fn at(&self) -> Position {
        self.at
    }

    /// The salt of the segment that it is told of.
    pub const fn salt(&self) -> u32 {
        self.salt
    }

    /// The stretches of segments that it names: segment, and where the stretch ends.
    pub fn stretches(&self) -> impl Iterator<Item = (u64, u64)> {
        let extents = self.queues.iter().flat_map(|queue| &queue.extents);
        extents.map(|extent| (extent.segment, extent.range.end))
    }

    /// The bytes of the index.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        let mut put = |number: &[u8]| bytes.extend_from_slice(number);
        put(&self.at.segment.to_le_bytes());
        put(&self.at.end.to_le_bytes());
        put(&self.salt.to_le_bytes());
        put(&self.next_id.to_le_bytes());
        // None of these lengths comes near its bound: an index of 4 GiB would be one of a journal that no
        // disk holds, and is read as a damaged one.
        let len = |len: usize| u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes();
        let name_len = |name: &Bytes| [u8::try_from(name.len()).unwrap_or(u8::MAX)];
        put(&len(self.following.len()));
        for (name, segment) in &self.following {
            put(&name_len(name));
            put(name);
            put(&segment.to_le_bytes());
        }
        put(&len(self.queues.len()));
        for queue in &self.queues {
            put(&name_len(&queue.name));
            put(&queue.name);
            put(&queue.mark.to_le_bytes());
            put(&len(queue.ids.len()));
            queue.ids.iter().for_each(|id| put(&id.to_le_bytes()));
            put(&len(queue.extents.len()));
            for extent in &queue.extents {
                let Extent { segment, range, first_id, last_id, items, bytes } = extent;
                for number in [segment, &range.start, &range.end, first_id, last_id, items, bytes] {
                    put(&number.to_le_bytes());
                }
            }
        }
        let sum = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Reads an index.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, IndexError> {
        let (covered, sum) = bytes.split_last_chunk::<4>().ok_or(IndexError::Damaged)?;
        if crc32fast::hash(covered) != u32::from_le_bytes(*sum) {
            return Err(IndexError::Damaged);
        }
        let (magic, rest) = covered.split_first_chunk::<8>().ok_or(IndexError::Damaged)?;
        if magic[..7] != MAGIC[..7] {
            return Err(IndexError::Damaged);
        }
        if magic[7] != MAGIC[7] {
            return Err(IndexError::Version(magic[7]));
        }
        let mut rest = Rest(rest);
        rest.index().filter(|_| rest.0.is_empty()).ok_or(IndexError::Damaged)
    }
}

/// What is not read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn index(&mut self) -> Option<Index> {
        let at = Position { segment: self.u64()?, end: self.u64()? };
        let (salt, next_id, count) = (self.u32()?, self.u64()?, self.u32()?);
        let following =
            (0..count).map(|_| Some((self.name()?, self.u64()?))).collect::<Option<_>>()?;
        let count = self.u32()?;
        let queues = (0..count).map(|_| self.queue()).collect::<Option<_>>()?;
        Some(Index { at, salt, next_id, following, queues })
    }

    fn name(&mut self) -> Option<Bytes> {
        let len = usize::from(*self.take(1)?.first()?);
        self.take(len).map(Bytes::copy_from_slice)
    }

    fn queue(&mut self) -> Option<IndexedQueue> {
        let name = self.name()?;
        let mark = self.u64()?;
        let count = self.u32()?;
        let ids = (0..count).map(|_| self.u64()).collect::<Option<_>>()?;
        let count = self.u32()?;
        let extents = (0..count).map(|_| self.extent()).collect::<Option<_>>()?;
        Some(IndexedQueue { name, mark, ids, extents })
    }

    fn extent(&mut self) -> Option<Extent> {
        let segment = self.u64()?;
        let range = self.u64()?..self.u64()?;
        let (first_id, last_id) = (self.u64()?, self.u64()?);
        let (items, bytes) = (self.u64()?, self.u64()?);
        let makes_sense = range.start < range.end && first_id <= last_id && items > 0;
        makes_sense.then_some(Extent { segment, range, first_id, last_id, items, bytes })
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.first_chunk().map(|chunk| u32::from_le_bytes(*chunk))
    }

    fn u64(&mut self) -> Option<u64> {
        self.take(8)?.first_chunk().map(|chunk| u64::from_le_bytes(*chunk))
    }
}
