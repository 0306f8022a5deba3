//! `windhover relay`: moves queues among data directories, queue servers and NATS JetStream.
//!
//! Whatever it is killed by, a record is at one of both places: it is removed where it was once it has arrived. So
//! it may be run again, and some may then come twice, unless the place knows them again.

mod directory;
mod error;
mod place;
mod source;
#[cfg(feature = "nats")]
mod stream;

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};
#[cfg(feature = "nats")]
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use serde_json::json;
use windhover_client::Client;
use windhover_client::protocol::client::ClusterOptions;
use windhover_core::queue::check_name;
use windhover_runtime::Report;

use self::directory::Directory;
use self::error::system;
use self::source::{Drained, Keeping, MAX_RESERVED, ServedQueue};
#[cfg(feature = "nats")]
use self::stream::SubjectQueue;
use crate::cli::seconds;
#[cfg(feature = "nats")]
use crate::forward::jetstream::JetStream;
use crate::forward::pump::Pump;
use crate::forward::target::Target;
use crate::forward::{ForwardTo, kestrel};
use crate::runtime::{self, Driving};

pub use self::error::RelayError;
pub use self::place::RelayPlace;

/// How long to wait for a further record before it is asked whether there is none.
const WAIT: Duration = Duration::from_millis(50);
/// Between two tries of what failed.
const PAUSE: Duration = Duration::from_millis(200);
/// Between two lines on how far it is.
const EVERY: Duration = Duration::from_secs(10);

