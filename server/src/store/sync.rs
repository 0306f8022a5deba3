//! What threads meet at: the standard library's, or loom's, which goes through every order in which they can.

use std::time::Duration;

#[cfg(not(windhover_loom))]
pub(super) use std::{
    sync::{Condvar, Mutex, MutexGuard},
    thread,
};

#[cfg(windhover_loom)]
pub(super) use loom::{
    sync::{Condvar, Mutex, MutexGuard},
    thread,
};

use thread::JoinHandle;

/// What a thread ends with; it is waited for so long at most.
#[cfg(not(windhover_loom))]
pub(super) fn join_within<T>(
    thread: JoinHandle<T>,
    timeout: Duration,
) -> Option<std::thread::Result<T>> {
    let deadline = std::time::Instant::now() + timeout;
    while !thread.is_finished() {
        if std::time::Instant::now() >= deadline {
            return None;
        }
        thread::sleep(Duration::from_millis(1));
    }
    Some(thread.join())
}

/// The same in a model, in which no time passes.
#[cfg(windhover_loom)]
pub(super) fn join_within<T>(thread: JoinHandle<T>, _: Duration) -> Option<std::thread::Result<T>> {
    Some(thread.join())
}
