//! What a token may send: those that are known, and a rate for each; a noisy one makes nobody else wait. Queues of
//! tokens' own.
#![allow(clippy::panic, clippy::expect_used)]

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use windhover_conformance::{
    Authority, HttpAnswer, Runtime, Server, Setup, TempDir, binary, driver, eventually,
    on_each_runtime, peers, python, report, run,
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

/// The number of an event of a driver.
fn number(item: &[u8]) -> u64 {
    let event: serde_json::Value = serde_json::from_slice(item).expect("an event");
    event["properties"]["n"].as_u64().expect("its number")
}

/// Delivers three bursts through a library over TLS, and looks that nothing is missing.
fn delivers_all(runtime: Runtime, library: &str, mut command: Command, target: &str) {
    const BURST: u64 = 20;
    let (directory, authority) = (TempDir::new("tokens-library"), Authority::new());
    let (trusted, log) = (directory.path().join("ca.pem"), directory.path().join("access.log"));
    std::fs::write(&trusted, authority.pem()).expect("a file can be written");
    let certificate = authority.sign("127.0.0.1");
    let config = format!("token-rate = {BURST}\ntoken-burst = {BURST}\n");
    let server = setup(directory.path(), runtime, &config)
        .flag("--tls-cert", &certificate.chain.to_string_lossy())
        .flag("--tls-key", &certificate.key.to_string_lossy())
        .flag("--tls", "http")
        .flag("--access-log", &log.to_string_lossy())
        .start();
    let begun = Instant::now();
    command.args([&target.replace("HOST:PORT", &server.http().to_string()), "noisy"]);
    command.arg((3 * BURST).to_string());
    command.env("REQUESTS_CA_BUNDLE", &trusted).env("NODE_EXTRA_CA_CERTS", &trusted);
    run(&mut command, Duration::from_secs(60)).expect_code(0);
    let took = begun.elapsed();
    let items = server.queue_client().drain("events").expect("events");
    let numbers: Vec<u64> = items.iter().map(|item| number(item)).collect();
    assert_eq!(numbers, (0..3 * BURST).collect::<Vec<_>>());
    server.stop();
    let log = std::fs::read_to_string(&log).expect("it was written");
    let refused = log.lines().filter(|line| line.contains("status=429")).count();
    assert!(refused > 0, "{log}");
    report(&format!(
        "{library} on {}: {} events at {BURST} a second in {took:.1?}, told to come again {refused} times, none lost",
        runtime.name(),
        numbers.len()
    ));
}

/// Over TLS, where the library has its own rules for trying again, it honours `Retry-After`: who calls it notices
/// nothing but the time.
fn pythons_library_comes_back_by_itself(runtime: Runtime) {
    delivers_all(runtime, "python", python("limited.py"), "https://HOST:PORT/track");
}

fn nodes_library_tells_who_calls_it(runtime: Runtime) {
    let mut command = Command::new("node");
    command.env("NODE_PATH", peers().join("node/node_modules"));
    command.env_remove("HTTP_PROXY").env_remove("HTTPS_PROXY").arg(driver("limited.js"));
    delivers_all(runtime, "node", command, "HOST:PORT");
}

fn identified(token: &str, id: &str, number: u64) -> String {
    format!(
        r#"{{"event":"e","properties":{{"token":"{token}","distinct_id":"d","time":1334859600,"$insert_id":"{id}","n":{number}}}}}"#
    )
}

/// The numbers of the events of a queue, which are taken.
fn taken(server: &Server, queue: &str) -> Vec<u64> {
    let items = server.queue_client().drain(queue).expect("events");
    items.iter().map(|item| number(item)).collect()
}

fn a_token_has_a_queue_of_its_own(runtime: Runtime) {
    let directory = TempDir::new("tokens-queue");
    let config = "max-queues = 1\n[tokens.shop]\nqueue-name = \"shop\"\nengage-queue = \"people\"\n\
                  [queues.shop]\nmax-queue-items = 3\n";
    let setup = setup(directory.path(), runtime, config);
    let server = setup.start();
    // Another queue has the one place that there is: that of a token needs none.
    assert_eq!(server.queue_client().set("elsewhere", b"x").expect("an answer"), "STORED");
    let batch = |events: &[String]| format!("[{}]", events.join(","));
    let mixed = batch(&[
        identified("shop", "a", 1),
        identified("other", "b", 2),
        identified("shop", "c", 3),
        identified("other", "b", 4),
        identified("shop", "a", 5),
    ]);
    assert!(post(&server, "/track", "", &mixed).accepted());
    let update = r#"{"$token":"shop","$distinct_id":"d","$set":{"n":1}}"#;
    assert!(post(&server, "/engage", "", update).accepted());
    assert_eq!(server.queue_client().drain("people").expect("updates").len(), 1);

    // Sent again after a kill, each is known in whatever queue it is.
    server.kill();
    let server = setup.start();
    assert!(post(&server, "/track", "", &mixed).accepted());
    assert_eq!(taken(&server, "events"), [2]);

    // Its queue is full: nobody else notices, and nothing of a request is recorded in part.
    assert!(post(&server, "/track", "", &event("shop", 6)).accepted());
    let full = post(&server, "/track", "", &event("shop", 7));
    assert_eq!((full.status, full.header("retry-after").is_some()), (503, true), "{full:?}");
    let partly = batch(&[event("other", 8), event("shop", 9)]);
    assert_eq!(post(&server, "/track", "", &partly).status, 503);
    assert!(post(&server, "/track", "", &event("other", 10)).accepted());
    assert_eq!(taken(&server, "events"), [10]);
    assert_eq!(taken(&server, "shop"), [1, 3, 6]);
    assert!(post(&server, "/track", "", &partly).accepted());
    assert_eq!([taken(&server, "events"), taken(&server, "shop")], [[8], [9]]);

    // Another one gets its queue, and the first one loses it.
    let file = directory.path().join("windhover.toml");
    std::fs::write(&file, "[tokens.other]\nqueue-name = \"others\"\n").expect("it can be written");
    server.hang_up();
    eventually("the file was read again", BOUND, || {
        assert!(post(&server, "/track", "", &event("other", 11)).accepted());
        (!taken(&server, "others").is_empty()).then_some(())
    });
    taken(&server, "events");
    assert!(post(&server, "/track", "", &event("shop", 12)).accepted());
    assert_eq!(taken(&server, "events"), [12]);
    server.stop();

    // What cannot be such a queue is told with its line.
    let wrong = "[tokens.a]\nqueue-name = \"dead-letters\"\n[tokens.b]\nqueue-name = \"all\"\n\
                 [tokens.c]\ngroups-queue = \"events+mail\"\n[aliases]\nall = [\"events\"]\n";
    std::fs::write(&file, wrong).expect("it can be written");
    let outcome = run(Command::new(binary()).arg("check-config").arg(&file), BOUND);
    outcome.expect_code(2);
    for line in [":2: ", ":3: ", ":6: "] {
        assert!(outcome.stderr.contains(line), "{line}: {outcome:?}");
    }
}

fn queues_of_tokens_are_forwarded(runtime: Runtime) {
    let directory = TempDir::new("tokens-forward");
    let other = Setup::new(directory.path().join("other")).runtime(runtime).start();
    let setup = setup(directory.path(), runtime, "[tokens.shop]\nqueue-name = \"shop\"\n");
    let server = setup.flag("--queue", &format!("kestrel://{}", other.queue())).start();
    assert!(post(&server, "/track", "", &event("shop", 1)).accepted());
    assert!(post(&server, "/track", "", &event("else", 2)).accepted());
    // Also of one that comes later.
    let file = directory.path().join("windhover.toml");
    std::fs::write(&file, "[tokens.new]\nqueue-name = \"new\"\n").expect("it can be written");
    server.hang_up();
    for (token, queue, number) in [("shop", "shop", 1), ("else", "events", 2), ("new", "new", 3)] {
        let mut seen = Vec::new();
        eventually("it is there", BOUND, || {
            if token == "new" {
                assert!(post(&server, "/track", "", &event(token, 3)).accepted());
            }
            seen.extend(taken(&other, queue));
            seen.contains(&number).then_some(())
        });
    }
    server.stop();
    other.stop();
}

on_each_runtime!(
    pythons_library_comes_back_by_itself,
    nodes_library_tells_who_calls_it,
    a_token_has_a_queue_of_its_own,
    queues_of_tokens_are_forwarded,
    a_noisy_token_is_told_to_come_again_and_loses_nothing_that_was_accepted,
    a_sender_that_comes_back_when_it_was_told_to_gets_through,
    tokens_that_are_not_known_are_refused_until_the_file_has_them,
);
