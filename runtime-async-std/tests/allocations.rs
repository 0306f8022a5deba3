//! What a call of a client allocates over a stream of `futures-io`, with the tasks of an executor of one thread.
//!
//! The stream is memory: `async-io` allocates for each time that a socket becomes ready, on whichever of its
//! threads waits for it just then.
// Clippy's leave for tests covers test functions, not what they call.
#![allow(clippy::unwrap_used)]

#[path = "../../client/tests/adapters/allocations.rs"]
mod shared;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_io::{AsyncRead, AsyncWrite};
use windhover_async_std::windhover_client::protocol::client::Server;
use windhover_async_std::{Client, ConnectError, Connector, Stream, connect_on_with};

/// The server of the test, at the other end of a stream.
#[derive(Default)]
struct Memory {
    /// What of a line has come.
    line: Vec<u8>,
    reply: Vec<u8>,
    reader: Option<Waker>,
}

impl AsyncRead for Memory {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.reply.is_empty() {
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let count = self.reply.len().min(into.len());
        into[..count].copy_from_slice(&self.reply[..count]);
        self.reply.drain(..count);
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for Memory {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        for &byte in bytes {
            match byte {
                b'\n' => {
                    this.reply.extend_from_slice(shared::reply(this.line.trim_ascii_end()));
                    this.line.clear();
                }
                byte => this.line.push(byte),
            }
        }
        if let Some(reader) = this.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[derive(Clone)]
struct ToMemory;

impl Connector for ToMemory {
    type Stream = Stream<Memory>;

    async fn connect(&self, _: &Server) -> Result<Self::Stream, ConnectError> {
        Ok(Stream::new(Memory::default()))
    }
}

#[test]
fn a_call_allocates_no_more_than_its_value() {
    let executor = Arc::new(smol::Executor::new());
    let tasks = Arc::clone(&executor);
    let spawn = move |task| tasks.spawn(task).detach();
    let builder = Client::builder().server("127.0.0.1:11211");
    let client = connect_on_with(spawn, builder, ToMemory).unwrap();
    shared::check(&client, |calls| smol::block_on(executor.run(calls)));
}
