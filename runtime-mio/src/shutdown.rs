//! One signal to many threads: come to an end.

use std::fmt;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::Waker;

/// A handle to ask for the end, and to wait for being asked. Clones are handles to the same signal;
/// once triggered it stays so.
///
/// ```
/// use windhover_mio::Shutdown;
///
/// let shutdown = Shutdown::new();
/// let other = shutdown.clone();
/// assert!(!other.is_triggered());
/// shutdown.trigger();
/// other.wait();
/// assert!(other.is_triggered());
/// ```
#[derive(Clone, Default)]
pub struct Shutdown(Arc<State>);

#[derive(Default)]
struct State {
    triggered: AtomicBool,
    wakers: Mutex<Vec<Waker>>,
    condition: Condvar,
}

impl Shutdown {
    /// A signal that was not triggered.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks everything that waits to come to an end.
    pub fn trigger(&self) {
        let wakers = {
            let mut wakers = self.0.wakers.lock().unwrap_or_else(PoisonError::into_inner);
            // Under the lock, so that nobody begins to wait between the flag and the calls.
            self.0.triggered.store(true, Ordering::Release);
            mem::take(&mut *wakers)
        };
        self.0.condition.notify_all();
        for waker in wakers {
            waker.wake();
        }
    }

    /// Whether it was triggered.
    pub fn is_triggered(&self) -> bool {
        self.0.triggered.load(Ordering::Acquire)
    }

    /// Blocks the thread until it is triggered.
    pub fn wait(&self) {
        let mut wakers = self.0.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        while !self.is_triggered() {
            wakers = self.0.condition.wait(wakers).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Calls `waker` when it is triggered; at once if it already was. For threads that wait for
    /// other things too.
    pub fn wake_on_trigger(&self, waker: Waker) {
        {
            let mut wakers = self.0.wakers.lock().unwrap_or_else(PoisonError::into_inner);
            if !self.is_triggered() {
                wakers.push(waker);
                return;
            }
        }
        waker.wake();
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shutdown").field("triggered", &self.is_triggered()).finish_non_exhaustive()
    }
}
