//! A connection of the queue's listener: kestrel's dialect of memcache on the store's queues.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use windhover_core::endpoint::{Endpoint, Next};
use windhover_core::memcache::kestrel::{self, QueueRead, ReadMode};
use windhover_core::memcache::request::{Request, Store as StoreRequest};
use windhover_core::memcache::response::Response;
use windhover_core::memcache::{Data, Dialect, Expiry, Output, ServerConnection};
use windhover_core::queue::{Action, Outcome, PutBuilder, Read, Refused};
use windhover_core::{Instant, Now, UnixTime};

use crate::app::App;
use crate::kestrel_stats;
use crate::store::{Begun, Reader, Ticket};

/// A connection of the queue's listener.
#[derive(Debug)]
pub struct QueueClient {
    app: Arc<App>,
    memcache: ServerConnection,
    reader: Reader,
    /// The answers that are owed, in order.
    answers: VecDeque<Answer>,
    /// The peer or the server is about to go: nobody waits any more.
    ending: bool,
}

#[derive(Debug)]
enum Answer {
    Line(Line),
    /// Name, value.
    Stats(Vec<(String, String)>),
    Read {
        queue: Box<[u8]>,
        outcome: Outcome,
    },
    /// At the latest at that instant.
    Waiting {
        queue: Box<[u8]>,
        ticket: Ticket,
        until: Instant,
    },
    /// When the item is in the journal.
    Journaled {
        ticket: Ticket,
        since: Instant,
    },
}

/// An answer of one line.
#[derive(Clone, Copy, Debug)]
enum Line {
    Response(Response<'static>),
    /// `ERROR`, after which kestrel disconnects.
    Fatal,
}

impl QueueClient {
    /// A connection that was accepted at `now`.
    pub fn new(app: Arc<App>, now: Now) -> Self {
        let settings = &app.settings;
        let (limits, timeouts) = (&settings.queue_limits, &settings.queue_timeouts);
        let memcache = ServerConnection::new(Dialect::Kestrel, limits, timeouts, now.instant);
        let reader = app.store.reader();
        Self { app, memcache, reader, answers: VecDeque::new(), ending: false }
    }

    /// Gives the answers that are ready; returns when the first that is not must be given.
    fn answer(&mut self, now: Now, cx: &mut Context<'_>) -> Option<Instant> {
        while let Some(answer) = self.answers.front_mut() {
            match answer {
                Answer::Line(Line::Response(response)) => self.memcache.respond(response),
                Answer::Line(Line::Fatal) => {
                    self.memcache.respond(&Response::Error(b""));
                    self.memcache.close_after_responses();
                }
                Answer::Stats(stats) => {
                    for (name, value) in stats {
                        let (name, value) = (name.as_bytes(), value.as_bytes());
                        self.memcache.respond(&Response::Stat { name, value });
                    }
                    self.memcache.respond(&Response::End);
                }
                Answer::Read { queue, outcome } => give(&mut self.memcache, queue, outcome),
                Answer::Waiting { queue, ticket, until } => match ticket.poll(now, cx) {
                    Poll::Ready(outcome) => give(&mut self.memcache, queue, &outcome),
                    // An item that came now would be given to nobody.
                    Poll::Pending if self.ending => self.memcache.respond(&Response::End),
                    Poll::Pending => return Some(*until),
                },
                Answer::Journaled { ticket, since } => {
                    let deadline = *since + self.app.settings.answer_timeout;
                    let response = match ticket.poll(now, cx) {
                        Poll::Ready(Outcome::Stored) => Response::Stored,
                        Poll::Ready(_) => Response::ServerError(b"the journal takes no writes"),
                        Poll::Pending if now.instant >= deadline => {
                            Response::ServerError(b"the journal did not answer in time")
                        }
                        Poll::Pending => return Some(deadline),
                    };
                    self.memcache.respond(&response);
                }
            }
            self.answers.pop_front();
        }
        None
    }
}

/// Answers a read.
fn give(memcache: &mut ServerConnection, queue: &[u8], outcome: &Outcome) {
    match outcome {
        Outcome::Item(item) => {
            memcache.respond_value(queue, 0, None, item.clone());
            memcache.respond(&Response::End);
        }
        Outcome::Error(_) => {
            memcache.respond(&Response::Error(b""));
            memcache.close_after_responses();
        }
        _ => memcache.respond(&Response::End),
    }
}

/// The parts of a connection that a request needs while it borrows the rest.
struct Handler<'a> {
    app: &'a App,
    reader: &'a mut Reader,
}

