//! `windhover load` against real servers: nothing that was sent is unaccounted for, and its latencies are those that
//! a packet capture has.
#![allow(clippy::panic, clippy::expect_used)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::Value;
use windhover_conformance::{
    CacheServer, Capture, Outcome, Runtime, Server, Setup, TempDir, full_binary, report, run,
};

const TIMEOUT: Duration = Duration::from_secs(60);

/// Runs `windhover load` for a second or so.
fn load(words: &[&str]) -> Outcome {
    let mut command = Command::new(full_binary());
    command.arg("load").args(words);
    run(command.args(["--json", "--duration", "1s", "--warmup", "200ms"]), TIMEOUT)
}

/// What it tells.
fn figures(outcome: &Outcome) -> Value {
    let told: Value = serde_json::from_str(&outcome.stdout)
        .unwrap_or_else(|error| panic!("{error}: {outcome:#?}"));
    let run = told["runs"][0].clone();
    let number = |name: &str| run[name].as_u64().expect("a number");
    assert_eq!(number("requests"), number("good") + number("failed"), "{run}");
    run
}

fn number(run: &Value, name: &str) -> u64 {
    run[name].as_u64().unwrap_or_else(|| panic!("no {name} in {run}"))
}

fn server(directory: &TempDir, runtime: Runtime) -> Server {
    let data = directory.path().join("data");
    Setup::new(data).runtime(runtime).flag("--fsync", "never").start()
}

#[test]
fn every_event_that_a_tracker_accepted_is_in_its_queue() {
    let directory = TempDir::new("load");
    let server = server(&directory, Runtime::Tokio);
    let url = format!("http://{}", server.http());
    let mut events = 0;
    for (words, each) in [
        (&["--rate", "2000"][..], 1),
        (&["--max", "--connections", "8", "--threads", "2"], 1),
        (&["--rate", "200", "--batch", "50"], 50),
        (&["--rate", "200", "--batch", "7", "--gzip", "--pipeline", "4"], 7),
    ] {
        let outcome = load(&[&["track", &url][..], words].concat());
        let run = figures(outcome.expect_code(0));
        assert_eq!(number(&run, "failed"), 0, "{run}");
        events += number(&run, "good") * each;
        assert_eq!(server.items("events"), events, "{words:?}");
    }
    server.stop();
}

#[test]
fn recorded_requests_are_sent_by_weight_and_the_refused_ones_are_told() {
    let directory = TempDir::new("load");
    let server = server(&directory, Runtime::Mio);
    let mix = directory.path().join("mix");
    let lines = r#"# two that are good, one that is not
{"path":"/track","headers":{"Content-Type":"application/json"},"body":"[{\"event\":\"a\",\"properties\":{\"token\":\"t\"}}]","weight":6}
{"method":"GET","path":"/track?verbose=1&data=eyJldmVudCI6ImEiLCJwcm9wZXJ0aWVzIjp7InRva2VuIjoidCJ9fQ==","weight":3}
{"path":"/track","headers":{"Content-Type":"application/json"},"body":"[{\"event\":\"a\"}]"}
"#;
    std::fs::write(&mix, lines).expect("a file can be written");
    let url = format!("http://{}", server.http());
    let outcome = load(&["track", &url, "--mix", &mix.to_string_lossy(), "--rate", "2000"]);
    let run = figures(outcome.expect_code(1));
    let (good, failed) = (number(&run, "good"), number(&run, "failed"));
    assert_eq!(server.items("events"), good);
    assert!((good / 15..good / 6).contains(&failed), "one in ten: {run}");
    server.stop();
}

#[test]
fn a_queue_holds_what_was_stored_and_not_taken() {
    let directory = TempDir::new("load");
    let server = server(&directory, Runtime::AsyncStd);
    let address = server.queue().to_string();
    let mut held = 0;
    for words in [
        &["--operations", "put", "--rate", "2000"][..],
        &["--operations", "put-get", "--max"],
        &["--operations", "put-reserve", "--max", "--pipeline", "3"],
        &["--operations", "reserve", "--rate", "1000"],
        &["--operations", "get", "--rate", "1000"],
    ] {
        let outcome = load(&[&["queue", &address][..], words].concat());
        let run = figures(outcome.expect_code(0));
        let count = |name: &str| number(&run["counts"], name);
        held = held + count("stored") - count("taken");
        assert_eq!(server.items("load"), held, "{words:?}: {run}");
    }
    assert!(held > 0);
    server.stop();
}

