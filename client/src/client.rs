//! What an application holds.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use windhover_core::client::{
    Answer, Call, CallError, ClusterError, ClusterOptions, ReservationId, Server, ServerId,
    ServerStatistics, Target,
};
use windhover_core::memcache::request::{Prepared, Request};

use crate::address::read_servers;
use crate::compression::{Compression, Packing};
use crate::hub::{CallFuture, Handle, Hub, Reply};
use crate::parts::Part;
use crate::{Builder, Error, ErrorKind, Queue, spare};

/// A client of many servers: a handle that is cheap to copy, for any number of tasks and threads.
///
/// Its calls are futures that may be dropped at any time, and that end at their deadline at the
/// latest. `None`, `false` and the like are answers of a server; whatever else happened is an
/// [`Error`], which says what is known of the call's effect.
///
/// Keys are found by [`ServerSelection`](windhover_core::client::ServerSelection): with the default, on the same
/// servers as with libmemcached's clients.
///
/// With the last handle the client shuts down: what is under way is waited for.
#[derive(Clone)]
pub struct Client {
    pub(crate) hub: Handle,
    pub(crate) timeout: Duration,
    pub(crate) packing: Packing,
    /// What every key begins with.
    prefix: Bytes,
    /// Whether another server may answer where a key's own cannot.
    failover: bool,
    hedged: bool,
}

impl Client {
    /// For caches of memcached's kind.
    pub fn builder() -> Builder {
        Builder::new(ClusterOptions::default())
    }

    /// For queue servers of kestrel's kind.
    pub fn queue_builder() -> Builder {
        Builder::new(ClusterOptions::queues())
    }

    pub(crate) fn new(hub: Handle, timeout: Duration, packing: Packing, prefix: Bytes) -> Self {
        Self { hub, timeout, packing, prefix, failover: false, hedged: false }
    }

