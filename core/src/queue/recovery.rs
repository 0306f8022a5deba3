//! From the segments of a journal back to an engine.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use bytes::Bytes;

use super::config::Config;
use super::engine::Engine;
use super::items::Item;
use super::record::{self, Kind, Record};
use super::segment::{self, Damage, HEADER, SegmentEnd};
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
    /// Whole records read.
    pub records: u64,
}

/// Reads the segments of a journal, oldest first, and rebuilds the queues.
///
/// It reports damage and goes on behind it, so that a whole report can be given; the caller
/// decides whether to go on to [`finish`](Self::finish).
#[derive(Debug, Default)]
pub struct Recovery {
    queues: BTreeMap<Bytes, BTreeMap<u64, Item>>,
    /// Queues that follow another one, and the last segment that says so.
    following: BTreeMap<Bytes, u64>,
    next_id: u64,
    records: u64,
}

impl Recovery {
    /// A recovery that has read nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads one segment's bytes.
    pub fn segment(&mut self, number: u64, bytes: &[u8], place: Place) -> SegmentReport {
        let end = match place {
            Place::Closed { end } | Place::LastClean { end } => SegmentEnd::At(end),
            Place::LastOpen { synced } => SegmentEnd::AtLeast(synced),
        };
        let scan = segment::scan(bytes, end, |_, record| self.apply(number, &record));
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

    fn apply(&mut self, segment: u64, record: &Record<'_>) {
        match record.kind {
            Kind::Put => self.put(segment, record),
            Kind::Remove => {
                self.next_id = self.next_id.max(record.id.saturating_add(1));
                if let Some(queue) = self.queues.get_mut(record.queue) {
                    queue.remove(&record.id);
                }
            }
            Kind::Discard => {
                self.next_id = self.next_id.max(record.id);
                if let Some(queue) = self.queues.get_mut(record.queue) {
                    let mut left = queue.split_off(&record.id);
                    let kept = record::kept(record.rest);
                    left.extend(kept.filter_map(|id| queue.remove_entry(&id)));
                    *queue = left;
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

    fn put(&mut self, segment: u64, record: &Record<'_>) {
        if !self.queues.contains_key(record.queue) {
            self.queues.insert(Bytes::copy_from_slice(record.queue), BTreeMap::new());
        }
        let Some(queue) = self.queues.get_mut(record.queue) else {
            return;
        };
        let (added, items) = record::put_parts(Bytes::copy_from_slice(record.rest));
        let mut id = record.id;
        for record::Item { data, expires } in items {
            queue.insert(id, Item { id, data, expires, added, segment });
            id = id.saturating_add(1);
        }
        self.next_id = self.next_id.max(id);
    }

    /// The engine with what was found, at `now`.
    pub fn finish(self, config: Config, now: UnixTime) -> (Engine, Recovered) {
        let found = Recovered {
            items: self.queues.values().map(|items| items.len() as u64).sum(),
            queues: self.queues.values().filter(|items| !items.is_empty()).count() as u64,
            records: self.records,
        };
        let next_id = self.next_id.max(1);
        (Engine::recovered(config, self.queues, self.following, next_id, now), found)
    }
}
