//! Values that are kept.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;

use super::Data;

/// A value that outlives the buffer that it came in: one piece up to 64 KiB, else the segments that it
/// came in, which nobody has copied.
///
/// ```
/// use bytes::Bytes;
/// use windhover_core::memcache::Payload;
///
/// // A large value is kept in the pieces in which it came.
/// let value = Payload::from(vec![Bytes::from("hel"), Bytes::from("lo")]);
/// assert_eq!((value.len(), value.chunks().len()), (5, 2));
/// // Joining them copies; one piece is given as it is.
/// assert_eq!(value.into_bytes(), "hello");
/// ```
#[derive(Clone, Debug)]
pub struct Payload(Pieces);

#[derive(Clone, Debug)]
enum Pieces {
    One(Bytes),
    Many(Vec<Bytes>),
}

impl Default for Payload {
    /// An empty value.
    fn default() -> Self {
        Self(Pieces::One(Bytes::new()))
    }
}

impl Payload {
    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.chunks().iter().map(Bytes::len).sum()
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The pieces, in order.
    pub fn chunks(&self) -> &[Bytes] {
        match &self.0 {
            Pieces::One(bytes) => core::slice::from_ref(bytes),
            Pieces::Many(segments) => segments,
        }
    }

    /// The value in one piece. One of more than 64 KiB is copied for that.
    pub fn into_bytes(self) -> Bytes {
        match self.0 {
            Pieces::One(bytes) => bytes,
            Pieces::Many(segments) => Data::from(&segments[..]).to_bytes(),
        }
    }

    /// A copy in one piece.
    pub fn to_vec(&self) -> Vec<u8> {
        Data::from(self).to_vec()
    }
}

impl From<Data<'_>> for Payload {
    /// Copies what a buffer holds, so that a small value does not keep a large buffer; segments are
    /// shared.
    fn from(data: Data<'_>) -> Self {
        match data.segments() {
            Some(segments) => segments.to_vec().into(),
            None => data.to_bytes().into(),
        }
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self(Pieces::One(bytes))
    }
}

impl From<Vec<Bytes>> for Payload {
    fn from(segments: Vec<Bytes>) -> Self {
        Self(Pieces::Many(segments))
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<String> for Payload {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&'static [u8]> for Payload {
    fn from(bytes: &'static [u8]) -> Self {
        Bytes::from_static(bytes).into()
    }
}

impl From<&'static str> for Payload {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

impl<'a> From<&'a Payload> for Data<'a> {
    /// What came in segments leaves in segments.
    fn from(payload: &'a Payload) -> Self {
        payload.chunks().into()
    }
}
