//! What becomes of an event that is on its way into the journal, for whoever has sent it again meanwhile.

use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// What becomes of a put.
#[derive(Debug, Default)]
pub struct Fate(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    stored: Option<bool>,
    wakers: Vec<Waker>,
}

impl Fate {
    /// Whether it was stored; until that is known, `cx`'s waker will be called for it.
    pub fn poll(&self, cx: &Context<'_>) -> Poll<bool> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stored) = inner.stored {
            return Poll::Ready(stored);
        }
        if !inner.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            inner.wakers.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// It has ended; those who wait are added to `wakers`.
    pub(super) fn end(&self, stored: bool, wakers: &mut Vec<Waker>) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.stored = Some(stored);
        wakers.append(&mut inner.wakers);
    }
}
