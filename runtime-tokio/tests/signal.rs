//! The signals that a service manager and a terminal send; a process of its own, for they are the
//! whole process's.
#![cfg(unix)]

use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};
use windhover_tokio::{Shutdown, shut_down_on_signal};

#[tokio::test]
async fn termination_and_interrupt_trigger_the_shutdown() {
    for signal in [Signal::TERM, Signal::INT] {
        let shutdown = Shutdown::new();
        shut_down_on_signal(&shutdown).unwrap();
        kill_process(getpid(), signal).unwrap();
        tokio::time::timeout(Duration::from_secs(10), shutdown.wait()).await.unwrap();
    }
}
