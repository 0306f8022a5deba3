//! The command line of `windhover load`.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::error::LoadError;
use super::figures::What;
use super::noise::LoadNoiseArgs;
use super::plan::{Pace, Plan};
use super::workload::cache::KeyDistribution;
use super::workload::queue::QueueOperations;

/// Put load on a server and measure it.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
pub struct LoadArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: LoadCommand,
}

/// What to put load on, or what to do with what was measured.
#[derive(Clone, Debug, Subcommand)]
#[non_exhaustive]
pub enum LoadCommand {
    /// Load a tracker with events
    Track(LoadTrackArgs),
    /// Load a cache with reads and writes
    Cache(LoadCacheArgs),
    /// Load a queue of kestrel's kind
    Queue(LoadQueueArgs),
    /// Say whether two loads differ by more than noise
    Compare(LoadCompareArgs),
    /// Show what this machine does to a thread that only wants to run
    Noise(LoadNoiseArgs),
}

/// Load a tracker with events.
///
/// A request is good when its answer has a status of 2xx and does not say `0`, which is the tracking API's "not
/// accepted". Events are recorded: point it at a server whose events nobody counts, or give a token of its own.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  windhover load track http://127.0.0.1:8080 --rate 20000
  windhover load track http://127.0.0.1:8080 --max --connections 256 --threads 2 --batch 50 --gzip
  windhover load track http://127.0.0.1:8080 --rate 500 --mix recorded.jsonl --duration 10m --save before.json

A line of a --mix file is a request as JSON, such as {\"path\":\"/track\",\"headers\":{\"Content-Type\":\
\"application/json\"},\"body\":\"[…]\",\"weight\":3}; see the documentation, \"Load and noise\".

Exit codes: 0 when every request had a good answer, 1 when one had not or the run was cut short, 2 for a wrong command \
line, 3 when nothing could be measured.")]
#[non_exhaustive]
pub struct LoadTrackArgs {
    /// Where it listens: `http://HOST[:PORT][/PATH]`; the path is `/track` if there is none
    #[arg(value_name = "URL")]
    pub url: String,

    /// When, how much, for how long.
    #[command(flatten)]
    pub pace: PaceArgs,

    /// Events in each request
    #[arg(long, default_value = "1", value_name = "N")]
    pub batch: NonZeroU32,

    /// Send JSON, compressed with gzip, and not a form
    #[arg(long)]
    pub gzip: bool,

    /// The token of the events
    #[arg(long, default_value = "windhover-load", value_name = "TOKEN")]
    pub token: String,

    /// A file of recorded requests, one as JSON in each line, to send instead
    #[arg(long, value_name = "FILE", conflicts_with_all = ["batch", "gzip", "token"])]
    pub mix: Option<PathBuf>,
}

/// Load a cache with reads and writes.
///
/// Every item is written once before, and each value that is read is compared with what was written. Keys begin with
/// `load:`; they stay there.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  windhover load cache 127.0.0.1:11211 --rate 50000 --keys 100000 --distribution zipf --size 10-1000
  windhover load cache 127.0.0.1:11211 --max --pipeline 16

Exit codes: 0 when every request had a good answer (a miss is one), 1 when one had not or the run was cut short, 2 for a \
wrong command line, 3 when nothing could be measured.")]
#[non_exhaustive]
pub struct LoadCacheArgs {
    /// Where it listens
    #[arg(value_name = "HOST[:PORT]")]
    pub address: String,

    /// When, how much, for how long.
    #[command(flatten)]
    pub pace: PaceArgs,

    /// How many keys there are
    #[arg(long, default_value = "10000", value_name = "N")]
    pub keys: NonZeroU32,

    /// How often which of them is asked for
    #[arg(long, value_enum, default_value_t)]
    pub distribution: KeyDistribution,

    /// Bytes of a value: a number, or LEAST-MOST, where each key has a size of its own
    #[arg(long, default_value = "100", value_name = "BYTES")]
    pub size: Sizes,

    /// Of a hundred requests, how many write
    #[arg(long, default_value = "10", value_name = "PERCENT", value_parser = percent)]
    pub set_percent: f64,

    /// Keys in a read
    #[arg(long, default_value = "1", value_name = "N")]
    pub multiget: NonZeroU32,

    /// Do not write every item before
    #[arg(long)]
    pub no_fill: bool,
}

/// Load a queue of kestrel's kind.
///
/// What is put there and not taken stays there; the figures say how many that are.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  windhover load queue 127.0.0.1:22133 --rate 5000
  windhover load queue 127.0.0.1:22133 --max --operations put-reserve --size 1000

Exit codes: 0 when every request had a good answer (\"empty\" is one), 1 when one had not or the run was cut short, 2 for \
a wrong command line, 3 when nothing could be measured.")]
#[non_exhaustive]
pub struct LoadQueueArgs {
    /// Where it listens
    #[arg(value_name = "HOST[:PORT]")]
    pub address: String,

