//! Queues of kestrel's kind.

use std::fmt;
use std::time::{Duration, Instant};

use bytes::Bytes;
use windhover_core::client::{Answer, Call, CallError, NotSent, Retry, ServerId, Target};
use windhover_core::memcache::kestrel::{QueueRead, ReadMode};
use windhover_core::memcache::request::{self, Request};
use windhover_core::memcache::response::Kind;

use crate::hub::Reply;
use crate::many::join;
use crate::{Client, Error, ErrorKind, Expires, IntoBytes, Outcome, Reservation};

/// How long one of many servers is waited for before the next one is asked: an item that comes to
/// another server waits no longer than this for its reader.
const SLICE: Duration = Duration::from_millis(250);

/// A queue on the client's servers. Each server has its own of that name: items keep their order on
/// their server, and there is none between servers.
///
/// ```
/// use std::time::Duration;
/// use windhover_client::{Client, Error, Queue};
///
/// async fn send(client: &Client) -> Result<(), Error> {
///     let mails: Queue = client.queue("mails").expires(Duration::from_secs(3600));
///     // Rather twice than not at all.
///     mails.at_least_once().enqueue("to: ann@example.com").await
/// }
/// ```
#[derive(Clone)]
pub struct Queue {
    client: Client,
    name: Bytes,
    /// May items be there twice?
    at_least_once: bool,
    expires: Expires,
}

impl Queue {
    pub(crate) fn new(client: Client, name: Bytes) -> Self {
        Self { client, name, at_least_once: false, expires: Expires::Never }
    }

    /// The queue's name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The same queue, for items that are sent once more when nobody knows whether they have come:
    /// they may be there twice, and are not lost.
    #[must_use]
    pub fn at_least_once(mut self) -> Self {
        self.at_least_once = true;
        self
    }

    /// The same queue, for items that expire: so long after each is sent, or at a time.
    #[must_use]
    pub fn expires(mut self, expires: impl Into<Expires>) -> Self {
        self.expires = expires.into();
        self
    }

    /// Appends an item, on any server that takes it.
    ///
    /// # Errors
    /// [`ErrorKind::QueueFull`] where none takes it. With [`Outcome::Unknown`]
    /// it may be there all the same.
    pub async fn enqueue(&self, item: impl IntoBytes) -> Result<(), Error> {
        let mut store = request::StoreRequest::new(&self.name);
        store.exptime = self.client.exptime_of(&self.name, self.expires)?;
        let at_least_once = self.at_least_once;
        let enqueue = |prepared| {
            let mut call = Call::enqueue(prepared);
            if at_least_once {
                call.retry = Retry::AtLeastOnce;
            }
            call
        };
        let enqueued = |answer| match answer {
            Answer::Word(Kind::Stored) => Ok(()),
            Answer::Word(Kind::NotStored) => Err(ErrorKind::QueueFull),
            other => Err(ErrorKind::unexpected(&other)),
        };
        self.client.ask(&Request::Set(store), item.into_bytes(), enqueue, enqueued).await
    }

    /// Takes the next item for good, from any server that has one. An answer that does not come
    /// takes its item with it: [`reserve`](Self::reserve) loses none.
    ///
    /// # Errors
    /// [`Error`] where no server has an item and one of them does not answer: a queue that cannot be
    /// reached is not empty.
    pub async fn take(&self) -> Result<Option<Bytes>, Error> {
        let read = QueueRead::new(&self.name, ReadMode::Remove);
        let (answer, _) = self.sweep(read).await?;
        Ok(answer.and_then(item))
    }

