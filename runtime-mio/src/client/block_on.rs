//! Waiting for calls on a thread that runs their loop meanwhile.

use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};

use super::lead::Leads;
use crate::mailbox::Interrupt;
use crate::sync::seq_cst::{AtomicU8, Ordering};
use crate::sync::thread::{self, Thread};
use crate::sync::{Mutex, thread_local};

/// Waits for a future on this thread, which sleeps meanwhile, or runs the loop of the
/// [`ClientThread`](crate::ClientThread) that its calls are driven by: a caller who has that for itself is spared
/// two switches between threads for each call. What the future sends leaves when it waits.
///
/// A future that needs a runtime's own thread, such as a timer of tokio, never ends here.
/// [`windhover_client::block_on`] waits as well, and leaves all to the loop's thread.
///
/// ```
/// use std::time::Duration;
/// use windhover_mio::{Client, StartError, block_on, connect};
///
/// # fn main() -> Result<(), StartError> {
/// let client = connect(Client::builder().server("127.0.0.1:1"))?;
/// let client = client.with_timeout(Duration::from_millis(500));
/// // Nobody listens there. This thread drives both calls itself while it waits for them.
/// let (one, two) = block_on(async { (client.get("one").await, client.get("two").await) });
/// assert!(one.is_err() && two.is_err());
/// # Ok(())
/// # }
/// ```
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let sleeper = Sleeper::of_thread();
    let waker = Waker::from(Arc::clone(&sleeper));
    let mut cx = Context::from_waker(&waker);
    let _polled = Polled::begin();
    loop {
        sleeper.begin();
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        match Polled::lead() {
            Some(lead) => lead.wait(&sleeper),
            None => sleeper.sleep(),
        }
        Polled::has_waited();
    }
}

/// Whether a thread that waits is called, and how.
pub(super) struct Sleeper {
    thread: Thread,
    state: AtomicU8,
    /// What calls it out of a poll.
    waker: Mutex<Option<Arc<dyn Interrupt + Send + Sync>>>,
}

/// It is polling its future, or runs a loop.
const AWAKE: u8 = 0;
/// It was called.
const CALLED: u8 = 1;
/// It is parked.
const ASLEEP: u8 = 2;
/// It waits in the poll of a loop.
const POLLS: u8 = 3;

thread_local! {
    static SLEEPER: RefCell<Option<Arc<Sleeper>>> = const { RefCell::new(None) };
    static POLLED: RefCell<Option<Loops>> = const { RefCell::new(None) };
}

impl Sleeper {
    /// That of this thread, unless it is in use: a future may wait for another within its poll.
    fn of_thread() -> Arc<Self> {
        let kept = SLEEPER.try_with(|kept| {
            let mut kept = kept.borrow_mut();
            let free = kept.take_if(|kept| Arc::strong_count(kept) == 1);
            let sleeper = free.unwrap_or_else(Self::new);
            *kept = Some(Arc::clone(&sleeper));
            sleeper
        });
        // A thread that ends keeps nothing any more.
        kept.unwrap_or_else(|_| Self::new())
    }

    fn new() -> Arc<Self> {
        let state = AtomicU8::new(AWAKE);
        Arc::new(Self { thread: thread::current(), state, waker: Mutex::new(None) })
    }

    /// What calls it from now on counts.
    fn begin(&self) {
        self.state.store(AWAKE, Ordering::SeqCst);
    }

    pub(super) fn is_called(&self) -> bool {
        self.state.load(Ordering::SeqCst) == CALLED
    }

    /// Sleeps until it is called.
    pub(super) fn sleep(&self) {
        if self.becomes(ASLEEP) {
            while !self.is_called() {
                thread::park();
            }
        }
    }

    /// It waits in a poll from now on, which `waker` ends; `false` where it was called before.
    pub(super) fn polls(&self, waker: &Arc<dyn Interrupt + Send + Sync>) -> bool {
        {
            let mut known = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
            if !known.as_ref().is_some_and(|known| Arc::ptr_eq(known, waker)) {
                *known = Some(Arc::clone(waker));
            }
        }
        self.becomes(POLLS)
    }

    /// It does not any more.
    pub(super) fn has_polled(&self) {
        let _ = self.state.compare_exchange(POLLS, AWAKE, Ordering::SeqCst, Ordering::SeqCst);
    }

    fn becomes(&self, state: u8) -> bool {
        self.state.compare_exchange(AWAKE, state, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }
}

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        match self.state.swap(CALLED, Ordering::SeqCst) {
            ASLEEP => self.thread.unpark(),
            POLLS => {
                let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner).clone();
                if let Some(waker) = waker {
                    waker.interrupt();
                }
            }
            _ => {}
        }
    }
}

/// The loop whose messages this thread sees to while it polls a future.
#[derive(Default)]
struct Loops {
    lead: Option<Arc<dyn Leads>>,
    /// It was left messages, and was not told.
    is_deferred: bool,
}

impl Loops {
    fn ring(&mut self) {
        if std::mem::take(&mut self.is_deferred)
            && let Some(lead) = &self.lead
        {
            lead.ring();
        }
    }
}

/// Whether the thread that leaves a message for that loop sees to it once it has polled its future.
pub(super) fn defers<L: Leads + 'static>(lead: &Weak<L>) -> bool {
    let defers = POLLED.try_with(|polled| {
        let Ok(mut polled) = polled.try_borrow_mut() else { return false };
        let Some(loops) = &mut *polled else { return false };
        let is_its = match &loops.lead {
            Some(known) => std::ptr::addr_eq(Arc::as_ptr(known), lead.as_ptr()),
            None => {
                loops.lead = lead.upgrade().map(|lead| -> Arc<dyn Leads> { lead });
                loops.lead.is_some()
            }
        };
        loops.is_deferred |= is_its;
        is_its
    });
    defers.unwrap_or(false)
}

/// A future is being polled; what was polled before it on this thread waits for it.
struct Polled {
    before: Option<Loops>,
}

impl Polled {
    fn begin() -> Self {
        let before = POLLED.try_with(|polled| {
            let mut before = polled.borrow_mut().replace(Loops::default());
            if let Some(before) = &mut before {
                before.ring();
            }
            before
        });
        Self { before: before.unwrap_or_default() }
    }

    /// The loop that drives its calls.
    fn lead() -> Option<Arc<dyn Leads>> {
        let lead = POLLED.try_with(|polled| polled.borrow().as_ref()?.lead.clone());
        lead.unwrap_or_default()
    }

    /// What was left before is seen to.
    fn has_waited() {
        let _ = POLLED.try_with(|polled| {
            if let Some(loops) = &mut *polled.borrow_mut() {
                loops.is_deferred = false;
            }
        });
    }
}

impl Drop for Polled {
    fn drop(&mut self) {
        let before = self.before.take();
        let done = POLLED.try_with(|polled| std::mem::replace(&mut *polled.borrow_mut(), before));
        if let Ok(Some(mut done)) = done {
            done.ring();
        }
    }
}
