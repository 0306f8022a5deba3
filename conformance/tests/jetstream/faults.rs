//! Servers are killed and cut off under load.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use windhover_conformance::{
    HttpClient, NatsCluster, NatsVersion, Runtime, Server, TempDir, eventually, report,
};

use super::{Reader, SOON, event, forwarded, id_of, queued, track, tracker};

/// What no sender may wait for.
const LATE: Duration = Duration::from_millis(500);
const SENDERS: usize = 4;
const PAUSE: Duration = Duration::from_millis(4);

/// What one sender saw.
#[derive(Default)]
struct Sent {
    accepted: Vec<String>,
    refused: usize,
    longest: Duration,
    late: usize,
}

fn send(tracker: SocketAddr, sender: usize, stop: &AtomicBool) -> Sent {
    let mut client = HttpClient::connect(tracker).unwrap();
    let mut sent = Sent::default();
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let id = format!("{sender}-{n}");
        let begun = Instant::now();
        // Half of them have an identity of their own, the others are known by their place in the journal.
        let more = if n % 2 == 0 { json!({ "$insert_id": id }) } else { json!({}) };
        if track(&mut client, &event(&id, &more)) {
            sent.accepted.push(id);
        } else {
            sent.refused += 1;
        }
        let took = begun.elapsed();
        sent.longest = sent.longest.max(took);
        sent.late += usize::from(took > LATE);
        thread::sleep(PAUSE);
    }
    sent
}

/// Stops the senders, also when the test fails on its way.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Waits until further events have arrived; how long that took.
fn resumed(tracker: &Server, what: &str) -> Duration {
    let (begun, before) = (Instant::now(), forwarded(tracker));
    eventually(what, SOON, || (forwarded(tracker) > before + 5).then_some(()));
    begun.elapsed()
}

/// The servers' state when nothing is wrong: the leader of the stream.
fn leader(cluster: &NatsCluster, reader: &Reader) -> usize {
    eventually("the stream has a leader", SOON, || {
        reader.state("app").and_then(|(_, leader)| cluster.named(&leader))
    })
}

/// What is done to three servers, and undone.
type Fault = fn(&mut NatsCluster, &Reader, &Server);

/// How many rounds: one, unless it is said otherwise.
fn rounds() -> Option<u32> {
    std::env::var("WINDHOVER_NATS_ROUNDS").ok().map(|rounds| rounds.parse().unwrap())
}

/// Under load, does it to a cluster of that version as often as it is asked: nothing that was accepted is lost or
/// comes twice.
fn nothing_is_lost(version: NatsVersion, name: &str, mut cluster: NatsCluster, fault: Fault) {
    let data = TempDir::new("jetstream-faults");
    let tracker = tracker(&data, Runtime::Tokio, &cluster.url("app"));
    let reader = Reader::of(&cluster);
    let stop = AtomicBool::new(false);
    let mut longest_gap = Duration::ZERO;
    let sent: Vec<Sent> = thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let (address, stop) = (tracker.http(), &stop);
                scope.spawn(move || send(address, sender, stop))
            })
            .collect();
        let stopped = Stop(&stop);
        resumed(&tracker, "events arrive");
        for _ in 0..rounds().unwrap_or(1) {
            let begun = Instant::now();
            fault(&mut cluster, &reader, &tracker);
            longest_gap = longest_gap.max(begun.elapsed());
        }
        drop(stopped);
        senders.into_iter().map(|sender| sender.join().unwrap()).collect()
    });
    eventually("nothing is left in the journal", SOON, || (queued(&tracker) == 0).then_some(()));
    let log = tracker.log();
    tracker.stop();

    leader(&cluster, &reader);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut message_ids = HashSet::new();
    for (_, message_id, bytes) in reader.messages("app") {
        *counts.entry(id_of(&bytes)).or_default() += 1;
        message_ids.insert(message_id);
    }
    let accepted: Vec<&String> = sent.iter().flat_map(|sent| &sent.accepted).collect();
    let lost = accepted.iter().filter(|id| !counts.contains_key(**id)).count();
    let twice = counts.values().filter(|count| **count > 1).count();
    let longest = sent.iter().map(|sent| sent.longest).max().unwrap();
    let late: usize = sent.iter().map(|sent| sent.late).sum();
    let refused: usize = sent.iter().map(|sent| sent.refused).sum();
    report(&format!(
        "{name}, {version:?}, {} rounds: {} accepted, {refused} refused, {lost} lost, {twice} twice, {} in the \
         stream, longest answer {longest:?}, {late} over {LATE:?}, longest round {longest_gap:?}",
        rounds().unwrap_or(1),
        accepted.len(),
        counts.len(),
    ));
    assert_eq!((lost, twice, refused), (0, 0, 0), "{log}");
    assert_eq!(message_ids.len(), counts.len(), "each has an id of its own");
    assert!(accepted.len() > 50, "there was no load");
    // A loose bound: a machine may be busy with other tests.
    assert!(longest < LATE * 10, "an answer took {longest:?}");
}

/// On both versions where rounds are asked for, on one otherwise.
fn on_versions(one: NatsVersion, test: impl Fn(NatsVersion)) {
    if rounds().is_some() {
        test(NatsVersion::Debian);
        test(NatsVersion::Newest);
    } else {
        test(one);
    }
}

fn three(version: NatsVersion) -> NatsCluster {
    NatsCluster::start(version, 3, "")
}

#[test]
fn a_follower_is_killed() {
    on_versions(NatsVersion::Debian, |version| {
        nothing_is_lost(version, "follower killed", three(version), |cluster, reader, tracker| {
            let follower = (leader(cluster, reader) + 1) % 3;
            cluster.kill(follower);
            resumed(tracker, "two go on");
            cluster.restart(follower);
            resumed(tracker, "three go on");
        });
    });
}

#[test]
fn the_leader_is_killed() {
    on_versions(NatsVersion::Newest, |version| {
        nothing_is_lost(version, "leader killed", three(version), |cluster, reader, tracker| {
            let leader = leader(cluster, reader);
            cluster.kill(leader);
            resumed(tracker, "another one leads");
            cluster.restart(leader);
            resumed(tracker, "three go on");
        });
    });
}

#[test]
fn all_three_are_killed() {
    on_versions(NatsVersion::Newest, |version| {
        nothing_is_lost(version, "all killed", three(version), |cluster, _, tracker| {
            (0..3).for_each(|node| cluster.kill(node));
            (0..3).for_each(|node| cluster.restart(node));
            resumed(tracker, "all are back");
        });
    });
}

#[test]
fn the_network_is_cut() {
    on_versions(NatsVersion::Debian, |version| {
        let apart = NatsCluster::apart(version);
        nothing_is_lost(version, "network cut", apart, |cluster, reader, tracker| {
            let leader = leader(cluster, reader);
            // Off from everybody, or from the other servers alone, as chance has it.
            if forwarded(tracker).is_multiple_of(2) {
                cluster.cut(leader);
            } else {
                cluster.cut_from_others(leader);
            }
            resumed(tracker, "the others go on");
            cluster.mend(leader);
            resumed(tracker, "three go on");
        });
    });
}
