//! The places of the connections that may be open at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use event_listener::Event;
use windhover_core::Counters;

/// So many places, each taken by one connection.
#[derive(Debug)]
pub(crate) struct Room {
    most: usize,
    taken: AtomicUsize,
    left: Event,
}

impl Room {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most: most.max(1), taken: AtomicUsize::new(0), left: Event::new() })
    }

    /// Takes a place, as soon as there is one. To be awaited by one task only.
    pub(crate) async fn take(self: &Arc<Self>) -> Place {
        self.until(|taken| taken < self.most).await;
        self.taken.fetch_add(1, Ordering::AcqRel);
        Place(Arc::clone(self))
    }

    /// Waits until every place is free.
    pub(crate) async fn until_empty(&self) {
        self.until(|taken| taken == 0).await;
    }

    async fn until(&self, is_enough: impl Fn(usize) -> bool) {
        while !is_enough(self.taken.load(Ordering::Acquire)) {
            // Made before the number is read again, so that a place given back between the two is
            // not missed.
            let listener = self.left.listen();
            if is_enough(self.taken.load(Ordering::Acquire)) {
                return;
            }
            listener.await;
        }
    }
}

/// One place; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<Room>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::AcqRel);
        self.0.left.notify(usize::MAX);
    }
}

/// One of the open connections, counted for as long as it lives: also when it panics.
#[derive(Debug)]
pub(crate) struct Open {
    counters: Arc<Counters>,
    _place: Place,
}

impl Open {
    pub(crate) fn new(counters: Arc<Counters>, place: Place) -> Self {
        counters.accepted.fetch_add(1, Ordering::Release);
        Self { counters, _place: place }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.counters.closed.fetch_add(1, Ordering::Release);
    }
}
