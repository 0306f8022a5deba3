//! `windhover load noise`: what this machine does to a thread that only wants to run, and to whoever waits for its
//! disk and its network.

mod gaps;
mod loopback;
mod machine;
mod memory;
mod page;
mod sync;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::Args;
use hdrhistogram::Histogram;
use serde::Serialize;

use super::error::LoadError;
use super::figures::{Times, micros};
use super::svg;

/// What this machine does to a thread that only wants to run.
///
/// Measures, one after the other: the gaps in the time of a thread that asks for the time and does nothing else, with what
/// the hypervisor took and with jumps of the clock; how long it takes until appended bytes are on the disk; round trips
/// over the loopback interface; how fast memory is copied. Run it while nothing else runs, and again beside what you run.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  windhover load noise --data /var/lib/windhover --seconds 60 --svg noise.svg

Exit codes: 0 when all was measured, 2 for a wrong command line, 3 when something could not be.")]
#[non_exhaustive]
pub struct LoadNoiseArgs {
    /// The folder whose disk is measured, such as the data directory of `serve`; a file is made there and removed. Without
    /// it no disk is
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// How long all of it takes
    #[arg(long, default_value = "10", value_name = "N", value_parser = seconds)]
    pub seconds: Duration,

    /// Write it to standard output as one line of JSON
    #[arg(long)]
    pub json: bool,

    /// Draw it
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

/// All of it. Times are in microseconds where the name does not say otherwise.
#[derive(Clone, Debug, Serialize)]
struct Noise {
    began: String,
    seconds: f64,
    machine: machine::Machine,
    /// Of the time of all processors; `None` where the system does not tell.
    processors: Option<machine::Share>,
    gaps: gaps::Gaps,
    clock: gaps::Clock,
    sync: Option<Distribution>,
    loopback: Distribution,
    memory: memory::Bandwidth,
    /// What this system does not tell, or was not asked for.
    not_seen: Vec<String>,
}

/// Percentiles of some thousand times, and the steps of their histogram.
#[derive(Clone, Debug, Serialize)]
struct Distribution {
    count: u64,
    times: Times,
    /// A time, and how many took no longer than it and longer than the one before.
    histogram: Vec<(f64, u64)>,
}

impl Distribution {
    /// Of a histogram of nanoseconds.
    fn of(histogram: &Histogram<u64>) -> Self {
        let steps = histogram.iter_recorded();
        let steps =
            steps.map(|it| (micros(it.value_iterated_to()), it.count_since_last_iteration()));
        Self { count: histogram.len(), times: Times::of(histogram), histogram: steps.collect() }
    }
}

/// Measures; what the process ends with.
pub(super) fn run(args: &LoadNoiseArgs) -> Result<u8, LoadError> {
    let noise = measure(args)?;
    let said = if args.json {
        serde_json::to_string(&noise).map_err(|error| LoadError::System(error.into()))?
    } else {
        page::text(&noise)
    };
    match writeln!(io::stdout().lock(), "{}", said.trim_end()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            return Err(LoadError::System(error));
        }
        _ => {}
    }
    if let Some(file) = &args.svg {
        let (title, charts) = page::charts(&noise);
        svg::write(file, &title, &charts)?;
    }
    Ok(0)
}

fn measure(args: &LoadNoiseArgs) -> Result<Noise, LoadError> {
    let began = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let system = LoadError::System;
    let before = machine::busy();
    let spun = gaps::spin(args.seconds.mul_f64(0.4));
    // What was taken from that thread, not what the disk below was waited for.
    let processors = before.zip(machine::busy()).map(|(before, after)| after.since(&before));
    let sync = match &args.data {
        Some(data) => {
            let measured = sync::measure(data, args.seconds.mul_f64(0.3));
            Some(measured.map_err(|source| LoadError::file(data, source))?)
        }
        None => None,
    };
    let loopback = loopback::measure(args.seconds.mul_f64(0.2)).map_err(system)?;
    let memory = memory::measure(args.seconds.mul_f64(0.1));
    let mut not_seen = Vec::new();
    if processors.is_none() {
        not_seen.push("what other machines took of the processors: Linux tells it".to_owned());
    }
    if sync.is_none() {
        not_seen.push("the disk: name a folder on it with --data".to_owned());
    }
    Ok(Noise {
        began,
        seconds: args.seconds.as_secs_f64(),
        machine: machine::Machine::this(),
        processors,
        gaps: spun.0,
        clock: spun.1,
        sync: sync.as_ref().map(Distribution::of),
        loopback: Distribution::of(&loopback),
        memory,
        not_seen,
    })
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.1..=86_400.0).contains(seconds));
    seconds
        .map(Duration::from_secs_f64)
        .ok_or_else(|| format!("`{text}` is no number of seconds from 0.1 to 86400"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_has_figures() {
        let folder = std::env::temp_dir().join(format!("windhover-noise-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let args = LoadNoiseArgs {
            data: Some(folder.clone()),
            seconds: Duration::from_millis(500),
            json: false,
            svg: None,
        };
        let noise = measure(&args).unwrap();
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0, "its file is removed");
        std::fs::remove_dir_all(&folder).unwrap();
        let sync = noise.sync.as_ref().unwrap();
        assert!(sync.count > 0 && sync.times.max >= sync.times.p50, "{sync:?}");
        assert!(noise.loopback.count > 10 && noise.loopback.times.p50 > 0.0);
        assert!(noise.memory.median > 0.01, "{:?}", noise.memory);
        assert!(noise.gaps.asked > 1000, "{:?}", noise.gaps);
        let text = page::text(&noise);
        for part in ["scheduling", "clock", "fsync", "loopback", "memory"] {
            assert!(text.contains(part), "{text}");
        }
        let (title, charts) = page::charts(&noise);
        assert!(!title.is_empty() && charts.len() == 1);
        let without = LoadNoiseArgs { data: None, ..args };
        let text = page::text(&measure(&without).unwrap());
        assert!(text.contains("not seen") && text.contains("--data"), "{text}");
    }

    #[test]
    fn a_folder_that_is_not_there_is_told() {
        let args = LoadNoiseArgs {
            data: Some("/nowhere/at/all".into()),
            seconds: Duration::from_millis(100),
            json: false,
            svg: None,
        };
        let error = measure(&args).unwrap_err();
        assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
        assert_eq!(error.exit_code(), 3);
    }
}
