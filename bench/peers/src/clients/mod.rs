//! Every client that is compared. A value that is not what was stored ends the run.

mod async_memcached;
mod memcache;
mod memcache_async;
mod raw;
mod windhover;

use std::thread::{self, JoinHandle};

use crate::work::{THREADS, Window, Work};

/// Threads that do their work until the window is over, and then give how many operations they did.
pub type Workers = Vec<JoinHandle<u64>>;

/// Starts `client` on its work.
///
/// # Panics
/// When there is no such client, or it has no way to do such work.
pub fn start(client: &str, work: Work, port: u16, window: Window) -> Workers {
    match client {
        "tokio" => windhover::tokio(work, port, window),
        "async-std" => windhover::async_std(work, port, window),
        "mio" => windhover::mio(work, port, window),
        "raw" => raw::start(work, port, window),
        "async-memcached" => async_memcached::start(work, port, window),
        "memcache" => memcache::start(work, port, window),
        "memcache-async" => memcache_async::start(work, port, window),
        _ => panic!("no such client: {client}"),
    }
}

/// One thread, or as many as the work has where each has a client of its own.
fn threads(work: Work, one: impl Fn() -> u64 + Clone + Send + 'static) -> Workers {
    let count = if work == Work::ThreadsApart { THREADS } else { 1 };
    (0..count).map(|_| thread::spawn(one.clone())).collect()
}

/// A runtime of tokio on the thread that waits for it.
fn current_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}
