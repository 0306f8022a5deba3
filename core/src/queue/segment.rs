//! The segments of the journal: their header, and the search through one for records and damage.
//!
//! A segment begins with a header of 64 bytes, all numbers little-endian:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic; the last byte is the format's number |
//! | 8 | 8 | the segment's number |
//! | 16 | 8 | where the valid bytes of the segment before end |
//! | 24 | 8 | the oldest segment needed when this one was made |
//! | 32 | 8 | when it was made, in milliseconds since 1970 |
//! | 40 | 8 | the number of the segment before |
//! | 48 | 4 | the salt of its records |
//! | 52 | 8 | up to where the file may hold bytes of an earlier life, or zeros |
//! | 60 | 4 | CRC-32 of the 60 bytes before |
//!
//! Since each segment names the one before and says where it ends, a missing or shortened segment is
//! seen, and bytes that a failed write left behind that end are never taken for records.
//!
//! A segment that is not needed any more is written over with another one: on most file systems that
//! makes a sync much cheaper than growing a file. So the end of the file is not the end of the data.
//! What the earlier life left behind it has another salt and is no record of this segment.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use super::record::{self, Broken, Kind, Record};
use crate::UnixTime;

/// Bytes of a segment's header.
pub const HEADER: usize = 64;
/// What a segment begins with. The last byte is the format's version.
pub const MAGIC: [u8; 8] = *b"WHJRNL\0\x04";

/// What stands at the start of a segment.
///
/// ```
/// use windhover_core::UnixTime;
/// use windhover_core::queue::segment::{Header, HeaderError, MAGIC};
///
/// let created = UnixTime::from_secs(1_700_000_000);
/// let header = Header {
///     number: 1,
///     previous: 0,
///     previous_end: 0,
///     oldest: 1,
///     created,
///     salt: 7,
///     leftover: 0,
/// };
/// let bytes = header.encode();
/// assert_eq!(bytes[..8], MAGIC);
/// assert_eq!(Header::decode(&bytes), Ok(header));
/// assert_eq!(Header::decode(&bytes[..63]), Err(HeaderError::Short));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The segment's number; the first is 1.
    pub number: u64,
    /// The number of the segment before: smaller by one, or by more where segments were lost and the
    /// journal was repaired; 0 when there is none.
    pub previous: u64,
    /// Where the valid bytes of the segment before end; 0 when there is none.
    pub previous_end: u64,
    /// The oldest segment needed when this one was made.
    pub oldest: u64,
    /// When it was made.
    pub created: UnixTime,
    /// A random number that each of its records has, never the one of the file's life before. Not 0.
    pub salt: u32,
    /// Up to here the file may hold bytes of its life before, or zeros that were written ahead of the records. 0
    /// where it ends with its records.
    pub leftover: u64,
}

/// Why a segment's header cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderError {
    /// The file is shorter than a header.
    Short,
    /// It does not begin with the magic bytes: not a segment of this format.
    Magic,
    /// The format is of another version.
    Version(u8),
    /// The checksum does not fit.
    Checksum,
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => {
                write!(f, "the file is shorter than a segment's header ({HEADER} bytes)")
            }
            Self::Magic => f.write_str("the file does not begin as a journal segment does"),
            Self::Version(version) => write!(
                f,
                "the segment is of format {version}; this program reads format {}",
                MAGIC[7]
            ),
            Self::Checksum => f.write_str("the checksum of the segment's header does not fit"),
        }
    }
}

impl core::error::Error for HeaderError {}

impl Header {
    /// The header's bytes.
    pub fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..16].copy_from_slice(&self.number.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.previous_end.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.oldest.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.created.as_millis().to_le_bytes());
        bytes[40..48].copy_from_slice(&self.previous.to_le_bytes());
        bytes[48..52].copy_from_slice(&self.salt.to_le_bytes());
        bytes[52..60].copy_from_slice(&self.leftover.to_le_bytes());
        let sum = crc32fast::hash(&bytes[..60]);
        bytes[60..64].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Reads a header from the start of a segment.
    ///
    /// # Errors
    /// [`HeaderError`] says what is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        let header = bytes.first_chunk::<HEADER>().ok_or(HeaderError::Short)?;
        if header[..7] != MAGIC[..7] {
            return Err(HeaderError::Magic);
        }
        let number = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&header[at..at + 8]);
            u64::from_le_bytes(bytes)
        };
        if header[60..] != crc32fast::hash(&header[..60]).to_le_bytes() {
            return Err(HeaderError::Checksum);
        }
        if header[7] != MAGIC[7] {
            return Err(HeaderError::Version(header[7]));
        }
        Ok(Self {
            number: number(8),
            previous: number(40),
            previous_end: number(16),
            oldest: number(24),
            created: UnixTime::from_millis(number(32)),
            salt: u32::from_le_bytes([header[48], header[49], header[50], header[51]]),
            leftover: number(52),
        })
    }
}

