//! Simulated time, and a connection that is driven without a socket.

use std::task::{Context, Waker};
use std::time::Duration;

use windhover_cache::storage::{Bounds, Deadline, Storage, StoreOptions, StoredItem, Time};
use windhover_cache::{Cache, CacheHandler};
use windhover_core::endpoint::{Endpoint, Next};
use windhover_core::memcache::Data;
use windhover_core::memcache::handler::Session;
use windhover_core::{Instant, Now, UnixTime};

/// `seconds` after the start, which was in the year 2033.
pub(crate) fn now(seconds: u64) -> Now {
    Now {
        instant: Instant::from_epoch(Duration::from_secs(seconds)),
        unix: UnixTime::from_secs(2_000_000_000 + seconds),
    }
}

pub(crate) fn at(seconds: u64) -> Time {
    Time::new(now(seconds))
}

/// A shard, with a hash of its own for each key.
pub(crate) struct Shard(pub(crate) Storage);

impl Shard {
    pub(crate) fn new() -> Self {
        Self::with_memory(1 << 20)
    }

    pub(crate) fn with_memory(memory: usize) -> Self {
        Self(Storage::new(Bounds { memory, item: 64 * 1024 }))
    }

    pub(crate) fn set(&mut self, key: &str, value: &str, seconds: u64) -> u64 {
        self.set_until(key, value, 0, seconds)
    }

    /// Sets with an exptime; returns the cas unique.
    pub(crate) fn set_until(&mut self, key: &str, value: &str, exptime: i64, seconds: u64) -> u64 {
        let item = item(key, value, exptime, seconds);
        let handle = self.0.store(hash(key), item, &StoreOptions::default(), at(seconds)).unwrap();
        self.0.item(handle).unwrap().cas
    }

    pub(crate) fn get(&mut self, key: &str, seconds: u64) -> Option<String> {
        let item = self.0.read(hash(key), key.as_bytes(), at(seconds))?;
        Some(String::from_utf8(item.value().to_vec()).unwrap())
    }

    /// The keys that are there, from the most recently used on.
    pub(crate) fn keys(&self, seconds: u64) -> Vec<String> {
        let key = |item: &StoredItem| String::from_utf8(item.key().to_vec()).unwrap();
        self.0.iter(at(seconds)).map(key).collect()
    }
}

pub(crate) fn item(key: &str, value: &str, exptime: i64, seconds: u64) -> StoredItem {
    let expiry = Deadline::of(exptime, at(seconds));
    StoredItem::new(key.as_bytes(), 0, expiry, &Data::new(value.as_bytes()))
}

/// Poor on purpose: many keys have the same.
pub(crate) fn hash(key: &str) -> u64 {
    key.bytes().fold(0, |hash, byte| (hash * 31 + u64::from(byte)) % 1009)
}

/// A cache and one connection to it.
pub(crate) struct Peer {
    session: Session<CacheHandler>,
    seconds: u64,
    pub(crate) closed: bool,
}

impl Peer {
    pub(crate) fn new() -> Self {
        Self::of(&Cache::default())
    }

    pub(crate) fn of(cache: &Cache) -> Self {
        Self { session: cache.accept(now(0)), seconds: 0, closed: false }
    }

    /// Lets time pass.
    pub(crate) fn sleep(&mut self, seconds: u64) {
        self.seconds += seconds;
    }

    /// Sends bytes, and returns all that is answered.
    pub(crate) fn ask(&mut self, bytes: impl AsRef<[u8]>) -> String {
        self.session.read_buffer().extend_from_slice(bytes.as_ref());
        String::from_utf8(self.drain(usize::MAX)).unwrap()
    }

    /// Sends requests one by one and checks each answer.
    pub(crate) fn check(&mut self, exchanges: &[(&str, &str)]) {
        for (request, answer) in exchanges {
            assert_eq!(self.ask(request), *answer, "{request:?}");
        }
    }

    pub(crate) fn end_of_stream(&mut self) -> Vec<u8> {
        self.session.end_of_stream();
        self.drain(usize::MAX)
    }

    pub(crate) fn wants_read(&self) -> bool {
        self.session.wants_read()
    }

    /// Most bytes that waited to be written at a time while the answer to `bytes` was given to a peer that
    /// takes it in pieces, so many seconds apart; and how many there were.
    pub(crate) fn most_unsent(&mut self, bytes: &[u8], pause: u64) -> (usize, usize) {
        self.session.read_buffer().extend_from_slice(bytes);
        let (mut most, mut sum) = (0, 0);
        while self.poll() == Next::Write {
            let unsent = self.unsent().len();
            most = most.max(unsent);
            sum += unsent;
            self.sleep(pause);
            self.session.wrote(unsent);
        }
        (most, sum)
    }

    fn poll(&mut self) -> Next {
        self.session.poll_output(now(self.seconds), &mut Context::from_waker(Waker::noop()))
    }

    fn unsent(&self) -> Vec<u8> {
        let mut slices = [&b""[..]; 1024];
        let filled = self.session.unsent(&mut slices);
        slices[..filled].concat()
    }

    /// Writes at most `step` bytes at a time until the connection is idle.
    pub(crate) fn drain(&mut self, step: usize) -> Vec<u8> {
        let mut written = Vec::new();
        loop {
            match self.poll() {
                Next::Write => {
                    let mut unsent = self.unsent();
                    unsent.truncate(step);
                    self.session.wrote(unsent.len());
                    written.extend_from_slice(&unsent);
                }
                Next::Idle(_) => break,
                _ => {
                    self.closed = true;
                    break;
                }
            }
        }
        self.session.release();
        written
    }
}
