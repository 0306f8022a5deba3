//! Replies that come later.

use alloc::boxed::Box;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use super::{Reply, ReplyError};
use crate::memcache::response::Response;
use crate::memcache::server::TIMED_OUT;

/// Who gives a reply later. It is asked in its turn only, when every earlier request is answered, and is
/// dropped with the connection.
pub trait Deferred: Send {
    /// Gives the reply, or a part of it; or has the waker of `cx` called when it can. To return
    /// [`Poll::Ready`] without an end of the reply answers `SERVER_ERROR`.
    fn poll(&mut self, reply: &mut Reply<'_>, cx: &mut Context<'_>)
    -> Poll<Result<(), ReplyError>>;

    /// The time is over ([`Timeouts::answer`](crate::Timeouts::answer), and what the request itself may
    /// wait): gives the last reply that can be given. Without an end of the reply it is `SERVER_ERROR`.
    fn expired(&mut self, reply: &mut Reply<'_>) {
        let _ = reply.send(&Response::ServerError(TIMED_OUT));
    }
}

/// A future whose output gives the reply.
pub(super) struct FutureReply<F>(pub(super) Pin<Box<F>>);

impl<F, A> Deferred for FutureReply<F>
where
    F: Future<Output = A> + Send,
    A: FnOnce(&mut Reply<'_>) -> Result<(), ReplyError>,
{
    fn poll(
        &mut self,
        reply: &mut Reply<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ReplyError>> {
        self.0.as_mut().poll(cx).map(|answer| answer(reply))
    }
}
