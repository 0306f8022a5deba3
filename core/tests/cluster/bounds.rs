//! What is bounded, what is counted, and what it costs to do nothing.

use bytes::Bytes;
use windhover_core::client::{Answer, Call, CallError, ClusterOptions, NotSent};
use windhover_core::memcache::meta::{MetaCode, MetaFlags, MetaRequest};
use windhover_core::memcache::request::{Barrier, Batch, Request};
use windhover_core::memcache::{Dialect, Limits};

use crate::client::{Client, get, ms, set};

#[test]
fn so_many_calls_are_under_way_and_no_more() {
    let mut options = ClusterOptions::default();
    options.waiting = 2;
    let mut client = Client::new(options, &["a"]);
    let first = client.submit(Call::read(get("k")), ms(100));
    client.submit(Call::read(get("k")), ms(100));
    let third = client.cluster.submit(Call::read(get("k")), client.now + ms(100), client.now);
    assert!(matches!(third, Err(CallError::NotSent { why: NotSent::Overloaded, .. })));
    client.cancel(first);
    client.submit(Call::read(get("k")), ms(100));
}

#[test]
fn an_idle_client_wakes_for_nothing() {
    let mut client = Client::new(ClusterOptions::default(), &["a", "b"]);
    for server in ["a", "b"] {
        let call = client.submit(Call::read(get(&client.key_of(server))), ms(100));
        let connection = client.accept(server);
        client.reply(connection, "END\r\n");
        client.outcome(call).unwrap();
    }
    let mut wakes = 0;
    let until = client.now + ms(290_000);
    while let Some(next) = client.idle_until
        && next < until
    {
        client.now = next;
        client.settle();
        wakes += 1;
    }
    assert!(wakes <= 4, "{wakes}");
}

#[test]
fn what_becomes_of_calls_is_counted_by_server() {
    let mut client = Client::new(ClusterOptions::default(), &["a"]);
    let hit = client.submit(Call::read(get("k")), ms(100));
    let a = client.accept("a");
    client.after(ms(3));
    client.reply(a, "VALUE k 0 1\r\n1\r\nEND\r\n");
    client.outcome(hit).unwrap();
    let refused = client.submit(Call::write(set("k", "v")), ms(100));
    client.reply(a, "SERVER_ERROR out of memory\r\n");
    client.outcome(refused).unwrap_err();
    let late = client.submit(Call::write(set("k", "v")), ms(20));
    client.after(ms(20));
    client.outcome(late).unwrap_err();
    let broken = client.submit(Call::write(set("k", "v")), ms(100));
    assert_eq!(client.statistics("a").in_flight, 2, "one of them is only discarded");
    client.hang_up(a);
    client.outcome(broken).unwrap_err();
    let unsent = client.submit(Call::write(set("k", "v")), ms(100));
    client.refuse("a");
    client.outcome(unsent).unwrap_err();

    let figures = client.statistics("a");
    let it = figures.counters;
    assert_eq!((it.sent, it.answered, it.refused), (4, 1, 1));
    assert_eq!((it.timed_out, it.broken, it.not_sent), (1, 1, 1));
    assert_eq!((it.connects, it.connect_failures, it.ejections), (1, 1, 0));
    assert_eq!((figures.in_flight, figures.waiting, figures.connections), (0, 0, 0));
    assert_eq!(it.latency.count(), 2);
    assert_eq!(it.latency.sum(), ms(3));
    assert!(it.latency.percentile(99).is_some_and(|bound| bound >= ms(3) && bound < ms(8)));
}

fn batch(keys: &[&str]) -> Call {
    let mut batch = Batch::new(Dialect::Memcached, &Limits::default());
    for key in keys {
        let get = MetaRequest::new(key.as_bytes(), MetaFlags::new(b"v"));
        batch.push(&Request::MetaGet(get), Bytes::new()).unwrap();
    }
    Call::read(batch.close(Barrier::MetaNoop).unwrap())
}

#[test]
fn a_batch_says_of_each_request_what_it_was_answered() {
    let mut client = Client::new(ClusterOptions::default(), &["a"]);
    let call = client.submit(batch(&["x", "y", "z"]), ms(100));
    let next = client.submit(Call::read(get("k")), ms(100));
    let a = client.accept("a");
    assert_eq!(client.wire(a), "mg x v q O0\r\nmg y v q O1\r\nmg z v q O2\r\nmn\r\nget k\r\n");
    client.reply(a, "VA 1 O0\r\n1\r\nSERVER_ERROR busy\r\nMN\r\nEND\r\n");
    let Answer::Batch(answer) = client.outcome(call).unwrap() else { panic!("no batch") };
    let replies: Vec<_> = answer.replies.iter().map(|(at, it)| (*at, it.code)).collect();
    assert_eq!(replies, [(0, MetaCode::Value)]);
    assert_eq!(answer.errors.len(), 1);
    assert!(client.outcome(next).unwrap().is_miss(), "no error is taken for a later request's");
}

#[test]
fn a_batch_that_breaks_off_is_asked_again_as_a_whole() {
    let mut client = Client::new(ClusterOptions::default(), &["a"]);
    let call = client.submit(batch(&["x", "y"]), ms(100));
    let a = client.accept("a");
    client.reply(a, "VA 1 O0\r\n1\r\n");
    client.hang_up(a);
    let again = client.accept("a");
    client.reply(again, "VA 1 O1\r\n2\r\nMN\r\n");
    let Answer::Batch(answer) = client.outcome(call).unwrap() else { panic!("no batch") };
    let replies: Vec<_> = answer.replies.into_iter().map(|(at, _)| at).collect();
    assert_eq!(replies, [1], "nothing of the first attempt is left");
}
