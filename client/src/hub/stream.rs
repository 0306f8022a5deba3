//! A connection over a stream that is polled.

use std::sync::Arc;
use std::task::{Context, Poll};

use windhover_core::client::ConnectionId;
use windhover_runtime::PollStream;

use super::link::Link;
use super::{Driver, Hub};

/// Most rounds before other tasks have their turn.
pub(super) const ROUNDS: usize = 32;

/// One connection of a client over its stream, for an event loop that calls [`poll`](Self::poll) itself.
///
/// [`Driver::run`] does the same as a future.
///
/// ```
/// use std::collections::HashMap;
/// use std::task::Context;
/// use windhover_client::protocol::client::ConnectionId;
/// use windhover_client::{DrivenConnection, Driver, PollStream};
///
/// struct Connections<S> {
///     driver: Driver,
///     open: HashMap<ConnectionId, DrivenConnection<S>>,
/// }
///
/// impl<S: PollStream> Connections<S> {
///     fn made(&mut self, id: ConnectionId, stream: S) {
///         self.driver.connected(id);
///         self.open.insert(id, DrivenConnection::new(id, stream));
///     }
///
///     /// Its socket is ready, or its waker was called.
///     fn ready(&mut self, id: ConnectionId, cx: &mut Context<'_>) {
///         let connection = self.open.get_mut(&id);
///         if connection.is_some_and(|connection| connection.poll(&self.driver, cx).is_ready()) {
///             self.open.remove(&id);
///         }
///     }
/// }
/// ```
#[derive(Debug)]
pub struct DrivenConnection<S> {
    id: ConnectionId,
    stream: Flushed<S>,
    /// Looked up once.
    link: Option<Arc<Link>>,
}

impl<S: PollStream> DrivenConnection<S> {
    /// A connection that was made; the driver knows: [`Driver::connected`].
    pub fn new(id: ConnectionId, stream: S) -> Self {
        Self { id, stream: Flushed::new(stream), link: None }
    }

    /// Moves bytes until the stream takes and gives no more, for a bounded number of rounds; ready
    /// when the connection is over and the stream is to be closed. `driver` is the one that asked for
    /// the connection.
    pub fn poll(&mut self, driver: &Driver, cx: &mut Context<'_>) -> Poll<()> {
        let Self { id, stream, link } = self;
        if link.is_none() {
            *link = driver.link(*id);
        }
        let Some(link) = link else { return Poll::Ready(()) };
        for _ in 0..ROUNDS {
            let turn = driver.hub.turn_link(*id, link, cx.waker());
            if turn.is_closed {
                return Poll::Ready(());
            }
            let mut moved = false;
            if turn.wants_write || stream.is_flushing {
                moved = stream.write(&driver.hub, *id, link, turn.wants_write, cx).is_ready();
            }
            moved |= stream.read(&driver.hub, *id, link, cx).is_ready();
            if !moved {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// The stream, for what the adapter alone knows of it.
    pub fn stream_mut(&mut self) -> &mut S {
        &mut self.stream.stream
    }
}

/// A stream, and whether it was given something that it has not sent yet.
#[derive(Debug)]
pub(super) struct Flushed<S> {
    stream: S,
    pub(super) is_flushing: bool,
}

impl<S: PollStream> Flushed<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, is_flushing: false }
    }

    /// Writes once, where something waits, and flushes; ready when there may be more to do.
    pub(super) fn write(
        &mut self,
        hub: &Hub,
        id: ConnectionId,
        link: &Link,
        wants_write: bool,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let mut written = Poll::Pending;
        if wants_write {
            written = hub.write_link(id, link, |slices| self.stream.poll_write(cx, slices));
            self.is_flushing |= written.is_ready();
        }
        if self.is_flushing
            && let Poll::Ready(flushed) = self.stream.poll_flush(cx)
        {
            self.is_flushing = false;
            if let Err(error) = flushed {
                // A stream that cannot be written to is broken for reads too.
                let _: Poll<()> = hub.read_link(id, link, |_| Poll::Ready(Err(error)));
                return Poll::Ready(());
            }
        }
        written
    }

    /// Reads once; ready when there may be more to do.
    pub(super) fn read(
        &mut self,
        hub: &Hub,
        id: ConnectionId,
        link: &Link,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        hub.read_link(id, link, |buffer| self.stream.poll_read(cx, || buffer))
    }
}
