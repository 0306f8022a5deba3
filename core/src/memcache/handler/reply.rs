//! The reply to one request.

use alloc::boxed::Box;
use core::future::Future;

use super::deferred::{Deferred, FutureReply};
use super::error::ReplyError;
#[cfg(feature = "ticket")]
use super::ticket::{self, ReplyTicket};
use crate::memcache::Data;
use crate::memcache::meta::MetaFlags;
use crate::memcache::response::Response;
use crate::memcache::server::{Given, Later, Responses, Turn};
use crate::{Instant, Now};

/// Where the reply to one request goes.
///
/// Frames go out in the order of the requests, whoever answers first. What the client does not want to
/// see (`noreply`, the meta flag `q`) is given all the same, and kept from it.
///
/// A frame that the command cannot have in its reply is an error, here and to the peer
/// ([`ReplyError::Invalid`]).
#[derive(Debug)]
pub struct Reply<'a> {
    pub(in crate::memcache) responses: &'a mut Responses,
    turn: Turn,
    now: Now,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Ended,
    /// Somebody answers later, or the request is handed out again.
    Left,
}

impl<'a> Reply<'a> {
    pub(in crate::memcache) fn new(responses: &'a mut Responses, turn: Turn, now: Now) -> Self {
        Self { responses, turn, now, state: State::Open }
    }

    /// The time of this turn.
    pub const fn now(&self) -> Now {
        self.now
    }

    /// Gives a frame. `VALUE`, `STAT` and listing frames do not end the reply, any other does
    /// ([`response::ReplyEnd`](crate::memcache::response::ReplyEnd) has the exceptions).
    ///
    /// # Errors
    /// [`ReplyError`].
    pub fn send(&mut self, response: &Response<'_>) -> Result<(), ReplyError> {
        self.check()?;
        let given = self.responses.give(self.turn, response);
        self.note(given)
    }

