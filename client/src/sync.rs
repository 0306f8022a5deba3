//! What threads meet at: the standard library's, or loom's, which goes through every order in which they can.

#[cfg(not(windhover_loom))]
pub(crate) use std::{
    sync::{Mutex, MutexGuard},
    thread_local,
};

#[cfg(windhover_loom)]
pub(crate) use loom::{
    sync::{Mutex, MutexGuard},
    thread_local,
};
