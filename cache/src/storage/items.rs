//! The items of a shard: found by key, in the order of their last use, within a bound of bytes.

use hashbrown::HashTable;

use super::item::StoredItem;

/// What an item costs besides its key and value: its slot, its place in the index and what the
/// allocator keeps of its memory and of the count of its users.
pub const OVERHEAD: usize = size_of::<Slot>() + 8 + 48;

/// Fewer slots than this are not worth giving back.
const COMPACT_FROM: usize = 4096;
/// No slot: a place that no list reaches.
const NONE: u32 = u32::MAX;

/// Where an item is, until it is removed or another one is stored.
///
/// ```
/// use windhover_cache::storage::{
///     Bounds, Deadline, Handle, Storage, StoreOptions, StoredItem, Time,
/// };
/// use windhover_core::Now;
/// use windhover_core::memcache::Data;
///
/// let (mut storage, now) =
///     (Storage::new(Bounds { memory: 1 << 20, item: 1 << 20 }), Time::new(Now::default()));
/// let item = StoredItem::new(b"k", 0, Deadline::NEVER, &Data::new(b"hello"));
/// let handle: Handle = storage.store(7, item, &StoreOptions::default(), now)?;
/// assert_eq!(storage.find(7, b"k", now), Some(handle));
/// assert_eq!(storage.item(handle).map(StoredItem::value), Some(&b"hello"[..]));
/// storage.remove(handle);
/// assert!(storage.item(handle).is_none());
/// # Ok::<(), windhover_cache::storage::StoreError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle(u32);

#[derive(Debug)]
struct Slot {
    /// `None` in a slot that is free.
    item: Option<StoredItem>,
    hash: u64,
    /// Towards the most recently used.
    newer: u32,
    /// Towards the least recently used; among free slots the next one.
    older: u32,
}

/// Items in slots, each linked to its neighbours in use by their numbers.
#[derive(Debug)]
pub(super) struct Items {
    slots: Vec<Slot>,
    index: HashTable<u32>,
    newest: u32,
    oldest: u32,
    free: u32,
    bytes: usize,
}

impl Items {
    pub(super) const fn new() -> Self {
        Self {
            slots: Vec::new(),
            index: HashTable::new(),
            newest: NONE,
            oldest: NONE,
            free: NONE,
            bytes: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// What all items cost.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn find(&self, hash: u64, key: &[u8]) -> Option<Handle> {
        let is_it = |&at: &u32| {
            self.slot(at).is_some_and(|slot| {
                slot.hash == hash && slot.item.as_ref().is_some_and(|item| item.key() == key)
            })
        };
        self.index.find(hash, is_it).copied().map(Handle)
    }

    pub(super) fn get(&self, handle: Handle) -> Option<&StoredItem> {
        self.slot(handle.0)?.item.as_ref()
    }

    pub(super) fn get_mut(&mut self, handle: Handle) -> Option<&mut StoredItem> {
        self.slot_mut(handle.0)?.item.as_mut()
    }

    /// The item that was used least recently.
    pub(super) fn oldest(&self) -> Option<Handle> {
        (self.oldest != NONE).then_some(Handle(self.oldest))
    }

    /// The items from the most recently used on.
    pub(super) fn iter(&self) -> impl Iterator<Item = &StoredItem> {
        let mut at = self.newest;
        std::iter::from_fn(move || {
            let slot = self.slot(at)?;
            at = slot.older;
            slot.item.as_ref()
        })
    }

    /// Adds an item under a key that is not there, as the most recently used.
    pub(super) fn insert(&mut self, hash: u64, item: StoredItem) -> Option<Handle> {
        self.bytes += cost(&item);
        let slot = Slot { item: Some(item), hash, newer: NONE, older: NONE };
        let at = self.free;
        let at = if let Some(free) = self.slot_mut(at) {
            let next = free.older;
            *free = slot;
            self.free = next;
            at
        } else {
            let at = u32::try_from(self.slots.len()).ok().filter(|at| *at != NONE)?;
            self.slots.push(slot);
            at
        };
        let slots = &self.slots;
        let hash_of = |&at: &u32| slots.get(at as usize).map_or(0, |slot| slot.hash);
        self.index.insert_unique(hash, at, hash_of);
        self.link(at);
        Some(Handle(at))
    }

    /// Puts another item under the same key in the place of one, as the most recently used.
    pub(super) fn replace(&mut self, handle: Handle, item: StoredItem) {
        let new = cost(&item);
        if let Some(old) = self.get_mut(handle) {
            let old = cost(&std::mem::replace(old, item));
            self.bytes = self.bytes - old + new;
        }
        self.use_now(handle);
    }

    /// Makes an item the most recently used.
    pub(super) fn use_now(&mut self, handle: Handle) {
        if self.newest != handle.0 {
            self.unlink(handle.0);
            self.link(handle.0);
        }
    }

    pub(super) fn remove(&mut self, handle: Handle) -> Option<StoredItem> {
        let Handle(at) = handle;
        let slot = self.slot_mut(at)?;
        let item = slot.item.take()?;
        let hash = slot.hash;
        self.unlink(at);
        let free = std::mem::replace(&mut self.free, at);
        if let Some(slot) = self.slot_mut(at) {
            slot.older = free;
        }
        if let Ok(place) = self.index.find_entry(hash, |&other| other == at) {
            place.remove();
        }
        self.bytes -= cost(&item);
        Some(item)
    }

    /// Gives memory back when most slots are free, as after a time of many small items. No handle
    /// from before is good after it.
    pub(super) fn compact(&mut self) {
        if self.slots.len() < COMPACT_FROM || self.len() >= self.slots.len() / 4 {
            return;
        }
        let mut dense = Self::new();
        let mut at = self.oldest;
        while let Some(slot) = self.slot_mut(at) {
            at = slot.newer;
            let hash = slot.hash;
            if let Some(item) = slot.item.take() {
                dense.insert(hash, item);
            }
        }
        *self = dense;
    }

    fn slot(&self, at: u32) -> Option<&Slot> {
        self.slots.get(at as usize)
    }

    fn slot_mut(&mut self, at: u32) -> Option<&mut Slot> {
        self.slots.get_mut(at as usize)
    }

    fn link(&mut self, at: u32) {
        let second = std::mem::replace(&mut self.newest, at);
        if let Some(slot) = self.slot_mut(at) {
            slot.newer = NONE;
            slot.older = second;
        }
        match self.slot_mut(second) {
            Some(second) => second.newer = at,
            None => self.oldest = at,
        }
    }

    fn unlink(&mut self, at: u32) {
        let Some(slot) = self.slot(at) else {
            return;
        };
        let (newer, older) = (slot.newer, slot.older);
        match self.slot_mut(newer) {
            Some(slot) => slot.older = older,
            None => self.newest = older,
        }
        match self.slot_mut(older) {
            Some(slot) => slot.newer = newer,
            None => self.oldest = newer,
        }
    }
}

/// What an item counts against the bound.
pub(super) fn cost(item: &StoredItem) -> usize {
    item.len() + OVERHEAD
}
