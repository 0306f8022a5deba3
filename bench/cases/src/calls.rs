//! Calls of the typed client, from the call to its answer, over a connection whose socket is memory.

use core::future::Future;
use core::task::{Context, Poll, Waker};
use std::io::{self, IoSlice};
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use windhover_client::{DrivenConnection, Driver, DriverStep, PollStream, Store};

use crate::client::Call;
use crate::codec::{self, Command, Reply};

/// A client whose server answers every request with the same reply.
#[derive(Debug)]
pub struct Calls {
    client: windhover_client::Client,
    driver: Driver,
    /// Made with the first call.
    connection: Option<DrivenConnection<Socket>>,
    reply: Vec<u8>,
    /// The length of a request.
    length: usize,
}

/// Takes all, and gives a reply for each request.
#[derive(Debug)]
struct Socket {
    reply: Vec<u8>,
    length: usize,
    pending: usize,
}

impl PollStream for Socket {
    fn poll_read<'b>(
        &mut self,
        _: &mut Context<'_>,
        buffer: impl FnOnce() -> &'b mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        if self.pending == 0 {
            return Poll::Pending;
        }
        let buffer = buffer();
        for _ in 0..self.pending {
            buffer.extend_from_slice(&self.reply);
        }
        Poll::Ready(Ok(core::mem::take(&mut self.pending) * self.reply.len()))
    }

    fn poll_write(&mut self, _: &mut Context<'_>, out: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = out.iter().map(|slice| slice.len()).sum();
        self.pending += written / self.length;
        Poll::Ready(Ok(written))
    }

    fn poll_close_write(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Calls {
    /// A client of a server that answers `call` about an item of `size` bytes; `None` where there can be
    /// no client.
    pub fn new(call: Call, size: usize) -> Option<Self> {
        let builder = windhover_client::Client::builder().server("127.0.0.1:11211");
        let (client, driver) = builder.build().ok()?;
        let (reply, command) = match call {
            Call::Get => (codec::replies(Reply::Hit, size, 1), Command::Get),
            Call::Set => (codec::replies(Reply::Stored, 0, 1), Command::Set),
        };
        let length = codec::requests(command, size, 1).len();
        Some(Self { client, driver, connection: None, reply, length })
    }

    /// Makes `count` calls at once, and drives the connection until they are over: how many were answered.
    pub fn turn(&mut self, call: Call, data: &Bytes, count: usize) -> usize {
        let client = self.client.clone();
        match call {
            Call::Get => {
                let calls = (0..count).map(|_| Box::pin(client.get(codec::KEY)));
                self.complete(calls.collect(), |found| matches!(found, Ok(Some(_))))
            }
            Call::Set => {
                let store = || Store::from(data.clone());
                let calls = (0..count).map(|_| Box::pin(client.set(codec::KEY, store())));
                self.complete(calls.collect(), |stored| stored.is_ok())
            }
        }
    }

    /// A client of a server that has every one of `count` keys.
    pub fn of_keys(size: usize, count: usize) -> Option<Self> {
        let calls = Self::new(Call::Get, size)?;
        let mut reply = Vec::new();
        for at in 0..count {
            reply.extend_from_slice(format!("VALUE {} 0 {size}\r\n", key(at)).as_bytes());
            reply.extend_from_slice(&codec::data(size));
            reply.extend_from_slice(b"\r\n");
        }
        reply.extend_from_slice(b"END\r\n");
        let length = "get\r\n".len() + (0..count).map(|at| 1 + key(at).len()).sum::<usize>();
        Some(Self { reply, length, ..calls })
    }

    /// Asks for `keys` in one call, which the server has: how many were found.
    pub fn get_many(&mut self, keys: &[String]) -> usize {
        let client = self.client.clone();
        let mut found = 0;
        self.complete(vec![Box::pin(client.get_many(keys))], |values| {
            found = values.iter().filter(|value| matches!(value, Ok(Some(_)))).count();
            found == keys.len()
        });
        found
    }

    fn complete<F: Future>(
        &mut self,
        mut calls: Vec<Pin<Box<F>>>,
        mut is_answered: impl FnMut(F::Output) -> bool,
    ) -> usize {
        let mut cx = Context::from_waker(Waker::noop());
        let (mut answered, mut rounds) = (0, 0);
        while !calls.is_empty() && rounds < 3 {
            rounds += 1;
            calls.retain_mut(|call| match call.as_mut().poll(&mut cx) {
                Poll::Ready(done) => {
                    answered += usize::from(is_answered(done));
                    false
                }
                Poll::Pending => true,
            });
            if self.connection.is_none()
                && let DriverStep::Connect { connection, .. } = self.driver.next(Waker::noop())
            {
                self.driver.connected(connection);
                let (reply, length) = (self.reply.clone(), self.length);
                let socket = Socket { reply, length, pending: 0 };
                self.connection = Some(DrivenConnection::new(connection, socket));
            }
            if let Some(connection) = &mut self.connection {
                let over = connection.poll(&self.driver, &mut cx);
                debug_assert!(over.is_pending(), "the connection has ended");
            }
        }
        answered
    }
}

/// Keys as long as those of applications are.
pub fn key(at: usize) -> String {
    format!("bench:item:{at:04}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_keys_are_found_by_one_call() {
        let keys: Vec<String> = (0..100).map(key).collect();
        let mut calls = Calls::of_keys(100, 100).unwrap();
        assert_eq!((calls.get_many(&keys), calls.get_many(&keys)), (100, 100));
    }

    #[test]
    fn each_call_is_answered() {
        let data = Bytes::from(codec::data(100));
        for call in [Call::Get, Call::Set] {
            let mut calls = Calls::new(call, 100).unwrap();
            assert_eq!(calls.turn(call, &data, 1), 1);
            assert_eq!(calls.turn(call, &data, 64), 64);
        }
    }
}
