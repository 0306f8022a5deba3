//! Events that a queue server refuses for good go to the dead-letter queue, and `windhover replay` sends
//! them again; a queue that is full is waited for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use windhover_conformance::{
    HttpClient, Runtime, Server, Setup, TempDir, eventually, on_each_runtime,
};

/// What a queue server takes, and what it has taken.
#[derive(Debug)]
struct Taken {
    /// Larger ones are not stored.
    largest: usize,
    /// What has this in it is called wrong.
    wrong: &'static str,
    items: Vec<String>,
}

impl Taken {
    fn answer(&mut self, item: String) -> &'static str {
        if item.len() > self.largest {
            return "NOT_STORED\r\n";
        }
        if !self.wrong.is_empty() && item.contains(self.wrong) {
            return "CLIENT_ERROR no such thing here\r\n";
        }
        self.items.push(item);
        "STORED\r\n"
    }
}

/// A queue server that is told what to take.
#[derive(Clone)]
struct Remote {
    address: SocketAddr,
    taken: Arc<Mutex<Taken>>,
}

impl Remote {
    fn start(largest: usize, wrong: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = Arc::new(Mutex::new(Taken { largest, wrong, items: Vec::new() }));
        let remote = Self { address: listener.local_addr().unwrap(), taken };
        let serving = remote.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let remote = serving.clone();
                thread::spawn(move || remote.serve(stream));
            }
        });
        remote
    }

    fn serve(&self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        while stream.read_line(&mut line).is_ok_and(|read| read > 0) {
            let answer = match line.split_whitespace().collect::<Vec<_>>()[..] {
                ["set", "events", _, _, length] => {
                    let mut item = vec![0; length.parse::<usize>().unwrap() + 2];
                    stream.read_exact(&mut item).unwrap();
                    item.truncate(item.len() - 2);
                    self.taken.lock().unwrap().answer(String::from_utf8(item).unwrap())
                }
                _ => "VERSION 1\r\n",
            };
            if stream.get_mut().write_all(answer.as_bytes()).is_err() {
                return;
            }
            line.clear();
        }
    }

    fn now_takes(&self, largest: usize, wrong: &'static str) {
        let mut taken = self.taken.lock().unwrap();
        (taken.largest, taken.wrong) = (largest, wrong);
    }

    fn has(&self, text: &str) -> bool {
        self.taken.lock().unwrap().items.iter().any(|item| item.contains(text))
    }
}

fn track(server: &Server, id: &str, padding: usize) {
    let mut client = HttpClient::connect(server.http()).unwrap();
    let event = format!(
        r#"{{"event":"e","properties":{{"token":"t","id":"{id}","p":"{}"}}}}"#,
        "x".repeat(padding)
    );
    assert!(client.track(&event).unwrap().accepted());
}

/// The letter at the head: its line and the record.
fn first_letter(server: &Server) -> (Value, String) {
    let item = server.queue_client().get("dead-letters/peek").unwrap().expect("a letter");
    let item = String::from_utf8(item).unwrap();
    let (line, record) = item.split_once('\n').unwrap();
    (serde_json::from_str(line).unwrap(), record.to_owned())
}

fn what_is_refused_for_good_is_put_aside_and_sent_again_on_request(runtime: Runtime) {
    let remote = Remote::start(1_000, "wrong");
    let directory = TempDir::new("dead-letters");
    let setup = Setup::new(directory.path())
        .runtime(runtime)
        .flag("--queue", &format!("kestrel://{}", remote.address));
    let server = setup.start();
    track(&server, "wrong", 0);
    for n in 0..5 {
        track(&server, &format!("good-{n}"), 0);
    }
    eventually("the wrong one is put aside", Duration::from_secs(30), || {
        (server.items("dead-letters") == 1).then_some(())
    });
    let (line, record) = first_letter(&server);
    assert_eq!(line["reason"], "refused_by_queue_server");
    assert_eq!(line["origin"], "queue:events");
    assert!(line["detail"].as_str().unwrap().contains("no such thing here"), "{line}");
    assert!(line["time"].as_u64().unwrap() > 1_600_000_000_000);
    assert!(record.contains(r#""id":"wrong""#), "{record}");

    // What is too large is told from what the queue has no room for by what is taken behind it.
    track(&server, "large", 2_000);
    let mut n = 0;
    eventually("the large one is put aside", Duration::from_secs(60), || {
        n += 1;
        track(&server, &format!("more-{n}"), 0);
        (server.items("dead-letters") == 2).then_some(())
    });
    assert!(remote.has("good-4") && remote.has("more-1") && !remote.has("large"));
    let metrics = server.http_client().get("/metrics").unwrap().text();
    for line in [
        "windhover_dead_letters_total{reason=\"too_large_for_queue_server\"} 1",
        "windhover_dead_letters_waiting 2",
        "windhover_dead_letters_lost_total 0",
    ] {
        assert!(metrics.lines().any(|it| it == line), "{line} is not in\n{metrics}");
    }

    // They survive the server, and nobody else may put any there.
    server.kill();
    let server = setup.start();
    assert_eq!(server.items("dead-letters"), 2);
    let answer = server.queue_client().set("dead-letters", b"x").unwrap();
    assert!(answer.starts_with("CLIENT_ERROR"), "{answer}");

    remote.now_takes(10_000, "");
    let outcome = setup.replay(&server);
    outcome.expect_code(0);
    assert!(outcome.stdout.contains("taken          2\nrefused again  0"), "{outcome:#?}");
    eventually("both are delivered", Duration::from_secs(30), || {
        (remote.has("wrong") && remote.has("large")).then_some(())
    });
    assert_eq!(server.items("dead-letters"), 0);
    server.stop();
}

fn a_queue_that_is_full_is_waited_for(runtime: Runtime) {
    let remote = Remote::start(0, "");
    let directory = TempDir::new("dead-letters");
    let server = Setup::new(directory.path())
        .runtime(runtime)
        .flag("--queue", &format!("kestrel://{}", remote.address))
        .start();
    for n in 0..300 {
        track(&server, &format!("event-{n}."), n);
    }
    thread::sleep(Duration::from_secs(2));
    assert_eq!(server.items("dead-letters"), 0);
    remote.now_takes(10_000, "");
    eventually("all are delivered", Duration::from_secs(30), || {
        (0..300).all(|n| remote.has(&format!("event-{n}."))).then_some(())
    });
    assert_eq!(server.items("dead-letters"), 0);
    server.stop();
}

on_each_runtime!(
    what_is_refused_for_good_is_put_aside_and_sent_again_on_request,
    a_queue_that_is_full_is_waited_for,
);
