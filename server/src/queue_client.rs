//! What a connection of the queue's listener is answered: kestrel's dialect of memcache on the store's
//! queues.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use windhover_core::memcache::handler::{Deferred, Handler, Reply, ReplyError, Session};
use windhover_core::memcache::kestrel::{self, QueueRead, ReadMode};
use windhover_core::memcache::request::{Request, StoreRequest};
use windhover_core::memcache::response::Response;
use windhover_core::memcache::{Data, Dialect, Expiry};
use windhover_core::queue::{Action, Engine, OpOutcome, PutBuilder, PutError, Read, ReadError};
use windhover_core::{Instant, Now, UnixTime};

use crate::app::{App, ReplyKeys};
use crate::dead_letters::DEAD_LETTERS;
use crate::kestrel_stats;
use crate::queue_monitor::Monitor;
use crate::status::{ServerStatus, ServerStatusError};
use crate::store::{Begun, Reader, Ticket};

/// A read that waits for the disk is asked so often whether its time has come.
const DISK: Duration = Duration::from_millis(250);

/// Who answers a connection of the queue's listener.
#[derive(Debug)]
pub struct QueueClient {
    app: Arc<App>,
    reader: Reader,
}

impl QueueClient {
    /// A connection that was accepted at `now`.
    pub fn connect(app: Arc<App>, now: Now) -> Session<Self> {
        let settings = &app.settings;
        let limits = settings.queue_limits.clone();
        let timeouts = settings.queue_timeouts.clone().with_answer(settings.answer_timeout);
        let reader = app.store.reader();
        Session::new(Self { app, reader }, Dialect::Kestrel, &limits, &timeouts, now)
    }
}

impl Handler for QueueClient {
    fn handle(
        &mut self,
        request: Request<'_>,
        data: Data<'_>,
        reply: &mut Reply<'_>,
    ) -> Result<(), ReplyError> {
        let status = self.app.status.get();
        if !may_be_served(status, &request) {
            return unavailable(status, reply);
        }
        if let Request::Set(item) = &request {
            return self.set(item, &data, reply);
        }
        // A put takes effect when it is in the journal. Only other puts may go ahead meanwhile: what
        // looks at a queue, or changes it, has to find what was put before it.
        if !reply.is_first() {
            reply.postpone();
            return Ok(());
        }
        let store = &self.app.store;
        let now = reply.now();
        match request {
            Request::QueueRead(read) => self.read(&read, reply),
            Request::Delete { key, .. } => {
                store.manage(now, |engine| engine.delete(key));
                reply.send(&Response::Deleted)
            }
            Request::Flush { queue } => {
                store.manage(now, |engine| engine.flush(queue));
                reply.end()
            }
            Request::FlushAll { .. } => {
                store.manage(now, Engine::flush_all);
                reply.send(&Response::Line(kestrel::FLUSHED_ALL))
            }
            Request::FlushExpired { queue } => {
                let expired = store.flush_expired(queue, now);
                reply.send(&Response::Number(expired))
            }
            Request::FlushAllExpired => {
                let expired = store.flush_all_expired(now);
                reply.send(&Response::Number(expired))
            }
            Request::Monitor { queue, seconds, max } => {
                // What follows depends on what it gets.
                reply.hold();
                let until = now.instant + Duration::from_secs(seconds.into());
                let most = max.unwrap_or(u32::MAX);
                reply.defer(Monitor::new(self.reader.reads(), queue, until, most));
                Ok(())
            }
            Request::Confirm { queue, count } => {
                let count = usize::try_from(count).unwrap_or(usize::MAX);
                if self.reader.close_many(queue, count, now) {
                    reply.end()
                } else {
                    disconnect(reply)
                }
            }
            Request::DumpStats { queues } => {
                dump(reply, kestrel_stats::queues(&self.app, queues, now))
            }
            Request::DumpConfig { queues } => {
                dump(reply, kestrel_stats::config(&self.app, queues, now))
            }
            Request::Stats { .. } => reply.stats(kestrel_stats::lines(&self.app, now)),
            Request::Version => {
                reply.send(&Response::Version(env!("CARGO_PKG_VERSION").as_bytes()))
            }
            Request::Verbosity { .. } => reply.send(&Response::Ok),
            Request::Status { new: None } => {
                reply.send(&Response::Line(status.to_string().as_bytes()))
            }
            Request::Status { new: Some(word) } => self.set_status(word, reply),
            Request::Reload => reply.send(&match &self.app.config {
                None => Response::ServerError(b"there is no --config to read again"),
                Some(config) if config.reload(store, now) => Response::Line(kestrel::RELOADED),
                Some(_) => {
                    Response::ServerError(b"the configuration is wrong, and stays as it was")
                }
            }),
            Request::Roll { .. } => {
                // There is one journal for all queues.
                store.roll(now);
                reply.end()
            }
            Request::Shutdown { .. } => reply
                .send(&Response::ServerError(b"shutdown by a client is off; send SIGTERM instead")),
            _ => disconnect(reply),
        }
    }

