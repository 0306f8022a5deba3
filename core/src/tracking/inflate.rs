//! Compressed bodies: gzip (RFC 1952) and deflate, which is zlib (RFC 1950) by the standard and bare
//! deflate (RFC 1951) from some senders. `miniz_oxide` undoes the compression itself.

use alloc::boxed::Box;
use alloc::vec::Vec;

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags as flags};

use super::error::InflateFault;
use super::limits::TrackingLimits;
use crate::cannot_happen::cannot_happen;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    /// zlib, or bare deflate.
    Deflate,
}

/// The first bytes of every gzip member; no other body that is taken begins like that.
pub(super) const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];

/// Room for the text at first, as a multiple of what it was compressed to.
const USUAL_RATIO: usize = 4;
/// Each block makes the decompressor build tables, at the cost of some hundred bytes of text. Senders
/// fill thousands of bytes into each; these may be short or empty, as flushes leave them.
const SHORT_BLOCKS: usize = 64;
/// What the other blocks hold on average, at the least.
const TEXT_PER_BLOCK: usize = 128;
/// So much text is made at a time, before it is looked at how far the body has grown.
const STEP: usize = 64 * 1024;

/// Puts what `body` is compressed from in `into`, whose content is replaced. It is written step by
/// step, and each step may find that it is too much.
pub(super) fn inflate_into(
    coding: Coding,
    body: &[u8],
    limits: &TrackingLimits,
    into: &mut Vec<u8>,
) -> Result<(), InflateFault> {
    into.clear();
    let ratio = body.len().saturating_mul(limits.ratio).max(limits.event);
    let mut stream = Stream {
        body,
        limits,
        rest: body,
        most: limits.inflated.min(ratio),
        over: if ratio < limits.inflated {
            InflateFault::Ratio { limit: limits.ratio }
        } else {
            InflateFault::TooLarge { limit: limits.inflated }
        },
        blocks: 0,
        state: Box::default(),
    };
    match coding {
        Coding::Gzip => stream.members(into),
        Coding::Deflate => {
            let format = if is_zlib(body) { flags::TINFL_FLAG_PARSE_ZLIB_HEADER } else { 0 };
            stream.inflate(format, into)?;
            if stream.rest.is_empty() { Ok(()) } else { Err(InflateFault::Damaged) }
        }
    }
}

/// Whether the first two bytes are a zlib header; those of bare deflate are not, by all but chance.
fn is_zlib(body: &[u8]) -> bool {
    match *body {
        [first, second, ..] => {
            first & 0x0f == 8 && (u16::from(first) << 8 | u16::from(second)).is_multiple_of(31)
        }
        _ => false,
    }
}

struct Stream<'a> {
    body: &'a [u8],
    limits: &'a TrackingLimits,
    /// What of the body was not read yet.
    rest: &'a [u8],
    /// Most text there may be.
    most: usize,
    /// What is wrong when there is more.
    over: InflateFault,
    blocks: usize,
    state: Box<DecompressorOxide>,
}

