//! `windhover backup`: its arguments, and what it tells.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use indicatif::HumanBytes;
use serde::Serialize;
use windhover_runtime::Report;

use super::codec::Codec;
use super::continuous::{BackupStatus, Continuous, ContinuousOptions};
use super::create::{CreateOptions, Created, create};
use super::drill::{self, DrillReport};
use super::error::BackupError;
use super::key::BackupKey;
use super::location::BackupLocation;
use super::manifest::Manifest;
use super::progress::Progress;
use super::prune::{PruneReport, prune};
use super::repository::{Found, Repository};
use super::restore::{RestoreOptions, Restored, Which, restore};
use super::retention::Retention;
use super::throttle::Throttle;
use super::verify::{self, VerifyReport};
use crate::data::DataError;
use crate::journal::OsDirectory;

/// What the process ends with when something that was looked at is damaged.
const DAMAGED: u8 = 3;

/// Copy the journal elsewhere while a server writes it, and restore from there.
///
/// Without a further word, a backup is made: what is new since the last one is copied, up to where the journal was
/// safely on the disk. A server may run on the data directory, and is not held up.
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_help = "\
Exit codes: 0 when it was done, 3 when the journal or a backup is damaged, 4 when the directory to restore to is in \
use or not empty, 5 when another backup or prune was faster (run it again), 6 when the journal is given up faster \
than it can be copied, 7 when the backups there are of another journal, 10 when there is no such backup, 11 when \
the destination fails, 12 when the key is missing or wrong, 2 for a wrong command line, 1 for anything else.")]
#[non_exhaustive]
pub struct BackupArgs {
    /// What else to do.
    #[command(subcommand)]
    pub command: Option<BackupCommand>,

    /// What to copy, and where to.
    #[command(flatten)]
    pub create: CreateArgs,
}

/// What to do with backups.
#[derive(Clone, Debug, Subcommand)]
#[non_exhaustive]
pub enum BackupCommand {
    /// List the backups
    List(ListArgs),
    /// Read backups back, and say whether everything is there and as it was stored
    Verify(VerifyArgs),
    /// Restore a backup into a new data directory
    Restore(RestoreArgs),
    /// Delete backups that are not to be kept, and what only they need
    Prune(PruneArgs),
    /// Restore a backup for practice, open the queues on it, and compare them with what was backed up
    Drill(DrillArgs),
}

/// How to tell what was done.
#[derive(Clone, Copy, Debug, Args)]
#[non_exhaustive]
pub struct OutputArgs {
    /// Tell it as JSON, in one line
    #[arg(long)]
    pub json: bool,

    /// Tell nothing of how far it is
    #[arg(long)]
    pub quiet: bool,
}

/// Where the key is.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
pub struct KeyArgs {
    /// The file with the key that backups are encrypted with: 64 hexadecimal digits, as `openssl rand -hex 32`
    /// writes them. Without the key nothing can be restored: keep a copy of it elsewhere
    #[arg(long, env = "WINDHOVER_BACKUP_KEY_FILE", value_name = "FILE")]
    pub key_file: Option<PathBuf>,
}

/// Where a bucket's store is.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
pub struct EndpointArgs {
    /// The URL of the bucket's store, when that is not AWS's. Credentials and region are those of the environment
    /// (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, …)
    #[arg(long, env = "WINDHOVER_BACKUP_ENDPOINT", value_name = "URL")]
    pub endpoint: Option<String>,
}

/// Where backups are.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
pub struct FromArgs {
    /// Where the backups are: a directory, or `s3://BUCKET/PREFIX`
    #[arg(long, env = "WINDHOVER_BACKUP_TO", value_name = "DEST")]
    pub from: BackupLocation,

    /// Where the bucket's store is.
    #[command(flatten)]
    pub endpoint: EndpointArgs,

    /// The key.
    #[command(flatten)]
    pub key: KeyArgs,

    /// How to tell it.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What to copy, and where to.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
pub struct CreateArgs {
    /// The data directory, as given to `serve`
    #[arg(long, env = "WINDHOVER_DATA", default_value = "./windhover-data", value_name = "DIR")]
    pub data: PathBuf,

    /// Where to copy to: a directory, best on another machine's disk, which is made when it is not there; or
    /// `s3://BUCKET/PREFIX`
    #[arg(long, env = "WINDHOVER_BACKUP_TO", required = true, value_name = "DEST")]
    pub to: Option<BackupLocation>,

