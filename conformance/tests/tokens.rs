//! What a token may send: those that are known, and a rate for each; a noisy one makes nobody else wait.
#![allow(clippy::panic, clippy::expect_used)]

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use windhover_conformance::{
    HttpAnswer, Runtime, Server, Setup, TempDir, eventually, on_each_runtime, report,
};

const BOUND: Duration = Duration::from_secs(20);
/// Records a second.
const RATE: u32 = 50;

fn event(token: &str, number: usize) -> String {
    format!(r#"{{"event":"e","properties":{{"token":"{token}","n":{number}}}}}"#)
}

fn setup(directory: &Path, runtime: Runtime, config: &str) -> Setup {
    let file = directory.join("windhover.toml");
    std::fs::write(&file, config).expect("a file can be written");
    let setup = Setup::new(directory.join("data")).runtime(runtime);
    setup.flag("--config", &file.to_string_lossy())
}

#[track_caller]
fn assert_told_to_come_again(answer: &HttpAnswer) -> Duration {
    assert_eq!(answer.status, 429, "{answer:?}");
    let seconds = answer.header("retry-after").and_then(|value| value.parse().ok());
    assert!(seconds.is_some_and(|seconds: u64| seconds > 0), "{answer:?}");
    Duration::from_secs(seconds.unwrap_or_default())
}

fn post(server: &Server, target: &str, headers: &str, body: &str) -> HttpAnswer {
    let mut client = server.http_client();
    let request = format!(
        "POST {target} HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    client.send(request.as_bytes()).expect("it is taken");
    client.receive().expect("an answer")
}

/// How long a quiet sender waits for its answers, the slowest of a hundred left out.
fn slow_answer(server: &Server) -> Duration {
    let mut client = server.http_client();
    let mut took: Vec<Duration> = (0..300)
        .map(|n| {
            let begun = Instant::now();
            let answer = client.track(&event("quiet", n)).expect("an answer");
            assert!(answer.accepted(), "{answer:?}");
            begun.elapsed()
        })
        .collect();
    took.sort_unstable();
    took[took.len() * 99 / 100 - 1]
}

fn a_noisy_token_is_told_to_come_again_and_loses_nothing_that_was_accepted(runtime: Runtime) {
    let directory = TempDir::new("tokens");
    let config = format!("[tokens.noisy]\nrate = {RATE}\nburst = {RATE}\n");
    let server = setup(directory.path(), runtime, &config).flag("--fsync", "never").start();
    let alone = slow_answer(&server);
    let (is_over, begun) = (AtomicBool::new(false), Instant::now());
    let (accepted, told, beside) = thread::scope(|scope| {
        let noisy = scope.spawn(|| {
            let mut client = server.http_client();
            let (mut accepted, mut told) = (0_usize, 0_usize);
            // Ten times what it may.
            while !is_over.load(Ordering::Relaxed) {
                let answer = client.track(&event("noisy", accepted)).expect("an answer");
                if answer.accepted() {
                    accepted += 1;
                } else {
                    assert_told_to_come_again(&answer);
                    told += 1;
                }
                thread::sleep(Duration::from_secs(1) / (10 * RATE));
            }
            (accepted, told)
        });
        thread::sleep(Duration::from_secs(1));
        let beside = slow_answer(&server);
        thread::sleep(Duration::from_secs(1));
        is_over.store(true, Ordering::Relaxed);
        let (accepted, told) = noisy.join().expect("the noisy one");
        (accepted, told, beside)
    });
    let seconds = begun.elapsed().as_secs_f64();
    #[allow(clippy::cast_precision_loss)]
    let most = f64::from(RATE) * (seconds + 1.0) + 1.0;
    #[allow(clippy::cast_precision_loss)]
    let sent = accepted as f64;
    assert!(sent <= most, "{accepted} of at most {most}");
    assert!(told > accepted / 2, "{told} were told to come again, {accepted} were not");
    let items = server.queue_client().drain("events").expect("events");
    let of = |token: &str| {
        let token = format!(r#""token":"{token}""#);
        items.iter().filter(|item| String::from_utf8_lossy(item).contains(&token)).count()
    };
    assert_eq!([of("noisy"), of("quiet")], [accepted, 600]);
    report(&format!(
        "{}: {accepted} of a noisy token accepted in {seconds:.1} s ({RATE} a second), {told} told to come \
         again; p99 of another one {alone:.1?} before, {beside:.1?} beside",
        runtime.name()
    ));
    server.stop();
}

fn a_sender_that_comes_back_when_it_was_told_to_gets_through(runtime: Runtime) {
    let directory = TempDir::new("tokens-429");
    let setup = setup(directory.path(), runtime, "token-rate = 2\ntoken-burst = 4\n");
    let server = setup.start();
    let batch = format!("[{}]", (0..4).map(|n| event("t", n)).collect::<Vec<_>>().join(","));
    let origin = "Origin: https://shop.example\r\n";
    assert!(post(&server, "/track", origin, &batch).accepted());

    let refused = post(&server, "/track?verbose=1", origin, &batch);
    let wait = assert_told_to_come_again(&refused);
    assert_eq!(refused.header("access-control-allow-origin"), Some("https://shop.example"));
    assert_eq!(refused.header("access-control-expose-headers"), Some("Retry-After"));
    assert!(refused.text().starts_with(r#"{"status":0,"error":"too many events"#), "{refused:?}");
    let import = post(&server, "/import", "Authorization: Basic dDo=\r\n", &batch);
    assert_told_to_come_again(&import);
    assert!(import.text().starts_with(r#"{"code":429,"error":""#), "{import:?}");
    // Another token is not concerned.
    assert!(post(&server, "/track", "", &event("u", 0)).accepted());

    thread::sleep(wait);
    assert!(post(&server, "/track", "", &batch).accepted());
    assert_eq!(server.queue_client().drain("events").expect("events").len(), 9);
    let page = server.http_client().get("/metrics").expect("an answer").text();
    let counted =
        r#"windhover_requests_total{endpoint="track",reason="rate_limited",status="429"} 1"#;
    assert!(page.lines().any(|line| line == counted), "{page}");
    server.stop();
}

fn tokens_that_are_not_known_are_refused_until_the_file_has_them(runtime: Runtime) {
    let directory = TempDir::new("tokens-known");
    let known = "known-tokens = true\n[tokens.a]\n";
    let setup = setup(directory.path(), runtime, known);
    let server = setup.start();
    let batch = format!("[{},{}]", event("a", 1), event("b", 2));
    let refused = post(&server, "/track?verbose=1", "", &event("b", 0));
    assert!(refused.text().contains("is of no project that is known here"), "{refused:?}");
    // Of a batch the others are recorded.
    assert!(post(&server, "/track", "", &batch).accepted());
    let file = directory.path().join("windhover.toml");
    std::fs::write(&file, format!("{known}[tokens.b]\nrate = 1000\n")).expect("it can be written");
    server.hang_up();
    eventually("the file was read again", BOUND, || {
        post(&server, "/track", "", &event("b", 3)).accepted().then_some(())
    });
    let items = server.queue_client().drain("events").expect("events");
    assert_eq!(items.len(), 2);
    let letters = server.queue_client().drain("dead-letters").expect("letters");
    assert!(letters.iter().any(|it| String::from_utf8_lossy(it).contains("token_unknown")));
    server.stop();
}

on_each_runtime!(
    a_noisy_token_is_told_to_come_again_and_loses_nothing_that_was_accepted,
    a_sender_that_comes_back_when_it_was_told_to_gets_through,
    tokens_that_are_not_known_are_refused_until_the_file_has_them,
);