/// Bytes of a segment that hold no whole record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage {
    /// Where the bytes stand in the segment. The end may lie behind the end of the file, when the
    /// segment is known to have been longer.
    pub range: Range<u64>,
    /// What is wrong with them.
    pub what: What,
}

impl Damage {
    /// Damage of those bytes.
    pub const fn new(range: Range<u64>, what: What) -> Self {
        Self { range, what }
    }
}

/// What is wrong with bytes in which a record was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// The file ends before the record does.
    Cut,
    /// The checksum of a record's header does not fit.
    RecordHeader,
    /// The checksum of a record's body does not fit.
    RecordBody,
    /// The checksums fit but the record is of no known kind.
    Unknown,
    /// The segment's own header cannot be read.
    SegmentHeader(HeaderError),
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut => f.write_str("the file ends before the record does"),
            Self::RecordHeader => f.write_str("the checksum of a record's header does not fit"),
            Self::RecordBody => f.write_str("the checksum of a record's body does not fit"),
            Self::Unknown => f.write_str("a record of a kind that this program does not know"),
            Self::SegmentHeader(bad) => bad.fmt(f),
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bytes {} to {}: {}", self.range.start, self.range.end, self.what)
    }
}

/// What a search through a segment found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Scan {
    /// The salt of its records: the header's or, when that cannot be read, the first whole record's. 0
    /// when there is neither.
    pub salt: u32,
    /// Whole records.
    pub records: u64,
    /// Whole records that stand behind the first damage.
    pub records_after_damage: u64,
    /// The segment says that it was on the disk up to here, when later bytes were written.
    pub synced: u64,
    /// Everything that is not a whole record.
    pub damage: Vec<Damage>,
    /// Where its bytes end. What stands behind in the file is left over from an earlier life, or behind a
    /// known end.
    pub end: u64,
}

/// What is known of where a segment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentEnd {
    /// There: bytes behind it are ignored, and a file that ends before is damaged.
    At(u64),
    /// Where the file does, or where nothing but leftovers of an earlier life follows; but a segment that
    /// ends before this is damaged. 0 when nothing is known.
    AtLeast(u64),
}

