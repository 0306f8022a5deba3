//! A stream that is a TCP connection or a Unix socket.

use std::io::{self, IoSlice};
use std::task::{Context, Poll};

use bytes::BytesMut;

use crate::PollStream;

/// One of two streams, the same to what drives it: for runtimes in which a TCP connection and a Unix
/// socket are two types. Where there are no Unix sockets, the second one is left out.
#[derive(Debug)]
pub enum Socket<T, U = T> {
    /// A TCP connection.
    Tcp(T),
    /// A Unix socket.
    Unix(U),
}

/// Does the same with whichever it is.
macro_rules! whichever {
    ($socket:expr, $stream:ident => $does:expr) => {
        match $socket {
            Socket::Tcp($stream) => $does,
            Socket::Unix($stream) => $does,
        }
    };
}

impl<T: PollStream, U: PollStream> PollStream for Socket<T, U> {
    fn poll_read<'b>(
        &mut self,
        cx: &mut Context<'_>,
        buffer: impl FnOnce() -> &'b mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        whichever!(self, stream => stream.poll_read(cx, buffer))
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        whichever!(self, stream => stream.poll_write(cx, slices))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        whichever!(self, stream => stream.poll_flush(cx))
    }

    fn poll_close_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        whichever!(self, stream => stream.poll_close_write(cx))
    }
}