    /// Where the bucket's store is.
    #[command(flatten)]
    pub endpoint: EndpointArgs,

    /// Most bytes to send in a second, on the average
    #[arg(
        long,
        env = "WINDHOVER_BACKUP_BANDWIDTH",
        value_name = "BYTES",
        value_parser = clap::value_parser!(u64).range(1024..)
    )]
    pub bandwidth: Option<u64>,

    /// The backups at the destination may be of another journal, or of a later state of this one, as after a
    /// restore from an earlier backup
    #[arg(long)]
    pub other_journal: bool,

    /// The key.
    #[command(flatten)]
    pub key: KeyArgs,

    /// How to tell it.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// List the backups.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
pub struct ListArgs {
    /// Where they are.
    #[command(flatten)]
    pub from: FromArgs,
}

/// Read backups back.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
pub struct VerifyArgs {
    /// Where they are.
    #[command(flatten)]
    pub from: FromArgs,

    /// The backup to look at, by its number; all of them if there is none
    #[arg(long, value_name = "N")]
    pub backup: Option<u64>,

    /// How much of it to read back, at random: `5%`. Whether all is there and as long as it should be is looked at
    /// in any case
    #[arg(long, default_value = "100%", value_name = "PERCENT", value_parser = percent)]
    pub sample: f64,
}

/// Restore a backup.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
pub struct RestoreArgs {
    /// Where the backups are.
    #[command(flatten)]
    pub from: FromArgs,

    /// The directory to restore to: new, or empty, or one with the beginnings of the same restore
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,

    /// The backup, by its number; the last one if there is none
    #[arg(long, value_name = "N", conflicts_with = "at")]
    pub backup: Option<u64>,

    /// The last backup of that time or before: `2026-11-29T21:00:00Z`
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub at: Option<u64>,

    /// Restore the items of this queue alone
    #[arg(long, value_name = "NAME")]
    pub queue: Option<String>,
}

/// Delete backups.
#[derive(Clone, Copy, Debug, Args)]
#[group(required = true, multiple = true)]
#[non_exhaustive]
pub struct KeepArgs {
    /// Keep the last N
    #[arg(long = "keep-last", value_name = "N")]
    pub last: Option<usize>,

    /// Keep the last of each of N hours
    #[arg(long = "keep-hourly", value_name = "N")]
    pub hourly: Option<usize>,

    /// Keep the last of each of N days, in UTC
    #[arg(long = "keep-daily", value_name = "N")]
    pub daily: Option<usize>,

    /// Keep the last of each of N weeks
    #[arg(long = "keep-weekly", value_name = "N")]
    pub weekly: Option<usize>,

    /// Keep the last of each of N months
    #[arg(long = "keep-monthly", value_name = "N")]
    pub monthly: Option<usize>,
}

/// Delete backups that are not to be kept, and what only they need.
///
/// The last one is kept in any case. A backup that runs meanwhile is not harmed; it may have to be run again.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
pub struct PruneArgs {
    /// Where they are.
    #[command(flatten)]
    pub from: FromArgs,

    /// Which to keep.
    #[command(flatten)]
    pub keep: KeepArgs,

    /// Say what would go, and delete nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Restore a backup for practice.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
pub struct DrillArgs {
    /// Where the backups are.
    #[command(flatten)]
    pub from: FromArgs,

    /// The backup, by its number; the last one if there is none
    #[arg(long, value_name = "N")]
    pub backup: Option<u64>,

    /// The folder below which it is restored for a while; that of the system for temporary files if there is none
    #[arg(long, value_name = "DIR")]
    pub temporary: Option<PathBuf>,
}

/// What `serve` makes of its own journal.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
pub struct ContinuousArgs {
    /// Where to copy the journal to, again and again: a directory, best on another machine's disk, or
    /// `s3://BUCKET/PREFIX`. Segments are sent when they are closed, and what is new in the last one every
    /// --backup-every
    #[arg(long, env = "WINDHOVER_BACKUP_TO", value_name = "DEST")]
    pub backup_to: Option<BackupLocation>,

