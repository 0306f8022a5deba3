//! Backups leave the processors to whoever else has something to do.

use std::io;

/// Has everything else go first that wants a processor: this thread, and those that it starts, run where one would have
/// nothing to do.
pub(super) fn give_way() {
    if let Err(error) = run_when_idle().or_else(|_| be_nice()) {
        tracing::debug!(%error, "backups are made at the same priority as all else");
    }
}

/// A low priority alone would not do: Linux (6.6 and later) lets a thread of any priority go on for up to some
/// milliseconds before another one that wakes up gets its turn, and the server's threads do little else than wake up.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "none of the crates in use has a safe form of it")]
fn run_when_idle() -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: it reads the parameters, which outlive it, and changes how this thread is scheduled, nothing else.
    match unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn run_when_idle() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(unix)]
fn be_nice() -> io::Result<()> {
    rustix::process::nice(10)?;
    Ok(())
}

#[cfg(not(unix))]
fn be_nice() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[cfg(test)]
mod tests {
    use super::*;

    /// The number of the policy, as `proc_pid_stat(5)` has it.
    fn policy() -> u32 {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        // Behind the name, which may have any characters, the fields are counted from the third.
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        fields.split(' ').nth(41 - 3).unwrap().parse().unwrap()
    }

    #[test]
    fn a_thread_that_gives_way_runs_when_nothing_else_does() {
        let (before, after) = std::thread::spawn(|| {
            let before = policy();
            give_way();
            (before, policy())
        })
        .join()
        .unwrap();
        assert_ne!(before, after);
        assert_eq!(i32::try_from(after), Ok(libc::SCHED_IDLE));
    }
}