    fn ended(&mut self) {
        // What it has open goes back now, not when the peer closes too.
        self.reader = self.app.store.reader();
    }
}

/// Whether a server of that status serves a request.
fn may_be_served(status: ServerStatus, request: &Request<'_>) -> bool {
    match request {
        _ if status == ServerStatus::Up => true,
        Request::Set(_)
        | Request::Delete { .. }
        | Request::Flush { .. }
        | Request::FlushAll { .. }
        | Request::FlushExpired { .. }
        | Request::FlushAllExpired => status.allows_writes(),
        Request::Monitor { .. } => status.allows_reads(),
        Request::QueueRead(read) => status.allows_reads() || !read.mode.fetches(),
        _ => true,
    }
}

/// Answers that the server is not up for this, after which kestrel disconnects.
fn unavailable(status: ServerStatus, reply: &mut Reply<'_>) -> Result<(), ReplyError> {
    let why = format!("the server's status is {status}");
    let sent = reply.send(&Response::ServerError(why.as_bytes()));
    reply.close();
    sent
}

impl QueueClient {
    fn set_status(&self, word: &[u8], reply: &mut Reply<'_>) -> Result<(), ReplyError> {
        let status = str::from_utf8(word).map_err(|_| ServerStatusError).and_then(str::parse);
        match status {
            Ok(status) => {
                let before = self.app.status.get();
                self.app.status.set(status);
                if !ServerStatus::allows_reads(status) {
                    self.app.store.end_waits(reply.now());
                }
                tracing::warn!("the status was {before}, and is {status} now");
                reply.end()
            }
            Err(error) => {
                let sent = reply.send(&Response::ClientError(error.to_string().as_bytes()));
                reply.close();
                sent
            }
        }
    }

    fn read(&mut self, read: &QueueRead<'_>, reply: &mut Reply<'_>) -> Result<(), ReplyError> {
        let action = match read.mode {
            ReadMode::Remove => Action::Take,
            ReadMode::Open => Action::Open,
            ReadMode::Close => Action::Close,
            ReadMode::CloseOpen => Action::CloseOpen,
            ReadMode::Abort => Action::Abort,
            ReadMode::Peek => Action::Peek,
        };
        let key = match self.app.settings.reply_keys {
            ReplyKeys::Queue => read.queue,
            ReplyKeys::Asked => read.asked,
        };
        let now = reply.now();
        match self.reader.get(read.queue, Read { action, timeout: read.timeout }, now) {
            Begun::Done(outcome) => give(reply, key, &outcome),
            Begun::Waiting(ticket) => {
                // What follows depends on what this read gets.
                reply.hold();
                let until = now.instant + read.timeout.unwrap_or_default();
                reply.defer(Waiting { key: key.into(), ticket, until });
                Ok(())
            }
        }
    }

