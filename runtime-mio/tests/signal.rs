//! The signals that a service manager and a terminal send; a process of its own, for they are the
//! whole process's.
#![cfg(unix)]

use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};
use windhover_mio::{Shutdown, shut_down_on_signal};

#[test]
fn termination_and_interrupt_trigger_the_shutdown() {
    for signal in [Signal::TERM, Signal::INT] {
        let shutdown = Shutdown::new();
        shut_down_on_signal(&shutdown).unwrap();
        kill_process(getpid(), signal).unwrap();
        let (sender, triggered) = channel();
        thread::spawn(move || {
            shutdown.wait();
            sender.send(())
        });
        triggered.recv_timeout(Duration::from_secs(10)).unwrap();
    }
}