    /// When, how much, for how long.
    #[command(flatten)]
    pub pace: PaceArgs,

    /// The queue's name
    #[arg(long, default_value = "load", value_name = "NAME", value_parser = queue_name)]
    pub queue: String,

    /// What each connection does, again and again
    #[arg(long, value_enum, default_value = "put-get")]
    pub operations: QueueOperations,

    /// Bytes of an item
    #[arg(long, default_value = "200", value_name = "BYTES")]
    pub size: usize,
}

/// Say whether two loads differ by more than noise.
///
/// Compares rate, p50 and p99 of the rounds of two files of `--save`, or of their runs where each has six (`--append`): how
/// often would rounds that were dealt out to both at random differ as much? What is seen by chance once in a hundred comparisons, or less, is a difference.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Example:
  windhover load queue old:22133 --max --save old.json --append
  windhover load queue new:22133 --max --save new.json --append
six times in turns, then
  windhover load compare old.json new.json

Exit codes: 0 when B is faster or no difference is shown, 1 when it is slower in one of the figures, 2 when the files cannot be \
compared or for a wrong command line, 3 when they cannot be read.")]
#[non_exhaustive]
pub struct LoadCompareArgs {
    /// What B is compared with
    #[arg(value_name = "A")]
    pub a: PathBuf,

    /// What is faster or slower
    #[arg(value_name = "B")]
    pub b: PathBuf,

    /// Write it to standard output as one line of JSON
    #[arg(long)]
    pub json: bool,
}

/// When requests are sent, how many, for how long; and what becomes of the figures.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
pub struct PaceArgs {
    /// Requests a second, of all connections together, at even distances, whether the server keeps up or not; a
    /// latency counts from when its request was due
    #[arg(long, default_value = "1000", value_name = "N", value_parser = rate, conflicts_with = "max")]
    pub rate: f64,

    /// As many as the server answers: each connection sends its next request when it has the answer to its last. A
    /// server that stalls is then asked less, and its latencies look better than what callers see
    #[arg(long)]
    pub max: bool,

    /// How many connections, of all threads together
    #[arg(long, default_value = "64", value_name = "N")]
    pub connections: NonZeroU32,

    /// Threads that send; give each a core that the server does not use
    #[arg(long, default_value = "1", value_name = "N")]
    pub threads: NonZeroU32,

    /// Requests of a connection that may wait for their answers; with --max they leave in one write, and the next ones
    /// when all are answered
    #[arg(long, default_value = "1", value_name = "N")]
    pub pipeline: NonZeroU32,

    /// How long to measure (`30s`, `5m`)
    #[arg(long, default_value = "30s", value_name = "TIME", value_parser = time)]
    pub duration: Duration,

    /// How long the same goes on before
    #[arg(long, default_value = "5s", value_name = "TIME", value_parser = time)]
    pub warmup: Duration,

    /// Into how many rounds the time is divided; `load compare` takes them for samples
    #[arg(long, default_value = "10", value_name = "N")]
    pub rounds: NonZeroU32,

