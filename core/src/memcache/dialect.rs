//! The two dialects of the text protocol.

/// Which rules apply to a connection. They differ in commands, in case and in what follows an
/// error; the lines and data blocks are the same.
///
/// | | [`Memcached`](Self::Memcached) | [`Kestrel`](Self::Kestrel) |
/// |---|---|---|
/// | verbs | lower case | any case |
/// | `noreply` | nothing is answered | not known: the answer is sent all the same |
/// | a request that cannot be taken | an error, then the next line | `CLIENT_ERROR`, then a disconnect |
/// | a key | any bytes but space and line end | a queue's name, in `get` with `/options` behind it |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// memcached's own protocol (its `protocol.txt`).
    Memcached,
    /// The queue protocol of kestrel (its guide, "Memcache commands").
    Kestrel,
}