    /// The first item of some server, which stays there.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub async fn peek(&self) -> Result<Option<Bytes>, Error> {
        let read = QueueRead::new(&self.name, ReadMode::Peek);
        let (answer, _) = self.sweep(read).await?;
        Ok(answer.and_then(item))
    }

    /// Sets the next item aside until it is confirmed or aborted, on any server that has one.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub async fn reserve(&self) -> Result<Option<Reservation>, Error> {
        let read = QueueRead::new(&self.name, ReadMode::Open);
        let (answer, reservation) = self.sweep(read).await?;
        let reservation = answer.and_then(item).zip(reservation).map(|(item, reservation)| {
            Reservation::new(self.client.clone(), self.name.clone(), item, reservation)
        });
        Ok(reservation)
    }

    /// The same, and waits for an item up to `wait`.
    ///
    /// With many servers each is waited for in turn, a quarter of a second at a time. One that does
    /// not answer ends nobody's wait for the others; where nothing comes from them, it is an error.
    ///
    /// # Errors
    /// As [`take`](Self::take), at once where no server can be asked.
    pub async fn reserve_within(&self, wait: Duration) -> Result<Option<Reservation>, Error> {
        let until = Instant::now() + wait;
        let mut failed = None;
        match self.reserve().await {
            Ok(None) => {}
            Ok(reservation) => return Ok(reservation),
            Err(error) => failed = Some(error),
        }
        let alone = self.client.servers().len() <= 1;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            // The wire has whole milliseconds.
            let slice = Duration::from_millis(u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
            if slice.is_zero() {
                return failed.map_or(Ok(None), Err);
            }
            let slice = if alone { slice } else { slice.min(SLICE) };
            let read = QueueRead::new(&self.name, ReadMode::Open).wait(slice);
            let prepared = self.client.prepare(&Request::QueueRead(read), Bytes::new())?;
            // The server's wait ends before ours does.
            let timeout = slice + self.client.timeout;
            let Reply { outcome, reservation, .. } =
                self.client.submit(Call::reserve(prepared), timeout).await;
            match outcome {
                Ok(answer) => {
                    if let (Some(item), Some(reservation)) = (item(answer), reservation) {
                        let (client, name) = (self.client.clone(), self.name.clone());
                        return Ok(Some(Reservation::new(client, name, item, reservation)));
                    }
                }
                // Only what was sent has taken time: to go on with anything else would be to spin.
                Err(error) if !alone && error.outcome() == Outcome::Unknown => {
                    failed.get_or_insert(error);
                }
                Err(error) => return Err(failed.unwrap_or(error)),
            }
        }
    }

    /// Drops the items of the queue, on every server.
    ///
    /// # Errors
    /// [`Error`] of the first server that fails; the others are asked all the same.
    pub async fn flush(&self) -> Result<(), Error> {
        self.everywhere(&Request::Flush { queue: &self.name }).await
    }

    /// Deletes the queue, on every server.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub async fn delete(&self) -> Result<(), Error> {
        self.everywhere(&Request::Delete { key: &self.name, noreply: false }).await
    }

    async fn everywhere(&self, request: &Request<'_>) -> Result<(), Error> {
        let servers = self.client.servers();
        let calls = servers.iter().map(|(server, _)| self.client.to_server(*server, request));
        let outcomes = join(calls.collect()).await;
        outcomes.into_iter().find_map(Result::err).map_or(Ok(()), Err)
    }

    /// Asks one server after the other until one has an item, all of them within one timeout. Each
    /// but the last is waited for no longer than an attempt may take, so that a server that hangs
    /// leaves time for the others.
    async fn sweep(
        &self,
        read: QueueRead<'_>,
    ) -> Result<(Option<Answer>, Option<windhover_core::client::ReservationId>), Error> {
        let until = Instant::now() + self.client.timeout;
        let attempt = self.client.hub.lock().cluster.options().attempt_timeout;
        let mut failed = None;
        let servers = self.in_turn();
        for (at, server) in servers.iter().copied().enumerate() {
            let left = until.saturating_duration_since(Instant::now());
            let timeout = if at + 1 < servers.len() { left.min(attempt) } else { left };
            let prepared = self.client.prepare(&Request::QueueRead(read), Bytes::new())?;
            let mut call = Call::reserve(prepared);
            call.target = Target::Server(server);
            call.failover = false;
            // What takes an item away is not asked for twice.
            call.exclusive = read.mode.opens();
            let Reply { outcome, reservation, .. } = self.client.submit(call, timeout).await;
            match outcome {
                Ok(answer) if answer.is_miss() => {}
                Ok(answer) => return Ok((Some(answer), reservation)),
                Err(mut error) => match error.take_answered() {
                    // What was only set aside is put back when its connection closes.
                    items if items.is_empty() || read.mode.opens() => {
                        failed.get_or_insert(error);
                    }
                    items => return Ok((Some(Answer::Items(items.into())), None)),
                },
            }
        }
        failed.map_or(Ok((None, None)), Err)
    }

    /// Every server, from another one each time.
    fn in_turn(&self) -> Vec<ServerId> {
        let mut state = self.client.hub.lock();
        let mut servers: Vec<ServerId> = state.cluster.servers().map(|(id, _)| id).collect();
        state.turn = state.turn.wrapping_add(1);
        let turn = state.turn;
        if !servers.is_empty() {
            let count = servers.len();
            servers.rotate_left(turn % count);
        }
        servers
    }
}

/// The item that a read brought.
pub(crate) fn item(answer: Answer) -> Option<Bytes> {
    match answer {
        Answer::Items(items) => items.into_iter().next().map(|item| item.value.into_bytes()),
        _ => None,
    }
}

/// There is no server to ask.
pub(crate) fn reservation_lost() -> Error {
    CallError::NotSent { server: None, why: NotSent::ReservationLost }.into()
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Queue({})", self.name.escape_ascii())
    }
}
