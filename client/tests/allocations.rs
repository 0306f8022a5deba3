//! What a call allocates in steady state, counted, over a stream that is memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use allocation_counter::measure;
use bytes::BytesMut;
use windhover_client::{Client, DrivenConnection, Driver, DriverStep, PollStream, Store};

/// Answers each write with the same reply.
struct Memory {
    reply: &'static [u8],
    pending: bool,
}

impl PollStream for Memory {
    fn poll_read<'b>(
        &mut self,
        _: &mut Context<'_>,
        buffer: impl FnOnce() -> &'b mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        if !std::mem::take(&mut self.pending) {
            return Poll::Pending;
        }
        buffer().extend_from_slice(self.reply);
        Poll::Ready(Ok(self.reply.len()))
    }

    fn poll_write(&mut self, _: &mut Context<'_>, out: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.pending = true;
        Poll::Ready(Ok(out.iter().map(|slice| slice.len()).sum()))
    }

    fn poll_close_write(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A client whose only connection is made with the first call.
struct Steady {
    client: Client,
    driver: Driver,
    connection: Option<DrivenConnection<Memory>>,
    reply: &'static [u8],
}

impl Steady {
    fn new(reply: &'static [u8]) -> Self {
        let (client, driver) = Client::builder().server("127.0.0.1:11211").build().unwrap();
        Self { client, driver, connection: None, reply }
    }

    /// Drives a call to its end.
    fn complete<T>(&mut self, call: impl Future<Output = T>) -> T {
        let mut cx = Context::from_waker(Waker::noop());
        let mut call = pin!(call);
        loop {
            if let Poll::Ready(done) = call.as_mut().poll(&mut cx) {
                return done;
            }
            if self.connection.is_none()
                && let DriverStep::Connect { connection, .. } = self.driver.next(Waker::noop())
            {
                self.driver.connected(connection);
                let memory = Memory { reply: self.reply, pending: false };
                self.connection = Some(DrivenConnection::new(connection, memory));
            }
            assert!(self.connection.as_mut().unwrap().poll(&self.driver, &mut cx).is_pending());
        }
    }
}

/// How many allocations a call needs, once everything has its size.
fn allocations<T, F: Future<Output = T>>(
    reply: &'static [u8],
    call: impl Fn(Client) -> F,
    check: impl Fn(T),
) -> u64 {
    const CALLS: u64 = 100;
    let mut steady = Steady::new(reply);
    let mut go = |count: u64| {
        for _ in 0..count {
            let call = call(steady.client.clone());
            check(steady.complete(call));
        }
    };
    go(CALLS);
    measure(|| go(CALLS)).count_total / CALLS
}

// The value is the caller's to keep: as a part of the read buffer it would hold all of that.
#[test]
fn a_get_allocates_its_value_alone() {
    let count = allocations(
        b"VALUE key 0 5\r\nhello\r\nEND\r\n",
        |client| async move { client.get("key").await },
        |found| assert_eq!(found.unwrap().unwrap().data, "hello"),
    );
    assert_eq!(count, 1);
}

#[test]
fn a_miss_allocates_nothing() {
    let count = allocations(
        b"END\r\n",
        |client| async move { client.get("key").await },
        |found| assert_eq!(found.unwrap(), None),
    );
    assert_eq!(count, 0);
}

#[test]
fn a_set_allocates_nothing() {
    let count = allocations(
        b"STORED\r\n",
        |client| async move { client.set("key", Store::from_static(b"hello")).await },
        |stored| stored.unwrap(),
    );
    assert_eq!(count, 0);
}
