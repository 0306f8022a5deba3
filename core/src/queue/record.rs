//! The records of the journal.
//!
//! A record is a header of 28 bytes and a body, all numbers little-endian:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | length of the body |
//! | 4 | 4 | CRC-32 of the body |
//! | 8 | 8 | id (see [`Kind`]) |
//! | 16 | 1 | kind |
//! | 17 | 1 | length of the queue's name, the first bytes of the body |
//! | 18 | 2 | of a put: how many further queues it goes to; else zero |
//! | 20 | 4 | the segment's salt ([`Header::salt`](super::segment::Header::salt)) |
//! | 24 | 4 | CRC-32 of the record's offset in the segment (8) and the 24 bytes before |
//!
//! The header has a checksum of its own, so that a length is believed only when it is whole: a
//! damaged body can be stepped over, and what stands behind it is not lost.
//!
//! Salt and offset tie a record to the place that it was written to. What an earlier life of the file
//! left there has another salt; a record that somebody put as an item, even one of the same segment,
//! stands at another offset. Neither is ever taken for a record.
//!
//! The body of a [`Kind::Put`] is the name, then for each further queue that it goes to: length of the name (1),
//! name, id of the first item there (8); then the time of the put in milliseconds since 1970 (8), and for each item:
//! length (4), time of expiry in milliseconds since 1970 or 0 for never (8), data. A put is one record however many
//! items it has and queues it goes to, which is what makes it atomic; an item that several queues get is written
//! once.
//!
//! The body of a [`Kind::Discard`] is the name, then the ids (8 each) of the items that stay although
//! theirs are smaller: what was open when the queue was flushed. They are in the same record, for a
//! discard that was written without them would lose them.
//!
//! ```
//! use bytes::Bytes;
//! use windhover_core::UnixTime;
//! use windhover_core::queue::record::{
//!     Broken, Draft, Item, Kind, Record, decode, item_count, put_parts,
//! };
//! use windhover_core::queue::{Config, Engine, OpId, PutBuilder};
//!
//! // That item 41 is gone from the queue, written at byte 64 of a segment whose salt is 7.
//! let gone: Draft = Draft::remove(41, "jobs".into());
//! let bytes = gone.encode(7, 64);
//! let read = decode(&bytes, 7, 64);
//! assert!(matches!(read, Ok(Record { kind: Kind::Remove, id: 41, queue: b"jobs", .. })));
//! // The same bytes somewhere else are no record.
//! assert_eq!(decode(&bytes, 7, 4096), Err(Broken::Header));
//!
//! // A put, and what is in it.
//! let created = UnixTime::from_secs(1_700_000_000);
//! let mut put = PutBuilder::new(b"jobs", created)?;
//! put.item(None, b"resize 7");
//! let mut engine = Engine::new(Config::default());
//! engine.put(OpId(1), put.finish(), windhover_core::Now::default())?;
//! let batch = engine.begin_append().expect("a put leaves bytes to append");
//! let bytes = batch.records[0].encode(7, 64);
//! let Ok(record) = decode(&bytes, 7, 64) else { panic!("it was written here") };
//! assert_eq!((record.kind, item_count(record.rest)), (Kind::Put, 1));
//! let (time, items) = put_parts(Bytes::copy_from_slice(record.rest));
//! assert_eq!(time, created);
//! let item = Item { data: "resize 7".into(), expires: UnixTime::default() };
//! assert_eq!(items.collect::<Vec<_>>(), [item]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use alloc::vec;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::UnixTime;

/// Bytes of a record's header.
pub const HEADER: usize = 28;
/// Bytes of the put's time, behind the queue's name.
pub const PUT_TIME: usize = 8;
/// Bytes before each item's data in a put's body.
pub const ITEM_HEADER: usize = 12;
/// Where the number of further queues, the salt and the header's checksum stand in the header.
const OTHERS: usize = 18;
pub(super) const SALT: usize = 20;
const SUM: usize = 24;
/// A body longer than this is taken for damage: no batch comes near it.
const LONGEST_BODY: u32 = 1 << 30;

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Items were put; the id is the first item's, the others follow it.
    Put,
    /// The item with that id is gone from the queue.
    Remove,
    /// Every item of the queue with a smaller id is gone, but for those that the body names.
    Discard,
    /// The segment is known to be on the disk up to the offset that is the id.
    Synced,
    /// Stands where damaged bytes stood before a repair.
    Filler,
    /// The queue follows its parent, though there be nothing in it.
    Follow,
    /// It no longer does.
    Unfollow,
}

