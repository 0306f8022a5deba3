//! A put under construction: the body of the journal's record is built in place, once.

use alloc::vec::Vec;

use bytes::Bytes;

use super::name::{NameError, length_of_name};
use super::record::{Draft, HEADER, ITEM_HEADER, PUT_TIME};
use crate::UnixTime;

/// So much is copied into memory of its own size.
const COPIED: usize = 4096;

/// Builds one put of any number of items. The bytes are laid out as the body of the journal's record
/// from the start, so that an item is written once, and later shared by the journal and the queue.
///
/// ```
/// use windhover_core::queue::PutBuilder;
///
/// let now = windhover_core::UnixTime::from_secs(1_321_499_371);
/// let mut put = PutBuilder::new(b"events", now)?;
/// put.begin_item(None).extend_from_slice(b"{\"event\":\"signup\"}");
/// put.end_item();
/// put.item(None, b"another");
/// assert_eq!(put.finish().items(), 2);
/// # Ok::<(), windhover_core::queue::NameError>(())
/// ```
#[derive(Clone, Debug)]
pub struct PutBuilder {
    /// Name, time, items.
    body: Vec<u8>,
    name_len: u8,
    items: u32,
    largest: usize,
    data_len: u64,
    /// Where the item being written begins, while one is.
    open: Option<usize>,
}

impl PutBuilder {
    /// A put, made at `now`, of no items yet to the queue of that name.
    ///
    /// # Errors
    /// [`NameError`] when a queue cannot have that name.
    pub fn new(queue: &[u8], now: UnixTime) -> Result<Self, NameError> {
        Self::with_memory(queue, now, 512)
    }

    /// The same of one item to come, whose data has that length: its memory is what the put needs.
    ///
    /// # Errors
    /// [`NameError`] when a queue cannot have that name.
    pub fn of_one(queue: &[u8], now: UnixTime, len: usize) -> Result<Self, NameError> {
        let around = queue.len() + PUT_TIME + ITEM_HEADER;
        Self::with_memory(queue, now, around.saturating_add(len))
    }

    fn with_memory(queue: &[u8], now: UnixTime, bytes: usize) -> Result<Self, NameError> {
        let name_len = length_of_name(queue)?;
        let mut body = Vec::with_capacity(bytes);
        body.extend_from_slice(queue);
        body.extend_from_slice(&now.as_millis().to_le_bytes());
        Ok(Self { body, name_len, items: 0, largest: 0, data_len: 0, open: None })
    }

    /// Begins an item; append its data to what this returns, and nothing else, then call
    /// [`end_item`](Self::end_item). `expires` `None` means never.
    pub fn begin_item(&mut self, expires: Option<UnixTime>) -> &mut Vec<u8> {
        self.end_item();
        self.open = Some(self.body.len());
        self.body.extend_from_slice(&[0; 4]);
        let expires = expires.map_or(0, UnixTime::as_millis);
        self.body.extend_from_slice(&expires.to_le_bytes());
        &mut self.body
    }

    /// Ends the item that was begun; does nothing when none was.
    pub fn end_item(&mut self) {
        let Some(start) = self.open.take() else {
            return;
        };
        let len = self.body.len().saturating_sub(start + ITEM_HEADER);
        if let (Ok(len), Some(field)) =
            (u32::try_from(len), self.body.get_mut(start..).and_then(|r| r.first_chunk_mut::<4>()))
        {
            *field = len.to_le_bytes();
        }
        self.items += 1;
        self.data_len += len as u64;
        self.largest = self.largest.max(len);
    }

    /// Forgets the item that was begun and not ended; does nothing when none was.
    pub fn abort_item(&mut self) {
        if let Some(start) = self.open.take() {
            self.body.truncate(start);
        }
    }

    /// Forgets every item, and keeps the queue's name and the time.
    pub fn clear(&mut self) {
        // Name and time: see `new`.
        self.body.truncate(usize::from(self.name_len) + PUT_TIME);
        (self.items, self.largest, self.data_len, self.open) = (0, 0, 0, None);
    }

    /// Takes out the items of which `is_removed` says so, which is asked of each by its place among them, in
    /// order. The one that was begun is ended.
    pub fn remove_items(&mut self, mut is_removed: impl FnMut(u32) -> bool) {
        self.end_item();
        let rest = self.body.split_off(usize::from(self.name_len) + PUT_TIME);
        let (mut begin, items) = (0, self.items);
        self.clear();
        for place in 0..items {
            let len = rest.get(begin..).and_then(|item| item.first_chunk().copied());
            let end = begin + ITEM_HEADER + u32::from_le_bytes(len.unwrap_or_default()) as usize;
            let item = rest.get(begin..end).unwrap_or_default();
            begin = end;
            if !is_removed(place) {
                let len = item.len().saturating_sub(ITEM_HEADER);
                self.body.extend_from_slice(item);
                self.items += 1;
                self.data_len += len as u64;
                self.largest = self.largest.max(len);
            }
        }
    }

