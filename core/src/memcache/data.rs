//! Values as they came in.

use alloc::vec::Vec;

use bytes::Bytes;

/// The data block of a request or of a reply, without its `\r\n`: one slice up to 64 KiB, else the segments that
/// it came in, which nobody has copied.
#[derive(Clone, Copy, Debug)]
pub struct Data<'a>(Parts<'a>);

#[derive(Clone, Copy, Debug)]
enum Parts<'a> {
    Slice(&'a [u8]),
    Segments { segments: &'a [Bytes], len: usize },
}

impl<'a> Data<'a> {
    /// Data that lies in one piece.
    pub const fn new(data: &'a [u8]) -> Self {
        Self(Parts::Slice(data))
    }

    pub(crate) const fn of_segments(segments: &'a [Bytes], len: usize) -> Self {
        Self(Parts::Segments { segments, len })
    }

    /// Its length in bytes.
    pub const fn len(&self) -> usize {
        match self.0 {
            Parts::Slice(slice) => slice.len(),
            Parts::Segments { len, .. } => len,
        }
    }

    /// Whether there is none; true too where none belongs.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The pieces, in order.
    pub fn chunks(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let (slice, segments) = match self.0 {
            Parts::Slice(slice) => (Some(slice), &[][..]),
            Parts::Segments { segments, .. } => (None, segments),
        };
        slice.into_iter().chain(segments.iter().map(AsRef::as_ref))
    }

    /// The segments of a large value, to be kept as they are; `None` for one that was borrowed.
    pub const fn segments(&self) -> Option<&'a [Bytes]> {
        match self.0 {
            Parts::Slice(_) => None,
            Parts::Segments { segments, .. } => Some(segments),
        }
    }

    /// Appends a copy to `out`.
    pub fn extend_into(&self, out: &mut Vec<u8>) {
        out.reserve(self.len());
        for chunk in self.chunks() {
            out.extend_from_slice(chunk);
        }
    }
}