    /// The same client for calls that may take so long, all attempts together.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self { timeout, ..self.clone() }
    }

    /// The same client for calls that another server may answer where the key's own cannot. A read
    /// then may miss what the key's own server has, and a write leaves it there: for caches whose
    /// users can live with both.
    #[must_use]
    pub fn with_failover(&self) -> Self {
        Self { failover: true, ..self.clone() }
    }

    /// The same client for reads that a second server is asked for while the first one is slow
    /// ([`ClusterOptions::hedge`] says how slow).
    #[must_use]
    pub fn with_hedging(&self) -> Self {
        Self { hedged: true, ..self.clone() }
    }

    /// The same client for values as they are stored: nothing is compressed or decompressed, and all
    /// flags are the caller's.
    #[must_use]
    pub fn with_raw_values(&self) -> Self {
        let packing = Packing { compression: Compression::None, ..self.packing };
        Self { packing, ..self.clone() }
    }

    /// A queue of that name.
    pub fn queue(&self, name: impl Into<Bytes>) -> Queue {
        Queue::new(self.clone(), name.into())
    }

    /// Changes the set of servers while calls are under way. Addresses are read as by
    /// [`Builder::server`](crate::Builder::server); without any server every call fails. [`Names`](crate::Names)
    /// does so with the addresses of a name.
    ///
    /// # Errors
    /// [`ErrorKind::Address`] and [`ErrorKind::Cluster`]; the set is as it was.
    pub fn set_servers(&self, servers: &[Server]) -> Result<(), Error> {
        set_servers(&self.hub, servers)
    }

    /// The servers, in the order in which they were given.
    pub fn servers(&self) -> Vec<(ServerId, Server)> {
        let state = self.hub.lock();
        state.cluster.servers().map(|(id, server)| (id, server.clone())).collect()
    }

    /// The server that owns a key, whether or not it is in use; `None` where no server has a weight.
    pub fn owner(&self, key: impl AsRef<[u8]>) -> Option<(ServerId, Server)> {
        let state = self.hub.lock();
        let id = state.cluster.owner(&self.key(key.as_ref()))?;
        state.cluster.server(id).map(|server| (id, server.clone()))
    }

    /// What was counted, and the state of each server.
    pub fn statistics(&self) -> Vec<ServerStatistics> {
        self.hub.lock().cluster.statistics()
    }

    /// Sends any request, as `call` makes a [`Call`] of it: what the typed methods are made of. A
    /// retrieval by [`Target::Key`] whose keys live on several servers is asked of each of them; it fails
    /// where one of them fails, with what was found beside it.
    ///
    /// # Errors
    /// [`ErrorKind::Key`], [`ErrorKind::Request`] and [`ErrorKind::Call`].
    pub async fn call(
        &self,
        request: &Request<'_>,
        data: Bytes,
        call: impl FnOnce(Prepared) -> Call,
    ) -> Result<Answer, Error> {
        match self.sent_to(request, data, call)? {
            Sent::Whole(call) => self.send_whole(call).await,
            // Apart, for it is rare, and every call would be as large.
            Sent::InParts(parts) => Box::pin(self.items(parts)).await,
        }
    }

    /// The same in two steps: the request is checked and encoded now, and may be sent later, as often as
    /// it takes, by a task that has none of its bytes. Which servers own its keys is looked up now.
    ///
    /// ```
    /// # async fn example(client: windhover_client::Client) -> Result<(), windhover_client::Error> {
    /// use windhover_client::{Call, protocol::memcache::Keys, protocol::memcache::request::Request};
    ///
    /// let prepared = {
    ///     let key = String::from("greeting");
    ///     let keys = [key.as_bytes()];
    ///     let get = Request::Get(Keys::new(&keys));
    ///     client.prepare_call(&get, Default::default(), Call::read)?
    /// };
    /// let answer = prepared.send().await?;
    /// # drop(answer);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Key`] and [`ErrorKind::Request`].
    pub fn prepare_call(
        &self,
        request: &Request<'_>,
        data: Bytes,
        call: impl FnOnce(Prepared) -> Call,
    ) -> Result<PreparedCall, Error> {
        Ok(PreparedCall { sent: self.sent_to(request, data, call)?, client: self.clone() })
    }

    fn sent_to(
        &self,
        request: &Request<'_>,
        data: Bytes,
        call: impl FnOnce(Prepared) -> Call,
    ) -> Result<Sent, Error> {
        let call = call(self.prepare(request, data)?);
        let parts = if call.target == Target::Key { self.parts(request, &call)? } else { None };
        Ok(parts.map_or_else(|| Sent::Whole(call), Sent::InParts))
    }

    async fn send_whole(&self, call: Call) -> Result<Answer, Error> {
        let reply = self.submit(call, self.timeout).await;
        if let Some(reservation) = reply.reservation {
            self.abandon(reservation);
        }
        reply.outcome
    }

    /// Sends a request about one key, and has `read` make a result of the answer, or a kind of error, which is
    /// told with server and key.
    pub(crate) async fn ask<T>(
        &self,
        request: &Request<'_>,
        data: Bytes,
        call: impl FnOnce(Prepared) -> Call,
        read: impl FnOnce(Answer) -> Result<T, ErrorKind>,
    ) -> Result<T, Error> {
        let call = call(self.prepare(request, data)?);
        let reply = self.submit(call, self.timeout).await;
        if let Some(reservation) = reply.reservation {
            self.abandon(reservation);
        }
        let answer = match reply.outcome {
            Ok(answer) => answer,
            Err(mut error) => match error.take_answered() {
                items if items.is_empty() => return Err(error.map_kind(of_only_key)),
                items => Answer::Items(items.into()),
            },
        };
        read(answer).map_err(|kind| {
            let error = self.error_at(reply.server, kind);
            let mut keys = request.keys();
            match (keys.next(), keys.next()) {
                (Some(key), None) => error.with_key(key),
                _ => error,
            }
        })
    }

    /// An error of a server that was asked.
    pub(crate) fn error_at(&self, server: Option<ServerId>, kind: ErrorKind) -> Error {
        Error::from(kind).with_server(self.server(server))
    }

    /// An error of the server that owns a key.
    pub(crate) fn error_of(&self, key: &[u8], kind: ErrorKind) -> Error {
        let key = self.key(key);
        let owner = self.hub.lock().cluster.owner(&key);
        self.error_at(owner, kind).with_key(&key)
    }

    pub(crate) fn server(&self, id: Option<ServerId>) -> Option<Server> {
        self.hub.lock().cluster.server(id?).cloned()
    }

    /// Whether keys have a prefix on their server.
    pub(crate) fn has_prefix(&self) -> bool {
        !self.prefix.is_empty()
    }

    /// A key as the server has it.
    pub(crate) fn key<'k>(&self, key: &'k [u8]) -> Cow<'k, [u8]> {
        if self.prefix.is_empty() {
            return Cow::Borrowed(key);
        }
        Cow::Owned([&self.prefix[..], key].concat())
    }

    /// A read of a cache, by the ways that this client goes.
    pub(crate) fn read(&self, prepared: Prepared) -> Call {
        let mut call = Call::read(prepared);
        call.failover = self.failover;
        call.hedged = self.hedged;
        call
    }

    /// A write to a cache, by the ways that this client goes.
    pub(crate) fn write(&self, prepared: Prepared) -> Call {
        let mut call = Call::write(prepared);
        call.failover = self.failover;
        call
    }

    /// A read of a cache where the request changes nothing, a write otherwise.
    pub(crate) fn read_or_write(&self, request: &Request<'_>, prepared: Prepared) -> Call {
        let reads = match request {
            Request::Get(_) | Request::Gets(_) | Request::MetaDebug { .. } => true,
            // Flags may change the item.
            Request::MetaGet(meta) => {
                !meta.flags.iter().any(|flag| matches!(flag.letter, b'E' | b'N' | b'R' | b'T'))
            }
            _ => false,
        };
        if reads { self.read(prepared) } else { self.write(prepared) }
    }

    pub(crate) fn prepare(&self, request: &Request<'_>, data: Bytes) -> Result<Prepared, Error> {
        let limits = &self.hub.limits;
        let prepared = Prepared::new_in(spare::take(), request, data, self.hub.dialect, limits);
        prepared.map_err(|error| Error::of_request(request, error, limits))
    }

    pub(crate) fn submit(
        &self,
        call: Call,
        timeout: Duration,
    ) -> impl Future<Output = Reply> + Send + use<> {
        #[cfg(feature = "tracing")]
        let span = crate::trace::call(&call.prepared);
        let submitted = CallFuture::new(self.hub.hub(), call, timeout);
        #[cfg(feature = "tracing")]
        let submitted = crate::trace::traced(submitted, span);
        submitted
    }

    pub(crate) fn abandon(&self, reservation: ReservationId) {
        let mut state = self.hub.lock();
        state.cluster.abandon_reservation(reservation);
        state.pump(self.hub.now());
    }

    pub(crate) fn release(&self, reservation: ReservationId) {
        let mut state = self.hub.lock();
        let now = self.hub.now();
        state.cluster.release_reservation(reservation, now);
        state.pump(now);
    }
}

