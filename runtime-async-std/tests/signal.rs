//! The signals that a service manager and a terminal send; a process of its own, for they are the
//! whole process's.
#![cfg(unix)]

use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};
use windhover_async_std::{Shutdown, shut_down_on_signal};

#[async_std::test]
async fn termination_and_interrupt_trigger_the_shutdown() {
    for signal in [Signal::TERM, Signal::INT] {
        let shutdown = Shutdown::new();
        shut_down_on_signal(&shutdown).unwrap();
        kill_process(getpid(), signal).unwrap();
        async_std::future::timeout(Duration::from_secs(10), shutdown.wait()).await.unwrap();
    }
}
