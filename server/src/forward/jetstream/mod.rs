//! NATS JetStream as a target.
//!
//! The library for it needs tokio, which the server may not run on: so it has a runtime on a thread of its own,
//! whatever else is served on. Calls are handed over to that thread and waited for on the caller's.

mod answer;
mod message_id;
mod stream;

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use async_nats::connection::State;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::ContextBuilder;
use async_nats::jetstream::message::PublishMessage;
use async_nats::{Client, ConnectOptions, Event, ReconnectToServer, ServerAddr};
use tokio::runtime::{Builder, Handle};
use tokio::sync::{Notify, oneshot};
use windhover_core::nats::NatsLogin;

use self::answer::{Patience, answer};
use self::message_id::message_id;
use super::LANES;
use super::address::JetStreamUrl;
use super::doubt::Answer;
use super::servers::ForwardServer;
use super::target::{PutError, Putting, Record, Target};
use super::window::WINDOW;

/// How long an acknowledgement is waited for before a record is sent again, with the same id; and an answer about
/// the stream.
const ACK: Duration = Duration::from_secs(3);
/// How long connecting to a server may take.
const CONNECT: Duration = Duration::from_secs(2);
/// So often a silent connection is asked whether it is alive; at the third that is not answered it is closed.
const PING: Duration = Duration::from_secs(2);
/// Between tries to connect, when all servers were tried; doubled each time.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Between looks for the stream; doubled each time.
const LOOK: Duration = Duration::from_millis(250);
const LONGEST_LOOK: Duration = Duration::from_secs(5);
/// Between two lines of the log that say the same.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// The connection to a cluster of NATS. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct JetStream {
    connection: Arc<Connection>,
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What its calls share.
pub(crate) struct Connection {
    url: JetStreamUrl,
    connected: OnceLock<(Client, Context)>,
    in_flight: AtomicUsize,
    servers: Mutex<Servers>,
    patience: Mutex<Patience>,
    /// The stream is to be looked for again.
    look: Notify,
    logged: Mutex<Option<Instant>>,
    turns: AtomicU64,
}

/// The servers as they were when one was last chosen.
#[derive(Default)]
struct Servers {
    pool: Vec<(String, bool)>,
    chosen: Option<String>,
    tries: u32,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.url.url)
    }
}

impl JetStream {
    /// Begins to connect, and, where records are to be published, to look for the stream; both go on until they
    /// succeed.
    ///
    /// # Errors
    /// When a file that the URL names cannot be read, or the operating system gives no thread.
    pub(crate) fn start(url: &JetStreamUrl, publishes: bool) -> io::Result<Self> {
        if publishes && !url.url.syncs_always {
            warn_of_sync();
        }
        let connection = Arc::new(Connection {
            url: url.clone(),
            connected: OnceLock::new(),
            in_flight: AtomicUsize::new(0),
            servers: Mutex::default(),
            patience: Mutex::default(),
            look: Notify::new(),
            logged: Mutex::default(),
            turns: AtomicU64::new(0),
        });
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let client = runtime.block_on(connect(&connection))?;
        let context = {
            let _entered = runtime.enter();
            ContextBuilder::new()
                .timeout(ACK)
                .max_ack_inflight(WINDOW * LANES)
                .build(client.clone())
        };
        // It is set here alone.
        let _ = connection.connected.set((client, context));
        if publishes {
            runtime.spawn(watch_stream(Arc::clone(&connection)));
        }
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new().name("nats".to_owned()).spawn(move || {
            // A sender that is gone is a stop, too.
            let _ = runtime.block_on(stopped);
            runtime.shutdown_background();
        })?;
        Ok(Self { connection, handle, stop: Some(stop), thread: Some(thread) })
    }

    /// The subject that records of that queue go to.
    pub(crate) fn target(&self, subject: String) -> Box<dyn Target> {
        let (connection, handle) = (Arc::clone(&self.connection), self.handle.clone());
        Box::new(Subject { connection, handle, name: subject })
    }

    /// Runs what has to run beside its connection, and waits for it.
    pub(crate) fn wait_for<F: Future>(&self, future: F) -> F::Output {
        self.handle.block_on(future)
    }

    /// For what is not published. `None` while it has not begun.
    pub(crate) fn context(&self) -> Option<&Context> {
        self.connection.connected.get().map(|(_, context)| context)
    }

