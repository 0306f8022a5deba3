//! Messages to an event loop from other threads.

use std::mem;
use std::sync::{Arc, PoisonError};
use std::task::Wake;

use crate::sync::{Mutex, MutexGuard};

/// What calls a loop out of its wait.
pub(crate) trait Interrupt {
    fn interrupt(&self);
}

impl Interrupt for mio::Waker {
    fn interrupt(&self) {
        // A failure means that the loop's poll is gone, and with it all that could be woken.
        let _ = self.wake();
    }
}

/// What other threads leave for a loop. The loop is woken only when it waits, and once for all
/// that comes until it has looked: a wake-up is a system call, and hundreds of answers become
/// ready with one sync of a journal.
pub(crate) struct Mailbox<T, W = mio::Waker> {
    state: Mutex<State<T>>,
    waker: Arc<W>,
    keeper: Option<Box<dyn Keeper>>,
}

/// Who sees to it that a loop is run which any thread may run.
pub(crate) trait Keeper: Send + Sync {
    /// Whether the thread that leaves a message now sees to it itself: by
    /// [`ring`](Mailbox::ring), or by running the loop. What it does under the mailbox' lock.
    fn defers(&self) -> bool;

    /// There is a message, and nobody runs the loop.
    fn call(&self);
}

struct State<T> {
    messages: Vec<T>,
    rest: Rest,
    /// The loop was woken without a message while it was at work.
    is_woken: bool,
    is_closed: bool,
}

/// Whether a loop does something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Rest {
    /// It is at work, or was woken.
    #[default]
    No,
    /// It waits, or is about to.
    Waits,
    /// Nobody runs it.
    #[cfg_attr(
        not(feature = "client"),
        expect(dead_code, reason = "only the loop of a client is laid down")
    )]
    Lies,
}

impl<T, W: Interrupt> Mailbox<T, W> {
    /// An empty one, whose loop waits.
    pub(crate) fn new(waker: Arc<W>) -> Self {
        let state =
            State { messages: Vec::new(), rest: Rest::Waits, is_woken: false, is_closed: false };
        Self { state: Mutex::new(state), waker, keeper: None }
    }

    /// The same of a loop that is kept.
    #[cfg(feature = "client")]
    pub(crate) fn with_keeper(self, keeper: impl Keeper + 'static) -> Self {
        Self { keeper: Some(Box::new(keeper)), ..self }
    }

    /// Leaves a message; gives it back when the loop is gone.
    pub(crate) fn send(&self, message: T) -> Result<(), T> {
        let rest = {
            let mut state = self.lock();
            if state.is_closed {
                return Err(message);
            }
            state.messages.push(message);
            if self.keeper.as_ref().is_some_and(|keeper| keeper.defers()) {
                return Ok(());
            }
            mem::take(&mut state.rest)
        };
        self.interrupt(rest);
        Ok(())
    }

    /// Has the loop look at messages that were left without a wake-up.
    #[cfg(feature = "client")]
    pub(crate) fn ring(&self) {
        let rest = {
            let mut state = self.lock();
            if state.messages.is_empty() {
                return;
            }
            mem::take(&mut state.rest)
        };
        self.interrupt(rest);
    }

    /// Says that nobody will run the loop, which was about to [wait](Self::park), unless there are
    /// messages or it was woken meanwhile: then somebody must.
    #[cfg(feature = "client")]
    pub(crate) fn leave(&self) -> bool {
        let mut state = self.lock();
        let leaves = state.rest == Rest::Waits && state.messages.is_empty();
        if leaves {
            state.rest = Rest::Lies;
        }
        leaves
    }

    /// Swaps the messages with `into`, which must be empty. From now on the loop is at work.
    pub(crate) fn receive(&self, into: &mut Vec<T>) {
        let mut state = self.lock();
        state.rest = Rest::No;
        mem::swap(&mut state.messages, into);
    }

    /// Says that the loop is about to wait, unless there are messages or it was woken meanwhile:
    /// then it must not.
    pub(crate) fn park(&self) -> bool {
        let mut state = self.lock();
        let was_woken = mem::take(&mut state.is_woken);
        let parks = state.messages.is_empty() && !was_woken;
        state.rest = if parks { Rest::Waits } else { Rest::No };
        parks
    }

    /// Takes back that the loop is about to wait: it looks again before it does.
    pub(crate) fn unpark(&self) {
        self.lock().rest = Rest::No;
    }

    /// Wakes the loop without a message, or keeps it from waiting.
    fn call(&self) {
        let rest = {
            let mut state = self.lock();
            let rest = mem::take(&mut state.rest);
            // A loop that was called out of its wait, and has not begun to work, may have looked
            // already at what this call is about.
            state.is_woken = rest == Rest::No;
            rest
        };
        self.interrupt(rest);
    }

    /// The loop is gone: nothing more is taken in.
    pub(crate) fn close(&self) -> Vec<T> {
        let mut state = self.lock();
        state.is_closed = true;
        mem::take(&mut state.messages)
    }

    fn interrupt(&self, rest: Rest) {
        match (rest, &self.keeper) {
            (Rest::No, _) => {}
            (Rest::Lies, Some(keeper)) => keeper.call(),
            (Rest::Waits | Rest::Lies, _) => self.waker.interrupt(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // No code that could panic runs under it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Woken without a message, the loop looks at what everybody can see, such as a shutdown's flag.
impl<T: Send, W: Interrupt + Send + Sync> Wake for Mailbox<T, W> {
    fn wake(self: Arc<Self>) {
        self.call();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.call();
    }
}

#[cfg(test)]
mod tests {
    #[cfg(feature = "client")]
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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

    /// Counts its calls, and sees to messages itself where it was told so.
    #[cfg(feature = "client")]
    #[derive(Clone, Default)]
    struct Kept(Arc<(AtomicBool, AtomicUsize)>);

    #[cfg(feature = "client")]
    impl Keeper for Kept {
        fn defers(&self) -> bool {
            self.0.0.load(Ordering::SeqCst)
        }

        fn call(&self) {
            self.0.1.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[cfg(feature = "client")]
    #[test]
    fn a_message_for_a_loop_that_nobody_runs_calls_its_keeper_once() {
        let (mut poll, mailbox) = mailbox();
        let kept = Kept::default();
        let mailbox = mailbox.with_keeper(kept.clone());
        mailbox.receive(&mut Vec::new());
        assert!(mailbox.park() && mailbox.leave());
        mailbox.send(1).unwrap();
        mailbox.send(2).unwrap();
        assert_eq!((kept.0.1.load(Ordering::SeqCst), wake_ups(&mut poll)), (1, 0));
        // With messages it must not be left.
        assert!(!mailbox.leave());
    }

    #[cfg(feature = "client")]
    #[test]
    fn a_message_that_is_seen_to_wakes_nobody_before_it_is_rung_for() {
        let (mut poll, mailbox) = mailbox();
        let kept = Kept::default();
        let mailbox = mailbox.with_keeper(kept.clone());
        kept.0.0.store(true, Ordering::SeqCst);
        mailbox.ring();
        mailbox.send(1).unwrap();
        assert_eq!(wake_ups(&mut poll), 0);
        mailbox.ring();
        mailbox.ring();
        assert_eq!(wake_ups(&mut poll), 1);
        let mut messages = Vec::new();
        mailbox.receive(&mut messages);
        assert_eq!(messages, [1]);
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