/// Goes through the records of a segment and hands each whole one to `visit`, with its offset, also those
/// behind damage.
///
/// ```
/// use windhover_core::UnixTime;
/// use windhover_core::queue::record::{Draft, Kind};
/// use windhover_core::queue::segment::{Damage, Header, Scan, SegmentEnd, What, scan};
///
/// let created = UnixTime::from_secs(1_700_000_000);
/// let header = Header {
///     number: 1,
///     previous: 0,
///     previous_end: 0,
///     oldest: 1,
///     created,
///     salt: 7,
///     leftover: 0,
/// };
/// let mut segment = header.encode().to_vec();
/// segment.extend(Draft::remove(41, "jobs".into()).encode(7, 64));
/// segment.extend(Draft::remove(42, "jobs".into()).encode(7, 96));
/// // A bit flips in the queue's name of the first record; the second is found all the same.
/// segment[64 + 28] ^= 1;
///
/// let mut seen = Vec::new();
/// let found: Scan = scan(&segment, SegmentEnd::At(128), |offset, record| {
///     assert_eq!(record.kind, Kind::Remove);
///     seen.push((offset, record.id));
/// });
/// assert_eq!(seen, [(96, 42)]);
/// assert_eq!(found.damage, [Damage::new(64..96, What::RecordBody)]);
/// assert_eq!(found.records_after_damage, 1);
/// ```
pub fn scan(bytes: &[u8], end: SegmentEnd, mut visit: impl FnMut(u64, Record<'_>)) -> Scan {
    let mut found = Scan::default();
    let least = match end {
        SegmentEnd::At(_) => u64::MAX,
        SegmentEnd::AtLeast(least) => least,
    };
    let (bytes, end) = match end {
        SegmentEnd::At(end) => {
            (bytes.get(..usize::try_from(end).unwrap_or(usize::MAX)).unwrap_or(bytes), end)
        }
        SegmentEnd::AtLeast(least) => (bytes, least.max(bytes.len() as u64)),
    };
    let header = Header::decode(bytes);
    // Where the data may end before the file does: behind what is known to be there, within what an earlier
    // life may have left.
    let may_end = least..header.map_or(0, |header| header.leftover);
    found.end = end;
    found.salt = match header {
        Ok(header) => header.salt,
        Err(bad) => {
            let range = 0..HEADER as u64;
            found.damage.push(Damage { range, what: What::SegmentHeader(bad) });
            find_salt(bytes)
        }
    };
    let salt = found.salt;
    let mut at = HEADER;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let (what, len) = match record::decode(rest, salt, at as u64) {
            Ok(record) => {
                found.records += 1;
                if !found.damage.is_empty() {
                    found.records_after_damage += 1;
                }
                if record.kind == Kind::Synced {
                    found.synced = found.synced.max(record.id);
                }
                let offset = at as u64;
                at += record.len;
                visit(offset, record);
                continue;
            }
            Err(Broken::Short) if rest.len() >= record::HEADER => break,
            Err(broken @ (Broken::Short | Broken::Header)) => {
                let next = next_record(rest, salt, at as u64);
                let at = at as u64;
                if next.is_none() && at >= found.synced && may_end.contains(&at) {
                    // No record was begun here in this life, or not even its header was written.
                    found.end = at;
                    return found;
                }
                if broken == Broken::Short {
                    break;
                }
                (What::RecordHeader, next.unwrap_or(rest.len()))
            }
            Err(Broken::Body { len }) => (What::RecordBody, len),
            Err(Broken::Meaning { len }) => (What::Unknown, len),
        };
        found.damage.push(Damage { range: at as u64..(at + len) as u64, what });
        at += len;
    }
    if (at as u64) < end {
        let before = found.damage.last_mut().filter(|damage| damage.range.end == at as u64);
        match before {
            // One damage with it: a few missing bytes alone are too short for a filler.
            Some(Damage { range, what: What::RecordHeader }) => range.end = end,
            _ => found.damage.push(Damage { range: at as u64..end, what: What::Cut }),
        }
    }
    found
}

/// The salt of the first whole record.
fn find_salt(bytes: &[u8]) -> u32 {
    let found = (HEADER..bytes.len())
        .find_map(|at| bytes.get(at..).and_then(|rest| record::salt_of(rest, at as u64)));
    found.unwrap_or_default()
}

