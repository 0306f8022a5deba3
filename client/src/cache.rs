//! The commands of caches, one key at a time.

use std::time::SystemTime;

use bytes::Bytes;
use windhover_core::client::{Answer, CallError};
use windhover_core::memcache::Keys;
use windhover_core::memcache::request::{self, Request};
use windhover_core::memcache::response::Kind;

use crate::{Client, Error, Expires, ExpiresError, FromValue, IntoBytes, Store, Value};

/// What came of a [`cas`](Client::cas).
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
        self.retrieve(&Request::Get(Keys::new(&[&self.key(key.as_ref())]))).await
    }

    /// The value of a key, read as text, a number, or whatever else is [`FromValue`]; `None` where the
    /// server has none.
    ///
    /// # Errors
    /// [`Error`]; [`Error::Value`] where the value is there and is no such thing.
    pub async fn get_as<T: FromValue>(&self, key: impl AsRef<[u8]>) -> Result<Option<T>, Error> {
        let value = self.get(key).await?;
        Ok(value.map(T::from_value).transpose()?)
    }

    /// The value of a key, with its cas unique for [`cas`](Self::cas).
    ///
    /// # Errors
    /// [`Error`].
    pub async fn gets(&self, key: impl AsRef<[u8]>) -> Result<Option<Value>, Error> {
        self.retrieve(&Request::Gets(Keys::new(&[&self.key(key.as_ref())]))).await
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
        let exptime = self.exptime(expires.into())?;
        self.retrieve(&Request::Gat { exptime, keys: Keys::new(&[&self.key(key.as_ref())]) }).await
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
        let exptime = self.exptime(expires.into())?;
        self.retrieve(&Request::Gats { exptime, keys: Keys::new(&[&self.key(key.as_ref())]) }).await
    }

    /// Stores a value, whatever was there.
    ///
    /// # Errors
    /// [`Error`]; [`Error::NotDone`] where the server has not stored it, and does not say why (as
    /// memcached's proxy does).
    pub async fn set(&self, key: impl AsRef<[u8]>, store: impl Into<Store>) -> Result<(), Error> {
        match self.store(&self.key(key.as_ref()), store.into(), Request::Set).await? {
            Kind::Stored => Ok(()),
            reply => Err(Error::NotDone { reply }),
        }
    }

    /// Stores a value only where none is there; whether it was stored.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn add(&self, key: impl AsRef<[u8]>, store: impl Into<Store>) -> Result<bool, Error> {
        stored(self.store(&self.key(key.as_ref()), store.into(), Request::Add).await?)
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
        stored(self.store(&self.key(key.as_ref()), store.into(), Request::Replace).await?)
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
    /// [`Error`]; [`Error::NotDone`] where the server does not say why it did not.
    pub async fn cas(
        &self,
        key: impl AsRef<[u8]>,
        store: impl Into<Store>,
        unique: u64,
    ) -> Result<Cas, Error> {
        let cas = |store| Request::Cas { store, unique };
        match self.store(&self.key(key.as_ref()), store.into(), cas).await? {
            Kind::Stored => Ok(Cas::Stored),
            Kind::Exists => Ok(Cas::Changed),
            Kind::NotFound => Ok(Cas::Gone),
            reply => Err(Error::NotDone { reply }),
        }
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
        let exptime = self.exptime(expires.into())?;
        let key = self.key(key.as_ref());
        let touch = Request::Touch { key: &key, exptime, noreply: false };
        match self.call(&touch, Bytes::new(), |prepared| self.write(prepared)).await? {
            Answer::Word(Kind::Touched) => Ok(true),
            Answer::Word(Kind::NotFound) => Ok(false),
            _ => Err(Error::Unexpected),
        }
    }

    /// Deletes an item; whether there was one.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn delete(&self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        let key = self.key(key.as_ref());
        let delete = Request::Delete { key: &key, noreply: false };
        match self.call(&delete, Bytes::new(), |prepared| self.write(prepared)).await? {
            Answer::Word(Kind::Deleted) => Ok(true),
            Answer::Word(Kind::NotFound) => Ok(false),
            _ => Err(Error::Unexpected),
        }
    }

    /// As it stands on the wire, in a request that is sent now.
    pub(crate) fn exptime(&self, expires: Expires) -> Result<i64, ExpiresError> {
        match expires {
            Expires::Never => Ok(0),
            _ => expires.exptime(self.hub.dialect, SystemTime::now()),
        }
    }

    async fn retrieve(&self, request: &Request<'_>) -> Result<Option<Value>, Error> {
        let answer = self.call(request, Bytes::new(), |prepared| self.read(prepared)).await;
        match answer.map_err(of_only_key)? {
            Answer::Items(items) => {
                items.into_iter().next().map(|item| self.value(item)).transpose()
            }
            _ => Err(Error::Unexpected),
        }
    }

    async fn store<'a>(
        &self,
        key: &'a [u8],
        store: Store,
        request: impl FnOnce(request::StoreRequest<'a>) -> Request<'a>,
    ) -> Result<Kind, Error> {
        let (data, flags) = self.packing.pack(store.data, store.flags)?;
        let mut line = request::StoreRequest::new(key);
        line.flags = flags;
        line.exptime = self.exptime(store.expires)?;
        let answer = self.call(&request(line), data, |prepared| self.write(prepared)).await?;
        match answer {
            Answer::Word(kind) => Ok(kind),
            _ => Err(Error::Unexpected),
        }
    }

    async fn attach(&self, request: Request<'_>, data: Bytes) -> Result<bool, Error> {
        match self.call(&request, data, |prepared| self.write(prepared)).await? {
            Answer::Word(kind) => stored(kind),
            _ => Err(Error::Unexpected),
        }
    }

    async fn number(&self, request: &Request<'_>) -> Result<Option<u64>, Error> {
        match self.call(request, Bytes::new(), |prepared| self.write(prepared)).await? {
            Answer::Number(number) => Ok(Some(number)),
            Answer::Word(Kind::NotFound) => Ok(None),
            _ => Err(Error::Unexpected),
        }
    }
}

/// What became of the only key of a call.
pub(crate) fn of_only_key(error: Error) -> Error {
    match error {
        Error::Call { server, key, error: CallError::Keys { server: id, failed, .. } } => {
            let Some((_, error)) = failed.into_iter().next() else {
                return Error::Unexpected;
            };
            let error = Error::of_key(server, id, error);
            key.map_or(error.clone(), |key| error.with_key(&key))
        }
        other => other,
    }
}

fn stored(kind: Kind) -> Result<bool, Error> {
    match kind {
        Kind::Stored => Ok(true),
        Kind::NotStored => Ok(false),
        _ => Err(Error::Unexpected),
    }
}