impl Kind {
    const fn code(self) -> u8 {
        match self {
            Self::Put => 1,
            Self::Remove => 2,
            Self::Discard => 3,
            Self::Synced => 4,
            Self::Filler => 5,
            Self::Follow => 6,
            Self::Unfollow => 7,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Put,
            2 => Self::Remove,
            3 => Self::Discard,
            4 => Self::Synced,
            5 => Self::Filler,
            6 => Self::Follow,
            7 => Self::Unfollow,
            _ => return None,
        })
    }
}

/// A record as it stands in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// What it says.
    pub kind: Kind,
    /// See [`Kind`].
    pub id: u64,
    /// The queue's name; empty for kinds that speak of no queue. A put may go to more: [`puts`](Self::puts).
    pub queue: &'a [u8],
    /// The body behind the names.
    pub rest: &'a [u8],
    /// Further queues of a put.
    others: &'a [u8],
    /// Bytes of the whole record.
    pub len: usize,
}

impl<'a> Record<'a> {
    /// The queues that a put goes to, each with the id that the first item has there; the others follow it.
    pub fn puts(&self) -> impl Iterator<Item = (&'a [u8], u64)> + use<'a> {
        let mut others = self.others;
        let others = core::iter::from_fn(move || next_queue(&mut others));
        core::iter::once((self.queue, self.id)).chain(others)
    }
}

/// The next of a put's further queues, and its first item's id there.
fn next_queue<'a>(others: &mut &'a [u8]) -> Option<(&'a [u8], u64)> {
    let (len, rest) = others.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(*len))?;
    let (id, rest) = rest.split_first_chunk()?;
    *others = rest;
    Some((name, u64::from_le_bytes(*id)))
}

/// Why no record can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Broken {
    /// The bytes end before the record does.
    Short,
    /// The header's checksum does not fit the header.
    Header,
    /// The body's checksum does not fit the body; the header is whole.
    Body {
        /// Bytes of the whole record.
        len: usize,
    },
    /// The checksums fit, but what the record says makes no sense, or is of a later version.
    Meaning {
        /// Bytes of the whole record.
        len: usize,
    },
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let chunk = bytes.get(at..).and_then(|rest| rest.first_chunk());
    chunk.map(|chunk| u32::from_le_bytes(*chunk))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let chunk = bytes.get(at..).and_then(|rest| rest.first_chunk());
    chunk.map(|chunk| u64::from_le_bytes(*chunk))
}

/// Reads the record at the start of `bytes`, which stand at that offset of a segment with that salt.
///
/// # Errors
/// [`Broken`] says what is wrong with it.
pub fn decode(bytes: &[u8], salt: u32, offset: u64) -> Result<Record<'_>, Broken> {
    let header = bytes.first_chunk::<HEADER>().ok_or(Broken::Short)?;
    let (covered, sum) = header.split_at(SUM);
    // The salt first: between the records of an earlier life it is nearly never there.
    if u32_at(covered, SALT) != Some(salt) || u32_at(sum, 0) != Some(header_sum(covered, offset)) {
        return Err(Broken::Header);
    }
    let (Some(body_len), Some(body_sum), Some(id)) =
        (u32_at(covered, 0), u32_at(covered, 4), u64_at(covered, 8))
    else {
        return Err(Broken::Header);
    };
    if body_len > LONGEST_BODY {
        return Err(Broken::Header);
    }
    let len = HEADER + body_len as usize;
    let body = bytes.get(HEADER..len).ok_or(Broken::Short)?;
    if crc32fast::hash(body) != body_sum {
        return Err(Broken::Body { len });
    }
    let (kind, name_len) = (Kind::from_code(covered[16]), usize::from(covered[17]));
    let (Some(kind), Some((queue, behind))) = (kind, body.split_at_checked(name_len)) else {
        return Err(Broken::Meaning { len });
    };
    let count = u16::from_le_bytes([covered[OTHERS], covered[OTHERS + 1]]);
    let mut rest = behind;
    let has_names = (0..count).all(|_| next_queue(&mut rest).is_some());
    if !has_names || count > 0 && kind != Kind::Put {
        return Err(Broken::Meaning { len });
    }
    let others = behind.get(..behind.len() - rest.len()).unwrap_or_default();
    let makes_sense = match kind {
        Kind::Put => items_are_whole(rest),
        Kind::Discard => rest.len() % 8 == 0,
        Kind::Follow | Kind::Unfollow => rest.is_empty(),
        Kind::Remove | Kind::Synced | Kind::Filler => true,
    };
    if !makes_sense {
        return Err(Broken::Meaning { len });
    }
    Ok(Record { kind, id, queue, rest, others, len })
}

