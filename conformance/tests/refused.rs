//! Batches with bad records among good ones: each good one is in its queue, each bad one among the dead
//! letters.
#![allow(clippy::panic, clippy::expect_used)]

use windhover_conformance::{HttpClient, Runtime, Setup, TempDir, on_each_runtime, report};

const BATCHES: u64 = 1000;

/// Numbers that look random, the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// A record by its number: whether it is good, and its text.
fn record(path: &str, number: u64, kind: u64) -> (bool, String) {
    let event = |properties: &str| {
        format!(
            r#"{{"event":"e","properties":{{"n":{number},"token":"t","time":1300000000{properties}}}}}"#
        )
    };
    let update = |rest: &str| format!(r#"{{"$token":"t","n":{number},"$distinct_id":"d"{rest}}}"#);
    match (path, kind) {
        ("/engage", 0) => (false, update("")),
        ("/engage", 1) => (false, update(r#","$add":{"a":"b"}"#)),
        ("/engage", 2) => (false, update(r#","$set":{"a":[[[[1]]]]}"#)),
        ("/engage", _) => (true, update(r#","$set":{"a":"😀"}"#)),
        (_, 0) => (false, event("").replace(r#""token":"t","#, r#""token":"","#)),
        (_, 1) => (false, event(r#","deep":[[[[1]]]]"#)),
        (_, 2) => (false, event("").replace("1300000000", "\"soon\"")),
        ("/import?strict=1", 3) => (false, event(r#","distinct_id":"null""#)),
        _ => (true, event(r#","text":"😀""#)),
    }
}

fn post(http: &mut HttpClient, target: &str, body: &str) -> (u16, String) {
    let length = body.len();
    let request = format!(
        "POST {target} HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n\
         Authorization: Basic dDE6\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    http.send(request.as_bytes()).expect("the server reads");
    let answer = http.receive().expect("the server answers");
    (answer.status, answer.text())
}

/// The number of a record, wherever it stands.
fn number(text: &str) -> u64 {
    let (_, behind) = text.split_once(r#""n":"#).expect("each record has a number");
    let end = behind.find(|c: char| !c.is_ascii_digit()).expect("something follows");
    behind[..end].parse().expect("it is a number")
}

fn each_record_is_where_it_belongs(runtime: Runtime) {
    let directory = TempDir::new("refused");
    let server = Setup::new(directory.path().join("data")).runtime(runtime).start();
    let (mut http, mut random) = (server.http_client(), Random(17));
    let (mut good, mut bad, mut next) = (Vec::new(), Vec::new(), 0);
    for _ in 0..BATCHES {
        let target = match random.below(3) {
            0 => "/track",
            1 => "/engage",
            _ => "/import?strict=1",
        };
        let (mut batch, mut all_good, mut any_good) = (Vec::new(), true, false);
        for _ in 0..=random.below(20) {
            let (is_good, text) = record(target, next, random.below(40));
            if is_good {
                good.push(next);
            } else {
                bad.push(next);
            }
            (all_good, any_good) = (all_good && is_good, any_good || is_good);
            batch.push(text);
            next += 1;
        }
        let (status, text) = post(&mut http, target, &format!("[{}]", batch.join(",")));
        if target.starts_with("/import") {
            assert_eq!(status, if all_good { 200 } else { 400 }, "{text}");
            assert_eq!(text.contains("failed_records"), !all_good, "{text}");
        } else {
            assert_eq!((status, text.as_str()), (200, if any_good { "1" } else { "0" }));
        }
    }

    let mut queue = server.queue_client();
    let mut numbers = |names: &[&str]| {
        let mut found: Vec<u64> = Vec::new();
        for name in names {
            let items = queue.drain(name).expect("the queue answers");
            found.extend(items.iter().map(|item| number(&String::from_utf8_lossy(item))));
        }
        found.sort_unstable();
        found
    };
    let http = post(&mut http, "/track", &record("/track", next, 39).1);
    assert_eq!(http.1, "1", "the letters before it are safe then");
    good.push(next);
    assert_eq!(numbers(&["events", "engage"]), good, "of the good ones");
    assert_eq!(numbers(&["dead-letters"]), bad, "of the bad ones");
    report(&format!(
        "{BATCHES} batches: {} good records in their queues, {} bad ones among the dead letters",
        good.len(),
        bad.len()
    ));
    server.stop();
}

fn a_request_that_is_refused_is_kept_whole(runtime: Runtime) {
    let directory = TempDir::new("refused");
    let server = Setup::new(directory.path().join("data")).runtime(runtime).start();
    let mut http = server.http_client();
    assert_eq!(post(&mut http, "/track", r#"[{"event":"#).1, "0");
    assert_eq!(post(&mut http, "/track", "").1, "0");
    assert_eq!(http.get("/nowhere").expect("the server answers").status, 404);
    // Nobody waits for a letter's way to the disk but this.
    let letter = server.queue_client().get("dead-letters/t=20000").expect("the queue answers");
    let letter = letter.expect("a letter comes");
    let letter = String::from_utf8_lossy(&letter);
    let (head, bytes) = letter.split_once('\n').expect("a line, and the record");
    assert!(head.contains(r#""reason":"json_cut""#) && head.contains(r#""origin":"/track""#));
    assert_eq!(bytes, r#"[{"event":"#);
    HttpClient::connect(server.http())
        .and_then(|mut client| {
            client.send(b"GET /track HTTP/1.1\nHost: h\n\n").and(client.receive())
        })
        .expect("the server answers");
    let metrics = http.get("/metrics").expect("the server answers").text();
    for line in [
        r#"windhover_dead_letters_total{reason="json_cut"} 1"#,
        r#"windhover_requests_total{endpoint="track",reason="data_missing",status="200"} 1"#,
        r#"windhover_requests_total{endpoint="other",reason="not_found",status="404"} 1"#,
        r#"windhover_requests_total{endpoint="http",reason="bare_line_feed",status="400"} 1"#,
    ] {
        assert!(metrics.lines().any(|it| it == line), "{line}");
    }
    server.stop();
}

on_each_runtime!(each_record_is_where_it_belongs, a_request_that_is_refused_is_kept_whole);
