//! `incr`, `decr` and `ma`.

use std::fmt;

use super::number::{self, Digits};
use super::{Handle, Storage, Time};

/// Items above this hold no number, whatever their first bytes: memcached keeps them in pieces.
const NUMBER_UP_TO: usize = 512 * 1024;

/// A change of a number.
///
/// ```
/// use windhover_cache::storage::{
///     Arithmetic, ArithmeticError, Bounds, Deadline, Storage, StoreOptions, StoredItem, Time,
/// };
/// use windhover_core::Now;
/// use windhover_core::memcache::Data;
///
/// let (mut storage, now) =
///     (Storage::new(Bounds { memory: 1 << 20, item: 1 << 20 }), Time::new(Now::default()));
/// let visits = StoredItem::new(b"visits", 0, Deadline::NEVER, &Data::new(b"9"));
/// storage.store(7, visits, &StoreOptions::default(), now)?;
/// let add = Arithmetic { decrement: false, delta: 3, cas: None, new_cas: None };
/// assert_eq!(storage.arithmetic(7, b"visits", &add, now).map(|(_, number)| number), Ok(12));
/// let missing = storage.arithmetic(8, b"others", &add, now);
/// assert_eq!(missing, Err(ArithmeticError::NotFound));
/// # Ok::<(), windhover_cache::storage::StoreError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arithmetic {
    /// Subtracts, and stops at 0; else it adds, and wraps at 64 bits.
    pub decrement: bool,
    /// By how much.
    pub delta: u64,
    /// Only where the item has this cas unique; 0 is none.
    pub cas: Option<u64>,
    /// The cas unique that the item gets, in place of the next one.
    pub new_cas: Option<u64>,
}

/// Why a number was not changed.
///
/// ```
/// use windhover_cache::storage::{
///     Arithmetic, ArithmeticError, Bounds, Deadline, Storage, StoreOptions, StoredItem, Time,
/// };
/// use windhover_core::Now;
/// use windhover_core::memcache::Data;
///
/// let mut storage = Storage::new(Bounds { memory: 1 << 20, item: 1 << 20 });
/// let now = Time::new(Now::default());
/// let text = StoredItem::new(b"greeting", 0, Deadline::NEVER, &Data::new(b"hello"));
/// storage.store(7, text, &StoreOptions::default(), now)?;
/// let add = Arithmetic { decrement: false, delta: 1, cas: None, new_cas: None };
/// let changed = storage.arithmetic(7, b"greeting", &add, now);
/// assert_eq!(changed, Err(ArithmeticError::NonNumeric));
/// # Ok::<(), windhover_cache::storage::StoreError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArithmeticError {
    /// There is no such item.
    NotFound,
    /// The item has another cas unique.
    Exists,
    /// The item is no number.
    NonNumeric,
}

impl fmt::Display for ArithmeticError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "not changed: there is no such item",
            Self::Exists => "not changed: the item has another cas unique",
            Self::NonNumeric => "not changed: the item holds no number of 64 bits",
        })
    }
}

impl std::error::Error for ArithmeticError {}

impl Storage {
    /// Changes the number that an item holds and returns it. The value does not become shorter:
    /// spaces fill it up. Flags and expiry stay; a value that becomes longer is a new item, on
    /// which nothing is marked.
    ///
    /// # Errors
    /// [`ArithmeticError`] when nothing was changed.
    pub fn arithmetic(
        &mut self,
        hash: u64,
        key: &[u8],
        change: &Arithmetic,
        time: Time,
    ) -> Result<(Handle, u64), ArithmeticError> {
        let found = self.find(hash, key, time);
        let Some((handle, old)) = found.and_then(|at| Some((at, self.items.get(at)?))) else {
            let counters = &mut self.counters;
            let misses = if change.decrement {
                &mut counters.decr_misses
            } else {
                &mut counters.incr_misses
            };
            *misses += 1;
            return Err(ArithmeticError::NotFound);
        };
        if old.value().is_empty() || old.size() > NUMBER_UP_TO {
            return Err(ArithmeticError::NonNumeric);
        }
        if change.cas.is_some_and(|cas| cas != 0 && cas != old.cas) {
            return Err(ArithmeticError::Exists);
        }
        let number = number::read(old.value()).ok_or(ArithmeticError::NonNumeric)?;
        let number = if change.decrement {
            number.saturating_sub(change.delta)
        } else {
            number.wrapping_add(change.delta)
        };
        let text = Digits::of(number);
        let padding = old.value().len().saturating_sub(text.as_bytes().len());
        let spaces = (0..padding)
            .step_by(SPACES.len())
            .filter_map(|from| SPACES.get(..SPACES.len().min(padding - from)));
        let pieces = std::iter::once(text.as_bytes()).chain(spaces);
        let mut item = old.with_value(text.as_bytes().len() + padding, pieces);
        if item.value().len() == old.value().len() {
            item.marks = old.marks;
        }
        item.cas = change.new_cas.unwrap_or_else(|| self.next_cas());
        let counters = &mut self.counters;
        let hits = if change.decrement { &mut counters.decr_hits } else { &mut counters.incr_hits };
        *hits += 1;
        self.put(Some(handle), hash, item, time);
        self.counters.total_items -= 1;
        Ok((handle, number))
    }
}

const SPACES: &[u8] = &[b' '; 32];