/// The salt of the record at the start of `bytes`, when a whole one stands there: how a segment is read
/// whose own header is lost.
pub(super) fn salt_of(bytes: &[u8], offset: u64) -> Option<u32> {
    let salt = u32_at(bytes, SALT)?;
    decode(bytes, salt, offset).is_ok().then_some(salt)
}

fn header_sum(covered: &[u8], offset: u64) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&offset.to_le_bytes());
    sum.update(covered);
    sum.finalize()
}

fn items_are_whole(rest: &[u8]) -> bool {
    let Some(mut rest) = rest.get(PUT_TIME..) else {
        return false;
    };
    while !rest.is_empty() {
        let Some(next) = u32_at(rest, 0)
            .and_then(|len| (len as usize).checked_add(ITEM_HEADER))
            .and_then(|end| rest.get(end..))
        else {
            return false;
        };
        rest = next;
    }
    true
}

/// A record that has no place in a journal yet: all of it but the segment's salt and the offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    kind: Kind,
    id: u64,
    name_len: u8,
    /// How many further queues a put goes to.
    others: u16,
    /// The queue's name and what follows it, unless that is in `tail`.
    body: Bytes,
    tail: Bytes,
    /// The checksum over the body, when it was computed already.
    body_sum: Option<u32>,
}

impl Draft {
    pub(super) fn put(first_id: u64, name_len: u8, body: Bytes, body_sum: u32) -> Self {
        Self::new(Kind::Put, first_id, name_len, body).with_sum(body_sum)
    }

    /// Most queues of one record.
    pub(super) const MOST_QUEUES: usize = 1000;

    /// A put to several queues, each with its first item's id there; `rest` is the body behind the names, which
    /// must be checked ones. There must be one queue at least, and [`MOST_QUEUES`](Self::MOST_QUEUES) at most.
    pub(super) fn put_to_all(queues: &[(Bytes, u64)], rest: Bytes) -> Self {
        let mut names = Vec::new();
        let (mut first_id, mut first_len) = (0, 0);
        for (at, (name, id)) in queues.iter().enumerate() {
            // Names are far shorter; a longer one would not be read again.
            let len = u8::try_from(name.len()).unwrap_or(u8::MAX);
            if at == 0 {
                (first_id, first_len) = (*id, len);
                names.extend_from_slice(name);
            } else {
                names.push(len);
                names.extend_from_slice(name);
                names.extend_from_slice(&id.to_le_bytes());
            }
        }
        let mut sum = crc32fast::Hasher::new();
        sum.update(&names);
        sum.update(&rest);
        let others = u16::try_from(queues.len().saturating_sub(1)).unwrap_or(u16::MAX);
        let put = Self::put(first_id, first_len, names.into(), sum.finalize());
        Self { others, tail: rest, ..put }
    }

    /// What a put takes more for a further queue of that name.
    pub(super) const fn further_len(name: &Bytes) -> u64 {
        (1 + name.len() + 8) as u64
    }

    const fn new(kind: Kind, id: u64, name_len: u8, body: Bytes) -> Self {
        Self { kind, id, name_len, others: 0, body, tail: Bytes::new(), body_sum: None }
    }

    fn with_sum(self, sum: u32) -> Self {
        Self { body_sum: Some(sum), ..self }
    }

