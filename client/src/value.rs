//! Values of a cache.

use bytes::Bytes;
use windhover_core::client::Item;

use crate::{Client, Error};

/// A value that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Value {
    /// The value; decompressed where the client knows [compression](crate::Compression).
    pub data: Bytes,
    /// The flags that it was stored with; less those of compression, where the client knows it.
    pub flags: u32,
    /// Its cas unique, where that was asked for.
    pub cas: Option<u64>,
}

/// A value to be stored, with what else there is to say of it.
///
/// ```
/// use std::time::Duration;
/// use windhover_client::Store;
///
/// let store = Store::from("hello").expires_in(Duration::from_secs(60)).flags(16);
/// assert_eq!((store.exptime, store.flags), (60, 16));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Store {
    /// The value.
    pub data: Bytes,
    /// Flags, opaque to the server.
    pub flags: u32,
    /// As on the wire: 0 never expires, up to 30 days are seconds from now, more is a date.
    pub exptime: i64,
}

/// memcached takes more seconds than these for a date.
const MOST_SECONDS: u64 = windhover_core::memcache::MEMCACHED_RELATIVE_MOST.unsigned_abs();

impl Store {
    /// The same, for so long: whole seconds, rounded up, at most 30 days.
    #[must_use]
    pub fn expires_in(mut self, time: std::time::Duration) -> Self {
        let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
        self.exptime = i64::try_from(seconds.clamp(1, MOST_SECONDS)).unwrap_or(i64::MAX);
        self
    }

    /// The same, with an exptime as on the wire.
    #[must_use]
    pub fn exptime(mut self, exptime: i64) -> Self {
        self.exptime = exptime;
        self
    }

    /// The same, with flags.
    #[must_use]
    pub fn flags(mut self, flags: u32) -> Self {
        self.flags = flags;
        self
    }
}

impl<T: Into<Bytes>> From<T> for Store {
    fn from(data: T) -> Self {
        Self { data: data.into(), flags: 0, exptime: 0 }
    }
}

impl Client {
    /// An item as the application sees it.
    pub(crate) fn value(&self, item: Item) -> Result<Value, Error> {
        let (data, flags, cas) = (item.value.into_bytes(), item.flags, item.cas);
        self.decompressed(data, flags, cas)
    }

    pub(crate) fn decompressed(
        &self,
        data: Bytes,
        flags: u32,
        cas: Option<u64>,
    ) -> Result<Value, Error> {
        let (data, flags) = self.packing.unpack(data, flags)?;
        Ok(Value { data, flags, cas })
    }
}
