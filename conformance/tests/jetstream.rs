//! `serve --queue nats://…`: what was accepted is in the stream, each record once, whatever becomes of the servers.
//! `WINDHOVER_NATS_ROUNDS=10` for as many rounds of each fault, with both versions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use async_nats::jetstream::{self, Context};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use windhover_conformance::{
    HttpClient, NatsCluster, NatsVersion, Runtime, Server, Setup, TempDir, eventually, full_binary,
    on_each_runtime, report,
};

/// What no sender may wait for.
const LATE: Duration = Duration::from_millis(500);
const SENDERS: usize = 4;
const PAUSE: Duration = Duration::from_millis(4);
/// Elections and restarts of three servers take a while on a busy machine.
const SOON: Duration = Duration::from_secs(60);

/// A tokio runtime with a client of the cluster.
struct Reader {
    runtime: ::tokio::runtime::Runtime,
    context: Context,
}

impl Reader {
    fn of(cluster: &NatsCluster) -> Self {
        let builder = &mut ::tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().unwrap();
        let servers: Vec<String> =
            cluster.addresses().iter().map(|it| format!("nats://{it}")).collect();
        let options = async_nats::ConnectOptions::new().retry_on_initial_connect();
        let context = runtime.block_on(async move {
            let servers: Vec<async_nats::ServerAddr> =
                servers.iter().map(|it| it.parse().unwrap()).collect();
            jetstream::new(options.connect(servers).await.unwrap())
        });
        Self { runtime, context }
    }

    /// Messages in a stream, as its leader says; the leader's name with it.
    fn state(&self, stream: &str) -> Option<(u64, String)> {
        self.runtime.block_on(async {
            let asked =
                ::tokio::time::timeout(Duration::from_secs(2), self.context.get_stream(stream));
            let stream = asked.await.ok()?.ok()?;
            let info = stream.cached_info();
            let leader = info.cluster.as_ref().and_then(|cluster| cluster.leader.clone());
            Some((info.state.messages, leader.unwrap_or_default()))
        })
    }

    /// Every message of a stream: its subject, its id, and its bytes.
    fn messages(&self, stream: &str) -> Vec<(String, String, Vec<u8>)> {
        self.runtime.block_on(async {
            let stream = self.context.get_stream(stream).await.unwrap();
            let count = usize::try_from(stream.cached_info().state.messages).unwrap();
            let config = pull::OrderedConfig {
                deliver_policy: DeliverPolicy::All,
                ..pull::OrderedConfig::default()
            };
            let consumer = stream.create_consumer(config).await.unwrap();
            let messages = consumer.messages().await.unwrap().take(count);
            let read = messages.map(|message| {
                let message = message.unwrap();
                let headers = message.headers.clone().unwrap_or_default();
                let id = headers.get("Nats-Msg-Id").map_or_else(String::new, ToString::to_string);
                (message.subject.to_string(), id, message.payload.to_vec())
            });
            ::tokio::time::timeout(SOON, read.collect()).await.unwrap()
        })
    }
}

fn event(id: &str, more: &Value) -> String {
    let mut properties = json!({ "token": "t", "id": id });
    properties.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    json!({ "event": "e", "properties": properties }).to_string()
}

fn track(client: &mut HttpClient, event: &str) -> bool {
    client.track(event).unwrap().accepted()
}

fn id_of(record: &[u8]) -> String {
    let record: Value = serde_json::from_slice(record).unwrap();
    record["properties"]["id"].as_str().unwrap_or_default().to_owned()
}

fn queued(server: &Server) -> u64 {
    let stats = server.queue_client().stats().unwrap();
    stats.get("queue_events_items").map_or(0, |items| items.parse().unwrap())
}

fn tracker(data: &TempDir, runtime: Runtime, url: &str) -> Server {
    Setup::new(data.path()).program(full_binary()).runtime(runtime).flag("--queue", url).start()
}

fn everything_arrives_once_under_its_subject(runtime: Runtime) {
    let servers = NatsCluster::start(NatsVersion::Newest, 1, "max_payload: 2000\n");
    let data = TempDir::new("jetstream");
    let tracker = tracker(&data, runtime, &servers.url("app"));
    let mut client = tracker.http_client();
    // Larger than what the servers take, and first: it must not keep back the others.
    let large = event("large", &json!({ "x": "x".repeat(3000) }));
    assert!(track(&mut client, &large));
    for id in 0..20 {
        assert!(track(
            &mut client,
            &event(&id.to_string(), &json!({ "$insert_id": format!("i{id}") }))
        ));
    }
    let update = r#"{"$token":"t","$distinct_id":"u","$set":{"a":1}}"#;
    let head =
        "POST /engage HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length:";
    client.send(format!("{head} {}\r\n\r\n{update}", update.len()).as_bytes()).unwrap();
    assert!(client.receive().unwrap().accepted());

    let reader = Reader::of(&servers);
    eventually("all of it is in the stream", SOON, || {
        reader.state("app").filter(|(count, _)| *count == 21)
    });
    let messages = reader.messages("app");
    let ids: Vec<String> = messages
        .iter()
        .filter(|(subject, ..)| subject == "app")
        .map(|(_, _, bytes)| id_of(bytes))
        .collect();
    let expected: Vec<String> = (0..20).map(|id| id.to_string()).collect();
    assert_eq!(ids, expected, "in the order in which they were accepted");
    assert_eq!(messages.iter().filter(|(subject, ..)| subject == "app.engage").count(), 1);
    let distinct: HashSet<&String> = messages.iter().map(|(_, id, _)| id).collect();
    assert_eq!(distinct.len(), 21, "each has an id of its own");

    let letter = eventually("what is too large is a dead letter", SOON, || {
        tracker.queue_client().get("dead-letters").unwrap()
    });
    let letter = String::from_utf8_lossy(&letter).into_owned();
    assert!(
        letter.contains("too_large_for_queue_server") && letter.contains("\"large\""),
        "{letter}"
    );
    eventually("nothing is left in the journal", SOON, || (queued(&tracker) == 0).then_some(()));
    let page = client.get("/metrics").unwrap().text();
    let server = servers.addresses()[0];
    assert!(
        page.contains(&format!("windhover_forward_server_usable{{server=\"{server}\"}} 1")),
        "{page}"
    );
    assert!(page.contains("windhover_events_forwarded_total 21"), "{page}");
    assert!(!tracker.log().contains("acknowledges before it syncs"), "the URL says that it does");
    tracker.stop();
}

on_each_runtime!(everything_arrives_once_under_its_subject);

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

fn forwarded(server: &Server) -> u64 {
    let page = server.http_client().get("/metrics").unwrap().text();
    let line = page.lines().find_map(|line| line.strip_prefix("windhover_events_forwarded_total "));
    line.unwrap().parse().unwrap()
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
