//! What operators see: the status page in a browser, held against `/metrics`, and `windhover tail`.
//!
//! `WINDHOVER_SCREENSHOTS=DIR` keeps pictures of the page.
#![allow(clippy::panic, clippy::expect_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use windhover_conformance::{
    HttpClient, MountNamespace, Runtime, Server, Setup, TempDir, binary, eventually,
    on_each_runtime, peers, report,
};

const BOUND: Duration = Duration::from_secs(60);

fn event(token: &str, name: &str, number: usize) -> String {
    format!(
        r#"{{"event":"{name}","properties":{{"token":"{token}","distinct_id":"u{number}","n":{number}}}}}"#
    )
}

fn setup(data: &Path, runtime: Runtime) -> Setup {
    Setup::new(data).runtime(runtime).flag("--admin", "127.0.0.1:0")
}

/// Where a server listens for operators.
#[track_caller]
fn admin(server: &Server) -> SocketAddr {
    let line = server.banner().iter().find_map(|line| line.strip_prefix("  admin    http://"));
    let address = line.and_then(|line| line.strip_suffix('/')).expect("it says where");
    address.parse().expect("an address")
}

fn send(server: &Server, events: &[String]) {
    let mut client = server.http_client();
    for event in events {
        let answer = client.track(event).expect("an answer");
        assert!(answer.accepted(), "{answer:?}");
    }
}

/// A process whose lines are read as they come.
struct Running {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Running {
    #[track_caller]
    fn start(command: &mut Command, of_stderr: bool) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        if of_stderr {
            command.stderr(Stdio::piped());
        }
        let mut child = command.spawn().expect("it can be run");
        let (sender, lines) = mpsc::channel();
        let mut readers: Vec<Box<dyn Read + Send>> = Vec::new();
        readers.extend(child.stdout.take().map(|it| Box::new(it) as Box<dyn Read + Send>));
        readers.extend(child.stderr.take().map(|it| Box::new(it) as Box<dyn Read + Send>));
        for reader in readers {
            let sender = sender.clone();
            thread::spawn(move || {
                for line in BufReader::new(reader).lines().map_while(Result::ok) {
                    let _ = sender.send(line);
                }
            });
        }
        let input = child.stdin.take().expect("it is piped");
        Self { child, input, lines }
    }

    #[track_caller]
    fn next(&self) -> String {
        self.lines.recv_timeout(BOUND).expect("a further line")
    }

    #[track_caller]
    fn end(mut self) -> Option<i32> {
        drop(self.input);
        let child = &mut self.child;
        let status =
            eventually("its end", BOUND, || child.try_wait().expect("it can be waited for"));
        status.code()
    }
}

fn tail(server: &Server, arguments: &[&str]) -> Running {
    let mut command = Command::new(binary());
    command.args(["tail", "--admin", &admin(server).to_string()]).args(arguments);
    let lines = Running::start(&mut command, true);
    assert_eq!(lines.next(), "windhover: shown from here on");
    lines
}

