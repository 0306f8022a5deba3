//! Storing: `set` and its relatives, with and without a cas unique to compare.

use std::fmt;

use super::{Deadline, Handle, Storage, StoredItem, Time, cost};

/// When a value is stored and what becomes of the one that is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StoreMode {
    /// It takes the place of whatever is there.
    #[default]
    Set,
    /// Only where nothing is there.
    Add,
    /// Only where something is there.
    Replace,
    /// Behind what is there.
    Append,
    /// Before what is there.
    Prepend,
}

/// How a value is to be stored.
///
/// ```
/// use windhover_cache::storage::{
///     Bounds, Deadline, Storage, StoreError, StoreMode, StoreOptions, StoredItem, Time,
/// };
/// use windhover_core::Now;
/// use windhover_core::memcache::Data;
///
/// let (mut storage, now) =
///     (Storage::new(Bounds { memory: 1 << 20, item: 1 << 20 }), Time::new(Now::default()));
/// let mut store = |value: &'static [u8], options: StoreOptions| {
///     let item = StoredItem::new(b"k", 0, Deadline::NEVER, &Data::new(value));
///     storage.store(7, item, &options, now)
/// };
/// let append = StoreOptions { mode: StoreMode::Append, ..StoreOptions::default() };
/// // Nothing is there to append to.
/// assert_eq!(store(b"lo", append), Err(StoreError::NotStored));
/// store(b"hel", StoreOptions { new_cas: Some(42), ..StoreOptions::default() })?;
/// assert_eq!(store(b"lo", StoreOptions { cas: Some(41), ..append }), Err(StoreError::Exists));
/// store(b"lo", StoreOptions { cas: Some(42), ..append })?;
/// assert_eq!(storage.read(7, b"k", now).map(StoredItem::value), Some(&b"hello"[..]));
/// # Ok::<(), StoreError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreOptions {
    /// How it goes with what is there.
    pub mode: StoreMode,
    /// Only where the item has this cas unique; [`StoreMode::Add`] does not look at it.
    pub cas: Option<u64>,
    /// Where the item's cas unique is higher, store the value and mark it stale.
    pub invalidate: bool,
    /// The cas unique that the item gets, in place of the next one.
    pub new_cas: Option<u64>,
    /// What [`StoreMode::Append`] and [`StoreMode::Prepend`] find nothing for is set, with this expiry.
    pub or_set: Option<Deadline>,
}

/// Why a value was not stored.
///
/// ```
/// use windhover_cache::storage::{
///     Bounds, Deadline, Storage, StoreError, StoreOptions, StoredItem, Time,
/// };
/// use windhover_core::Now;
/// use windhover_core::memcache::Data;
///
/// let mut storage = Storage::new(Bounds { memory: 1 << 20, item: 1024 });
/// let film = StoredItem::new(b"film", 0, Deadline::NEVER, &Data::new(&[0; 2000]));
/// let stored = storage.store(7, film, &StoreOptions::default(), Time::new(Now::default()));
/// assert_eq!(stored, Err(StoreError::TooLarge));
/// assert_eq!(storage.counters.store_too_large, 1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreError {
    /// The mode forbids it.
    NotStored,
    /// The item has another cas unique.
    Exists,
    /// There is no item whose cas unique could be compared.
    NotFound,
    /// It is above the limit of one item.
    TooLarge,
    /// It is above the memory of the shard.
    NoMemory,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotStored => "not stored: the mode asks for another state of the key",
            Self::Exists => "not stored: the item has another cas unique",
            Self::NotFound => "not stored: there is no item whose cas unique could be compared",
            Self::TooLarge => "not stored: above the limit of one item",
            Self::NoMemory => "not stored: above the memory of a shard",
        })
    }
}

impl std::error::Error for StoreError {}

impl Storage {
    /// Stores an item under its key. What does not fit in makes room: the least recently used go.
    ///
    /// # Errors
    /// [`StoreError`]; what was there is still there, except that [`StoreMode::Set`] with too large a
    /// value removes it, lest it be read as the new one.
    pub fn store(
        &mut self,
        hash: u64,
        item: StoredItem,
        how: &StoreOptions,
        time: Time,
    ) -> Result<Handle, StoreError> {
        self.items.compact();
        if let Err(error) = self.check_size(&item) {
            if how.mode == StoreMode::Set && how.cas.is_none() {
                self.discard(hash, item.key(), time);
            }
            return Err(error);
        }
        let mut found = self.find(hash, item.key(), time);
        self.counters.cmd_set += 1;
        let mut item = match how.mode {
            StoreMode::Set | StoreMode::Replace if how.cas.is_some() => {
                self.compare(found, item, how)?
            }
            StoreMode::Set => item,
            StoreMode::Replace => found.map(|_| item).ok_or(StoreError::NotStored)?,
            StoreMode::Add => {
                if let Some(handle) = found {
                    self.mark_used(handle, time);
                    return Err(StoreError::NotStored);
                }
                item
            }
            StoreMode::Append | StoreMode::Prepend => self.join(&mut found, item, how)?,
        };
        item.cas = how.new_cas.unwrap_or_else(|| self.next_cas());
        self.put(found, hash, item, time).ok_or(StoreError::NoMemory)
    }

    /// Removes the item that too large a value was to replace, if there is one.
    pub fn discard(&mut self, hash: u64, key: &[u8], time: Time) {
        if let Some(handle) = self.find(hash, key, time) {
            self.items.remove(handle);
        }
    }

    fn check_size(&mut self, item: &StoredItem) -> Result<(), StoreError> {
        if !self.takes(item) {
            self.counters.store_too_large += 1;
            return Err(StoreError::TooLarge);
        }
        if cost(item) > self.bounds.memory {
            self.counters.store_no_memory += 1;
            return Err(StoreError::NoMemory);
        }
        Ok(())
    }

    /// The item to store where its predecessor has the cas unique, or a later one and may be
    /// invalidated.
    fn compare(
        &mut self,
        found: Option<Handle>,
        mut item: StoredItem,
        how: &StoreOptions,
    ) -> Result<StoredItem, StoreError> {
        let Some(old) = found.and_then(|handle| self.items.get(handle)) else {
            self.counters.cas_misses += 1;
            return Err(StoreError::NotFound);
        };
        let given = how.cas.unwrap_or_default();
        if given == old.cas {
            self.counters.cas_hits += 1;
            return Ok(item);
        }
        self.counters.cas_badval += 1;
        // 0 is no cas unique: nothing was compared.
        if !how.invalidate || given == 0 || given > old.cas {
            return Err(StoreError::Exists);
        }
        item.expiry = old.expiry;
        item.marks.stale = true;
        item.marks.win_sent = old.marks.win_sent;
        Ok(item)
    }

    /// The item to store where its value is joined to what is there.
    fn join(
        &mut self,
        found: &mut Option<Handle>,
        mut item: StoredItem,
        how: &StoreOptions,
    ) -> Result<StoredItem, StoreError> {
        let Some(old) = found.and_then(|handle| self.items.get(handle)) else {
            item.expiry = how.or_set.ok_or(StoreError::NotStored)?;
            return Ok(item);
        };
        if how.cas.is_some_and(|cas| cas != 0 && cas != old.cas) {
            return Err(StoreError::Exists);
        }
        let (first, second) = match how.mode {
            StoreMode::Prepend => (item.value(), old.value()),
            _ => (old.value(), item.value()),
        };
        let joined = old.with_value(first.len() + second.len(), [first, second].into_iter());
        // As in memcached, not an error of its own.
        self.check_size(&joined).map_err(|_| StoreError::NotStored)?;
        Ok(joined)
    }
}
