//! The command line.

mod journal;
mod serve;
mod values;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

pub use self::journal::{InspectArgs, JournalArgs, JournalCommand, RepairArgs, VerifyArgs};
pub use self::serve::{Forwarded, ServeArgs};
pub(crate) use self::values::seconds;
use crate::backup::BackupArgs;
use crate::cache::CacheArgs;
use crate::dead_letters::ReplayArgs;
use crate::decode::DecodeArgs;
#[cfg(feature = "load")]
use crate::load::LoadArgs;
use crate::logging::LogFormat;
use crate::relay::RelayArgs;
use crate::tail::TailArgs;

/// With the commit that it was built of, and the runtimes that it was built with.
const LONG_VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (commit ",
    env!("WINDHOVER_COMMIT"),
    ", features ",
    env!("WINDHOVER_FEATURES"),
    ")"
);

/// A tracking front end on an embedded, journaled, kestrel-compatible queue.
#[derive(Debug, Parser)]
#[command(name = "windhover", version, long_version = LONG_VERSION, about, arg_required_else_help = true, max_term_width = 100)]
#[command(after_help = "\
Try it:
  windhover serve
then, from another terminal, the two lines that it prints.

Every flag of `serve` and `cache` can be set by the environment too: see their `--help`.
Logs go to standard error; RUST_LOG sets their detail (RUST_LOG=windhover=debug).")]
#[non_exhaustive]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
#[non_exhaustive]
pub enum Command {
    /// Accept tracking requests by HTTP and serve them from a queue
    Serve(Box<ServeArgs>),
    /// Serve a cache to memcached's clients
    Cache(Box<CacheArgs>),
    /// Mend a damaged journal, keeping every whole record
    Repair(RepairArgs),
    /// Copy the journal elsewhere while a server writes it, and restore from there
    Backup(Box<BackupArgs>),
    /// Look into the journal of a server that does not run
    Journal(JournalArgs),
    /// Send records again that a running server has put into its dead-letter queue
    Replay(ReplayArgs),
    /// Move queues among data directories, queue servers and NATS JetStream
    Relay(Box<RelayArgs>),
    /// Explain what the tracker makes of a request: nothing is sent
    Decode(DecodeArgs),
    /// Show records of a running server as they are accepted, without taking them
    Tail(TailArgs),
    /// Put load on a server and measure it
    #[cfg(feature = "load")]
    Load(Box<LoadArgs>),
    /// Say whether `serve --config` would start with a file
    CheckConfig(CheckConfigArgs),
    /// Write what completes command lines in a shell
    Completions(CompletionsArgs),
    /// Write the manual's pages
    Man(ManArgs),
}

impl Command {
    /// The form of what it logs.
    pub fn log_format(&self) -> LogFormat {
        match self {
            Self::Serve(args) => args.log.format,
            Self::Cache(args) => args.log.format,
            _ => LogFormat::default(),
        }
    }
}

/// Write what completes command lines in a shell.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
For bash: windhover completions bash > /etc/bash_completion.d/windhover")]
#[non_exhaustive]
pub struct CompletionsArgs {
    /// Which shell
    pub shell: Shell,
}

/// Write the manual's pages.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
windhover man | man -l -                      shows the first page
windhover man --out /usr/local/share/man/man1  has `man windhover-serve` find them all")]
#[non_exhaustive]
pub struct ManArgs {
    /// The folder to write a page for each command to; otherwise the first page goes to standard output
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
}

/// Say whether `serve --config` would start with a file.
///
/// Every fault in it is told, with its line. Neither other flags nor the environment are looked at.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Exit codes: 0 when it would, 2 when not.")]
#[non_exhaustive]
pub struct CheckConfigArgs {
    /// The file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, ValueEnum};
    use windhover_core::queue::Fsync;

    use super::*;
    use crate::runtime::Runtime;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_defaults_are_those_of_the_readme() {
        let cli = Cli::parse_from(["windhover", "serve"]);
        let Command::Serve(args) = cli.command else { panic!("not serve") };
        assert_eq!(args.http.to_string(), "127.0.0.1:8080");
        assert_eq!(args.queue_listen.to_string(), "127.0.0.1:22133");
        assert_eq!(args.data, PathBuf::from("./windhover-data"));
        assert_eq!(args.fsync, Fsync::Always);
        assert_eq!(args.queue_name, "events");
        assert_eq!(args.runtime, Runtime::default());
    }

    #[test]
    fn each_listener_has_its_default_port() {
        let line = ["windhover", "serve", "--http", "localhost", "--queue-listen", "::1"];
        let Command::Serve(args) = Cli::parse_from(line).command else { panic!("not serve") };
        assert_eq!(args.http.to_string(), "localhost:8080");
        assert_eq!(args.queue_listen.to_string(), "[::1]:22133");
        let line = ["windhover", "cache", "--listen", "localhost"];
        let Command::Cache(args) = Cli::parse_from(line).command else { panic!("not cache") };
        assert_eq!(args.listen.to_string(), "localhost:11211");
    }

    #[test]
    fn every_runtime_that_was_built_in_can_be_chosen() {
        for runtime in Runtime::value_variants() {
            for command in ["serve", "cache"] {
                let line = ["windhover", command, "--runtime", &runtime.to_string()];
                let chosen = match Cli::parse_from(line).command {
                    Command::Serve(args) => args.runtime,
                    Command::Cache(args) => args.runtime,
                    other => panic!("not {command}: {other:?}"),
                };
                assert_eq!(chosen, *runtime);
            }
        }
    }
}
