//! Values as they came in.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};

/// The data block of a request or of a reply, without its `\r\n`: a slice, or segments that are shared and
/// not copied.
///
/// What comes in is one slice up to 64 KiB, else the segments that it came in. What goes out is whatever
/// converts into this: a slice is copied into the bytes to be written; segments (a `&Bytes` is one, so is
/// what a [`Payload`](super::Payload) holds) are shared with them where they are long enough for that to
/// pay.
///
/// ```
/// use bytes::Bytes;
/// use windhover_core::memcache::Data;
///
/// let shared = Bytes::from_static(b"hello");
/// for data in [Data::from(b"hello"), Data::from("hello"), Data::from(&shared)] {
///     assert_eq!((data.len(), data.to_vec()), (5, b"hello".to_vec()));
/// }
/// ```
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

    /// A copy in one piece.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut copy = Vec::new();
        self.extend_into(&mut copy);
        copy
    }

    /// The value in one piece, to be kept: a single segment is shared, anything else is copied.
    pub fn to_bytes(&self) -> Bytes {
        match self.0 {
            Parts::Slice(slice) => Bytes::copy_from_slice(slice),
            Parts::Segments { segments: [segment], .. } => segment.clone(),
            Parts::Segments { segments, len } => {
                let mut whole = BytesMut::with_capacity(len);
                for segment in segments {
                    whole.extend_from_slice(segment);
                }
                whole.freeze()
            }
        }
    }
}

impl Default for Data<'_> {
    /// No data.
    fn default() -> Self {
        Self::new(&[])
    }
}

impl<'a> From<&'a [u8]> for Data<'a> {
    fn from(slice: &'a [u8]) -> Self {
        Self::new(slice)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Data<'a> {
    fn from(slice: &'a [u8; N]) -> Self {
        Self::new(slice)
    }
}

impl<'a> From<&'a Vec<u8>> for Data<'a> {
    fn from(slice: &'a Vec<u8>) -> Self {
        Self::new(slice)
    }
}

impl<'a> From<&'a str> for Data<'a> {
    fn from(text: &'a str) -> Self {
        Self::new(text.as_bytes())
    }
}

impl<'a> From<&'a String> for Data<'a> {
    fn from(text: &'a String) -> Self {
        Self::new(text.as_bytes())
    }
}

impl<'a> From<&'a Bytes> for Data<'a> {
    fn from(segment: &'a Bytes) -> Self {
        Self::of_segments(core::slice::from_ref(segment), segment.len())
    }
}

impl<'a> From<&'a [Bytes]> for Data<'a> {
    fn from(segments: &'a [Bytes]) -> Self {
        Self::of_segments(segments, segments.iter().map(Bytes::len).sum())
    }
}
