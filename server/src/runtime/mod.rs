//! The runtimes that connections can be served on. Nothing outside this folder knows one.
//!
//! Each has a file with the same three functions: start, take a listener, run. An enum chooses among
//! those that were built in.

use std::fmt;
use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use clap::ValueEnum;
use windhover_client::{Builder, Client};
use windhover_core::endpoint::Endpoint;
use windhover_core::{Counters, Now};
use windhover_runtime::{
    BeforeWaitHook, Clock, ConnectionMemory, Peer, ProxyProtocol, ServeOptions, ServerTls, Shutdown,
};

use crate::listen::{ListenAddress, ListenError, Place};
use crate::service_manager;

#[cfg(not(any(feature = "tokio", feature = "async-std", feature = "mio")))]
compile_error!("windhover needs one of the features `tokio`, `async-std` and `mio` to serve with");

#[cfg(feature = "async-std")]
mod async_std;
#[cfg(feature = "mio")]
mod mio;
#[cfg(feature = "tokio")]
mod tokio;

/// What connections are served on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum Runtime {
    /// tokio: threads that share the work
    #[cfg(feature = "tokio")]
    #[default]
    Tokio,
    /// async-std: the same on async-io
    #[cfg(feature = "async-std")]
    #[cfg_attr(not(feature = "tokio"), default)]
    AsyncStd,
    /// mio: event loops that share nothing; each listener has one per thread
    #[cfg(feature = "mio")]
    #[cfg_attr(not(any(feature = "tokio", feature = "async-std")), default)]
    Mio,
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}

/// What is listened on, and how.
#[derive(Clone, Debug)]
pub(crate) struct Listener {
    /// For the log.
    pub(crate) name: &'static str,
    /// Where.
    pub(crate) address: ListenAddress,
    /// Whose connections begin with a header that names the sender.
    pub(crate) proxies: Option<ProxyProtocol>,
    /// What its connections are to be encrypted with.
    pub(crate) tls: Option<ServerTls>,
    /// What they and those of other listeners may hold together.
    pub(crate) memory: ConnectionMemory,
    /// Most connections open at a time.
    pub(crate) connections: usize,
    /// How long requests in flight may take at shutdown.
    pub(crate) shutdown_timeout: Duration,
    /// Where the time comes from.
    pub(crate) clock: Clock,
    /// Where its connections are counted.
    pub(crate) counters: Arc<Counters>,
}

impl Listener {
    /// How its connections are served.
    fn options(&self) -> ServeOptions {
        let mut options = ServeOptions::default();
        options.connections = self.connections;
        options.shutdown_timeout = self.shutdown_timeout;
        options.clock = self.clock;
        options.counters = Arc::clone(&self.counters);
        let listener = self.name;
        options.on_accept_error = Some(Arc::new(move |error| {
            tracing::warn!(%error, listener, "a connection could not be accepted; trying again");
        }));
        options.memory = Some(self.memory.clone());
        options.proxies = self.proxies.clone().map(|proxies| {
            proxies.on_failure(move |peer, why| {
                tracing::info!(%peer, why, listener, "a proxy did not say whose connection it passes on");
            })
        });
        options.tls = self.tls.clone().map(|tls| {
            tls.on_failure(move |peer, why| {
                tracing::info!(%peer, why, listener, "TLS failed with a peer");
            })
        });
        options
    }
}

/// What comes between the signal to end and the end of the listeners.
pub(crate) struct Drain {
    /// How long everything is served as before.
    pub(crate) time: Duration,
    /// Called at its beginning.
    pub(crate) begin: Box<dyn FnOnce() + Send>,
}

impl Drain {
    /// None.
    pub(crate) fn none() -> Self {
        Self { time: Duration::ZERO, begin: Box::new(|| ()) }
    }
}

/// Triggers `shutdown` on SIGTERM and SIGINT, once the drain is over.
fn shut_down_on_signal(shutdown: &Shutdown, drain: Drain) -> Result<(), ListenError> {
    let asked = if drain.time.is_zero() { shutdown.clone() } else { Shutdown::new() };
    windhover_runtime::shut_down_on_signal(&asked).map_err(ListenError::system("catch signals"))?;
    if drain.time.is_zero() {
        return Ok(());
    }
    let shutdown = shutdown.clone();
    let wait = move || {
        asked.wait_blocking();
        tracing::info!(seconds = drain.time.as_secs_f64(), "asked to stop: draining");
        service_manager::stopping();
        (drain.begin)();
        std::thread::sleep(drain.time);
        shutdown.trigger();
    };
    let thread = std::thread::Builder::new().name("drain".to_owned()).spawn(wait);
    thread.map(drop).map_err(ListenError::system("start threads"))
}

