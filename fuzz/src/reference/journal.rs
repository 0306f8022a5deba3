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

const HEADER: usize = 24;
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

fn look(bytes: &[u8]) -> Found {
    let Some(header) = bytes.get(..HEADER) else {
        return Found::Short;
    };
    let body = usize::try_from(number(&header[..4])).expect("four bytes");
    if number(&header[20..]) != u64::from(crc32(&header[..20])) || body > 1 << 30 {
        return Found::HeaderError;
    }
    let len = HEADER + body;
    let Some(body) = bytes.get(HEADER..len) else {
        return Found::Short;
    };
    let (kind, name) = (header[16], usize::from(header[17]));
    let sound = number(&header[4..8]) == u64::from(crc32(body))
        && (1..=5).contains(&kind)
        && name <= body.len()
        && (kind != 1 || items(&body[name..]).is_some())
        && (kind != 3 || (body.len() - name) % 8 == 0);
    if sound {
        Found::Whole { len, kind, id: number(&header[8..16]) }
    } else {
        Found::BadBody { len }
    }
}

/// The items of a put: the body behind the name.
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

/// Takes a segment apart, behind its own header.
pub fn parts(bytes: &[u8]) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut at = SEGMENT_HEADER.min(bytes.len());
    while at < bytes.len() {
        match look(&bytes[at..]) {
            Found::Whole { len, kind, id } => {
                parts.push(Part::Record { range: (at, at + len), kind, id });
                at += len;
            }
            Found::BadBody { len } => {
                parts.push(Part::Bad((at, at + len)));
                at += len;
            }
            Found::HeaderError => {
                // The next whole record, a header's length on at the least.
                let mut next = at + HEADER;
                while next < bytes.len() && !matches!(look(&bytes[next..]), Found::Whole { .. }) {
                    next += 1;
                }
                let next = next.min(bytes.len());
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