    /// Its servers, as an operator sees them.
    pub(crate) fn servers(&self) -> Vec<ForwardServer> {
        self.connection.statuses()
    }
}

impl Drop for JetStream {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread for NATS panicked");
        }
    }
}

fn warn_of_sync() {
    tracing::warn!(
        "JetStream acknowledges before it syncs, and what it acknowledged is removed here: set `sync_interval: \
         always` in the servers' configuration (nats-server 2.10 or later), then say so with `?sync=always`"
    );
}

async fn connect(connection: &Arc<Connection>) -> io::Result<Client> {
    let JetStreamUrl { url, addresses } = &connection.url;
    let (chooser, listener) = (Arc::clone(connection), Arc::clone(connection));
    let mut options = ConnectOptions::new()
        .name("windhover")
        .retry_on_initial_connect()
        .connection_timeout(CONNECT)
        .request_timeout(Some(ACK))
        .ping_interval(PING)
        .require_tls(url.tls)
        .reconnect_to_server_callback(move |pool, _| {
            let chosen = chooser.choose(&pool);
            async move { chosen }
        })
        .event_callback(move |event| {
            listener.tell(&event);
            async {}
        });
    match &url.login {
        Some(NatsLogin::Password { user, password }) => {
            options = options.user_and_password(user.clone(), password.clone());
        }
        Some(NatsLogin::Token(token)) => options = options.token(token.clone()),
        _ => {}
    }
    if let Some(file) = &url.credentials {
        let read = options.credentials_file(file).await;
        options = read.map_err(|error| unreadable(file, &error))?;
    }
    if let Some(file) = &url.authorities {
        can_be_read(file)?;
        options = options.add_root_certificates(file.into());
    }
    if let Some((certificate, key)) = &url.certificate {
        can_be_read(certificate)?;
        can_be_read(key)?;
        options = options.add_client_certificate(certificate.into(), key.into());
    }
    let scheme = if url.tls { "tls" } else { "nats" };
    let servers: io::Result<Vec<ServerAddr>> =
        addresses.iter().map(|address| format!("{scheme}://{address}").parse()).collect();
    options.connect(servers?).await.map_err(io::Error::other)
}

fn can_be_read(file: &str) -> io::Result<()> {
    std::fs::File::open(file).map(drop).map_err(|error| unreadable(file, &error))
}

fn unreadable(file: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{file}: {error}"))
}