    /// That the queue follows its parent. The name must be a checked one.
    pub(super) fn follow(queue: Bytes) -> Self {
        let name_len = u8::try_from(queue.len()).unwrap_or(u8::MAX);
        Self::new(Kind::Follow, 0, name_len, queue)
    }

    /// That it no longer does.
    pub(super) fn unfollow(queue: Bytes) -> Self {
        Self { kind: Kind::Unfollow, ..Self::follow(queue) }
    }

    /// That the item with that id is gone from the queue. The name must be a checked one.
    pub fn remove(id: u64, queue: Bytes) -> Self {
        // Names are far shorter; a longer one would not be read again.
        let name_len = u8::try_from(queue.len()).unwrap_or(u8::MAX);
        Self::new(Kind::Remove, id, name_len, queue)
    }

    /// That every item of the queue below `below` is gone but those of `kept`. The name must be a checked
    /// one.
    pub(super) fn discard(below: u64, queue: &[u8], kept: &[u64]) -> Self {
        let name_len = u8::try_from(queue.len()).unwrap_or(u8::MAX);
        let mut body = queue.to_vec();
        for id in kept {
            body.extend_from_slice(&id.to_le_bytes());
        }
        Self::new(Kind::Discard, below, name_len, body.into())
    }

    /// That the segment is known to be on the disk up to that offset.
    pub const fn synced(end: u64) -> Self {
        Self::new(Kind::Synced, end, 0, Bytes::new())
    }

    /// What stands for `len` bytes, itself included. `None` when no record is that short or that long.
    pub fn filler(len: usize) -> Option<Self> {
        let body_len = len.checked_sub(HEADER)?;
        if u32::try_from(body_len).ok()? > LONGEST_BODY {
            return None;
        }
        let body = vec![0; body_len].into();
        Some(Self::new(Kind::Filler, 0, 0, body))
    }

    /// Bytes of the whole record.
    pub fn len(&self) -> u64 {
        (HEADER + self.body.len() + self.tail.len()) as u64
    }

    /// Never: a record has a header.
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// What stands behind the header, but for the [`tail`](Self::tail).
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// What stands behind that; most records have none.
    pub const fn tail(&self) -> &Bytes {
        &self.tail
    }

    /// Whether it is a put to several queues.
    pub(super) const fn is_for_several(&self) -> bool {
        self.others > 0
    }

    /// Of a put, the body behind the names.
    pub(super) fn into_rest(mut self) -> Bytes {
        if !self.tail.is_empty() {
            return self.tail;
        }
        let name = usize::from(self.name_len).min(self.body.len());
        bytes::Buf::advance(&mut self.body, name);
        self.body
    }

    /// The header, for a record at that offset of a segment with that salt.
    pub fn header(&self, salt: u32, offset: u64) -> [u8; HEADER] {
        // A body of 4 GiB cannot be told; `LONGEST_BODY` is far below, and puts are bounded by
        // `max_backlog` long before.
        let body_len = u32::try_from(self.body.len() + self.tail.len()).unwrap_or(u32::MAX);
        let body_sum = self.body_sum.unwrap_or_else(|| crc32fast::hash(&self.body));
        let mut header = [0; HEADER];
        header[0..4].copy_from_slice(&body_len.to_le_bytes());
        header[4..8].copy_from_slice(&body_sum.to_le_bytes());
        header[8..16].copy_from_slice(&self.id.to_le_bytes());
        header[16] = self.kind.code();
        header[17] = self.name_len;
        header[OTHERS..SALT].copy_from_slice(&self.others.to_le_bytes());
        header[SALT..SUM].copy_from_slice(&salt.to_le_bytes());
        let sum = header_sum(&header[..SUM], offset);
        header[SUM..].copy_from_slice(&sum.to_le_bytes());
        header
    }

    /// The whole record, for that offset of a segment with that salt.
    pub fn encode(&self, salt: u32, offset: u64) -> Vec<u8> {
        [&self.header(salt, offset), self.body.as_ref(), self.tail.as_ref()].concat()
    }
}

/// The ids that a [`Kind::Discard`] keeps: `rest` is its body behind the name.
pub(super) fn kept(rest: &[u8]) -> impl Iterator<Item = u64> {
    rest.as_chunks().0.iter().map(|id| u64::from_le_bytes(*id))
}

