//! The command lines of what looks into a journal, or mends it.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Mend a damaged journal.
///
/// Every file that is concerned is copied to `DIR/damaged` first; then what is damaged in it is
/// covered. Every whole record stays. The server must not run meanwhile.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
pub struct RepairArgs {
    /// The directory of the journal, as given to `serve`
    #[arg(long, env = "WINDHOVER_DATA", default_value = "./windhover-data", value_name = "DIR")]
    pub data: PathBuf,
}

/// Look into the journal of a server that does not run.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
pub struct JournalArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: JournalCommand,
}

/// What to do with a journal.
#[derive(Clone, Debug, Subcommand)]
#[non_exhaustive]
pub enum JournalCommand {
    /// List the segments or, of one segment, the records
    ///
    /// Columns have tabs between them. Damage is shown, and nothing is changed.
    #[command(after_help = "\
Exit codes: 0, 4 when another process uses the data directory, 1 for anything else.")]
    Inspect(InspectArgs),
    /// Read and check every byte, and say whether a start would find the journal whole
    ///
    /// Nothing is changed.
    #[command(after_help = "\
Exit codes: 0 when the journal is whole, 3 when it is damaged (see `windhover repair`), 4 when another \
process uses the data directory, 1 for anything else.")]
    Verify(VerifyArgs),
}

/// List the segments or, of one segment, the records.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
pub struct InspectArgs {
    /// The directory of the journal, as given to `serve`
    #[arg(long, env = "WINDHOVER_DATA", default_value = "./windhover-data", value_name = "DIR")]
    pub data: PathBuf,

    /// The segment whose records are listed; without it, the segments are
    #[arg(value_name = "SEGMENT")]
    pub segment: Option<u64>,
}

/// Read and check every byte of a journal.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
pub struct VerifyArgs {
    /// The directory of the journal, as given to `serve`
    #[arg(long, env = "WINDHOVER_DATA", default_value = "./windhover-data", value_name = "DIR")]
    pub data: PathBuf,
}
