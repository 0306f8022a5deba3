//! The keys of a request, whatever it is.

use super::Request;
use crate::memcache::Keys;

impl<'a> Request<'a> {
    /// The keys, or the queues, that the request names, in their order; none where it names none. Those of
    /// a meta command are as they stand on the line, in base64 where its flag `b` says so.
    ///
    /// ```
    /// use windhover_core::memcache::request::parse_line;
    /// use windhover_core::memcache::{Dialect, Limits};
    ///
    /// let line = parse_line(b"gat 60 a b\r\n", Dialect::Memcached, &Limits::default())?;
    /// assert!(line.request.keys().eq([b"a", b"b"]));
    /// # Ok::<(), windhover_core::memcache::request::RequestError>(())
    /// ```
    pub fn keys(&self) -> Keys<'a> {
        match self {
            Self::Get(keys)
            | Self::Gets(keys)
            | Self::Gat { keys, .. }
            | Self::Gats { keys, .. }
            | Self::DumpStats { queues: keys }
            | Self::DumpConfig { queues: keys } => keys.clone(),
            Self::QueueRead(read) => Keys::of_line(read.queue),
            Self::Set(store)
            | Self::SetSync(store)
            | Self::Add(store)
            | Self::Replace(store)
            | Self::Append(store)
            | Self::Prepend(store)
            | Self::Cas { store, .. } => Keys::of_line(store.key),
            Self::Delete { key, .. }
            | Self::Incr { key, .. }
            | Self::Decr { key, .. }
            | Self::Touch { key, .. }
            | Self::MetaDebug { key, .. } => Keys::of_line(key),
            Self::MetaGet(meta)
            | Self::MetaSet(meta)
            | Self::MetaDelete(meta)
            | Self::MetaArithmetic(meta) => Keys::of_line(meta.key),
            Self::Flush { queue }
            | Self::FlushExpired { queue }
            | Self::Monitor { queue, .. }
            | Self::Confirm { queue, .. }
            | Self::Roll { queue } => Keys::of_line(queue),
            Self::Authenticate { .. }
            | Self::MetaNoop
            | Self::Version
            | Self::Verbosity { .. }
            | Self::Stats { .. }
            | Self::FlushAll { .. }
            | Self::CacheMemlimit { .. }
            | Self::Admin { .. }
            | Self::Shutdown { .. }
            | Self::Quit
            | Self::FlushAllExpired
            | Self::Reload
            | Self::Status { .. } => Keys::of_line(b""),
        }
    }
}
