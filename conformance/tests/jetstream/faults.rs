//! Servers are killed and cut off under load.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use serde_json::json;
use windhover_conformance::{
    HttpClient, Load, NatsCluster, NatsVersion, Runtime, Sent, Server, TempDir, eventually, report,
};

use super::{Reader, SOON, event, forwarded, id_of, track, tracker};

/// What no sender may wait for.
const LATE: Duration = Duration::from_millis(500);
const LOAD: Load = Load { senders: 4, pause: Duration::from_millis(4), late: LATE };

/// Half of them have an identity of their own, the others are known by their place in the journal.
fn track_id(client: &mut HttpClient, id: &str, n: usize) -> bool {
    let more = if n.is_multiple_of(2) { json!({ "$insert_id": id }) } else { json!({}) };
    track(client, &event(id, &more))
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
    let mut longest_gap = Duration::ZERO;
    let sent = LOAD.run(tracker.http(), track_id, || {
        resumed(&tracker, "events arrive");
        for _ in 0..rounds().unwrap_or(1) {
            let begun = Instant::now();
            fault(&mut cluster, &reader, &tracker);
            longest_gap = longest_gap.max(begun.elapsed());
        }
    });
    eventually("nothing is left in the journal", SOON, || {
        (tracker.items("events") == 0).then_some(())
    });
    let log = tracker.log();
    tracker.stop();

    leader(&cluster, &reader);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut message_ids = HashSet::new();
    for (_, message_id, bytes) in reader.messages("app") {
        *counts.entry(id_of(&bytes)).or_default() += 1;
        message_ids.insert(message_id);
    }
    let Sent { accepted, refused, longest, late } = sent;
    let lost = accepted.iter().filter(|id| !counts.contains_key(*id)).count();
    let twice = counts.values().filter(|count| **count > 1).count();
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
