//! What goes on beside a test until it is told to end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::memory;

/// Something that is done on a thread until it is told to end.
#[derive(Debug)]
pub struct Until<T> {
    has_ended: Arc<AtomicBool>,
    thread: JoinHandle<T>,
}

impl<T: Send + 'static> Until<T> {
    /// Does it; it has to end soon after its flag is set.
    pub fn start(does: impl FnOnce(&AtomicBool) -> T + Send + 'static) -> Self {
        let has_ended = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let has_ended = Arc::clone(&has_ended);
            move || does(&has_ended)
        });
        Self { has_ended, thread }
    }

    /// Tells it to end, and what came of it.
    #[track_caller]
    pub fn end(self) -> T {
        self.has_ended.store(true, Ordering::Relaxed);
        self.thread.join().expect("it did what it had to")
    }
}

/// Watches the most [`memory`] that a process has in use, in bytes.
pub fn watch_memory(pid: u32) -> Until<u64> {
    Until::start(move |has_ended| {
        let mut most = 0;
        while !has_ended.load(Ordering::Relaxed) {
            most = most.max(memory(pid));
            thread::sleep(Duration::from_millis(20));
        }
        most
    })
}
