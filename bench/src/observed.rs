//! What the system tells of a process.

use std::fs;
use std::io;
use std::time::Duration;

/// A process by its id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    id: u32,
}

impl Process {
    pub(crate) const fn new(id: u32) -> Self {
        Self { id }
    }

    /// Its resident memory, in KiB.
    pub(crate) fn memory(self) -> io::Result<u64> {
        let path = format!("/proc/{}/status", self.id);
        let status = fs::read_to_string(&path)?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        resident
            .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
            .ok_or_else(|| io::Error::other(format!("{path} has no VmRSS")))
    }

    /// How long its threads have run, in the kernel and outside.
    pub(crate) fn processor_time(self) -> io::Result<Duration> {
        let path = format!("/proc/{}/stat", self.id);
        let stat = fs::read_to_string(&path)?;
        // The name, in parentheses, may hold anything; the fields behind it are numbers. `utime` and
        // `stime` are the 14th and the 15th of proc(5), whose third is the first here.
        let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace());
        let ticks = fields.and_then(|mut fields| {
            let user: u64 = fields.nth(11)?.parse().ok()?;
            let system: u64 = fields.next()?.parse().ok()?;
            Some(user + system)
        });
        let ticks = ticks.ok_or_else(|| io::Error::other(format!("{path} has no times")))?;
        let per_second = rustix::param::clock_ticks_per_second();
        Ok(Duration::from_micros(ticks.saturating_mul(1_000_000) / per_second.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_process_has_memory_and_spends_time() {
        let own = Process::new(std::process::id());
        let (memory, before) = (own.memory().unwrap(), own.processor_time().unwrap());
        let begun = Instant::now();
        while own.processor_time().unwrap() == before {
            assert!(begun.elapsed() < Duration::from_secs(20), "no time was spent");
        }
        assert!(memory > 100, "{memory} KiB");
    }

    #[test]
    fn a_process_that_is_gone_is_an_error() {
        let none = Process::new(u32::MAX);
        assert!(none.memory().is_err());
        assert!(none.processor_time().is_err());
    }
}
