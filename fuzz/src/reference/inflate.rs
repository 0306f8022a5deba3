//! Compressed bodies, read simply: bit by bit (RFC 1951), as zlib (RFC 1950) or gzip (RFC 1952).

use super::journal::crc32;

/// What a body may come to.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Most bytes.
    pub most: usize,
    /// How many blocks may be short, and what the others hold on average.
    pub blocks: (usize, usize),
}

/// The text of a gzip body; `None` where it has none, or too much of it.
pub fn gzip(body: &[u8], bounds: Bounds) -> Option<Vec<u8>> {
    let mut reader = Reader { bytes: body, bit: 0, text: Vec::new(), blocks: 0, bounds };
    loop {
        let start = reader.bit / 8;
        let header = reader.take(10)?;
        let flags = header[3];
        if header[..3] != [0x1f, 0x8b, 8] || flags & 0xe0 != 0 {
            return None;
        }
        if flags & 4 != 0 {
            let length = reader.bits(16)?;
            reader.take(length)?;
        }
        for flag in [8, 16] {
            while flags & flag != 0 && reader.bits(8)? != 0 {}
        }
        if flags & 2 != 0 {
            let seen = crc32(&body[start..reader.bit / 8]) & 0xffff;
            if reader.bits(16)? != seen as usize {
                return None;
            }
        }
        let before = reader.text.len();
        reader.deflate()?;
        let text = &reader.text[before..];
        let (crc, length) = (crc32(text) as usize, text.len());
        if reader.bits(32)? != crc || reader.bits(32)? != length {
            return None;
        }
        let rest = &body[reader.bit / 8..];
        if rest.iter().all(|&byte| byte == 0) {
            return Some(reader.text);
        }
    }
}

/// The text of a deflate body, with or without the header and checksum of zlib.
pub fn deflate(body: &[u8], bounds: Bounds) -> Option<Vec<u8>> {
    let mut reader = Reader { bytes: body, bit: 0, text: Vec::new(), blocks: 0, bounds };
    let head = body.get(..2).map_or(1, |head| usize::from(head[0]) * 256 + usize::from(head[1]));
    let is_zlib = head.is_multiple_of(31) && body[0] & 15 == 8;
    if is_zlib {
        // A window above 32 KiB, a dictionary that nobody has.
        if body[0] >> 4 > 7 || body[1] & 0x20 != 0 {
            return None;
        }
        reader.take(2)?;
    }
    reader.deflate()?;
    if is_zlib {
        let (mut a, mut b) = (1_u32, 0_u32);
        for &byte in &reader.text {
            a = (a + u32::from(byte)) % 65521;
            b = (b + a) % 65521;
        }
        if reader.take(4)? != (b << 16 | a).to_be_bytes() {
            return None;
        }
    }
    (reader.bit == body.len() * 8).then_some(reader.text)
}

struct Reader<'a> {
    bytes: &'a [u8],
    bit: usize,
    text: Vec<u8>,
    blocks: usize,
    bounds: Bounds,
}

impl<'a> Reader<'a> {
    fn bits(&mut self, count: usize) -> Option<usize> {
        let mut value = 0;
        for at in 0..count {
            let byte = self.bytes.get(self.bit / 8)?;
            value |= usize::from(byte >> (self.bit % 8) & 1) << at;
            self.bit += 1;
        }
        Some(value)
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let from = self.bit / 8;
        let taken = self.bytes.get(from..from + count)?;
        self.bit += count * 8;
        Some(taken)
    }

    fn deflate(&mut self) -> Option<()> {
        let start = self.text.len();
        loop {
            let last = self.bits(1)? == 1;
            match self.bits(2)? {
                0 => {
                    self.bit = self.bit.next_multiple_of(8);
                    let (length, check) = (self.bits(16)?, self.bits(16)?);
                    if length ^ check != 0xffff {
                        return None;
                    }
                    let stored = self.take(length)?;
                    self.text.extend_from_slice(stored);
                }
                1 => {
                    let lengths: Vec<usize> = (0..288_u16)
                        .map(|symbol| match symbol {
                            144..256 => 9,
                            256..280 => 7,
                            0..144 | 280.. => 8,
                        })
                        .collect();
                    self.codes(start, &Code::new(&lengths), &Code::new(&[5; 30]))?;
                }
                2 => {
                    let (literals, distances) = self.tables()?;
                    self.codes(start, &literals, &distances)?;
                }
                _ => return None,
            }
            self.blocks += 1;
            let (short, each) = self.bounds.blocks;
            if self.text.len() > self.bounds.most || self.blocks > short + self.text.len() / each {
                return None;
            }
            if last {
                self.bit = self.bit.next_multiple_of(8);
                return Some(());
            }
        }
    }

