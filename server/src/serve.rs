//! `windhover serve`: puts the parts together and runs them until a signal comes.

use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use windhover_core::queue::{BadName, Config, check_name};
use windhover_core::tracking::RedirectPolicy;
use windhover_tokio::{Clock, ServeOptions, Shutdown, serve};

use crate::app::{App, Settings};
use crate::cli::ServeArgs;
use crate::data::{DataDirectory, DataError};
use crate::journal::{Opened, OsDirectory};
use crate::queue_client::QueueClient;
use crate::store::{Store, StoreCloser};
use crate::tracker::Tracker;

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;
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
    /// An address cannot be listened on.
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The operating system refused something else.
    System {
        /// What was asked of it.
        what: &'static str,
        /// Why it was refused.
        source: io::Error,
    },
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::QueueName(bad) => write!(f, "--queue-name: {bad}"),
            Self::Data(error) => error.fmt(f),
            Self::Listen { address, source } => write!(f, "cannot listen on {address}: {source}"),
            Self::System { what, source } => write!(f, "cannot {what}: {source}"),
        }
    }
}

impl std::error::Error for ServeError {}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> ServeError {
    move |source| ServeError::System { what, source }
}

/// Runs the server until SIGTERM or SIGINT.
///
/// # Errors
/// [`ServeError`] when it cannot start, or cannot note at its end that the stop was clean.
pub fn run(args: &ServeArgs) -> Result<(), ServeError> {
    check_name(args.queue_name.as_bytes()).map_err(ServeError::QueueName)?;
    raise_descriptor_limit();
    let clock = Clock::new();
    let data = DataDirectory::lock(&args.data).map_err(ServeError::Data)?;
    let opened = open(args, &data, clock)?;
    log_recovery(&opened);
    let (store, closer) = Store::start(opened.engine, opened.journal, move || clock.now())
        .map_err(system("start the journal's thread"))?;
    let seed = getrandom::u64().map_err(|error| ServeError::System {
        what: "read random bytes",
        source: io::Error::other(error),
    })?;
    let app = Arc::new(App::new(store, settings(args), seed));

    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = args.threads {
        runtime.worker_threads(threads.into());
    }
    let runtime = runtime.enable_all().build().map_err(system("start threads"))?;
    let served = runtime.block_on(listen(args, &app, &data, clock));
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
    Settings {
        queue_name: args.queue_name.clone().into_bytes(),
        redirects: RedirectPolicy::hosts(args.redirect_hosts.iter().cloned()),
        trusted_hops: args.forwarded_hops,
        answer_timeout: args.answer_timeout,
        ..Settings::default()
    }
}

async fn listen(
    args: &ServeArgs,
    app: &Arc<App>,
    data: &DataDirectory,
    clock: Clock,
) -> Result<(), ServeError> {
    let http = bind(args.http)?;
    let queue = bind(args.queue_listen)?;
    let shutdown = Shutdown::new();
    windhover_tokio::shut_down_on_signal(&shutdown).map_err(system("catch signals"))?;
    let addresses = (
        http.local_addr().map_err(system("read the tracker's address"))?,
        queue.local_addr().map_err(system("read the queue's address"))?,
    );
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
        serve(queue, accept, options(args, clock, "queue"), shutdown.clone())
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
    let log_signal = tokio::spawn(async move {
        shutdown.wait().await;
        tracing::info!("asked to stop: finishing what is in flight");
    });
    let consumers = tokio::spawn(consumers);
    let tracker = tracker.await;
    let consumers = consumers.await;
    upkeep.abort();
    log_signal.abort();
    let cut = tracker.cut + consumers.map_or(0, |report| report.cut);
    if cut > 0 {
        tracing::warn!(cut, "connections were cut, because they did not finish in time");
    }
    Ok(())
}

fn options(args: &ServeArgs, clock: Clock, listener: &'static str) -> ServeOptions {
    let mut options = ServeOptions::default();
    options.connections = usize::try_from(args.max_connections).unwrap_or(usize::MAX);
    options.shutdown_timeout = args.shutdown_timeout;
    options.clock = clock;
    options.on_accept_error = Some(Arc::new(move |error| {
        tracing::warn!(%error, listener, "a connection could not be accepted; trying again");
    }));
    options
}

fn bind(address: SocketAddr) -> Result<TcpListener, ServeError> {
    let socket = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    socket().map_err(|source| ServeError::Listen { address, source })
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

/// As many descriptors as the system allows: the usual soft limit is far below what a front end
/// needs.
fn raise_descriptor_limit() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "the limit of open files could not be raised");
        }
    }
}