/// Move queues from one place to another.
///
/// A place is the data directory of a server that does not run, queue servers of kestrel's kind
/// (`kestrel://HOST[:PORT],…`), or a subject of NATS JetStream (`nats://HOST,…/SUBJECT`, as `serve --queue` has it; in
/// builds with the feature `nats`). A record is removed where it was once it has arrived; in JetStream it stays in its
/// stream for as long as the stream says, and is not moved again. It ends when nothing is left. When it is stopped or
/// killed, run it again: records may come twice then, in JetStream only after its window of de-duplication or
/// where they have no id.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Exit codes: 0 when everything was moved, 2 for a wrong command line, 3 when the journal is damaged (see `windhover \
repair`), 4 when another process uses the data directory, 5 when all was moved but what is too large for where it was \
to go, 1 for anything else; in each case what has not arrived is where it was.")]
#[non_exhaustive]
pub struct RelayArgs {
    /// Where they are
    #[arg(long, value_name = "PLACE")]
    pub from: RelayPlace,

    /// Where they are to go
    #[arg(long, value_name = "PLACE")]
    pub to: RelayPlace,

    /// A queue, which has the same name in both places; may be given often. With NATS, whose URL names the subject, it
    /// is that of the other place, and there is one
    #[arg(long = "queue", default_value = "events", value_name = "NAME")]
    pub queues: Vec<String>,

    /// How long nothing may arrive before it gives up
    #[arg(long, default_value = "60", value_name = "SECONDS", value_parser = seconds)]
    pub patience: Duration,

    /// Write what was done to standard output as one line of JSON
    #[arg(long)]
    pub json: bool,
}

/// What a relay did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RelayReport {
    /// Records that have arrived.
    pub moved: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Tries that failed.
    pub failed: u64,
    /// Records that are too large for where they were to go.
    pub refused: u64,
}

/// Runs it, and tells what came of it; what the process ends with.
pub fn run(args: &RelayArgs) -> u8 {
    let begun = Instant::now();
    let mut report = RelayReport::default();
    let ended = relay(args, &mut report);
    let took = begun.elapsed().as_secs_f64();
    let mut out = io::stdout().lock();
    // Whoever closed standard output does not want to read this.
    let _ = if args.json {
        let done = json!({
            "moved": report.moved, "bytes": report.bytes, "failed": report.failed, "refused": report.refused,
            "seconds": took, "complete": ended.is_ok(),
            "error": ended.as_ref().err().map(|error| Report::new(error).to_string()),
        });
        writeln!(out, "{done}")
    } else {
        let (moved, bytes) = (HumanCount(report.moved), HumanBytes(report.bytes));
        writeln!(out, "{moved} records moved, {bytes}, in {took:.1} s; {} refused", report.refused)
    };
    match ended {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("windhover: {}", Report::new(&error));
            error.exit_code()
        }
    }
}

/// Moves the queues; `report` has what was done, also when it fails.
///
/// # Errors
/// [`RelayError`]; what has not arrived is where it was.
pub fn relay(args: &RelayArgs, report: &mut RelayReport) -> Result<(), RelayError> {
    if args.from == args.to {
        return Err(RelayError::SamePlace);
    }
    let is_nats =
        |place: &RelayPlace| matches!(place, RelayPlace::Servers(ForwardTo::JetStream(_)));
    if args.queues.len() > 1 && (is_nats(&args.from) || is_nats(&args.to)) {
        return Err(RelayError::OneQueue);
    }
    for name in &args.queues {
        check_name(name.as_bytes())
            .map_err(|source| RelayError::QueueName { name: name.clone(), source })?;
    }
    let (from, to) = (Place::open(&args.from, true)?, Place::open(&args.to, false)?);
    let progress = Progress::new(&args.from, &args.to);
    let mut ended = Ok(());
    for queue in &args.queues {
        ended = move_queue(args, &from, to.target(queue.as_bytes()), queue, report, &progress);
        if ended.is_err() {
            break;
        }
    }
    from.close()?;
    to.close()?;
    ended?;
    if report.refused > 0 { Err(RelayError::Refused(report.refused)) } else { Ok(()) }
}

fn move_queue(
    args: &RelayArgs,
    from: &Place,
    target: Box<dyn Target>,
    queue: &str,
    report: &mut RelayReport,
    progress: &Progress,
) -> Result<(), RelayError> {
    match from {
        Place::Directory(directory) => {
            pump(directory.source(queue.as_bytes())?, target, args.patience, report, progress)
        }
        Place::Kestrel { client, .. } => {
            let run = random()?;
            let source = ServedQueue::new(client.queue(queue.as_bytes().to_vec()), run);
            pump(source, target, args.patience, report, progress)
        }
        #[cfg(feature = "nats")]
        Place::JetStream(nats, url) => {
            let source = SubjectQueue::new(Arc::clone(nats), (**url).clone());
            pump(source, target, args.patience, report, progress)
        }
    }
}

/// Moves until nothing is left.
fn pump<S>(
    source: S,
    target: Box<dyn Target>,
    patience: Duration,
    report: &mut RelayReport,
    progress: &Progress,
) -> Result<(), RelayError>
where
    S: Drained,
    S::Error: Display,
{
    let mut pump = Pump::new(Keeping { source, refused: Vec::new() }, target);
    let mut last_arrived = Instant::now();
    let mut why = "records did not arrive".to_owned();
    loop {
        let mut turned = pump.turn(WAIT).map_err(|error| error.to_string());
        if let Ok(turn) = &mut turned
            && turn.is_idle
        {
            let keeping = pump.source();
            // Those that are kept back are still there, and this is asked once they are all that is left.
            match keeping.source.is_drained() {
                Ok(is_drained) if is_drained || !keeping.refused.is_empty() => break,
                Ok(_) => "others have the records that are left".clone_into(&mut why),
                Err(error) => turned = Err(error.to_string()),
            }
        }
        match turned {
            Ok(turn) => {
                report.moved += turn.arrived as u64;
                report.bytes += turn.bytes;
                report.failed += turn.failed as u64;
                if turn.arrived > 0 {
                    last_arrived = Instant::now();
                }
                if let Some(rest) = turn.rest {
                    thread::sleep(rest);
                }
            }
            Err(error) => {
                why = error;
                thread::sleep(PAUSE);
            }
        }
        report.refused = report.refused.max(pump.source().refused.len() as u64);
        progress.tell(report);
        if last_arrived.elapsed() > patience {
            return Err(RelayError::Stuck { patience, why });
        }
    }
    report.refused = report.refused.max(pump.source().refused.len() as u64);
    Ok(())
}

fn random() -> Result<u128, RelayError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(io::Error::other).map_err(system("read random bytes"))?;
    Ok(u128::from_le_bytes(bytes))
}

/// A place that can be used.
enum Place {
    Directory(Box<Directory>),
    Kestrel {
        client: Client,
        _driving: Driving,
    },
    #[cfg(feature = "nats")]
    JetStream(Arc<JetStream>, Box<crate::forward::JetStreamUrl>),
}

impl Place {
    fn open(place: &RelayPlace, is_source: bool) -> Result<Self, RelayError> {
        match place {
            RelayPlace::Directory(path) => {
                Directory::open(path, is_source).map(Box::new).map(Self::Directory)
            }
            RelayPlace::Servers(ForwardTo::Kestrel(servers)) => {
                let builder = kestrel::client(servers).options(|options: &mut ClusterOptions| {
                    options.exclusive = MAX_RESERVED;
                });
                let connected = runtime::connect_alone(builder);
                let (client, driving) = connected.map_err(RelayError::System)?;
                Ok(Self::Kestrel { client, _driving: driving })
            }
            #[cfg(feature = "nats")]
            RelayPlace::Servers(ForwardTo::JetStream(url)) => {
                let nats = JetStream::start(url, !is_source);
                let nats = nats.map_err(system("connect to NATS"))?;
                Ok(Self::JetStream(Arc::new(nats), url.clone()))
            }
            #[cfg(not(feature = "nats"))]
            RelayPlace::Servers(ForwardTo::JetStream(_)) => {
                Err(system("connect to NATS")(io::ErrorKind::Unsupported.into()))
            }
        }
    }

    fn target(&self, queue: &[u8]) -> Box<dyn Target> {
        match self {
            Self::Directory(directory) => directory.target(queue),
            Self::Kestrel { client, .. } => kestrel::target(client, queue),
            #[cfg(feature = "nats")]
            Self::JetStream(nats, url) => nats.target(url.url().subject.clone()),
        }
    }

    fn close(self) -> Result<(), RelayError> {
        match self {
            Self::Directory(directory) => directory.close(),
            Self::Kestrel { .. } => Ok(()),
            #[cfg(feature = "nats")]
            Self::JetStream(..) => Ok(()),
        }
    }
}

/// How far it is, on standard error: a line that changes on a terminal, further lines elsewhere.
struct Progress {
    bar: Option<ProgressBar>,
    told: std::cell::Cell<Instant>,
}

impl Progress {
    fn new(from: &RelayPlace, to: &RelayPlace) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let style =
                ProgressStyle::with_template("{spinner} {msg} {human_pos} moved, {per_sec}");
            let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
            let bar = ProgressBar::new_spinner().with_style(style);
            bar.with_message(format!("{from} to {to}:"))
        });
        Self { bar, told: std::cell::Cell::new(Instant::now()) }
    }

    fn tell(&self, report: &RelayReport) {
        if let Some(bar) = &self.bar {
            bar.set_position(report.moved);
        } else if self.told.get().elapsed() >= EVERY {
            self.told.set(Instant::now());
            eprintln!("{} records moved, {}", HumanCount(report.moved), HumanBytes(report.bytes));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