pub(crate) fn set_servers(hub: &Hub, servers: &[Server]) -> Result<(), Error> {
    let servers = read_servers(servers, hub.dialect)?;
    let mut state = hub.lock();
    let now = hub.now();
    let done: Result<(), ClusterError> = state.cluster.set_servers(&servers, now);
    state.pump(now);
    done.map_err(|error| ErrorKind::Cluster(error).into())
}

/// A request that was checked and encoded, and can be sent any number of times
/// ([`Client::prepare_call`]).
///
/// ```
/// use windhover_client::protocol::memcache::Keys;
/// use windhover_client::protocol::memcache::request::Request;
/// use windhover_client::{Bytes, Call, Client, PreparedCall, block_on};
///
/// let (client, driver) = Client::builder().server("10.0.0.1:11211").build()?;
/// let get = Request::Get(Keys::new(&[b"greeting"]));
/// let get: PreparedCall = client.prepare_call(&get, Bytes::new(), Call::read)?;
/// # drop(driver);
/// // Nothing is checked or encoded any more, however often it is sent.
/// for _ in 0..2 {
///     assert!(block_on(get.send()).is_err(), "nothing drives the client");
/// }
/// # Ok::<(), windhover_client::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct PreparedCall {
    client: Client,
    sent: Sent,
}

#[derive(Clone, Debug)]
enum Sent {
    Whole(Call),
    /// To several servers.
    InParts(Vec<Part>),
}

impl PreparedCall {
    /// Sends it, within the timeout of its client from the first poll on. The future owns all that it
    /// needs.
    ///
    /// # Errors
    /// [`ErrorKind::Call`].
    pub fn send(&self) -> impl Future<Output = Result<Answer, Error>> + Send + use<> {
        let Self { client, sent } = self.clone();
        async move {
            match sent {
                Sent::Whole(call) => client.send_whole(call).await,
                Sent::InParts(parts) => client.items(parts).await,
            }
        }
    }
}

/// What became of the only key of a call.
fn of_only_key(kind: ErrorKind) -> ErrorKind {
    match kind {
        ErrorKind::Call(CallError::Keys { server, failed, .. }) => {
            let only = failed.into_iter().next();
            only.map_or(ErrorKind::lacks("nothing"), |(_, error)| ErrorKind::of_key(server, error))
        }
        other => other,
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}
