//! `windhover serve`: puts the parts together and runs them until a signal comes.

use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use windhover_core::Limits;
use windhover_core::queue::{BadName, Config, check_name};
use windhover_core::tracking::RedirectPolicy;
use windhover_tokio::{Clock, ServeOptions, serve};

use crate::app::{App, Settings};
use crate::cli::ServeArgs;
use crate::data::{DataDirectory, DataError};
use crate::forward::{self, Forwarder, QueueServers};
use crate::journal::{Opened, OsDirectory};
use crate::listen::{self, ListenError};
use crate::queue_client::QueueClient;
use crate::store::{Store, StoreCloser};
use crate::tracker::Tracker;

/// Even a server that is stopped in a hurry syncs its journal.
const CLOSE_AT_LEAST: Duration = Duration::from_secs(5);
/// How often histograms are kept small.
const UPKEEP: Duration = Duration::from_secs(5);

/// Why the server cannot run.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServeError {
    /// The name cannot be a queue's.
    QueueName(BadName),
    /// The data directory cannot be used.
    Data(DataError),
    /// There can be no client for the queue servers.
    Forward(windhover_client::Error),
    /// The operating system refused something, or an address cannot be listened on.
    Listen(ListenError),
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::QueueName(bad) => write!(f, "--queue-name: {bad}"),
            Self::Data(error) => error.fmt(f),
            Self::Forward(error) => write!(f, "--queue: {error}"),
            Self::Listen(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ServeError {}

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
    check_name(args.queue_name.as_bytes()).map_err(ServeError::QueueName)?;
    listen::raise_descriptor_limit();
    let clock = Clock::new();
    let data = DataDirectory::lock(&args.data).map_err(ServeError::Data)?;
    let opened = open(args, &data, clock)?;
    log_recovery(&opened);
    let (store, closer) = Store::start(opened.engine, opened.journal, move || clock.now())
        .map_err(system("start the journal's thread"))?;
    let seed = getrandom::u64().map_err(io::Error::other).map_err(system("read random bytes"))?;
    let app = Arc::new(App::new(store, settings(args), seed));

    let runtime = listen::runtime(args.threads.map(usize::from))?;
    let served = runtime.block_on(serve_all(args, &app, &data, clock));
    // Connections that were cut must not outlive the journal.
    runtime.shutdown_timeout(Duration::from_secs(1));
    let closed = close(closer, args.shutdown_timeout);
    served.and(closed)
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
    let mut config = Config::default();
    config.max_items = args.max_queue_items.unwrap_or(u64::MAX);
    config.max_bytes = args.max_queue_bytes;
    config.compact_from = args.segment_bytes.saturating_mul(4);
    data.open(args.fsync, args.segment_bytes, config, clock.now().unix).map_err(ServeError::Data)
}

fn log_recovery(opened: &Opened<OsDirectory>) {
    let found = opened.recovered;
    tracing::info!(
        items = found.items,
        queues = found.queues,
        records = found.records,
        segments = opened.segments,
        clean_stop = opened.clean,
        "the journal was read"
    );
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
    let mut limits = Limits::default();
    limits.body = usize::try_from(args.max_body).unwrap_or(usize::MAX);
    Settings {
        limits,
        queue_name: args.queue_name.clone().into_bytes(),
        redirects: RedirectPolicy::hosts(args.redirect_hosts.iter().cloned()),
        trusted_hops: args.forwarded_hops,
        answer_timeout: args.answer_timeout,
        ..Settings::default()
    }
}

async fn serve_all(
    args: &ServeArgs,
    app: &Arc<App>,
    data: &DataDirectory,
    clock: Clock,
) -> Result<(), ServeError> {
    let http = listen::bind(args.http)?;
    let queue = listen::bind(args.queue_listen)?;
    let addresses = (listen::address(&http)?, listen::address(&queue)?);
    let shutdown = listen::shut_down_on_signal()?;
    say_ready(args, data.path(), addresses);

    let number = AtomicU64::new(0);
    let tracker = {
        let app = app.clone();
        serve(
            http,
            move |peer, now| {
                let number = number.fetch_add(1, Ordering::Relaxed);
                Tracker::new(app.clone(), peer.ip(), number, now)
            },
            options(args, clock, "http"),
            shutdown.clone(),
        )
    };
    let consumers = {
        let app = app.clone();
        let accept = move |_peer, now| QueueClient::new(app.clone(), now);
        serve(queue, accept, options(args, clock, "queue"), shutdown)
    };
    let upkeep = tokio::spawn({
        let app = app.clone();
        async move {
            let mut tick = tokio::time::interval(UPKEEP);
            loop {
                tick.tick().await;
                app.metrics.upkeep();
            }
        }
    });
    let forwarder = match &args.queue {
        None => None,
        Some(servers) => Some(forward(servers, app, clock)?),
    };
    let consumers = tokio::spawn(consumers);
    let tracker = tracker.await;
    let consumers = consumers.await;
    upkeep.abort();
    if let Some(forwarder) = forwarder {
        // The runtime goes on meanwhile: it drives the client.
        let _ = tokio::task::spawn_blocking(move || forwarder.stop()).await;
    }
    listen::log_cut(tracker.cut + consumers.map_or(0, |report| report.cut));
    Ok(())
}

/// Begins to send events on.
fn forward(servers: &QueueServers, app: &Arc<App>, clock: Clock) -> Result<Forwarder, ServeError> {
    let client = windhover_tokio::connect(forward::client(servers)).map_err(ServeError::Forward)?;
    Forwarder::start(Arc::clone(app), &client, move || clock.now())
        .map_err(system("start the thread that forwards events"))
}

fn options(args: &ServeArgs, clock: Clock, listener: &'static str) -> ServeOptions {
    listen::options(args.max_connections, args.shutdown_timeout, clock, listener)
}

/// Tells whoever started the server what it is and how to try it.
fn say_ready(args: &ServeArgs, data: &Path, (http, queue): (SocketAddr, SocketAddr)) {
    let mut out = io::stdout().lock();
    // `{"event":"hello","properties":{"token":"demo"}}`
    let event = "eyJldmVudCI6ImhlbGxvIiwicHJvcGVydGllcyI6eyJ0b2tlbiI6ImRlbW8ifX0=";
    let name = &args.queue_name;
    // Whoever closed standard output does not want to read this.
    let _ = writeln!(
        out,
        "windhover {version} is ready\n  \
         tracker  http://{http}/track\n  \
         queue    {queue} (kestrel and memcache protocol), events on `{name}`\n  \
         data     {data} (fsync: {fsync})\n\
         try it     curl 'http://{http}/track?data={event}'\n\
         read back  printf 'get {name}\\r\\nquit\\r\\n' | curl -s telnet://{queue}",
        version = env!("CARGO_PKG_VERSION"),
        data = data.display(),
        fsync = args.fsync,
    );
    let _ = out.flush();
}