    /// The URL of the bucket's store, when that is not AWS's. Credentials and region are those of the environment
    #[arg(long, env = "WINDHOVER_BACKUP_ENDPOINT", value_name = "URL")]
    pub backup_endpoint: Option<String>,

    /// How long from one backup to the next: `60s`, `5m`
    #[arg(
        long,
        env = "WINDHOVER_BACKUP_EVERY",
        default_value = "60s",
        value_name = "TIME",
        value_parser = interval
    )]
    pub backup_every: Duration,

    /// The file with the key that backups are encrypted with: 64 hexadecimal digits, as `openssl rand -hex 32`
    /// writes them
    #[arg(long, env = "WINDHOVER_BACKUP_KEY_FILE", value_name = "FILE")]
    pub backup_key_file: Option<PathBuf>,

    /// Most bytes of backups to send in a second, on the average
    #[arg(
        long,
        env = "WINDHOVER_BACKUP_BANDWIDTH",
        value_name = "BYTES",
        value_parser = clap::value_parser!(u64).range(1024..)
    )]
    pub backup_bandwidth: Option<u64>,
}

impl ContinuousArgs {
    /// The destination; `None` when no backups are asked for.
    ///
    /// # Errors
    /// [`BackupError`] when the key cannot be read. The destination may be away: that is told later.
    pub fn open(&self) -> Result<Option<Repository>, BackupError> {
        let key = KeyArgs { key_file: self.backup_key_file.clone() };
        let endpoint = EndpointArgs { endpoint: self.backup_endpoint.clone() };
        let to = self.backup_to.as_ref();
        to.map(|to| open(to, &endpoint, &key, self.backup_bandwidth)).transpose()
    }

    /// Starts making backups of the journal in that data directory.
    ///
    /// # Errors
    /// Those of the file system, and when the operating system gives no thread.
    pub(crate) fn start(
        &self,
        repository: Repository,
        data: &Path,
        status: BackupStatus,
        written: impl Fn() -> u64 + Send + 'static,
    ) -> io::Result<Continuous> {
        let journal = OsDirectory::existing(&data.join("journal"))?;
        let options = ContinuousOptions { every: self.backup_every };
        Continuous::start(journal, repository, options, status, written)
    }
}

fn interval(value: &str) -> Result<Duration, String> {
    let seconds = value.parse().ok().map(Duration::from_secs);
    let interval = seconds.or_else(|| humantime::parse_duration(value).ok());
    let interval = interval.filter(|it| (1..=30 * 86_400).contains(&it.as_secs()));
    interval.ok_or_else(|| format!("`{value}` is no time from 1s to 30d, such as 60s"))
}

fn percent(value: &str) -> Result<f64, String> {
    let number = value.strip_suffix('%').unwrap_or(value).trim().parse().ok();
    let number = number.filter(|number: &f64| (0.0..=100.0).contains(number));
    number.ok_or_else(|| format!("`{value}` is no percentage from 0% to 100%"))
}

fn time(value: &str) -> Result<u64, String> {
    let time = humantime::parse_rfc3339_weak(value).ok();
    let since = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let millis = since.and_then(|since| u64::try_from(since.as_millis()).ok());
    millis.ok_or_else(|| format!("`{value}` is no time such as 2026-11-29T21:00:00Z"))
}

/// Milliseconds since 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Runs the command; what the process ends with.
pub fn run(args: &BackupArgs) -> u8 {
    let done = match &args.command {
        None => make(&args.create),
        Some(BackupCommand::List(args)) => list(args),
        Some(BackupCommand::Verify(args)) => look(args),
        Some(BackupCommand::Restore(args)) => bring_back(args),
        Some(BackupCommand::Prune(args)) => tidy(args),
        Some(BackupCommand::Drill(args)) => practise(args),
    };
    done.unwrap_or_else(|error| {
        eprintln!("windhover: {}", Report::new(&error));
        error.exit_code()
    })
}

impl FromArgs {
    fn open(&self) -> Result<Repository, BackupError> {
        open(&self.from, &self.endpoint, &self.key, None)
    }

    fn progress(&self, what: &'static str) -> Progress {
        self.output.progress(what)
    }
}

impl OutputArgs {
    fn progress(self, what: &'static str) -> Progress {
        if self.quiet { Progress::silent() } else { Progress::new(what) }
    }