/// How far on the next whole record begins behind a broken header; `rest` stands at that offset.
fn next_record(rest: &[u8], salt: u32, offset: u64) -> Option<usize> {
    let salt_bytes = salt.to_le_bytes();
    let finder = memchr::memmem::Finder::new(&salt_bytes);
    // A record behind the damage begins at least one header later, so that the damage can be
    // covered by a filler.
    let mut from = record::HEADER;
    loop {
        from += finder.find(rest.get(from + record::SALT..)?)?;
        let is_whole = |rest| record::decode(rest, salt, offset + from as u64).is_ok();
        if rest.get(from..).is_some_and(is_whole) {
            return Some(from);
        }
        from += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::vec;

    use super::super::record::Draft;
    use super::*;

    fn segment() -> (Vec<u8>, Vec<u64>) {
        written(7, 0, 0..5)
    }

    /// A segment with records of those ids, and where they begin and the last ends.
    fn written(salt: u32, leftover: u64, ids: Range<u64>) -> (Vec<u8>, Vec<u64>) {
        let header = Header {
            number: 1,
            previous: 0,
            previous_end: 0,
            oldest: 1,
            created: UnixTime::from_secs(9),
            salt,
            leftover,
        };
        let mut bytes = header.encode().to_vec();
        assert_eq!(Header::decode(&bytes), Ok(header));
        let mut starts = vec![];
        for id in ids {
            let at = bytes.len() as u64;
            starts.push(at);
            let name = if salt == 7 { "queue" } else { "other" };
            bytes.extend(Draft::remove(id, name.into()).encode(salt, at));
        }
        starts.push(bytes.len() as u64);
        (bytes, starts)
    }

    fn ids(bytes: &[u8], end: SegmentEnd) -> (Vec<u64>, Scan) {
        let mut ids = vec![];
        let found = scan(bytes, end, |offset, record| {
            assert_eq!(
                record::decode(&bytes[usize::try_from(offset).unwrap()..], 7, offset),
                Ok(record)
            );
            ids.push(record.id);
        });
        (ids, found)
    }

    #[test]
    fn a_whole_segment_has_no_damage() {
        let (bytes, _) = segment();
        let (ids, found) = ids(&bytes, SegmentEnd::AtLeast(0));
        assert_eq!(ids, [0, 1, 2, 3, 4]);
        assert_eq!(found.damage, []);
    }

    #[test]
    fn a_cut_at_any_place_is_a_cut_record_or_none() {
        let (bytes, starts) = segment();
        for cut in HEADER..bytes.len() {
            let (ids, found) = ids(&bytes[..cut], SegmentEnd::AtLeast(0));
            let whole = starts[1..].iter().filter(|&&end| end <= cut as u64).count();
            assert_eq!(ids.len(), whole, "cut at {cut}");
            let damage: Vec<_> = found.damage.iter().map(|d| (d.range.clone(), d.what)).collect();
            if starts.contains(&(cut as u64)) {
                assert_eq!(damage, []);
            } else {
                assert_eq!(damage, [(starts[whole]..cut as u64, What::Cut)]);
            }
        }
    }

    #[test]
    fn a_cut_is_seen_when_the_end_is_known() {
        let (bytes, starts) = segment();
        let end = bytes.len() as u64;
        let (ids, found) = ids(&bytes[..usize::try_from(starts[3]).unwrap()], SegmentEnd::At(end));
        assert_eq!(ids, [0, 1, 2]);
        assert_eq!(found.damage, [Damage { range: starts[3]..end, what: What::Cut }]);
    }

    #[test]
    fn a_cut_before_what_is_known_to_be_there_is_damage_wherever_it_is() {
        let (bytes, starts) = segment();
        let end = bytes.len() as u64;
        for cut in 0..bytes.len() {
            let (ids, found) = ids(&bytes[..cut], SegmentEnd::AtLeast(end));
            let whole = starts[1..].iter().filter(|&&end| end <= cut as u64).count();
            assert_eq!(ids.len(), whole, "cut at {cut}");
            let last = found.damage.last().unwrap();
            assert_eq!(*last, Damage::new(starts[whole]..end, What::Cut), "cut at {cut}");
            assert_eq!(found.damage.len(), if cut < HEADER { 2 } else { 1 }, "cut at {cut}");
        }
        assert_eq!(ids(&bytes, SegmentEnd::AtLeast(end)).1.damage, []);
    }

    #[test]
    fn a_broken_header_and_a_cut_behind_it_are_one_damage() {
        let (mut bytes, starts) = segment();
        let (last, end) = (starts[4], starts[5]);
        bytes[usize::try_from(last).unwrap()] ^= 1;
        bytes.truncate(usize::try_from(end).unwrap() - 3);
        let (ids, found) = ids(&bytes, SegmentEnd::At(end));
        assert_eq!(ids, [0, 1, 2, 3]);
        assert_eq!(found.damage, [Damage { range: last..end, what: What::RecordHeader }]);
    }

    #[test]
    fn every_flipped_bit_damages_one_record_and_no_other() {
        let (bytes, starts) = segment();
        for bit in HEADER * 8..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let hit = starts.iter().rposition(|&start| start <= bit as u64 / 8).unwrap();
            let (ids, found) = ids(&bad, SegmentEnd::At(bytes.len() as u64));
            let expected: Vec<u64> = (0..5).filter(|&id| id != hit as u64).collect();
            assert_eq!(ids, expected, "bit {bit}");
            assert_eq!(found.damage.len(), 1, "bit {bit}");
            assert_eq!(found.damage[0].range, starts[hit]..starts[hit + 1], "bit {bit}");
        }
    }

    #[test]
    fn every_flipped_bit_of_the_header_is_seen() {
        let (bytes, _) = segment();
        for bit in 0..HEADER * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let (ids, found) = ids(&bad, SegmentEnd::AtLeast(0));
            assert_eq!(ids.len(), 5);
            assert!(matches!(found.damage[..], [Damage { what: What::SegmentHeader(_), .. }]));
        }
    }

    #[test]
    fn bytes_behind_the_known_end_are_ignored() {
        let (mut bytes, _) = segment();
        let end = bytes.len() as u64;
        bytes.extend_from_slice(b"left by a failed write");
        let (ids, found) = ids(&bytes, SegmentEnd::At(end));
        assert_eq!(ids.len(), 5);
        assert_eq!(found.damage, []);
    }

    #[test]
    fn what_an_earlier_life_left_is_neither_a_record_nor_damage() {
        let (old, _) = written(6, 0, 100..120);
        for count in 0..5 {
            let (new, starts) = written(7, old.len() as u64, 0..count);
            let end = new.len() as u64;
            // Written over as a batch is: up to every length.
            for written in HEADER..=new.len() {
                let file = [&new[..written], &old[written..]].concat();
                let whole = starts[1..].iter().filter(|&&end| end <= written as u64).count();
                let (ids, found) = ids(&file, SegmentEnd::AtLeast(0));
                assert_eq!(ids, (0..whole as u64).collect::<Vec<_>>(), "{written} bytes written");
                let begun = written as u64 - starts[whole];
                if begun < record::HEADER as u64 {
                    assert_eq!((found.damage.len(), found.end), (0, starts[whole]), "{written}");
                } else {
                    // The record was begun in this life: an unfinished write.
                    let range = starts[whole]..starts[whole + 1];
                    assert_eq!(found.damage, [Damage { range, what: What::RecordBody }]);
                }
            }
            // What is known to have been written, and is what was there before, is damage.
            let file = [&new[..], &old[new.len()..]].concat();
            let lost = ids(&file, SegmentEnd::AtLeast(end + 10)).1;
            let rest = Damage::new(end..file.len() as u64, What::RecordHeader);
            assert_eq!(lost.damage, [rest]);
            // A record of this life behind some that the disk did not write is found.
            if count > 1 {
                let (last, at) = (starts.len() - 2, usize::try_from(starts[1]).unwrap());
                let from = usize::try_from(starts[last]).unwrap();
                let file = [&new[..at], &old[at..from], &new[from..], &old[new.len()..]].concat();
                let (found_ids, found) = ids(&file, SegmentEnd::AtLeast(0));
                assert_eq!(found_ids.last(), Some(&(count - 1)));
                assert_eq!((found_ids.len(), found.end), (2, end));
            }
        }
    }

    #[test]
    fn an_item_that_is_a_record_of_the_same_segment_is_not_taken_for_one() {
        let (mut bytes, _) = segment();
        let at = bytes.len() as u64;
        let mut put = super::super::PutBuilder::new(b"q", UnixTime::from_secs(9)).unwrap();
        // A copy of the segment's own records, and one for every offset near.
        put.item(None, &bytes[HEADER..]);
        for offset in at..at + 500 {
            put.item(None, &Draft::remove(9, "queue".into()).encode(8, offset));
        }
        bytes.extend(put.finish().into_draft(50).encode(7, at));
        let end = bytes.len() as u64;
        bytes.extend(Draft::remove(6, "queue".into()).encode(7, end));
        assert_eq!(ids(&bytes, SegmentEnd::AtLeast(0)).0, [0, 1, 2, 3, 4, 50, 6]);
        // Also when the put's header is damaged, so that a record is searched for within it.
        bytes[usize::try_from(at).unwrap()] ^= 1;
        let (found_ids, found) = ids(&bytes, SegmentEnd::AtLeast(0));
        assert_eq!(found_ids, [0, 1, 2, 3, 4, 6]);
        assert_eq!(found.damage, [Damage { range: at..end, what: What::RecordHeader }]);
    }

    #[test]
    fn a_segment_whose_header_is_lost_is_read_by_its_records() {
        let (mut bytes, starts) = segment();
        bytes[..HEADER].fill(0);
        assert_eq!(ids(&bytes, SegmentEnd::AtLeast(0)).1.salt, 7);
        // And when the first record is gone with it.
        let second = usize::try_from(starts[1]).unwrap();
        bytes[..second].fill(0);
        let (found_ids, found) = ids(&bytes, SegmentEnd::AtLeast(0));
        assert_eq!((found_ids, found.salt), (vec![1, 2, 3, 4], 7));
    }
}