fn tail_shows_what_is_accepted_and_takes_nothing(runtime: Runtime) {
    let directory = TempDir::new("tail");
    let server = setup(&directory.path().join("data"), runtime).start();
    send(&server, &[event("t", "before", 0)]);
    let all = tail(&server, &["--json", "--count", "4"]);
    let some = tail(&server, &["--token", "t", "--event", "a b", "--count", "1"]);
    send(&server, &[event("u", "a b", 1), event("t", "other", 2), event("t", "a b", 3)]);
    let refused = server.http_client().track(r#"{"event":"refused"}"#).expect("an answer");
    assert!(!refused.accepted());
    let update =
        "/engage?data={%22$token%22:%22t%22,%22$distinct_id%22:%22u%22,%22$set%22:{%22a%22:1}}";
    assert!(server.http_client().get(update).expect("an answer").accepted());

    let records: Vec<Value> =
        (0..4).map(|_| serde_json::from_str(&all.next()).expect("JSON")).collect();
    let named: Vec<&str> = records.iter().map(|it| it["event"].as_str().unwrap_or("-")).collect();
    assert_eq!(named, ["a b", "other", "a b", "-"]);
    assert_eq!(records[3]["$set"]["a"], 1);
    assert_eq!(all.end(), Some(0));
    let line = some.next();
    let (clock, rest) = line.split_once("  ").expect("columns");
    assert_eq!(clock.len(), "12:34:56.789".len());
    assert!(
        rest.starts_with("a b                       t             u3                $insert_id="),
        "{rest}"
    );
    assert_eq!(some.end(), Some(0));

    // What was shown is there, as it was.
    let items = server.queue_client().drain("events").expect("events");
    assert_eq!(items.len(), 4);
    assert_eq!(serde_json::from_slice::<Value>(&items[3]).expect("JSON"), records[2]);

    let running = tail(&server, &[]);
    server.stop();
    assert!(running.next().contains("it ended"));
    assert_eq!(running.end(), Some(1));
}

/// Whoever looks on and reads nothing makes nobody wait, costs a bounded amount of memory, and is closed.
fn who_reads_nothing_is_let_go(runtime: Runtime) {
    let directory = TempDir::new("slow-tail");
    let server = setup(&directory.path().join("data"), runtime).flag("--fsync", "never").start();
    let mut slow = TcpStream::connect(admin(&server)).expect("it listens");
    slow.write_all(b"GET /tail HTTP/1.1\r\nHost: t\r\n\r\n").expect("it is taken");
    let mut begin = [0; 15];
    slow.read_exact(&mut begin).expect("an answer");
    assert_eq!(&begin, b"HTTP/1.1 200 OK");

    let pad = "p".repeat(30_000);
    let large = format!(r#"{{"event":"large","properties":{{"token":"t","pad":"{pad}"}}}}"#);
    let batch = format!("[{}]", vec![large; 100].join(","));
    let begun = Instant::now();
    let mut client = server.http_client();
    for _ in 0..10 {
        assert!(client.track(&batch).expect("an answer").accepted());
    }
    let took = begun.elapsed();
    let log = eventually("it is closed", BOUND, || {
        Some(server.log()).filter(|log| log.contains("who looks on took nothing"))
    });
    assert!(!log.contains("panicked"));
    report(&format!(
        "{}: 30 MB accepted in {took:.1?} beside one who reads nothing",
        runtime.name()
    ));
    server.stop();
}

fn the_operators_listener_has_its_pages_alone(runtime: Runtime) {
    let directory = TempDir::new("admin");
    let server = setup(&directory.path().join("data"), runtime).start();
    let mut client = HttpClient::connect(admin(&server)).expect("it listens");
    for (path, status) in [
        ("/healthz", 200),
        ("/readyz", 200),
        ("/metrics", 200),
        ("/", 200),
        ("/track?data=e30", 404),
    ] {
        let answer = client.get(path).expect("an answer");
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), None, "{path}");
    }
    let page = client.get("/").expect("an answer");
    assert!(
        page.header("content-security-policy").is_some_and(|it| it.contains("default-src 'none'"))
    );
    client.send(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n").expect("it is taken");
    assert_eq!(client.receive().expect("an answer").status, 405);
    // Nor has the tracker's the page.
    assert_eq!(server.http_client().get("/").expect("an answer").status, 404);
    server.stop();
}

/// The page in a browser.
struct Page(Running);

impl Page {
    fn open(server: &Server) -> Self {
        let mut command = Command::new("node");
        command
            .env("NODE_PATH", peers().join("node/node_modules"))
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/status.js"))
            .args([&format!("http://{}/", admin(server)), "2"]);
        if let Some(directory) = std::env::var_os("WINDHOVER_SCREENSHOTS") {
            command.arg(directory);
        }
        let page = Self(Running::start(&mut command, false));
        assert_eq!(page.0.next(), "ready");
        page
    }

    /// What it shows.
    #[track_caller]
    fn look(&mut self, name: &str) -> Value {
        writeln!(self.0.input, "{name}").expect("it listens");
        let shown: Value = serde_json::from_str(&self.0.next()).expect("JSON");
        assert_eq!(shown["errors"], Value::Array(Vec::new()), "{name}");
        assert_eq!(shown["overflows"], false, "{name}: it has to be scrolled sideways");
        shown
    }
}

/// What `/metrics` says, of every sample of a name.
fn sum(server: &Server, name: &str) -> u64 {
    sum_of(server, name, |_| true)
}

/// The same of those with labels that are asked for.
fn sum_of(server: &Server, name: &str, is_asked: impl Fn(&str) -> bool) -> u64 {
    let page = HttpClient::connect(admin(server)).and_then(|mut it| it.get("/metrics"));
    let page = page.expect("an answer").text();
    let samples =
        page.lines().filter_map(|line| line.strip_prefix("windhover_")?.strip_prefix(name));
    let values = samples.filter(|rest| rest.starts_with(['{', ' ']) && is_asked(rest));
    values.filter_map(|rest| rest.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

/// Holds the page's figures against the metrics, once nothing changes.
#[track_caller]
fn assert_same(server: &Server, shown: &Value) {
    for (figure, metric) in [
        ("rate", "events_accepted_total"),
        ("items", "queue_items"),
        ("backlog", "journal_backlog_bytes"),
        ("letters", "dead_letters_waiting"),
        ("sync", "journal_batches_total"),
    ] {
        let raw = shown["figures"][figure]["raw"].as_str().and_then(|raw| raw.parse::<u64>().ok());
        assert_eq!(raw, Some(sum(server, metric)), "{figure}: {shown}");
    }
    let refused = sum_of(server, "requests_total", |labels| !labels.contains(r#"="accepted""#));
    let raw = shown["figures"]["refused-rate"]["raw"].as_str().and_then(|raw| raw.parse().ok());
    assert_eq!(raw, Some(refused), "{shown}");
}

fn rows(shown: &Value, table: &str) -> Vec<Vec<String>> {
    serde_json::from_value(shown["tables"][table].clone()).expect("rows")
}

#[test]
fn the_page_shows_what_the_metrics_say_idle_and_under_load_and_in_trouble() {
    let runtime = Runtime::Tokio;
    let directory = TempDir::new("page");
    let disk = directory.path().join("disk");
    std::fs::create_dir(&disk).expect("a directory to mount on");
    let namespace = MountNamespace::with_tmpfs(&disk, "8m");
    // A queue server that takes connections and says nothing.
    let queue_server =
        |name: &str| Setup::new(directory.path().join(name)).runtime(runtime).start();
    let (hung, other) = (queue_server("hung"), queue_server("other"));
    let server = setup(&disk.join("data"), runtime)
        .within(namespace.enter())
        .flag("--segment-bytes", "262144")
        .flag("--queue", &format!("kestrel://{},{}", hung.queue(), other.queue()))
        .start();
    let mut page = Page::open(&server);

    let idle = page.look("idle");
    assert_same(&server, &idle);
    assert_eq!(idle["state"], "healthy");
    assert_eq!(rows(&idle, "records"), [["none since this page was opened"]]);
    let state = |shown: &Value, server: &Server| {
        let (servers, address) = (rows(shown, "servers"), server.queue().to_string());
        let row = servers.into_iter().find(|row| row[0].contains(&address)).expect("its row");
        row[1].clone()
    };
    assert_eq!([state(&idle, &hung), state(&idle, &other)], ["in use", "in use"]);

    // It hangs.
    hung.pause();
    let is_looked_at = AtomicBool::new(false);
    let loaded = thread::scope(|scope| {
        for sender in 0..4 {
            let (server, is_looked_at) = (&server, &is_looked_at);
            scope.spawn(move || {
                for n in 0.. {
                    send(server, &[event("0123456789", "page viewed", 10_000 * sender + n)]);
                    if is_looked_at.load(Ordering::Relaxed) {
                        return;
                    }
                    thread::sleep(Duration::from_millis(5));
                }
            });
        }
        let shown = page.look("load");
        is_looked_at.store(true, Ordering::Relaxed);
        shown
    });
    for figure in ["rate", "p50", "p99", "sync"] {
        let text = loaded["figures"][figure]["text"].as_str();
        assert!(text.is_some_and(|text| !["0", "–"].contains(&text)), "{figure}: {loaded}");
    }
    for bad in [r#"{"event":"e"}"#, r#"{"event":"e","properties":{}}"#] {
        assert!(!server.http_client().track(bad).expect("an answer").accepted());
    }
    eventually("the server is out of use", BOUND, || {
        state(&page.look("hung"), &hung).starts_with("out of use").then_some(())
    });
    eventually("the other has all records", BOUND, || {
        (sum(&server, "queue_items") == sum(&server, "dead_letters_waiting")).then_some(())
    });
    let shown = page.look("hung");
    assert_same(&server, &shown);
    let last = rows(&shown, "records");
    // Of each second the last ten.
    assert!(last.len() >= 10, "{last:?}");
    assert_eq!([&*last[0][1], &*last[0][2]], ["page viewed", "012…"], "{last:?}");
    let refused = rows(&shown, "refused");
    for reason in ["token_missing", "properties_missing"] {
        let row = ["track", reason, "1", "1"].map(str::to_owned).to_vec();
        assert!(refused.contains(&row), "{refused:?}");
    }
    assert_eq!(state(&shown, &other), "in use");
    let letters = ["dead-letters", "2"].map(str::to_owned);
    assert!(rows(&shown, "queues").iter().any(|row| row.starts_with(&letters)), "{shown}");

    // No record goes, and the disk is full.
    other.pause();
    let outcome = namespace.shell("head -c 16777216 /dev/zero >$dir/rest");
    assert!(outcome.stderr.contains("No space left"), "{outcome:?}");
    let mut client = server.http_client();
    // A segment that nobody needs any more makes room for some.
    let full = eventually("the page says so", BOUND, || {
        let pad = "p".repeat(4000);
        let is_refused = (0..4000).any(|n| {
            let answer = client.track(&event("t", &pad, n)).expect("an answer");
            answer.status == 503
        });
        assert!(is_refused, "a full disk took everything");
        Some(page.look("full")).filter(|shown| shown["state"] == "the journal takes no writes")
    });
    assert!(rows(&full, "refused").iter().any(|row| row[1] == "not_durable"), "{full}");

    assert_eq!(page.0.end(), Some(0));
    hung.resume();
    other.resume();
    report(
        "the page shows what /metrics says: idle, under load, with a hung queue server, on a full disk",
    );
}

on_each_runtime!(
    tail_shows_what_is_accepted_and_takes_nothing,
    who_reads_nothing_is_let_go,
    the_operators_listener_has_its_pages_alone,
);
