//! Messages to an event loop from other threads.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Wake;

/// What other threads leave for a loop. The loop is woken only when it waits, and once for all
/// that comes until it has looked: a wake-up is a system call, and hundreds of answers become
/// ready with one sync of a journal.
pub(crate) struct Mailbox<T> {
    state: Mutex<State<T>>,
    waker: Arc<mio::Waker>,
}

struct State<T> {
    messages: Vec<T>,
    /// The loop waits, or is about to, and nobody has woken it.
    is_parked: bool,
    /// The loop was woken without a message while it was at work.
    is_woken: bool,
    is_closed: bool,
}

impl<T> Mailbox<T> {
    /// An empty one, whose loop waits.
    pub(crate) fn new(waker: Arc<mio::Waker>) -> Self {
        let state =
            State { messages: Vec::new(), is_parked: true, is_woken: false, is_closed: false };
        Self { state: Mutex::new(state), waker }
    }

    /// Leaves a message; gives it back when the loop is gone.
    pub(crate) fn send(&self, message: T) -> Result<(), T> {
        let was_parked = {
            let mut state = self.lock();
            if state.is_closed {
                return Err(message);
            }
            state.messages.push(message);
            mem::take(&mut state.is_parked)
        };
        if was_parked {
            self.interrupt();
        }
        Ok(())
    }

    /// Swaps the messages with `into`, which must be empty. From now on the loop is at work.
    pub(crate) fn receive(&self, into: &mut Vec<T>) {
        let mut state = self.lock();
        state.is_parked = false;
        mem::swap(&mut state.messages, into);
    }

    /// Says that the loop is about to wait, unless there are messages or it was woken meanwhile:
    /// then it must not.
    pub(crate) fn park(&self) -> bool {
        let mut state = self.lock();
        let was_woken = mem::take(&mut state.is_woken);
        state.is_parked = state.messages.is_empty() && !was_woken;
        state.is_parked
    }

    /// Wakes the loop without a message, or keeps it from waiting.
    fn call(&self) {
        let was_parked = {
            let mut state = self.lock();
            let was_parked = mem::take(&mut state.is_parked);
            // A loop that was called out of its wait, and has not begun to work, may have looked
            // already at what this call is about.
            state.is_woken = !was_parked;
            was_parked
        };
        if was_parked {
            self.interrupt();
        }
    }

    /// The loop is gone: nothing more is taken in.
    pub(crate) fn close(&self) -> Vec<T> {
        let mut state = self.lock();
        state.is_closed = true;
        mem::take(&mut state.messages)
    }

    fn interrupt(&self) {
        // A failure means that the loop's poll is gone, and with it all that could be woken.
        let _ = self.waker.wake();
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // No code that could panic runs under it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Woken without a message, the loop looks at what everybody can see, such as a shutdown's flag.
impl<T: Send> Wake for Mailbox<T> {
    fn wake(self: Arc<Self>) {
        self.call();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.call();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mio::{Events, Poll, Token};

    use super::*;

    fn mailbox() -> (Poll, Mailbox<u32>) {
        let poll = Poll::new().unwrap();
        let waker = mio::Waker::new(poll.registry(), Token(0)).unwrap();
        (poll, Mailbox::new(Arc::new(waker)))
    }

    fn wake_ups(poll: &mut Poll) -> usize {
        let mut events = Events::with_capacity(8);
        poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        events.iter().count()
    }

    #[test]
    fn a_loop_that_waits_is_woken_once_for_many_messages() {
        let (mut poll, mailbox) = mailbox();
        for message in 0..3 {
            mailbox.send(message).unwrap();
        }
        assert_eq!(wake_ups(&mut poll), 1);
        let mut messages = Vec::new();
        mailbox.receive(&mut messages);
        assert_eq!(messages, [0, 1, 2]);
    }

    #[test]
    fn a_loop_at_work_is_not_woken_but_does_not_wait() {
        let (mut poll, mailbox) = mailbox();
        mailbox.receive(&mut Vec::new());
        mailbox.send(1).unwrap();
        assert_eq!(wake_ups(&mut poll), 0);
        assert!(!mailbox.park());
        mailbox.receive(&mut Vec::new());
        assert!(mailbox.park());
        mailbox.send(2).unwrap();
        assert_eq!(wake_ups(&mut poll), 1);
    }

    #[test]
    fn a_call_without_a_message_wakes_too_and_is_never_lost() {
        let (mut poll, mailbox) = mailbox();
        mailbox.call();
        assert_eq!(wake_ups(&mut poll), 1);
        // The loop has left its wait, and is called again before it begins to work.
        mailbox.call();
        assert_eq!(wake_ups(&mut poll), 0);
        mailbox.receive(&mut Vec::new());
        assert!(!mailbox.park());
        mailbox.receive(&mut Vec::new());
        assert!(mailbox.park());
        mailbox.call();
        assert_eq!(wake_ups(&mut poll), 1);
    }

    #[test]
    fn a_closed_one_gives_messages_back() {
        let (mut poll, mailbox) = mailbox();
        mailbox.send(1).unwrap();
        assert_eq!(mailbox.close(), [1]);
        assert_eq!(mailbox.send(2), Err(2));
        assert_eq!(wake_ups(&mut poll), 1);
    }
}
