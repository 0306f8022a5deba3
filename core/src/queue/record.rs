//! The records of the journal.
//!
//! A record is a header of 24 bytes and a body, all numbers little-endian:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | length of the body |
//! | 4 | 4 | CRC-32 of the body |
//! | 8 | 8 | id (see [`Kind`]) |
//! | 16 | 1 | kind |
//! | 17 | 1 | length of the queue's name, the first bytes of the body |
//! | 18 | 2 | zero |
//! | 20 | 4 | CRC-32 of the 20 bytes before |
//!
//! The header has a checksum of its own, so that a length is believed only when it is whole: a
//! damaged body can be stepped over, and what stands behind it is not lost.
//!
//! The body of a [`Kind::Put`] is the name, the time of the put in milliseconds since 1970 (8), then
//! for each item: length (4), time of expiry in milliseconds since 1970 or 0 for never (8), data. A put is one record however many items it has, which
//! is what makes it atomic.
//!
//! The body of a [`Kind::Discard`] is the name, then the ids (8 each) of the items that stay although
//! theirs are smaller: what was open when the queue was flushed. They are in the same record, for a
//! discard that was written without them would lose them.

use bytes::Bytes;

use crate::UnixTime;

/// Bytes of a record's header.
pub const HEADER: usize = 24;
/// Bytes of the put's time, behind the queue's name.
pub const PUT_TIME: usize = 8;
/// Bytes before each item's data in a put's body.
pub const ITEM_HEADER: usize = 12;
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
}

