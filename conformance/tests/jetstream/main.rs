//! `serve --queue nats://…`: what was accepted is in the stream, each record once, whatever becomes of the servers.
//! `WINDHOVER_NATS_ROUNDS=10` for as many rounds of each fault, with both versions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod credentials;
mod faults;
mod relay;

use std::collections::HashSet;
use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use async_nats::jetstream::{self, Context};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use windhover_conformance::{
    Authority, HttpClient, NatsCluster, NatsVersion, Runtime, Server, Setup, TempDir, eventually,
    full_binary, on_each_runtime,
};

/// Elections and restarts of three servers take a while on a busy machine.
const SOON: Duration = Duration::from_secs(60);
/// After a cut network a consumer may be made at a server that delivers nothing.
const ATTEMPT: Duration = Duration::from_secs(8);

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

    /// Every message of a stream: its subject, its id, and its bytes. Asked for again while the servers say that they
    /// are not there yet, as they do for some seconds after a cut network and after an election.
    fn messages(&self, stream: &str) -> Vec<Message> {
        let end = Instant::now() + SOON;
        loop {
            // A timer belongs to the runtime that it is made in.
            let asked = async { ::tokio::time::timeout(ATTEMPT, self.try_messages(stream)).await };
            let failed = match self.runtime.block_on(asked) {
                Ok(Ok(messages)) => return messages,
                Ok(Err(error)) => error,
                Err(late) => late.into(),
            };
            assert!(Instant::now() < end, "the messages of {stream} cannot be read: {failed}");
            thread::sleep(Duration::from_millis(100));
        }
    }

    async fn try_messages(&self, stream: &str) -> Result<Vec<Message>, Box<dyn Error>> {
        let stream = self.context.get_stream(stream).await?;
        let count = usize::try_from(stream.cached_info().state.messages)?;
        let config = pull::OrderedConfig {
            deliver_policy: DeliverPolicy::All,
            ..pull::OrderedConfig::default()
        };
        let consumer = stream.create_consumer(config).await?;
        let mut messages = consumer.messages().await?.take(count);
        let mut read = Vec::with_capacity(count);
        while let Some(message) = messages.next().await {
            let message = message?;
            let headers = message.headers.clone().unwrap_or_default();
            let id = headers.get("Nats-Msg-Id").map_or_else(String::new, ToString::to_string);
            read.push((message.subject.to_string(), id, message.payload.to_vec()));
        }
        Ok(read)
    }
}

/// Its subject, its id, and its bytes.
type Message = (String, String, Vec<u8>);

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

fn forwarded(server: &Server) -> u64 {
    server.metric("windhover_events_forwarded_total").unwrap()
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
    let mut ids: Vec<u32> = messages
        .iter()
        .filter(|(subject, ..)| subject == "app")
        .map(|(_, _, bytes)| id_of(bytes).parse().unwrap())
        .collect();
    // What was published before the stream was made comes again behind others.
    ids.sort_unstable();
    assert!(ids.into_iter().eq(0..20), "each once");
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
    eventually("nothing is left in the journal", SOON, || {
        (tracker.items("events") == 0).then_some(())
    });
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

#[test]
fn a_login_goes_over_tls_and_what_keeps_from_connecting_is_told() {
    let (authority, files) = (Authority::new(), TempDir::new("nats-tls"));
    let certificate = authority.sign("127.0.0.1");
    let believed = files.path().join("ca.pem");
    std::fs::write(&believed, authority.pem()).unwrap();
    let tls = format!(
        "tls {{ cert_file: \"{}\", key_file: \"{}\" }}\nauthorization {{ user: me, password: \"a@b\" }}\n",
        certificate.chain.display(),
        certificate.key.display(),
    );
    let servers = NatsCluster::start(NatsVersion::Debian, 1, &tls);
    let (address, believed) = (servers.addresses()[0], believed.display());
    let data = TempDir::new("jetstream-tls");
    for (login, options, told) in [
        ("me:no", format!("?ca={believed}"), "authorization violation"),
        ("me:a%40b", String::new(), "invalid peer certificate"),
    ] {
        let tracker =
            tracker(&data, Runtime::Tokio, &format!("tls://{login}@{address}/app{options}"));
        assert!(track(&mut tracker.http_client(), &event("1", &json!({}))));
        eventually("the log says why", SOON, || tracker.log().contains(told).then_some(()));
        assert_eq!(forwarded(&tracker), 0, "nothing goes on");
        tracker.stop();
    }
    let url = format!("tls://me:a%40b@{address}/app?ca={believed}");
    let tracker = tracker(&data, Runtime::Tokio, &url);
    eventually("all of it has gone on", SOON, || (forwarded(&tracker) == 2).then_some(()));
    assert!(tracker.log().contains("acknowledges before it syncs"), "{}", tracker.log());
    tracker.stop();
}
