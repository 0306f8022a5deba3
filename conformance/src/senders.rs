//! Clients that send events for as long as something is done to the servers.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::HttpClient;

/// How much is sent.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Clients, each with a connection and a thread of its own.
    pub senders: usize,
    /// How long each rests behind an answer.
    pub pause: Duration,
    /// An answer that takes longer is counted.
    pub late: Duration,
}

/// What the senders saw together.
#[derive(Debug, Default)]
pub struct Sent {
    /// The ids of the events that were accepted.
    pub accepted: Vec<String>,
    /// How many were not.
    pub refused: usize,
    /// The longest time until an answer.
    pub longest: Duration,
    /// How many answers took longer than they may.
    pub late: usize,
}

impl Load {
    /// Sends to a tracker until `meanwhile` is over. `track` sends the event of an id, which is the n-th of its
    /// sender, and says whether it was accepted.
    pub fn run(
        self,
        tracker: SocketAddr,
        track: impl Fn(&mut HttpClient, &str, usize) -> bool + Sync,
        meanwhile: impl FnOnce(),
    ) -> Sent {
        let (stop, track) = (AtomicBool::new(false), &track);
        thread::scope(|scope| {
            let stop = &stop;
            let send = |sender| scope.spawn(move || self.send(tracker, sender, track, stop));
            let senders: Vec<_> = (0..self.senders).map(send).collect();
            let stopped = Stop(stop);
            meanwhile();
            drop(stopped);
            let sent = senders.into_iter().map(|sender| sender.join().unwrap());
            sent.reduce(Sent::and).unwrap_or_default()
        })
    }

    fn send(
        self,
        tracker: SocketAddr,
        sender: usize,
        track: impl Fn(&mut HttpClient, &str, usize) -> bool,
        stop: &AtomicBool,
    ) -> Sent {
        let mut client = HttpClient::connect(tracker).unwrap();
        let mut sent = Sent::default();
        for n in 0.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let id = format!("{sender}-{n}");
            let begun = Instant::now();
            let is_accepted = track(&mut client, &id, n);
            let took = begun.elapsed();
            if is_accepted {
                sent.accepted.push(id);
            } else {
                sent.refused += 1;
            }
            sent.longest = sent.longest.max(took);
            sent.late += usize::from(took > self.late);
            thread::sleep(self.pause);
        }
        sent
    }
}

impl Sent {
    fn and(mut self, other: Self) -> Self {
        self.accepted.extend(other.accepted);
        self.refused += other.refused;
        self.longest = self.longest.max(other.longest);
        self.late += other.late;
        self
    }
}

/// Stops the senders, also when the test fails on its way.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