    fn tell<T: Serialize>(self, told: &T, lines: &[(&str, &dyn Display)]) {
        if self.json {
            println!("{}", serde_json::to_string(told).unwrap_or_default());
            return;
        }
        let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in lines {
            println!("{name:width$}  {value}");
        }
    }
}

fn open(
    location: &BackupLocation,
    endpoint: &EndpointArgs,
    key: &KeyArgs,
    bandwidth: Option<u64>,
) -> Result<Repository, BackupError> {
    let key = key.key_file.as_deref().map(BackupKey::read).transpose()?;
    let destination =
        location.open(endpoint.endpoint.as_deref(), Arc::new(Throttle::new(bandwidth)))?;
    Ok(Repository::new(destination, Codec::new(key)))
}

/// A time as people read it.
fn date(millis: u64) -> String {
    // Up to where years have four digits.
    let time = UNIX_EPOCH + Duration::from_millis(millis.min(253_402_300_799_000));
    // To the millisecond, so that what is shown can be asked for by `--at`.
    humantime::format_rfc3339_millis(time).to_string()
}

fn or_dash(value: Option<u64>) -> String {
    value.map_or("-".to_owned(), |value| value.to_string())
}

fn make(args: &CreateArgs) -> Result<u8, BackupError> {
    let wanted = || BackupError::NoBackup { wanted: "destination".to_owned() };
    let to = args.to.as_ref().ok_or_else(wanted)?;
    let repository = open(to, &args.endpoint, &args.key, args.bandwidth)?;
    let journal = args.data.join("journal");
    let directory = OsDirectory::existing(&journal)
        .map_err(|source| DataError::Io { path: journal.clone(), source })?;
    let options = CreateOptions { other_journal: args.other_journal, skip_unchanged: false };
    let mut progress = args.output.progress("copied");
    let created: Created = create(directory, &repository, options, &now, &mut progress)?;
    drop(progress);
    args.output.tell(
        &created,
        &[
            ("backup", &created.sequence),
            ("taken", &date(created.taken)),
            ("cut", &created.cut),
            ("parent", &or_dash(created.parent)),
            ("segments", &created.segments),
            ("journal", &HumanBytes(created.bytes)),
            ("read", &HumanBytes(created.read)),
            ("sent", &HumanBytes(created.sent)),
            ("records", &created.records),
            ("items", &or_dash(created.items)),
        ],
    );
    Ok(0)
}

/// A backup in a list.
#[derive(Debug, Serialize)]
struct Line {
    backup: u64,
    taken: String,
    cut: String,
    parent: Option<u64>,
    segments: usize,
    bytes: u64,
    stored: u64,
    items: Option<u64>,
}

impl From<&Found<Manifest>> for Line {
    fn from(found: &Found<Manifest>) -> Self {
        let manifest = &found.entry;
        Self {
            backup: manifest.sequence,
            taken: date(manifest.taken),
            cut: manifest.cut.to_string(),
            parent: manifest.parent.as_ref().map(|parent| parent.sequence),
            segments: manifest.segments.len(),
            bytes: manifest.bytes(),
            stored: manifest.stored(),
            items: manifest.items(),
        }
    }
}

fn list(args: &ListArgs) -> Result<u8, BackupError> {
    let repository = args.from.open()?;
    let found = repository.manifests(&repository.log()?)?;
    if found.is_empty() {
        return Err(BackupError::NoBackup { wanted: "backup".to_owned() });
    }
    let lines: Vec<Line> = found.iter().map(Line::from).collect();
    if args.from.output.json {
        println!("{}", serde_json::to_string(&lines).unwrap_or_default());
        return Ok(0);
    }
    println!("backup\ttaken\tcut\tsegments\tbytes\tstored\titems");
    for Line { backup, taken, cut, segments, bytes, stored, items, .. } in lines {
        let items = or_dash(items);
        println!("{backup}\t{taken}\t{cut}\t{segments}\t{bytes}\t{stored}\t{items}");
    }
    Ok(0)
}

