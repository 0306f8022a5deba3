//! The client's half, at the server's.

use std::time::{Duration, Instant};

use windhover_client::{Client, block_on};
use windhover_runtime::{ServeOptions, Shutdown, listen};

use crate::{session, threads};

#[test]
fn a_client_asks_until_the_server_has_gone() {
    let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let shutdown = Shutdown::new();
    let asked = shutdown.clone();
    let server = std::thread::spawn(move || {
        threads::serve([listener.into()], |_, now| session(now), ServeOptions::default(), &asked)
    });
    let client = threads::connect(Client::builder().server(&address)).unwrap();
    let client = client.with_timeout(Duration::from_secs(10));
    for _ in 0..100 {
        let value = block_on(client.get("greeting")).unwrap().unwrap();
        assert_eq!(value.data, "hello");
    }
    assert_eq!(block_on(client.get("other")).unwrap(), None);
    shutdown.trigger();
    assert_eq!(server.join().unwrap().unwrap().cut, 0);
    let start = Instant::now();
    assert!(block_on(client.with_timeout(Duration::from_millis(300)).get("greeting")).is_err());
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_name_is_looked_up() {
    let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let name = format!("localhost:{}", listener.local_addr().unwrap().port());
    let shutdown = Shutdown::new();
    let asked = shutdown.clone();
    let server = std::thread::spawn(move || {
        threads::serve([listener.into()], |_, now| session(now), ServeOptions::default(), &asked)
    });
    let client = threads::connect(Client::builder().server(&name)).unwrap();
    let found = block_on(client.with_timeout(Duration::from_secs(10)).get("greeting")).unwrap();
    assert_eq!(found.unwrap().data, "hello");
    drop(client);
    shutdown.trigger();
    server.join().unwrap().unwrap();
}

#[test]
fn the_guide_shows_this_adapter() {
    let guide = include_str!("../../../docs/adapter.md");
    let (guide, _) = guide.split_once("\n## A loop of your own\n").unwrap();
    let adapter = include_str!("threads.rs");
    let shown: Vec<&str> =
        guide.split("```rust\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(shown.len() > 4, "{shown:#?}");
    for excerpt in shown {
        assert!(adapter.contains(excerpt), "the adapter has no longer:\n{excerpt}");
    }
    let is_code = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with("//");
    let lines = adapter.lines().filter(is_code).count();
    assert!(guide.contains(&format!("{lines} lines of code")), "the adapter has {lines}");
}
