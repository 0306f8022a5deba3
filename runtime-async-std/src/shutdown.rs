//! One signal to many tasks: come to an end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use event_listener::Event;

/// A handle to ask for the end, and to wait for being asked. Clones are handles to the same signal;
/// once triggered it stays so.
///
/// ```
/// use windhover_async_std::Shutdown;
///
/// # async_io::block_on(async {
/// let shutdown = Shutdown::new();
/// let other = shutdown.clone();
/// assert!(!other.is_triggered());
/// shutdown.trigger();
/// other.wait().await;
/// assert!(other.is_triggered());
/// # });
/// ```
#[derive(Clone, Debug, Default)]
pub struct Shutdown(Arc<State>);

#[derive(Debug, Default)]
struct State {
    triggered: AtomicBool,
    event: Event,
}

impl Shutdown {
    /// A signal that was not triggered.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks everything that waits to come to an end.
    pub fn trigger(&self) {
        self.0.triggered.store(true, Ordering::Release);
        self.0.event.notify(usize::MAX);
    }

    /// Whether it was triggered.
    pub fn is_triggered(&self) -> bool {
        self.0.triggered.load(Ordering::Acquire)
    }

    /// Waits until it is triggered.
    pub async fn wait(&self) {
        // Made before the flag is read, so that a trigger between the two is not missed.
        let listener = self.0.event.listen();
        if !self.is_triggered() {
            listener.await;
        }
    }
}
