//! Futures that are dropped.

use std::time::Duration;

use windhover_conformance::{CacheServer, Fault, FaultProxy, Runtime, on_each_runtime, timeout};

use crate::{LONG, once, text};

async fn the_late_reply_of_a_dropped_call_is_swallowed(runtime: Runtime) {
    let server = CacheServer::memcached(&[]);
    let proxy = FaultProxy::before(server.address());
    let client = once(runtime, &proxy.address(), LONG);
    client.set("a", "one").await.unwrap();
    client.set("b", "two").await.unwrap();
    for _ in 0..3 {
        proxy.next_reply(Fault::Delay(Duration::from_millis(200)));
        let dropped = timeout(Duration::from_millis(50), client.get("a")).await;
        assert!(dropped.is_err(), "the reply was to come later");
        assert_eq!(text(client.get("b").await), "two");
        // A write that is dropped is done all the same: it was sent.
        proxy.next_reply(Fault::Delay(Duration::from_millis(200)));
        let dropped = timeout(Duration::from_millis(50), client.set("a", "new")).await;
        assert!(dropped.is_err(), "the reply was to come later");
        assert_eq!(text(client.get("a").await), "new");
    }
    assert_eq!(proxy.accepted(), 1);
}

async fn calls_dropped_at_random_disturb_no_other(runtime: Runtime) {
    let server = CacheServer::memcached(&[]);
    let client = once(runtime, &server.address(), LONG);
    for n in 0..50 {
        client.set(format!("key-{n}"), format!("value {n}")).await.unwrap();
    }
    let tasks: Vec<_> = (0..8_u64)
        .map(|task| {
            let client = client.clone();
            runtime.spawn(async move {
                for round in 0..500 {
                    let n = (task * 7 + round * 3) % 50;
                    let get = client.get(format!("key-{n}"));
                    if round % 3 == 0 {
                        // About as long as an answer takes.
                        let _ = timeout(Duration::from_micros(round % 90), get).await;
                    } else {
                        assert_eq!(text(get.await), format!("value {n}"));
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await;
    }
    assert_eq!(client.statistics()[0].counters.connects, 1);
}

on_each_runtime!(
    async:
    the_late_reply_of_a_dropped_call_is_swallowed,
    calls_dropped_at_random_disturb_no_other,
);
