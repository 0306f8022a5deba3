//! The signal by which an operator asks a process to read its files again.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

type Handler = Box<dyn FnMut() + Send>;

/// What is done when the process is asked to read its files again: certificates, passwords, and the like.
/// Clones are handles to the same list.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU32, Ordering};
///
/// use windhover_runtime::Reload;
///
/// let reload = Reload::new();
/// let count = Arc::new(AtomicU32::new(0));
/// let counted = Arc::clone(&count);
/// reload.register(move || {
///     counted.fetch_add(1, Ordering::Relaxed);
/// });
/// reload.run();
/// assert_eq!(count.load(Ordering::Relaxed), 1);
/// ```
#[derive(Clone, Default)]
pub struct Reload(Arc<Mutex<Vec<Handler>>>);

impl Reload {
    /// An empty list, which [`run`](Self::run) alone goes through.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty list that a thread goes through whenever the process is sent SIGHUP; systems without it
    /// have [`run`](Self::run) alone.
    ///
    /// From the return of this function on the signal no longer ends the process. Signals that come while
    /// the list is gone through are one more time.
    ///
    /// # Errors
    ///
    /// When the operating system refuses to have the signal caught, or the thread.
    #[cfg(feature = "signal")]
    pub fn on_signal() -> std::io::Result<Self> {
        let reload = Self::new();
        #[cfg(unix)]
        {
            use std::io::Read;

            let (mut caught, write) = std::os::unix::net::UnixStream::pair()?;
            signal_hook::low_level::pipe::register(signal_hook::consts::SIGHUP, write)?;
            let reload = reload.clone();
            let run = move || {
                // A byte for each signal, as many as have come.
                while caught.read(&mut [0; 64]).is_ok_and(|n| n > 0) {
                    reload.run();
                }
            };
            std::thread::Builder::new().name("reload".into()).spawn(run)?;
        }
        Ok(reload)
    }

    /// Adds `handler` at the list's end. It is called on a thread that it may block; what it finds wrong it
    /// says itself, and goes on with what it had.
    pub fn register(&self, handler: impl FnMut() + Send + 'static) {
        self.lock().push(Box::new(handler));
    }

    /// Calls every handler once, in their order. One that panics ends no other.
    pub fn run(&self) {
        // Not under the lock: a handler may register another one.
        let mut handlers = std::mem::take(&mut *self.lock());
        for handler in &mut handlers {
            // It was told by the panic's own hook.
            let _ = catch_unwind(AssertUnwindSafe(handler));
        }
        let mut list = self.lock();
        handlers.append(&mut list);
        *list = handlers;
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Handler>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Reload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reload").field("handlers", &self.lock().len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handlers_are_called_in_their_order_also_those_behind_one_that_panics() {
        let reload = Reload::new();
        let calls = Arc::new(Mutex::new(Vec::new()));
        for name in ["first", "second"] {
            let calls = Arc::clone(&calls);
            reload.register(move || {
                calls.lock().unwrap().push(name);
                assert_eq!(name, "second", "the first one fails");
            });
        }
        reload.run();
        reload.run();
        let called = calls.lock().unwrap_or_else(PoisonError::into_inner).clone();
        assert_eq!(called, ["first", "second", "first", "second"]);
    }

    #[test]
    fn a_handler_may_register_another_one() {
        let reload = Reload::new();
        let (inner, count) = (reload.clone(), Arc::new(Mutex::new(0)));
        let counted = Arc::clone(&count);
        reload.register(move || {
            let counted = Arc::clone(&counted);
            inner.register(move || *counted.lock().unwrap() += 1);
        });
        reload.run();
        assert_eq!(*count.lock().unwrap(), 0);
        reload.run();
        assert_eq!(*count.lock().unwrap(), 1);
    }
}
