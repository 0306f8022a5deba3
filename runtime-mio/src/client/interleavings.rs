//! Models of who runs the loop of a client: callers who wait, or its thread. Run by loom in every order, with a
//! server that answers as soon as it is waited for.
//!
//! No time passes, unless a model says so: who is not called stays asleep, and is a deadlock.

use std::future::{Future, poll_fn};
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll as Polled, Waker};
use std::time::Duration;

use loom::sync::Mutex;
use loom::thread::{self, JoinHandle};
use windhover_core::Instant;
use windhover_runtime::model::{model, model_of_few};

use super::block_on;
use super::lead::{Lead, Runs};
use crate::interleavings::Poll;
use crate::mailbox::Mailbox;

/// What a caller asked, until it is answered.
#[derive(Default)]
struct Call {
    is_answered: bool,
    waker: Option<Waker>,
}

enum Message {
    /// One that is answered once so many are written.
    Call(usize, Arc<Mutex<Call>>),
    /// No more calls will come.
    Released,
}

/// A loop with a socket on which all that was written is answered.
struct Loop {
    mailbox: Arc<Mailbox<Message, Poll>>,
    poll: Arc<Poll>,
    written: Vec<Arc<Mutex<Call>>>,
    /// Nothing is answered before so many are written.
    together: usize,
    is_readable: bool,
    is_parked: bool,
    is_released: bool,
    now: Instant,
    /// What passes with each wait of a caller; what it waits for comes later then.
    passes: Duration,
}

impl Runs for Loop {
    type Message = Message;
    type Waker = Poll;

    fn turn(&mut self) -> Instant {
        let mut messages = Vec::new();
        self.mailbox.receive(&mut messages);
        if std::mem::take(&mut self.is_readable) {
            self.together = 0;
            for call in self.written.drain(..) {
                let waker = {
                    let mut call = call.lock().unwrap();
                    call.is_answered = true;
                    call.waker.take()
                };
                waker.into_iter().for_each(Waker::wake);
            }
        }
        for message in messages {
            match message {
                Message::Call(together, call) => {
                    self.together = self.together.max(together);
                    self.written.push(call);
                }
                Message::Released => self.is_released = true,
            }
        }
        self.is_parked = self.mailbox.park();
        self.now
    }

    fn wait(&mut self, at_most: Option<Duration>) -> io::Result<()> {
        if at_most.is_some() && !self.passes.is_zero() {
            self.now = self.now + self.passes;
        } else if self.written.len() >= self.together.max(1) {
            self.is_readable = true;
        } else if self.is_parked {
            self.poll.wait();
        }
        Ok(())
    }

    fn is_at_rest(&self) -> bool {
        self.is_parked
    }

    fn is_quiet(&self) -> bool {
        self.is_parked && self.written.is_empty()
    }

    fn is_over(&self) -> bool {
        self.is_released && self.written.is_empty()
    }
}

/// A client, and the thread that its loop is for.
struct Client {
    lead: Arc<Lead<Loop>>,
    thread: JoinHandle<()>,
}

impl Client {
    /// So much time passes with each wait of a caller.
    fn new(passes: Duration) -> Self {
        let poll = Arc::new(Poll::default());
        let lead = Lead::new(&poll);
        let event_loop = Box::new(Loop {
            mailbox: Arc::clone(&lead.mailbox),
            poll,
            written: Vec::new(),
            together: 0,
            is_readable: false,
            is_parked: true,
            is_released: false,
            now: Instant::default(),
            passes,
        });
        let of_thread = Arc::clone(&lead);
        let thread = thread::spawn(move || of_thread.keep(event_loop).unwrap());
        Self { lead, thread }
    }

    fn call(&self) -> impl Future<Output = ()> + use<> {
        call(&self.lead, 1)
    }

    fn end(self) {
        assert!(self.lead.mailbox.send(Message::Released).is_ok());
        self.thread.join().unwrap();
    }
}

