//! The commands of caches, one key at a time.

use std::time::SystemTime;

use bytes::Bytes;
use windhover_core::client::Answer;
use windhover_core::memcache::Keys;
use windhover_core::memcache::request::{self, Request};
use windhover_core::memcache::response::Kind;

use crate::{Client, Error, ErrorKind, Expires, FromValue, IntoBytes, Store, Value};

/// What came of a [`cas`](Client::cas).
///
/// ```
/// use windhover_client::{Cas, Client, Error};
///
/// /// Takes one of what is left; whether there was one.
/// async fn take_one(client: &Client) -> Result<bool, Error> {
///     loop {
///         let Some(seen) = client.gets("left").await? else { return Ok(false) };
///         let Some(left) = seen.number::<u64>()?.checked_sub(1) else { return Ok(false) };
///         match client.cas("left", left, seen.cas.unwrap_or_default()).await? {
///             Cas::Stored => return Ok(true),
///             // Somebody was faster: look again.
///             Cas::Changed => {}
///             Cas::Gone => return Ok(false),
///         }
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cas {
    /// The value was stored.
    Stored,
    /// The item has changed since it was read: it is as somebody else has left it.
    Changed,
    /// There is no item any more.
    Gone,
}

impl Client {
    /// The value of a key; `None` where the server has none.
    ///
    /// # Errors
    /// [`Error`], as of every call: a server that does not answer is never a miss.
    pub async fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Value>, Error> {
        self.get_with(key.as_ref(), Ok).await
    }

    /// The value of a key, read as text, a number, or whatever else is [`FromValue`]; `None` where the
    /// server has none.
    ///
    /// # Errors
    /// [`Error`]; [`ErrorKind::Value`] where the value is there and is no such thing.
    pub async fn get_as<T: FromValue>(&self, key: impl AsRef<[u8]>) -> Result<Option<T>, Error> {
        self.get_with(key.as_ref(), |value| Ok(T::from_value(value)?)).await
    }

    /// The value of a key, with its cas unique for [`cas`](Self::cas).
    ///
    /// # Errors
    /// [`Error`].
    pub async fn gets(&self, key: impl AsRef<[u8]>) -> Result<Option<Value>, Error> {
        self.retrieve(&Request::Gets(Keys::new(&[&self.key(key.as_ref())])), Ok).await
    }

