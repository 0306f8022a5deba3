//! Models of the places where calls, connections and the driver meet, run by loom in every order: a call that nobody
//! wakes is a deadlock there. `conformance/interleavings` runs them.
//!
//! No time passes in a model: nothing is mended by a deadline. A connection is polled when its own waker was called,
//! and for nothing else: a wake-up that it alone is to have, and loses, is a deadlock.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bytes::BytesMut;
use loom::future::block_on;
use loom::sync::Mutex;
use loom::thread::{self, JoinHandle};
use windhover_runtime::PollStream;
use windhover_runtime::model::{model, model_of_few};

use crate::hub::Sleep;
use crate::{Client, Driver, DriverStep};

/// What a server was asked, and has answered and nobody has read yet.
#[derive(Default)]
struct Answers {
    asked: usize,
    server: Option<Waker>,
    unread: usize,
    reader: Option<Waker>,
}

/// A stream to a server that has nothing: it answers each line when it is polled.
#[derive(Clone, Default)]
struct Server {
    answers: Arc<Mutex<Answers>>,
}

impl Server {
    fn poll(&self, cx: &mut Context<'_>) {
        let mut answers = self.answers.lock().unwrap();
        answers.server = Some(cx.waker().clone());
        let asked = std::mem::take(&mut answers.asked);
        answers.unread += asked;
        let reader = if asked > 0 { answers.reader.take() } else { None };
        drop(answers);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

const MISS: &[u8] = b"END\r\n";

impl PollStream for Server {
    fn poll_read<'b>(
        &mut self,
        cx: &mut Context<'_>,
        buffer: impl FnOnce() -> &'b mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        let mut answers = self.answers.lock().unwrap();
        if answers.unread == 0 {
            answers.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let bytes = MISS.repeat(std::mem::take(&mut answers.unread));
        buffer().extend_from_slice(&bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write(&mut self, _: &mut Context<'_>, out: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let lines =
            out.iter().flat_map(|slice| slice.iter()).filter(|byte| **byte == b'\n').count();
        let mut answers = self.answers.lock().unwrap();
        answers.asked += lines;
        let server = answers.server.take();
        drop(answers);
        if let Some(server) = server {
            server.wake();
        }
        Poll::Ready(Ok(out.iter().map(|slice| slice.len()).sum()))
    }

    fn poll_close_write(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

type Connection<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// The waker of a connection's own task: who calls it, and nobody else, has the task polled.
struct Own {
    /// No atomic: loom has a `swap` see what was there before a store that happened before it.
    is_called: Mutex<bool>,
    thread: Waker,
}

impl Own {
    fn was_called(&self) -> bool {
        std::mem::take(&mut *self.is_called.lock().unwrap())
    }
}

impl Wake for Own {
    fn wake(self: Arc<Self>) {
        *self.is_called.lock().unwrap() = true;
        self.thread.wake_by_ref();
    }
}

/// A thread that drives a client and its connection until nobody has it any more, and is the server, too.
fn drives(driver: Driver) -> JoinHandle<()> {
    thread::spawn(move || {
        let connecting = driver.for_connection();
        let server = Server::default();
        let mut connection: Option<(Connection<'_>, Arc<Own>)> = None;
        block_on(poll_fn(|cx| {
            loop {
                server.poll(cx);
                if let Some((running, own)) = &mut connection
                    && own.was_called()
                {
                    let waker = Waker::from(Arc::clone(own));
                    if running.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                        connection = None;
                    }
                }
                match driver.next(cx.waker()) {
                    DriverStep::Connect { connection: id, .. } => {
                        driver.connected(id);
                        let is_called = Mutex::new(true);
                        let own = Arc::new(Own { is_called, thread: cx.waker().clone() });
                        connection = Some((Box::pin(connecting.run(id, server.clone())), own));
                    }
                    DriverStep::Wait(_) => return Poll::Pending,
                    DriverStep::Closed if connection.is_none() => return Poll::Ready(()),
                    DriverStep::Closed => return Poll::Pending,
                }
            }
        }));
    })
}

fn client() -> (Client, Driver) {
    let builder = Client::builder().server("127.0.0.1:1").timeout(Duration::from_secs(1));
    builder.build().unwrap()
}

#[test]
fn a_call_is_answered_and_its_client_ends() {
    model("a_call_is_answered_and_its_client_ends", || {
        let (client, driver) = client();
        let drives = drives(driver);
        assert!(block_on(client.get("k")).unwrap().is_none());
        drop(client);
        drives.join().unwrap();
    });
}

/// From the third on, a call finds the connection with nothing under way, and moves its bytes itself.
#[test]
fn calls_in_a_row_are_answered() {
    model_of_few("calls_in_a_row_are_answered", 1, || {
        let (client, driver) = client();
        let drives = drives(driver);
        for _ in 0..3 {
            assert!(block_on(client.get("k")).unwrap().is_none());
        }
        drop(client);
        drives.join().unwrap();
    });
}

/// Whoever moves the connection's bytes, the other's request is written and its answer read.
#[test]
fn a_call_beside_one_that_moves_bytes_is_answered() {
    model_of_few("a_call_beside_one_that_moves_bytes_is_answered", 1, || {
        let (client, driver) = client();
        let drives = drives(driver);
        for _ in 0..2 {
            assert!(block_on(client.get("k")).unwrap().is_none());
        }
        let other = client.clone();
        let calls = thread::spawn(move || assert!(block_on(other.get("k")).unwrap().is_none()));
        assert!(block_on(client.get("k")).unwrap().is_none());
        calls.join().unwrap();
        drop(client);
        drives.join().unwrap();
    });
}

/// A call that is given up while it moves the bytes leaves them to the task.
#[test]
fn a_call_that_is_given_up_holds_up_no_other() {
    model_of_few("a_call_that_is_given_up_holds_up_no_other", 1, || {
        let (client, driver) = client();
        let drives = drives(driver);
        for _ in 0..2 {
            assert!(block_on(client.get("k")).unwrap().is_none());
        }
        {
            let mut given_up = Box::pin(client.get("k"));
            let _ = given_up.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }
        assert!(block_on(client.get("k")).unwrap().is_none());
        drop(client);
        drives.join().unwrap();
    });
}

/// Where calls of one thread come together, the first one moves the bytes of those that follow it: when it is given
/// up, theirs are the task's.
#[test]
fn a_call_that_follows_one_that_is_given_up_is_answered() {
    model_of_few("a_call_that_follows_one_that_is_given_up_is_answered", 1, || {
        let (client, driver) = client();
        let drives = drives(driver);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(block_on(client.get("k")).unwrap().is_none());
        let mut first = Box::pin(client.get("k"));
        let _ = first.as_mut().poll(&mut cx);
        assert!(block_on(client.get("k")).unwrap().is_none());
        assert!(block_on(first).unwrap().is_none());
        {
            // Now it is known that they come together.
            let mut given_up = Box::pin(client.get("k"));
            let mut follows = Box::pin(client.get("k"));
            let _ = given_up.as_mut().poll(&mut cx);
            let polled = follows.as_mut().poll(&mut cx);
            drop(given_up);
            if polled.is_pending() {
                assert!(block_on(follows).unwrap().is_none());
            }
        }
        drop(client);
        drives.join().unwrap();
    });
}

#[test]
fn who_sleeps_is_woken_when_the_driver_goes() {
    model("who_sleeps_is_woken_when_the_driver_goes", || {
        let (client, driver) = client();
        let hub = client.hub.hub();
        let until = hub.now() + Duration::from_secs(9);
        let goes = thread::spawn(move || drop(driver));
        block_on(Sleep::new(hub, until));
        goes.join().unwrap();
        drop(client);
    });
}
