//! The command line of `windhover serve`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use windhover_core::nats::check_subject;
use windhover_core::queue::{Fsync, NameError, check_name};
use windhover_core::tracking::ForwardedHeader;

use super::values::{long_seconds, rate, seconds};
use crate::access_log::AccessLogArgs;
use crate::app::ReplyKeys;
use crate::backup::ContinuousArgs;
use crate::config::ConfigFile;
use crate::dead_letters::DEAD_LETTERS;
use crate::forward::ForwardTo;
use crate::listen::{ListenAddress, TlsListener, TrustedProxy};
use crate::logging::LogArgs;
use crate::runtime::Runtime;
use crate::serve::ServeError;

/// Accept tracking requests by HTTP and serve them from a queue.
///
/// Events come in by `GET` or `POST` on `/track`, and go out through the queue's port, which
/// speaks kestrel's dialect of the memcache protocol (`get events`, `get events/open`, …). An
/// event that was answered `1` is in the journal.
// Each is a flag of its own.
#[allow(clippy::struct_excessive_bools)]
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Exit codes: 0 after SIGTERM or SIGINT, 2 for a wrong command line, 3 when the journal is damaged \
(see `windhover repair`), 4 when another process uses the data directory, 1 for anything else.")]
#[non_exhaustive]
pub struct ServeArgs {
    /// A file of settings (TOML): the names are those of the flags, and `[queues.NAME]` is for one queue.
    /// Flags hold over the environment, which holds over the file. Read again on SIGHUP
    #[arg(long, env = "WINDHOVER_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// What that file says of more than flags.
    #[arg(skip)]
    pub file: Option<ConfigFile>,

    /// What is said while it runs, and in which form.
    #[command(flatten)]
    pub log: LogArgs,

    /// What is said of each request.
    #[command(flatten)]
    pub access_log: AccessLogArgs,

