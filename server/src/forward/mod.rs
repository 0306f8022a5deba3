//! Events on their way to queue servers elsewhere.
//!
//! Every event goes into the journal first, and is answered when it is safe there, whatever the
//! queue servers do. From there a thread takes events in their order, sends them on, and removes
//! those that a server said it had stored. What was sent and not answered is sent again, to another
//! server: each event arrives at least once. While no server can be reached, events stay in the
//! journal; when that is full, they are not accepted. An event that the servers refuse for good goes to
//! the dead-letter queue.

mod doubt;
mod servers;
mod target;

use std::collections::{HashMap, VecDeque};
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use windhover_client::protocol::client::ClusterOptions;
use windhover_client::{Builder, Client, Error, Event, Queue, block_on_ticking};
use windhover_core::Now;
use windhover_core::queue::{Action, OpOutcome, Read};

use self::doubt::{Answer, Doubt, ForGood, Verdict, check};
use crate::app::App;
use crate::dead_letters::{DEAD_LETTERS, DeadLetter, Origin};
use crate::store::{Begun, Reader};

pub use servers::{ForwardServer, ForwardServers};
pub use target::{QueueServers, QueueServersError};

/// So many records of one queue are on their way at a time.
const WINDOW: usize = 256;
/// So many are taken out of the journal at a time, with those that may never be taken by a server.
const HELD: usize = 2 * WINDOW;
/// Most queues that are forwarded: of events, and of updates of either kind.
const LANES: usize = 3;
/// How long one server is waited for before another one is tried.
const ATTEMPT: Duration = Duration::from_millis(150);
/// How long an event's delivery may take, all servers together.
const DELIVERY: Duration = Duration::from_secs(1);
/// After a round in which nothing could be delivered.
const PAUSE: Duration = Duration::from_millis(100);
/// How long to wait for events; a stop is noticed after as long at the latest.
const WAIT: Duration = Duration::from_millis(250);
/// Between two lines of the log about deliveries that fail.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// A client for these servers, to be built and driven by a runtime.
pub fn client(servers: &QueueServers) -> Builder {
    let mut builder = Client::queue_builder()
        .timeout(DELIVERY)
        .options(|options: &mut ClusterOptions| {
            options.attempt_timeout = ATTEMPT;
            options.connect_timeout = ATTEMPT;
            options.timeouts.stall = DELIVERY;
            options.limits.pipeline = WINDOW * LANES;
            // The journal has its own bound; what is too large for a server is refused by it.
            options.limits.value = 64 * 1024 * 1024;
            // Every event is to arrive: the window bounds what is sent again.
            options.attempts = 4;
            options.retries.percent = 100;
            options.retries.per_second = u32::try_from(WINDOW * LANES).unwrap_or(u32::MAX);
        })
        .on_event(|event| match event {
            Event::Restored(_) => tracing::info!("queue {event}"),
            _ => tracing::warn!("queue {event}"),
        });
    for address in servers.addresses() {
        builder = builder.server(address);
    }
    builder
}

/// The threads that forward records, one for each queue that they go to.
#[derive(Debug)]
pub struct Forwarder {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Forwarder {
    /// Begins to forward what is in the queues that records go to. `clock` tells the time.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start(
        app: &Arc<App>,
        client: &Client,
        clock: impl Fn() -> Now + Clone + Send + 'static,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut forwarder = Self { stop: Arc::clone(&stop), threads: Vec::new() };
        for name in app.settings.record_queues() {
            let mut lane = Lane {
                app: Arc::clone(app),
                name: name.to_vec(),
                queue: client.queue(name.to_vec()).at_least_once(),
                clock: clock.clone(),
                stop: Arc::clone(&stop),
                idle: Vec::new(),
                held: VecDeque::new(),
                largest_taken: 0,
                logged: None,
            };
            let thread = thread::Builder::new().name("forward".to_owned());
            match thread.spawn(move || lane.run()) {
                Ok(thread) => forwarder.threads.push(thread),
                Err(error) => {
                    forwarder.stop();
                    return Err(error);
                }
            }
        }
        Ok(forwarder)
    }

