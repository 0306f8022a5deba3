//! The journal's records, found byte by byte.

/// Something in a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A whole record: where it stands, its kind's number and its id.
    Record {
        /// Its first byte and the one behind its last.
        range: (usize, usize),
        /// As in the file.
        kind: u8,
        /// As in the file.
        id: u64,
    },
    /// Bytes that are no whole record.
    Bad((usize, usize)),
}

const HEADER: usize = 28;
const SEGMENT_HEADER: usize = 64;

/// CRC-32 (IEEE 802.3), bit by bit.
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// What stands at the start of some bytes.
enum Found {
    Whole {
        len: usize,
        kind: u8,
        id: u64,
    },
    /// The header is whole, and the length may be believed.
    BadBody {
        len: usize,
    },
    HeaderError,
    Short,
}

/// The checksum of a record's header at that offset.
pub fn header_sum(header: &[u8], offset: usize) -> u32 {
    crc32(&[&(offset as u64).to_le_bytes(), header].concat())
}

/// The salt of a segment's records and the length of its file's life before, when its header is whole.
pub fn header(bytes: &[u8]) -> Option<(u32, u64)> {
    let header = bytes.get(..SEGMENT_HEADER)?;
    let is_whole = header[..8] == *b"WHJRNL\0\x04" && short(&header[60..]) == crc32(&header[..60]);
    is_whole.then(|| (short(&header[48..52]), number(&header[52..60])))
}

fn short(bytes: &[u8]) -> u32 {
    u32::try_from(number(bytes)).expect("four bytes")
}

/// The salt of a segment: its header's, or that of the first record that is whole with its own.
pub fn salt(bytes: &[u8]) -> u32 {
    let of_record = |at: usize| {
        let salt = short(bytes.get(at + 20..at + 24)?);
        matches!(look(&bytes[at..], salt, at), Found::Whole { .. }).then_some(salt)
    };
    let found = || (SEGMENT_HEADER..bytes.len()).find_map(of_record);
    header(bytes).map(|(salt, _)| salt).or_else(found).unwrap_or(0)
}

fn look(bytes: &[u8], salt: u32, offset: usize) -> Found {
    let Some(header) = bytes.get(..HEADER) else {
        return Found::Short;
    };
    let body = usize::try_from(number(&header[..4])).expect("four bytes");
    let sum = header_sum(&header[..24], offset);
    if short(&header[20..24]) != salt || short(&header[24..]) != sum || body > 1 << 30 {
        return Found::HeaderError;
    }
    let len = HEADER + body;
    let Some(body) = bytes.get(HEADER..len) else {
        return Found::Short;
    };
    let (kind, name) = (header[16], usize::from(header[17]));
    let others = usize::try_from(number(&header[18..20])).expect("two bytes");
    let sound = number(&header[4..8]) == u64::from(crc32(body))
        && (1..=7).contains(&kind)
        && name <= body.len()
        && (others == 0 || kind == 1)
        && further_queues(&body[name..], others).is_some_and(|(_, rest)| {
            (kind != 1 || items(rest).is_some())
                && (kind != 3 || rest.len() % 8 == 0)
                && (!matches!(kind, 6 | 7) || rest.is_empty())
        });
    if sound {
        Found::Whole { len, kind, id: number(&header[8..16]) }
    } else {
        Found::BadBody { len }
    }
}

/// A queue's name, and the id of a put's first item there.
pub type Named<'a> = (&'a [u8], u64);

/// Further queues of a put, each with the id of the first item there, and what stands behind them.
fn further_queues(mut body: &[u8], count: usize) -> Option<(Vec<Named<'_>>, &[u8])> {
    let mut queues = Vec::new();
    for _ in 0..count {
        let len = usize::from(*body.first()?);
        let (name, id) = (body.get(1..1 + len)?, body.get(1 + len..9 + len)?);
        queues.push((name, number(id)));
        body = &body[9 + len..];
    }
    Some((queues, body))
}

/// The queues of a put, each with the id of the first item there. `record` must be a whole one.
pub fn queues(record: &[u8]) -> Vec<Named<'_>> {
    let others = usize::try_from(number(&record[18..20])).expect("two bytes");
    let (name, rest) = record[HEADER..].split_at(usize::from(record[17]));
    let further = further_queues(rest, others).expect("it is whole").0;
    [(name, number(&record[8..16]))].into_iter().chain(further).collect()
}

/// The items of a put: the body behind the names.
pub fn items(rest: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut rest = rest.get(8..)?;
    let mut items = Vec::new();
    while !rest.is_empty() {
        let len = usize::try_from(number(rest.get(..4)?)).ok()?;
        items.push(rest.get(12..12 + len)?.to_vec());
        rest = &rest[12 + len..];
    }
    Some(items)
}

/// Takes a segment apart, behind its own header, up to where leftovers of an earlier life begin.
pub fn parts(bytes: &[u8]) -> Vec<Part> {
    let (salt, leftover) = (salt(bytes), header(bytes).map_or(0, |(_, leftover)| leftover));
    let mut parts = Vec::new();
    let mut synced = 0;
    let mut at = SEGMENT_HEADER.min(bytes.len());
    while at < bytes.len() {
        let found = look(&bytes[at..], salt, at);
        let is_whole = |at: usize| matches!(look(&bytes[at..], salt, at), Found::Whole { .. });
        // The next whole record, a header's length on at the least.
        let next = (at + HEADER..bytes.len()).find(|&at| is_whole(at));
        let has_header = match found {
            Found::Whole { .. } | Found::BadBody { .. } => true,
            Found::HeaderError => false,
            Found::Short => bytes.len() - at >= HEADER,
        };
        if !has_header && next.is_none() && at as u64 >= synced && (at as u64) < leftover {
            return parts;
        }
        match found {
            Found::Whole { len, kind, id } => {
                parts.push(Part::Record { range: (at, at + len), kind, id });
                if kind == 4 {
                    synced = synced.max(id);
                }
                at += len;
            }
            Found::BadBody { len } => {
                parts.push(Part::Bad((at, at + len)));
                at += len;
            }
            Found::HeaderError => {
                let next = next.unwrap_or(bytes.len());
                parts.push(Part::Bad((at, next)));
                at = next;
            }
            Found::Short => {
                parts.push(Part::Bad((at, bytes.len())));
                at = bytes.len();
            }
        }
    }
    parts
}
