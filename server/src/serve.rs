//! `windhover serve`: puts the parts together and runs them until a signal comes.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use windhover_core::http::HttpLimits;
use windhover_core::nats::SubjectFault;
use windhover_core::queue::{Config, Fsync, NameError};
use windhover_core::tracking::{BatchRule, RedirectPolicy, TrackingLimits, TrustedProxies};
use windhover_runtime::{BeforeWaitHook, Clock, ProxyProtocol, Report};

use crate::access_log::{AccessLog, AccessLogError};
use crate::admin::Admin;
use crate::app::{App, Settings};
use crate::backup::{BackupError, Continuous, Repository};
use crate::cli::ServeArgs;
use crate::config::{ReloadedConfig, engine_config, token_policy};
use crate::data::{DataDirectory, DataError};
use crate::dead_letters::DEAD_LETTERS;
use crate::dedup::{Dedup, DedupLimits};
use crate::forward::{Connection, ForwardTo, Forwarder};
use crate::journal::{Opened, OsDirectory};
use crate::listen::{
    self, BoundAddress, ListenAddress, ListenError, Place, TlsListener, authenticated,
};
use crate::memory;
use crate::queue_client::QueueClient;
use crate::runtime::{self, Drain, Listener, Server};
use crate::service_manager;
use crate::store::{Store, StoreCloser};
use crate::tracker::Tracker;
use crate::upkeep::Upkeep;

/// Even a server that is stopped in a hurry syncs its journal.
const CLOSE_AT_LEAST: Duration = Duration::from_secs(5);

/// Why the server cannot run.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServeError {
    /// The name cannot be a queue's.
    QueueName {
        /// The option that gives it.
        option: &'static str,
        /// Why not.
        source: NameError,
    },
    /// The name is that of the dead-letter queue.
    QueueNameTaken {
        /// The option that gives it.
        option: &'static str,
    },
    /// No subject below that of `--queue` can have the name.
    QueueNameNoSubject {
        /// The option that gives it.
        option: &'static str,
        /// Why not.
        source: SubjectFault,
    },
    /// `--max-journal-bytes` has no room for eight segments.
    JournalTooSmall {
        /// What it says.
        max_journal_bytes: u64,
        /// What `--segment-bytes` says.
        segment_bytes: u64,
    },
    /// Backups cannot be made as it is asked for.
    Backup(BackupError),
    /// The access log cannot be written.
    AccessLog(AccessLogError),
    /// The data directory cannot be used.
    Data(DataError),
    /// The operating system refused something, or an address cannot be listened on.
    Listen(ListenError),
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::QueueName { option, .. } => write!(f, "{option}: no queue can have that name"),
            Self::QueueNameTaken { option } => {
                write!(f, "{option}: `{DEAD_LETTERS}` is where refused records go; choose another")
            }
            Self::QueueNameNoSubject { option, .. } => {
                write!(f, "{option}: no subject of NATS (--queue) can have that name")
            }
            Self::JournalTooSmall { max_journal_bytes, segment_bytes } => write!(
                f,
                "--max-journal-bytes: {max_journal_bytes} bytes have no room for eight segments of \
                 {segment_bytes} (--segment-bytes)"
            ),
            Self::Backup(error) => error.fmt(f),
            Self::AccessLog(error) => error.fmt(f),
            Self::Data(error) => error.fmt(f),
            Self::Listen(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ServeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::QueueName { source, .. } => Some(source),
            Self::Backup(error) => error.source(),
            Self::QueueNameNoSubject { source, .. } => Some(source),
            Self::AccessLog(error) => error.source(),
            Self::Data(error) => error.source(),
            Self::Listen(error) => error.source(),
            Self::QueueNameTaken { .. } | Self::JournalTooSmall { .. } => None,
        }
    }
}

impl From<AccessLogError> for ServeError {
    fn from(error: AccessLogError) -> Self {
        Self::AccessLog(error)
    }
}

