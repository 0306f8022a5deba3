//! Names of queues cost the tracker nothing: neither those that are only read nor those that fill the
//! limit keep an event out.
#![allow(clippy::panic, clippy::expect_used)]

use std::time::{Duration, Instant};

use windhover_conformance::{Server, Setup, TempDir};

const EVENT: &str = r#"{"event":"e","properties":{"token":"t"}}"#;
/// Loose: the log is looked at once a second.
const TIMEOUT: Duration = Duration::from_secs(30);

fn queues(server: &Server) -> u64 {
    server.metric("windhover_queues").expect("how many queues there are")
}

fn accepts_events(server: &Server) -> bool {
    server.http_client().track(EVENT).expect("an answer").accepted()
}

#[test]
fn ten_thousand_names_that_are_only_read_make_no_queue() {
    let directory = TempDir::new("names");
    let server = Setup::new(directory.path().join("data")).start();
    let mut client = server.queue_client();

    for number in 0..10_000 {
        let options = ["/t=1", "", "/peek", "/open/t=1"][number % 4];
        assert_eq!(client.get(&format!("r{number}{options}")).expect("an answer"), None);
    }

    assert_eq!(queues(&server), 0);
    assert_eq!(client.set("new", b"item").expect("an answer"), "STORED");
    assert!(accepts_events(&server));
    server.stop();
}

#[test]
fn as_many_queues_as_allowed_keep_no_event_out_and_are_told() {
    let directory = TempDir::new("names");
    let setup = Setup::new(directory.path().join("data")).flag("--max-queues", "100");
    let server = setup.start();
    let mut client = server.queue_client();
    for number in 0..100 {
        assert_eq!(client.set(&format!("q{number}"), b"item").expect("an answer"), "STORED");
    }

    assert_eq!(client.set("q100", b"item").expect("an answer"), "NOT_STORED");
    assert_eq!(client.get("q101/t=1").expect("an answer"), None);
    assert!(accepts_events(&server));

    assert_eq!(queues(&server), 101);
    let page = server.http_client().get("/metrics").expect("an answer").text();
    for line in [
        "windhover_queues_limit 100",
        "windhover_queue_refused_total{reason=\"too_many_queues\"} 1",
    ] {
        assert!(page.contains(line), "{page}");
    }
    let ready = server.http_client().get("/readyz").expect("an answer");
    assert_eq!(ready.status, 200);
    assert!(ready.text().contains("--max-queues 100"), "{}", ready.text());
    let started = Instant::now();
    while !server.log().contains("--max-queues") {
        assert!(started.elapsed() < TIMEOUT, "{}", server.log());
        std::thread::sleep(Duration::from_millis(50));
    }

    // An empty queue makes room, without anybody's help.
    assert_eq!(client.get("q7").expect("an answer").as_deref(), Some(&b"item"[..]));
    assert_eq!(client.set("q100", b"item").expect("an answer"), "STORED");
    assert_eq!(client.set("q7", b"item").expect("an answer"), "NOT_STORED");
    server.stop();

    let server = setup.start();
    assert!(accepts_events(&server), "nor after a restart");
    server.stop();
}