impl Kind {
    const fn code(self) -> u8 {
        match self {
            Self::Put => 1,
            Self::Remove => 2,
            Self::Discard => 3,
            Self::Synced => 4,
            Self::Filler => 5,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Put,
            2 => Self::Remove,
            3 => Self::Discard,
            4 => Self::Synced,
            5 => Self::Filler,
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
    /// The queue's name; empty for kinds that speak of no queue.
    pub queue: &'a [u8],
    /// The body behind the name.
    pub rest: &'a [u8],
    /// Bytes of the whole record.
    pub len: usize,
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

/// Reads the record at the start of `bytes`.
///
/// # Errors
/// [`Broken`] says what is wrong with it.
pub fn decode(bytes: &[u8]) -> Result<Record<'_>, Broken> {
    let header = bytes.first_chunk::<HEADER>().ok_or(Broken::Short)?;
    let (covered, sum) = header.split_at(20);
    if u32_at(sum, 0) != Some(crc32fast::hash(covered)) {
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
    let (Some(kind), Some((queue, rest))) = (kind, body.split_at_checked(name_len)) else {
        return Err(Broken::Meaning { len });
    };
    let makes_sense = match kind {
        Kind::Put => items_are_whole(rest),
        Kind::Discard => rest.len() % 8 == 0,
        Kind::Remove | Kind::Synced | Kind::Filler => true,
    };
    if !makes_sense {
        return Err(Broken::Meaning { len });
    }
    Ok(Record { kind, id, queue, rest, len })
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

/// The header of a record whose body has this length and checksum.
pub(super) fn header(
    kind: Kind,
    id: u64,
    name_len: u8,
    body_len: u32,
    body_sum: u32,
) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[0..4].copy_from_slice(&body_len.to_le_bytes());
    header[4..8].copy_from_slice(&body_sum.to_le_bytes());
    header[8..16].copy_from_slice(&id.to_le_bytes());
    header[16] = kind.code();
    header[17] = name_len;
    let sum = crc32fast::hash(&header[..20]);
    header[20..24].copy_from_slice(&sum.to_le_bytes());
    header
}

/// Hands a whole record without items to `write`, piece by piece. `queue` must be a checked name
/// or empty.
pub fn encode(kind: Kind, id: u64, queue: &[u8], mut write: impl FnMut(&[u8])) {
    let queue = queue.get(..queue.len().min(255)).unwrap_or_default();
    #[expect(clippy::cast_possible_truncation, reason = "cut to 255 above")]
    let name_len = queue.len() as u8;
    write(&header(kind, id, name_len, u32::from(name_len), crc32fast::hash(queue)));
    write(queue);
}

/// Hands a whole [`Kind::Discard`] to `write`, piece by piece: every item below `below` goes but those
/// of `kept`. `queue` must be a checked name.
pub(super) fn encode_discard(below: u64, queue: &[u8], kept: &[u64], mut write: impl FnMut(&[u8])) {
    let mut body = queue.get(..queue.len().min(255)).unwrap_or_default().to_vec();
    #[expect(clippy::cast_possible_truncation, reason = "cut to 255 above")]
    let name_len = body.len() as u8;
    for id in kept {
        body.extend_from_slice(&id.to_le_bytes());
    }
    // As many reads are open as there are connections: far from 4 GiB.
    let body_len = u32::try_from(body.len()).unwrap_or(u32::MAX);
    write(&header(Kind::Discard, below, name_len, body_len, crc32fast::hash(&body)));
    write(&body);
}

/// The ids that a [`Kind::Discard`] keeps: `rest` is its body behind the name.
pub(super) fn kept(rest: &[u8]) -> impl Iterator<Item = u64> {
    rest.as_chunks().0.iter().map(|id| u64::from_le_bytes(*id))
}

/// The header of a [`Kind::Filler`] that stands for `len` bytes, itself included, when the bytes
/// behind it are zero. `None` when no record is that short or that long.
pub fn filler(len: usize) -> Option<[u8; HEADER]> {
    let body_len = u32::try_from(len.checked_sub(HEADER)?).ok()?;
    if body_len > LONGEST_BODY {
        return None;
    }
    let mut sum = crc32fast::Hasher::new();
    let zeros = [0; 4096];
    let mut left = body_len as usize;
    while left > 0 {
        let n = left.min(zeros.len());
        sum.update(&zeros[..n]);
        left -= n;
    }
    Some(header(Kind::Filler, 0, 0, body_len, sum.finalize()))
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
    (time, items(rest.split_off(PUT_TIME.min(rest.len()))))
}

fn items(mut items: Bytes) -> impl Iterator<Item = Item> {
    core::iter::from_fn(move || {
        let len = u32_at(&items, 0)? as usize;
        let expires = UnixTime::from_millis(u64_at(&items, 4)?);
        let end = ITEM_HEADER.checked_add(len).filter(|&end| end <= items.len())?;
        let data = items.slice(ITEM_HEADER..end);
        bytes::Buf::advance(&mut items, end);
        Some(Item { data, expires })
    })
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::queue::PutBuilder;

    fn put(items: &[&[u8]]) -> Vec<u8> {
        let mut put = PutBuilder::new(b"q", UnixTime::from_millis(5)).unwrap();
        for item in items {
            put.item(Some(UnixTime::from_millis(7)), item);
        }
        put.finish().into_record(41).to_vec()
    }

    #[test]
    fn a_put_reads_back_as_written() {
        let bytes = put(&[b"one", b"", b"three"]);
        let record = decode(&bytes).unwrap();
        assert_eq!((record.kind, record.id, record.queue), (Kind::Put, 41, b"q".as_slice()));
        assert_eq!(record.len, bytes.len());
        let (time, items) = put_parts(Bytes::copy_from_slice(record.rest));
        let read: Vec<Item> = items.collect();
        assert_eq!(time, UnixTime::from_millis(5));
        assert_eq!(
            read.iter().map(|i| i.data.to_vec()).collect::<Vec<_>>(),
            [b"one".to_vec(), b"".to_vec(), b"three".to_vec()]
        );
        assert!(read.iter().all(|i| i.expires == UnixTime::from_millis(7)));
    }

    #[test]
    fn every_prefix_is_short() {
        let bytes = put(&[b"one", b"two"]);
        for cut in 0..bytes.len() {
            assert_eq!(decode(&bytes[..cut]), Err(Broken::Short), "cut at {cut}");
        }
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let bytes = put(&[b"one", b"two"]);
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let broken = decode(&bad).unwrap_err();
            let expected =
                if bit / 8 < HEADER { Broken::Header } else { Broken::Body { len: bytes.len() } };
            assert_eq!(broken, expected, "bit {bit}");
        }
    }

    #[test]
    fn a_discard_reads_back_as_written() {
        for kept_ids in [&[][..], &[7], &[1, u64::MAX, 3]] {
            let mut bytes = Vec::new();
            encode_discard(9, b"q", kept_ids, |piece| bytes.extend_from_slice(piece));
            let record = decode(&bytes).unwrap();
            assert_eq!((record.kind, record.id, record.queue), (Kind::Discard, 9, b"q".as_slice()));
            assert_eq!(record.len, bytes.len());
            assert_eq!(kept(record.rest).collect::<Vec<_>>(), kept_ids);
        }
    }

    #[test]
    fn a_filler_covers_exactly_its_length() {
        for len in [HEADER, HEADER + 1, 5000] {
            let mut bytes = filler(len).unwrap().to_vec();
            bytes.resize(len, 0);
            let record = decode(&bytes).unwrap();
            assert_eq!((record.kind, record.len), (Kind::Filler, len));
        }
        assert_eq!(filler(HEADER - 1), None);
    }
}