    /// Where to listen for tracking requests: `HOST[:PORT]` with an IP address or a name, all of whose
    /// addresses are taken (port 0 is a free one, 8080 if there is none), or `unix:PATH[?mode=MODE]`
    /// for a Unix socket (mode 0600 if there is none)
    #[arg(
        long,
        env = "WINDHOVER_HTTP",
        default_value = "127.0.0.1:8080",
        value_name = "ADDRESS",
        value_parser = |given: &str| ListenAddress::parse(given, 8080)
    )]
    pub http: ListenAddress,

    /// Where to listen for consumers of the queue: as `--http`, port 22133 if there is none. Whoever can
    /// connect can read, write and delete every queue: keep it off public networks
    #[arg(
        long,
        env = "WINDHOVER_QUEUE_LISTEN",
        default_value = "127.0.0.1:22133",
        value_name = "ADDRESS",
        value_parser = |given: &str| ListenAddress::parse(given, 22133)
    )]
    pub queue_listen: ListenAddress,

    /// Where to listen for operators: as `--http`, port 8081 if there is none. There are a status page at `/`,
    /// `/metrics`, `/healthz`, `/readyz`, and the records themselves as they come (`windhover tail`): whoever can
    /// connect sees them
    #[arg(
        long,
        env = "WINDHOVER_ADMIN",
        value_name = "ADDRESS",
        value_parser = |given: &str| ListenAddress::parse(given, 8081)
    )]
    pub admin: Option<ListenAddress>,

    /// A file of users, one `NAME:PASSWORD` in each line (memcached's `-Y`): who connects to the queue's
    /// port has to give one of them before anything else. Read again on SIGHUP
    #[arg(long, env = "WINDHOVER_AUTH_FILE", value_name = "FILE")]
    pub auth_file: Option<PathBuf>,

    /// Speak TLS, and show this certificate, in PEM, with those behind it that lead to an authority.
    /// Read again on SIGHUP
    #[arg(long, env = "WINDHOVER_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// The private key of the certificate, in PEM
    #[arg(long, env = "WINDHOVER_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// Which ports speak TLS; both when there is a certificate and nothing else is said
    #[arg(
        long,
        env = "WINDHOVER_TLS",
        value_enum,
        value_delimiter = ',',
        value_name = "LISTENERS",
        requires = "tls_cert"
    )]
    pub tls: Vec<TlsListener>,

    /// The directory of the journal; made when it is not there
    #[arg(long, env = "WINDHOVER_DATA", default_value = "./windhover-data", value_name = "DIR")]
    pub data: PathBuf,

    /// When to sync the journal to the disk: `always` before an event is acknowledged (many share
    /// one sync), `interval=MS` at most so long after, `never` leaves it to the system. A queue's table in the
    /// configuration file may say otherwise
    #[arg(long, env = "WINDHOVER_FSYNC", default_value = "always", value_name = "WHEN")]
    pub fsync: Fsync,

    /// The queue that events go to
    #[arg(long, env = "WINDHOVER_QUEUE_NAME", default_value = "events", value_name = "NAME")]
    pub queue_name: String,

    /// The queue that updates of users' profiles go to (`/engage`)
    #[arg(long, env = "WINDHOVER_ENGAGE_QUEUE", default_value = "engage", value_name = "NAME")]
    pub engage_queue: String,

    /// The queue that updates of groups' profiles go to (`/groups`)
    #[arg(long, env = "WINDHOVER_GROUPS_QUEUE", default_value = "groups", value_name = "NAME")]
    pub groups_queue: String,

    /// What events and updates are sent on to: queue servers of kestrel's kind, to queues of the same names
    /// (`kestrel://HOST[:PORT],…`), or NATS JetStream (`nats://HOST[:PORT],…/SUBJECT[?OPTION=VALUE&…]`, in builds with
    /// the feature `nats`; options are stream, replicas, window, sync, creds, ca, cert, key). They go into the journal
    /// first, and stay there while no server can be reached
    #[arg(long, env = "WINDHOVER_QUEUE", value_name = "SERVERS")]
    pub queue: Option<ForwardTo>,

    /// Most items in one queue; further ones are not accepted
    #[arg(long, env = "WINDHOVER_MAX_QUEUE_ITEMS", value_name = "N")]
    pub max_queue_items: Option<u64>,

    /// Most bytes of items in one queue, be they in memory or in the journal alone: their own, and 160 for
    /// what each takes beside
    #[arg(
        long,
        env = "WINDHOVER_MAX_QUEUE_BYTES",
        default_value_t = 1024 * 1024 * 1024,
        value_name = "BYTES"
    )]
    pub max_queue_bytes: u64,

    /// Most bytes of items in memory, in all queues together and counted as --max-queue-bytes counts them. What is
    /// put beyond it is in the journal alone, and read back before its turn comes
    #[arg(
        long,
        env = "WINDHOVER_QUEUE_MEMORY",
        default_value_t = 256 * 1024 * 1024,
        value_name = "BYTES",
        value_parser = clap::value_parser!(u64).range(64 * 1024..)
    )]
    pub queue_memory: u64,

    /// Largest item of a queue; a larger one is not accepted
    #[arg(
        long,
        env = "WINDHOVER_MAX_ITEM_BYTES",
        default_value_t = 1024 * 1024,
        value_name = "BYTES",
        value_parser = clap::value_parser!(u64).range(1..=1024 * 1024 * 1024)
    )]
    pub max_item_bytes: u64,

    /// How long an item may stay in a queue, after which it has expired; 0 is for ever
    #[arg(
        long,
        env = "WINDHOVER_MAX_ITEM_AGE",
        value_name = "SECONDS",
        value_parser = long_seconds
    )]
    pub max_item_age: Option<Duration>,

    /// Most items of a queue that one connection may have open by `get QUEUE/open`
    #[arg(
        long,
        env = "WINDHOVER_MAX_OPEN_READS",
        default_value_t = 1,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub max_open_reads: u32,

    /// The oldest items go when a queue is full, in the place of further ones not being accepted
    #[arg(long, env = "WINDHOVER_DISCARD_OLD")]
    pub discard_old: bool,

    /// How long an item may be open (`get QUEUE/open`) before it goes back to the head of its queue, within a
    /// second; 0 is as long as its connection lasts
    #[arg(
        long,
        env = "WINDHOVER_OPEN_TIMEOUT",
        value_name = "SECONDS",
        value_parser = long_seconds
    )]
    pub open_timeout: Option<Duration>,

    /// Most queues that follow one (`QUEUE+CHILD`), each of which gets a copy of what is put to it
    #[arg(
        long,
        env = "WINDHOVER_MAX_CHILDREN",
        default_value_t = 100,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(0..=10_000)
    )]
    pub max_children: u32,

    /// Most bytes of the dead-letter queue, where records go that were refused for good; when it is
    /// full, the oldest go
    #[arg(
        long,
        env = "WINDHOVER_DEAD_LETTER_BYTES",
        default_value_t = 64 * 1024 * 1024,
        value_name = "BYTES",
        value_parser = clap::value_parser!(u64).range(2 * 1024 * 1024..)
    )]
    pub dead_letter_bytes: u64,

    /// Most queues beside those that events and updates go to; empty ones make room for a further one
    #[arg(
        long,
        env = "WINDHOVER_MAX_QUEUES",
        default_value_t = 10_000,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=1_000_000)
    )]
    pub max_queues: u32,

    /// The size at which a segment of the journal is closed
    #[arg(
        long,
        env = "WINDHOVER_SEGMENT_BYTES",
        default_value_t = 16 * 1024 * 1024,
        value_name = "BYTES",
        value_parser = clap::value_parser!(u64).range(1024..)
    )]
    pub segment_bytes: u64,

    /// Most bytes on the disk for the journal; items that would need more are not accepted. At least eight
    /// segments
    #[arg(
        long,
        env = "WINDHOVER_MAX_JOURNAL_BYTES",
        value_name = "BYTES",
        value_parser = clap::value_parser!(u64).range(8 * 1024..)
    )]
    pub max_journal_bytes: Option<u64>,

    /// Most connections open at a time on each listener; others wait
    #[arg(
        long,
        env = "WINDHOVER_MAX_CONNECTIONS",
        default_value_t = 10_000,
        value_name = "N",
        value_parser = clap::value_parser!(u64).range(1..=1_000_000)
    )]
    pub max_connections: u64,

    /// What all connections together may hold, in MiB: requests that have come in part, answers that were
    /// not taken. Where it is used up, those that hold much are not read from, and those whose peers have
    /// done nothing for the longest time are closed
    #[arg(
        long,
        env = "WINDHOVER_CONNECTION_MEMORY",
        default_value_t = 256,
        value_name = "MIB",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub connection_memory: u32,

    /// Largest body of a request, as it came and without its compression; events in it have bounds
    /// of their own
    #[arg(
        long,
        env = "WINDHOVER_MAX_BODY",
        default_value_t = 10 * 1024 * 1024,
        value_name = "BYTES",
        value_parser = clap::value_parser!(u64).range(1024..=1024 * 1024 * 1024)
    )]
    pub max_body: u64,

    /// When more bytes than this wait for the journal, requests are answered 503 at once, and their
    /// bodies are not read
    #[arg(
        long,
        env = "WINDHOVER_OVERLOAD_BYTES",
        default_value_t = 32 * 1024 * 1024,
        value_name = "BYTES"
    )]
    pub overload_bytes: u64,

    /// How long an event may wait for the journal before it is answered as not accepted
    #[arg(
        long,
        env = "WINDHOVER_ANSWER_TIMEOUT",
        default_value = "5",
        value_name = "SECONDS",
        value_parser = seconds
    )]
    pub answer_timeout: Duration,

    /// How long everything is still served after SIGTERM or SIGINT while `/readyz` says 503, so that a
    /// balancer that asks it sends nothing more; then listeners close
    #[arg(
        long,
        env = "WINDHOVER_DRAIN",
        default_value = "0",
        value_name = "SECONDS",
        value_parser = seconds
    )]
    pub drain: Duration,

    /// Copies of the journal elsewhere.
    #[command(flatten)]
    pub backup: ContinuousArgs,

    /// How long requests in flight may take at shutdown
    #[arg(
        long,
        env = "WINDHOVER_SHUTDOWN_TIMEOUT",
        default_value = "10",
        value_name = "SECONDS",
        value_parser = seconds
    )]
    pub shutdown_timeout: Duration,

    /// How many proxies stand in front, each of which appends to the header that names the sender
    #[arg(long, env = "WINDHOVER_FORWARDED_HOPS", default_value_t = 0, value_name = "N")]
    pub forwarded_hops: usize,

    /// The header that those proxies write; no other one is believed
    #[arg(
        long,
        env = "WINDHOVER_FORWARDED_HEADER",
        value_enum,
        default_value_t,
        value_name = "HEADER"
    )]
    pub forwarded_header: Forwarded,

    /// Where those proxies connect from: addresses, networks (`10.0.0.0/8`), `unix` for the Unix socket.
    /// From other peers no such header is believed; without this, from all
    #[arg(long, env = "WINDHOVER_TRUSTED_PROXIES", value_delimiter = ',', value_name = "PEERS")]
    pub trusted_proxies: Vec<TrustedProxy>,

    /// Connections of trusted proxies to the tracker begin with a header of the PROXY protocol, version 1
    /// or 2 (haproxy's `send-proxy` and `send-proxy-v2`), which names the sender; those without one are
    /// closed
    #[arg(long, env = "WINDHOVER_PROXY_PROTOCOL", requires = "trusted_proxies")]
    pub proxy_protocol: bool,

    /// A host that `redirect=` may lead to (`example.com`, `*.example.com`); may be given often
    #[arg(
        long = "redirect-host",
        env = "WINDHOVER_REDIRECT_HOSTS",
        value_delimiter = ',',
        value_name = "HOST"
    )]
    pub redirect_hosts: Vec<String>,

    /// Record nothing of a batch with a bad event in it, as the API of 2012 did; without this the
    /// good events of a batch are recorded
    #[arg(long, env = "WINDHOVER_ALL_OR_NOTHING")]
    pub all_or_nothing: bool,

    /// Take records of those tokens alone that have a table `[tokens.TOKEN]` in the file of --config
    #[arg(long, env = "WINDHOVER_KNOWN_TOKENS")]
    pub known_tokens: bool,

    /// How many records a second each token may send; more are answered 429. A table of the file has `rate` and
    /// `burst` for one token
    #[arg(long, env = "WINDHOVER_TOKEN_RATE", value_name = "N", value_parser = rate)]
    pub token_rate: Option<f64>,

    /// How many records a token may send at once after it was quiet; as many as in a second when not given
    #[arg(
        long,
        env = "WINDHOVER_TOKEN_BURST",
        value_name = "N",
        requires = "token_rate",
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    pub token_burst: Option<u64>,

    /// How long an event is recognised when it is sent again with the same token, name, time, `distinct_id` and
    /// `$insert_id`: it is answered as accepted and not recorded twice. 0: every one is recorded
    #[arg(
        long,
        env = "WINDHOVER_DEDUP_WINDOW",
        default_value = "3600",
        value_name = "SECONDS",
        value_parser = seconds
    )]
    pub dedup_window: Duration,

    /// Most events that are recognised so, some 25 bytes of memory each; beyond that the oldest are forgotten
    #[arg(
        long,
        env = "WINDHOVER_DEDUP_IDS",
        default_value_t = 1_000_000,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=100_000_000)
    )]
    pub dedup_ids: u32,

    /// What the reply to `get QUEUE/t=100` names; libraries for memcached such as pymemcache drop an
    /// item whose key they did not ask for, and need `asked`
    #[arg(long, env = "WINDHOVER_REPLY_KEYS", value_enum, default_value_t, value_name = "WHICH")]
    pub reply_keys: ReplyKeys,

    /// Threads that serve connections; one per processor when not given
    #[arg(
        long,
        env = "WINDHOVER_THREADS",
        value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..=1024)
    )]
    pub threads: Option<u16>,

    /// What connections are served on
    #[arg(long, env = "WINDHOVER_RUNTIME", value_enum, default_value_t, value_name = "RUNTIME")]
    pub runtime: Runtime,
}