impl Handler<'_> {
    fn handle(&mut self, request: &Request<'_>, data: &Data<'_>, now: Now) -> Answer {
        let store = &self.app.store;
        let line = |response| Answer::Line(Line::Response(response));
        match request {
            Request::QueueRead(read) => self.read(read, now),
            Request::Set(item) => self.set(item, data, now),
            Request::Delete { key, .. } => {
                store.manage(now, |engine| engine.delete(key));
                line(Response::Deleted)
            }
            Request::Flush { queue } => {
                store.manage(now, |engine| engine.flush(queue));
                line(Response::End)
            }
            Request::FlushAll { .. } => {
                store.manage(now, windhover_core::queue::Engine::flush_all);
                line(Response::Line(kestrel::FLUSHED_ALL))
            }
            Request::FlushExpired { queue } => {
                line(Response::Number(store.manage(now, |e| e.flush_expired(queue, now))))
            }
            Request::FlushAllExpired => {
                line(Response::Number(store.manage(now, |e| e.flush_all_expired(now))))
            }
            Request::Stats { .. } => Answer::Stats(kestrel_stats::lines(self.app, now)),
            Request::Version => line(Response::Version(env!("CARGO_PKG_VERSION").as_bytes())),
            Request::Verbosity { .. } => line(Response::Ok),
            Request::Status { new: None } => line(Response::Line(b"UP")),
            Request::Status { new: Some(_) } => {
                line(Response::ServerError(b"the status cannot be changed"))
            }
            Request::Reload => {
                line(Response::ServerError(b"flags are read at the start only; restart instead"))
            }
            Request::Shutdown { .. } => {
                line(Response::ServerError(b"shutdown by a client is off; send SIGTERM instead"))
            }
            _ => Answer::Line(Line::Fatal),
        }
    }

    fn read(&mut self, read: &QueueRead<'_>, now: Now) -> Answer {
        let action = match read.mode {
            ReadMode::Remove => Action::Take,
            ReadMode::Open => Action::Open,
            ReadMode::Close => Action::Close,
            ReadMode::CloseOpen => Action::CloseOpen,
            ReadMode::Abort => Action::Abort,
            ReadMode::Peek => Action::Peek,
        };
        let queue = read.queue.into();
        match self.reader.get(read.queue, Read { action, timeout: read.timeout }, now) {
            Begun::Done(outcome) => Answer::Read { queue, outcome },
            Begun::Waiting(ticket) => {
                let until = now.instant + read.timeout.unwrap_or_default();
                Answer::Waiting { queue, ticket, until }
            }
        }
    }

    fn set(&mut self, item: &StoreRequest<'_>, data: &Data<'_>, now: Now) -> Answer {
        let Ok(mut put) = PutBuilder::new(item.key, now.unix) else {
            return Answer::Line(Line::Fatal);
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
            Ok(ticket) => Answer::Journaled { ticket, since: now.instant },
            Err(refused) => Answer::Line(Line::Response(match refused {
                Refused::Busy => Response::ServerError(b"the journal is behind"),
                _ => Response::NotStored,
            })),
        }
    }
}

impl Endpoint for QueueClient {
    fn read_buffer(&mut self) -> &mut BytesMut {
        self.memcache.read_buffer()
    }

    fn wants_read(&self) -> bool {
        self.memcache.wants_read()
    }

    fn end_of_stream(&mut self) {
        self.ending = true;
        self.memcache.end_of_stream();
    }

    fn shut_down(&mut self) {
        self.ending = true;
        self.memcache.shut_down();
    }

    fn poll_output(&mut self, now: Now, cx: &mut Context<'_>) -> Next {
        loop {
            let answer_by = self.answer(now, cx);
            match self.memcache.poll_output(now.instant) {
                Output::Request { request, data } => {
                    let mut handler = Handler { app: &self.app, reader: &mut self.reader };
                    let answer = handler.handle(&request, &data, now);
                    if matches!(
                        answer,
                        Answer::Waiting { .. }
                            | Answer::Line(Line::Fatal)
                            | Answer::Read { outcome: Outcome::Error(_), .. }
                    ) {
                        // What follows depends on what this read gets, or will not be answered.
                        self.memcache.hold_requests();
                    }
                    self.answers.push_back(answer);
                }
                Output::TooLarge { .. } => {}
                Output::Write => return Next::Write,
                Output::CloseWrite => {
                    // What it has open goes back now, not when the peer closes too.
                    self.reader = self.app.store.reader();
                    return Next::CloseWrite;
                }
                Output::Close => return Next::Close,
                Output::Idle(until) => {
                    return Next::Idle(answer_by.map_or(until, |by| by.min(until)));
                }
            }
        }
    }

    fn unsent<'a>(&'a self, into: &mut [&'a [u8]]) -> usize {
        self.memcache.unsent(into)
    }

    fn wrote(&mut self, n: usize) {
        self.memcache.wrote(n);
    }

    fn release(&mut self) {
        self.memcache.release();
        if self.answers.is_empty() {
            self.answers = VecDeque::new();
        }
    }
}
