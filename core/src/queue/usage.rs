//! Which segments of the journal still hold items that are needed, and what is held in memory.

use alloc::collections::BTreeMap;

use super::config::QueueConfig;

/// What one segment still holds.
#[derive(Clone, Copy, Debug, Default)]
struct Live {
    items: u64,
    /// No item of the segment has a larger id.
    max_id: u64,
}

/// Counts, per segment, the items that are still needed. Segments are deleted oldest first, never
/// out of order: while a put is in the journal, the removal that stands behind it must be too, or
/// the item would come back.
#[derive(Debug, Default)]
pub(super) struct Usage {
    segments: BTreeMap<u64, Live>,
    /// Bytes of all live items, with what their records add.
    live_bytes: u64,
    /// Items that are in memory, and their bytes.
    loaded: u64,
    loaded_bytes: u64,
}

impl Usage {
    /// Items are in a segment, the last with that id; what they take in the journal.
    pub(super) fn add(&mut self, segment: u64, last_id: u64, items: u64, bytes: u64) {
        let live = self.segments.entry(segment).or_default();
        live.items += items;
        live.max_id = live.max_id.max(last_id);
        self.live_bytes += bytes;
    }

    pub(super) fn remove(&mut self, segment: u64, items: u64, bytes: u64) {
        self.live_bytes = self.live_bytes.saturating_sub(bytes);
        if let Some(live) = self.segments.get_mut(&segment) {
            live.items = live.items.saturating_sub(items);
            if live.items == 0 {
                self.segments.remove(&segment);
            }
        }
    }

    /// The oldest segment that holds a live item, and the largest id in it.
    pub(super) fn oldest(&self) -> Option<(u64, u64)> {
        self.segments.first_key_value().map(|(&number, live)| (number, live.max_id))
    }

    pub(super) fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    /// An item with so many bytes came into memory.
    pub(super) fn load(&mut self, bytes: usize) {
        self.loaded += 1;
        self.loaded_bytes += bytes as u64;
    }

    /// One went from memory.
    pub(super) fn unload(&mut self, bytes: usize) {
        self.loaded = self.loaded.saturating_sub(1);
        self.loaded_bytes = self.loaded_bytes.saturating_sub(bytes as u64);
    }

    /// What the items in memory take.
    pub(super) fn memory(&self) -> u64 {
        QueueConfig::taken(self.loaded, self.loaded_bytes)
    }
}