/// Looks for the stream until it is there, and again whenever nothing is acknowledged for long.
async fn watch_stream(connection: Arc<Connection>) {
    let Some((client, context)) = connection.connected.get() else { return };
    let JetStreamUrl { url, addresses } = &connection.url;
    let (mut pause, mut told) = (LOOK, None);
    loop {
        if client.connection_state() == State::Connected {
            match stream::find_or_make(context, url, addresses.len()).await {
                Ok(found) => {
                    let known = (found.name.clone(), found.warnings.clone());
                    if told.as_ref() != Some(&known) {
                        let made = if found.is_new { "was made" } else { "was found" };
                        tracing::info!(stream = found.name, "JetStream's stream {made}");
                        for warning in &found.warnings {
                            tracing::warn!(stream = found.name, "JetStream's stream: {warning}");
                        }
                        told = Some(known);
                    }
                    connection.look.notified().await;
                    pause = LOOK;
                }
                Err(error) => connection.log(&format!(
                    "JetStream's stream can be neither found nor made yet: {}",
                    windhover_runtime::Report::new(error.as_ref())
                )),
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_LOOK);
    }
}

impl Connection {
    /// The server to connect to: each in turn.
    fn choose(&self, pool: &[async_nats::Server]) -> Option<ReconnectToServer> {
        let turn = usize::try_from(self.turns.fetch_add(1, Ordering::Relaxed)).unwrap_or_default();
        let server = pool.get(turn.checked_rem(pool.len())?)?;
        let name =
            |server: &async_nats::Server| format!("{}:{}", server.addr.host(), server.addr.port());
        let mut servers = lock(&self.servers);
        servers.pool = pool.iter().map(|it| (name(it), it.failed_attempts > 0)).collect();
        servers.chosen = Some(name(server));
        // The first time each of them is tried at once.
        let rounds = servers.tries / u32::try_from(pool.len()).unwrap_or(u32::MAX);
        let pause = PAUSE.saturating_mul(1 << rounds.min(8)).min(LONGEST_PAUSE);
        let delay = if rounds == 0 { Duration::ZERO } else { pause };
        servers.tries += 1;
        drop(servers);
        let failed =
            |it: &async_nats::Server| Some(format!("{}: {}", name(it), it.last_error.as_ref()?));
        let failed: Vec<String> = pool.iter().filter_map(failed).collect();
        if !failed.is_empty() {
            self.log(&format!("servers of NATS cannot be connected to: {}", failed.join("; ")));
        }
        Some(ReconnectToServer { addr: server.addr.clone(), delay: Some(delay) })
    }

    fn tell(&self, event: &Event) {
        let mut servers = lock(&self.servers);
        let server = servers.chosen.clone().unwrap_or_default();
        match event {
            Event::Connected => {
                servers.tries = 0;
                drop(servers);
                lock(&self.patience).begin();
                self.look.notify_one();
                tracing::info!(server, "connected to NATS");
            }
            Event::Disconnected => tracing::warn!(server, "the connection to NATS has ended"),
            Event::LameDuckMode => tracing::info!(server, "the server of NATS is about to stop"),
            Event::ServerError(error) => self.log(&format!("{server}: {error}")),
            _ => {}
        }
    }

    /// Says something, unless something was said a short time ago.
    fn log(&self, text: &str) {
        let mut logged = lock(&self.logged);
        if logged.is_none_or(|logged| logged.elapsed() >= LOG_EVERY) {
            *logged = Some(Instant::now());
            tracing::warn!("{text}");
        }
    }

    async fn publish(&self, subject: String, record: Record) -> Result<(), PutError> {
        let not_connected = || PutError::new(Answer::None, "no server of NATS is connected");
        let (client, context) = self.connected.get().ok_or_else(not_connected)?;
        // What is handed to a connection that is not there waits in it, and comes a second time.
        if client.connection_state() != State::Connected {
            return Err(not_connected());
        }
        let mut message = PublishMessage::build().message_id(message_id(&record));
        if let Some(stream) = &self.url.url.stream {
            message = message.expected_stream(stream);
        }
        let _in_flight = InFlight::new(&self.in_flight);
        let published = match context.send_publish(subject, message.payload(record.bytes)).await {
            Ok(acknowledged) => acknowledged.await,
            Err(error) => Err(error),
        };
        match published {
            Ok(_) => {
                lock(&self.patience).begin();
                Ok(())
            }
            Err(error) => {
                let answer = answer(&error);
                let is_over =
                    answer != Answer::TooLarge && lock(&self.patience).is_over(Instant::now());
                if is_over {
                    self.log("NATS acknowledges nothing: trying another server");
                    self.look.notify_one();
                    // It fails when the client has ended.
                    let _ = client.force_reconnect().await;
                }
                Err(PutError::new(answer, error))
            }
        }
    }

    fn statuses(&self) -> Vec<ForwardServer> {
        let connected = self.connected.get().map(|(client, _)| client.connection_state());
        let is_connected = connected == Some(State::Connected);
        let servers = lock(&self.servers);
        let status = |(name, has_failed): &(String, bool)| {
            let is_chosen = servers.chosen.as_ref() == Some(name);
            let (state, is_usable) = match (is_chosen, is_connected, has_failed) {
                (true, true, _) => ("in use", true),
                (true, false, _) | (false, _, true) => ("out of use", false),
                (false, _, false) => ("not in use, in reserve", true),
            };
            let in_flight = if is_chosen { self.in_flight.load(Ordering::Relaxed) } else { 0 };
            ForwardServer { name: name.clone(), state, is_usable, in_flight }
        };
        servers.pool.iter().map(status).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One message that is not acknowledged.
struct InFlight<'a>(&'a AtomicUsize);

impl<'a> InFlight<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A subject that records are published to.
struct Subject {
    connection: Arc<Connection>,
    handle: Handle,
    name: String,
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} ({})", self.connection, self.name)
    }
}

impl Target for Subject {
    fn put(&self, record: Record) -> Putting {
        let (connection, subject) = (Arc::clone(&self.connection), self.name.clone());
        let published = self.handle.spawn(async move { connection.publish(subject, record).await });
        Box::pin(async move {
            let ended = |_| Err(PutError::new(Answer::None, "the thread for NATS has ended"));
            published.await.unwrap_or_else(ended)
        })
    }
}