impl ServeArgs {
    /// Whether all of it goes together.
    ///
    /// # Errors
    /// [`ServeError`] names what does not.
    pub fn check(&self) -> Result<(), ServeError> {
        for (option, name) in [
            ("--queue-name", &self.queue_name),
            ("--engage-queue", &self.engage_queue),
            ("--groups-queue", &self.groups_queue),
        ] {
            check_name(name.as_bytes())
                .map_err(|source| ServeError::QueueName { option, source })?;
            if name.contains('+') {
                let source = NameError::Byte(b'+');
                return Err(ServeError::QueueName { option, source });
            }
            if name == DEAD_LETTERS {
                return Err(ServeError::QueueNameTaken { option });
            }
        }
        if let Some(ForwardTo::JetStream(stream)) = &self.queue {
            let of_tokens = self.file.iter().flat_map(|file| file.tokens.values());
            let of_tokens = of_tokens.flat_map(|token| token.queues.names());
            let of_tokens = of_tokens.map(|name| ("a token's queue in the file", name));
            let of_all =
                [("--engage-queue", &*self.engage_queue), ("--groups-queue", &self.groups_queue)];
            for (option, name) in of_all.into_iter().chain(of_tokens) {
                check_subject(&stream.subject_of(name, false))
                    .map_err(|source| ServeError::QueueNameNoSubject { option, source })?;
            }
        }
        if let Some(max_journal_bytes) = self.max_journal_bytes
            && max_journal_bytes / 8 < self.segment_bytes
        {
            let segment_bytes = self.segment_bytes;
            return Err(ServeError::JournalTooSmall { max_journal_bytes, segment_bytes });
        }
        Ok(())
    }

    /// Whether that listener speaks TLS, if there is a certificate.
    pub(crate) fn speaks_tls(&self, listener: TlsListener) -> bool {
        self.tls.is_empty() || self.tls.contains(&listener)
    }
}

/// The header in which proxies name the sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum Forwarded {
    /// X-Forwarded-For: a list of addresses
    #[default]
    XForwardedFor,
    /// Forwarded: the standard's (RFC 7239)
    Forwarded,
}

impl From<Forwarded> for ForwardedHeader {
    fn from(header: Forwarded) -> Self {
        match header {
            Forwarded::XForwardedFor => Self::XForwardedFor,
            Forwarded::Forwarded => Self::Forwarded,
        }
    }
}
