//! Who runs where: a server apart from what loads it, as if each had a machine.

use std::process::{Command, Stdio};

use rustix::thread::{CpuSet, gettid, sched_getaffinity, sched_setaffinity};

/// Two cores of those that this process may use: one for a server, one for its load.
#[derive(Clone, Copy, Debug)]
pub struct Cores {
    /// The server's.
    pub server: usize,
    /// The load's.
    pub load: usize,
}

impl Cores {
    /// Two of them; `None` where there is only one.
    pub fn two() -> Option<Self> {
        let allowed = sched_getaffinity(None).expect("a process may know where it runs");
        let mut cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
        Some(Self { server: cores.next()?, load: cores.next()? })
    }

    /// What to put in front of the server: see [`Setup::within`](crate::Setup::within).
    pub fn server_prefix(self) -> [String; 3] {
        ["taskset".into(), "--cpu-list".into(), self.server.to_string()]
    }

    /// This thread, and those that it starts, run on the load's core from now on.
    pub fn run_load(self) {
        let mut only = CpuSet::new();
        only.set(self.load);
        sched_setaffinity(None, &only).expect("the core is one of those that are allowed");
    }
}

/// This thread runs from now on only where its core has nothing else to do.
pub fn give_way_to_all() {
    let thread = gettid().as_raw_nonzero().to_string();
    let mut command = Command::new("chrt");
    command.args(["--idle", "--pid", "0", &thread]).stdin(Stdio::null());
    let status = command.status().expect("`chrt` of util-linux is there");
    assert!(status.success(), "chrt: {status}");
}
