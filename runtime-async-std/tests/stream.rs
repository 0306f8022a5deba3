//! A stream that holds back what is written, on smol: what is no TCP socket of async-std's.
// Clippy's leave for tests covers test functions, not what they call.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use smol::Timer;
use smol::future::or;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::{TcpListener, TcpStream};
use windhover_async_std::{AsyncIo, Clock, ConnectionEnd, Shutdown, Stream, drive};

#[path = "../../core/tests/endpoints/echo.rs"]
#[expect(dead_code, reason = "other tests use all of it")]
mod echo;

use echo::Echo;

/// Writes only when it is flushed, as a stream that encrypts does.
struct Holding {
    stream: TcpStream,
    held: Vec<u8>,
}

impl AsyncRead for Holding {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Holding {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.held.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let this = &mut *self;
            let n = ready!(Pin::new(&mut this.stream).poll_write(cx, &this.held))?;
            this.held.drain(..n);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        Pin::new(&mut self.stream).poll_close(cx)
    }
}

async fn pair() -> (TcpStream, Holding) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    (peer, Holding { stream, held: Vec::new() })
}

/// Ends a test that hangs.
fn soon<T>(test: impl Future<Output = T>) -> T {
    let late = async {
        Timer::after(Duration::from_secs(10)).await;
        panic!("it hangs");
    };
    smol::block_on(or(test, late))
}

#[test]
fn answers_leave_a_stream_that_holds_them_back() {
    soon(async {
        let (mut peer, stream) = pair().await;
        let echo = Echo::new(&Arc::default());
        let (drain, cut) = (Shutdown::new(), Shutdown::new());
        let driven =
            smol::spawn(drive(AsyncIo, Stream::new(stream), echo, Clock::new(), &drain, &cut));
        for message in [&b"a"[..], b"hello", &vec![b'x'; 40_000]] {
            peer.write_all(message).await.unwrap();
            let mut answer = vec![0; message.len()];
            peer.read_exact(&mut answer).await.unwrap();
            assert!(answer == message);
        }
        peer.write_all(b"the last").await.unwrap();
        peer.shutdown(std::net::Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        peer.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"the last");
        assert_eq!(driven.await, ConnectionEnd::Closed);
    });
}

#[test]
fn a_drain_ends_it_and_a_cut_ends_it_at_once() {
    soon(async {
        for is_cut in [false, true] {
            let (peer, stream) = pair().await;
            let echo = Echo::new(&Arc::default());
            let (drain, cut) = (Shutdown::new(), Shutdown::new());
            let driven =
                smol::spawn(drive(AsyncIo, Stream::new(stream), echo, Clock::new(), &drain, &cut));
            let signal = if is_cut { cut } else { drain };
            signal.trigger();
            assert_eq!(
                driven.await,
                if is_cut { ConnectionEnd::Cut } else { ConnectionEnd::Closed }
            );
            drop(peer);
        }
    });
}
