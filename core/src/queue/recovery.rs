//! From the segments of a journal back to an engine.

mod found;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use bytes::Bytes;

use self::found::FoundQueue;
use super::config::Config;
use super::engine::Engine;
use super::index::Index;
use super::read_back::{JournalRead, ReadBack};
use super::record::{Kind, Record};
use super::segment::{self, Damage, HEADER, SegmentEnd};
use super::state::Position;
use super::usage::Usage;
use crate::UnixTime;

/// Where a segment stands in the chain, and so what is known of its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Another segment follows, which says where this one ends.
    Closed {
        /// The end.
        end: u64,
    },
    /// The last segment of a journal that was stopped cleanly.
    LastClean {
        /// Where the stop left it.
        end: u64,
    },
    /// The last segment of a journal that was not: its tail may be torn.
    LastOpen {
        /// Up to here it is known to have been on the disk; 0 when nothing is known.
        synced: u64,
    },
}

/// What was found in one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SegmentReport {
    /// Whole records.
    pub records: u64,
    /// Whole records that stand behind the first damage.
    pub records_after_damage: u64,
    /// Bytes that a write left unfinished when the server or the machine went down. Nobody was
    /// told that they were stored; they can be cut.
    pub torn: Vec<Damage>,
    /// Bytes that were whole once: events may be lost.
    pub damage: Vec<Damage>,
    /// Where the segment's bytes end: what stands behind in the file is left over from an earlier life.
    pub end: u64,
    /// The salt of its records ([`Scan::salt`](super::segment::Scan::salt)).
    pub salt: u32,
}

/// What a finished recovery found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovered {
    /// Items that are in the queues.
    pub items: u64,
    /// Queues that have any.
    pub queues: u64,
    /// Whole records read: those of the segments that were read as a whole.
    pub records: u64,
}

/// Reads the segments of a journal, oldest first, and rebuilds the queues.
///
/// It reports damage and goes on behind it, so that a whole report can be given; the caller
/// decides whether to go on to [`finish`](Self::finish).
///
/// Items that have no room in memory are left in the journal. Where some of those are gone, the others are
/// looked for in the segments once more: [`next_read`](Self::next_read).
///
/// ```
/// use windhover_core::queue::segment::Header;
/// use windhover_core::queue::{
///     Config, Engine, OpId, Place, PutBuilder, Recovered, Recovery, SegmentReport,
/// };
/// use windhover_core::{Now, UnixTime};
///
/// // What a server had written when the power went: a segment's header, and one put.
/// let created = UnixTime::from_secs(1_700_000_000);
/// let header = Header {
///     number: 1,
///     previous: 0,
///     previous_end: 0,
///     oldest: 1,
///     created,
///     salt: 7,
///     leftover: 0,
/// };
/// let mut engine = Engine::new(Config::default());
/// let mut put = PutBuilder::new(b"jobs", created)?;
/// put.item(None, b"resize 7");
/// engine.put(OpId(1), put.finish(), Now::default())?;
/// let batch = engine.begin_append().expect("a put leaves bytes to append");
/// let mut segment = header.encode().to_vec();
/// segment.extend(batch.encode(7, 64).concat());
/// // The next record was on its way.
/// segment.extend(b"\x20\0\0\0half a hea");
///
/// let mut recovery = Recovery::new();
/// let report = recovery.segment(1, &segment, Place::LastOpen { synced: 0 });
/// let SegmentReport { records, torn, damage, .. } = report;
/// assert_eq!((records, torn.len(), damage.len()), (1, 1, 0));
/// let (engine, found) = recovery.finish(Config::default(), created);
/// assert!(matches!(found, Recovered { items: 1, queues: 1, .. }));
/// assert_eq!(engine.stats_of(b"jobs").bytes, 8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Recovery {
    queues: BTreeMap<Bytes, FoundQueue>,
    /// Queues that follow another one, and the last segment that says so.
    following: BTreeMap<Bytes, u64>,
    next_id: u64,
    records: u64,
    /// What is before that place is known from an index.
    from: Position,
    /// How much memory the items may take, and how much they do.
    memory: u64,
    loaded: u64,
    next_read: u64,
    /// In the segment that is being read, whole records follow one another from here on.
    whole_from: u64,
    /// Where the last one ended.
    whole_to: u64,
}

impl Default for Recovery {
    fn default() -> Self {
        Self::new()
    }
}

impl Recovery {
    /// A recovery that has read nothing yet, and keeps every item in memory.
    pub fn new() -> Self {
        Self::with_memory(u64::MAX)
    }

    /// The same, which keeps items of so many bytes in memory at most, as
    /// [`Config::queue_memory`] counts them.
    pub fn with_memory(memory: u64) -> Self {
        let from = Position { segment: 0, end: 0 };
        let (queues, next_id, records) = (BTreeMap::new(), 0, 0);
        let (loaded, next_read, whole_from, whole_to) = (0, 0, 0, 0);
        let following = BTreeMap::new();
        Self {
            queues,
            following,
            next_id,
            records,
            from,
            memory,
            loaded,
            next_read,
            whole_from,
            whole_to,
        }
    }

