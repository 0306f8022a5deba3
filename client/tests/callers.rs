//! A call moves the bytes of a connection that nobody else uses, and the connection's task takes over whenever it
//! does not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use bytes::BytesMut;
use windhover_client::{Client, Driver, DriverStep, Outcome, PollStream};

/// After so long the task goes on in place of a caller; and a little more.
const HANDED_OVER: Duration = Duration::from_millis(15);

/// One end of a connection in memory: what was written, and what is to be read.
#[derive(Clone, Default)]
struct Socket(Arc<Mutex<Ends>>);

#[derive(Default)]
struct Ends {
    written: Vec<u8>,
    writes: usize,
    to_read: Vec<u8>,
    is_ended: bool,
    takes_nothing: bool,
    waker: Option<Waker>,
}

impl Socket {
    /// The server answers, or ends the connection with no answer.
    fn answer(&self, reply: &[u8]) {
        let mut ends = self.0.lock().unwrap();
        ends.to_read.extend_from_slice(reply);
        ends.is_ended |= reply.is_empty();
        let waker = ends.waker.take();
        drop(ends);
        waker.into_iter().for_each(Waker::wake);
    }

    fn take_written(&self) -> String {
        String::from_utf8(std::mem::take(&mut self.0.lock().unwrap().written)).unwrap()
    }
}

