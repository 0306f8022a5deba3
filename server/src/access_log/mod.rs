//! The access log (`--access-log`): a line for each request of the tracker's port, of those that went well one in
//! so many.

mod entry;
mod file;

use std::fmt;
use std::io;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Args;

pub use self::entry::Entry;
use self::file::LogFile;
use crate::logging::LogFormat;

/// What is logged of requests, and where.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
pub struct AccessLogArgs {
    /// Append a line for each request to the tracker's port to this file; `-` is standard output. It is opened
    /// again on SIGHUP
    #[arg(long, env = "WINDHOVER_ACCESS_LOG", value_name = "FILE")]
    pub access_log: Option<PathBuf>,

    /// Log one in so many of the requests that went well; those of which anything was refused are all logged
    #[arg(
        long,
        env = "WINDHOVER_ACCESS_LOG_SAMPLE",
        default_value = "1",
        value_name = "N",
        requires = "access_log"
    )]
    pub access_log_sample: NonZero<u64>,
}

/// The file of the access log cannot be written to.
#[derive(Debug)]
pub struct AccessLogError {
    path: PathBuf,
    source: io::Error,
}

impl fmt::Display for AccessLogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--access-log: cannot append to {}", self.path.display())
    }
}

impl std::error::Error for AccessLogError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Takes note of requests. Whoever does waits for no disk: a thread writes, and lines for which it has no room
/// are counted as lost.
#[derive(Debug)]
pub struct AccessLog {
    format: LogFormat,
    sample: NonZero<u64>,
    /// Requests that went well.
    went_well: AtomicU64,
    file: LogFile,
}

impl AccessLog {
    /// Opens the log, if there is to be one.
    ///
    /// # Errors
    /// [`AccessLogError`] when the file cannot be appended to, or no thread can be had.
    pub fn open(args: &AccessLogArgs, format: LogFormat) -> Result<Option<Self>, AccessLogError> {
        let Some(path) = &args.access_log else { return Ok(None) };
        let file =
            LogFile::open(path).map_err(|source| AccessLogError { path: path.clone(), source })?;
        let sample = args.access_log_sample;
        Ok(Some(Self { format, sample, went_well: AtomicU64::new(0), file }))
    }

    /// Takes note of a request, or of one in so many.
    pub fn log(&self, entry: &Entry<'_>) {
        let mut sample = 1;
        if entry.went_well() {
            if self.went_well.fetch_add(1, Ordering::Relaxed) % self.sample != 0 {
                return;
            }
            sample = self.sample.get();
        }
        let mut line = Vec::with_capacity(320);
        match self.format {
            LogFormat::Text => entry.write_text(sample, &mut line),
            LogFormat::Json => entry.write_json(sample, &mut line),
        }
        self.file.append(&line);
    }

    /// Opens the file anew: it may have been moved.
    pub fn reopen(&self) {
        self.file.reopen();
    }

    /// Writes what waits; what comes later is lost.
    pub(crate) fn end(&self) {
        self.file.end();
    }

    /// Lines that were not written.
    pub fn lost(&self) -> u64 {
        self.file.lost()
    }
}
