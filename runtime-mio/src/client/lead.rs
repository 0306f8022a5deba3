//! Who runs the loop of a [`ClientThread`](super::ClientThread): its own thread, or a caller who waits for an
//! answer.
//!
//! A loop on another thread costs a caller two wake-ups and two switches between threads for each call. So a
//! caller who had the loop for itself runs it while it waits, and is in the place of a task's
//! runtime: it writes its request, waits for the socket and reads the answer.
//!
//! # Nobody waits for a loop that is not run
//!
//! *While the loop lies, nobody's call is under way but those of a caller who is being polled, and its thread
//! looks every [`LEADS`] whether it was run since.*
//!
//! - The loop's thread lays it down when the last two waits were those of a caller alone, no call is under way,
//!   and there is no message ([`Mailbox::leave`]).
//! - A message for a loop that lies calls its thread, unless it comes from a caller who is being polled: that one
//!   goes on to [`wait`](Lead::wait), and runs the loop there, or rings; or it does not wait, and rings.
//! - A caller lays the loop down when it is called, and gives it to the thread at once where others wait, where
//!   anybody has called who does not wait here ([`Keeper::defers`] has seen it), or where the loop has
//!   something left to do. A caller who has waited for [`LEADS`] gives it to the thread, too.
//! - A caller who finds the loop run by another rings, so that its messages are seen to, and sleeps. Whoever runs
//!   the loop calls it.

use std::io;
use std::sync::{Arc, OnceLock, PoisonError, Weak};
use std::time::Duration;

use windhover_core::Instant;

use super::block_on::{self, Sleeper};
use crate::mailbox::{Interrupt, Keeper, Mailbox};
use crate::sync::atomic::{self, Ordering};
use crate::sync::seq_cst::AtomicBool;
use crate::sync::thread::{self, Thread};
use crate::sync::{Mutex, MutexGuard};

/// So long a caller runs the loop at a stretch, and so long its thread trusts that one does.
const LEADS: Duration = Duration::from_millis(10);

/// So many waits in a row of a caller alone have the loop's thread lay it down.
const ALONE: u8 = 2;

/// A loop that a thread at a time runs, whichever it is.
pub(super) trait Runs: Send + 'static {
    /// What is left for it in its mailbox.
    type Message: Send;
    /// What calls it out of its wait.
    type Waker: Interrupt + Send + Sync;

    /// Does what there is to do. When it began.
    fn turn(&mut self) -> Instant;

    /// Waits until there is something to do, or for so long.
    ///
    /// # Errors
    /// When the operating system refuses to wait.
    fn wait(&mut self, at_most: Option<Duration>) -> io::Result<()>;

    /// Nothing is left to do, and what comes next is told.
    fn is_at_rest(&self) -> bool;

    /// The same, and no call is under way.
    fn is_quiet(&self) -> bool;

    /// It has no more to do, ever.
    fn is_over(&self) -> bool;
}

/// A lead, whatever its loop is.
pub(super) trait Leads: Send + Sync {
    /// Has messages seen to whose calls nobody waits for here.
    fn ring(&self);

    /// Waits until `sleeper` is called, and runs the loop meanwhile, where nobody else does.
    fn wait(&self, sleeper: &Sleeper);
}

/// What callers and the loop's thread share.
pub(super) struct Lead<L: Runs> {
    place: Mutex<Place<L>>,
    pub(super) mailbox: Arc<Mailbox<L::Message, L::Waker>>,
    waker: Arc<dyn Interrupt + Send + Sync>,
    thread: OnceLock<Thread>,
    /// Callers will run the loop, if its thread lays it down.
    is_wanted: atomic::AtomicBool,
    /// Somebody has left a message who does not wait here.
    is_called: AtomicBool,
}

struct Place<L> {
    /// The loop, while it lies.
    event_loop: Option<Box<L>>,
    /// It is the thread's to run.
    is_given: bool,
    /// A caller has run it since its thread looked.
    was_led: bool,
    /// It ended while a caller ran it.
    is_over: bool,
    /// How many callers wait.
    waiting: usize,
    /// How many waits in a row were those of a caller alone.
    alone: u8,
}

impl<L> Default for Place<L> {
    fn default() -> Self {
        Self {
            event_loop: None,
            is_given: false,
            was_led: false,
            is_over: false,
            waiting: 0,
            alone: 0,
        }
    }
}

impl<L: Runs> Lead<L> {
    /// Of a loop that `waker` calls out of its wait.
    pub(super) fn new(waker: &Arc<L::Waker>) -> Arc<Self> {
        Arc::new_cyclic(|lead: &Weak<Self>| Self {
            place: Mutex::new(Place::default()),
            mailbox: Arc::new(
                Mailbox::new(Arc::clone(waker)).with_keeper(Called(Weak::clone(lead))),
            ),
            waker: Arc::<L::Waker>::clone(waker),
            thread: OnceLock::new(),
            is_wanted: atomic::AtomicBool::new(false),
            is_called: AtomicBool::new(false),
        })
    }

