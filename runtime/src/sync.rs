//! What threads meet at: the standard library's, or loom's, which goes through every order in which they can.

#[cfg(not(windhover_loom))]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, atomic};

#[cfg(windhover_loom)]
pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard, atomic};
