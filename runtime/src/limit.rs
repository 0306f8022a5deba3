//! The bound on connections: a fair semaphore for tasks and event loops alike.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};

use windhover_core::Counters;

use crate::sync::{Mutex, MutexGuard};

/// So many connections may be open at a time. Clones are handles to the same bound: listeners that
/// share one have that many together.
///
/// A permit that becomes free goes to whoever asked first: no listener's backlog waits for ever while
/// another one fills every gap.
///
/// ```
/// use std::future::Future;
/// use std::pin::pin;
/// use std::task::{Context, Waker};
///
/// use windhover_runtime::ConnectionLimit;
///
/// let limit = ConnectionLimit::new(1);
/// let mut cx = Context::from_waker(Waker::noop());
/// let mut first = limit.acquire();
/// let mut second = limit.acquire();
/// let permit = pin!(&mut first).poll(&mut cx);
/// assert!(permit.is_ready());
/// assert!(pin!(&mut second).poll(&mut cx).is_pending());
/// drop(permit);
/// assert!(pin!(&mut second).poll(&mut cx).is_ready());
/// ```
#[derive(Clone)]
pub struct ConnectionLimit(Arc<Shared>);

struct Shared {
    most: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Permits that are out, those that were granted but not yet fetched among them.
    taken: usize,
    /// Who asked, in order.
    waiting: VecDeque<(u64, Waker)>,
    /// Who was granted one that is not yet fetched.
    granted: Vec<u64>,
    /// Numbers those who ask.
    last: u64,
    /// Called when no permit is out.
    until_idle: Option<Waker>,
}

impl ConnectionLimit {
    /// Room for `connections` at a time, and for one at least.
    pub fn new(connections: usize) -> Self {
        Self(Arc::new(Shared { most: connections.max(1), state: Mutex::default() }))
    }

    /// Asks for a permit: ready once there is one. It is asked for when it is first polled.
    ///
    /// ```
    /// use std::future::Future;
    /// use std::pin::pin;
    /// use std::task::{Context, Poll, Waker};
    /// use windhover_runtime::{Acquire, ConnectionLimit, Permit};
    ///
    /// let limit = ConnectionLimit::new(1);
    /// let acquire: Acquire = limit.acquire();
    /// let mut cx = Context::from_waker(Waker::noop());
    /// let permit: Poll<Permit> = pin!(acquire).poll(&mut cx);
    /// assert!(permit.is_ready());
    /// // Who gives up waiting takes nothing with it.
    /// assert!(pin!(limit.acquire()).poll(&mut cx).is_pending());
    /// drop(permit);
    /// assert!(pin!(limit.acquire()).poll(&mut cx).is_ready());
    /// ```
    pub fn acquire(&self) -> Acquire {
        Acquire { limit: self.clone(), number: None }
    }

