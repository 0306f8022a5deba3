//! Memory and processor time: of the server's process, of this thread.

use std::io;
use std::time::Duration;

/// What a process has taken so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    /// Its own that is resident now. Files that are mapped, as its program is, have their pages come with first
    /// use: those would count for whatever was done first.
    pub(super) memory_kib: u64,
    pub(super) cpu: Duration,
}

/// What a process has taken so far, as Linux tells it (proc(5)).
#[cfg(target_os = "linux")]
pub(super) fn taken(process: u32) -> io::Result<Taken> {
    let no_number = |what: &str| io::Error::other(format!("/proc/{process} has no {what}"));
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let resident = |of: &str| {
        let rest = status.lines().find_map(|line| line.strip_prefix(of)?.strip_prefix(':'));
        rest.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
    };
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name may hold anything; the fields behind its parenthesis are numbers.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: Option<Vec<u64>> = fields.skip(11).take(2).map(|it| it.parse().ok()).collect();
    let ticks = ticks.ok_or_else(|| no_number("processor time"))?.into_iter().sum::<u64>();
    Ok(Taken {
        memory_kib: resident("RssAnon").ok_or_else(|| no_number("RssAnon"))?
            + resident("RssShmem").unwrap_or_default(),
        // Hundredths of a second for user space, whatever the kernel's own tick is.
        cpu: Duration::from_millis(ticks * 10),
    })
}

/// Nothing of it is told elsewhere.
#[cfg(not(target_os = "linux"))]
pub(super) fn taken(_process: u32) -> io::Result<Taken> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "--process reads /proc, which Linux has"))
}

/// The processor time of the thread that asks; `None` where the system does not tell.
#[cfg(target_os = "linux")]
// A thread's time is not negative.
#[allow(clippy::unnecessary_wraps)]
pub(super) fn own_time() -> Option<Duration> {
    use rustix::time::{ClockId, clock_gettime};
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).ok()
}

/// Not told elsewhere.
#[cfg(not(target_os = "linux"))]
pub(super) fn own_time() -> Option<Duration> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_takes_memory_and_time() {
        let own = std::process::id();
        assert!(taken(own).unwrap().memory_kib > 100);
        let before = own_time().unwrap();
        while own_time().unwrap() == before {}
    }

    #[test]
    fn a_process_that_is_gone_is_an_error() {
        assert!(taken(u32::MAX).is_err());
    }
}
