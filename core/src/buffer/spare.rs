//! Memory that connections hand on to each other.

use bytes::BytesMut;

use super::incoming::MAX_RESERVE;

/// The memory of one connection's buffers, kept while nobody needs it: for the connections of a thread, of
/// which one after the other has its turn.
///
/// A connection that waits holds no memory, so that many of them are cheap; a lone request would pay for it
/// with an allocation for its bytes and one for its answer. What a connection
/// [lets go](crate::endpoint::Endpoint::release_to) is the next one's
/// [to use](crate::endpoint::Endpoint::reuse). It holds 128 KiB at most.
///
/// ```
/// use windhover_core::endpoint::{Incoming, Spare};
///
/// let mut spare = Spare::default();
/// let (mut one, mut other) = (Incoming::new(), Incoming::new());
/// one.receive(b"version\r\n");
/// let memory = one.bytes().as_ptr();
/// one.consume(9);
/// one.release_to(&mut spare);
///
/// other.reuse(&mut spare);
/// other.receive(b"get k\r\n");
/// assert_eq!(other.bytes().as_ptr(), memory);
/// ```
#[derive(Debug, Default)]
pub struct Spare {
    pub(super) incoming: BytesMut,
    pub(super) outgoing: BytesMut,
    #[cfg(feature = "memcache")]
    pub(crate) pending: crate::memcache::SparePending,
    #[cfg(feature = "tracking")]
    pub(crate) answer_start: crate::http::SpareStart,
}

/// Takes over the memory of an empty buffer where there is none, and it is not large.
pub(super) fn keep(spare: &mut BytesMut, buffer: &mut BytesMut) {
    if spare.capacity() == 0 && buffer.is_empty() && buffer.capacity() <= MAX_RESERVE {
        core::mem::swap(spare, buffer);
    }
}

/// Gives it to a buffer that has none.
pub(super) fn lend(spare: &mut BytesMut, buffer: &mut BytesMut) {
    if buffer.capacity() == 0 {
        core::mem::swap(spare, buffer);
    }
}