/// One item in a put's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The data, sharing the record's memory.
    pub data: Bytes,
    /// When it expires; the epoch means never.
    pub expires: UnixTime,
}

/// When a put was made, and its items: `rest` is the body behind the name, which a
/// [`decode`]d record is known to have whole.
pub fn put_parts(mut rest: Bytes) -> (UnixTime, impl Iterator<Item = Item>) {
    let time = UnixTime::from_millis(u64_at(&rest, 0).unwrap_or_default());
    let behind = PUT_TIME.min(rest.len());
    bytes::Buf::advance(&mut rest, behind);
    (time, items(rest))
}

/// The same of what is borrowed: the data of each item, and when it expires.
pub(super) fn borrowed_put_parts(
    rest: &[u8],
) -> (UnixTime, impl Iterator<Item = (&[u8], UnixTime)>) {
    let time = UnixTime::from_millis(u64_at(rest, 0).unwrap_or_default());
    let mut items = rest.get(PUT_TIME..).unwrap_or_default();
    let next = move || {
        let len = u32_at(items, 0)? as usize;
        let expires = UnixTime::from_millis(u64_at(items, 4)?);
        let (item, behind) = items.split_at_checked(ITEM_HEADER.checked_add(len)?)?;
        items = behind;
        Some((item.get(ITEM_HEADER..)?, expires))
    };
    (time, core::iter::from_fn(next))
}

/// The ids of a put's items.
pub(super) fn ids_from(first: u64) -> impl Iterator<Item = u64> {
    core::iter::successors(Some(first), |id| Some(id.saturating_add(1)))
}

/// How many items a put has: `rest` is the body behind the name, which a [`decode`]d record is known to
/// have whole.
pub fn item_count(rest: &[u8]) -> u64 {
    let mut rest = rest.get(PUT_TIME..).unwrap_or_default();
    let mut count = 0;
    while let Some(next) = u32_at(rest, 0).and_then(|len| rest.get(ITEM_HEADER + len as usize..)) {
        rest = next;
        count += 1;
    }
    count
}

