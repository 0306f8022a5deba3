//! SIGKILL, and replies that a proxy cuts, garbles, withholds or invents.

use std::time::Duration;

use windhover_client::Client;
use windhover_conformance::{
    CacheServer, Fault, FaultProxy, Runtime, on_each_runtime, report, sleep,
};
use windhover_core::memcache::{End, Reason};

use crate::{
    LONG, ends_at, ends_at_once, is_gone, is_refused, millis, not_sent, once, text, unknown,
    until_answered,
};

async fn a_killed_server_is_told_at_once_and_used_again_on_the_same_port(runtime: Runtime) {
    let server = CacheServer::memcached(&[]);
    let address = server.address();
    let client = once(runtime, &address, LONG);
    client.set("a", "one").await.unwrap();
    // A request that the server has not read yet when it is killed.
    server.pause();
    let under_way = runtime.spawn({
        let client = client.clone();
        async move { client.set("a", "new").await }
    });
    while client.statistics()[0].counters.sent < 2 {
        sleep(Duration::from_millis(1)).await;
    }
    sleep(Duration::from_millis(50)).await;
    let cut = ends_at_once("kill, set under way", async {
        drop(server);
        under_way.await.unwrap_err()
    })
    .await;
    assert!(is_gone(unknown(&cut)), "{cut}");
    let refused = ends_at_once("kill, next get", client.get("a")).await.unwrap_err();
    assert!(is_refused(not_sent(&refused)), "{refused}");

    let _server = CacheServer::memcached_again(address);
    let (found, took) = until_answered(|| client.get("a")).await;
    assert_eq!(found, None, "a server that was started anew has nothing");
    report(&format!("answered {:.1} ms after the restart", millis(took)));
    client.set("a", "two").await.unwrap();
    assert_eq!(text(client.get("a").await), "two");
}

async fn a_restart_between_two_calls_is_not_noticed(runtime: Runtime) {
    let server = CacheServer::memcached(&[]);
    let address = server.address();
    let client = once(runtime, &address, LONG);
    client.set("a", "one").await.unwrap();
    drop(server);
    let _server = CacheServer::memcached_again(address);
    // Time to see that the old connection has ended.
    sleep(Duration::from_millis(100)).await;
    assert_eq!(client.get("a").await.unwrap(), None);
    assert_eq!(client.statistics()[0].counters.connects, 2);
}

/// What a fault makes of a write: its end, and how many connections there were after the next read.
async fn write_through(runtime: Runtime, what: &str, fault: Fault) -> Result<(), Reason> {
    let server = CacheServer::memcached(&[]);
    let proxy = FaultProxy::before(server.address());
    let client = once(runtime, &proxy.address(), LONG);
    client.set("b", "two").await.unwrap();
    proxy.next_reply(fault);
    let written = ends_at_once(what, client.set("a", "one")).await;
    // It has come to the server all the same: that is what "unknown" is for.
    assert_eq!(text(client.get("b").await), "two");
    assert_eq!(text(client.get("a").await), "one");
    assert_eq!(proxy.accepted(), 2, "a connection that cannot be trusted is left");
    written.map_err(|error| unknown(&error))
}

async fn garbage_ends_the_connection(runtime: Runtime) {
    let garbage = b"\x16\x03\x01 \0\0 no reply at all\r\n".to_vec();
    let end = write_through(runtime, "garbage, set", Fault::Replace(garbage)).await.unwrap_err();
    assert!(matches!(end, Reason::End(End::Malformed(_))), "{end}");
}

async fn another_commands_reply_is_nobodys(runtime: Runtime) {
    for reply in ["HD\r\n", "VALUE b 0 3\r\ntwo\r\nEND\r\n", "TOUCHED\r\n", "7\r\n"] {
        let fault = Fault::Replace(reply.into());
        let end = write_through(runtime, "another command's reply, set", fault).await.unwrap_err();
        assert_eq!(end, Reason::End(End::Mismatched), "{reply}");
    }
}