/// A runtime with listeners on it.
pub(crate) enum Server {
    #[cfg(feature = "tokio")]
    Tokio(tokio::Server),
    #[cfg(feature = "async-std")]
    AsyncStd(async_std::Server),
    #[cfg(feature = "mio")]
    Mio(mio::Server),
}

/// Does the same with whichever it is.
macro_rules! whichever {
    ($server:expr, $inner:ident => $does:expr) => {
        match $server {
            #[cfg(feature = "tokio")]
            Self::Tokio($inner) => $does,
            #[cfg(feature = "async-std")]
            Self::AsyncStd($inner) => $does,
            #[cfg(feature = "mio")]
            Self::Mio($inner) => $does,
        }
    };
}

impl Server {
    /// Starts so many threads for connections. From now on SIGTERM and SIGINT end no process, but
    /// [`run`](Self::run).
    pub(crate) fn start(
        runtime: Runtime,
        threads: usize,
        drain: Drain,
        before_wait: Option<BeforeWaitHook>,
    ) -> Result<Self, ListenError> {
        tracing::info!(%runtime, threads, "connections are served by");
        match runtime {
            #[cfg(feature = "tokio")]
            Runtime::Tokio => tokio::Server::start(threads, drain, before_wait).map(Self::Tokio),
            #[cfg(feature = "async-std")]
            Runtime::AsyncStd => async_std::Server::start(threads, drain).map(Self::AsyncStd),
            #[cfg(feature = "mio")]
            Runtime::Mio => mio::Server::start(threads, drain, before_wait).map(Self::Mio),
        }
    }

    /// Listens, and returns where, to be kept until the end; connections wait until
    /// [`run`](Self::run).
    pub(crate) fn listen<E, F>(
        &mut self,
        listener: &Listener,
        accept: F,
    ) -> Result<Place, ListenError>
    where
        E: Endpoint + Send + 'static,
        F: Fn(Peer, Now) -> E + Send + Sync + 'static,
    {
        let place = whichever!(self, server => server.listen(listener, accept))?;
        Ok(if listener.tls.is_some() { place.with_tls() } else { place })
    }

    /// Makes a client whose sockets are this runtime's.
    pub(crate) fn connect(&self, client: Builder) -> Result<Client, ListenError> {
        let made = whichever!(self, server => server.connect(client));
        made.map_err(ListenError::system("connect to the queue servers"))
    }

    /// Serves until SIGTERM or SIGINT, then until every connection has ended or was cut, then until
    /// `finish` has returned; clients go on until then.
    pub(crate) fn run(self, finish: impl FnOnce() + Send + 'static) -> Result<(), ListenError> {
        let cut = whichever!(self, server => server.run(finish))?;
        if cut > 0 {
            tracing::warn!(cut, "connections were cut, because they did not finish in time");
        }
        Ok(())
    }
}

/// Keeps a client's sockets going that [`connect_alone`] made.
pub(crate) type Driving = Box<dyn std::any::Any>;

/// Makes a client for a command that serves nobody; its calls are waited for with
/// [`block_on`](windhover_client::block_on).
pub(crate) fn connect_alone(client: Builder) -> Result<(Client, Driving), ListenError> {
    let made = match Runtime::default() {
        #[cfg(feature = "tokio")]
        Runtime::Tokio => tokio::connect_alone(client),
        #[cfg(feature = "async-std")]
        Runtime::AsyncStd => async_std::connect_alone(client),
        #[cfg(feature = "mio")]
        Runtime::Mio => mio::connect_alone(client),
    };
    made.map_err(ListenError::system("make a client"))
}

/// So many threads, or one per processor.
pub(crate) fn threads(given: Option<u16>) -> usize {
    given.map_or_else(|| available_parallelism().map_or(1, NonZero::get), usize::from)
}

fn note_asked() {
    service_manager::stopping();
    tracing::info!("asked to stop: finishing what is in flight");
}
