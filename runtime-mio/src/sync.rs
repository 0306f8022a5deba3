//! What threads meet at: the standard library's, or loom's, which goes through every order in which they can.

#[cfg(not(windhover_loom))]
pub(crate) use std::sync::{Mutex, MutexGuard, atomic};
#[cfg(all(not(windhover_loom), feature = "client"))]
pub(crate) use std::{sync::atomic as seq_cst, thread, thread_local};

#[cfg(windhover_loom)]
pub(crate) use loom::sync::{Mutex, MutexGuard, atomic};

/// Atomics that all threads see change in one order (`SeqCst`). loom's are weaker than that: a lock around each is
/// not.
#[cfg(all(windhover_loom, feature = "client"))]
pub(crate) mod seq_cst {
    pub(crate) use super::atomic::Ordering;
    use super::{Mutex, MutexGuard};

    /// A value behind a lock.
    pub(crate) struct Atomic<T>(Mutex<T>);

    pub(crate) type AtomicBool = Atomic<bool>;
    pub(crate) type AtomicU8 = Atomic<u8>;

    impl<T: Copy + PartialEq> Atomic<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(Mutex::new(value))
        }

        pub(crate) fn load(&self, _: Ordering) -> T {
            *self.lock()
        }

        pub(crate) fn store(&self, value: T, _: Ordering) {
            *self.lock() = value;
        }

        pub(crate) fn swap(&self, value: T, _: Ordering) -> T {
            std::mem::replace(&mut *self.lock(), value)
        }

        pub(crate) fn compare_exchange(
            &self,
            from: T,
            to: T,
            _: Ordering,
            _: Ordering,
        ) -> Result<T, T> {
            let mut value = self.lock();
            let found = *value;
            if found != from {
                return Err(found);
            }
            *value = to;
            Ok(found)
        }

        fn lock(&self) -> MutexGuard<'_, T> {
            // Nothing that could panic runs under it.
            self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
        }
    }
}

/// Parking. loom's forgets that a thread was unparked which waited for a lock meanwhile.
#[cfg(all(windhover_loom, feature = "client"))]
pub(crate) mod thread {
    use std::sync::Arc;

    use loom::sync::{Condvar, Mutex};

    /// A thread, and whether it was unparked.
    #[derive(Clone, Default)]
    pub(crate) struct Thread(Arc<(Mutex<bool>, Condvar)>);

    loom::thread_local! {
        static CURRENT: Thread = Thread::default();
    }

    impl Thread {
        pub(crate) fn unpark(&self) {
            let (is_unparked, condition) = &*self.0;
            *is_unparked.lock().unwrap() = true;
            condition.notify_one();
        }
    }

    pub(crate) fn current() -> Thread {
        CURRENT.with(Thread::clone)
    }

    pub(crate) fn park() {
        let Thread(shared) = current();
        let (is_unparked, condition) = &*shared;
        let mut is_unparked = is_unparked.lock().unwrap();
        while !std::mem::take(&mut *is_unparked) {
            is_unparked = condition.wait(is_unparked).unwrap();
        }
    }

    /// No time passes in a model.
    pub(crate) fn park_timeout(_: std::time::Duration) {
        park();
    }
}

/// loom's takes no constants.
#[cfg(all(windhover_loom, feature = "client"))]
macro_rules! of_thread {
    ($(static $name:ident: $type:ty = const { $first:expr };)*) => {
        loom::thread_local! { $(static $name: $type = $first;)* }
    };
}
#[cfg(all(windhover_loom, feature = "client"))]
pub(crate) use of_thread as thread_local;
