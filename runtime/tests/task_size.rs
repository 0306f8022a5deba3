//! What the task of a connection takes beside the connection itself: there may be many, and most wait.

use std::future::{Future, pending, ready};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::BytesMut;
use windhover_core::Now;
use windhover_core::endpoint::{Endpoint, Next};
use windhover_runtime::{
    Connection, Listener, Peer, PollStream, Runtime, ServeOptions, Shutdown, TcpOptions, Timers,
    serve,
};

/// A stream on which nothing happens.
struct Silent;

impl PollStream for Silent {
    fn poll_read<'b>(
        &mut self,
        _: &mut Context<'_>,
        _: impl FnOnce() -> &'b mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn poll_write(&mut self, _: &mut Context<'_>, _: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn poll_close_write(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

/// As large as those of a tracker.
struct Large([u64; 64], BytesMut);

impl Endpoint for Large {
    fn read_buffer(&mut self) -> &mut BytesMut {
        &mut self.1
    }
    fn wants_read(&self) -> bool {
        self.0[0] == 0
    }
    fn end_of_stream(&mut self) {}
    fn shut_down(&mut self) {}
    fn poll_output(&mut self, now: Now, _: &mut Context<'_>) -> Next {
        Next::Idle(now.instant)
    }
    fn unsent<'a>(&'a self, _: &mut [&'a [u8]]) -> usize {
        0
    }
    fn wrote(&mut self, _: usize) {}
    fn release(&mut self) {}
}

/// Has one connection.
struct One(Option<Silent>);

impl Listener for One {
    type Stream = Silent;

    async fn accept(&mut self, _: &TcpOptions) -> io::Result<(Silent, Peer)> {
        match self.0.take() {
            Some(stream) => Ok((stream, Peer::Unknown)),
            None => pending().await,
        }
    }
}

#[derive(Clone, Copy)]
struct NoTimers;

impl Timers for NoTimers {
    type Sleep = std::future::Ready<()>;

    fn sleep_until(&self, _: Instant) -> Self::Sleep {
        ready(())
    }

    fn reset(&self, _: Pin<&mut Self::Sleep>, _: Instant) {}
}

/// Looks at the task, and does not run it.
struct Scales(Arc<AtomicUsize>);

impl Runtime for Scales {
    type Timers = NoTimers;

    fn timers(&self) -> NoTimers {
        NoTimers
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.store(size_of_val(&task), Ordering::Relaxed);
    }
}

#[test]
fn a_task_has_its_connection_once() {
    let size = Arc::new(AtomicUsize::new(0));
    let accept = |_, _| Large([0; 64], BytesMut::new());
    let (options, shutdown) = (ServeOptions::default(), Shutdown::new());
    let serving = serve(Scales(Arc::clone(&size)), One(Some(Silent)), accept, options, shutdown);
    let mut serving = Box::pin(serving);
    let mut cx = Context::from_waker(Waker::noop());
    while size.load(Ordering::Relaxed) == 0 {
        assert!(serving.as_mut().poll(&mut cx).is_pending());
    }

    let (task, connection) = (size.load(Ordering::Relaxed), size_of::<Connection<Silent, Large>>());
    assert!(task <= connection + 256, "{task} bytes, of which the connection is {connection}");
}