    /// How long a connection, an answer, or a request that is due and finds no connection free may take
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = time)]
    pub timeout: Duration,

    /// The server's process, on this machine: its processor time and memory are told, too
    #[arg(long, value_name = "PID")]
    pub process: Option<u32>,

    /// How long the server is left alone before its memory is read
    #[arg(long, default_value = "500ms", value_name = "TIME", value_parser = time, requires = "process")]
    pub settle: Duration,

    /// Write the figures to standard output as one line of JSON
    #[arg(long)]
    pub json: bool,

    /// Draw latency and rate over the time
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,

    /// Keep the figures in a file, for `load compare`
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,

    /// Where that file exists, add this run to those in it
    #[arg(long, requires = "save")]
    pub append: bool,
}

impl PaceArgs {
    pub(super) fn plan(&self, address: SocketAddr) -> Result<Plan, LoadError> {
        let count = |count: NonZeroU32| count.get() as usize;
        let (connections, threads) = (count(self.connections), count(self.threads));
        if threads > connections {
            return Err(LoadError::Threads { threads, connections });
        }
        // Each round has to be long enough to be one.
        let least = Duration::from_millis(10) * self.rounds.get();
        if self.duration < least {
            return Err(LoadError::TooShort { rounds: self.rounds.get(), least });
        }
        if self.timeout.is_zero() {
            return Err(LoadError::NoTime);
        }
        Ok(Plan {
            address,
            pace: if self.max { Pace::Max } else { Pace::Rate(self.rate) },
            connections,
            threads,
            pipeline: count(self.pipeline),
            timeout: self.timeout,
            warm_up: self.warmup,
            duration: self.duration,
            rounds: self.rounds.get(),
        })
    }

    /// What the figures say of it; the protocol is to be filled in.
    pub(super) fn what(&self, address: SocketAddr) -> What {
        What {
            protocol: String::new(),
            address: address.to_string(),
            requests: String::new(),
            events_each: 1.0,
            rate: (!self.max).then_some(self.rate),
            connections: self.connections.get(),
            threads: self.threads.get(),
            pipeline: self.pipeline.get(),
        }
    }
}

/// Sizes of values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes(pub RangeInclusive<usize>);

impl FromStr for Sizes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (least, most) = text.split_once('-').unwrap_or((text, text));
        match (least.parse(), most.parse()) {
            (Ok(least), Ok(most)) if least <= most && most <= 1 << 30 => Ok(Self(least..=most)),
            _ => Err(format!("`{text}` is neither a number of bytes up to 1 GiB nor LEAST-MOST")),
        }
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.start(), self.0.end()) {
            (least, most) if least == most => write!(f, "{least}"),
            (least, most) => write!(f, "{least}-{most}"),
        }
    }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.001..=1e9).contains(rate));
    rate.ok_or_else(|| format!("`{text}` is no number of requests a second from 0.001 to 1e9"))
}

fn percent(text: &str) -> Result<f64, String> {
    let percent = text.parse().ok().filter(|percent| (0.0..=100.0).contains(percent));
    percent.ok_or_else(|| format!("`{text}` is no number from 0 to 100"))
}

/// Up to a day: a number of seconds, or as in `1m30s`.
fn time(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|it: &f64| (0.0..=86_400.0).contains(it));
    let time = seconds.map(Duration::from_secs_f64);
    let time = time.or_else(|| humantime::parse_duration(text).ok());
    time.filter(|time| *time <= Duration::from_secs(86_400))
        .ok_or_else(|| format!("`{text}` is no time of up to a day, such as 30s, 500ms or 5m"))
}

fn queue_name(text: &str) -> Result<String, String> {
    let checked = windhover_core::queue::check_name(text.as_bytes());
    checked.map(|()| text.to_owned()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_have_a_unit() {
        assert_eq!(time("30"), Ok(Duration::from_secs(30)));
        assert_eq!(time("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(time("1m30s"), Ok(Duration::from_secs(90)));
        assert!(time("2 days").is_err());
        assert!(time("soon").is_err());
    }

    #[test]
    fn sizes_are_one_or_two_numbers() {
        assert_eq!("100".parse(), Ok(Sizes(100..=100)));
        assert_eq!("10-1000".parse(), Ok(Sizes(10..=1000)));
        for bad in ["", "-", "9-1", "a", "1-2-3", "99999999999"] {
            assert!(bad.parse::<Sizes>().is_err(), "{bad}");
        }
    }
}
