//! Records as they are accepted, for whoever looks on: the status page and `windhover tail`. While nobody does,
//! nothing is copied. Who is too slow misses records, and is told how many; nobody waits for them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use bytes::Bytes;

/// Bytes that wait for one who looks on, at most.
const WAITING: usize = 1024 * 1024;

/// Where accepted records are shown; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Feed(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    is_watched: AtomicBool,
    watchers: Mutex<Vec<Arc<Mutex<Watcher>>>>,
}

#[derive(Debug, Default)]
struct Watcher {
    records: VecDeque<Bytes>,
    bytes: usize,
    missed: u64,
    waker: Option<Waker>,
}

/// A look at the records that are accepted from its beginning on; it ends when it is dropped.
#[derive(Debug)]
pub struct Watch {
    feed: Feed,
    watcher: Arc<Mutex<Watcher>>,
}

/// What came since it was asked last.
#[derive(Debug, Default)]
pub struct Seen {
    /// Records, each one line of JSON, in order.
    pub records: VecDeque<Bytes>,
    /// How many were not kept, since nobody took them in time.
    pub missed: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Feed {
    /// Whether somebody looks on; costs nothing to ask.
    pub fn is_watched(&self) -> bool {
        self.0.is_watched.load(Ordering::Relaxed)
    }

    /// Begins to look on.
    pub fn watch(&self) -> Watch {
        let watcher = Arc::default();
        let mut watchers = lock(&self.0.watchers);
        watchers.push(Arc::clone(&watcher));
        self.0.is_watched.store(true, Ordering::Relaxed);
        Watch { feed: self.clone(), watcher }
    }

    /// Shows records.
    pub fn show(&self, records: &[Bytes]) {
        if records.is_empty() {
            return;
        }
        let mut wakers = Vec::new();
        for watcher in lock(&self.0.watchers).iter() {
            let mut watcher = lock(watcher);
            for record in records {
                if watcher.bytes + record.len() > WAITING {
                    watcher.missed += 1;
                } else {
                    watcher.bytes += record.len();
                    watcher.records.push_back(record.clone());
                }
            }
            wakers.extend(watcher.waker.take());
        }
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Watch {
    /// What came since the last time.
    pub fn take(&self) -> Seen {
        let mut watcher = lock(&self.watcher);
        watcher.bytes = 0;
        Seen {
            records: std::mem::take(&mut watcher.records),
            missed: std::mem::take(&mut watcher.missed),
        }
    }

    /// The same; `cx`'s waker is called for what comes next.
    pub fn poll(&self, cx: &Context<'_>) -> Seen {
        let seen = self.take();
        lock(&self.watcher).waker = Some(cx.waker().clone());
        seen
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watchers = lock(&self.feed.0.watchers);
        watchers.retain(|watcher| !Arc::ptr_eq(watcher, &self.watcher));
        self.feed.0.is_watched.store(!watchers.is_empty(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sees_what_comes_while_it_looks_on() {
        let feed = Feed::default();
        assert!(!feed.is_watched());
        feed.show(&[Bytes::from_static(b"before")]);
        let (first, second) = (feed.watch(), feed.watch());
        feed.show(&[Bytes::from_static(b"a"), Bytes::from_static(b"b")]);
        assert_eq!(first.take().records, ["a", "b"]);
        assert_eq!(first.take().records.len(), 0);
        drop(second);
        assert!(feed.is_watched());
        drop(first);
        assert!(!feed.is_watched());
    }

    #[test]
    fn who_is_slow_misses_what_has_no_room() {
        let feed = Feed::default();
        let watch = feed.watch();
        let record = Bytes::from(vec![b'x'; WAITING / 4]);
        for _ in 0..6 {
            feed.show(std::slice::from_ref(&record));
        }
        let seen = watch.take();
        assert_eq!((seen.records.len(), seen.missed), (4, 2));
        feed.show(&[record]);
        assert_eq!(watch.take().missed, 0);
    }
}
