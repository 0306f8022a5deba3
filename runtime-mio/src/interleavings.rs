//! Models of the places where a loop meets other threads, run by loom in every order: a loop that nobody
//! wakes is a deadlock there. `conformance/interleavings` runs them.

use std::sync::Arc;
use std::task::Waker;

use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::sync::{Condvar, Mutex};
use loom::thread::{self, JoinHandle};
use windhover_runtime::model::model;

use crate::caller::Caller;
use crate::mailbox::{Interrupt, Keeper, Mailbox};

/// What `poll` and `mio::Waker` are to each other: the wait ends once for each wake-up, or for several.
#[derive(Default)]
pub(crate) struct Poll {
    is_ready: Mutex<bool>,
    condition: Condvar,
    interrupts: AtomicUsize,
}

impl Interrupt for Poll {
    fn interrupt(&self) {
        self.interrupts.fetch_add(1, Ordering::Relaxed);
        *self.is_ready.lock().unwrap() = true;
        self.condition.notify_one();
    }
}

impl Poll {
    pub(crate) fn wait(&self) {
        let mut is_ready = self.is_ready.lock().unwrap();
        while !*is_ready {
            is_ready = self.condition.wait(is_ready).unwrap();
        }
        *is_ready = false;
    }
}

/// A loop as those of this crate are: it takes what there is, and waits when there is nothing. Ends when
/// `has_enough` says so of the messages of a turn; how often it waited.
fn run<T>(
    mailbox: &Mailbox<T, Poll>,
    poll: &Poll,
    has_enough: impl FnMut(&mut Vec<T>) -> bool,
) -> usize {
    run_with(mailbox, poll, || true, has_enough)
}

/// The same of one that perhaps does something else before it waits.
fn run_with<T>(
    mailbox: &Mailbox<T, Poll>,
    poll: &Poll,
    before_wait: impl Fn() -> bool,
    mut has_enough: impl FnMut(&mut Vec<T>) -> bool,
) -> usize {
    let mut messages = Vec::new();
    for waits in 0.. {
        mailbox.receive(&mut messages);
        if has_enough(&mut messages) {
            return waits;
        }
        messages.clear();
        if mailbox.park() && before_wait() {
            poll.wait();
        }
    }
    unreachable!("it is a loop without an end")
}

fn mailbox<T>() -> (Arc<Mailbox<T, Poll>>, Arc<Poll>) {
    let poll = Arc::new(Poll::default());
    (Arc::new(Mailbox::new(Arc::clone(&poll))), poll)
}

/// A thread that leaves a message.
fn sends<T: Send + 'static>(mailbox: &Arc<Mailbox<T, Poll>>, message: T) -> JoinHandle<()> {
    let mailbox = Arc::clone(mailbox);
    thread::spawn(move || assert!(mailbox.send(message).is_ok()))
}

/// A thread that sets a flag and calls the loop, which is to see it.
fn calls<T: Send + 'static>(mailbox: &Arc<Mailbox<T, Poll>>) -> (JoinHandle<()>, Arc<AtomicBool>) {
    let flag = Arc::new(AtomicBool::new(false));
    let (set, waker) = (Arc::clone(&flag), Waker::from(Arc::clone(mailbox)));
    let call = thread::spawn(move || {
        set.store(true, Ordering::Release);
        waker.wake();
    });
    (call, flag)
}

#[test]
fn messages_of_two_threads_reach_a_loop_by_no_more_wake_ups_than_it_waits() {
    model("messages_of_two_threads_reach_a_loop_by_no_more_wake_ups_than_it_waits", || {
        let (mailbox, poll) = mailbox();
        let threads = [1, 2].map(|message| sends(&mailbox, message));
        let mut sum = 0;
        let waits = run(&mailbox, &poll, |messages| {
            sum += messages.iter().sum::<u32>();
            sum == 3
        });
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        // One more where it was still to begin.
        assert!(poll.interrupts.load(Ordering::Relaxed) <= waits + 1);
    });
}

