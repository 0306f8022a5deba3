//! The right to answer later, from any thread.

use alloc::boxed::Box;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use futures_channel::oneshot::{self, Receiver, Sender};

use super::{Deferred, Reply, ReplyError};

type Answer = Box<dyn FnOnce(&mut Reply<'_>) -> Result<(), ReplyError> + Send>;

/// The right to answer a request later, from any thread. Dropping it answers `SERVER_ERROR` at once.
///
/// ```
/// use std::thread;
/// use windhover_core::memcache::Data;
/// use windhover_core::memcache::handler::{Handler, Reply, ReplyError};
/// use windhover_core::memcache::request::Request;
/// use windhover_core::memcache::response::Response;
///
/// struct Slow;
///
/// impl Handler for Slow {
///     fn handle(
///         &mut self,
///         _: Request<'_>,
///         _: Data<'_>,
///         reply: &mut Reply<'_>,
///     ) -> Result<(), ReplyError> {
///         let ticket = reply.ticket();
///         thread::spawn(move || {
///             // … what takes a while …
///             ticket.answer(|reply| reply.send(&Response::Version(b"1")));
///         });
///         Ok(())
///     }
/// }
/// ```
pub struct ReplyTicket(Sender<Answer>);

impl fmt::Debug for ReplyTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReplyTicket").finish_non_exhaustive()
    }
}

impl ReplyTicket {
    /// Answers: `answer` is called when the reply's turn comes, on the connection's thread. Whether the
    /// connection still waits for it.
    pub fn answer<A>(self, answer: A) -> bool
    where
        A: FnOnce(&mut Reply<'_>) -> Result<(), ReplyError> + Send + 'static,
    {
        self.0.send(Box::new(answer)).is_ok()
    }

    /// Whether the connection does not wait for the answer any more.
    pub fn is_abandoned(&self) -> bool {
        self.0.is_canceled()
    }
}

/// The connection's end of a ticket.
struct TicketReply(Receiver<Answer>);

impl Deferred for TicketReply {
    fn poll(
        &mut self,
        reply: &mut Reply<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ReplyError>> {
        Pin::new(&mut self.0).poll(cx).map(|answer| match answer {
            Ok(answer) => answer(reply),
            // It was dropped: nobody answers.
            Err(oneshot::Canceled) => Ok(()),
        })
    }
}

/// A ticket, and who waits for its answer.
pub(super) fn ticket() -> (ReplyTicket, Box<dyn Deferred>) {
    let (sender, receiver) = oneshot::channel();
    (ReplyTicket(sender), Box::new(TicketReply(receiver)))
}
