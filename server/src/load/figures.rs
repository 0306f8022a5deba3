//! What is known of a run when it is over, and the file in which it is kept.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::error::LoadError;

/// The version of the file.
pub(super) const FORMAT: u32 = 1;
/// How a run ended that was not cut short.
pub(super) const COMPLETE: &str = "complete";

/// Runs of one kind.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Saved {
    pub(super) format: u32,
    pub(super) what: What,
    pub(super) runs: Vec<Run>,
}

/// What was asked, of whom, how.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct What {
    pub(super) protocol: String,
    pub(super) address: String,
    pub(super) requests: String,
    pub(super) events_each: f64,
    /// Requests a second that were due; `None` in a closed loop.
    pub(super) rate: Option<f64>,
    pub(super) connections: u32,
    pub(super) threads: u32,
    pub(super) pipeline: u32,
}

/// One run. Times are in microseconds where the name does not say otherwise.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Run {
    /// When what was measured began.
    pub(super) began: String,
    pub(super) seconds: f64,
    pub(super) ended: String,
    /// Of the whole run, with its warm-up: each is good or failed.
    pub(super) requests: u64,
    pub(super) sent: u64,
    pub(super) good: u64,
    pub(super) failed: u64,
    pub(super) failures: BTreeMap<String, u64>,
    /// What the workload counts, of the whole run.
    pub(super) counts: BTreeMap<String, u64>,
    pub(super) connections_made_again: u64,
    pub(super) connection_failures: BTreeMap<String, u64>,
    /// Good answers, of what was measured.
    pub(super) per_second: f64,
    pub(super) events_per_second: f64,
    pub(super) latency: Times,
    /// Of an open loop.
    pub(super) from_sending: Option<Times>,
    /// Of an open loop.
    pub(super) sent_late: Option<Times>,
    pub(super) rounds: Vec<Round>,
    pub(super) parts: Vec<Round>,
    /// Latencies: a time, and how many took no longer than it and longer than the one before.
    pub(super) histogram: Vec<(f64, u64)>,
    /// How much of its cores' time the threads that send took.
    pub(super) generator_percent: Option<f64>,
    pub(super) server: Option<ServerFigures>,
}

/// Percentiles.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Times {
    pub(super) mean: f64,
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
    pub(super) p9999: f64,
    pub(super) max: f64,
}

/// A part of a run.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Round {
    pub(super) per_second: f64,
    pub(super) failed: u64,
    pub(super) mean: f64,
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
}

/// Of the server's process.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct ServerFigures {
    /// Processor time for each request that was answered.
    pub(super) cpu_us_each: f64,
    pub(super) memory_before_kib: u64,
    /// When every connection had had one answer.
    pub(super) memory_connected_kib: u64,
    pub(super) memory_after_kib: u64,
}

impl Saved {
    pub(super) fn read(file: &Path) -> Result<Self, LoadError> {
        let bytes = fs::read(file).map_err(|source| LoadError::file(file, source))?;
        let no_figures = |source| LoadError::NoFigures { file: file.to_owned(), source };
        let text = str::from_utf8(&bytes)
            .map_err(|error| no_figures(serde::de::Error::custom(error.to_string())))?;
        let saved: Self = serde_json::from_str(text).map_err(no_figures)?;
        if saved.format != FORMAT {
            let words = format!("format {}, this program knows {FORMAT}", saved.format);
            return Err(no_figures(serde::de::Error::custom(words)));
        }
        Ok(saved)
    }
}

impl What {
    /// Whether figures of both can stand side by side: all but where the server was.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let rates = (self.rate.map(f64::to_bits), other.rate.map(f64::to_bits));
        (&self.protocol, &self.requests) == (&other.protocol, &other.requests)
            && rates.0 == rates.1
            && (self.connections, self.pipeline) == (other.connections, other.pipeline)
    }
}

impl Times {
    /// Of a histogram of nanoseconds.
    pub(super) fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| micros(histogram.value_at_quantile(quantile));
        Self {
            mean: tenth(histogram.mean() / 1000.0),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            p9999: at(0.9999),
            max: micros(histogram.max()),
        }
    }
}

/// Nanoseconds as microseconds, to a tenth.
#[allow(clippy::cast_precision_loss)] // 2^53 ns are a hundred days
pub(super) fn micros(nanos: u64) -> f64 {
    tenth(nanos as f64 / 1000.0)
}

pub(super) fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