/// A call that is sent when it is polled for the first time, and answered once so many are written.
fn call(lead: &Arc<Lead<Loop>>, together: usize) -> impl Future<Output = ()> + use<> {
    let lead = Arc::clone(lead);
    let mut sent = None;
    poll_fn(move |cx| match &sent {
        None => {
            let call = Arc::new(Mutex::new(Call::default()));
            call.lock().unwrap().waker = Some(cx.waker().clone());
            sent = Some(Arc::clone(&call));
            assert!(lead.mailbox.send(Message::Call(together, call)).is_ok());
            Polled::Pending
        }
        Some(call) => {
            let mut call = call.lock().unwrap();
            if call.is_answered {
                return Polled::Ready(());
            }
            call.waker = Some(cx.waker().clone());
            Polled::Pending
        }
    })
}

/// A client whose loop was laid down, if its thread has come so far: for a caller who waited alone.
fn led(passes: Duration) -> Client {
    let client = Client::new(passes);
    for _ in 0..2 {
        block_on(client.call());
    }
    client
}

/// From the third on, a call finds the loop laid down and runs it.
#[test]
fn calls_of_a_caller_alone_are_answered() {
    model("calls_of_a_caller_alone_are_answered", || {
        let client = led(Duration::ZERO);
        for _ in 0..2 {
            block_on(client.call());
        }
        client.end();
    });
}

/// Whoever runs the loop, the other's request is written and its answer read.
#[test]
fn a_caller_beside_one_who_runs_the_loop_is_answered() {
    model("a_caller_beside_one_who_runs_the_loop_is_answered", || {
        let client = led(Duration::ZERO);
        let lead = Arc::clone(&client.lead);
        let other = thread::spawn(move || block_on(call(&lead, 1)));
        block_on(client.call());
        other.join().unwrap();
        client.end();
    });
}

/// Who waits in another way is called, too, whether a caller runs the loop or nobody.
#[test]
fn a_caller_who_waits_elsewhere_is_answered() {
    model("a_caller_who_waits_elsewhere_is_answered", || {
        let client = led(Duration::ZERO);
        let lead = Arc::clone(&client.lead);
        let other = thread::spawn(move || loom::future::block_on(call(&lead, 1)));
        block_on(client.call());
        other.join().unwrap();
        client.end();
    });
}

/// The server answers none before it has both: who runs the loop waits in its poll when the other call comes.
#[test]
fn a_call_that_another_one_waits_for_is_written() {
    model("a_call_that_another_one_waits_for_is_written", || {
        let client = Client::new(Duration::ZERO);
        let lead = Arc::clone(&client.lead);
        let other = thread::spawn(move || block_on(call(&lead, 2)));
        block_on(call(&client.lead, 2));
        other.join().unwrap();
        client.end();
    });
}

/// A caller whose answer does not come for long gives the loop to its thread.
#[test]
fn a_caller_who_waits_for_long_is_answered() {
    model("a_caller_who_waits_for_long_is_answered", || {
        let client = led(Duration::from_millis(10));
        block_on(client.call());
        client.end();
    });
}

/// What a future leaves that waits for nothing is seen to when it ends.
#[test]
fn a_call_that_its_sender_does_not_wait_for_is_answered() {
    model("a_call_that_its_sender_does_not_wait_for_is_answered", || {
        let client = led(Duration::ZERO);
        let mut sent = Box::pin(client.call());
        block_on(poll_fn(|_| {
            let _ = sent.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            Polled::Ready(())
        }));
        loom::future::block_on(sent);
        client.end();
    });
}

/// A future that something else than its client calls is polled, though its thread waits for the socket.
#[test]
fn a_caller_who_runs_the_loop_is_called_by_another_thread() {
    model_of_few("a_caller_who_runs_the_loop_is_called_by_another_thread", 2, || {
        let client = led(Duration::ZERO);
        let called = Arc::new(Mutex::new(Call::default()));
        let calls = {
            let called = Arc::clone(&called);
            thread::spawn(move || {
                let waker = {
                    let mut called = called.lock().unwrap();
                    called.is_answered = true;
                    called.waker.take()
                };
                waker.into_iter().for_each(Waker::wake);
            })
        };
        // Is answered when there is another one.
        let mut call = Box::pin(call(&client.lead, 2));
        block_on(poll_fn(|cx| {
            let _ = call.as_mut().poll(cx);
            let mut called = called.lock().unwrap();
            called.waker = Some(cx.waker().clone());
            if called.is_answered { Polled::Ready(()) } else { Polled::Pending }
        }));
        block_on(client.call());
        block_on(call);
        calls.join().unwrap();
        client.end();
    });
}