    /// A recovery that knows what is before the place of an index. That segment and those behind it are to be
    /// read; `oldest` is the oldest one that there is.
    pub fn indexed(index: Index, oldest: u64, memory: u64) -> Self {
        let (from, next_id) = (index.at(), index.next_id);
        let following = index.following.into_iter().collect();
        let queues = index.queues.into_iter();
        let queues = queues.map(|q| (q.name.clone(), FoundQueue::indexed(q, oldest))).collect();
        Self { queues, following, next_id, from, ..Self::with_memory(memory) }
    }

    /// Reads one segment's bytes.
    pub fn segment(&mut self, number: u64, bytes: &[u8], place: Place) -> SegmentReport {
        let end = match place {
            Place::Closed { end } | Place::LastClean { end } => SegmentEnd::At(end),
            Place::LastOpen { synced } => SegmentEnd::AtLeast(synced),
        };
        let known = match number.cmp(&self.from.segment) {
            core::cmp::Ordering::Less => u64::MAX,
            core::cmp::Ordering::Equal => self.from.end,
            core::cmp::Ordering::Greater => 0,
        };
        (self.whole_from, self.whole_to) = (0, 0);
        let scan = segment::scan(bytes, end, |offset, record| {
            if offset != self.whole_to {
                self.whole_from = offset;
            }
            self.whole_to = offset.saturating_add(record.len as u64);
            if offset >= known {
                self.apply(number, offset, &record);
            }
        });
        self.records += scan.records;
        // What is known to have been on the disk, also by what the segment says of itself, is damage
        // wherever it fails; behind that, in a segment that was being written, it is an unfinished
        // write.
        let may_be_torn = |damage: &Damage| match place {
            Place::LastOpen { synced } => {
                damage.range.start >= synced.max(scan.synced).max(HEADER as u64)
            }
            Place::Closed { .. } | Place::LastClean { .. } => false,
        };
        let (torn, damage) = scan.damage.into_iter().partition(may_be_torn);
        SegmentReport {
            records: scan.records,
            records_after_damage: scan.records_after_damage,
            torn,
            damage,
            end: scan.end,
            salt: scan.salt,
        }
    }

    fn apply(&mut self, segment: u64, offset: u64, record: &Record<'_>) {
        match record.kind {
            Kind::Put => self.put(segment, offset, record),
            Kind::Remove => {
                self.next_id = self.next_id.max(record.id.saturating_add(1));
                if let Some(queue) = self.queues.get_mut(record.queue) {
                    queue.remove(record.id, &mut self.loaded);
                }
            }
            Kind::Discard => {
                self.next_id = self.next_id.max(record.id);
                if let Some(queue) = self.queues.get_mut(record.queue) {
                    queue.discard(record, &mut self.loaded);
                }
            }
            Kind::Follow => {
                self.following.insert(Bytes::copy_from_slice(record.queue), segment);
            }
            Kind::Unfollow => {
                self.following.remove(record.queue);
            }
            Kind::Synced | Kind::Filler => {}
        }
    }

    fn put(&mut self, segment: u64, offset: u64, record: &Record<'_>) {
        let place = (segment, offset..offset.saturating_add(record.len as u64));
        let whole = (segment, self.whole_from);
        for (name, first_id) in record.puts() {
            if !self.queues.contains_key(name) {
                self.queues.insert(Bytes::copy_from_slice(name), FoundQueue::default());
            }
            let Some(queue) = self.queues.get_mut(name) else {
                continue;
            };
            let items = (first_id, record.rest);
            let behind = queue.put(items, &place, whole, self.memory, &mut self.loaded);
            self.next_id = self.next_id.max(behind);
        }
    }

    /// Once all segments were read: what has to be looked at again, one stretch after the other. What is there
    /// goes to [`read_back`](Self::read_back).
    pub fn next_read(&mut self) -> Option<JournalRead> {
        let unsure = |(name, queue): (&Bytes, &mut FoundQueue)| {
            queue.next_unsure().map(|extent| (name.clone(), extent))
        };
        let (name, extent) = self.queues.iter_mut().find_map(unsure)?;
        self.next_read += 1;
        Some(JournalRead::new(self.next_read, name, &extent, 0))
    }

    /// Tells what was found where [`next_read`](Self::next_read) said.
    pub fn read_back(&mut self, read: &JournalRead, found: ReadBack) {
        if let Some(queue) = self.queues.get_mut(&read.queue) {
            queue.sort_out(read.segment(), found);
        }
    }

    /// The engine with what was found, at `now`.
    pub fn finish(self, config: Config, now: UnixTime) -> (Engine, Recovered) {
        let mut engine = Engine::new(config);
        let mut usage = Usage::default();
        let mut queues = Vec::new();
        let mut found = Recovered { items: 0, queues: 0, records: self.records };
        for (name, queue) in self.queues {
            let bounds = engine.bounds_of(&name);
            let queue = queue.finish(name, bounds, now, &mut usage);
            if queue.extents.items() > 0 {
                found.items += queue.extents.items();
                found.queues += 1;
                queues.push(queue);
            }
        }
        let next_id = self.next_id.max(1);
        engine.recover(queues, usage, self.following, next_id, now);
        (engine, found)
    }
}