#[test]
fn a_loop_sees_what_it_is_called_for_without_a_message() {
    model("a_loop_sees_what_it_is_called_for_without_a_message", || {
        let (mailbox, poll) = mailbox::<()>();
        let (call, flag) = calls(&mailbox);
        run(&mailbox, &poll, |_| flag.load(Ordering::Acquire));
        call.join().unwrap();
    });
}

/// A loop sees both, whatever it does before it waits; that says whether it still is to.
fn sees_a_call_and_a_message(before_wait: impl Fn(&Mailbox<(), Poll>) -> bool) {
    let (mailbox, poll) = mailbox();
    let (call, flag) = calls(&mailbox);
    let send = sends(&mailbox, ());
    let mut has_come = false;
    run_with(
        &mailbox,
        &poll,
        || before_wait(&mailbox),
        |messages| {
            has_come |= !messages.is_empty();
            has_come && flag.load(Ordering::Acquire)
        },
    );
    call.join().unwrap();
    send.join().unwrap();
}

#[test]
fn a_loop_that_does_something_before_it_waits_sees_all_of_it() {
    model("a_loop_that_does_something_before_it_waits_sees_all_of_it", || {
        sees_a_call_and_a_message(|mailbox| {
            mailbox.unpark();
            mailbox.park()
        });
    });
}

#[test]
fn a_call_and_a_message_at_once_are_both_seen() {
    model("a_call_and_a_message_at_once_are_both_seen", || {
        sees_a_call_and_a_message(|_| true);
    });
}

#[test]
fn what_a_slot_is_called_for_is_seen_though_calls_are_joined() {
    model("what_a_slot_is_called_for_is_seen_though_calls_are_joined", || {
        let (mailbox, poll) = mailbox::<usize>();
        let caller: Arc<Caller<usize, usize, Poll>> = Caller::new(7, &mailbox);
        let done = Arc::new(AtomicUsize::new(0));
        let threads = [(); 2].map(|()| {
            let (done, waker) = (Arc::clone(&done), Waker::from(Arc::clone(&caller)));
            thread::spawn(move || {
                done.fetch_add(1, Ordering::Release);
                waker.wake_by_ref();
            })
        });
        let mut seen = 0;
        run(&mailbox, &poll, |messages| {
            for slot in messages.drain(..) {
                assert_eq!(slot, 7);
                if caller.take_call() {
                    seen = done.load(Ordering::Acquire);
                }
            }
            seen == 2
        });
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn a_message_that_comes_as_the_loop_ends_is_given_back_or_handed_out() {
    model("a_message_that_comes_as_the_loop_ends_is_given_back_or_handed_out", || {
        let (mailbox, _poll) = mailbox();
        let send = {
            let mailbox = Arc::clone(&mailbox);
            thread::spawn(move || mailbox.send(1).is_ok())
        };
        let left = mailbox.close();
        let was_taken = send.join().unwrap();
        assert_eq!(left.len(), usize::from(was_taken));
    });
}

/// Calls the thread that a loop is for.
struct Thread(Arc<Poll>);

impl Keeper for Thread {
    fn defers(&self) -> bool {
        false
    }

    fn call(&self) {
        self.0.interrupt();
    }
}

#[test]
fn a_loop_that_nobody_runs_is_taken_up_again_for_a_message_and_for_a_call() {
    model("a_loop_that_nobody_runs_is_taken_up_again_for_a_message_and_for_a_call", || {
        let (poll, thread) = (Arc::new(Poll::default()), Arc::new(Poll::default()));
        let keeper = Thread(Arc::clone(&thread));
        let mailbox = Arc::new(Mailbox::new(Arc::clone(&poll)).with_keeper(keeper));
        let (send, (call, flag)) = (sends(&mailbox, ()), calls(&mailbox));
        let (mut messages, mut has_come) = (Vec::new(), false);
        loop {
            mailbox.receive(&mut messages);
            has_come |= messages.pop().is_some();
            if has_come && flag.load(Ordering::Acquire) {
                break;
            }
            if mailbox.park() {
                // Laid down, or waited in after all.
                if mailbox.leave() { thread.wait() } else { poll.wait() }
            }
        }
        send.join().unwrap();
        call.join().unwrap();
    });
}