async fn a_reply_that_nobody_asked_for_reaches_nobody(runtime: Runtime) {
    let unasked = Fault::Append(b"STORED\r\n".to_vec());
    write_through(runtime, "a second reply, set", unasked)
        .await
        .expect("the first reply is its own");
}

async fn the_value_of_another_key_is_nobodys(runtime: Runtime) {
    let server = CacheServer::memcached(&[]);
    let proxy = FaultProxy::before(server.address());
    let client = once(runtime, &proxy.address(), LONG);
    client.set("a", "one").await.unwrap();
    proxy.next_reply(Fault::Replace(b"VALUE b 0 3\r\ntwo\r\nEND\r\n".to_vec()));
    let other = ends_at_once("another key's value, get", client.get("a")).await.unwrap_err();
    assert_eq!(unknown(&other), Reason::End(End::Mismatched));
    assert_eq!(text(client.get("a").await), "one");
}

async fn a_half_closed_connection_is_left(runtime: Runtime) {
    let end = write_through(runtime, "half-close, set", Fault::HalfClose).await.unwrap_err();
    assert_eq!(end, Reason::End(End::EndOfStream));
}

async fn a_value_that_is_cut_is_no_value(runtime: Runtime) {
    let server = CacheServer::memcached(&[]);
    let proxy = FaultProxy::before(server.address());
    let client = once(runtime, &proxy.address(), LONG);
    let value = "0123456789".repeat(1000);
    client.set("a", value.clone()).await.unwrap();
    // In the first line, in the value, before its last byte, before the end.
    for most in [0, 3, 17, 5000, 10_016, 10_023] {
        proxy.next_reply(Fault::Truncate(most));
        let cut = ends_at_once("cut value, get", client.get("a")).await.unwrap_err();
        assert!(is_gone(unknown(&cut)), "{cut}");
        assert_eq!(text(client.get("a").await), value);
    }
}

async fn a_reply_that_never_comes_ends_the_connection(runtime: Runtime) {
    let server = CacheServer::memcached(&[]);
    let proxy = FaultProxy::before(server.address());
    let stall = Duration::from_millis(300);
    let builder =
        crate::sent_once(&proxy.address(), LONG).options(|options| options.timeouts.stall = stall);
    let client = runtime.connect(builder);
    client.set("a", "one").await.unwrap();
    proxy.next_reply(Fault::Discard);
    let lost = ends_at("no reply, get, stall timeout", stall, client.get("a")).await.unwrap_err();
    assert_eq!(unknown(&lost), Reason::End(End::Stalled));
    assert_eq!(text(client.get("a").await), "one");
}

async fn a_read_that_may_be_sent_again_survives_each_of_them(runtime: Runtime) {
    let server = CacheServer::memcached(&[]);
    let proxy = FaultProxy::before(server.address());
    let builder = Client::builder().server(&proxy.address().to_string()).timeout(LONG);
    let client = runtime.connect(builder);
    client.set("a", "one").await.unwrap();
    let faults = [
        Fault::Replace(b"\0\0\r\n".to_vec()),
        Fault::Replace(b"STORED\r\n".to_vec()),
        Fault::Truncate(5),
        Fault::HalfClose,
        Fault::Append(b"END\r\n".to_vec()),
    ];
    for fault in faults {
        let what = format!("{fault:?}, get with retries");
        proxy.next_reply(fault);
        assert_eq!(text(ends_at_once(&what, client.get("a")).await), "one");
    }
}

on_each_runtime!(
    async:
    a_killed_server_is_told_at_once_and_used_again_on_the_same_port,
    a_restart_between_two_calls_is_not_noticed,
    garbage_ends_the_connection,
    another_commands_reply_is_nobodys,
    a_reply_that_nobody_asked_for_reaches_nobody,
    the_value_of_another_key_is_nobodys,
    a_half_closed_connection_is_left,
    a_value_that_is_cut_is_no_value,
    a_reply_that_never_comes_ends_the_connection,
    a_read_that_may_be_sent_again_survives_each_of_them,
);
