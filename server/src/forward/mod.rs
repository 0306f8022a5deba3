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
pub(crate) mod doubt;
#[cfg(feature = "nats")]
pub(crate) mod jetstream;
pub(crate) mod kestrel;
pub(crate) mod pump;
mod servers;
pub(crate) mod stored;
pub(crate) mod target;
pub(crate) mod window;

use std::collections::BTreeMap;
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
pub use doubt::{Answer, ForGood};
pub use servers::{ForwardServer, ForwardServers};
pub use target::{PutError, Record, RecordName};
pub use window::{Hopeless, Outcomes, Round, Settled, WINDOW, Window};

/// Most queues that are forwarded: of events, of updates of either kind, and of tokens' own.
const LANES: usize = 64;
/// How often it is looked whether there are further queues.
const LOOK: Duration = Duration::from_secs(1);
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
            ForwardTo::JetStream(url) => match jetstream::JetStream::start(url, true) {
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
    pub(crate) fn target(&self, queue: &[u8], is_of_events: bool) -> Box<dyn Target> {
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

/// The threads that forward records: one for each queue that they go to, and one that begins and ends those.
#[derive(Debug)]
pub(crate) struct Forwarder {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
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
        let mut lanes = Lanes {
            app: Arc::clone(app),
            connection: connection.clone(),
            identity,
            clock: Arc::new(clock),
            stop: Arc::clone(&stop),
            threads: BTreeMap::new(),
            is_told: false,
        };
        let thread = thread::Builder::new().name("forward".to_owned());
        let begun = lanes.begin().and_then(|()| thread.spawn(move || lanes.run()));
        match begun {
            Ok(thread) => Ok(Self { stop, thread }),
            Err(error) => {
                stop.store(true, Ordering::Release);
                Err(error)
            }
        }
    }

    /// Stops, after what is on its way; what has not arrived stays in the journal. Takes as long as the target
    /// waits for an answer: a second or two for queue servers, three for JetStream.
    pub(crate) fn stop(self) {
        self.stop.store(true, Ordering::Release);
        self.thread.thread().unpark();
        if self.thread.join().is_err() {
            tracing::error!("the thread that begins to forward events panicked");
        }
    }
}

/// The queues that are forwarded.
struct Lanes {
    app: Arc<App>,
    connection: Connection,
    identity: u128,
    clock: Arc<dyn Fn() -> Now + Send + Sync>,
    stop: Arc<AtomicBool>,
    threads: BTreeMap<Vec<u8>, JoinHandle<()>>,
    /// That there are too many queues.
    is_told: bool,
}

impl Lanes {
    /// Tokens may get queues of their own at any time. One that is no longer a token's is forwarded all the same: there
    /// may be something in it.
    fn run(&mut self) {
        while !self.stop.load(Ordering::Acquire) {
            thread::park_timeout(LOOK);
            if let Err(error) = self.begin() {
                tracing::error!(%error, "there is no thread to forward a queue with");
            }
        }
        for thread in self.threads.values() {
            thread.thread().unpark();
        }
        for (_, thread) in std::mem::take(&mut self.threads) {
            if thread.join().is_err() {
                tracing::error!("a thread that forwards events panicked");
            }
        }
    }

    /// Begins to forward the queues that are not forwarded yet.
    fn begin(&mut self) -> io::Result<()> {
        for name in self.app.record_queues() {
            if self.threads.contains_key(&name) || self.stop.load(Ordering::Acquire) {
                continue;
            }
            if self.threads.len() >= LANES {
                if !std::mem::replace(&mut self.is_told, true) {
                    tracing::error!(
                        "records go to more than {LANES} queues: `{}` and others are not forwarded",
                        String::from_utf8_lossy(&name)
                    );
                }
                break;
            }
            let source = StoredQueue {
                store: self.app.store.clone(),
                dead_letters: self.app.dead_letters.clone(),
                name: name.clone().into(),
                identity: self.identity,
                clock: Arc::clone(&self.clock),
                idle: Vec::new(),
            };
            let target = self.connection.target(&name, name == self.app.settings.queue_name);
            tracing::info!(?target, "forwarding events");
            let pump = Pump::new(source, target);
            let (app, stop) = (Arc::clone(&self.app), Arc::clone(&self.stop));
            let thread = thread::Builder::new().name("forward".to_owned());
            let thread = thread.spawn(move || forward(pump, &app.metrics, &stop))?;
            self.threads.insert(name, thread);
        }
        Ok(())
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
