//! tokio's streams, as the loops poll them.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use windhover_runtime::{PollStream, ReadBlock};

/// A socket of tokio's. It is asked whether it is ready before it is lent a buffer, so that a
/// connection that waits holds none.
///
/// ```
/// use tokio::net::{TcpListener, TcpStream};
/// use windhover_tokio::Socket;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// // What an accept loop of your own gives to `drive`.
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let _client = TcpStream::connect(listener.local_addr()?).await?;
/// let (accepted, _) = listener.accept().await?;
/// let socket = Socket::Tcp(accepted);
/// # drop(socket);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub enum Socket {
    /// A TCP connection.
    Tcp(TcpStream),
    /// A Unix socket.
    #[cfg(unix)]
    Unix(UnixStream),
}

/// Does the same with whichever it is.
macro_rules! whichever {
    ($socket:expr, $stream:ident => $does:expr) => {
        match $socket {
            Socket::Tcp($stream) => $does,
            #[cfg(unix)]
            Socket::Unix($stream) => $does,
        }
    };
}

impl PollStream for Socket {
    fn poll_read<'b>(
        &mut self,
        cx: &mut Context<'_>,
        buffer: impl FnOnce() -> &'b mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        whichever!(self, stream => {
            ready!(stream.poll_read_ready(cx))?;
            pin!(stream.read_buf(buffer())).poll(cx)
        })
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, out: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        whichever!(self, stream => poll_write(stream, cx, out))
    }

    fn poll_close_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        whichever!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}

/// Any stream of tokio's: one that encrypts, one in memory, a [`Socket`] behind something else.
///
/// What it holds back is flushed when the endpoint has nothing more to write; its `poll_shutdown` has to
/// end what the peer reads and leave the other direction open.
///
/// ```
/// use tokio::io::{AsyncRead, AsyncWrite};
/// use windhover_core::memcache::handler::{Handler, Session};
/// use windhover_tokio::{Clock, ConnectionEnd, Shutdown, Stream, Tokio, drive};
///
/// /// Answers what comes over a stream of somebody else's, such as a tunnel.
/// async fn answer(
///     tunnel: impl AsyncRead + AsyncWrite + Unpin,
///     handler: impl Handler,
///     stop: &Shutdown,
/// ) -> ConnectionEnd {
///     let clock = Clock::new();
///     let session = Session::with_defaults(handler, clock.now());
///     drive(Tokio, Stream::new(tunnel), session, clock, stop, &Shutdown::new()).await
/// }
/// ```
#[derive(Debug)]
pub struct Stream<S> {
    stream: S,
    block: ReadBlock,
}

impl<S> Stream<S> {
    /// What is read from and written to `stream`.
    pub fn new(stream: S) -> Self {
        Self { stream, block: ReadBlock::new() }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> PollStream for Stream<S> {
    fn poll_read<'b>(
        &mut self,
        cx: &mut Context<'_>,
        buffer: impl FnOnce() -> &'b mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.stream);
        self.block.poll_read(buffer, |into| {
            let mut into = ReadBuf::new(into);
            ready!(stream.poll_read(cx, &mut into))?;
            Poll::Ready(Ok(into.filled().len()))
        })
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, out: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        poll_write(&mut self.stream, cx, out)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

fn poll_write<S: AsyncWrite + Unpin>(
    stream: &mut S,
    cx: &mut Context<'_>,
    out: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    match out {
        [slice] => Pin::new(stream).poll_write(cx, slice),
        out => Pin::new(stream).poll_write_vectored(cx, out),
    }
}
