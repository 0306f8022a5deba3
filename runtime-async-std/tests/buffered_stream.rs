//! A stream that keeps bytes back until it is flushed.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::{io, thread};

use async_io::Async;
use futures_io::{AsyncRead, AsyncWrite};
use windhover_async_std::{Client, ConnectError, Connector, Stream, connect_on_with};
use windhover_client::protocol::client::{ConnectFailure, Server};

/// Takes everything, and lets 16 bytes go at each flush.
struct Held {
    socket: Async<UnixStream>,
    bytes: Vec<u8>,
}

impl AsyncRead for Held {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Held {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.bytes.extend(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { socket, bytes } = &mut *self;
        let some = bytes.get(..16).unwrap_or(bytes);
        let n = ready!(Pin::new(socket).poll_write(cx, some))?;
        bytes.drain(..n);
        if bytes.is_empty() {
            return Poll::Ready(Ok(()));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

/// Gives out one end of a pair of sockets, once.
#[derive(Clone)]
struct Pair(Arc<Mutex<Option<Held>>>);

impl Connector for Pair {
    type Stream = Stream<Held>;

    async fn connect(&self, _: &Server) -> Result<Self::Stream, ConnectError> {
        let end = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(Stream::new(end.ok_or(ConnectFailure::Refused)?))
    }
}

#[test]
fn what_it_keeps_back_leaves_as_the_socket_takes_it() {
    let (near, mut far) = UnixStream::pair().unwrap();
    let near = Held { socket: Async::new(near).unwrap(), bytes: Vec::new() };
    let pair = Pair(Arc::new(Mutex::new(Some(near))));
    let builder = Client::builder().server("cache:11211");
    // On smol, whose users it serves as well.
    let client = connect_on_with(|task| smol::spawn(task).detach(), builder, pair).unwrap();
    let server = thread::spawn(move || {
        let mut request = vec![0; "set k 0 0 3000\r\n".len() + 3002];
        far.read_exact(&mut request).unwrap();
        far.write_all(b"STORED\r\n").unwrap();
        (request, far)
    });
    smol::block_on(client.set("k", vec![b'x'; 3000])).unwrap();
    let (request, _far) = server.join().unwrap();
    assert!(request.ends_with(b"xx\r\n"));
}