impl Stream<'_> {
    /// One gzip member or several (RFC 1952 §2.2). Zeros behind the last one are padding, as every
    /// reader of gzip has it; anything else there is not.
    fn members(&mut self, into: &mut Vec<u8>) -> Result<(), InflateFault> {
        loop {
            self.skip_header()?;
            let start = into.len();
            self.inflate(0, into)?;
            let text = into.get(start..).unwrap_or_default();
            let crc32 = self.take_u32()?;
            let length = self.take_u32()?;
            // The length is told modulo 2^32.
            #[expect(clippy::cast_possible_truncation)]
            if crc32 != crc32fast::hash(text) || length != text.len() as u32 {
                return Err(InflateFault::Damaged);
            }
            if self.rest.iter().all(|&byte| byte == 0) {
                return Ok(());
            }
        }
    }

    fn skip_header(&mut self) -> Result<(), InflateFault> {
        const HEADER_CRC: u8 = 2;
        const EXTRA: u8 = 4;
        const NAME: u8 = 8;
        const COMMENT: u8 = 16;
        const RESERVED: u8 = 0xe0;

        let header = self.rest;
        let [_, _, method, has, ..] = *self.take(10)? else {
            return cannot_happen(Err(InflateFault::Cut));
        };
        if !header.starts_with(GZIP_MAGIC) || method != 8 || has & RESERVED != 0 {
            return Err(InflateFault::Damaged);
        }
        if has & EXTRA != 0 {
            let length = self.take_u16()?;
            self.take(length.into())?;
        }
        for text in [NAME, COMMENT] {
            if has & text != 0 {
                let end = memchr::memchr(0, self.rest).ok_or(InflateFault::Cut)?;
                self.take(end + 1)?;
            }
        }
        if has & HEADER_CRC != 0 {
            let length = header.len() - self.rest.len();
            let crc32 = crc32fast::hash(header.get(..length).unwrap_or_default());
            if u32::from(self.take_u16()?) != crc32 & 0xffff {
                return Err(InflateFault::Damaged);
            }
        }
        Ok(())
    }

    /// Appends the text of one deflate stream, which knows nothing of the text before it.
    fn inflate(&mut self, format: u32, into: &mut Vec<u8>) -> Result<(), InflateFault> {
        const FLAGS: u32 = flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF
            | flags::TINFL_FLAG_STOP_ON_BLOCK_BOUNDARY;

        self.state.init();
        let start = into.len();
        let mut end = start;
        // One byte more than there may be, so that the end is seen of what is just short enough.
        let room = self.most.saturating_add(1);
        into.resize(start.saturating_add(self.rest.len().saturating_mul(USUAL_RATIO)).min(room), 0);
        loop {
            let step = into.len().min(end.saturating_add(STEP));
            let text = into.get_mut(start..step).unwrap_or_default();
            let (status, read, written) =
                decompress(&mut self.state, self.rest, text, end - start, format | FLAGS);
            self.rest = self.rest.get(read..).unwrap_or_default();
            end += written;
            if end > self.most {
                return Err(self.over);
            }
            match status {
                TINFLStatus::Done => {
                    into.truncate(end);
                    return self.end_block(end);
                }
                TINFLStatus::BlockBoundary => self.end_block(end)?,
                TINFLStatus::HasMoreOutput => {
                    self.check_growth(end)?;
                    if end < into.len() {
                        continue;
                    }
                    let longer = into.len().saturating_mul(2).max(64).min(room);
                    into.resize(longer, 0);
                }
                TINFLStatus::FailedCannotMakeProgress => return Err(InflateFault::Cut),
                _ => return Err(InflateFault::Damaged),
            }
        }
    }

    /// Refuses a body that grows too much where it begins to, not when it is as large as it may be: as if
    /// what was read of it until now were all.
    fn check_growth(&self, text: usize) -> Result<(), InflateFault> {
        let TrackingLimits { ratio, event, .. } = *self.limits;
        let read = self.body.len() - self.rest.len();
        if text > read.saturating_mul(ratio).max(event) {
            return Err(InflateFault::Ratio { limit: ratio });
        }
        Ok(())
    }

    /// Counts a block, up to which there were `text` bytes of text.
    fn end_block(&mut self, text: usize) -> Result<(), InflateFault> {
        self.blocks += 1;
        if self.blocks > SHORT_BLOCKS + text / TEXT_PER_BLOCK {
            return Err(InflateFault::Blocks);
        }
        Ok(())
    }

    fn take(&mut self, count: usize) -> Result<&[u8], InflateFault> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(InflateFault::Cut)?;
        self.rest = rest;
        Ok(taken)
    }

    fn take_u16(&mut self) -> Result<u16, InflateFault> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(InflateFault::Cut)?;
        self.rest = rest;
        Ok(u16::from_le_bytes(*bytes))
    }

    fn take_u32(&mut self) -> Result<u32, InflateFault> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(InflateFault::Cut)?;
        self.rest = rest;
        Ok(u32::from_le_bytes(*bytes))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::vec;
    use std::vec::Vec;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use flate2::{Crc, GzBuilder};
    use proptest::prelude::*;

    use super::*;

    fn inflate(coding: Coding, body: &[u8]) -> Result<Vec<u8>, InflateFault> {
        let mut out = vec![1, 2, 3];
        inflate_into(coding, body, &TrackingLimits::default(), &mut out).map(|()| out)
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(text: &[u8], level: u32) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(level));
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn deflate(text: &[u8], level: u32) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(level));
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    /// A gzip member around what is deflated already.
    fn member(header: &[u8], deflated: &[u8], text: &[u8]) -> Vec<u8> {
        let mut crc = Crc::new();
        crc.update(text);
        [header, deflated, &crc.sum().to_le_bytes(), &crc.amount().to_le_bytes()].concat()
    }

    /// Text that hardly repeats itself.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state.to_be_bytes()[0]
        };
        (0..length).map(|_| next()).collect()
    }

    #[test]
    fn every_form_of_a_header_is_passed_over() {
        let bare = gzip(b"text");
        assert_eq!(inflate(Coding::Gzip, &bare).as_deref(), Ok(&b"text"[..]));
        let mut full = GzBuilder::new()
            .filename("events.json")
            .comment("from a phone")
            .extra(vec![1, 2, 3])
            .mtime(1_334_859_600)
            .write(Vec::new(), Compression::fast());
        full.write_all(b"text").unwrap();
        assert_eq!(inflate(Coding::Gzip, &full.finish().unwrap()).as_deref(), Ok(&b"text"[..]));

        let deflated = deflate(b"text", 6);
        let mut header = b"\x1f\x8b\x08\x02\0\0\0\0\0\x03".to_vec();
        let crc = crc32fast::hash(&header).to_le_bytes();
        header.extend_from_slice(&crc[..2]);
        let with_crc = member(&header, &deflated, b"text");
        assert_eq!(inflate(Coding::Gzip, &with_crc).as_deref(), Ok(&b"text"[..]));
        header[10] ^= 1;
        let wrong = member(&header, &deflated, b"text");
        assert_eq!(inflate(Coding::Gzip, &wrong), Err(InflateFault::Damaged));
    }

    #[test]
    fn members_are_joined_and_padding_is_passed_over() {
        let two = [gzip(b"one "), gzip(b""), gzip(b"two")].concat();
        assert_eq!(inflate(Coding::Gzip, &two).as_deref(), Ok(&b"one two"[..]));
        let padded = [&two[..], &[0; 100]].concat();
        assert_eq!(inflate(Coding::Gzip, &padded).as_deref(), Ok(&b"one two"[..]));
        for behind in [&b"x"[..], b"\0\0x", b"0123456789", &two[..2], &two[..15]] {
            let body = [&two[..], behind].concat();
            assert!(inflate(Coding::Gzip, &body).is_err(), "{}", behind.escape_ascii());
        }
        // The text of a member is nothing that the next one may refer to.
        let reaches_back = [&[0x0b, 0x04, 0x40, 0x00][..], &deflate(b"", 6)].concat();
        let body = [two, member(&gzip(b"")[..10], &reaches_back, b"")].concat();
        assert_eq!(inflate(Coding::Gzip, &body), Err(InflateFault::Damaged));
    }

    #[test]
    fn deflate_comes_with_its_header_and_without() {
        let text = noise(100_000);
        for level in [0, 1, 6, 9] {
            assert_eq!(inflate(Coding::Deflate, &zlib(&text, level)).as_ref(), Ok(&text));
            assert_eq!(inflate(Coding::Deflate, &deflate(&text, level)).as_ref(), Ok(&text));
        }
        for body in [zlib(b"text", 6), deflate(b"text", 6)] {
            let behind = [&body[..], b"x"].concat();
            assert_eq!(inflate(Coding::Deflate, &behind), Err(InflateFault::Damaged));
        }
        let mut body = zlib(b"text", 6);
        *body.last_mut().unwrap() ^= 1;
        assert_eq!(inflate(Coding::Deflate, &body), Err(InflateFault::Damaged));
    }

    #[test]
    fn no_byte_of_a_body_can_be_missing_or_another_one() {
        let text = b"{\"event\":\"e\",\"properties\":{\"token\":\"t\"}}".repeat(3);
        for (coding, body) in [(Coding::Gzip, gzip(&text)), (Coding::Deflate, zlib(&text, 6))] {
            for length in 0..body.len() {
                let cut = inflate(coding, &body[..length]);
                assert_eq!(cut, Err(InflateFault::Cut), "{length} bytes of {coding:?}");
            }
            for at in 0..body.len() {
                let mut damaged = body.clone();
                damaged[at] ^= 0x10;
                // The time, the system and so on of a gzip header are anything; some flags of a
                // header say that there is more of it.
                let is_free = coding == Coding::Gzip && (4..10).contains(&at);
                let result = inflate(coding, &damaged);
                assert_eq!(result.is_ok(), is_free, "byte {at} of {coding:?}: {result:?}");
            }
        }
        let mut lies = gzip(&text);
        let at = lies.len() - 4;
        lies[at] ^= 1;
        assert_eq!(inflate(Coding::Gzip, &lies), Err(InflateFault::Damaged));
    }

    #[test]
    fn what_is_plain_has_bounds() {
        let limits = TrackingLimits::default().with_event(1000).with_inflated(5000).with_ratio(10);
        let inflate = |body: &[u8]| {
            let mut out = Vec::new();
            let result = inflate_into(Coding::Gzip, body, &limits, &mut out);
            assert!(out.capacity() <= 2 * 5001, "{}", out.capacity());
            result.map(|()| out.len())
        };
        let ratio = Err(InflateFault::Ratio { limit: 10 });
        let too_large = Err(InflateFault::TooLarge { limit: 5000 });
        assert_eq!(inflate(&gzip(&[b'x'; 1000])), Ok(1000));
        assert_eq!(inflate(&gzip(&[b'x'; 1001])), ratio);
        assert_eq!(inflate(&gzip(&noise(5000))), Ok(5000));
        assert_eq!(inflate(&gzip(&noise(5001))), too_large);
        assert_eq!(inflate(&gzip(&vec![b'x'; 10_000_000])), too_large);
        let members = [gzip(&noise(2000)), gzip(&noise(2000)), gzip(&noise(1001))].concat();
        assert_eq!(inflate(&members), too_large);
    }

    #[test]
    fn a_thousandfold_text_is_refused_before_it_is_there() {
        let bomb = gzip(&vec![b' '; 10 * 1024 * 1024]);
        assert!(bomb.len() < 11_000);
        assert_eq!(inflate(Coding::Gzip, &bomb), Err(InflateFault::Ratio { limit: 500 }));
    }

    #[test]
    fn a_body_that_begins_to_grow_too_much_is_read_no_further() {
        // Long enough for all that is allowed of it; only its beginning is read.
        let zeros = vec![b'0'; 30 * 1024 * 1024];
        for (coding, bomb) in [(Coding::Gzip, gzip(&zeros)), (Coding::Deflate, zlib(&zeros, 9))] {
            assert!(bomb.len() * 500 > 10 * 1024 * 1024);
            let mut text = Vec::new();
            let result = inflate_into(coding, &bomb, &TrackingLimits::default(), &mut text);
            assert_eq!(result, Err(InflateFault::Ratio { limit: 500 }));
            assert!(text.len() < 2 * 1024 * 1024, "{} bytes were made room for", text.len());
        }
    }

    #[test]
    fn blocks_have_to_hold_something() {
        // Stored blocks of a byte, which cost six; the last one is empty.
        let blocks = |count: usize| {
            let text = vec![b'x'; count];
            let mut deflated = b"\0\x01\0\xfe\xffx".repeat(count);
            deflated.extend_from_slice(b"\x01\0\0\xff\xff");
            inflate(Coding::Gzip, &member(&gzip(b"")[..10], &deflated, &text))
        };
        assert_eq!(blocks(63).map(|text| text.len()), Ok(63));
        assert_eq!(blocks(64), Err(InflateFault::Blocks));
        // As a sender that flushes behind each event makes them: two blocks for each.
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        for _ in 0..2000 {
            encoder.write_all(&noise(256)).unwrap();
            encoder.flush().unwrap();
        }
        let flushed = encoder.finish().unwrap();
        assert_eq!(inflate(Coding::Gzip, &flushed).map(|text| text.len()), Ok(512_000));
    }

    proptest! {
        #[test]
        fn what_was_compressed_comes_back(
            pieces in proptest::collection::vec((any::<u8>(), 1_usize..2000), 0..20),
            level in 0_u32..10,
        ) {
            let text: Vec<u8> = pieces
                .iter()
                .flat_map(|(seed, length)| {
                    noise(*length).into_iter().map(move |byte| byte & 15 ^ seed)
                })
                .collect();
            prop_assert!(inflate(Coding::Gzip, &gzip(&text)).as_ref() == Ok(&text));
            prop_assert!(inflate(Coding::Deflate, &zlib(&text, level)).as_ref() == Ok(&text));
            prop_assert!(inflate(Coding::Deflate, &deflate(&text, level)).as_ref() == Ok(&text));
        }

        #[test]
        fn any_bytes_are_inflated_or_refused(body in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = inflate(Coding::Gzip, &[&gzip(b"")[..10], &body].concat());
            let _ = inflate(Coding::Deflate, &body);
        }
    }
}
