//! The signals that a service manager and a terminal send; a process of its own, for they are the
//! whole process's.
#![cfg(unix)]

use std::time::{Duration, Instant};

use rustix::process::{Signal, getpid, kill_process};
use windhover_runtime::{Shutdown, shut_down_on_signal};

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