fn items(mut items: Bytes) -> impl Iterator<Item = Item> {
    core::iter::from_fn(move || {
        let len = u32_at(&items, 0)? as usize;
        let expires = UnixTime::from_millis(u64_at(&items, 4)?);
        let end = ITEM_HEADER.checked_add(len).filter(|&end| end <= items.len())?;
        // The last one has what is left: a record of one item is held by that alone.
        let mut data =
            if end == items.len() { core::mem::take(&mut items) } else { items.split_to(end) };
        bytes::Buf::advance(&mut data, ITEM_HEADER);
        Some(Item { data, expires })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::PutBuilder;

    const AT: u64 = 64;
    const LIFE: u32 = 0x5a17_0001;

    fn put(items: &[&[u8]]) -> Vec<u8> {
        let mut put = PutBuilder::new(b"q", UnixTime::from_millis(5)).unwrap();
        for item in items {
            put.item(Some(UnixTime::from_millis(7)), item);
        }
        put.finish().into_draft(41).encode(LIFE, AT)
    }

    fn read(bytes: &[u8]) -> Result<Record<'_>, Broken> {
        decode(bytes, LIFE, AT)
    }

    #[test]
    fn a_put_reads_back_as_written() {
        let bytes = put(&[b"one", b"", b"three"]);
        let record = read(&bytes).unwrap();
        assert_eq!((record.kind, record.id, record.queue), (Kind::Put, 41, b"q".as_slice()));
        assert_eq!(record.len, bytes.len());
        let (time, items) = put_parts(Bytes::copy_from_slice(record.rest));
        let read: Vec<Item> = items.collect();
        assert_eq!(time, UnixTime::from_millis(5));
        assert_eq!(item_count(record.rest), 3);
        assert_eq!(
            read.iter().map(|i| i.data.to_vec()).collect::<Vec<_>>(),
            [b"one".to_vec(), b"".to_vec(), b"three".to_vec()]
        );
        assert!(read.iter().all(|i| i.expires == UnixTime::from_millis(7)));
    }

    #[test]
    fn a_put_to_several_queues_is_one_record() {
        let queues = [("p", 41), ("p+x", 43), ("p+longer", 45)];
        let named = queues.map(|(name, id)| (Bytes::from(name), id));
        let mut put = PutBuilder::new(b"any", UnixTime::from_millis(5)).unwrap();
        put.item(None, b"one");
        put.item(None, b"two");
        let draft = put.finish().into_draft_for(&named);
        let bytes = draft.encode(LIFE, AT);
        let record = read(&bytes).unwrap();
        assert_eq!((record.len, draft.len()), (bytes.len(), bytes.len() as u64));
        let read_back: Vec<_> = record.puts().collect();
        assert_eq!(read_back, queues.map(|(name, id)| (name.as_bytes(), id)));
        assert_eq!(record.queue, b"p");
        let (time, items) = put_parts(Bytes::copy_from_slice(record.rest));
        let items: Vec<Bytes> = items.map(|item| item.data).collect();
        assert_eq!(
            (time, &items[..]),
            (UnixTime::from_millis(5), &["one".into(), "two".into()][..])
        );
        for cut in 0..bytes.len() {
            assert_eq!(read(&bytes[..cut]), Err(Broken::Short), "cut at {cut}");
        }
    }

    #[test]
    fn names_that_are_not_all_there_make_no_sense() {
        let names = [("p".into(), 1), ("p+x".into(), 2)];
        let put = Draft::put_to_all(&names, Bytes::from_static(&[0; PUT_TIME]));
        assert!(read(&put.encode(LIFE, AT)).is_ok());
        for others in [2, 3, u16::MAX] {
            let more = Draft { others, ..put.clone() }.encode(LIFE, AT);
            assert_eq!(read(&more), Err(Broken::Meaning { len: more.len() }), "{others}");
        }
        let other_kind = Draft { kind: Kind::Remove, ..put }.encode(LIFE, AT);
        assert_eq!(read(&other_kind), Err(Broken::Meaning { len: other_kind.len() }));
    }

    #[test]
    fn every_prefix_is_short() {
        let bytes = put(&[b"one", b"two"]);
        for cut in 0..bytes.len() {
            assert_eq!(read(&bytes[..cut]), Err(Broken::Short), "cut at {cut}");
        }
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let bytes = put(&[b"one", b"two"]);
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let broken = read(&bad).unwrap_err();
            let expected =
                if bit / 8 < HEADER { Broken::Header } else { Broken::Body { len: bytes.len() } };
            assert_eq!(broken, expected, "bit {bit}");
        }
    }

    #[test]
    fn a_record_is_one_at_its_place_and_in_its_life_alone() {
        let bytes = put(&[b"one"]);
        for bit in 0..32 {
            assert_eq!(decode(&bytes, LIFE ^ 1 << bit, AT), Err(Broken::Header));
            assert_eq!(decode(&bytes, LIFE, AT ^ 1 << bit), Err(Broken::Header));
            // Nor does it help to write the other salt into it.
            let mut other = bytes.clone();
            other[SALT + bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&other, LIFE ^ 1 << bit, AT), Err(Broken::Header));
        }
        assert_eq!((salt_of(&bytes, AT), salt_of(&bytes, AT + 1)), (Some(LIFE), None));
    }

    #[test]
    fn a_discard_reads_back_as_written() {
        for kept_ids in [&[][..], &[7], &[1, u64::MAX, 3]] {
            let bytes = Draft::discard(9, b"q", kept_ids).encode(LIFE, AT);
            let record = read(&bytes).unwrap();
            assert_eq!((record.kind, record.id, record.queue), (Kind::Discard, 9, b"q".as_slice()));
            assert_eq!(record.len, bytes.len());
            assert_eq!(kept(record.rest).collect::<Vec<_>>(), kept_ids);
        }
    }

    #[test]
    fn a_filler_covers_exactly_its_length() {
        for len in [HEADER, HEADER + 1, 5000] {
            let bytes = Draft::filler(len).unwrap().encode(LIFE, AT);
            let record = read(&bytes).unwrap();
            assert_eq!((record.kind, record.len, bytes.len()), (Kind::Filler, len, len));
        }
        assert_eq!(Draft::filler(HEADER - 1), None);
    }
}
