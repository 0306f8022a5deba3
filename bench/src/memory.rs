//! The memory of a process.

use std::{fs, io};

/// All of it that is resident, in KiB: what an operator sees of the process.
pub(crate) fn resident(process: u32) -> io::Result<u64> {
    let path = format!("/proc/{process}/status");
    let status = fs::read_to_string(&path)?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    resident
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .ok_or_else(|| io::Error::other(format!("{path} has no VmRSS")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_memory() {
        let memory = resident(std::process::id()).unwrap();
        assert!(memory > 100, "{memory} KiB");
    }

    #[test]
    fn a_process_that_is_gone_is_an_error() {
        assert!(resident(u32::MAX).is_err());
    }
}
