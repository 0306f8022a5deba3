//! What the cache keeps and by which rules: pure, without a clock, a lock or a socket.
//!
//! A [`Storage`] is one shard: items by key, in the order of their last use, within a bound of
//! bytes. Expired items go when they are asked for or when their room is needed; nothing runs
//! in the background. Rules that are not told here are memcached's (protocol.txt); where that is
//! silent, those of memcached 1.6.45.

mod arithmetic;
mod counters;
mod item;
mod items;
mod number;
mod store;
mod time;

pub use arithmetic::{Arithmetic, ArithmeticError};
pub use counters::StorageCounters;
pub use item::{Marks, StoredItem};
pub use items::{Handle, OVERHEAD};
pub use number::Digits;
pub use store::{StoreError, StoreMode, StoreOptions};
pub use time::{Deadline, Time};

use std::fmt;

use windhover_core::memcache::Data;

use self::items::{Items, cost};

/// How many dead items a store removes at most from the end of the order.
const RECLAIM: usize = 2;

/// How much a shard holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Most bytes of all items, with [`OVERHEAD`] for each.
    pub memory: usize,
    /// Most bytes of one item ([`StoredItem::size`]).
    pub item: usize,
}

/// Why a deletion did not take place.
///
/// ```
/// use windhover_cache::storage::{
///     Bounds, Deadline, DeleteError, Storage, StoreOptions, StoredItem, Time,
/// };
/// use windhover_core::Now;
/// use windhover_core::memcache::Data;
///
/// let (mut storage, now) =
///     (Storage::new(Bounds { memory: 1 << 20, item: 1 << 20 }), Time::new(Now::default()));
/// let item = StoredItem::new(b"k", 0, Deadline::NEVER, &Data::new(b"hello"));
/// let options = StoreOptions { new_cas: Some(42), ..StoreOptions::default() };
/// storage.store(7, item, &options, now)?;
/// // Somebody else has stored it meanwhile.
/// assert_eq!(storage.delete(7, b"k", Some(41), now), Err(DeleteError::Exists));
/// assert_eq!(storage.delete(7, b"k", Some(42), now), Ok(()));
/// assert_eq!(storage.delete(7, b"k", None, now), Err(DeleteError::NotFound));
/// # Ok::<(), windhover_cache::storage::StoreError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeleteError {
    /// There is no such item.
    NotFound,
    /// Its cas unique is another one.
    Exists,
}

impl fmt::Display for DeleteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "not deleted: there is no such item",
            Self::Exists => "not deleted: the item has another cas unique",
        })
    }
}

impl std::error::Error for DeleteError {}

/// One shard of the cache.
///
/// The caller gives with every key its hash, always by the same function.
///
/// ```
/// use windhover_cache::storage::{Bounds, Deadline, Storage, StoreOptions, StoredItem, Time};
/// use windhover_core::memcache::Data;
/// use windhover_core::{Instant, Now, UnixTime};
///
/// let at = |secs| {
///     Time::new(Now {
///         instant: Instant::from_epoch(std::time::Duration::from_secs(secs)),
///         unix: UnixTime::from_secs(2_000_000_000 + secs),
///     })
/// };
/// let mut storage = Storage::new(Bounds { memory: 1 << 20, item: 1 << 20 });
/// let item = StoredItem::new(b"k", 0, Deadline::of(60, at(0)), &Data::new(b"hello"));
/// assert!(storage.store(7, item, &StoreOptions::default(), at(0)).is_ok());
/// assert_eq!(storage.read(7, b"k", at(59)).map(|item| item.value()), Some(&b"hello"[..]));
/// assert!(storage.read(7, b"k", at(60)).is_none());
/// ```
#[derive(Debug)]
pub struct Storage {
    items: Items,
    bounds: Bounds,
    last_cas: u64,
    /// How far the next cas unique is from the last.
    cas_step: u64,
    /// A `flush_all` that is still to come.
    flush: Deadline,
    /// How many have come: older items are dead.
    generation: u32,
    /// What happened.
    pub counters: StorageCounters,
}

