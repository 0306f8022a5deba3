//! One stored item.

use bytes::Bytes;
use windhover_core::memcache::Data;

use super::time::{Deadline, Time};

/// What memcached keeps of an item besides key, value and flags.
const HEADER: usize = 59;

/// What has happened to an item, for the meta commands (protocol.txt, "Meta Get").
///
/// ```
/// use windhover_cache::storage::{
///     Bounds, Deadline, Marks, Storage, StoreOptions, StoredItem, Time,
/// };
/// use windhover_core::Now;
/// use windhover_core::memcache::Data;
///
/// let (mut storage, now) =
///     (Storage::new(Bounds { memory: 1 << 20, item: 1 << 20 }), Time::new(Now::default()));
/// let item = StoredItem::new(b"k", 0, Deadline::NEVER, &Data::new(b"hello"));
/// let handle = storage.store(7, item, &StoreOptions::default(), now)?;
/// assert_eq!(storage.item(handle).map(|item| item.marks), Some(Marks::default()));
/// storage.mark_read(handle, now);
/// let read = Marks { fetched: true, ..Marks::default() };
/// assert_eq!(storage.item(handle).map(|item| item.marks), Some(read));
/// # Ok::<(), windhover_cache::storage::StoreError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// It was read since it was stored.
    pub fetched: bool,
    /// It was invalidated, and may be given out as stale.
    pub stale: bool,
    /// One client has been told to store it anew.
    pub win_sent: bool,
}

/// A stored item: one piece of memory with the key and, behind it, the value.
///
/// Cloning it shares that memory: that is what a hit hands out. The first clone of an item
/// allocates the count of its users, all others count.
#[derive(Clone, Debug)]
pub struct StoredItem {
    bytes: Bytes,
    key_len: usize,
    /// The client's flags.
    pub flags: u32,
    /// The cas unique; given when the item is stored.
    pub cas: u64,
    /// When it can no longer be read.
    pub expiry: Deadline,
    /// What has happened to it.
    pub marks: Marks,
    /// The client names it in base64.
    pub binary_key: bool,
    /// When it was last read or stored, in seconds of the clock.
    pub(super) accessed: u32,
    /// Which flush it came after.
    pub(super) generation: u32,
}

impl StoredItem {
    /// An item that is not stored yet. Its memory is allocated here, so that it can be done before
    /// a lock is taken.
    pub fn new(key: &[u8], flags: u32, expiry: Deadline, data: &Data<'_>) -> Self {
        Self::of_parts(key, flags, expiry, data.len(), data.chunks())
    }

    pub(super) fn of_parts<'a>(
        key: &[u8],
        flags: u32,
        expiry: Deadline,
        value_len: usize,
        value: impl Iterator<Item = &'a [u8]>,
    ) -> Self {
        // Of that very size, or making `Bytes` of it would allocate again.
        let mut bytes = Vec::with_capacity(key.len() + value_len);
        bytes.extend_from_slice(key);
        for piece in value {
            bytes.extend_from_slice(piece);
        }
        Self {
            bytes: bytes.into(),
            key_len: key.len(),
            flags,
            cas: 0,
            expiry,
            marks: Marks::default(),
            binary_key: false,
            accessed: 0,
            generation: 0,
        }
    }

    /// Another item under the same key with the same flags and expiry.
    pub(super) fn with_value<'a>(
        &self,
        value_len: usize,
        value: impl Iterator<Item = &'a [u8]>,
    ) -> Self {
        let mut item = Self::of_parts(self.key(), self.flags, self.expiry, value_len, value);
        item.binary_key = self.binary_key;
        item
    }

    /// The key.
    pub fn key(&self) -> &[u8] {
        self.bytes.get(..self.key_len).unwrap_or_default()
    }

    /// The value.
    pub fn value(&self) -> &[u8] {
        self.bytes.get(self.key_len..).unwrap_or_default()
    }

    /// The value, shared.
    pub fn shared_value(&self) -> Bytes {
        self.bytes.slice(self.key_len.min(self.bytes.len())..)
    }

    /// The bytes of key and value together.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// What it counts against the limit of one item: its key and value, and what memcached keeps
    /// besides them.
    pub fn size(&self) -> usize {
        self.len() + HEADER + if self.flags == 0 { 0 } else { size_of::<u32>() }
    }

    /// Seconds since it was last read or stored.
    pub const fn idle(&self, time: Time) -> u32 {
        time.seconds().saturating_sub(self.accessed)
    }
}
