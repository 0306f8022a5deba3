//! Meta commands, and what servers tell of themselves.

use std::borrow::Cow;

use bytes::Bytes;
use windhover_core::client::{Answer, Call, MetaAnswer, Server, ServerId};
use windhover_core::memcache::meta::{MetaFlags, MetaRequest};
use windhover_core::memcache::request::Request;
use windhover_core::memcache::response::Kind;

use crate::many::join;
use crate::{
    ArithmeticFlags, Client, DeleteFlags, Error, ErrorKind, GetFlags, IntoBytes, SetFlags,
};

impl Client {
    /// `mg`: fetches an item and what is known of it, as [`GetFlags`] say, or as they stand on the line,
    /// such as `v t c`. The key is as it stands on the line too: base64 with the flag `b`; and the value is as
    /// it is stored, compressed or not, whatever the client's [`Compression`](crate::Compression).
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
        self.read_meta(key.as_ref(), &flags.into().line()?, Ok).await
    }

    /// The same, and has `read` make a result of the answer.
    pub(crate) async fn read_meta<T>(
        &self,
        key: &[u8],
        flags: &[u8],
        read: impl FnOnce(MetaAnswer) -> Result<T, ErrorKind>,
    ) -> Result<T, Error> {
        let key = self.meta_key(key, flags);
        let get = Request::MetaGet(MetaRequest::new(&key, MetaFlags::new(flags)));
        let call = |prepared| self.read_or_write(&get, prepared);
        self.ask(&get, Bytes::new(), call, |answer| read(meta_answer(answer)?)).await
    }

    /// `ms`: stores a value, as it is given, as [`SetFlags`] say, or as they stand on the line.
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
        self.change(&Request::MetaSet(meta), value.into_bytes(), meta_answer).await
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
        self.delete_meta(key.as_ref(), &flags.into().line()?, Ok).await
    }

    /// The same, and has `read` make a result of the answer.
    pub(crate) async fn delete_meta<T>(
        &self,
        key: &[u8],
        flags: &[u8],
        read: impl FnOnce(MetaAnswer) -> Result<T, ErrorKind>,
    ) -> Result<T, Error> {
        let key = self.meta_key(key, flags);
        let delete = Request::MetaDelete(MetaRequest::new(&key, MetaFlags::new(flags)));
        self.change(&delete, Bytes::new(), |answer| read(meta_answer(answer)?)).await
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
        self.change(&Request::MetaArithmetic(meta), Bytes::new(), meta_answer).await
    }

    fn meta_key<'k>(&self, key: &'k [u8], flags: &[u8]) -> Cow<'k, [u8]> {
        if MetaFlags::new(flags).base64() { Cow::Borrowed(key) } else { self.key(key) }
    }

    /// Each server's version, or why it does not tell.
    pub async fn versions(&self) -> Vec<(Server, Result<Bytes, Error>)> {
        let version = |answer| match answer {
            Answer::Text(version) => Ok(version),
            other => Err(ErrorKind::unexpected(&other)),
        };
        self.of_each(|server| self.ask_server(server, &Request::Version, version)).await
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
        let pairs = |answer| match answer {
            Answer::Statistics(pairs) => Ok(pairs),
            Answer::Items(none) if none.is_empty() => Ok(Vec::new()),
            // `reset`, `detail on`.
            Answer::Word(Kind::Reset | Kind::Ok) => Ok(Vec::new()),
            // `cachedump`, `detail dump`.
            Answer::Lines(lines) => {
                Ok(lines.into_iter().map(|line| (line, Bytes::new())).collect())
            }
            other => Err(ErrorKind::unexpected(&other)),
        };
        self.ask_server(server, &stats, pairs).await
    }

    /// Invalidates every item of a server.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn flush_all_of(&self, server: ServerId) -> Result<(), Error> {
        let flush = Request::FlushAll { delay: None, noreply: false };
        let flushed = |answer| match answer {
            Answer::Word(Kind::Ok) | Answer::Text(_) => Ok(()),
            other => Err(ErrorKind::unexpected(&other)),
        };
        self.ask_server(server, &flush, flushed).await
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
        self.ask_server(server, request, Ok).await
    }

    async fn ask_server<T>(
        &self,
        server: ServerId,
        request: &Request<'_>,
        read: impl FnOnce(Answer) -> Result<T, ErrorKind>,
    ) -> Result<T, Error> {
        self.ask(request, Bytes::new(), |prepared| Call::to(prepared, server), read).await
    }
}

fn meta_answer(answer: Answer) -> Result<MetaAnswer, ErrorKind> {
    match answer {
        Answer::Meta(answer) => Ok(answer),
        other => Err(ErrorKind::unexpected(&other)),
    }
}
