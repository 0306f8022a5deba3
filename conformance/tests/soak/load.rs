//! What is asked of them all the while, and the books of what was answered.

use std::fmt::{self, Display, Formatter};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use windhover_client::Client;
use windhover_conformance::{
    HttpClient, Item, Ledger, QueueClient, QueueLedger, Random, Totals, WRITERS, eventually,
};

use crate::peer::{Peer, Place};

/// Of a call to a cache.
const DEADLINE: Duration = Duration::from_millis(500);
/// By how much a call may be late. Loose: the machine may be busy.
const LATE: Duration = Duration::from_secs(5);
const KEYS: usize = 500;

#[derive(Debug)]
pub(crate) struct Load {
    /// Between two requests of one who sends.
    pause: Duration,
    events: Ledger,
    jobs: QueueLedger,
    /// The last version of each key that was sent.
    versions: Mutex<[u64; KEYS]>,
    answers: AtomicU64,
    hits: AtomicU64,
    failures: AtomicU64,
    longest: Mutex<Duration>,
}

impl Load {
    /// A load of which each who sends rests so long between two requests.
    pub(crate) fn new(pause: Duration) -> Self {
        Self {
            pause,
            events: Ledger::default(),
            jobs: QueueLedger::new("jobs"),
            versions: Mutex::new([0; KEYS]),
            answers: AtomicU64::new(0),
            hits: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            longest: Mutex::default(),
        }
    }
}

/// What was done.
#[derive(Debug)]
pub(crate) struct Done {
    events: Totals,
    stored: usize,
    confirmed: usize,
    answers: u64,
    hits: u64,
    failures: u64,
    longest: Duration,
}

impl Display for Done {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { events, stored, confirmed, answers, hits, failures, longest } = self;
        write!(
            f,
            "{events}; {stored} sets answered `STORED`, {confirmed} confirmed; {answers} answers of caches ({hits} \
             values, each of its key), {failures} failures, the longest call {longest:.1?}"
        )
    }
}

impl Load {
    /// Begins all of it.
    pub(crate) fn start<'scope, 'env>(
        &'env self,
        scope: &'scope Scope<'scope, 'env>,
        place: &'env Place,
        has_ended: &'env AtomicBool,
        seed: u64,
    ) {
        for batch in [1, 7] {
            scope.spawn(move || self.send(&place.tracker, batch, has_ended));
        }
        for peer in &place.queues {
            scope.spawn(move || self.consume(peer, has_ended));
        }
        for writer in 0..WRITERS {
            scope.spawn(move || {
                self.connected(&place.queues[0], has_ended, |client| {
                    thread::sleep(self.pause);
                    self.jobs.put(client, writer).map(drop)
                });
            });
        }
        scope.spawn(move || {
            let mut random = Random::new(seed);
            self.connected(&place.queues[0], has_ended, |client| {
                if !self.jobs.take(client, &mut random)? {
                    thread::sleep(self.pause);
                }
                Ok(())
            });
        });
        scope.spawn(move || {
            place.runtime.block_on(self.ask(place, Random::new(seed + 1), has_ended));
        });
    }

    fn send(&self, tracker: &Peer, batch: usize, has_ended: &AtomicBool) {
        while !has_ended.load(Ordering::Relaxed) {
            let client = HttpClient::connect_within(tracker.http(), Duration::from_secs(3));
            let Ok(mut client) = client else {
                thread::sleep(self.pause);
                continue;
            };
            while !has_ended.load(Ordering::Relaxed) && self.events.send(&mut client, batch) {
                thread::sleep(self.pause);
            }
        }
    }

    /// Reliable reads: an item that a plain get took may be lost with its answer.
    fn consume(&self, queue: &Peer, has_ended: &AtomicBool) {
        self.connected(queue, has_ended, |client| {
            if let Some(item) = client.get("events/t=50/close/open")? {
                self.events.saw(&item);
            }
            Ok(())
        });
    }

