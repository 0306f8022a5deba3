//! What is counted and logged of requests, held against what was sent.
// Counts are whole numbers.
#![allow(clippy::panic, clippy::expect_used, clippy::float_cmp)]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use windhover_conformance::{
    HttpClient, Runtime, Server, Setup, TempDir, eventually, on_each_runtime, report,
};

const BOUND: Duration = Duration::from_secs(20);
/// The token of most events here, and what it is called.
const TOKEN: &str = "e3bc4100330c3572";
const SHOWN: &str = "e3b…c43596d4";

fn event(token: &str, number: usize) -> String {
    format!(r#"{{"event":"e","properties":{{"token":"{token}","n":{number}}}}}"#)
}

fn post(client: &mut HttpClient, target: &str, body: &str) -> u16 {
    let request = format!(
        "POST {target} HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    client.send(request.as_bytes()).expect("it is taken");
    client.receive().expect("an answer").status
}

/// The samples of `/metrics`, by name with labels.
fn samples(server: &Server) -> BTreeMap<String, f64> {
    let page = server.http_client().get("/metrics").expect("an answer").text();
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ').expect("a name and a value");
        let name = name.strip_prefix("windhover_").expect("its prefix");
        (name.to_owned(), value.parse().expect("a number"))
    };
    lines.map(sample).collect()
}

/// Sends good events, bad ones, and what is no request at all; how many requests of records that were, and the
/// bytes of their bodies.
fn send_some_of_each(server: &Server) -> (usize, usize) {
    let mut client = server.http_client();
    let batch = format!("[{},{},{}]", event(TOKEN, 1), event("other", 2), r#"{"event":"bad"}"#);
    let bodies = [event(TOKEN, 0), batch, r#"{"event":"e","properties":{}}"#.to_owned()];
    for body in &bodies {
        assert_eq!(post(&mut client, "/track", body), 200);
    }
    let update = format!(r#"{{"$token":"{TOKEN}","$distinct_id":"d","$set":{{"a":1}}}}"#);
    assert_eq!(post(&mut client, "/engage", &update), 200);
    let import = event(TOKEN, 3);
    assert_eq!(post(&mut client, "/import", &import), 401);
    assert_eq!(client.get("/nowhere").expect("an answer").status, 404);
    assert_eq!(client.get("/healthz").expect("an answer").status, 200);
    let mut broken = server.http_client();
    broken.send(b"GET /track HTTP/1.1\nHost: h\n\n").expect("it is taken");
    assert_eq!(broken.receive().expect("an answer").status, 400);
    let bodies = bodies.iter().chain([&update, &import]);
    (5, bodies.map(String::len).sum())
}

fn what_was_sent_is_counted(runtime: Runtime) {
    let directory = TempDir::new("metrics");
    let file = directory.path().join("windhover.toml");
    std::fs::write(&file, "[tokens.limited]\nrate = 0.001\nburst = 1\n")
        .expect("it can be written");
    let setup = Setup::new(directory.path().join("data")).runtime(runtime);
    let server = setup.flag("--config", &file.to_string_lossy()).start();
    let (requests, bytes) = send_some_of_each(&server);
    let mut client = server.http_client();
    let limited = [event("limited", 0), event("limited", 1)];
    let statuses = limited.each_ref().map(|body| post(&mut client, "/track", body));
    assert_eq!(statuses, [200, 429]);
    let (requests, bytes) = (requests + 2, bytes + limited.iter().map(String::len).sum::<usize>());

    let samples = samples(&server);
    for (name, expected) in [
        (r#"requests_total{endpoint="track",reason="accepted",status="200"}"#, 3),
        (r#"requests_total{endpoint="track",reason="token_missing",status="200"}"#, 1),
        (r#"requests_total{endpoint="track",reason="rate_limited",status="429"}"#, 1),
        (r#"requests_total{endpoint="engage",reason="accepted",status="200"}"#, 1),
        (r#"requests_total{endpoint="import",reason="unauthorized",status="401"}"#, 1),
        (r#"requests_total{endpoint="other",reason="not_found",status="404"}"#, 1),
        (r#"requests_total{endpoint="pages",reason="accepted",status="200"}"#, 1),
        (r#"requests_total{endpoint="http",reason="bare_line_feed",status="400"}"#, 1),
        (r#"events_accepted_total{endpoint="track"}"#, 4),
        (r#"events_accepted_total{endpoint="engage"}"#, 1),
        (r#"events_refused_total{endpoint="track",reason="properties_missing"}"#, 1),
        (&*format!(r#"token_events_total{{token="{SHOWN}",result="accepted"}}"#), 3),
        (r#"token_events_total{token="other",result="accepted"}"#, 0),
        (r#"queue_oldest_item_seconds{queue="groups"}"#, 0),
        ("connection_memory_limit_bytes", 256 << 20),
        ("queue_memory_limit_bytes", 256 << 20),
        ("access_log_lost_total", 0),
    ] {
        let value = samples.get(name).copied().unwrap_or_default();
        assert_eq!(value, f64::from(expected), "{name}: {samples:#?}");
    }
    let all = |name: &str, part: &str| {
        let found = samples.iter().filter(|(it, _)| it.starts_with(name) && it.contains(part));
        found.map(|(_, value)| *value).sum::<f64>()
    };
    assert_eq!(all("token_events_total{", r#"result="accepted""#), 5.0);
    assert_eq!(all("token_events_total{", r#"result="rate_limited""#), 1.0);
    #[allow(clippy::cast_precision_loss)]
    let expected = [requests as f64, bytes as f64];
    assert_eq!(
        ["request_body_bytes_count", "request_body_bytes_sum"].map(|it| samples[it]),
        expected
    );
    assert_eq!(samples[r#"request_body_bytes_bucket{le="+Inf"}"#], expected[0]);
    // Those whose records were put.
    assert_eq!(samples["track_seconds_count"], 4.0);
    assert!(samples["journal_sync_seconds_count"] >= 1.0, "{samples:#?}");
    assert!(samples["journal_lag_seconds"] < 1.0, "{samples:#?}");
    let build = samples.keys().find(|name| name.starts_with("build_info{")).expect("it is there");
    for part in
        [format!(r#"runtime="{}""#, runtime.name()), r#"version=""#.into(), r#"commit=""#.into()]
    {
        assert!(build.contains(&part), "{build}");
    }
    // An item that nobody takes grows older, and is young again when it was taken.
    let oldest = r#"queue_oldest_item_seconds{queue="events"}"#;
    eventually("it grows old", BOUND, || (self::samples(&server)[oldest] >= 0.5).then_some(()));
    assert_eq!(server.queue_client().drain("events").expect("events").len(), 4);
    assert_eq!(self::samples(&server)[oldest], 0.0);
    server.stop();
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

fn each_request_has_its_line(runtime: Runtime) {
    let directory = TempDir::new("access-log");
    let (path, moved) =
        (directory.path().join("access.log"), directory.path().join("access.log.1"));
    let setup = |sample: &str| {
        Setup::new(directory.path().join("data"))
            .runtime(runtime)
            .flag("--access-log", &path.to_string_lossy())
            .flag("--access-log-sample", sample)
            .flag("--log-format", "json")
            .flag("--forwarded-hops", "1")
    };
    let server = setup("1").start();
    send_some_of_each(&server);
    let mut client = server.http_client();
    let body = event("t", 9);
    let forwarded = format!(
        "POST /track?verbose=1 HTTP/1.1\r\nHost: t\r\nX-Forwarded-For: 198.51.100.7\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    client.send(forwarded.as_bytes()).expect("it is taken");
    assert_eq!(client.receive().expect("an answer").status, 200);
    let all =
        eventually("all lines are there", BOUND, || Some(lines(&path)).filter(|it| it.len() == 9));
    let told = |line: &Value| {
        let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        let number = |name: &str| line[name].as_u64().unwrap_or_default();
        let said = [text("method"), text("path"), text("endpoint"), text("token"), text("reason")];
        (said.join(" "), [number("status"), number("accepted"), number("refused")])
    };
    let expected = [
        (format!("POST /track track {SHOWN} accepted"), [200, 1, 0]),
        (format!("POST /track track {SHOWN}+1 accepted"), [200, 2, 1]),
        ("POST /track track  token_missing".to_owned(), [200, 0, 1]),
        (format!("POST /engage engage {SHOWN} accepted"), [200, 1, 0]),
        ("POST /import import  unauthorized".to_owned(), [401, 0, 0]),
        ("GET /nowhere other  not_found".to_owned(), [404, 0, 0]),
        ("GET /healthz pages  accepted".to_owned(), [200, 0, 0]),
        ("- - http  bare_line_feed".to_owned(), [400, 0, 0]),
    ];
    assert_eq!(all[..8].iter().map(told).collect::<Vec<_>>(), expected);
    let last = &all[8];
    assert_eq!([&last["peer"], &last["client"]], ["127.0.0.1", "198.51.100.7"]);
    assert_eq!(last["bytes_in"], body.len());
    assert!(last["bytes_out"].as_u64() > Some(1) && last["duration_ms"].is_f64(), "{last}");
    // The log is JSON too.
    server.log().lines().for_each(|line| {
        let _: Value = serde_json::from_str(line).expect("a line of JSON");
    });

    // `logrotate` moves it away.
    std::fs::rename(&path, &moved).expect("it can be moved");
    server.hang_up();
    eventually("it is opened again", BOUND, || path.exists().then_some(()));
    assert_eq!(post(&mut client, "/track", &event("t", 10)), 200);
    server.stop();
    assert_eq!([lines(&moved).len(), lines(&path).len()], [9, 1]);

    std::fs::remove_file(&path).expect("it is there");
    let server = setup("10").start();
    let mut client = server.http_client();
    for n in 0..40 {
        assert_eq!(post(&mut client, "/track", &event("t", n)), 200);
        assert_eq!(post(&mut client, "/track", r#"{"event":"bad"}"#), 200);
    }
    server.stop();
    let lines = lines(&path);
    let sampled: Vec<_> = lines.iter().filter(|line| line["reason"] == "accepted").collect();
    assert!(sampled.iter().all(|line| line["sample"] == 10), "{sampled:?}");
    assert_eq!((sampled.len(), lines.len()), (4, 44));
    report(&format!(
        "{}: a line for each request, one in ten of those that went well",
        runtime.name()
    ));
}

/// Nobody waits for the access log: of a disk that is full it has no lines, and they are counted.
fn a_log_that_cannot_be_written_stops_nobody(runtime: Runtime) {
    let directory = TempDir::new("access-log-full");
    let setup = Setup::new(directory.path().join("data")).runtime(runtime);
    let server = setup.flag("--access-log", "/dev/full").start();
    let mut client = server.http_client();
    for n in 0..100 {
        assert_eq!(post(&mut client, "/track", &event("t", n)), 200);
    }
    eventually("each is counted as lost", BOUND, || {
        (samples(&server)["access_log_lost_total"] >= 100.0).then_some(())
    });
    let told = server.log().matches("the access log cannot be written").count();
    assert_eq!(told, 1, "{}", server.log());
    server.stop();
}

on_each_runtime!(
    what_was_sent_is_counted,
    each_request_has_its_line,
    a_log_that_cannot_be_written_stops_nobody,
);
