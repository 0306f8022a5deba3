//! The command line of `windhover cache`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::cli::seconds;
use crate::listen::ListenAddress;
use crate::logging::LogArgs;
use crate::runtime::Runtime;

/// Serve a cache to memcached's clients.
///
/// It speaks memcached's text protocol, classic and meta commands, and keeps what it is given in
/// memory: the least recently used items go when the memory is full, all of it when it stops.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Try it:
  windhover cache
then, from another terminal, the line that it prints.

Exit codes: 0 after SIGTERM or SIGINT, 2 for a wrong command line, 1 for anything else.")]
#[non_exhaustive]
pub struct CacheArgs {
    /// What is said while it runs, and in which form.
    #[command(flatten)]
    pub log: LogArgs,

    /// Where to listen: `HOST[:PORT]` with an IP address or a name, all of whose addresses are taken
    /// (port 0 is a free one, 11211 if there is none), or `unix:PATH[?mode=MODE]` for a Unix socket
    /// (mode 0600 if there is none). Whoever can connect can read, write and flush: keep it off
    /// public networks
    #[arg(
        long,
        env = "WINDHOVER_CACHE_LISTEN",
        default_value = "127.0.0.1:11211",
        value_name = "ADDRESS",
        value_parser = |given: &str| ListenAddress::parse(given, 11211)
    )]
    pub listen: ListenAddress,

    /// A file of users, one `NAME:PASSWORD` in each line (memcached's `-Y`): who connects has to give
    /// one of them before anything else. Read again on SIGHUP
    #[arg(long, env = "WINDHOVER_CACHE_AUTH_FILE", value_name = "FILE")]
    pub auth_file: Option<PathBuf>,

    /// Speak TLS, and show this certificate, in PEM, with those behind it that lead to an authority.
    /// Read again on SIGHUP
    #[arg(long, env = "WINDHOVER_CACHE_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// The private key of the certificate, in PEM
    #[arg(long, env = "WINDHOVER_CACHE_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// Memory for items, in MiB. An item takes its key, its value and some 150 bytes; what connections
    /// hold comes on top (`--connection-memory`)
    #[arg(
        long,
        env = "WINDHOVER_CACHE_MEMORY",
        default_value_t = 64,
        value_name = "MIB",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub memory: u32,

    /// The largest item, in bytes; counts the key, the value and some 60 bytes
    #[arg(
        long,
        env = "WINDHOVER_CACHE_MAX_ITEM_SIZE",
        default_value_t = 1024 * 1024,
        value_name = "BYTES",
        value_parser = clap::value_parser!(u32).range(1024..=1024 * 1024 * 1024)
    )]
    pub max_item_size: u32,

    /// What all connections together may hold, in MiB: requests that have come in part, answers that were
    /// not taken. Where it is used up, those that hold much are not read from, and those whose peers have
    /// done nothing for the longest time are closed
    #[arg(
        long,
        env = "WINDHOVER_CACHE_CONNECTION_MEMORY",
        default_value_t = 256,
        value_name = "MIB",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub connection_memory: u32,

    /// Most connections open at a time; others wait
    #[arg(
        long,
        env = "WINDHOVER_CACHE_MAX_CONNECTIONS",
        default_value_t = 10_000,
        value_name = "N",
        value_parser = clap::value_parser!(u64).range(1..=1_000_000)
    )]
    pub max_connections: u64,

    /// Threads that serve connections; one per processor when not given. With one, items are
    /// evicted in the exact order of their last use
    #[arg(
        long,
        env = "WINDHOVER_CACHE_THREADS",
        value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..=1024)
    )]
    pub threads: Option<u16>,

    /// What connections are served on
    #[arg(
        long,
        env = "WINDHOVER_CACHE_RUNTIME",
        value_enum,
        default_value_t,
        value_name = "RUNTIME"
    )]
    pub runtime: Runtime,

    /// How long a connection may be silent before it is closed
    #[arg(
        long,
        env = "WINDHOVER_CACHE_IDLE_TIMEOUT",
        default_value = "86400",
        value_name = "SECONDS",
        value_parser = seconds
    )]
    pub idle_timeout: Duration,

    /// How long requests in flight may take at shutdown
    #[arg(
        long,
        env = "WINDHOVER_CACHE_SHUTDOWN_TIMEOUT",
        default_value = "10",
        value_name = "SECONDS",
        value_parser = seconds
    )]
    pub shutdown_timeout: Duration,
}