impl Storage {
    /// An empty shard that is the only one.
    pub fn new(bounds: Bounds) -> Self {
        Self::one_of(1, 0, bounds)
    }

    /// The empty shard number `at`, from 0, of so many: no two give the same cas unique.
    pub fn one_of(shards: u32, at: u32, bounds: Bounds) -> Self {
        let step = u64::from(shards.max(1));
        Self {
            items: Items::new(),
            bounds,
            // The first one given is `at + 1`.
            last_cas: (u64::from(at) + 1).wrapping_sub(step),
            cas_step: step,
            flush: Deadline::NEVER,
            generation: 0,
            counters: StorageCounters::default(),
        }
    }

    /// How many items are held, among them dead ones that nobody has asked for.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether no item is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the items cost, with [`OVERHEAD`] for each.
    pub const fn bytes(&self) -> usize {
        self.items.bytes()
    }

    /// The live items, from the most recently used on.
    pub fn iter(&self, time: Time) -> impl Iterator<Item = &StoredItem> {
        self.items.iter().filter(move |item| !self.is_flushed(item) && !item.expiry.has_come(time))
    }

    /// Seconds since the item that was used least recently was used.
    pub fn oldest_idle(&self, time: Time) -> Option<u32> {
        Some(self.items.get(self.items.oldest()?)?.idle(time))
    }

    /// Finds a live item. It does not count as used.
    pub fn find(&mut self, hash: u64, key: &[u8], time: Time) -> Option<Handle> {
        self.flush_when_due(time);
        let handle = self.items.find(hash, key)?;
        let item = self.items.get(handle)?;
        let flushed = self.is_flushed(item);
        if !flushed && !item.expiry.has_come(time) {
            return Some(handle);
        }
        if flushed {
            self.counters.get_flushed += 1;
        } else {
            self.counters.get_expired += 1;
            self.counters.expired_unfetched += u64::from(!item.marks.fetched);
        }
        self.items.remove(handle);
        None
    }

    /// The item that was found; `None` when it was removed since.
    pub fn item(&self, handle: Handle) -> Option<&StoredItem> {
        self.items.get(handle)
    }

    /// The same, to change it.
    pub fn item_mut(&mut self, handle: Handle) -> Option<&mut StoredItem> {
        self.items.get_mut(handle)
    }

    /// Makes the item one that was read at `time`, and the most recently used.
    pub fn mark_read(&mut self, handle: Handle, time: Time) {
        if let Some(item) = self.items.get_mut(handle) {
            item.marks.fetched = true;
        }
        self.mark_used(handle, time);
    }

    fn mark_used(&mut self, handle: Handle, time: Time) {
        if let Some(item) = self.items.get_mut(handle) {
            item.accessed = time.seconds();
        }
        self.items.use_now(handle);
    }

    /// Reads an item, and counts the hit or miss.
    pub fn read(&mut self, hash: u64, key: &[u8], time: Time) -> Option<&StoredItem> {
        let found = self.find(hash, key, time);
        self.counters.count_read(false, found.is_some());
        let handle = found?;
        self.mark_read(handle, time);
        self.item(handle)
    }

    /// Reads an item and changes when it expires, and counts the touch.
    pub fn touch(
        &mut self,
        hash: u64,
        key: &[u8],
        expiry: Deadline,
        time: Time,
    ) -> Option<&StoredItem> {
        let found = self.find(hash, key, time);
        self.counters.count_read(true, found.is_some());
        let handle = found?;
        self.mark_read(handle, time);
        self.item_mut(handle)?.expiry = expiry;
        self.item(handle)
    }

    /// Removes an item; with `cas` only the one that has that cas unique.
    ///
    /// # Errors
    /// [`DeleteError`] when nothing was removed.
    pub fn delete(
        &mut self,
        hash: u64,
        key: &[u8],
        cas: Option<u64>,
        time: Time,
    ) -> Result<(), DeleteError> {
        let handle = self.find_to_delete(hash, key, cas, time)?;
        self.remove(handle);
        Ok(())
    }

