//! The signals that a service manager and a terminal send; a process of its own, for they are the
//! whole process's.
#![cfg(unix)]

use std::process::Command;
use std::time::Duration;

use windhover_async_std::{Shutdown, shut_down_on_signal};

#[async_std::test]
async fn termination_and_interrupt_trigger_the_shutdown() {
    for signal in ["-TERM", "-INT"] {
        let shutdown = Shutdown::new();
        shut_down_on_signal(&shutdown).unwrap();
        let pid = std::process::id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        async_std::future::timeout(Duration::from_secs(10), shutdown.wait()).await.unwrap();
    }
}
