//! Which machine it is, and what its processors did meanwhile.

use std::fs;
use std::thread;

use serde::Serialize;

/// What it says of itself; empty where it says nothing.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Machine {
    pub(super) system: String,
    pub(super) processor: String,
    /// That this process may use.
    pub(super) processors: usize,
}

impl Machine {
    pub(super) fn this() -> Self {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = processors.lines().find_map(|line| line.strip_prefix("model name"));
        let model = model.unwrap_or_default().trim_start_matches([' ', '\t', ':']);
        Self {
            system: format!("{} {}", std::env::consts::OS, release.trim()).trim().to_owned(),
            processor: format!("{} {model}", std::env::consts::ARCH).trim().to_owned(),
            processors: thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

/// Of the time of all processors, in percent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Share {
    /// Other machines of the same host had them.
    pub(super) stolen: f64,
    /// Programs and the system had them.
    pub(super) busy: f64,
    /// The system served its devices.
    pub(super) interrupts: f64,
}

/// What all processors did since the machine began, in ticks (proc(5), `/proc/stat`).
#[derive(Clone, Debug)]
pub(super) struct Busy(Vec<u64>);

/// `None` where the system does not tell.
pub(super) fn busy() -> Option<Busy> {
    parsed(&fs::read_to_string("/proc/stat").ok()?)
}

fn parsed(stat: &str) -> Option<Busy> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    // user nice system idle iowait irq softirq steal; what guests had is in the first two.
    let ticks: Option<Vec<u64>> =
        line.split_whitespace().take(8).map(|ticks| ticks.parse().ok()).collect();
    ticks.filter(|ticks| ticks.len() == 8).map(Busy)
}

impl Busy {
    #[allow(clippy::cast_precision_loss)] // 2^53 ticks are a million years
    pub(super) fn since(&self, before: &Self) -> Share {
        let spent: Vec<f64> = self
            .0
            .iter()
            .zip(&before.0)
            .map(|(after, before)| after.saturating_sub(*before) as f64)
            .collect();
        let all = spent.iter().sum::<f64>().max(1.0);
        let percent = |which: &[usize]| {
            which.iter().filter_map(|at| spent.get(*at)).sum::<f64>() / all * 100.0
        };
        Share { stolen: percent(&[7]), busy: percent(&[0, 1, 2]), interrupts: percent(&[5, 6]) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_those_of_the_time_between() {
        let at = |line: &str| parsed(&format!("{line}\ncpu0 1 2 3\n")).unwrap();
        let (before, after) =
            (at("cpu  100 0 100 800 0 0 0 0 0 0"), at("cpu  130 0 120 830 5 3 2 10 7 0"));
        let share = after.since(&before);
        let expected = Share { stolen: 10.0, busy: 50.0, interrupts: 5.0 };
        assert_eq!(share, expected);
        assert!(parsed("cpu  1 2\n").is_none());
        assert!(parsed("").is_none());
    }
}
