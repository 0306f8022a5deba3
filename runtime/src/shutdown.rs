//! One signal to many tasks and threads: end.

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};

use slab::Slab;

use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Condvar, Mutex, MutexGuard};

/// A handle to ask for the end, and to wait for being asked. Clones are handles to the same signal;
/// once triggered it stays so.
///
/// Any task can wait for it, on any executor, and any thread.
///
/// ```
/// use windhover_runtime::Shutdown;
///
/// let shutdown = Shutdown::new();
/// let other = shutdown.clone();
/// let thread = std::thread::spawn(move || other.wait_blocking());
/// assert!(!shutdown.is_triggered());
/// shutdown.trigger();
/// thread.join().unwrap();
/// assert!(shutdown.is_triggered());
/// ```
#[derive(Clone, Default)]
pub struct Shutdown(Arc<State>);

#[derive(Default)]
struct State {
    triggered: AtomicBool,
    /// Who is called; empty from the trigger on.
    wakers: Mutex<Slab<Waker>>,
    condition: Condvar,
}

impl Shutdown {
    /// A signal that was not triggered.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks everything that waits to end.
    pub fn trigger(&self) {
        let wakers = {
            let mut wakers = self.lock();
            // Under the lock, so that nobody begins to wait between the flag and the calls.
            self.0.triggered.store(true, Ordering::Release);
            mem::take(&mut *wakers)
        };
        self.0.condition.notify_all();
        for (_, waker) in wakers {
            waker.wake();
        }
    }

    /// Whether it was triggered.
    pub fn is_triggered(&self) -> bool {
        self.0.triggered.load(Ordering::Acquire)
    }

    /// Waits until it is triggered.
    pub fn wait(&self) -> Triggered {
        Triggered { shutdown: self.clone(), key: None }
    }

    /// Blocks the thread until it is triggered.
    pub fn wait_blocking(&self) {
        let mut wakers = self.lock();
        while !self.is_triggered() {
            wakers = self.0.condition.wait(wakers).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Calls `waker` when it is triggered; at once if it already was. For event loops, which wait for
    /// other things too. The waker is kept until then.
    pub fn wake_on_trigger(&self, waker: Waker) {
        {
            let mut wakers = self.lock();
            if !self.is_triggered() {
                wakers.insert(waker);
                return;
            }
        }
        waker.wake();
    }

    fn lock(&self) -> MutexGuard<'_, Slab<Waker>> {
        self.0.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shutdown").field("triggered", &self.is_triggered()).finish_non_exhaustive()
    }
}

/// Ready once a [`Shutdown`] is triggered, and from then on whenever it is polled; see
/// [`Shutdown::wait`].
///
/// ```
/// use std::future::Future;
/// use std::pin::pin;
/// use std::task::{Context, Waker};
/// use windhover_runtime::{Shutdown, Triggered};
///
/// let shutdown = Shutdown::new();
/// let waiting: Triggered = shutdown.wait();
/// let (mut waiting, mut cx) = (pin!(waiting), Context::from_waker(Waker::noop()));
/// assert!(waiting.as_mut().poll(&mut cx).is_pending());
/// shutdown.trigger();
/// assert!(waiting.as_mut().poll(&mut cx).is_ready());
/// ```
#[derive(Debug)]
#[must_use = "futures do nothing unless they are awaited"]
pub struct Triggered {
    shutdown: Shutdown,
    /// Where its waker is.
    key: Option<usize>,
}

impl Triggered {
    /// Whether it was triggered: reads a flag, and leaves no waker.
    pub fn is_triggered(&self) -> bool {
        self.shutdown.is_triggered()
    }
}

impl Future for Triggered {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut wakers = this.shutdown.lock();
        // Read under the lock: a trigger behind it finds the waker.
        if this.shutdown.is_triggered() {
            return Poll::Ready(());
        }
        match this.key.and_then(|key| wakers.get_mut(key)) {
            Some(waker) => waker.clone_from(cx.waker()),
            None => this.key = Some(wakers.insert(cx.waker().clone())),
        }
        Poll::Pending
    }
}

impl Drop for Triggered {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let mut wakers = self.shutdown.lock();
            // After the trigger it is gone, and nothing is put in its place.
            let waker = wakers.try_remove(key);
            drop(wakers);
            // A waker's drop may drop a task, and with it others that wait here.
            drop(waker);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counted() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count::default());
        (Arc::clone(&count), Waker::from(count))
    }

    fn poll(wait: &mut Triggered, waker: &Waker) -> Poll<()> {
        Pin::new(wait).poll(&mut Context::from_waker(waker))
    }

    #[test]
    fn whoever_waits_is_called_once_and_finds_it_triggered() {
        let shutdown = Shutdown::new();
        let (count, waker) = counted();
        let mut wait = shutdown.wait();
        assert!(poll(&mut wait, &waker).is_pending());
        assert!(poll(&mut wait, &waker).is_pending());
        shutdown.trigger();
        shutdown.trigger();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(poll(&mut wait, &waker).is_ready());
        assert!(poll(&mut wait, &waker).is_ready());
        assert!(poll(&mut shutdown.wait(), &waker).is_ready());
    }

    #[test]
    fn the_waker_that_was_given_last_is_called() {
        let shutdown = Shutdown::new();
        let ((first, earlier), (second, later)) = (counted(), counted());
        let mut wait = shutdown.wait();
        assert!(poll(&mut wait, &earlier).is_pending());
        assert!(poll(&mut wait, &later).is_pending());
        shutdown.trigger();
        let calls = [first, second].map(|count| count.0.load(Ordering::Relaxed));
        assert_eq!(calls, [0, 1]);
    }

    #[test]
    fn who_waits_no_more_leaves_nothing_behind() {
        let shutdown = Shutdown::new();
        let (count, waker) = counted();
        for _ in 0..100 {
            let mut wait = shutdown.wait();
            assert!(poll(&mut wait, &waker).is_pending());
        }
        assert_eq!(shutdown.lock().len(), 0);
        assert!(shutdown.lock().capacity() < 10);
        let mut late = shutdown.wait();
        assert!(poll(&mut late, &waker).is_pending());
        shutdown.trigger();
        drop(late);
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn an_event_loop_is_called_also_when_it_comes_late() {
        let shutdown = Shutdown::new();
        let (count, waker) = counted();
        shutdown.wake_on_trigger(waker.clone());
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
        shutdown.trigger();
        shutdown.wake_on_trigger(waker);
        assert_eq!(count.0.load(Ordering::Relaxed), 2);
    }
}