    /// Stops, after what is on its way; what has not arrived stays in the journal. Takes a second or
    /// two at most.
    pub fn stop(self) {
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

/// An event that is set aside until it has arrived.
struct Held {
    /// Who has it set aside: each reader one event, so that each can be confirmed for itself.
    reader: Reader,
    item: Bytes,
    /// It may never be taken.
    doubt: Option<Doubt>,
}

struct Lane<C> {
    app: Arc<App>,
    /// The queue here; it has the same name there.
    name: Vec<u8>,
    queue: Queue,
    clock: C,
    stop: Arc<AtomicBool>,
    /// Readers that have nothing open.
    idle: Vec<Reader>,
    /// Events that have not arrived, the oldest first.
    held: VecDeque<Held>,
    /// Bytes of the largest event that a server has taken.
    largest_taken: usize,
    logged: Option<Instant>,
}

impl<C: Fn() -> Now> Lane<C> {
    fn run(&mut self) {
        tracing::info!(queue = ?self.queue, "forwarding events");
        while !self.stop.load(Ordering::Acquire) {
            if self.due().next().is_none() {
                self.wait_for_one();
            }
            self.fill();
            if self.due().next().is_none() {
                continue;
            }
            let (arrived, failed) = self.deliver();
            self.app.metrics.forwarded.inc_by(arrived);
            self.app.metrics.forward_failures.inc_by(failed);
            if arrived == 0 && !self.stop.load(Ordering::Acquire) {
                thread::park_timeout(PAUSE);
            }
        }
        // The readers put back what has not arrived, the oldest last, so that it is first again.
        while self.held.pop_back().is_some() {}
    }

    /// The events that may be sent now, by place.
    fn due(&self) -> impl Iterator<Item = usize> {
        let now = Instant::now();
        let is_due = move |held: &Held| held.doubt.is_none_or(|doubt| doubt.due <= now);
        (0..).zip(&self.held).filter(move |(_, held)| is_due(held)).map(|(at, _)| at)
    }

    /// Waits for the next event.
    fn wait_for_one(&mut self) {
        let mut reader = self.idle.pop().unwrap_or_else(|| self.app.store.reader());
        let read = Read { action: Action::Open, timeout: Some(WAIT) };
        let outcome = match reader.get(&self.name, read, (self.clock)()) {
            Begun::Done(outcome) => outcome,
            Begun::Waiting(mut ticket) => {
                let waited = poll_fn(|cx| ticket.poll((self.clock)(), cx));
                self.run_ticking(waited)
            }
        };
        self.hold(reader, outcome);
    }

    /// Takes what else is there.
    fn fill(&mut self) {
        // Those that may never be taken must not keep others from being sent.
        while self.held.iter().filter(|held| held.doubt.is_none()).count() < WINDOW
            && self.held.len() < HELD
        {
            let mut reader = self.idle.pop().unwrap_or_else(|| self.app.store.reader());
            let begun = reader.get(&self.name, Read::from(Action::Open), (self.clock)());
            let Begun::Done(outcome @ OpOutcome::Item(_)) = begun else {
                self.idle.push(reader);
                return;
            };
            self.hold(reader, outcome);
        }
    }

    fn hold(&mut self, reader: Reader, outcome: OpOutcome) {
        match outcome {
            OpOutcome::Item(item) => self.held.push_back(Held { reader, item, doubt: None }),
            _ => self.idle.push(reader),
        }
    }

    /// Sends everything that is due, in order; how many events arrived, and how many did not.
    fn deliver(&mut self) -> (u64, u64) {
        let (alone, together): (Vec<usize>, Vec<usize>) =
            self.due().partition(|at| self.held.get(*at).is_some_and(|held| held.doubt.is_some()));
        let mut outcomes = self.send(&alone);
        let behind = self.send(&together);
        let others_taken = behind.values().any(Result::is_ok);
        outcomes.extend(behind);

        let mut kept = VecDeque::new();
        let (mut arrived, mut failed) = (0, Vec::new());
        for (at, mut held) in std::mem::take(&mut self.held).into_iter().enumerate() {
            match outcomes.remove(&at) {
                None => kept.push_back(held),
                Some(Ok(())) => {
                    self.largest_taken = self.largest_taken.max(held.item.len());
                    arrived += 1;
                    self.let_go(held);
                }
                Some(Err(error)) => {
                    let is_largest = held.item.len() > self.largest_taken;
                    let (doubt, answer) = (held.doubt, Answer::of(&error));
                    let verdict = check(doubt, answer, is_largest, others_taken, Instant::now());
                    held.doubt = match verdict {
                        Verdict::Doubted(doubt) => Some(doubt),
                        Verdict::Again | Verdict::Never(_) => None,
                    };
                    let kept_back = match verdict {
                        Verdict::Never(why) => self.give_up(held, why, &error),
                        Verdict::Again | Verdict::Doubted(_) => Some(held),
                    };
                    kept.extend(kept_back);
                    failed.push(error);
                }
            }
        }
        self.held = kept;
        if let Some(error) = failed.first() {
            self.log(error, failed.len());
        }
        (arrived, failed.len() as u64)
    }

    /// Sends the events in those places, in order; what became of each.
    fn send(&self, places: &[usize]) -> HashMap<usize, Result<(), Error>> {
        let sent: FuturesUnordered<_> = places
            .iter()
            .filter_map(|&at| Some((at, self.held.get(at)?)))
            .map(|(at, held)| {
                let (queue, item) = (self.queue.clone(), held.item.clone());
                async move { (at, queue.enqueue(item).await) }
            })
            .collect();
        self.run_ticking(sent.collect())
    }

    /// Removes an event from the journal.
    fn let_go(&mut self, mut held: Held) {
        let _ = held.reader.get(&self.name, Read::from(Action::Close), (self.clock)());
        self.idle.push(held.reader);
    }

    /// Puts an event among the dead letters; gives it back where that fails.
    fn give_up(&mut self, held: Held, why: ForGood, error: &Error) -> Option<Held> {
        let now = (self.clock)();
        let name = String::from_utf8_lossy(&self.name).into_owned();
        let letter = DeadLetter {
            reason: why.reason().to_owned(),
            detail: format!("{error:#}"),
            origin: Origin::Queue(name),
            token: None,
            time: now.unix,
            content_type: None,
            content_encoding: None,
            bytes: held.item.clone(),
        };
        let Ok(mut ticket) = self.app.dead_letters.put_safely(&letter, now) else {
            return Some(held);
        };
        let outcome = self.run_ticking(poll_fn(|cx| ticket.poll((self.clock)(), cx)));
        if outcome != OpOutcome::Stored {
            return Some(held);
        }
        tracing::warn!(
            error = format_args!("{error:#}"),
            bytes = held.item.len(),
            "an event will never be taken; it is in the queue `{DEAD_LETTERS}` now"
        );
        self.let_go(held);
        None
    }

    fn log(&mut self, error: &Error, events: usize) {
        if self.logged.is_none_or(|logged| logged.elapsed() >= LOG_EVERY) {
            self.logged = Some(Instant::now());
            tracing::warn!(
                error = format_args!("{error:#}"),
                events,
                "events could not be forwarded; they stay in the journal and are sent again"
            );
        }
    }

    /// Runs a future on this thread, and lets waits in the store end in time meanwhile.
    fn run_ticking<F: Future>(&self, future: F) -> F::Output {
        block_on_ticking(future, WAIT, || self.app.store.tick((self.clock)()))
    }
}