    fn place(&self) -> MutexGuard<'_, Place<L>> {
        // No code that could panic runs under it.
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs the loop on its own thread, where no caller does, until it is over.
    ///
    /// # Errors
    /// When its poll fails.
    pub(super) fn keep(&self, mut event_loop: Box<L>) -> io::Result<()> {
        self.thread.get_or_init(thread::current);
        loop {
            event_loop.turn();
            if event_loop.is_over() {
                return Ok(());
            }
            if self.is_wanted.load(Ordering::Relaxed) {
                // Who calls from now on is seen: as a call under way, as a message, or by this.
                self.is_called.store(false, Ordering::SeqCst);
                if event_loop.is_quiet() && self.mailbox.leave() {
                    let mut place = self.place();
                    (place.event_loop, place.was_led) = (Some(event_loop), true);
                    drop(place);
                    match self.next() {
                        Some(taken) => event_loop = taken,
                        None => return Ok(()),
                    }
                    continue;
                }
            }
            event_loop.wait(None)?;
        }
    }

    /// Waits until the loop is the thread's to run again; `None` where it is over.
    fn next(&self) -> Option<Box<L>> {
        loop {
            thread::park_timeout(LEADS);
            let mut place = self.place();
            if place.is_over {
                return None;
            }
            let was_led = std::mem::take(&mut place.was_led);
            let is_called = place.is_given || self.is_called.load(Ordering::SeqCst);
            if (is_called || !was_led)
                && let Some(event_loop) = place.event_loop.take()
            {
                place.is_given = false;
                if is_called {
                    place.alone = 0;
                }
                // Until a caller waits alone once more.
                self.is_wanted.store(false, Ordering::Relaxed);
                return Some(event_loop);
            }
        }
    }

    /// Has the thread look at once.
    fn call(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}

impl<L: Runs> Leads for Lead<L> {
    fn ring(&self) {
        self.is_called.store(true, Ordering::SeqCst);
        self.mailbox.ring();
    }

    fn wait(&self, sleeper: &Sleeper) {
        let mut place = self.place();
        place.alone = if place.waiting == 0 { (place.alone + 1).min(ALONE) } else { 0 };
        self.is_wanted.store(place.alone >= ALONE, Ordering::Relaxed);
        place.waiting += 1;
        let event_loop = if place.is_given { None } else { place.event_loop.take() };
        place.was_led |= event_loop.is_some();
        drop(place);
        let mut waits = Waits { lead: self, event_loop, is_turning: false };
        if !waits.run(sleeper) {
            // Whoever runs the loop, or will, calls.
            waits.lay_down(true);
            self.mailbox.ring();
            sleeper.sleep();
        }
    }
}

/// A caller who waits, and the loop, where it runs that.
struct Waits<'a, L: Runs> {
    lead: &'a Lead<L>,
    event_loop: Option<Box<L>>,
    /// A panic would leave the loop halfway.
    is_turning: bool,
}

impl<L: Runs> Waits<'_, L> {
    /// Runs the loop until `sleeper` is called; whether it was.
    fn run(&mut self, sleeper: &Sleeper) -> bool {
        let Some(event_loop) = &mut self.event_loop else { return false };
        let mut until = None;
        loop {
            self.is_turning = true;
            let now = event_loop.turn();
            self.is_turning = false;
            if sleeper.is_called() {
                return true;
            }
            let left = until.get_or_insert(now + LEADS).saturating_since(now);
            if left.is_zero() || event_loop.is_over() {
                return false;
            }
            if sleeper.polls(&self.lead.waker) {
                let waited = event_loop.wait(Some(left));
                sleeper.has_polled();
                if waited.is_err() {
                    // Its calls end with it.
                    self.end();
                    return false;
                }
            }
        }
    }

    /// Lays the loop down, for its thread where it `gives` it or others need it.
    fn lay_down(&mut self, gives: bool) {
        let Some(event_loop) = self.event_loop.take() else { return };
        let lies = event_loop.is_at_rest() && self.lead.mailbox.leave();
        let mut place = self.lead.place();
        place.is_given =
            gives || !lies || place.waiting > 1 || self.lead.is_called.load(Ordering::SeqCst);
        place.event_loop = Some(event_loop);
        let is_given = place.is_given;
        drop(place);
        if is_given {
            self.lead.call();
        }
    }

    fn end(&mut self) {
        drop(self.event_loop.take());
        self.lead.place().is_over = true;
        self.lead.call();
    }
}

impl<L: Runs> Drop for Waits<'_, L> {
    fn drop(&mut self) {
        if self.is_turning {
            self.end();
        }
        self.lay_down(false);
        self.lead.place().waiting -= 1;
    }
}

/// What the loop's mailbox knows of it.
struct Called<L: Runs>(Weak<Lead<L>>);

impl<L: Runs> Keeper for Called<L> {
    fn defers(&self) -> bool {
        if block_on::defers(&self.0) {
            return true;
        }
        if let Some(lead) = self.0.upgrade() {
            lead.is_called.store(true, Ordering::SeqCst);
        }
        false
    }

    fn call(&self) {
        if let Some(lead) = self.0.upgrade() {
            lead.is_called.store(true, Ordering::SeqCst);
            lead.call();
        }
    }
}