    fn tables(&mut self) -> Option<(Code, Code)> {
        const ORDER: [usize; 19] =
            [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
        let (literals, distances, count) =
            (self.bits(5)? + 257, self.bits(5)? + 1, self.bits(4)? + 4);
        if literals > 286 || distances > 30 {
            return None;
        }
        let mut lengths = [0; 19];
        for at in &ORDER[..count] {
            lengths[*at] = self.bits(3)?;
        }
        let code = Code::new(&lengths).complete(false)?;
        let mut lengths: Vec<usize> = Vec::new();
        while lengths.len() < literals + distances {
            let (length, repeat) = match self.symbol(&code)? {
                16 => (*lengths.last()?, self.bits(2)? + 3),
                17 => (0, self.bits(3)? + 3),
                18 => (0, self.bits(7)? + 11),
                length => (length, 1),
            };
            lengths.extend(std::iter::repeat_n(length, repeat));
        }
        if lengths.len() > literals + distances {
            return None;
        }
        let (first, second) = lengths.split_at(literals);
        Some((Code::new(first).complete(true)?, Code::new(second).complete(true)?))
    }

    fn codes(&mut self, start: usize, literals: &Code, distances: &Code) -> Option<()> {
        // What a length and a distance begin at, and how many bits are added to it.
        let length = |at: usize| match at {
            0..8 => (at + 3, 0),
            28 => (258, 0),
            _ => (((4 + at % 4) << (at / 4 - 1)) + 3, at / 4 - 1),
        };
        let distance = |at: usize| match at {
            0..4 => (at + 1, 0),
            _ => (((2 + at % 2) << (at / 2 - 1)) + 1, at / 2 - 1),
        };
        loop {
            match self.symbol(literals)? {
                256 => return Some(()),
                literal @ 0..256 => self.text.push(u8::try_from(literal).ok()?),
                symbol @ 257..286 => {
                    let (base, extra) = length(symbol - 257);
                    let length = base + self.bits(extra)?;
                    let at = self.symbol(distances)?;
                    if at > 29 {
                        return None;
                    }
                    let (base, extra) = distance(at);
                    let distance = base + self.bits(extra)?;
                    let from = self.text.len().checked_sub(distance).filter(|at| *at >= start)?;
                    for at in from..from + length {
                        self.text.push(self.text[at]);
                    }
                }
                _ => return None,
            }
            if self.text.len() > self.bounds.most {
                return None;
            }
        }
    }

    fn symbol(&mut self, code: &Code) -> Option<usize> {
        let (mut value, mut first, mut index) = (0, 0, 0);
        for length in 1..16 {
            value |= self.bits(1)?;
            let count = code.counts[length];
            if value < first + count {
                return code.symbols.get(index + value - first).copied();
            }
            index += count;
            first = (first + count) * 2;
            value *= 2;
        }
        None
    }
}

/// A Huffman code in its canonical order.
struct Code {
    counts: [usize; 16],
    symbols: Vec<usize>,
}

impl Code {
    fn new(lengths: &[usize]) -> Self {
        let mut counts = [0; 16];
        for &length in lengths.iter().filter(|length| **length > 0) {
            counts[length] += 1;
        }
        let mut symbols: Vec<usize> =
            (0..lengths.len()).filter(|symbol| lengths[*symbol] > 0).collect();
        symbols.sort_by_key(|symbol| lengths[*symbol]);
        Self { counts, symbols }
    }

    /// Whether every row of bits stands for something, and one thing only; or there is one code, of
    /// one bit, or none where that may be.
    fn complete(self, may_be_single: bool) -> Option<Self> {
        let mut left = 1_isize;
        for count in &self.counts[1..] {
            left = left * 2 - isize::try_from(*count).ok()?;
            if left < 0 {
                return None;
            }
        }
        let is_single = self.counts[2..].iter().all(|count| *count == 0);
        (left == 0 || may_be_single && is_single).then_some(self)
    }
}
