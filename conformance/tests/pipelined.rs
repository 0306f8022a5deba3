//! Every pair of commands, written together, does and is answered what it is to a client that waits for each
//! answer, whatever serves the connection and whenever the journal is synced.
#![allow(clippy::panic, clippy::expect_used)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use windhover_conformance::{Runtime, Server, Setup, TempDir, on_each_runtime, report};

/// Says "does not hang".
const BOUND: Duration = Duration::from_secs(30);

/// How an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Line,
    /// `END`, behind an item or alone.
    Item,
    /// An `END` by itself.
    Items,
}

/// Every command that puts into a queue, reads from it or changes it, for one queue, one that follows it, and an
/// alias of both it and another.
const COMMANDS: &[(&str, Answer)] = &[
    ("set q 0 0 1\r\n1\r\n", Answer::Line),
    ("set r 0 0 1\r\n3\r\n", Answer::Line),
    ("set all 0 0 1\r\n5\r\n", Answer::Line),
    ("set q+c 0 0 1\r\n6\r\n", Answer::Line),
    ("set q 0 1000001 1\r\n7\r\n", Answer::Line),
    ("get q\r\n", Answer::Item),
    ("get q+c\r\n", Answer::Item),
    ("get q/peek\r\n", Answer::Item),
    ("get q/open\r\n", Answer::Item),
    ("get q/close\r\n", Answer::Item),
    ("get q/close/open\r\n", Answer::Item),
    ("get q/abort\r\n", Answer::Item),
    ("get q/t=1\r\n", Answer::Item),
    ("get r\r\n", Answer::Item),
    ("flush q\r\n", Answer::Item),
    ("flush_all\r\n", Answer::Line),
    ("flush_expired q\r\n", Answer::Line),
    ("flush_all_expired\r\n", Answer::Line),
    ("delete q\r\n", Answer::Line),
    ("delete q+c\r\n", Answer::Line),
    ("monitor q 0 2\r\n", Answer::Items),
    ("confirm q 0\r\n", Answer::Item),
    ("confirm q 1\r\n", Answer::Item),
    ("status\r\n", Answer::Line),
    ("version\r\n", Answer::Line),
];

/// What shows what they did. Expired items come into the other queue when the journal has them, which nobody
/// waits for.
const REST: &[(&str, Answer)] = &[
    ("get q\r\n", Answer::Item),
    ("get q\r\n", Answer::Item),
    ("get q\r\n", Answer::Item),
    ("get r\r\n", Answer::Item),
    ("get q+c\r\n", Answer::Item),
    ("get q+c\r\n", Answer::Item),
];

struct Peer(BufReader<TcpStream>);

impl Peer {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, BOUND).expect("a connection");
        stream.set_read_timeout(Some(BOUND)).expect("a timeout can be set");
        stream.set_nodelay(true).expect("delays can be turned off");
        Self(BufReader::new(stream))
    }

    fn send(&mut self, bytes: &str) {
        // A peer that has been disconnected by its last command cannot be written to.
        let _ = self.0.get_mut().write_all(bytes.as_bytes());
    }

    /// Adds a line; whether there was any.
    fn line(&mut self, into: &mut String) -> bool {
        self.0.read_line(into).expect("no time-out") > 0
    }

    /// Adds an answer; whether the connection goes on.
    fn answer(&mut self, answer: Answer, into: &mut String) -> bool {
        loop {
            let start = into.len();
            if !self.line(into) {
                return false;
            }
            let is_value = into[start..].starts_with("VALUE ");
            if is_value {
                // No item has more than one line.
                if !self.line(into) || !self.line(into) {
                    return false;
                }
            }
            if answer != Answer::Items || !is_value {
                return true;
            }
        }
    }

    fn rest(mut self, into: &mut String) {
        self.0.read_to_string(into).expect("no time-out");
    }
}

/// What is answered to the commands, written together or each after the answer to the one before.
fn exchange(address: SocketAddr, commands: &[(&str, Answer)], together: bool) -> String {
    let mut peer = Peer::connect(address);
    let mut said = String::new();
    if together {
        let whole: String = commands.iter().map(|(command, _)| *command).collect();
        peer.send(&whole);
    } else {
        for (command, answer) in commands {
            peer.send(command);
            if !peer.answer(*answer, &mut said) {
                return said;
            }
        }
    }
    peer.send("quit\r\n");
    peer.rest(&mut said);
    said
}

/// Nothing is in any queue, nobody has anything open, and `q+c` follows `q`.
fn reset(server: &Server) {
    let begun = Instant::now();
    loop {
        let mut client = server.queue_client();
        for command in ["flush_all", "delete q+c", "get q+c"] {
            client.command(command).expect("an answer");
        }
        let stats = client.stats().expect("statistics");
        let is_none = |name: &str| stats.get(name).is_none_or(|number| number == "0");
        let queues = ["q", "r", "q+c", "late"];
        let has_none = queues.iter().all(|queue| {
            is_none(&format!("queue_{queue}_items"))
                && is_none(&format!("queue_{queue}_open_transactions"))
        });
        if has_none {
            return;
        }
        assert!(begun.elapsed() < BOUND, "{stats:?}");
        thread::sleep(Duration::from_millis(1));
    }
}

fn pairs_take_effect_in_their_order(runtime: Runtime) {
    for fsync in ["always", "interval=50", "never"] {
        let directory = TempDir::new("pipelined");
        let file = directory.path().join("windhover.toml");
        let text = "[queues.q]\nmove-expired-to = \"late\"\n[aliases]\nall = [\"q\", \"r\"]\n";
        std::fs::write(&file, text).expect("a file");
        let server = Setup::new(directory.path().join("data"))
            .runtime(runtime)
            .flag("--config", &file.to_string_lossy())
            .flag("--fsync", fsync)
            .start();
        let started = Instant::now();
        for first in COMMANDS {
            for second in COMMANDS {
                let before = [("set q 0 0 1\r\n4\r\n", Answer::Line)];
                let commands = [&before, &[*first, *second][..], REST].concat();
                let said = [true, false].map(|together| {
                    reset(&server);
                    exchange(server.queue(), &commands, together)
                });
                assert_eq!(
                    said[0],
                    said[1],
                    "{first:?}, {second:?} on {}, fsync {fsync}",
                    runtime.name()
                );
            }
        }
        let pairs = COMMANDS.len() * COMMANDS.len();
        let took = started.elapsed();
        report(&format!("{}, fsync {fsync}: {pairs} pairs in {took:.1?}", runtime.name()));
        server.stop();
    }
}

on_each_runtime!(pairs_take_effect_in_their_order);