    /// Sets and gets: a value is of the key that was asked for, and none that was never set.
    async fn ask(&self, place: &Place, mut random: Random, has_ended: &AtomicBool) {
        let builder = Client::builder()
            .server(&place.cache.address().to_string())
            .server(&place.memcached_at.to_string())
            .timeout(DEADLINE);
        let client = place.runtime.connect(builder);
        while !has_ended.load(Ordering::Relaxed) {
            let number = random.below(KEYS);
            let key = format!("key-{number}");
            let begun = Instant::now();
            let failed = if random.below(2) == 0 {
                let version = {
                    let mut versions = self.versions.lock().expect("no thread panics with it");
                    versions[number] += 1;
                    versions[number]
                };
                client.set(&key, format!("{key} {version}")).await.is_err()
            } else {
                match client.get(&key).await {
                    Ok(Some(value)) => {
                        let text = value.text().expect("text");
                        let version = text
                            .strip_prefix(&format!("{key} "))
                            .and_then(|v| v.parse::<u64>().ok());
                        let last = self.versions.lock().expect("no thread panics with it")[number];
                        assert!(
                            version.is_some_and(|v| v <= last),
                            "{key} of {last} versions is `{text}`"
                        );
                        self.hits.fetch_add(1, Ordering::Relaxed);
                        false
                    }
                    Ok(None) => false,
                    Err(_) => true,
                }
            };
            let took = begun.elapsed();
            assert!(took < DEADLINE + LATE, "a call took {took:?}");
            let mut longest = self.longest.lock().expect("no thread panics with it");
            *longest = took.max(*longest);
            drop(longest);
            let count = if failed { &self.failures } else { &self.answers };
            count.fetch_add(1, Ordering::Relaxed);
            thread::sleep(self.pause / 4);
        }
    }

    /// Everything that was acknowledged before now comes out.
    #[track_caller]
    pub(crate) fn assert_all_comes_out(&self, bound: Duration) {
        let owed = self.events.lost();
        let jobs: Vec<Item> = {
            let books = self.jobs.books();
            books.stored.difference(&books.done).copied().collect()
        };
        eventually("every event that was accepted comes out", bound, || {
            self.events.were_seen(&owed).then_some(())
        });
        eventually("every item that was stored comes out", bound, || {
            let books = self.jobs.books();
            jobs.iter().all(|item| books.done.contains(item)).then_some(())
        });
    }

    /// Requests that were answered so far.
    pub(crate) fn served(&self) -> u64 {
        let events = self.events.accepted() as u64;
        events + self.jobs.books().stored.len() as u64 + self.answers.load(Ordering::Relaxed)
    }

    /// The books at the end.
    #[track_caller]
    pub(crate) fn close(&self, place: &Place) -> Done {
        // What was on its way to the queues, and what no answer came to.
        let mut events = Vec::new();
        eventually("nothing is left in the tracker", Duration::from_secs(60), || {
            for queue in &place.queues {
                events.extend(QueueClient::connect(queue.queue).ok()?.drain("events").ok()?);
            }
            (place.tracker.server().as_ref()?.items("events") == 0).then_some(())
        });
        for queue in &place.queues {
            let mut client = QueueClient::connect(queue.queue).expect("it runs");
            events.extend(client.drain("events").expect("the queue gives its items"));
        }
        for item in &events {
            self.events.saw(item);
        }
        let events = self.events.balance();
        let jobs = self.jobs.books();
        assert!(events.accepted > 0 && !jobs.stored.is_empty(), "the load never got through");
        Done {
            events,
            stored: jobs.stored.len(),
            confirmed: jobs.done.len(),
            answers: self.answers.load(Ordering::Relaxed),
            hits: self.hits.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            longest: *self.longest.lock().expect("no thread panics with it"),
        }
    }

    /// Sends one batch of so many events.
    pub(crate) fn send_many(&self, tracker: &Peer, batch: usize) {
        let client = HttpClient::connect_within(tracker.http(), Duration::from_secs(3));
        if let Ok(mut client) = client {
            self.events.send(&mut client, batch);
        }
    }

    /// Does that again and again on a connection, and on another one when it fails.
    fn connected(
        &self,
        peer: &Peer,
        has_ended: &AtomicBool,
        mut does: impl FnMut(&mut QueueClient) -> std::io::Result<()>,
    ) {
        while !has_ended.load(Ordering::Relaxed) {
            let Ok(mut client) = QueueClient::connect(peer.queue) else {
                thread::sleep(self.pause);
                continue;
            };
            while !has_ended.load(Ordering::Relaxed) && does(&mut client).is_ok() {}
        }
    }
}
