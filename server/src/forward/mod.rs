//! Events on their way to queue servers elsewhere.
//!
//! Every event goes into the journal first, and is answered when it is safe there, whatever the
//! queue servers do. From there a thread takes events in their order, sends them on, and removes
//! those that a server said it had stored. What was sent and not answered is sent again, to another
//! server: each event arrives at least once. While no server can be reached, events stay in the
//! journal; when that is full, they are not accepted. An event that the servers refuse for good goes to
//! the dead-letter queue.
//!
//! What speaks there is a `Target` (`target.rs`), where records come from a `Source` (`pump.rs`); what is sent when,
//! and what an answer means, is decided by a `Window` (`window.rs`), which knows neither.

mod address;
mod doubt;
#[cfg(feature = "nats")]
mod jetstream;
mod kestrel;
mod pump;
mod servers;
mod stored;
mod target;
mod window;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use windhover_client::{Builder, Client};
use windhover_core::Now;

use self::pump::Pump;
use self::stored::StoredQueue;
use self::target::Target;
use crate::app::App;
use crate::metrics::Metrics;

pub use address::{ForwardTo, ForwardToError, JetStreamUrl, QueueServers, QueueServersError};
pub use servers::{ForwardServer, ForwardServers};

/// Most queues that are forwarded: of events, and of updates of either kind.
const LANES: usize = 3;
/// How long to wait for events; a stop is noticed after as long at the latest.
const WAIT: Duration = Duration::from_millis(250);

/// What leads to the queues elsewhere; cheap to clone.
#[derive(Clone)]
pub(crate) enum Connection {
    Kestrel(Client),
    #[cfg(feature = "nats")]
    JetStream(Arc<jetstream::JetStream>, Box<JetStreamUrl>),
}

impl Connection {
    /// Connects to what a URL names, and goes on trying. `connect` makes a client of queue servers on the runtime
    /// that serves, `failed` an error of what the system refuses.
    pub(crate) fn start<E>(
        to: &ForwardTo,
        connect: impl FnOnce(Builder) -> Result<Client, E>,
        failed: impl FnOnce(io::Error) -> E,
    ) -> Result<Self, E> {
        match to {
            ForwardTo::Kestrel(servers) => connect(kestrel::client(servers)).map(Self::Kestrel),
            #[cfg(feature = "nats")]
            ForwardTo::JetStream(url) => match jetstream::JetStream::start(url) {
                Ok(started) => Ok(Self::JetStream(Arc::new(started), url.clone())),
                Err(error) => Err(failed(error)),
            },
            #[cfg(not(feature = "nats"))]
            ForwardTo::JetStream(_) => Err(failed(io::ErrorKind::Unsupported.into())),
        }
    }

    /// The place there for the records of a queue.
    #[cfg_attr(
        not(feature = "nats"),
        allow(unused_variables, reason = "only subjects differ by it")
    )]
    fn target(&self, queue: &[u8], is_of_events: bool) -> Box<dyn Target> {
        match self {
            Self::Kestrel(client) => kestrel::target(client, queue),
            #[cfg(feature = "nats")]
            Self::JetStream(connection, url) => {
                let queue = String::from_utf8_lossy(queue);
                connection.target(url.subject_of(&queue, is_of_events))
            }
        }
    }

    /// The servers there.
    fn servers(&self) -> Vec<ForwardServer> {
        match self {
            Self::Kestrel(client) => kestrel::servers(client),
            #[cfg(feature = "nats")]
            Self::JetStream(connection, _) => connection.servers(),
        }
    }
}

/// The threads that forward records, one for each queue that they go to.
#[derive(Debug)]
pub(crate) struct Forwarder {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Forwarder {
    /// Begins to forward what is in the queues that records go to. `identity` is the data directory's, `clock` tells
    /// the time.
    pub(crate) fn start(
        app: &Arc<App>,
        connection: &Connection,
        identity: u128,
        clock: impl Fn() -> Now + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let clock: Arc<dyn Fn() -> Now + Send + Sync> = Arc::new(clock);
        let mut forwarder = Self { stop: Arc::clone(&stop), threads: Vec::new() };
        for name in app.settings.record_queues() {
            let source = StoredQueue {
                store: app.store.clone(),
                dead_letters: app.dead_letters.clone(),
                name: name.to_vec(),
                identity,
                clock: Arc::clone(&clock),
                idle: Vec::new(),
            };
            let target = connection.target(name, name == app.settings.queue_name);
            tracing::info!(?target, "forwarding events");
            let pump = Pump::new(source, target);
            let (app, stop) = (Arc::clone(app), Arc::clone(&stop));
            let thread = thread::Builder::new().name("forward".to_owned());
            match thread.spawn(move || forward(pump, &app.metrics, &stop)) {
                Ok(thread) => forwarder.threads.push(thread),
                Err(error) => {
                    forwarder.stop();
                    return Err(error);
                }
            }
        }
        Ok(forwarder)
    }

    /// Stops, after what is on its way; what has not arrived stays in the journal. Takes as long as the target
    /// waits for an answer: a second or two for queue servers, three for JetStream.
    pub(crate) fn stop(self) {
        self.stop.store(true, Ordering::Release);
        for thread in &self.threads {
            thread.thread().unpark();
        }
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a thread that forwards events panicked");
            }
        }
    }
}

fn forward(mut pump: Pump<StoredQueue>, metrics: &Metrics, stop: &AtomicBool) {
    while !stop.load(Ordering::Acquire) {
        let Ok(turn) = pump.turn(WAIT);
        metrics.forwarded.inc_by(turn.arrived as u64);
        metrics.forward_failures.inc_by(turn.failed as u64);
        if let Some(rest) = turn.rest
            && !stop.load(Ordering::Acquire)
        {
            thread::park_timeout(rest);
        }
    }
}