    /// Waits until no permit is out. One task at a time may.
    pub async fn until_idle(&self) {
        poll_fn(|cx| {
            let mut state = self.lock();
            if state.taken == 0 {
                return Poll::Ready(());
            }
            state.until_idle = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// A permit came back: it goes to the next who waits.
    fn release(&self) {
        let waker = {
            let mut state = self.lock();
            if let Some((number, waker)) = state.waiting.pop_front() {
                state.granted.push(number);
                Some(waker)
            } else {
                state.taken -= 1;
                if state.taken == 0 { state.until_idle.take() } else { None }
            }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that could panic runs under it.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ConnectionLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let taken = self.lock().taken;
        f.debug_struct("ConnectionLimit")
            .field("most", &self.0.most)
            .field("taken", &taken)
            .finish()
    }
}

/// Ready with a [`Permit`]; see [`ConnectionLimit::acquire`]. Dropped before, it lets the next one
/// have it.
#[derive(Debug)]
#[must_use = "futures do nothing unless they are awaited"]
pub struct Acquire {
    limit: ConnectionLimit,
    /// Its number among those who asked, while it waits.
    number: Option<u64>,
}

impl Future for Acquire {
    type Output = Permit;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Permit> {
        let this = &mut *self;
        let mut state = this.limit.lock();
        match this.number {
            None if state.taken < this.limit.0.most => state.taken += 1,
            None => {
                state.last += 1;
                let number = state.last;
                state.waiting.push_back((number, cx.waker().clone()));
                this.number = Some(number);
                return Poll::Pending;
            }
            Some(number) => {
                let Some(at) = state.granted.iter().position(|it| *it == number) else {
                    if let Some((_, waker)) = state.waiting.iter_mut().find(|it| it.0 == number) {
                        waker.clone_from(cx.waker());
                    }
                    return Poll::Pending;
                };
                state.granted.swap_remove(at);
                this.number = None;
            }
        }
        drop(state);
        Poll::Ready(Permit(this.limit.clone()))
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        let mut state = self.limit.lock();
        if let Some(at) = state.granted.iter().position(|it| *it == number) {
            state.granted.swap_remove(at);
            drop(state);
            self.limit.release();
        } else if let Some(at) = state.waiting.iter().position(|it| it.0 == number) {
            let waiting = state.waiting.remove(at);
            drop(state);
            drop(waiting);
        }
    }
}

/// Leave for one connection; given back when it is dropped.
#[derive(Debug)]
pub struct Permit(ConnectionLimit);

impl Permit {
    /// Counts the connection that was accepted, from now on until the permit is given back: also when
    /// what drives it panics.
    pub fn count(self, counters: Arc<Counters>) -> OpenConnection {
        counters.accepted.fetch_add(1, Ordering::Release);
        OpenConnection { counters, _permit: self }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.release();
    }
}

/// One of the open connections, counted for as long as it lives.
///
/// ```
/// use std::future::Future;
/// use std::pin::pin;
/// use std::sync::Arc;
/// use std::task::{Context, Poll, Waker};
/// use windhover_runtime::{ConnectionLimit, Counters, OpenConnection};
///
/// let (limit, counters) = (ConnectionLimit::new(1), Arc::new(Counters::default()));
/// let acquired = pin!(limit.acquire()).poll(&mut Context::from_waker(Waker::noop()));
/// let Poll::Ready(permit) = acquired else { panic!("there is one") };
/// let open: OpenConnection = permit.count(Arc::clone(&counters));
/// assert_eq!(counters.active(), 1);
/// drop(open);
/// assert_eq!(counters.active(), 0);
/// ```
#[derive(Debug)]
pub struct OpenConnection {
    counters: Arc<Counters>,
    _permit: Permit,
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.counters.closed.fetch_add(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
        Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn there_are_so_many_permits_and_no_more() {
        let limit = ConnectionLimit::new(2);
        for _ in 0..3 {
            let _both = [poll(&mut limit.acquire()), poll(&mut limit.acquire())];
            assert!(poll(&mut limit.acquire()).is_pending());
            assert_eq!(limit.lock().taken, 2);
        }
        assert_eq!(limit.lock().taken, 0);
        assert!(poll(&mut ConnectionLimit::new(0).acquire()).is_ready());
    }

    #[test]
    fn a_permit_goes_to_who_asked_first() {
        let limit = ConnectionLimit::new(1);
        let permit = poll(&mut limit.acquire());
        let (mut first, mut second) = (limit.acquire(), limit.acquire());
        assert!(poll(&mut first).is_pending());
        assert!(poll(&mut second).is_pending());
        drop(permit);
        // Whoever comes later does not overtake.
        assert!(poll(&mut limit.acquire()).is_pending());
        assert!(poll(&mut second).is_pending());
        let permit = poll(&mut first);
        assert!(permit.is_ready());
        drop(permit);
        assert!(poll(&mut second).is_ready());
    }

    #[test]
    fn who_has_gone_is_passed_over() {
        let limit = ConnectionLimit::new(1);
        let permit = poll(&mut limit.acquire());
        let [mut gone, mut granted, mut next] = [(); 3].map(|()| limit.acquire());
        for wait in [&mut gone, &mut granted, &mut next] {
            assert!(poll(wait).is_pending());
        }
        drop(gone);
        drop(permit);
        drop(granted);
        assert!(poll(&mut next).is_ready());
        assert_eq!(limit.lock().taken, 0);
    }

    #[test]
    fn idle_is_when_the_last_one_came_back() {
        let limit = ConnectionLimit::new(2);
        let both = [poll(&mut limit.acquire()), poll(&mut limit.acquire())];
        let mut idle = Box::pin(limit.until_idle());
        assert!(poll(&mut idle).is_pending());
        let [first, second] = both;
        drop(first);
        assert!(poll(&mut idle).is_pending());
        drop(second);
        assert!(poll(&mut idle).is_ready());
    }

    #[test]
    fn a_connection_is_counted_as_long_as_it_lives() {
        let counters = Arc::<Counters>::default();
        let limit = ConnectionLimit::new(1);
        let Poll::Ready(permit) = poll(&mut limit.acquire()) else { panic!("it is free") };
        let open = permit.count(Arc::clone(&counters));
        assert_eq!(counters.active(), 1);
        drop(open);
        assert_eq!((counters.active(), limit.lock().taken), (0, 0));
    }
}