#[test]
fn a_queue_that_is_killed_has_what_was_accepted() {
    let directory = TempDir::new("load");
    let setup = Setup::new(directory.path().join("data")).flag("--fsync", "never");
    let server = setup.start();
    let address = server.queue();
    let words = ["queue", &address.to_string(), "--operations", "put", "--rate", "2000"];
    let mut command = Command::new(full_binary());
    command.arg("load").args(words).args(["--json", "--warmup", "0", "--duration", "3s"]);
    command.args(["--timeout", "500ms"]);
    let loading = thread::spawn(move || run(&mut command, TIMEOUT));
    thread::sleep(Duration::from_millis(700));
    server.kill();
    // There is none for longer than a request may take; the run goes on with the next.
    let outcome = loading.join().expect("it ends");
    let run = figures(outcome.expect_code(1));
    assert_eq!(run["ended"], "the server is gone", "{run}");
    assert!(number(&run, "failed") > 0, "{run}");
    let server = setup.start();
    let (held, stored) = (server.items("load"), number(&run["counts"], "stored"));
    // What was under way may have been stored without an answer.
    assert!((stored..=stored + number(&run, "failed")).contains(&held), "{held}: {run}");
    server.stop();
}

#[test]
fn caches_are_read_and_written() {
    let ours = CacheServer::windhover(Runtime::Tokio, &[]);
    let memcached = CacheServer::memcached(&[]);
    for cache in [ours, memcached] {
        let address = cache.address().to_string();
        for words in [
            &["--rate", "2000", "--keys", "500", "--distribution", "zipf", "--size", "10-2000"][..],
            &["--max", "--pipeline", "16", "--multiget", "5", "--connections", "8"],
        ] {
            let outcome = load(&[&["cache", &address][..], words].concat());
            let run = figures(outcome.expect_code(0));
            let count = |name: &str| number(&run["counts"], name);
            assert_eq!((number(&run, "failed"), count("misses")), (0, 0), "{run}");
            assert!(count("hits") > 5 * count("stored") && count("stored") > 0, "{run}");
        }
    }
}

#[test]
fn a_saved_run_is_kept_and_only_a_like_one_is_added() {
    let directory = TempDir::new("load");
    let server = server(&directory, Runtime::Tokio);
    let address = server.queue().to_string();
    let file = directory.path().join("figures");
    let name = file.to_string_lossy().into_owned();
    let words = ["queue", &address, "--rate", "500", "--save", &name];
    load(&words).expect_code(0);
    let again = load(&words);
    assert!(again.expect_code(2).stderr.contains("exists"), "{again:#?}");
    load(&[&words[..], &["--append"]].concat()).expect_code(0);
    let other = load(&[&words[..], &["--append", "--connections", "9"]].concat());
    assert!(other.expect_code(2).stderr.contains("another load"), "{other:#?}");
    assert_eq!(runs(&file), 2);
    server.stop();
}

#[test]
fn a_server_that_has_become_slower_is_found() {
    let directory = TempDir::new("load");
    let server = server(&directory, Runtime::Tokio);
    let name = |name: &str| directory.path().join(name).to_string_lossy().into_owned();
    let (measured, svg) = (name("measured"), name("chart.svg"));
    let address = server.queue().to_string();
    load(&["queue", &address, "--save", &measured, "--svg", &svg]).expect_code(0);
    // What this machine does meanwhile is not to decide the test: its rounds have these figures.
    let with = |file: &str, factor: f64| {
        let saved = std::fs::read(&measured).expect("it was kept");
        let mut saved: Value = serde_json::from_slice(&saved).expect("JSON");
        let rounds = saved["runs"][0]["rounds"].as_array_mut().expect("rounds");
        for (number, round) in (0_u32..).zip(rounds) {
            let factor = factor * (1.0 + f64::from(number % 3) / 50.0);
            round["per_second"] = (5000.0 / factor).into();
            round["p50"] = (100.0 * factor).into();
            round["p99"] = (900.0 * factor).into();
        }
        std::fs::write(name(file), saved.to_string()).expect("a file can be written");
    };
    with("before", 1.0);
    with("again", 1.0);
    with("after", 1.1);
    let compare = |a: &str, b: &str| {
        let mut command = Command::new(full_binary());
        run(command.args(["load", "compare", &name(a), &name(b)]), TIMEOUT)
    };
    let ends =
        |outcome: &Outcome, words: &str| assert!(outcome.stdout.ends_with(words), "{outcome:#?}");
    ends(compare("before", "after").expect_code(1), "B is slower\n");
    ends(compare("after", "before").expect_code(0), "B is faster\n");
    ends(compare("before", "again").expect_code(0), "no difference shown\n");
    compare("before", "nowhere").expect_code(3);
    let svg = std::fs::read_to_string(svg).expect("it was drawn");
    assert!(svg.starts_with("<svg ") && svg.matches("<polyline ").count() == 4, "{svg}");
    server.stop();
}

