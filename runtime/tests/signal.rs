//! The signals that a service manager and a terminal send; a process of its own, for they are the
//! whole process's.
#![cfg(unix)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Signal, getpid, kill_process};
use windhover_runtime::{Reload, Shutdown, shut_down_on_signal};

#[test]
fn termination_and_interrupt_trigger_the_shutdown() {
    for signal in [Signal::TERM, Signal::INT] {
        let shutdown = Shutdown::new();
        shut_down_on_signal(&shutdown).unwrap();
        kill_process(getpid(), signal).unwrap();
        let start = Instant::now();
        while !shutdown.is_triggered() {
            assert!(start.elapsed() < Duration::from_secs(10), "{signal:?} triggered nothing");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

#[test]
fn a_hang_up_calls_the_handlers_each_time() {
    let reload = Reload::on_signal().unwrap();
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    reload.register(move || {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    for expected in 1..=3 {
        kill_process(getpid(), Signal::HUP).unwrap();
        let start = Instant::now();
        while calls.load(Ordering::SeqCst) < expected {
            assert!(start.elapsed() < Duration::from_secs(10), "no handler was called");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}