    /// Finds the item that a deletion is about, whatever then becomes of it.
    ///
    /// # Errors
    /// [`DeleteError`] when it is not there, or has another cas unique.
    pub fn find_to_delete(
        &mut self,
        hash: u64,
        key: &[u8],
        cas: Option<u64>,
        time: Time,
    ) -> Result<Handle, DeleteError> {
        let Some(handle) = self.find(hash, key, time) else {
            self.counters.delete_misses += 1;
            return Err(DeleteError::NotFound);
        };
        if cas.is_some() && cas != self.item(handle).map(|item| item.cas) {
            self.counters.delete_misses += 1;
            return Err(DeleteError::Exists);
        }
        Ok(handle)
    }

    /// Removes the item that was found to be deleted.
    pub fn remove(&mut self, handle: Handle) {
        self.counters.delete_hits += 1;
        self.items.remove(handle);
    }

    /// Puts an empty item in the place of one, with the same cas unique and without marks.
    pub fn empty(&mut self, handle: Handle, flags: u32, expiry: Deadline, time: Time) {
        let Some(old) = self.items.get(handle) else {
            return;
        };
        let mut item = StoredItem::new(old.key(), flags, expiry, &Data::new(b""));
        item.cas = old.cas;
        item.binary_key = old.binary_key;
        self.put(Some(handle), 0, item, time);
    }

    /// Removes all items, at once or later: each goes when it is asked for or its room is needed. A
    /// later call takes the place of one that is still to come.
    pub fn flush(&mut self, at: Deadline, time: Time) {
        self.counters.cmd_flush += 1;
        self.flush = at;
        self.flush_when_due(time);
    }

    /// The next cas unique; they rise.
    pub fn next_cas(&mut self) -> u64 {
        self.last_cas = self.last_cas.wrapping_add(self.cas_step);
        self.last_cas
    }

    fn flush_when_due(&mut self, time: Time) {
        if self.flush.has_come(time) {
            self.flush = Deadline::NEVER;
            // memcached takes one too.
            self.next_cas();
            self.generation = self.generation.wrapping_add(1);
        }
    }

    const fn is_flushed(&self, item: &StoredItem) -> bool {
        item.generation != self.generation
    }

    /// Whether an item of that length may be stored.
    fn takes(&self, item: &StoredItem) -> bool {
        item.size() <= self.bounds.item
    }

    /// Bounds the memory anew; what does not fit in goes.
    pub fn set_memory(&mut self, memory: usize, time: Time) {
        self.bounds.memory = memory;
        self.make_room(None, time);
    }

    /// Puts the item in the place of the one that was found, or in a new one. The caller has seen
    /// that nothing else is under its key.
    fn put(
        &mut self,
        found: Option<Handle>,
        hash: u64,
        mut item: StoredItem,
        time: Time,
    ) -> Option<Handle> {
        item.accessed = time.seconds();
        item.generation = self.generation;
        self.counters.total_items += 1;
        let handle = if let Some(handle) = found {
            self.items.replace(handle, item);
            handle
        } else {
            self.items.insert(hash, item)?
        };
        self.make_room(Some(handle), time);
        Some(handle)
    }

    /// Removes the least recently used items until the rest is within the bound, and a few dead
    /// ones beyond that. The newest item stays: it was checked to be within the bound.
    fn make_room(&mut self, newest: Option<Handle>, time: Time) {
        let mut reclaim = RECLAIM;
        while let Some(handle) = self.items.oldest().filter(|oldest| Some(*oldest) != newest) {
            let Some(item) = self.items.get(handle) else {
                return;
            };
            let expired = item.expiry.has_come(time);
            let unfetched = u64::from(!item.marks.fetched);
            if expired || self.is_flushed(item) {
                if self.items.bytes() <= self.bounds.memory && reclaim == 0 {
                    return;
                }
                reclaim = reclaim.saturating_sub(1);
                self.counters.reclaimed += 1;
                self.counters.expired_unfetched += if expired { unfetched } else { 0 };
            } else if self.items.bytes() > self.bounds.memory {
                self.counters.evictions += 1;
                self.counters.evicted_unfetched += unfetched;
            } else {
                return;
            }
            self.items.remove(handle);
        }
    }
}
