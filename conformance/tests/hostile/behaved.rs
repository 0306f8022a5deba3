//! A client that behaves: so many events in each second, whatever becomes of the ones before.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use windhover_conformance::HttpClient;

/// What its events are called.
pub(crate) const EVENT: &str = "in time";
/// Events in each second.
pub(crate) const RATE: u32 = 2000;
/// Connections that share them: each waits for its answer.
const CONNECTIONS: u32 = 32;
/// How many rounds there are at least.
const ROUNDS: usize = 5;

/// How long its events took, by rounds.
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    p99: Vec<Duration>,
    pub(crate) accepted: u64,
}

impl Rounds {
    /// The median of the rounds.
    pub(crate) fn p99(&self) -> Duration {
        let mut sorted = self.p99.clone();
        sorted.sort_unstable();
        sorted[sorted.len() / 2]
    }

    pub(crate) fn count(&self) -> usize {
        self.p99.len()
    }
}

/// Five rounds, and further ones until it `is_enough`.
pub(crate) fn rounds(address: SocketAddr, round: Duration, is_enough: impl Fn() -> bool) -> Rounds {
    let mut rounds = Rounds::default();
    while rounds.count() < ROUNDS || !is_enough() {
        let mut took = one_round(address, round);
        rounds.accepted += took.len() as u64;
        took.sort_unstable();
        rounds.p99.push(took[(took.len() - 1) * 99 / 100]);
    }
    rounds
}

/// How long each event of a round took, from the moment at which it was to be sent.
fn one_round(address: SocketAddr, round: Duration) -> Vec<Duration> {
    let all = Arc::new(Mutex::new(Vec::new()));
    let begin = Instant::now() + Duration::from_millis(50);
    let interval = Duration::from_secs(1) * CONNECTIONS / RATE;
    let connection = |number: u32| {
        let all = Arc::clone(&all);
        let first = begin + interval * number / CONNECTIONS;
        thread::spawn(move || {
            let mut client = HttpClient::connect(address).expect("whoever behaves is let in");
            let mut took = Vec::new();
            let mut at = first;
            while at < begin + round {
                thread::sleep(at.saturating_duration_since(Instant::now()));
                let event = format!(r#"{{"event":"{EVENT}","properties":{{"token":"t"}}}}"#);
                let answer = client.track(&event).expect("whoever behaves is answered");
                assert!(answer.accepted(), "{answer:?}");
                took.push(at.elapsed());
                at += interval;
            }
            all.lock().expect("no thread panics").extend(took);
        })
    };
    let threads: Vec<_> = (0..CONNECTIONS).map(connection).collect();
    for thread in threads {
        thread.join().expect("whoever behaves is served");
    }
    let mut all = all.lock().expect("no thread panics");
    std::mem::take(&mut *all)
}