impl PollStream for Socket {
    fn poll_read<'b>(
        &mut self,
        cx: &mut Context<'_>,
        buffer: impl FnOnce() -> &'b mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        let mut ends = self.0.lock().unwrap();
        if ends.to_read.is_empty() && !ends.is_ended {
            ends.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let came = std::mem::take(&mut ends.to_read);
        buffer().extend_from_slice(&came);
        Poll::Ready(Ok(came.len()))
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut ends = self.0.lock().unwrap();
        if ends.takes_nothing {
            ends.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        ends.writes += 1;
        let before = ends.written.len();
        for slice in slices {
            ends.written.extend_from_slice(slice);
        }
        Poll::Ready(Ok(ends.written.len() - before))
    }

    fn poll_close_write(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// How often it was woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A future that is polled by hand.
struct Polled<F> {
    future: Pin<Box<F>>,
    count: Arc<Count>,
}

impl<F: Future> Polled<F> {
    fn new(future: F) -> Self {
        Self { future: Box::pin(future), count: Arc::default() }
    }

    fn poll(&mut self) -> Poll<F::Output> {
        let waker = Waker::from(Arc::clone(&self.count));
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    /// How often it was woken since this was asked last.
    fn woken(&self) -> usize {
        self.count.0.swap(0, Ordering::SeqCst)
    }
}

const HIT: &[u8] = b"VALUE k 0 1\r\nv\r\nEND\r\n";

async fn get(client: Client) -> Option<String> {
    client.get("k").await.unwrap().map(|value| value.text().unwrap().to_owned())
}

type Get = Polled<Pin<Box<dyn Future<Output = Option<String>> + Send>>>;

struct Test {
    client: Client,
    driver: Arc<Driver>,
    socket: Socket,
}

impl Test {
    /// A client with one connection, and the task of that, which has seen two calls answered: the next one moves
    /// the bytes itself.
    fn new() -> (Self, Polled<impl Future<Output = ()>>) {
        let (client, driver) = Client::builder().server("127.0.0.1:1").build().unwrap();
        let driver = Arc::new(driver);
        let mut first = Polled::new(get(client.clone()));
        assert!(first.poll().is_pending());
        let DriverStep::Connect { connection, .. } = driver.next(Waker::noop()) else {
            panic!("a connection is wanted")
        };
        driver.connected(connection);
        let (its, socket) = (Arc::clone(&driver), Socket::default());
        let stream = socket.clone();
        let mut task = Polled::new(async move { its.run(connection, stream).await });
        assert!(task.poll().is_pending());
        for call in [first, Polled::new(get(client.clone()))] {
            let mut call = call;
            let _ = call.poll();
            let _ = task.poll();
            assert_eq!(socket.take_written(), "get k\r\n");
            socket.answer(HIT);
            assert!(task.woken() > 0 && task.poll().is_pending());
            assert_eq!(call.poll(), Poll::Ready(Some("v".into())));
        }
        task.woken();
        (Self { client, driver, socket }, task)
    }

    fn get(&self) -> Get {
        Polled::new(Box::pin(get(self.client.clone())))
    }

    fn is_wait(&self) -> bool {
        matches!(self.driver.next(Waker::noop()), DriverStep::Wait(_))
    }
}

#[test]
fn a_stream_goes_with_its_task() {
    let (test, task) = Test::new();
    assert_eq!(Arc::strong_count(&test.socket.0), 2);
    drop(task);
    assert_eq!(Arc::strong_count(&test.socket.0), 1, "a caller has it still");
}

#[test]
fn a_caller_that_is_alone_writes_and_reads_without_the_task() {
    let (test, task) = Test::new();
    for _ in 0..3 {
        let mut call = test.get();
        assert!(call.poll().is_pending());
        assert_eq!(test.socket.take_written(), "get k\r\n");
        test.socket.answer(HIT);
        assert_eq!((task.woken(), call.woken()), (0, 1));
        assert_eq!(call.poll(), Poll::Ready(Some("v".into())));
        assert_eq!((task.woken(), call.woken()), (0, 0));
    }
}

#[test]
fn an_answer_in_pieces_is_read_as_it_comes() {
    let (test, task) = Test::new();
    let mut call = test.get();
    assert!(call.poll().is_pending());
    for byte in &HIT[..HIT.len() - 1] {
        test.socket.answer(&[*byte]);
        assert_eq!((task.woken(), call.woken()), (0, 1));
        assert!(call.poll().is_pending());
    }
    test.socket.answer(&HIT[HIT.len() - 1..]);
    assert_eq!(call.poll(), Poll::Ready(Some("v".into())));
}

/// Calls that are begun together, of a thread that has done so before: the first of them moves the bytes of all.
fn together(test: &Test, task: &mut Polled<impl Future<Output = ()>>) -> Vec<Get> {
    for n in 0..2 {
        let mut calls: Vec<_> = (0..4).map(|_| test.get()).collect();
        assert!(calls.iter_mut().all(|call| call.poll().is_pending()));
        if n == 1 {
            return calls;
        }
        // The first one cannot know of the others, once.
        assert!(task.woken() > 0 && task.poll().is_pending());
        assert_eq!(test.socket.take_written(), "get k\r\n".repeat(4));
        test.socket.answer(&HIT.repeat(4));
        assert!(task.poll().is_pending());
        assert!(calls.iter_mut().all(|call| call.poll().is_ready()));
        task.woken();
    }
    Vec::new()
}

#[test]
fn calls_that_come_together_leave_in_one_write() {
    let (test, mut task) = Test::new();
    let mut calls = together(&test, &mut task);
    for _ in 0..3 {
        let before = test.socket.0.lock().unwrap().writes;
        assert_eq!(calls.iter().map(Polled::woken).collect::<Vec<_>>(), [1, 0, 0, 0]);
        assert!(calls[0].poll().is_pending());
        assert_eq!(test.socket.take_written(), "get k\r\n".repeat(4));
        assert_eq!(test.socket.0.lock().unwrap().writes, before + 1);
        test.socket.answer(&HIT.repeat(4));
        assert_eq!(calls[0].woken(), 1);
        assert!(calls.iter_mut().all(|call| call.poll().is_ready()));
        calls = (0..4).map(|_| test.get()).collect();
        assert!(calls.iter_mut().all(|call| call.poll().is_pending()));
    }
    assert_eq!(task.woken(), 0);
}

#[test]
fn callers_that_came_together_go_on_for_each_other() {
    let (test, mut task) = Test::new();
    let mut calls = together(&test, &mut task);
    assert!(calls[0].poll().is_pending());
    for n in 0..4 {
        assert!(calls[n..].iter_mut().all(|call| call.poll().is_pending()));
        let _: usize = calls.iter().map(Polled::woken).sum();
        // In two pieces: whoever moves the bytes reads both.
        test.socket.answer(&HIT[..7]);
        assert_eq!(calls[n].woken(), 1);
        assert!(calls[n].poll().is_pending());
        test.socket.answer(&HIT[7..]);
        assert_eq!(calls[n].woken(), 1);
        assert_eq!(calls[n].poll(), Poll::Ready(Some("v".into())));
        // The next one looks whether there is more.
        assert!(calls.get(n + 1).is_none_or(|next| next.woken() == 1));
    }
    assert_eq!(task.woken(), 0);
}

#[test]
fn what_comes_later_is_written_by_the_caller_that_moves_the_bytes() {
    let (test, mut task) = Test::new();
    let mut calls = together(&test, &mut task);
    assert!(calls[0].poll().is_pending());
    test.socket.take_written();
    calls[0].woken();
    calls.push(test.get());
    assert!(calls[4].poll().is_pending());
    assert_eq!((task.woken(), calls[0].woken()), (0, 1));
    assert!(calls[0].poll().is_pending());
    assert_eq!(test.socket.take_written(), "get k\r\n");
    test.socket.answer(&HIT.repeat(5));
    assert!(calls.iter_mut().all(|call| call.poll().is_ready()));
}

#[test]
fn a_caller_that_others_wait_for_and_that_is_not_polled_is_not_waited_for_again() {
    let (test, mut task) = Test::new();
    let mut calls = together(&test, &mut task);
    thread::sleep(HANDED_OVER);
    assert!(test.is_wait());
    assert!(task.woken() > 0 && task.poll().is_pending());
    assert_eq!(test.socket.take_written(), "get k\r\n".repeat(4));
    test.socket.answer(&HIT.repeat(4));
    assert!(task.woken() > 0 && task.poll().is_pending());
    assert!(calls.iter_mut().all(|call| call.poll().is_ready()));
    // The next ones are the task's.
    let mut calls: Vec<_> = (0..4).map(|_| test.get()).collect();
    assert!(calls.iter_mut().all(|call| call.poll().is_pending()));
    assert!(task.woken() > 0 && task.poll().is_pending());
    assert_eq!(test.socket.take_written(), "get k\r\n".repeat(4));
}

#[test]
fn a_caller_that_others_wait_for_and_that_is_dropped_leaves_the_bytes_to_the_task() {
    let (test, mut task) = Test::new();
    let mut calls = together(&test, &mut task);
    assert!(calls[0].poll().is_pending());
    test.socket.take_written();
    drop(calls.remove(0));
    assert!(task.woken() > 0 && task.poll().is_pending());
    test.socket.answer(&HIT.repeat(4));
    assert!(task.woken() > 0 && task.poll().is_pending());
    assert!(calls.iter_mut().all(|call| call.poll().is_ready()));
}

#[test]
fn who_comes_from_another_thread_does_not_depend_on_a_caller() {
    let (test, mut task) = Test::new();
    let mut calls = together(&test, &mut task);
    assert!(calls[0].poll().is_pending());
    test.socket.take_written();
    let mut other = test.get();
    let other = thread::spawn(move || {
        assert!(other.poll().is_pending());
        other
    });
    let mut other = other.join().unwrap();
    assert!(task.woken() > 0 && task.poll().is_pending());
    assert_eq!(test.socket.take_written(), "get k\r\n");
    test.socket.answer(&HIT.repeat(5));
    assert!(task.woken() > 0 && task.poll().is_pending());
    assert!(other.poll().is_ready() && calls.iter_mut().all(|call| call.poll().is_ready()));
}

#[test]
fn a_caller_that_is_dropped_after_it_was_woken_leaves_the_bytes_to_the_task() {
    let (test, mut task) = Test::new();
    let mut given_up = test.get();
    assert!(given_up.poll().is_pending());
    test.socket.answer(b"VALUE k 0 3\r\nold\r\nEND\r\n");
    assert_eq!((task.woken(), given_up.woken()), (0, 1));
    drop(given_up);
    assert!(task.woken() > 0 && task.poll().is_pending());
    // Its late answer is nobody's.
    let mut next = test.get();
    assert!(next.poll().is_pending());
    test.socket.answer(HIT);
    let _ = task.poll();
    assert_eq!(next.poll(), Poll::Ready(Some("v".into())));
}

#[test]
fn who_comes_later_does_not_depend_on_who_came_first() {
    let (test, mut task) = Test::new();
    let mut first = test.get();
    assert!(first.poll().is_pending());
    let mut second = test.get();
    assert!(second.poll().is_pending());
    assert!(task.woken() > 0 && task.poll().is_pending());
    assert_eq!(test.socket.take_written(), "get k\r\n".repeat(2));
    // The first one is not polled, and holds nobody up.
    test.socket.answer(&HIT.repeat(2));
    assert!(task.woken() > 0 && task.poll().is_pending());
    assert_eq!(second.poll(), Poll::Ready(Some("v".into())));
    assert!(first.woken() > 0);
    assert_eq!(first.poll(), Poll::Ready(Some("v".into())));
}

#[test]
fn a_caller_that_does_not_come_back_gives_the_bytes_up_in_time() {
    let (test, mut task) = Test::new();
    let mut call = test.get();
    assert!(call.poll().is_pending());
    test.socket.answer(HIT);
    thread::sleep(HANDED_OVER);
    assert_eq!(task.woken(), 0);
    assert!(test.is_wait());
    // Its answer is taken before its deadline is looked at, however late it comes back.
    assert!(task.woken() > 0 && task.poll().is_pending());
    assert_eq!(call.poll(), Poll::Ready(Some("v".into())));
}

#[test]
fn the_end_of_a_connection_that_was_left_idle_is_seen() {
    let (test, mut task) = Test::new();
    let mut call = test.get();
    assert!(call.poll().is_pending());
    test.socket.answer(HIT);
    assert!(call.poll().is_ready());
    thread::sleep(HANDED_OVER);
    assert!(test.is_wait());
    assert!(task.woken() > 0 && task.poll().is_pending());
    test.socket.answer(b"");
    assert!(task.woken() > 0 && task.poll().is_ready());
    assert_eq!(test.client.statistics()[0].connections, 0);
}

#[test]
fn a_caller_hears_of_the_end_of_its_connection() {
    let (test, mut task) = Test::new();
    let client = test.client.clone();
    let mut call = pin!(client.set("k", "v"));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(call.as_mut().poll(&mut cx).is_pending());
    assert_eq!(test.socket.take_written(), "set k 0 0 1\r\nv\r\n");
    test.socket.answer(b"");
    let Poll::Ready(Err(error)) = call.as_mut().poll(&mut cx) else { panic!("it has ended") };
    assert_eq!(error.outcome(), Outcome::Unknown);
    assert!(task.woken() > 0 && task.poll().is_ready());
}

#[test]
fn what_a_stream_does_not_take_is_the_tasks_to_write() {
    let (test, mut task) = Test::new();
    test.socket.0.lock().unwrap().takes_nothing = true;
    let mut call = test.get();
    assert!(call.poll().is_pending());
    assert!(task.woken() > 0 && task.poll().is_pending());
    let waker = {
        let mut ends = test.socket.0.lock().unwrap();
        ends.takes_nothing = false;
        ends.waker.take()
    };
    waker.unwrap().wake();
    assert!(task.woken() > 0 && task.poll().is_pending());
    assert_eq!(test.socket.take_written(), "get k\r\n");
    test.socket.answer(HIT);
    assert!(task.woken() > 0 && task.poll().is_pending());
    assert!(call.woken() > 0);
    assert_eq!(call.poll(), Poll::Ready(Some("v".into())));
}

#[test]
fn a_call_without_time_for_it_leaves_the_bytes_to_the_task() {
    let (test, mut task) = Test::new();
    let client = test.client.with_timeout(Duration::from_millis(5));
    let mut call = Polled::new(client.get("k"));
    assert!(call.poll().is_pending());
    assert!(task.woken() > 0 && task.poll().is_pending());
    assert_eq!(test.socket.take_written(), "get k\r\n");
}