#[test]
fn what_the_machine_does_is_one_page() {
    let directory = TempDir::new("load");
    let data = directory.path().to_string_lossy().into_owned();
    let mut command = Command::new(full_binary());
    command.args(["load", "noise", "--data", &data, "--seconds", "0.5", "--json"]);
    let told = run(&mut command, TIMEOUT);
    let noise: Value = serde_json::from_str(&told.expect_code(0).stdout).expect("JSON");
    for part in ["sync", "loopback"] {
        assert!(noise[part]["times"]["p50"].as_f64().expect("a time") > 0.0, "{noise}");
    }
}

fn runs(file: &Path) -> usize {
    let saved = std::fs::read(file).expect("it was kept");
    let saved: Value = serde_json::from_slice(&saved).expect("JSON");
    saved["runs"].as_array().expect("runs").len()
}

/// A tracker that takes 20 to 100 ms for an answer.
fn slow_tracker() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = listener.local_addr().expect("a listener has an address");
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let Ok(stream) = stream else { return };
            let mut random = fastrand::Rng::with_seed(number as u64);
            thread::spawn(move || {
                let _ = stream.set_nodelay(true);
                let mut stream = BufReader::new(stream);
                let (mut line, mut length) = (String::new(), 0);
                while stream.read_line(&mut line).unwrap_or(0) > 0 {
                    if let Some(value) = line.strip_prefix("Content-Length: ") {
                        length = value.trim().parse().expect("a length");
                    }
                    if line == "\r\n" {
                        let mut body = vec![0; length];
                        let _ = stream.read_exact(&mut body);
                        thread::sleep(Duration::from_micros(random.u64(20_000..100_000)));
                        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1";
                        let _ = stream.get_mut().write_all(answer);
                    }
                    line.clear();
                }
            });
        }
    });
    address
}

/// Microseconds of the wire's, and the percentiles that `windhover load` has.
fn beside_the_wire(address: SocketAddr, words: &[&str], times: &str) -> [(String, f64, f64); 2] {
    let capture = Capture::of(address.port());
    let url = format!("http://{address}");
    let mut command = Command::new(full_binary());
    command.args(["load", "track", &url, "--json", "--duration", "2s", "--warmup", "0"]);
    let outcome = run(command.args(words), TIMEOUT);
    let run = figures(outcome.expect_code(0));
    let mut wire = Histogram::<u64>::new(3).expect("three digits");
    for nanos in capture.round_trips() {
        wire.record(nanos).expect("it grows");
    }
    // The capture leaves out the first request of each connection.
    let seen = number(&run, "requests") - 64;
    assert!(wire.len() * 100 > seen * 95, "{} of {seen} requests were captured", wire.len());
    [("p50", 0.5), ("p99", 0.99)].map(|(name, quantile)| {
        #[allow(clippy::cast_precision_loss)] // times are far below 2^53
        let of_wire = wire.value_at_quantile(quantile) as f64 / 1000.0;
        let told = run[times][name].as_f64().expect("a time");
        report(&format!(
            "{words:?}, {name}: {told:.1} µs, on the wire {of_wire:.1} µs, {:+.1} %",
            (told / of_wire - 1.0) * 100.0
        ));
        (name.to_owned(), told, of_wire)
    })
}

#[test]
fn latencies_are_those_of_a_packet_capture() {
    let closed = ["--max", "--connections", "64"];
    let open = ["--rate", "500", "--connections", "64"];
    for (words, times) in [(&closed[..], "latency"), (&open[..], "from_sending")] {
        let mut last = None;
        // What else the machine does at the moment comes between the wire and the program.
        let agrees = (0..3).any(|_| {
            let both = beside_the_wire(slow_tracker(), words, times);
            let agrees = both.iter().all(|(_, told, wire)| (told / wire - 1.0).abs() < 0.05);
            last = Some(both);
            agrees
        });
        assert!(agrees, "{words:?}: {last:?}");
    }
    // How far they are apart where an answer takes microseconds: that is the system's way to wake a program.
    let directory = TempDir::new("load");
    let server = server(&directory, Runtime::Mio);
    beside_the_wire(server.http(), &closed, "latency");
    beside_the_wire(server.http(), &open, "from_sending");
    server.stop();
}
