//! Why nothing could be measured.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use humantime::format_duration;

use super::workload::mix::MixError;

/// Why nothing could be measured, or what was measured not be kept.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoadError {
    /// It is no URL of a tracker.
    Url(String),
    /// A host has no address.
    Address {
        /// Which host.
        host: String,
        /// Why not.
        source: io::Error,
    },
    /// More threads than connections.
    Threads {
        /// How many threads.
        threads: usize,
        /// How many connections.
        connections: usize,
    },
    /// Too many rounds for the time.
    TooShort {
        /// How many rounds.
        rounds: u32,
        /// How long they take.
        least: Duration,
    },
    /// A timeout of nothing.
    NoTime,
    /// The recorded requests cannot be used.
    Mix(MixError),
    /// The server does not take a connection.
    Connect {
        /// Where it should be.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The cache does not take the items.
    Fill {
        /// Where it is.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// Of the first requests, one on each connection, none had a good answer.
    FirstRequests(String),
    /// It was interrupted before anything was measured.
    Interrupted,
    /// The server's process cannot be looked at.
    Process {
        /// Its id.
        process: u32,
        /// Why not.
        source: io::Error,
    },
    /// A file of figures is there already.
    Exists(PathBuf),
    /// The runs in a file are of another load.
    OtherLoad(PathBuf),
    /// A file cannot be read or written.
    File {
        /// Which one.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file holds no figures.
    NoFigures {
        /// Which one.
        file: PathBuf,
        /// Why not.
        source: serde_json::Error,
    },
    /// Two files are of different loads.
    Unlike {
        /// The first.
        a: PathBuf,
        /// The other.
        b: PathBuf,
    },
    /// Too few rounds to compare.
    TooFew {
        /// In which file.
        file: PathBuf,
        /// How many there are.
        rounds: usize,
        /// How many there have to be.
        least: usize,
    },
    /// A round without a good answer.
    EmptyRound(PathBuf),
    /// The operating system gives no threads, events or signals, or takes no output.
    System(io::Error),
}

impl LoadError {
    pub(super) fn file(file: &Path, source: io::Error) -> Self {
        Self::File { file: file.to_owned(), source }
    }

    /// What the process ends with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Url(_)
            | Self::Threads { .. }
            | Self::TooShort { .. }
            | Self::NoTime
            | Self::Mix(_)
            | Self::Exists(_)
            | Self::OtherLoad(_)
            | Self::Unlike { .. }
            | Self::TooFew { .. }
            | Self::EmptyRound(_)
            | Self::NoFigures { .. } => 2,
            _ => 3,
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => write!(
                f,
                "`{url}` is no `http://HOST[:PORT][/PATH]`; TLS is not spoken: load the port behind it"
            ),
            Self::Address { host, .. } => write!(f, "`{host}` has no address"),
            Self::Threads { threads, connections } => {
                write!(f, "{threads} threads for {connections} connections: each needs one")
            }
            Self::TooShort { rounds, least } => write!(
                f,
                "{rounds} rounds take {} at least: give a longer --duration, or fewer --rounds",
                format_duration(*least)
            ),
            Self::NoTime => f.write_str("a --timeout of nothing leaves no time for an answer"),
            Self::Mix(error) => error.fmt(f),
            Self::Connect { address, .. } => write!(f, "{address} takes no connection"),
            Self::Fill { address, .. } => {
                write!(f, "{address}: the items cannot be written, which are to be read")
            }
            Self::FirstRequests(why) => write!(f, "no request has a good answer: {why}"),
            Self::Interrupted => f.write_str("interrupted before anything was measured"),
            Self::Process { process, .. } => {
                write!(f, "process {process}: its memory and processor time cannot be read")
            }
            Self::Exists(file) => write!(
                f,
                "{} exists: give another name to --save, or --append to add this run to it",
                file.display()
            ),
            Self::OtherLoad(file) => {
                write!(f, "the runs in {} are of another load: give another name", file.display())
            }
            Self::File { file, .. } => write!(f, "{} cannot be read or written", file.display()),
            Self::NoFigures { file, .. } => {
                write!(f, "{} holds no figures of `windhover load --save`", file.display())
            }
            Self::Unlike { a, b } => write!(
                f,
                "{} and {} are of different loads: compared are runs of the same requests, rate and connections",
                a.display(),
                b.display()
            ),
            Self::TooFew { file, rounds, least } => write!(
                f,
                "{} has {rounds} rounds: nothing can be said of fewer than {least}",
                file.display()
            ),
            Self::EmptyRound(file) => {
                write!(
                    f,
                    "{} has a round without a good answer: give a longer --duration, or fewer --rounds",
                    file.display()
                )
            }
            Self::System(_) => f.write_str("the operating system does not do what is needed"),
        }
    }
}

impl std::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Mix(error) => error.source(),
            Self::Address { source, .. }
            | Self::Connect { source, .. }
            | Self::Fill { source, .. }
            | Self::Process { source, .. }
            | Self::File { source, .. }
            | Self::System(source) => Some(source),
            Self::NoFigures { source, .. } => Some(source),
            _ => None,
        }
    }
}
