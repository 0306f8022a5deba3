//! A connection over a stream that is polled.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::task::{Context, Poll};

use bytes::BytesMut;
use windhover_core::client::ConnectionId;

use super::Driver;

/// Most rounds before other tasks have their turn.
const TURNS: usize = 32;

/// What an adapter of a runtime with tasks has: a stream that is polled.
pub trait PollStream {
    /// Reads once, to the end of the buffer; 0 at the end of the stream.
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<io::Result<usize>>;

    /// Writes once; how many bytes went.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>>;

    /// Sends what the stream has taken and kept, as one that gathers bytes does.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

impl Driver {
    /// Moves the bytes of a connection that was made, until it is over and the stream is to be
    /// closed.
    pub async fn run(&self, connection: ConnectionId, mut stream: impl PollStream) {
        let mut is_flushing = false;
        poll_fn(|cx| self.poll_stream(connection, &mut stream, &mut is_flushing, cx)).await;
    }

    fn poll_stream(
        &self,
        connection: ConnectionId,
        stream: &mut impl PollStream,
        is_flushing: &mut bool,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        for _ in 0..TURNS {
            let turn = self.turn(connection, cx.waker());
            if turn.is_closed {
                return Poll::Ready(());
            }
            let mut moved = false;
            if turn.wants_write {
                let wrote = self.write(connection, |slices| stream.poll_write(cx, slices));
                moved = wrote.is_ready();
                *is_flushing |= moved;
            }
            if *is_flushing && let Poll::Ready(flushed) = stream.poll_flush(cx) {
                *is_flushing = false;
                if let Err(error) = flushed {
                    // A stream that cannot be written to is broken for reads too.
                    let _: Poll<()> = self.read(connection, |_| Poll::Ready(Err(error)));
                    continue;
                }
            }
            moved |= self.read(connection, |buffer| stream.poll_read(cx, buffer)).is_ready();
            if !moved {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