    fn set(
        &self,
        item: &StoreRequest<'_>,
        data: &Data<'_>,
        reply: &mut Reply<'_>,
    ) -> Result<(), ReplyError> {
        let now = reply.now();
        if item.key == DEAD_LETTERS.as_bytes() {
            let sent = reply.send(&Response::ClientError(b"only the server puts items there"));
            reply.close();
            return sent;
        }
        let Ok(mut put) = PutBuilder::of_one(item.key, now.unix, data.len()) else {
            return disconnect(reply);
        };
        let expires = match Expiry::of(item.exptime, Dialect::Kestrel, now.unix) {
            Expiry::At(at) => Some(at),
            // An item that has expired already is put all the same, as in kestrel.
            Expiry::Past => Some(UnixTime::from_millis(1)),
            Expiry::Never => None,
        };
        data.extend_into(put.begin_item(expires));
        put.end_item();
        match self.app.store.put(put.finish(), now) {
            Ok(ticket) => {
                reply.defer(Journaled(ticket));
                Ok(())
            }
            Err(PutError::Busy) => reply.send(&Response::ServerError(b"the journal is behind")),
            Err(_) => reply.send(&Response::NotStored),
        }
    }
}

/// A read that waits for an item, until that instant.
struct Waiting {
    /// What the reply names.
    key: Box<[u8]>,
    ticket: Ticket,
    until: Instant,
}

impl Deferred for Waiting {
    fn poll(
        &mut self,
        reply: &mut Reply<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ReplyError>> {
        match self.ticket.poll(reply.now(), cx) {
            Poll::Ready(outcome) => Poll::Ready(give(reply, &self.key, &outcome)),
            // An item that came now would be given to nobody.
            Poll::Pending if reply.is_ending() => Poll::Ready(reply.end()),
            Poll::Pending => {
                // After that it is only put off for a moment, or waits for the disk: its waker is called,
                // but not by a disk that hangs.
                let now = reply.now().instant;
                reply.ask_again_at(if self.until > now { self.until } else { now + DISK });
                Poll::Pending
            }
        }
    }
}

/// A put that waits for the journal.
struct Journaled(Ticket);

impl Deferred for Journaled {
    fn poll(
        &mut self,
        reply: &mut Reply<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ReplyError>> {
        self.0.poll(reply.now(), cx).map(|outcome| match outcome {
            OpOutcome::Stored => reply.send(&Response::Stored),
            _ => reply.send(&Response::ServerError(b"the journal takes no writes")),
        })
    }

    fn expired(&mut self, reply: &mut Reply<'_>) {
        let _ = reply.send(&Response::ServerError(b"the journal did not answer in time"));
    }
}

/// Answers a read.
pub(crate) fn give(
    reply: &mut Reply<'_>,
    key: &[u8],
    outcome: &OpOutcome,
) -> Result<(), ReplyError> {
    match outcome {
        OpOutcome::Item(item) => {
            reply.value(key, 0, None, item)?;
            reply.end()
        }
        OpOutcome::Error(error @ (ReadError::TooManyQueues | ReadError::NotReadBack)) => {
            reply.send(&Response::ServerError(error.to_string().as_bytes()))
        }
        OpOutcome::Error(_) => disconnect(reply),
        _ => reply.end(),
    }
}

/// Answers with a listing of queues and what is to be said of each.
fn dump(
    reply: &mut Reply<'_>,
    queues: Vec<(String, Vec<(&'static str, String)>)>,
) -> Result<(), ReplyError> {
    for (queue, lines) in queues {
        reply.send(&Response::Listing(format!("queue '{queue}' {{").as_bytes()))?;
        for (name, value) in lines {
            reply.send(&Response::Listing(format!("  {name}={value}").as_bytes()))?;
        }
        reply.send(&Response::Listing(b"}"))?;
    }
    reply.end()
}

/// Answers `ERROR`, after which kestrel disconnects.
pub(crate) fn disconnect(reply: &mut Reply<'_>) -> Result<(), ReplyError> {
    let sent = reply.send(&Response::Error(b""));
    reply.close();
    sent
}
