//! Bytes that came in and are not yet taken.

use bytes::{Buf, Bytes, BytesMut};

use super::spare::{self, Spare};

/// What a read is given at least, so that one read serves many small requests.
const READ: usize = 8 * 1024;
/// Never more than this is reserved at a time, whatever length a peer declares.
pub(super) const MAX_RESERVE: usize = 64 * 1024;
/// What a connection in use keeps.
const KEPT: usize = 16 * 1024;
/// A segment is cut off before the buffer has less room than this: growing it would copy.
const ROOM: usize = 4 * 1024;

/// Bytes that came in and are not yet taken, with the place where the last search for a line end
/// stopped, so that a line which comes in many pieces is searched once.
///
/// Holds no memory while it is empty and [`release`](Self::release)d: an idle connection is cheap.
/// What was consumed is not held for the sake of the few bytes behind it: a peer that sent a large
/// body and the first byte of its next request keeps that byte.
///
/// ```
/// use windhover_core::endpoint::Incoming;
///
/// let mut incoming = Incoming::new();
/// incoming.receive(b"version\r");
/// incoming.receive(b"\nget k");
/// assert_eq!(incoming.bytes(), b"version\r\nget k");
/// incoming.consume(9);
/// assert_eq!(incoming.take(3), "get");
/// assert_eq!(incoming.bytes(), b" k");
/// ```
#[derive(Debug, Default)]
pub struct Incoming {
    bytes: BytesMut,
    /// The first `searched` bytes hold no newline.
    searched: usize,
    /// How many bytes were consumed since the memory was last new: at least what lies unused in
    /// front of `bytes`.
    consumed: usize,
}

impl Incoming {
    /// The longest value that is handed on in one piece, and the longest segment of a longer one.
    pub(crate) const SEGMENT: usize = 64 * 1024;

    /// An empty buffer without memory.
    pub fn new() -> Self {
        Self::default()
    }