    /// The value of a key, which gets a new time to expire.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn gat(
        &self,
        key: impl AsRef<[u8]>,
        expires: impl Into<Expires>,
    ) -> Result<Option<Value>, Error> {
        let key: &[u8] = &self.key(key.as_ref());
        let exptime = self.exptime_of(key, expires.into())?;
        self.retrieve(&Request::Gat { exptime, keys: Keys::new(&[key]) }, Ok).await
    }

    /// The same, with its cas unique.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn gats(
        &self,
        key: impl AsRef<[u8]>,
        expires: impl Into<Expires>,
    ) -> Result<Option<Value>, Error> {
        let key: &[u8] = &self.key(key.as_ref());
        let exptime = self.exptime_of(key, expires.into())?;
        self.retrieve(&Request::Gats { exptime, keys: Keys::new(&[key]) }, Ok).await
    }

    /// Stores a value, whatever was there.
    ///
    /// # Errors
    /// [`Error`]; [`ErrorKind::NotDone`] where the server has not stored it, and does not say why (as
    /// memcached's proxy does).
    pub async fn set(&self, key: impl AsRef<[u8]>, store: impl Into<Store>) -> Result<(), Error> {
        self.store(&self.key(key.as_ref()), store.into(), Request::Set, |reply| match reply {
            Kind::Stored => Ok(()),
            reply => Err(ErrorKind::NotDone { reply }),
        })
        .await
    }

    /// Stores a value only where none is there; whether it was stored.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn add(&self, key: impl AsRef<[u8]>, store: impl Into<Store>) -> Result<bool, Error> {
        self.store(&self.key(key.as_ref()), store.into(), Request::Add, stored).await
    }

    /// Stores a value only where one is there; whether it was stored.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn replace(
        &self,
        key: impl AsRef<[u8]>,
        store: impl Into<Store>,
    ) -> Result<bool, Error> {
        self.store(&self.key(key.as_ref()), store.into(), Request::Replace, stored).await
    }

    /// Puts data behind the value that is there; whether one is. Never compressed: a value that is
    /// compressed becomes one that is read as [`ValueError::DataBehind`](crate::ValueError::DataBehind).
    ///
    /// # Errors
    /// [`Error`].
    pub async fn append(&self, key: impl AsRef<[u8]>, data: impl IntoBytes) -> Result<bool, Error> {
        self.attach(
            Request::Append(request::StoreRequest::new(&self.key(key.as_ref()))),
            data.into_bytes(),
        )
        .await
    }

    /// Puts data before the value that is there; whether one is. Never compressed: a value that is
    /// compressed becomes one that is read as [`ValueError::Decompress`](crate::ValueError::Decompress).
    ///
    /// # Errors
    /// [`Error`].
    pub async fn prepend(
        &self,
        key: impl AsRef<[u8]>,
        data: impl IntoBytes,
    ) -> Result<bool, Error> {
        self.attach(
            Request::Prepend(request::StoreRequest::new(&self.key(key.as_ref()))),
            data.into_bytes(),
        )
        .await
    }

    /// Stores a value only where the item has not changed since it was read with that cas unique.
    ///
    /// # Errors
    /// [`Error`]; [`ErrorKind::NotDone`] where the server does not say why it did not.
    pub async fn cas(
        &self,
        key: impl AsRef<[u8]>,
        store: impl Into<Store>,
        unique: u64,
    ) -> Result<Cas, Error> {
        let cas = |store| Request::Cas { store, unique };
        self.store(&self.key(key.as_ref()), store.into(), cas, |reply| match reply {
            Kind::Stored => Ok(Cas::Stored),
            Kind::Exists => Ok(Cas::Changed),
            Kind::NotFound => Ok(Cas::Gone),
            reply => Err(ErrorKind::NotDone { reply }),
        })
        .await
    }

    /// Adds to a number, and wraps at 64 bits; the new number, `None` where there is none.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn incr(&self, key: impl AsRef<[u8]>, delta: u64) -> Result<Option<u64>, Error> {
        let key = &self.key(key.as_ref());
        self.number(&Request::Incr { key, delta, noreply: false }).await
    }

    /// Subtracts from a number, and stops at 0; the new number, `None` where there is none.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn decr(&self, key: impl AsRef<[u8]>, delta: u64) -> Result<Option<u64>, Error> {
        let key = &self.key(key.as_ref());
        self.number(&Request::Decr { key, delta, noreply: false }).await
    }

    /// Gives an item a new time to expire; whether there is one.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn touch(
        &self,
        key: impl AsRef<[u8]>,
        expires: impl Into<Expires>,
    ) -> Result<bool, Error> {
        let key: &[u8] = &self.key(key.as_ref());
        let exptime = self.exptime_of(key, expires.into())?;
        let touch = Request::Touch { key, exptime, noreply: false };
        self.change(&touch, Bytes::new(), |answer| match answer {
            Answer::Word(Kind::Touched) => Ok(true),
            Answer::Word(Kind::NotFound) => Ok(false),
            other => Err(ErrorKind::unexpected(&other)),
        })
        .await
    }

    /// Deletes an item; whether there was one.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn delete(&self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        let key = self.key(key.as_ref());
        let delete = Request::Delete { key: &key, noreply: false };
        self.change(&delete, Bytes::new(), |answer| match answer {
            Answer::Word(Kind::Deleted) => Ok(true),
            Answer::Word(Kind::NotFound) => Ok(false),
            other => Err(ErrorKind::unexpected(&other)),
        })
        .await
    }

    /// As it stands on the wire, in a request that is sent now.
    pub(crate) fn exptime(&self, expires: Expires) -> Result<i64, ErrorKind> {
        match expires {
            Expires::Never => Ok(0),
            _ => expires.exptime(self.hub.dialect, SystemTime::now()).map_err(ErrorKind::Expires),
        }
    }

    /// The same, in a request about this key.
    pub(crate) fn exptime_of(&self, key: &[u8], expires: Expires) -> Result<i64, Error> {
        self.exptime(expires).map_err(|kind| Error::from(kind).with_key(key))
    }

    /// Reads the value of one key, and has `read` make a result of it.
    pub(crate) async fn get_with<T>(
        &self,
        key: &[u8],
        read: impl FnOnce(Value) -> Result<T, ErrorKind>,
    ) -> Result<Option<T>, Error> {
        self.retrieve(&Request::Get(Keys::new(&[&self.key(key)])), read).await
    }

    /// Sends a read of one key, and has `read` make a result of it.
    async fn retrieve<T>(
        &self,
        request: &Request<'_>,
        read: impl FnOnce(Value) -> Result<T, ErrorKind>,
    ) -> Result<Option<T>, Error> {
        let first = |answer| match answer {
            Answer::Items(items) => {
                let item = items.into_iter().next();
                item.map(|item| read(self.value(item)?)).transpose()
            }
            other => Err(ErrorKind::unexpected(&other)),
        };
        self.ask(request, Bytes::new(), |prepared| self.read(prepared), first).await
    }

    /// Sends what changes one key.
    pub(crate) async fn change<T>(
        &self,
        request: &Request<'_>,
        data: Bytes,
        read: impl FnOnce(Answer) -> Result<T, ErrorKind>,
    ) -> Result<T, Error> {
        self.ask(request, data, |prepared| self.write(prepared), read).await
    }

    async fn store<'a, T>(
        &self,
        key: &'a [u8],
        store: Store,
        request: impl FnOnce(request::StoreRequest<'a>) -> Request<'a>,
        read: impl FnOnce(Kind) -> Result<T, ErrorKind>,
    ) -> Result<T, Error> {
        let packed = self.packing.pack(store.data, store.flags);
        let (data, flags) = packed.map_err(|error| Error::from(error).with_key(key))?;
        let mut line = request::StoreRequest::new(key);
        line.flags = flags;
        line.exptime = self.exptime_of(key, store.expires)?;
        self.change(&request(line), data, |answer| read(word(&answer)?)).await
    }

    async fn attach(&self, request: Request<'_>, data: Bytes) -> Result<bool, Error> {
        self.change(&request, data, |answer| stored(word(&answer)?)).await
    }

    async fn number(&self, request: &Request<'_>) -> Result<Option<u64>, Error> {
        let number = |answer| match answer {
            Answer::Number(number) => Ok(Some(number)),
            Answer::Word(Kind::NotFound) => Ok(None),
            other => Err(ErrorKind::unexpected(&other)),
        };
        self.change(request, Bytes::new(), number).await
    }
}

fn word(answer: &Answer) -> Result<Kind, ErrorKind> {
    match answer {
        Answer::Word(kind) => Ok(*kind),
        other => Err(ErrorKind::unexpected(other)),
    }
}

fn stored(kind: Kind) -> Result<bool, ErrorKind> {
    match kind {
        Kind::Stored => Ok(true),
        Kind::NotStored => Ok(false),
        other => Err(ErrorKind::Unexpected { answer: other.text() }),
    }
}
