//! What is asked of a cluster.

use super::{ReservationId, ServerId};
use crate::memcache::request::Prepared;

/// Which server a call goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Target {
    /// The owner of the request's first key, as [`ServerSelection`](super::ServerSelection) says.
    Key,
    /// Any healthy one, in turn or at random.
    Any,
    /// This one.
    Server(ServerId),
    /// The connection that is reserved.
    Reservation(ReservationId),
}

/// When a call is sent once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retry {
    /// Never: not even when it was not sent.
    Never,
    /// Only while it has had no effect for certain.
    IfNotSent,
    /// Also when the outcome is not known: for what may be done twice, or has to be done at least
    /// once.
    AtLeastOnce,
}

/// A request with how it is to be sent.
///
/// The constructors give what each kind of request usually wants; the fields can be set otherwise.
///
/// ```
/// use bytes::Bytes;
/// use windhover_core::client::{Call, Retry, Target};
/// use windhover_core::memcache::request::{EncodeError, Prepared, Request};
/// use windhover_core::memcache::{Dialect, Limits};
///
/// let incr = Request::Incr { key: b"visits", delta: 1, noreply: false };
/// let incr = Prepared::new(&incr, Bytes::new(), Dialect::Memcached, &Limits::default())?;
/// let mut call = Call::write(incr);
/// assert_eq!((call.target, call.retry), (Target::Key, Retry::IfNotSent));
/// // Rather counted twice than not at all.
/// call.retry = Retry::AtLeastOnce;
/// # Ok::<(), EncodeError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "each allows one thing more")]
pub struct Call {
    /// The request.
    pub prepared: Prepared,
    /// Where it goes first.
    pub target: Target,
    /// Whether another server may answer in its place.
    pub failover: bool,
    /// When it is sent again.
    pub retry: Retry,
    /// Whether a server's `SERVER_ERROR` or `NOT_STORED` is a reason to try the next one, as with
    /// queues, where every server will do.
    pub refusal_moves_on: bool,
    /// Whether it may be sent to a second server while the first one is slow
    /// ([`ClusterOptions::hedge`](super::ClusterOptions::hedge)).
    pub hedged: bool,
    /// Whether it gets a connection of its own, which stays reserved when the answer brings an item.
    pub exclusive: bool,
    /// A number of the caller's own, which is told with what came of it
    /// ([`Completed::token`](super::Completed)); 0 if there is none.
    pub token: usize,
}

impl Call {
    const fn new(prepared: Prepared, target: Target, retry: Retry) -> Self {
        Self {
            prepared,
            target,
            failover: false,
            retry,
            refusal_moves_on: false,
            hedged: false,
            exclusive: false,
            token: 0,
        }
    }

    /// A read of a cache: sent again whatever became of it, since it changes nothing.
    pub const fn read(prepared: Prepared) -> Self {
        Self::new(prepared, Target::Key, Retry::AtLeastOnce)
    }

    /// A write to a cache: sent again only when it had no effect for certain.
    pub const fn write(prepared: Prepared) -> Self {
        Self::new(prepared, Target::Key, Retry::IfNotSent)
    }

    /// An item for a queue: any server will do, another one at once.
    pub fn enqueue(prepared: Prepared) -> Self {
        let call = Self::new(prepared, Target::Any, Retry::IfNotSent);
        Self { failover: true, refusal_moves_on: true, ..call }
    }

    /// A read of a queue on a connection of its own, which is reserved while an item is open. One that
    /// opens its item is sent again whatever became of it: without an answer its connection is
    /// closed, and the server puts back what it had set aside.
    pub fn reserve(prepared: Prepared) -> Self {
        let opens = prepared.expected().opens;
        let retry = if opens { Retry::AtLeastOnce } else { Retry::IfNotSent };
        let call = Self::new(prepared, Target::Any, retry);
        Self { failover: true, exclusive: true, ..call }
    }

    /// What follows on a reserved connection.
    pub const fn on_reservation(prepared: Prepared, reservation: ReservationId) -> Self {
        Self::new(prepared, Target::Reservation(reservation), Retry::Never)
    }

    /// A command to one server, such as `version` or `stats`.
    pub const fn to(prepared: Prepared, server: ServerId) -> Self {
        Self::new(prepared, Target::Server(server), Retry::IfNotSent)
    }
}
