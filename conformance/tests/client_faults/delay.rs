//! A proxy that answers after the deadline.

use std::time::Duration;

use windhover_conformance::{CacheServer, Fault, FaultProxy, Runtime, on_each_runtime};
use windhover_core::memcache::Reason;

use crate::{LONG, ends_at, once, sent_once, text, unknown};

const DEADLINE: Duration = Duration::from_millis(100);
const DELAY: Duration = Duration::from_millis(400);

async fn the_late_reply_is_swallowed(runtime: Runtime) {
    let server = CacheServer::memcached(&[]);
    let proxy = FaultProxy::before(server.address());
    let client = once(runtime, &proxy.address(), LONG);
    client.set("a", "one").await.unwrap();
    client.set("b", "two").await.unwrap();
    for _ in 0..2 {
        proxy.next_reply(Fault::Delay(DELAY));
        let hasty = client.with_timeout(DEADLINE);
        let late = ends_at("late reply, get", DEADLINE, hasty.get("a")).await.unwrap_err();
        assert_eq!(unknown(&late), Reason::Deadline);
        // Asked before the late reply is there, answered after it.
        assert_eq!(text(client.get("b").await), "two");
        assert_eq!(text(client.get("a").await), "one");
    }
    assert_eq!(proxy.accepted(), 1, "one caller's haste costs nobody the connection");
}

async fn neighbours_get_their_own_replies_behind_it(runtime: Runtime) {
    let server = CacheServer::memcached(&[]);
    let proxy = FaultProxy::before(server.address());
    // Ten calls without an answer would take the server out of use, and have it probed.
    let builder = sent_once(&proxy.address(), LONG).options(|options| options.slow = LONG);
    let client = runtime.connect(builder);
    for n in 0..20 {
        client.set(format!("key-{n}"), format!("value {n}")).await.unwrap();
    }
    proxy.next_reply(Fault::Delay(DELAY));
    let tasks: Vec<_> = (0..20)
        .map(|n| {
            // Every other one has less time than the reply takes.
            let client = if n % 2 == 0 { client.with_timeout(DEADLINE) } else { client.clone() };
            runtime.spawn(async move { client.get(format!("key-{n}")).await })
        })
        .collect();
    for (n, task) in tasks.into_iter().enumerate() {
        let found = task.await;
        if n % 2 == 0 {
            assert_eq!(unknown(&found.unwrap_err()), Reason::Deadline, "{n}");
        } else {
            assert_eq!(text(found), format!("value {n}"));
        }
    }
    assert_eq!(proxy.accepted(), 1);
}

on_each_runtime!(
    async:
    the_late_reply_is_swallowed,
    neighbours_get_their_own_replies_behind_it,
);
