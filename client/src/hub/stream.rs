//! A connection over a stream that is polled.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use windhover_core::client::ConnectionId;
use windhover_runtime::PollStream;

use super::Driver;
use super::link::Link;

/// Most rounds before other tasks have their turn.
const ROUNDS: usize = 32;

/// One connection of a client over its stream: the loop that every adapter has.
///
/// [`Driver::run`] is this as a future; an event loop calls [`poll`](Self::poll) itself.
#[derive(Debug)]
pub struct DrivenConnection<S> {
    id: ConnectionId,
    stream: S,
    is_flushing: bool,
    /// Looked up once.
    link: Option<Arc<Link>>,
}

impl<S: PollStream> DrivenConnection<S> {
    /// A connection that was made; the driver knows: [`Driver::connected`].
    pub fn new(id: ConnectionId, stream: S) -> Self {
        Self { id, stream, is_flushing: false, link: None }
    }

    /// Moves bytes until the stream takes and gives no more, for a bounded number of rounds; ready
    /// when the connection is over and the stream is to be closed. `driver` is the one that asked for
    /// the connection.
    pub fn poll(&mut self, driver: &Driver, cx: &mut Context<'_>) -> Poll<()> {
        let Self { id, stream, is_flushing, link } = self;
        if link.is_none() {
            *link = driver.link(*id);
        }
        let Some(link) = link else { return Poll::Ready(()) };
        for _ in 0..ROUNDS {
            let turn = driver.turn_link(*id, link, cx.waker());
            if turn.is_closed {
                return Poll::Ready(());
            }
            let mut moved = false;
            if turn.wants_write {
                moved =
                    driver.write_link(*id, link, |slices| stream.poll_write(cx, slices)).is_ready();
                *is_flushing |= moved;
            }
            if *is_flushing && let Poll::Ready(flushed) = stream.poll_flush(cx) {
                *is_flushing = false;
                if let Err(error) = flushed {
                    // A stream that cannot be written to is broken for reads too.
                    let _: Poll<()> = driver.read_link(*id, link, |_| Poll::Ready(Err(error)));
                    continue;
                }
            }
            moved |=
                driver.read_link(*id, link, |buffer| stream.poll_read(cx, || buffer)).is_ready();
            if !moved {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// The stream, for what the adapter alone knows of it.
    pub fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }
}

impl Driver {
    /// Moves the bytes of a connection that was made, until it is over and the stream is to be
    /// closed.
    pub async fn run(&self, connection: ConnectionId, stream: impl PollStream) {
        let mut connection = DrivenConnection::new(connection, stream);
        poll_fn(|cx| connection.poll(self, cx)).await;
    }
}
