//! Which server a key belongs to.
//!
//! | | [`Ring`] | [`Rendezvous`] |
//! |---|---|---|
//! | agrees with | libmemcached's weighted ketama, twemproxy's `ketama` | nobody else |
//! | cost of a choice | one hash, one binary search | one hash and a mix for each server |
//! | share of the keys against the weight | off by about 1/√points: 8 % at the mean weight | exact but for chance |
//! | a server comes or goes | keys of others move too, unless the mean weight stays | only its own keys move |
//!
//! Both name a server by its place in the list that they were built from, take the same list, and
//! allocate nothing for a choice. The same list gives the same choice in every process and on every
//! machine. A server of weight 0 gets no key, and takes no part: a way to drain one without the
//! others' places in the list changing.
//!
//! For failover, ask for a key's [`owners`](Ring::owners) and pass over the servers that are down.
//! That moves the keys of those servers and no other's, which a ring that is built anew without them
//! would not promise.

mod ketama;
mod key_hash;
mod member;
mod naming;
mod rendezvous;

pub use ketama::{Owners, Ring, RingError};
pub use key_hash::{HashTag, KeyHash};
pub use member::Member;
pub use naming::Naming;
pub use rendezvous::{Ranked, Rendezvous};
