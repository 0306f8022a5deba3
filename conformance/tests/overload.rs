//! A disk that hangs under a running server: what waits for it is bounded, and everybody else is told at
//! once to come again.
#![allow(clippy::panic, clippy::expect_used)]

use std::time::{Duration, Instant};

use windhover_conformance::{
    HttpAnswer, HttpClient, Runtime, Server, Setup, SlowDisk, TempDir, eventually, on_each_runtime,
    report,
};

const BOUND: Duration = Duration::from_secs(20);
/// Loose: no disk and no body is waited for.
const AT_ONCE: Duration = Duration::from_secs(2);
/// `--overload-bytes`.
const OVERLOAD: u64 = 1024 * 1024;
/// Events of 64 KiB that wait: more than that.
const WAITING: usize = 40;
const ORIGIN: &str = "https://shop.example";

/// The value of a metric; 0 where nothing was counted.
fn metric(server: &Server, name: &str) -> u64 {
    server.metric(name).unwrap_or(0)
}

fn event(number: usize) -> String {
    let pad = "p".repeat(64 * 1024);
    format!(r#"{{"event":"waits","properties":{{"token":"t","n":{number},"pad":"{pad}"}}}}"#)
}

/// Sends a head, of which no body follows, and waits for the answer.
fn ask(server: &Server, request_line: &str, headers: &str) -> (HttpAnswer, Duration) {
    let mut client = server.http_client();
    let head = format!("{request_line} HTTP/1.1\r\nHost: t\r\nOrigin: {ORIGIN}\r\n{headers}\r\n");
    let since = Instant::now();
    client.send(head.as_bytes()).expect("the head is taken");
    let answer = client.receive().expect("an answer");
    (answer, since.elapsed())
}

#[track_caller]
fn assert_told_to_come_again(what: &str, answer: &HttpAnswer) {
    assert_eq!(answer.status, 503, "{what}: {answer:?}");
    let wait = answer.header("retry-after").and_then(|value| value.parse().ok());
    assert!(wait.is_some_and(|seconds: u32| seconds > 0), "{what}: {answer:?}");
    assert_eq!(answer.header("access-control-allow-origin"), Some(ORIGIN), "{what}: {answer:?}");
}

/// Has more wait for the disk than may.
fn overload(server: &Server) -> Vec<HttpClient> {
    let send = |number| {
        let mut client = server.http_client();
        let body = event(number);
        let head = format!(
            "POST /track HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        client.send(head.as_bytes()).expect("it is taken");
        client.send(body.as_bytes()).expect("it is taken");
        client
    };
    // One by one: each has come before the next is sent, so that none of them comes too late.
    let backlog = || metric(server, "windhover_journal_backlog_bytes");
    let mut waiting = Vec::new();
    while backlog() <= OVERLOAD {
        assert!(waiting.len() < WAITING, "{WAITING} events of 64 KiB are no overload");
        let before = backlog();
        waiting.push(send(waiting.len()));
        eventually("it waits for the journal", BOUND, || (backlog() > before).then_some(()));
    }
    waiting
}

fn a_disk_that_hangs_is_told_at_once(runtime: Runtime) {
    let directory = TempDir::new("overload");
    let disk = SlowDisk::new();
    let server = Setup::new(directory.path().join("data"))
        .runtime(runtime)
        .within(disk.within())
        .flag("--overload-bytes", &OVERLOAD.to_string())
        .flag("--answer-timeout", "60")
        .start();
    assert!(server.http_client().track(&event(1_000_000)).expect("an answer").accepted());

    disk.hang();
    let mut waiting = overload(&server);
    let body = "Content-Type: application/json\r\nContent-Length: 5000000\r\n";
    let mut slowest = Duration::ZERO;
    let mut asked = 0;
    for _ in 0..20 {
        for (line, headers) in [
            ("POST /track", body),
            (
                "POST /track?verbose=1",
                "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n",
            ),
            ("POST /track", "Expect: 100-continue\r\nContent-Length: 5000000\r\n"),
            ("POST /engage", body),
            ("POST /groups", body),
            ("POST /import", body),
            ("GET /track?data=e30", ""),
        ] {
            let (answer, took) = ask(&server, line, headers);
            assert_told_to_come_again(line, &answer);
            slowest = slowest.max(took);
            asked += 1;
        }
    }
    report(&format!(
        "{}: {asked} requests are told to come again, the slowest after {slowest:.1?}, while {} \
         events wait for the disk",
        runtime.name(),
        waiting.len()
    ));
    assert!(slowest < AT_ONCE, "{slowest:?}");
    // What needs no disk is served.
    let preflight = "Access-Control-Request-Method: POST\r\n";
    assert_eq!(ask(&server, "OPTIONS /track", preflight).0.status, 204);
    assert_eq!(server.http_client().get("/healthz").expect("an answer").status, 200);
    let refused = |endpoint: &str| {
        let labels = format!("{{endpoint=\"{endpoint}\",reason=\"overloaded\",status=\"503\"}}");
        metric(&server, &format!("windhover_requests_total{labels}"))
    };
    assert_eq!(refused("http") + refused("track"), asked, "each of them is counted");

    disk.recover();
    for client in &mut waiting {
        let answer = client.receive().expect("an answer");
        assert!(answer.accepted(), "what was taken before is safe now: {answer:?}");
    }
    let mut client = server.http_client();
    eventually("an event is taken again", BOUND, || {
        client.track(&event(2_000_000)).expect("an answer").accepted().then_some(())
    });
    let items = server.queue_client().drain("events").expect("events");
    assert_eq!(items.len(), waiting.len() + 2, "what was refused is not there");
    server.stop();
}

on_each_runtime!(a_disk_that_hangs_is_told_at_once);
