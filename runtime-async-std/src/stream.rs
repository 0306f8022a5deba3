//! Streams of `futures-io`, as the loops poll them.

use std::io::{self, IoSlice};
use std::net::TcpStream;
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_io::Async;
use bytes::BytesMut;
use futures_io::{AsyncRead, AsyncWrite};
use windhover_runtime::{AsSocket, PollStream, ReadBlock, close_write};

/// A socket that `async-io` waits for.
#[cfg(unix)]
pub type Socket = windhover_runtime::Socket<Stream<Async<TcpStream>>, Stream<Async<UnixStream>>>;
/// A socket that `async-io` waits for.
#[cfg(not(unix))]
pub type Socket = windhover_runtime::Socket<Stream<Async<TcpStream>>>;

/// Any stream of `futures-io`: one that encrypts, one in memory, a socket behind something else.
///
/// What it holds back is flushed when the endpoint has nothing more to write; its `poll_close` has to end
/// what the peer reads and leave the other direction open, as smol's `TcpStream` does; async-std's does not.
#[derive(Debug)]
pub struct Stream<S> {
    inner: S,
    close_write: fn(&mut S, &mut Context<'_>) -> Poll<io::Result<()>>,
    block: ReadBlock,
}

impl<S: AsyncWrite + Unpin> Stream<S> {
    /// What is read from and written to `stream`. What the peer reads ends with the stream's
    /// `poll_close`.
    pub fn new(stream: S) -> Self {
        let close_write = |stream: &mut S, cx: &mut Context<'_>| Pin::new(stream).poll_close(cx);
        Self { inner: stream, close_write, block: ReadBlock::new() }
    }
}

impl<S: AsSocket> From<Async<S>> for Stream<Async<S>>
where
    Async<S>: AsyncWrite + Unpin,
{
    /// A socket, whose write half is closed: `poll_close` of [`Async`] only flushes, which leaves the
    /// peer waiting for the end of what is sent.
    fn from(stream: Async<S>) -> Self {
        let close_write =
            |stream: &mut Async<S>, _: &mut Context<'_>| Poll::Ready(close_write(stream));
        Self { close_write, ..Self::new(stream) }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> PollStream for Stream<S> {
    fn poll_read<'b>(
        &mut self,
        cx: &mut Context<'_>,
        buffer: impl FnOnce() -> &'b mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.inner);
        self.block.poll_read(buffer, |into| stream.poll_read(cx, into))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, out: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match out {
            [slice] => Pin::new(&mut self.inner).poll_write(cx, slice),
            out => Pin::new(&mut self.inner).poll_write_vectored(cx, out),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        (self.close_write)(&mut self.inner, cx)
    }
}