    /// The bytes that are not yet taken.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes that are not yet taken, for decoders that work in place.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        self.searched = 0;
        &mut self.bytes
    }

    /// Keeps the first `len` bytes and drops those behind them: what a decoder in place left over.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.searched = self.searched.min(len);
        self.bytes.truncate(len);
    }

    /// How many bytes are not yet taken.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether every byte was taken.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Appends a copy of `bytes`.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// A buffer with spare capacity that a read may append to directly, where `expected` more
    /// bytes are known to come (0 when that is not known); at most 64 KiB is reserved for them.
    pub fn read_buffer(&mut self, expected: usize) -> &mut BytesMut {
        let room = expected.clamp(READ, MAX_RESERVE);
        if self.bytes.capacity() - self.bytes.len() < READ / 2 {
            self.bytes.reserve(room);
        }
        &mut self.bytes
    }

    /// How many bytes can come before the next reserve, which may copy those that are held.
    pub(crate) fn spare(&self) -> usize {
        self.bytes.capacity() - self.bytes.len()
    }

    /// How much memory it has, for what came and for what may come.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// The place of the first newline, searched from where the last search stopped.
    pub(crate) fn find_newline(&mut self) -> Option<usize> {
        self.find_newline_from(0)
    }

    /// The place of the first newline that does not stand among the first `start` bytes.
    #[inline]
    pub(crate) fn find_newline_from(&mut self, start: usize) -> Option<usize> {
        let start = self.searched.max(start);
        let unsearched = self.bytes.get(start..).unwrap_or_default();
        if let Some(at) = memchr::memchr(b'\n', unsearched) {
            Some(start + at)
        } else {
            self.searched = self.bytes.len();
            None
        }
    }

    /// Drops the first `n` bytes (or all, when there are fewer).
    pub fn consume(&mut self, n: usize) {
        self.searched = 0;
        if n >= self.bytes.len() {
            // In place: what is advanced over could not be read into again without an allocation.
            self.bytes.clear();
            if self.consumed > 0 {
                // What was advanced over before, in parts, is read into again too: else the next read is a
                // short one. More than there is takes it back, and allocates nothing.
                let _: bool = self.bytes.try_reclaim(self.bytes.capacity() + 1);
                self.consumed = 0;
            }
            return;
        }
        self.bytes.advance(n);
        self.consumed = self.consumed.saturating_add(n);
        // Never more is copied than was consumed before, so that it costs a byte once.
        if self.consumed > MAX_RESERVE && self.bytes.len() <= self.consumed {
            self.bytes = BytesMut::from(&self.bytes[..]);
            self.consumed = 0;
        }
    }

    /// Takes the first `n` bytes (or all, when there are fewer) without copying them.
    pub fn take(&mut self, n: usize) -> Bytes {
        self.searched = 0;
        self.bytes.split_to(n.min(self.bytes.len())).freeze()
    }

    /// Takes the next segment of a value of which `left` bytes are still to be taken, without copying
    /// it: at most [`SEGMENT`](Self::SEGMENT) bytes. `None` until one is worth cutting off.
    pub(crate) fn take_segment(&mut self, left: usize) -> Option<Bytes> {
        let have = self.bytes.len().min(left).min(Self::SEGMENT);
        let whole = have == left || have == Self::SEGMENT || self.spare() < ROOM;
        (have > 0 && whole).then(|| self.take(have))
    }

    /// Gives the memory back when nothing is held: to be called before waiting for a peer.
    pub fn release(&mut self) {
        if self.bytes.is_empty() && self.bytes.capacity() > 0 {
            self.bytes = BytesMut::new();
        }
    }

    /// Gives the memory back when nothing is held and it is more than one small read needs.
    pub fn trim(&mut self) {
        if self.bytes.is_empty() && self.bytes.capacity() > KEPT {
            self.bytes = BytesMut::new();
        }
    }

    /// Takes the spare memory where it has none of its own.
    pub fn reuse(&mut self, spare: &mut Spare) {
        spare::lend(&mut spare.incoming, &mut self.bytes);
    }

    /// As [`release`](Self::release), and keeps the memory for the next.
    pub fn release_to(&mut self, spare: &mut Spare) {
        spare::keep(&mut spare.incoming, &mut self.bytes);
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_in_many_pieces_is_searched_once() {
        let mut incoming = Incoming::new();
        for _ in 0..100 {
            incoming.receive(b"abc");
            assert_eq!(incoming.find_newline(), None);
            assert_eq!(incoming.searched, incoming.len());
        }
        incoming.receive(b"\n");
        assert_eq!(incoming.find_newline(), Some(300));
    }

    #[test]
    fn a_declared_length_reserves_at_most_64_kib() {
        let mut incoming = Incoming::new();
        incoming.read_buffer(usize::MAX);
        assert!(incoming.bytes.capacity() <= 64 * 1024);
    }

    #[test]
    fn what_was_consumed_is_not_held_for_the_bytes_behind_it() {
        const LARGE: usize = 1024 * 1024;
        for behind in [1, READ + 1, LARGE / 2] {
            let mut incoming = Incoming::new();
            incoming.receive(&std::vec![b'x'; LARGE]);
            incoming.receive(&std::vec![b'y'; behind]);
            incoming.consume(LARGE);
            assert_eq!(incoming.len(), behind);
            assert!(!incoming.bytes.try_reclaim(LARGE), "{behind}");
        }
    }

    #[test]
    fn all_memory_is_read_into_again_once_all_was_consumed_in_parts() {
        let mut incoming = Incoming::new();
        incoming.read_buffer(2 * READ);
        let whole = incoming.spare();
        for parts in 1..10 {
            incoming.read_buffer(0).extend_from_slice(&std::vec![b'x'; whole]);
            for _ in 0..parts {
                incoming.consume(whole / parts + 1);
            }
            assert_eq!((incoming.len(), incoming.spare()), (0, whole), "{parts}");
        }
    }

    #[test]
    fn a_segment_is_cut_off_whole_or_before_the_buffer_would_grow() {
        let mut incoming = Incoming::new();
        incoming.read_buffer(Incoming::SEGMENT).extend_from_slice(b"abc");
        assert_eq!(incoming.take_segment(10), None, "there is room for more");
        assert_eq!(incoming.take_segment(2).as_deref(), Some(&b"ab"[..]));
        let filling = std::vec![b'x'; incoming.spare() - ROOM + 1];
        incoming.receive(&filling);
        let segment = incoming.take_segment(usize::MAX).unwrap();
        assert_eq!(segment.len(), 1 + filling.len());
        assert_eq!(incoming.take_segment(10), None);
    }

    #[test]
    fn an_idle_buffer_holds_no_memory() {
        let mut incoming = Incoming::new();
        incoming.read_buffer(0).extend_from_slice(b"version\r\n");
        incoming.consume(9);
        incoming.release();
        assert_eq!(incoming.bytes.capacity(), 0);
    }
}
