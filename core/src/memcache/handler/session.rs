//! A connection with the handler that answers it.

use core::task::Context;

use bytes::BytesMut;

use super::{Reply, ReplyError};
use crate::buffer::Spare;
use crate::endpoint::{Endpoint, Next};
use crate::memcache::request::Request;
use crate::memcache::server::Turn;
use crate::memcache::{Data, Dialect, Limits, Output, ServerConnection};
use crate::{Now, Timeouts};

/// What comes of a request that was handled.
pub type Handled = Result<(), ReplyError>;

/// What answers the requests of one connection.
pub trait Handler {
    /// Answers a request, or leaves the reply to somebody else ([`Reply::defer`],
    /// [`Reply::defer_until`], `Reply::ticket`). To return without either answers `SERVER_ERROR`.
    ///
    /// # Errors
    /// Those of `reply`: the peer was told already, and the connection keeps the last of them
    /// ([`Responses::error`](crate::memcache::Responses::error)).
    fn handle(&mut self, request: Request<'_>, data: Data<'_>, reply: &mut Reply<'_>) -> Handled;

    /// Takes note of a request whose value is above [`Limits::value`], which the connection has refused
    /// ([`Output::TooLarge`]).
    fn too_large(&mut self, request: Request<'_>, now: Now) {
        let _ = (request, now);
    }

    /// The last reply was given, and nothing is taken any more: what belongs to the peer can go.
    fn ended(&mut self) {}

    /// Gives back memory that an idle connection does not need; called before waiting.
    fn release(&mut self) {}
}

/// A connection with its handler: what an adapter serves.
///
/// Replies leave in the order of the requests, whichever is there first. The deadlines are those of
/// [`ServerConnection`], but that a deferred reply which does not come in time is
/// [`SERVER_ERROR`](super::Deferred::expired) and the connection goes on.
#[derive(Debug)]
pub struct Session<H> {
    connection: ServerConnection,
    handler: H,
}

impl<H: Handler> Session<H> {
    /// A connection that was accepted at `now`.
    pub fn new(
        handler: H,
        dialect: Dialect,
        limits: &Limits,
        timeouts: &Timeouts,
        now: Now,
    ) -> Self {
        let connection = ServerConnection::new(dialect, limits, timeouts, now.instant);
        Self { connection, handler }
    }

    /// The same for memcached's commands, with default [`Limits`] and [`Timeouts`].
    pub fn with_defaults(handler: H, now: Now) -> Self {
        Self::new(handler, Dialect::Memcached, &Limits::default(), &Timeouts::default(), now)
    }

    /// The same connection, which lets the peer in only once it has authenticated
    /// ([`ServerConnection::require_authentication`]).
    #[must_use]
    pub fn with_authentication(mut self) -> Self {
        self.connection.require_authentication();
        self
    }

    /// The same connection with what `change` makes of its handler: one around it, for instance.
    pub fn map<G>(self, change: impl FnOnce(H) -> G) -> Session<G> {
        Session { connection: self.connection, handler: change(self.handler) }
    }

    /// The connection.
    pub const fn connection(&self) -> &ServerConnection {
        &self.connection
    }

    /// The handler.
    pub const fn handler(&self) -> &H {
        &self.handler
    }

    /// The same, for whoever works on what it left undone.
    pub const fn handler_mut(&mut self) -> &mut H {
        &mut self.handler
    }
}

impl<H: Handler> Endpoint for Session<H> {
    fn read_buffer(&mut self) -> &mut BytesMut {
        self.connection.read_buffer()
    }

    fn wants_read(&self) -> bool {
        self.connection.wants_read()
    }

    fn end_of_stream(&mut self) {
        self.connection.end_of_stream();
    }

    fn shut_down(&mut self) {
        self.connection.shut_down();
    }

    fn poll_output(&mut self, now: Now, cx: &mut Context<'_>) -> Next {
        let mut asked = false;
        loop {
            let next = match self.connection.poll_output(now) {
                Output::Request { request, data, responses } => {
                    let mut reply = Reply::new(responses, Turn::Last, now);
                    // The peer was told, and the connection keeps it.
                    let _ = self.handler.handle(request, data, &mut reply);
                    reply.finish();
                    asked = false;
                    continue;
                }
                Output::TooLarge { request } => {
                    self.handler.too_large(request, now);
                    continue;
                }
                Output::Write => Next::Write,
                Output::Idle(until) => Next::Idle(until),
                Output::CloseWrite => {
                    self.handler.ended();
                    Next::CloseWrite
                }
                Output::Close => Next::Close,
            };
            // Once for all requests that have come, since asking may be costly.
            if asked || !self.connection.responses_mut().poll_deferred(now, cx) {
                return next;
            }
            asked = true;
        }
    }

    fn unsent<'a>(&'a self, into: &mut [&'a [u8]]) -> usize {
        self.connection.unsent(into)
    }

    fn wrote(&mut self, n: usize) {
        self.connection.wrote(n);
    }

    fn held(&self) -> usize {
        self.connection.held()
    }

    fn release(&mut self) {
        self.connection.release();
        self.handler.release();
    }

    fn reuse(&mut self, spare: &mut Spare) {
        self.connection.reuse(spare);
    }

    fn release_to(&mut self, spare: &mut Spare) {
        self.connection.release_to(spare);
        self.handler.release();
    }
}