impl From<ListenError> for ServeError {
    fn from(error: ListenError) -> Self {
        Self::Listen(error)
    }
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> ServeError {
    move |source| ListenError::System { what, source }.into()
}

/// Runs the server until SIGTERM or SIGINT.
///
/// # Errors
/// [`ServeError`] when it cannot start, or cannot note at its end that the stop was clean.
pub fn run(args: &ServeArgs) -> Result<(), ServeError> {
    args.check()?;
    memory::join_at_once();
    listen::note_handed_over();
    listen::raise_descriptor_limit();
    let reload = listen::reload_on_signal()?;
    let tls = listen::certificate(args.tls_cert.as_deref(), args.tls_key.as_deref(), &reload)?;
    let users = listen::auth_file(args.auth_file.as_deref(), &reload)?;
    let backups = args.backup.open().map_err(ServeError::Backup)?;
    let clock = Clock::new();
    let data = DataDirectory::lock(&args.data).map_err(ServeError::Data)?;
    let mut opened = open(args, &data, clock)?;
    log_recovery(&opened);
    let Config { queue, queues, .. } = opened.engine.config();
    let are_synced = queues.values().chain([queue]).any(|queue| queue.fsync == Fsync::Always);
    let works_ahead = opened.journal.work_ahead(are_synced);
    works_ahead.map_err(system("start a thread of the journal's"))?;
    let dedup = dedup(args, &data, &opened, clock).map(Arc::new);
    let (store, closer) = Store::start(opened.engine, opened.journal, move || clock.now())
        .map_err(system("start the journal's thread"))?;
    let seed = getrandom::u64().map_err(io::Error::other).map_err(system("read random bytes"))?;
    let mut app = App::new(store, settings(args), seed);
    (app.tls, app.users) = (tls, users);
    if let Some(dedup) = dedup.clone() {
        app.store.at_rotation(move |segment, reclaims| dedup.save(segment, reclaims));
    }
    app.dedup.clone_from(&dedup);
    app.backup = backups.as_ref().map(|_| app.metrics.watch_backups());
    app.proxy_protocol = args.proxy_protocol.then(|| {
        let trusted = Arc::clone(&app.settings.trusted_proxies);
        ProxyProtocol::new(move |peer| listen::is_trusted(&trusted, peer))
    });
    app.connection_memory = listen::connection_memory(args.connection_memory);
    app.tokens.set(token_policy(args));
    app.access_log = AccessLog::open(&args.access_log, args.log.format)?;
    app.config = ReloadedConfig::new(args, &app.tokens);
    let app = Arc::new(app);
    let reloaded = Arc::downgrade(&app);
    reload.register(move || {
        let Some(app) = reloaded.upgrade() else { return };
        if let Some(log) = &app.access_log {
            log.reopen();
        }
        if let Some(config) = &app.config {
            config.reload(&app.store, clock.now());
        }
    });

    let backups = backups.map(|backups| back_up(args, &app, data.path(), backups)).transpose()?;
    let served = serve(args, &app, &data, clock);
    if let Some(backups) = backups {
        backups.end();
    }
    if let Some(log) = &app.access_log {
        log.end();
    }
    let closed = close(closer, args.shutdown_timeout);
    if let Some(dedup) = dedup.filter(|_| closed.is_ok()) {
        dedup.save_all();
    }
    served.and(closed)
}

fn back_up(
    args: &ServeArgs,
    app: &Arc<App>,
    data: &Path,
    repository: Repository,
) -> Result<Continuous, ServeError> {
    let store = app.store.clone();
    let written = move || store.stats().1.written;
    let status = app.backup.clone().unwrap_or_default();
    let started = args.backup.start(repository, data, status, written);
    started.map_err(system("start the thread that makes backups"))
}

fn close(closer: StoreCloser, timeout: Duration) -> Result<(), ServeError> {
    closer
        .close(timeout.max(CLOSE_AT_LEAST))
        .map_err(system("note in the journal that the stop was clean"))?;
    tracing::info!("the journal is closed");
    Ok(())
}

fn open(
    args: &ServeArgs,
    data: &DataDirectory,
    clock: Clock,
) -> Result<Opened<OsDirectory>, ServeError> {
    let config = engine_config(args);
    data.open(args.segment_bytes, config, clock.now().unix).map_err(ServeError::Data)
}

/// What is remembered of the events that were accepted before the last stop.
fn dedup(
    args: &ServeArgs,
    data: &DataDirectory,
    opened: &Opened<OsDirectory>,
    clock: Clock,
) -> Option<Dedup> {
    let limits = DedupLimits::new(args.dedup_ids, args.dedup_window);
    if limits.window.is_zero() {
        return None;
    }
    let policy = token_policy(args);
    let of_tokens: BTreeSet<&[u8]> = policy.queues().map(str::as_bytes).collect();
    let is_wanted = |queue: &[u8]| queue == args.queue_name.as_bytes() || of_tokens.contains(queue);
    let read_back = |since: u64, visit: &mut dyn FnMut(&[Bytes]) -> bool| {
        opened.journal.read_back(since, &is_wanted, visit)
    };
    let since = Instant::now();
    match Dedup::open(limits, &data.path().join("dedup"), read_back, clock.now().instant) {
        Ok(dedup) => {
            let took = since.elapsed().as_millis();
            tracing::info!(
                events = dedup.len(),
                milliseconds = took,
                "events sent again will be recognised"
            );
            Some(dedup)
        }
        Err(error) => {
            tracing::warn!(
                error = %Report::new(&error),
                "what was accepted before this start is not known: events that are sent again may be recorded again"
            );
            let mut key = [0; 16];
            getrandom::fill(&mut key).ok()?;
            Some(Dedup::new(limits, key))
        }
    }
}

fn log_recovery(opened: &Opened<OsDirectory>) {
    let found = opened.recovered;
    tracing::info!(
        items = found.items,
        queues = found.queues,
        records = found.records,
        segments = opened.segments,
        segments_read = opened.read,
        clean_stop = opened.clean,
        "the journal was read"
    );
    if let Some(why) = &opened.bad_index {
        tracing::warn!(
            "the journal's index cannot be used, so that all of the journal was read: {why}"
        );
    }
    if opened.end_unknown {
        tracing::warn!(
            "the journal's file `synced` is missing or damaged, and the last stop was not a clean one: \
             whether events are missing at the journal's end cannot be told"
        );
    }
    for torn in &opened.torn {
        tracing::warn!(
            "{torn}: an unfinished write at the journal's end was cut; its bytes are in `damaged`"
        );
    }
    for name in &opened.foreign {
        tracing::warn!(
            "{name}: this file in the journal's directory is not the journal's; ignored"
        );
    }
}

fn settings(args: &ServeArgs) -> Settings {
    let body = usize::try_from(args.max_body).unwrap_or(usize::MAX);
    Settings {
        http_limits: HttpLimits::default().with_body(body),
        tracking_limits: TrackingLimits::default().with_inflated(body),
        runtime: args.runtime,
        queue_name: args.queue_name.clone().into_bytes(),
        engage_queue: args.engage_queue.clone().into_bytes(),
        groups_queue: args.groups_queue.clone().into_bytes(),
        max_queues: args.max_queues,
        redirects: RedirectPolicy::hosts(args.redirect_hosts.iter().cloned()),
        batch_rule: if args.all_or_nothing {
            BatchRule::AllOrNothing
        } else {
            BatchRule::EachEvent
        },
        proxies: TrustedProxies { hops: args.forwarded_hops, header: args.forwarded_header.into() },
        trusted_proxies: args.trusted_proxies.as_slice().into(),
        reply_keys: args.reply_keys,
        answer_timeout: args.answer_timeout,
        overload_bytes: args.overload_bytes,
        ..Settings::default()
    }
}

fn serve(
    args: &ServeArgs,
    app: &Arc<App>,
    data: &DataDirectory,
    clock: Clock,
) -> Result<(), ServeError> {
    let store = app.store.clone();
    let before_wait: BeforeWaitHook = Arc::new(move || store.await_write());
    let threads = runtime::threads(args.threads);
    let mut server = Server::start(args.runtime, threads, drain(args, app), Some(before_wait))?;
    let number = AtomicU64::new(0);
    let tracker = app.clone();
    let http = server.listen(
        &listener(args, &args.http, clock, app, TlsListener::Http),
        move |peer, now| {
            let number = number.fetch_add(1, Ordering::Relaxed);
            Tracker::new(tracker.clone(), peer, number, now)
        },
    )?;
    let consumers = app.clone();
    let queue =
        server.listen(&listener(args, &args.queue_listen, clock, app, TlsListener::Queue), {
            move |peer, now| {
                let client = QueueClient::connect(consumers.clone(), now);
                authenticated(client, peer, consumers.users.as_ref(), &consumers.queue_connections)
            }
        })?;
    let admin = match &args.admin {
        None => None,
        Some(address) => {
            let operators = app.clone();
            let listener = admin_listener(args, address, clock, app);
            Some(server.listen(&listener, move |_, now| Admin::new(operators.clone(), now))?)
        }
    };
    let forwarder = match &args.queue {
        None => None,
        Some(to) => Some(forward(to, app, &server, data, clock)?),
    };
    let upkeep = Upkeep::start(app.clone(), clock).map_err(system("start threads"))?;
    // Only now: what --queue names may be a file that cannot be read.
    say_ready(args, data.path(), &http, &queue, admin.as_ref());
    service_manager::ready();
    // What is on its way to the queue servers still needs the runtime.
    let forwarding = app.clone();
    let served = server.run(move || {
        if let Some(forwarder) = forwarder {
            forwarder.stop();
        }
        forwarding.forward_servers.clear();
    });
    upkeep.end();
    Ok(served?)
}

/// Begins to send records on.
fn forward(
    to: &ForwardTo,
    app: &Arc<App>,
    server: &Server,
    data: &DataDirectory,
    clock: Clock,
) -> Result<Forwarder, ServeError> {
    let connect = |client| server.connect(client).map_err(ServeError::from);
    let connection = Connection::start(to, connect, system("connect to the servers of --queue"))?;
    app.forward_servers.set(&connection);
    let identity = data.identity().map_err(ServeError::Data)?;
    Forwarder::start(app, &connection, identity, move || clock.now())
        .map_err(system("start the thread that forwards events"))
}

/// What a balancer is told before the end.
fn drain(args: &ServeArgs, app: &Arc<App>) -> Drain {
    let draining = Arc::clone(&app.draining);
    Drain { time: args.drain, begin: Box::new(move || draining.store(true, Ordering::Relaxed)) }
}

fn listener(
    args: &ServeArgs,
    address: &ListenAddress,
    clock: Clock,
    app: &App,
    which: TlsListener,
) -> Listener {
    let (name, counters) = match which {
        TlsListener::Http => ("http", &app.http_connections),
        TlsListener::Queue => ("queue", &app.queue_connections),
    };
    Listener {
        name,
        memory: app.connection_memory.clone(),
        proxies: app.proxy_protocol.clone().filter(|_| which == TlsListener::Http),
        tls: app.tls.clone().filter(|_| args.speaks_tls(which)),
        address: address.clone(),
        connections: usize::try_from(args.max_connections).unwrap_or(usize::MAX),
        shutdown_timeout: args.shutdown_timeout,
        clock,
        counters: Arc::clone(counters),
    }
}

/// Few are needed, and what they show is told to each of them every second.
const OPERATORS: usize = 64;

fn admin_listener(args: &ServeArgs, address: &ListenAddress, clock: Clock, app: &App) -> Listener {
    Listener {
        name: "admin",
        memory: app.connection_memory.clone(),
        proxies: None,
        tls: None,
        address: address.clone(),
        connections: OPERATORS,
        shutdown_timeout: args.shutdown_timeout,
        clock,
        counters: Arc::clone(&app.admin_connections),
    }
}

/// Tells whoever started the server what it is and how to try it.
fn say_ready(args: &ServeArgs, data: &Path, http: &Place, queue: &Place, admin: Option<&Place>) {
    let mut out = io::stdout().lock();
    // `{"event":"hello","properties":{"token":"demo"}}`
    let event = "eyJldmVudCI6ImhlbGxvIiwicHJvcGVydGllcyI6eyJ0b2tlbiI6ImRlbW8ifX0=";
    let name = &args.queue_name;
    let tracker = |address: &BoundAddress| match address {
        BoundAddress::Tcp(address) => format!("  tracker  {}://{address}/track", http.scheme()),
        BoundAddress::Unix(_) => format!("  tracker  {address} ({}: /track)", http.scheme()),
    };
    let consumers = |address: &BoundAddress| {
        let tls = queue.over_tls();
        format!("  queue    {address} (kestrel and memcache protocol{tls}), events on `{name}`")
    };
    let status = |address: &BoundAddress| match address {
        BoundAddress::Tcp(address) => format!("  admin    http://{address}/"),
        BoundAddress::Unix(_) => format!("  admin    {address}"),
    };
    // Whoever closed standard output does not want to read this.
    let _ = writeln!(
        out,
        "windhover {version} is ready\n\
         {trackers}{queues}{admins}  \
         data     {data} (fsync: {fsync})\n\
         try it     {track}\n\
         read back  printf 'get {name}\\r\\nquit\\r\\n' | {telnet}",
        version = env!("CARGO_PKG_VERSION"),
        trackers = http.lines(tracker),
        queues = queue.lines(consumers),
        admins = admin.map_or_else(String::new, |admin| admin.lines(status)),
        data = data.display(),
        fsync = args.fsync,
        track = http.http(&format!("/track?data={event}")),
        telnet = queue.telnet(),
    );
    let _ = out.flush();
}