    /// Gives a `VALUE` frame; [`end`](Self::end) ends the reply. The data is anything that converts into
    /// [`Data`]: a slice is copied, a `&Bytes` or the segments of a `&Payload` leave without a copy where
    /// they are long enough for that to pay.
    ///
    /// # Errors
    /// [`ReplyError`].
    pub fn value<'d>(
        &mut self,
        key: &[u8],
        flags: u32,
        cas: Option<u64>,
        data: impl Into<Data<'d>>,
    ) -> Result<(), ReplyError> {
        self.check()?;
        let given = self.responses.give_value(self.turn, key, flags, cas, &data.into());
        self.note(given)
    }

    /// Answers a meta command with `VA`, flags and a value, as [`value`](Self::value) takes it.
    ///
    /// # Errors
    /// [`ReplyError`].
    pub fn meta_value<'d>(
        &mut self,
        flags: MetaFlags<'_>,
        data: impl Into<Data<'d>>,
    ) -> Result<(), ReplyError> {
        self.check()?;
        let given = self.responses.give_meta_value(self.turn, flags, &data.into());
        self.note(given)
    }

    /// Gives a `STAT` frame; [`end`](Self::end) ends the reply.
    ///
    /// # Errors
    /// [`ReplyError`].
    pub fn stat(
        &mut self,
        name: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<(), ReplyError> {
        self.send(&Response::Stat { name: name.as_ref(), value: value.as_ref() })
    }

    /// Gives statistics and ends the reply.
    ///
    /// # Errors
    /// [`ReplyError`].
    pub fn stats<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        &mut self,
        stats: impl IntoIterator<Item = (N, V)>,
    ) -> Result<(), ReplyError> {
        for (name, value) in stats {
            self.stat(name, value)?;
        }
        self.end()
    }

    /// Ends a reply of many frames with `END`.
    ///
    /// # Errors
    /// [`ReplyError`].
    pub fn end(&mut self) -> Result<(), ReplyError> {
        self.send(&Response::End)
    }

    /// Leaves the reply to `later`, which is asked for it in its turn. Requests behind this one are handed
    /// out meanwhile, unless they are [held](Self::hold).
    pub fn defer(&mut self, later: impl Deferred + 'static) {
        self.defer_to(Box::new(later));
    }

    /// Leaves the reply to a future, whose output gives it. The future is polled by the connection, and
    /// dropped with it.
    ///
    /// ```
    /// use windhover_core::memcache::Data;
    /// use windhover_core::memcache::handler::{Handler, Reply, ReplyError};
    /// use windhover_core::memcache::request::Request;
    ///
    /// async fn look_up(key: Vec<u8>) -> Option<String> {
    ///     # Some(key.len().to_string())
    ///     // …
    /// }
    ///
    /// struct Lookup;
    ///
    /// impl Handler for Lookup {
    ///     fn handle(
    ///         &mut self,
    ///         request: Request<'_>,
    ///         _: Data<'_>,
    ///         reply: &mut Reply<'_>,
    ///     ) -> Result<(), ReplyError> {
    ///         let Request::Get(mut keys) = request else {
    ///             return reply.send(&windhover_core::memcache::response::Response::Error(b""));
    ///         };
    ///         let key = keys.next().unwrap_or_default().to_vec();
    ///         reply.defer_until(async move {
    ///             let found = look_up(key.clone()).await;
    ///             move |reply: &mut Reply<'_>| {
    ///                 if let Some(value) = &found {
    ///                     reply.value(&key, 0, None, value)?;
    ///                 }
    ///                 reply.end()
    ///             }
    ///         });
    ///         Ok(())
    ///     }
    /// }
    /// ```
    pub fn defer_until<F, A>(&mut self, future: F)
    where
        F: Future<Output = A> + Send + 'static,
        A: FnOnce(&mut Reply<'_>) -> Result<(), ReplyError> + 'static,
    {
        self.defer_to(Box::new(FutureReply(Box::pin(future))));
    }

    /// Leaves the reply to the holder of a ticket, on any thread.
    #[cfg(feature = "ticket")]
    pub fn ticket(&mut self) -> ReplyTicket {
        let (ticket, later) = ticket::ticket();
        self.defer_to(later);
        ticket
    }

    fn defer_to(&mut self, later: Box<dyn Deferred>) {
        if self.state == State::Open {
            self.responses.defer(self.turn, Later(later));
            self.state = State::Left;
        }
    }

    /// Has the request handed out again, as though it had just come, once every earlier one is answered:
    /// for what must not take effect before they have. Nothing behind it is taken until then. Only while
    /// nothing of the reply was given; in a [`Deferred`] it does nothing.
    pub fn postpone(&mut self) {
        if self.state == State::Open && self.turn == Turn::Last {
            self.responses.postpone();
            self.state = State::Left;
        }
    }

    /// Takes no further request before every one that was taken is answered: what follows a read that
    /// waits may depend on what it gets.
    pub fn hold(&mut self) {
        self.responses.hold_requests();
    }

    /// Ends the connection behind this reply, or in place of what is missing of it: for an error after
    /// which a peer may not go on, and as the answer to `shutdown`.
    pub fn close(&mut self) {
        if self.state != State::Left {
            self.responses.close_behind(self.turn, self.state == State::Ended);
            self.state = State::Ended;
        }
    }

    /// Whether every earlier request is answered.
    pub fn is_first(&self) -> bool {
        self.turn == Turn::First || self.responses.is_only()
    }

    /// Whether as many bytes wait to be written as [`Limits::unsent`](crate::memcache::Limits::unsent) allows. Who has
    /// much more to give defers the rest, and is asked again when the peer has taken some.
    pub fn is_full(&self) -> bool {
        self.responses.is_full()
    }

    /// Whether the peer has ended its stream, or the server is shutting down: nobody should wait for what
    /// may never come.
    pub fn is_ending(&self) -> bool {
        self.responses.is_ending()
    }

    /// Has what is deferred asked again at that instant, if nothing wakes it before.
    pub fn ask_again_at(&mut self, at: Instant) {
        self.responses.ask_again_at(self.turn, at);
    }

    /// Whether it has not ended, and was not left to somebody else.
    pub(crate) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Whoever was to answer has returned.
    pub(in crate::memcache) fn finish(self) {
        if self.state == State::Open {
            self.responses.let_go(self.turn);
        }
    }

    fn check(&self) -> Result<(), ReplyError> {
        if self.state == State::Open { Ok(()) } else { Err(ReplyError::Ended) }
    }

    fn note(&mut self, given: Result<Given, ReplyError>) -> Result<(), ReplyError> {
        if given? == Given::Ended {
            self.state = State::Ended;
        }
        Ok(())
    }
}