fn look(args: &VerifyArgs) -> Result<u8, BackupError> {
    let repository = args.from.open()?;
    let mut progress = args.from.progress("read back");
    let report: VerifyReport =
        verify::verify(&repository, args.backup, args.sample, &mut progress)?;
    drop(progress);
    verify::note(&repository, &report, now())?;
    let verdict = if report.faults.is_empty() { "good" } else { "damaged" };
    args.from.output.tell(
        &report,
        &[
            ("backups", &report.backups.len()),
            ("objects", &report.objects),
            ("read back", &report.read),
            ("bytes", &HumanBytes(report.read_bytes)),
            ("verdict", &verdict),
        ],
    );
    if report.faults.is_empty() {
        return Ok(0);
    }
    for fault in &report.faults {
        eprintln!("windhover: {fault}");
    }
    Ok(DAMAGED)
}

fn bring_back(args: &RestoreArgs) -> Result<u8, BackupError> {
    let repository = args.from.open()?;
    let which = match (args.backup, args.at) {
        (Some(number), _) => Which::Number(number),
        (None, Some(at)) => Which::At(at),
        (None, None) => Which::Newest,
    };
    let options = RestoreOptions { which, queue: args.queue.clone() };
    let mut progress = args.from.progress("restored");
    let restored: Restored = restore(&repository, &args.data, &options, &mut progress)?;
    drop(progress);
    args.from.output.tell(
        &restored,
        &[
            ("backup", &restored.sequence),
            ("taken", &date(restored.taken)),
            ("cut", &restored.cut),
            ("segments", &restored.segments),
            ("journal", &HumanBytes(restored.bytes)),
            ("items", &restored.items),
        ],
    );
    Ok(0)
}

fn tidy(args: &PruneArgs) -> Result<u8, BackupError> {
    let repository = args.from.open()?;
    let keep = &args.keep;
    let retention = Retention {
        last: keep.last.unwrap_or(0),
        hourly: keep.hourly.unwrap_or(0),
        daily: keep.daily.unwrap_or(0),
        weekly: keep.weekly.unwrap_or(0),
        monthly: keep.monthly.unwrap_or(0),
    };
    let mut progress = args.from.progress("deleted");
    let report: PruneReport = prune(&repository, &retention, args.dry_run, now(), &mut progress)?;
    drop(progress);
    let list = |numbers: &[u64]| {
        let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
        if numbers.is_empty() { "-".to_owned() } else { numbers.join(" ") }
    };
    let (gone, bytes) =
        if report.dry_run { ("would delete", "would free") } else { ("deleted", "freed") };
    args.from.output.tell(
        &report,
        &[
            ("kept", &list(&report.kept)),
            (gone, &list(&report.deleted)),
            ("objects", &report.objects),
            (bytes, &HumanBytes(report.bytes)),
            ("left", &HumanBytes(report.left)),
        ],
    );
    Ok(0)
}

fn practise(args: &DrillArgs) -> Result<u8, BackupError> {
    let repository = args.from.open()?;
    let folder = args.temporary.clone().unwrap_or_else(std::env::temp_dir);
    let which = args.backup.map_or(Which::Newest, Which::Number);
    let mut progress = args.from.progress("restored");
    let report: DrillReport = drill::drill(&repository, &folder, which, &mut progress)?;
    drop(progress);
    drill::note(&repository, &report, now())?;
    let compared = if report.counted { "records and items" } else { "records" };
    args.from.output.tell(
        &report,
        &[
            ("backup", &report.sequence),
            ("segments", &report.segments),
            ("records", &report.records),
            ("queues", &report.queues.len()),
            ("items", &report.items),
            ("compared", &compared),
            ("milliseconds", &report.milliseconds),
            ("verdict", &"good"),
        ],
    );
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_a_percentage() {
        assert_eq!(percent("5%"), Ok(5.0));
        assert_eq!(percent("0.5 %"), Ok(0.5));
        assert_eq!(percent("100"), Ok(100.0));
        for wrong in ["101%", "-1%", "NaN", "all", ""] {
            assert!(percent(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_interval_has_a_unit_or_is_in_seconds() {
        assert_eq!(interval("60s"), Ok(Duration::from_secs(60)));
        assert_eq!(interval("90"), Ok(Duration::from_secs(90)));
        assert_eq!(interval("5m"), Ok(Duration::from_secs(300)));
        for wrong in ["0", "-1s", "500ms", "1y", "soon", ""] {
            assert!(interval(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_time_is_read_as_it_is_shown() {
        let at = 1_764_450_000_123;
        assert_eq!(time(&date(at)), Ok(at));
        assert!(time("yesterday").is_err());
    }
}
