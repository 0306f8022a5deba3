//! Values of a cache.

use std::str::FromStr;

use bytes::Bytes;
use windhover_core::client::Item;

use crate::{Client, Expires, IntoBytes, ValueError};

/// A value that was found.
///
/// ```
/// use windhover_client::{Client, Error, Value};
///
/// async fn greet(client: &Client) -> Result<(), Error> {
///     let Some(value) = client.gets("greeting").await? else { return Ok(()) };
///     let Value { data, flags, cas, .. } = &value;
///     println!("{} bytes, flags {flags}, cas unique {cas:?}", data.len());
///     println!("{}", value.text()?);
///     Ok(())
/// }
/// ```
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

/// A value to be stored, with what else there is to say of it. Whatever is [`IntoBytes`] is one that never
/// expires, with flags 0.
///
/// ```
/// use std::time::Duration;
/// use windhover_client::{Expires, Store};
///
/// let store = Store::from("hello").expires(Duration::from_secs(60)).flags(16);
/// assert_eq!((store.expires, store.flags), (Expires::In(Duration::from_secs(60)), 16));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Store {
    /// The value.
    pub data: Bytes,
    /// Flags, opaque to the server.
    pub flags: u32,
    /// When it expires.
    pub expires: Expires,
}

impl Store {
    /// A value that lives as long as the program: it is not copied.
    pub const fn from_static(data: &'static [u8]) -> Self {
        Self { data: Bytes::from_static(data), flags: 0, expires: Expires::Never }
    }

    /// The same, with a time to expire: a [`Duration`](std::time::Duration) from when it is sent, or a
    /// [`SystemTime`](std::time::SystemTime).
    #[must_use]
    pub fn expires(mut self, expires: impl Into<Expires>) -> Self {
        self.expires = expires.into();
        self
    }

    /// The same, with flags.
    #[must_use]
    pub fn flags(mut self, flags: u32) -> Self {
        self.flags = flags;
        self
    }
}

impl<T: IntoBytes> From<T> for Store {
    fn from(data: T) -> Self {
        Self { data: data.into_bytes(), flags: 0, expires: Expires::Never }
    }
}

impl Value {
    /// The value as text.
    ///
    /// # Errors
    /// [`ValueError::NotText`] where it is no UTF-8.
    pub fn text(&self) -> Result<&str, ValueError> {
        str::from_utf8(&self.data).map_err(ValueError::NotText)
    }

    /// The value as a number in decimal, such as `incr` and `decr` count; the spaces behind it with which
    /// `decr` fills up do not count.
    ///
    /// # Errors
    /// [`ValueError::NotNumber`] where it is none of that type.
    pub fn number<T: FromStr>(&self) -> Result<T, ValueError> {
        let number = str::from_utf8(self.data.trim_ascii_end()).ok().and_then(|it| it.parse().ok());
        number.ok_or_else(|| ValueError::NotNumber { data: self.data.clone() })
    }
}

impl Client {
    /// An item as the application sees it.
    pub(crate) fn value(&self, item: Item) -> Result<Value, ValueError> {
        let (data, flags, cas) = (item.value.into_bytes(), item.flags, item.cas);
        self.decompressed(data, flags, cas)
    }

    pub(crate) fn decompressed(
        &self,
        data: Bytes,
        flags: u32,
        cas: Option<u64>,
    ) -> Result<Value, ValueError> {
        let (data, flags) = self.packing.unpack(data, flags)?;
        Ok(Value { data, flags, cas })
    }
}
