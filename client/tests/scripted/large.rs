//! What is too large for the client is an error of its key, and of nothing else.

use windhover_client::protocol::client::ServerState;
use windhover_client::protocol::memcache::Oversized;
use windhover_client::{Client, Error, ErrorKind, Outcome, ValueError};

use crate::script::{cache, script};

const TOO_LONG: usize = (1 << 20) + 1;

fn item(key: &str, flags: u64, length: usize) -> String {
    format!("VALUE {key} {flags} {length}\r\n{}\r\n", "x".repeat(length))
}

fn meta_item(length: usize) -> String {
    format!("VA {length}\r\n{}\r\n", "x".repeat(length))
}

/// A cache of a large value, one with wide flags and two small ones.
fn answer(heard: &str) -> String {
    let mut said = String::new();
    for line in heard.lines() {
        if let Some(keys) = line.strip_prefix("get ").or_else(|| line.strip_prefix("gets ")) {
            for key in keys.split(' ') {
                match key {
                    "big" => said += &item(key, 0, TOO_LONG),
                    "wide" => said += &item(key, 1 << 32, 1),
                    "small" | "edge" => said += &item(key, 0, 5),
                    _ => {}
                }
            }
            said += "END\r\n";
        } else if line.starts_with("mg big ") {
            said += &meta_item(TOO_LONG);
        }
    }
    said
}

#[track_caller]
fn oversized<T: std::fmt::Debug>(outcome: Result<T, Error>) -> Oversized {
    let error = outcome.unwrap_err();
    match error.kind() {
        ErrorKind::Value(ValueError::Oversized(what)) => *what,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_value_that_is_too_large_fails_neither_its_server_nor_its_neighbours() {
    let (client, mut server) = script(cache(), |_, heard| Some(answer(heard).into()));
    let big = Oversized::Value { length: TOO_LONG as u64, limit: 1 << 20 };
    for _ in 0..5 {
        let error = server.run(client.get("big")).unwrap_err();
        assert_eq!(error.outcome(), Outcome::Done);
        assert_eq!(error.to_string(), format!("a:1: 'big': {big}"));
        assert_eq!(oversized(server.run(client.gets("big"))), big);
        let wide = oversized(server.run(client.get("wide")));
        assert_eq!(wide, Oversized::Flags { flags: 1 << 32 });
        let meta = oversized(server.run(client.meta_get("big", "v")));
        assert_eq!(meta, big);
    }
    let mut found = server.run(client.get_many(&["small", "big", "none", "wide", "edge"]));
    let lengths: Vec<_> =
        [4, 2, 0].map(|at| found.remove(at).unwrap().map(|value| value.data.len())).into();
    assert_eq!(lengths, [Some(5), None, Some(5)]);
    assert_eq!(oversized(found.remove(0)), big);
    assert_eq!(oversized(found.remove(0)), Oversized::Flags { flags: 1 << 32 });
    let statistics = &client.statistics()[0];
    assert_eq!(statistics.state, ServerState::Healthy);
    assert_eq!((statistics.counters.connects, server.connections()), (1, 1));
}

#[test]
fn an_item_that_is_too_large_for_a_cache_is_read_from_a_queue() {
    let builder = Client::queue_builder().server("a:1");
    let value = item("jobs", 0, TOO_LONG);
    let (client, mut server) = script(builder, |_, heard| {
        Some(match heard {
            "get jobs\r\n" | "get jobs/peek\r\n" | "get jobs/open\r\n" => {
                format!("{value}END\r\n").into()
            }
            "get jobs/close\r\n" => b"END\r\n".to_vec(),
            other => panic!("{other:?}"),
        })
    });
    let queue = client.queue("jobs");
    assert_eq!(server.run(queue.take()).unwrap().unwrap().len(), TOO_LONG);
    assert_eq!(server.run(queue.peek()).unwrap().unwrap().len(), TOO_LONG);
    let reserved = server.run(queue.reserve()).unwrap().unwrap();
    assert_eq!(server.run(reserved.confirm()).unwrap().len(), TOO_LONG);
}