    /// The data of each item, in order; the one that was begun is ended.
    pub fn data(&mut self) -> impl Iterator<Item = &[u8]> {
        self.end_item();
        let mut rest = self.body.get(usize::from(self.name_len) + PUT_TIME..).unwrap_or_default();
        core::iter::from_fn(move || {
            let len = u32::from_le_bytes(*rest.first_chunk()?) as usize;
            let (item, behind) = rest.split_at_checked(ITEM_HEADER + len)?;
            rest = behind;
            item.get(ITEM_HEADER..)
        })
    }

    /// How many items were ended.
    pub fn items(&self) -> u32 {
        self.items
    }

    /// Bytes of data in all items that were ended.
    pub(super) fn data_len(&self) -> u64 {
        self.data_len
    }

    /// Adds a whole item.
    pub fn item(&mut self, expires: Option<UnixTime>, data: &[u8]) {
        self.begin_item(expires).extend_from_slice(data);
        self.end_item();
    }

    /// The finished put. The checksum over the items is computed here, outside of any lock.
    pub fn finish(mut self) -> Put {
        self.end_item();
        // The queue keeps this memory for as long as the items live. A small copy costs less than to make a block
        // of memory smaller, which breaks it in two.
        if self.body.len() < self.body.capacity().min(COPIED + 1) {
            self.body = self.body.as_slice().to_vec();
        } else {
            self.body.shrink_to_fit();
        }
        let body_sum = crc32fast::hash(&self.body);
        Put {
            data_len: self.data_len,
            body: self.body,
            name_len: self.name_len,
            items: self.items,
            largest: self.largest as u64,
            body_sum,
        }
    }
}

/// A finished put, to be handed to [`Engine::put`](super::Engine::put).
///
/// ```
/// use windhover_core::UnixTime;
/// use windhover_core::queue::{Put, PutBuilder};
///
/// let mut batch = PutBuilder::new(b"events", UnixTime::from_secs(1_700_000_000))?;
/// batch.item(None, b"signup");
/// batch.item(Some(UnixTime::from_secs(1_700_003_600)), b"login");
/// let put: Put = batch.finish();
/// assert_eq!((put.items(), put.data_len()), (2, 11));
/// # Ok::<(), windhover_core::queue::NameError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Put {
    body: Vec<u8>,
    name_len: u8,
    items: u32,
    data_len: u64,
    largest: u64,
    body_sum: u32,
}

impl Put {
    /// How many items it has.
    pub fn items(&self) -> u32 {
        self.items
    }

    /// Bytes of data in all its items.
    pub fn data_len(&self) -> u64 {
        self.data_len
    }

    /// What a queue has to have room for.
    pub(super) fn size(&self) -> PutSize {
        let (items, data_len) = (u64::from(self.items), self.data_len);
        PutSize { items, data_len, largest: self.largest }
    }

    pub(super) fn queue(&self) -> &[u8] {
        self.body.get(..usize::from(self.name_len)).unwrap_or_default()
    }

    /// Bytes of the record.
    pub(super) fn record_len(&self) -> u64 {
        (HEADER + self.body.len()) as u64
    }

    /// The record, with the first item's id.
    pub(super) fn into_draft(self, first_id: u64) -> Draft {
        Draft::put(first_id, self.name_len, Bytes::from(self.body), self.body_sum)
    }

    /// The record for several queues in place of the put's own, each with its first item's id there: see
    /// [`Draft::put_to_all`].
    pub(super) fn into_draft_for(self, queues: &[(Bytes, u64)]) -> Draft {
        Draft::put_to_all(queues, self.into_rest())
    }

    /// The body behind the name.
    pub(super) fn into_rest(self) -> Bytes {
        self.into_draft(0).into_rest()
    }
}

/// What a put asks of a queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct PutSize {
    pub(super) items: u64,
    pub(super) data_len: u64,
    /// Bytes of the largest item.
    pub(super) largest: u64,
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn a_put_without_some_of_its_items_is_the_put_of_the_others() {
        let items: [&[u8]; 4] = [b"one", b"", b"the longest", b"four"];
        for removed in 0_u32..16 {
            let is_removed = |place: u32| removed >> place & 1 == 1;
            let build = |items: &[&[u8]]| {
                let mut put = PutBuilder::new(b"q", UnixTime::from_millis(5)).unwrap();
                for item in items {
                    put.item(Some(UnixTime::from_millis(7)), item);
                }
                put
            };
            let mut put = build(&items);
            assert_eq!(put.data().collect::<Vec<_>>(), items);
            put.remove_items(is_removed);
            let kept: Vec<&[u8]> = (0..)
                .zip(items)
                .filter(|(place, _)| !is_removed(*place))
                .map(|(_, it)| it)
                .collect();
            assert_eq!(put.items() as usize, kept.len());
            let (put, expected) = (put.finish(), build(&kept).finish());
            assert_eq!(
                (put.items, put.data_len, put.largest),
                (expected.items, expected.data_len, expected.largest)
            );
            assert_eq!(put.into_draft(41).encode(1, 64), expected.into_draft(41).encode(1, 64));
        }
    }
}
