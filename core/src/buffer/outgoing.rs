//! Bytes that wait to be written.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::{Buf, Bytes, BytesMut};

use super::spare::{self, Spare};

/// A value at least this long is queued as it is instead of being copied behind its neighbours:
/// below it, the copy is cheaper than one more slice in the write.
const SHARE_FROM: usize = 4096;

/// What a connection in use keeps.
const KEPT: usize = 32 * 1024;
const KEPT_PIECES: usize = 64;

/// Bytes that wait to be written: small pieces are gathered into one block, large values are kept
/// as the shared slices that they came as, so that they leave without a copy.
///
/// ```
/// use bytes::Bytes;
/// use windhover_core::endpoint::Outgoing;
///
/// let mut out = Outgoing::new();
/// out.put(b"VALUE k 0 5000\r\n");
/// out.put_shared(Bytes::from(vec![b'x'; 5000]));
/// out.put(b"\r\nEND\r\n");
///
/// let mut slices: [&[u8]; 8] = [&[]; 8];
/// assert_eq!(out.slices(&mut slices), 3);
/// assert_eq!(slices[1].len(), 5000);
/// out.advance(16 + 5000);
/// assert_eq!(out.len(), 7);
/// ```
#[derive(Debug, Default)]
pub struct Outgoing {
    /// Whole pieces, in order; they go before `tail`.
    pieces: VecDeque<Bytes>,
    tail: BytesMut,
    pieces_len: usize,
}

impl Outgoing {
    /// An empty buffer; it allocates with the first byte put.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many bytes wait.
    pub fn len(&self) -> usize {
        self.pieces_len + self.tail.len()
    }

    /// How much memory it has; pieces that others share count as if they were its own.
    pub fn held(&self) -> usize {
        self.pieces_len + self.tail.capacity()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends a copy of `bytes`: for short pieces.
    pub fn put(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
    }

    /// The block that small pieces are gathered in, for encoders that append to it.
    pub(crate) fn tail(&mut self) -> &mut BytesMut {
        &mut self.tail
    }

    /// Appends `bytes` without copying them when they are long enough for that to pay.
    pub fn put_shared(&mut self, bytes: Bytes) {
        if bytes.len() < SHARE_FROM {
            self.tail.extend_from_slice(&bytes);
            return;
        }
        self.close_tail();
        self.pieces_len += bytes.len();
        self.pieces.push_back(bytes);
    }

    /// Appends `segment` as [`put_shared`](Self::put_shared) does, and shares it with its owner.
    pub(crate) fn put_segment(&mut self, segment: &Bytes) {
        if segment.len() < SHARE_FROM {
            self.tail.extend_from_slice(segment);
        } else {
            self.put_shared(segment.clone());
        }
    }

    /// Appends what waits in another buffer.
    pub(crate) fn append(&mut self, other: Self) {
        for piece in other.pieces {
            self.put_shared(piece);
        }
        self.put(&other.tail);
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            let block = self.tail.split().freeze();
            self.pieces_len += block.len();
            self.pieces.push_back(block);
        }
    }

    /// Fills `into` with the first waiting slices, in order, and returns how many it filled.
    pub fn slices<'a>(&'a self, into: &mut [&'a [u8]]) -> usize {
        let waiting = self
            .pieces
            .iter()
            .map(AsRef::as_ref)
            .chain(core::iter::once(self.tail.as_ref()).filter(|tail| !tail.is_empty()));
        let mut filled = 0;
        for (place, slice) in into.iter_mut().zip(waiting) {
            *place = slice;
            filled += 1;
        }
        filled
    }

    /// Takes everything that waits, in order.
    pub(crate) fn take(&mut self) -> Vec<Bytes> {
        self.close_tail();
        self.pieces_len = 0;
        core::mem::take(&mut self.pieces).into()
    }

    /// Forgets the first `n` bytes, because they were written; more than [`len`](Self::len) is
    /// taken as all of them.
    pub fn advance(&mut self, mut n: usize) {
        while let Some(first) = self.pieces.front_mut() {
            if n < first.len() {
                first.advance(n);
                self.pieces_len -= n;
                return;
            }
            n -= first.len();
            self.pieces_len -= first.len();
            self.pieces.pop_front();
        }
        if n >= self.tail.len() {
            // In place: what is advanced over could not be written again without an allocation.
            self.tail.clear();
        } else {
            self.tail.advance(n);
        }
    }

    /// Gives the memory back when nothing waits: to be called before waiting for a peer.
    pub fn release(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }

    /// Takes the spare memory where it has none of its own.
    pub fn reuse(&mut self, spare: &mut Spare) {
        spare::lend(&mut spare.outgoing, &mut self.tail);
    }

    /// As [`release`](Self::release), and keeps the memory for the next.
    pub fn release_to(&mut self, spare: &mut Spare) {
        if self.is_empty() {
            spare::keep(&mut spare.outgoing, &mut self.tail);
        }
        self.release();
    }

    /// Gives the memory back when nothing waits and it is more than a few small pieces need.
    pub(crate) fn trim(&mut self) {
        if self.tail.capacity() > KEPT || self.pieces.capacity() > KEPT_PIECES {
            self.release();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;

    fn gather(out: &Outgoing) -> Vec<u8> {
        let mut slices: [&[u8]; 16] = [&[]; 16];
        let n = out.slices(&mut slices);
        slices[..n].concat()
    }

    #[test]
    fn writes_of_any_length_leave_the_same_bytes_in_order() {
        let large = Bytes::from(vec![b'L'; SHARE_FROM]);
        let mut whole = b"head".to_vec();
        whole.extend_from_slice(&large);
        whole.extend_from_slice(b"tail");
        for step in [1, 2, 3, 7, 4000, 5000, 10_000] {
            let mut out = Outgoing::new();
            out.put(b"head");
            out.put_shared(large.clone());
            out.put_shared(Bytes::from_static(b"tail"));
            let mut at = 0;
            while !out.is_empty() {
                assert_eq!(gather(&out), whole[at..], "after {at} bytes by {step}");
                let n = step.min(out.len());
                out.advance(n);
                at += n;
            }
            assert_eq!(at, whole.len());
        }
    }

    #[test]
    fn a_large_value_is_not_copied() {
        let large = Bytes::from(vec![1; SHARE_FROM]);
        let at = large.as_ptr();
        let mut out = Outgoing::new();
        out.put(b"x");
        out.put_shared(large);
        let mut slices: [&[u8]; 4] = [&[]; 4];
        assert_eq!(out.slices(&mut slices), 2);
        assert_eq!(slices[1].as_ptr(), at);
    }
}
