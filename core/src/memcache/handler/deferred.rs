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
///
/// ```
/// use core::task::{Context, Poll, Waker};
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicBool, Ordering};
/// use windhover_core::Now;
/// use windhover_core::endpoint::{Endpoint, Next};
/// use windhover_core::memcache::handler::{
///     Data, Deferred, Handled, Handler, Reply, ReplyError, Request, Response, Session,
/// };
///
/// /// Answers once something elsewhere is done, which then calls the waker.
/// struct WhenDone(Arc<AtomicBool>);
///
/// impl Deferred for WhenDone {
///     fn poll(
///         &mut self,
///         reply: &mut Reply<'_>,
///         _: &mut Context<'_>,
///     ) -> Poll<Result<(), ReplyError>> {
///         if !self.0.load(Ordering::Acquire) {
///             return Poll::Pending;
///         }
///         Poll::Ready(reply.send(&Response::Touched))
///     }
/// }
///
/// struct Slow(Arc<AtomicBool>);
///
/// impl Handler for Slow {
///     fn handle(&mut self, _: Request<'_>, _: Data<'_>, reply: &mut Reply<'_>) -> Handled {
///         reply.defer(WhenDone(Arc::clone(&self.0)));
///         Ok(())
///     }
/// }
///
/// let (done, now) = (Arc::new(AtomicBool::new(false)), Now::default());
/// let mut cx = Context::from_waker(Waker::noop());
/// let mut session = Session::with_defaults(Slow(Arc::clone(&done)), now);
/// session.read_buffer().extend_from_slice(b"touch key 60\r\n");
/// assert!(matches!(session.poll_output(now, &mut cx), Next::Idle(_)));
/// done.store(true, Ordering::Release);
/// assert_eq!(session.poll_output(now, &mut cx), Next::Write);
/// let mut slices = [&b""[..]; 4];
/// let filled = session.unsent(&mut slices);
/// assert_eq!(slices[..filled].concat(), b"TOUCHED\r\n");
/// ```
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
