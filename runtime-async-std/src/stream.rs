//! Streams of `futures-io`, as the loops poll them.

use std::io::{self, IoSlice};
use std::net::TcpStream;
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

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
    /// Says that a socket has something to read again.
    poll_readable: Option<PollReadable<S>>,
    /// The last read was not filled: another one would most likely find nothing.
    is_emptied: bool,
}

type PollReadable<S> = fn(&S, &mut Context<'_>) -> Poll<io::Result<()>>;

impl<S: AsyncWrite + Unpin> Stream<S> {
    /// What is read from and written to `stream`. What the peer reads ends with the stream's
    /// `poll_close`.
    pub fn new(stream: S) -> Self {
        let close_write = |stream: &mut S, cx: &mut Context<'_>| Pin::new(stream).poll_close(cx);
        Self {
            inner: stream,
            close_write,
            block: ReadBlock::new(),
            poll_readable: None,
            is_emptied: false,
        }
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
        let poll_readable = |stream: &Async<S>, cx: &mut Context<'_>| stream.poll_readable(cx);
        Self { close_write, poll_readable: Some(poll_readable), ..Self::new(stream) }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> PollStream for Stream<S> {
    fn poll_read<'b>(
        &mut self,
        cx: &mut Context<'_>,
        buffer: impl FnOnce() -> &'b mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        // Should something be there all the same, the reactor tells it at once.
        if self.is_emptied
            && let Some(poll_readable) = self.poll_readable
        {
            ready!(poll_readable(&self.inner, cx))?;
        }
        let (stream, is_emptied) = (Pin::new(&mut self.inner), &mut self.is_emptied);
        self.block.poll_read(buffer, |into| {
            let read = ready!(stream.poll_read(cx, into))?;
            *is_emptied = 0 < read && read < into.len();
            Poll::Ready(Ok(read))
        })
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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::Write as _;
    use std::net::TcpListener;

    use super::*;

    /// A socket, and how often it was read.
    struct Counted(Async<TcpStream>, usize);

    impl AsyncRead for Counted {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            into: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            self.1 += 1;
            Pin::new(&mut self.0).poll_read(cx, into)
        }
    }

    impl AsyncWrite for Counted {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Pending
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn a_socket_that_a_read_has_emptied_is_read_again_when_there_is_more() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = Async::new(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        let (mut peer, _) = listener.accept().unwrap();
        let mut stream = Stream::new(Counted(socket.unwrap(), 0));
        stream.poll_readable = Some(|counted, cx| counted.0.poll_readable(cx));
        let mut buffer = BytesMut::new();
        async_io::block_on(async {
            for said in [&b"first"[..], b"second", b"third"] {
                peer.write_all(said).unwrap();
                let read = poll_fn(|cx| stream.poll_read(cx, || &mut buffer)).await.unwrap();
                assert_eq!((read, buffer.split().as_ref()), (said.len(), said));
                let reads = stream.inner.1;
                let again = poll_fn(|cx| Poll::Ready(stream.poll_read(cx, || &mut buffer))).await;
                assert!(again.is_pending());
                assert_eq!(stream.inner.1, reads, "it was known to be empty");
            }
            drop(peer);
            let end = poll_fn(|cx| stream.poll_read(cx, || &mut buffer)).await.unwrap();
            assert_eq!(end, 0);
        });
    }
}
