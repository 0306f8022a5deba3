//! Meta commands, and what servers tell of themselves.

use std::borrow::Cow;

use bytes::Bytes;
use windhover_core::client::{Answer, Call, MetaAnswer, Server, ServerId};
use windhover_core::memcache::meta::{MetaFlags, MetaRequest};
use windhover_core::memcache::request::Request;
use windhover_core::memcache::response::Kind;

use crate::cache::of_only_key;
use crate::many::join;
use crate::{ArithmeticFlags, Client, DeleteFlags, Error, GetFlags, IntoBytes, SetFlags};

impl Client {
    /// `mg`: fetches an item and what is known of it, as [`GetFlags`] say, or as they stand on the line,
    /// such as `v t c`. The key is as it stands on the line too: base64 with the flag `b`.
    ///
    /// ```
    /// # async fn example(client: windhover_client::Client) -> Result<(), windhover_client::Error> {
    /// use windhover_client::GetFlags;
    ///
    /// let found = client.meta_get("k", GetFlags::new().value().ttl().hit_before()).await?;
    /// println!("{:?} {:?} {:?}", found.code, found.ttl(), found.hit_before());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error`]; [`NeedsBarrier`](windhover_core::memcache::request::EncodeError::NeedsBarrier)
    /// for the flag `q`.
    pub async fn meta_get(
        &self,
        key: impl AsRef<[u8]>,
        flags: impl Into<GetFlags>,
    ) -> Result<MetaAnswer, Error> {
        let flags = flags.into().line()?;
        let key = self.meta_key(key.as_ref(), &flags);
        let meta = MetaRequest::new(&key, MetaFlags::new(&flags));
        let get = Request::MetaGet(meta);
        let answer = self.call(&get, Bytes::new(), |prepared| self.read_or_write(&get, prepared));
        meta_answer(answer.await.map_err(of_only_key)?)
    }

    /// `ms`: stores a value, as [`SetFlags`] say, or as they stand on the line.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn meta_set(
        &self,
        key: impl AsRef<[u8]>,
        value: impl IntoBytes,
        flags: impl Into<SetFlags>,
    ) -> Result<MetaAnswer, Error> {
        let flags = flags.into().line()?;
        let key = self.meta_key(key.as_ref(), &flags);
        let meta = MetaRequest::new(&key, MetaFlags::new(&flags));
        self.change(&Request::MetaSet(meta), value.into_bytes()).await
    }

    /// `md`: deletes an item, or marks it stale, as [`DeleteFlags`] say, or as they stand on the line.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn meta_delete(
        &self,
        key: impl AsRef<[u8]>,
        flags: impl Into<DeleteFlags>,
    ) -> Result<MetaAnswer, Error> {
        let flags = flags.into().line()?;
        let key = self.meta_key(key.as_ref(), &flags);
        let meta = MetaRequest::new(&key, MetaFlags::new(&flags));
        self.change(&Request::MetaDelete(meta), Bytes::new()).await
    }

    /// `ma`: adds to a number or subtracts from it, as [`ArithmeticFlags`] say, or as they stand on the
    /// line.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn meta_arithmetic(
        &self,
        key: impl AsRef<[u8]>,
        flags: impl Into<ArithmeticFlags>,
    ) -> Result<MetaAnswer, Error> {
        let flags = flags.into().line()?;
        let key = self.meta_key(key.as_ref(), &flags);
        let meta = MetaRequest::new(&key, MetaFlags::new(&flags));
        self.change(&Request::MetaArithmetic(meta), Bytes::new()).await
    }

    fn meta_key<'k>(&self, key: &'k [u8], flags: &[u8]) -> Cow<'k, [u8]> {
        if MetaFlags::new(flags).base64() { Cow::Borrowed(key) } else { self.key(key) }
    }

    async fn change(&self, request: &Request<'_>, data: Bytes) -> Result<MetaAnswer, Error> {
        meta_answer(self.call(request, data, |prepared| self.write(prepared)).await?)
    }

    /// Each server's version, or why it does not tell.
    pub async fn versions(&self) -> Vec<(Server, Result<Bytes, Error>)> {
        let version = |server| async move {
            match self.to_server(server, &Request::Version).await? {
                Answer::Text(version) => Ok(version),
                _ => Err(Error::Unexpected),
            }
        };
        self.of_each(version).await
    }

    /// Each server's statistics, or why it does not tell: [`stats_of`](Self::stats_of) all of them.
    pub async fn stats(
        &self,
        arguments: impl AsRef<[u8]>,
    ) -> Vec<(Server, Result<Vec<(Bytes, Bytes)>, Error>)> {
        let arguments = arguments.as_ref();
        self.of_each(|server| self.stats_of(server, arguments)).await
    }

    /// Invalidates every item of every server.
    ///
    /// # Errors
    /// [`Error`] of the first server that fails, and has kept its items; the others are asked all the same.
    pub async fn flush_all(&self) -> Result<(), Error> {
        let flushed = self.of_each(|server| self.flush_all_of(server)).await;
        flushed.into_iter().try_for_each(|(_, flushed)| flushed)
    }

    /// What becomes of a call to each server, all at the same time.
    async fn of_each<T, F: Future<Output = Result<T, Error>>>(
        &self,
        call: impl Fn(ServerId) -> F,
    ) -> Vec<(Server, Result<T, Error>)> {
        let servers = self.servers();
        let answers = join(servers.iter().map(|(id, _)| call(*id)).collect()).await;
        servers.into_iter().map(|(_, server)| server).zip(answers).collect()
    }

    /// A server's statistics, by `arguments` such as `items`; empty for the general ones. A line that
    /// is no name and value (`cachedump`) is a name without a value.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn stats_of(
        &self,
        server: ServerId,
        arguments: impl AsRef<[u8]>,
    ) -> Result<Vec<(Bytes, Bytes)>, Error> {
        let stats = Request::Stats { arguments: arguments.as_ref() };
        match self.to_server(server, &stats).await? {
            Answer::Statistics(pairs) => Ok(pairs),
            Answer::Items(none) if none.is_empty() => Ok(Vec::new()),
            // `reset`, `detail on`.
            Answer::Word(Kind::Reset | Kind::Ok) => Ok(Vec::new()),
            // `cachedump`, `detail dump`.
            Answer::Lines(lines) => {
                Ok(lines.into_iter().map(|line| (line, Bytes::new())).collect())
            }
            _ => Err(Error::Unexpected),
        }
    }

    /// Invalidates every item of a server.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn flush_all_of(&self, server: ServerId) -> Result<(), Error> {
        match self.to_server(server, &Request::FlushAll { delay: None, noreply: false }).await? {
            Answer::Word(Kind::Ok) | Answer::Text(_) => Ok(()),
            _ => Err(Error::Unexpected),
        }
    }

    /// A request to one server.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn to_server(
        &self,
        server: ServerId,
        request: &Request<'_>,
    ) -> Result<Answer, Error> {
        self.call(request, Bytes::new(), |prepared| Call::to(prepared, server)).await
    }
}

fn meta_answer(answer: Answer) -> Result<MetaAnswer, Error> {
    match answer {
        Answer::Meta(answer) => Ok(answer),
        _ => Err(Error::Unexpected),
    }
}
