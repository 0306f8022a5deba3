//! Attempts that fail: what is tried next, until when, and what the caller is told.

use windhover_core::client::{
    Call, CallError, ClusterOptions, ConnectFailure, NotSent, Retry, RetryLimit,
};
use windhover_core::memcache::{End, Reason};

use crate::client::{Client, get, ms, not_sent, put, set, unknown, values};

fn at_least_once(value: &str) -> Call {
    let mut call = Call::enqueue(put(value));
    call.retry = Retry::AtLeastOnce;
    call
}

#[test]
fn an_item_goes_to_another_queue_at_once_when_one_cannot_be_reached() {
    let mut client = Client::new(ClusterOptions::queues(), &["a", "b"]);
    let began = client.now;
    let call = client.submit(Call::enqueue(put("x")), ms(1000));
    client.refuse("a");
    let b = client.accept("b");
    client.reply(b, "STORED\r\n");
    assert_eq!(client.ended_at(call), began, "nothing was waited for");
    assert!(client.outcome(call).is_ok());
}

#[test]
fn every_server_is_tried_before_an_item_is_given_up() {
    let servers = ["a", "b", "c", "d", "e", "f"];
    let mut client = Client::new(ClusterOptions::queues(), &servers);
    let call = client.submit(Call::enqueue(put("x")), ms(1000));
    for server in &servers[..5] {
        client.refuse(server);
    }
    let f = client.accept("f");
    client.reply(f, "STORED\r\n");
    assert!(client.outcome(call).is_ok(), "attempts that were never sent do not count");
}

#[test]
fn a_server_that_does_not_accept_is_left_after_the_attempt_timeout() {
    let mut client = Client::new(ClusterOptions::queues(), &["a", "b"]);
    let call = client.submit(Call::enqueue(put("x")), ms(1000));
    client.after(ms(249));
    assert_eq!(client.pending.len(), 1);
    client.after(ms(1));
    let b = client.accept("b");
    client.reply(b, "STORED\r\n");
    assert!(client.outcome(call).is_ok());
    client.after(ms(250));
    let counters = client.statistics("a").counters;
    assert_eq!((counters.connect_failures, counters.not_sent), (1, 1), "the connect timed out");
    assert_eq!(client.closed.len(), 1);
}

#[test]
fn what_has_left_is_waited_for_to_the_end_unless_it_may_be_done_twice() {
    let mut client = Client::new(ClusterOptions::queues(), &["a", "b"]);
    let once = client.submit(Call::enqueue(put("x")), ms(1000));
    let a = client.accept("a");
    client.after(ms(900));
    assert!(!client.is_over(once), "another server is no use: it may have been done");
    client.reply(a, "STORED\r\n");
    assert!(client.outcome(once).is_ok());

    client.submit(Call::enqueue(put("filler")), ms(1000));
    let b = client.accept("b");
    client.reply(b, "STORED\r\n");
    let twice = client.submit(at_least_once("y"), ms(1000));
    client.after(ms(250));
    client.reply(b, "STORED\r\n");
    assert!(client.outcome(twice).is_ok());
    assert_eq!(client.statistics("b").counters.retries, 1);
}

#[test]
fn no_retry_goes_past_the_deadline() {
    let mut options = ClusterOptions::queues();
    options.attempts = 9;
    let mut client = Client::new(options, &["a", "b", "c"]);
    let began = client.now;
    let call = client.submit(at_least_once("x"), ms(600));
    client.accept("a");
    client.after(ms(250));
    client.accept("b");
    client.after(ms(250));
    client.accept("c");
    client.after(ms(500));
    assert_eq!(client.ended_at(call), began + ms(600));
    assert_eq!(unknown(client.outcome(call)), Reason::Deadline);
}

#[test]
fn the_last_server_is_waited_for_until_the_deadline() {
    let mut client = Client::new(ClusterOptions::queues(), &["a", "b"]);
    let began = client.now;
    let call = client.submit(at_least_once("x"), ms(1000));
    client.accept("a");
    client.after(ms(250));
    let b = client.accept("b");
    client.after(ms(700));
    client.reply(b, "STORED\r\n");
    assert_eq!(client.ended_at(call), began + ms(950));
}

#[test]
fn what_may_have_been_done_stays_so_whatever_comes_later() {
    let mut client = Client::new(ClusterOptions::queues(), &["a", "b", "c"]);
    let call = client.submit(at_least_once("x"), ms(2000));
    let a = client.accept("a");
    client.hang_up(a);
    // The second one refuses to connect, the third one refuses the item.
    client.refuse("b");
    let c = client.accept("c");
    client.reply(c, "SERVER_ERROR full\r\n");
    client.after(ms(2000));
    assert_eq!(unknown(client.outcome(call)), Reason::End(End::EndOfStream));
}

#[test]
fn a_call_that_is_never_repeated_is_not_even_when_it_was_not_sent() {
    let mut client = Client::new(ClusterOptions::queues(), &["a", "b"]);
    let mut call = Call::enqueue(put("x"));
    call.retry = Retry::Never;
    let call = client.submit(call, ms(1000));
    client.refuse("a");
    assert_eq!(not_sent(client.outcome(call)), NotSent::Connect(ConnectFailure::Refused));
}

#[test]
fn retries_end_with_their_budget() {
    let mut options = ClusterOptions::default();
    options.retries = RetryLimit::new(0, 1);
    options.health.failures = 100;
    let mut client = Client::new(options, &["a"]);
    let mut answered = 0;
    for n in 0..5 {
        let call = client.submit(Call::read(get("k")), ms(1000));
        let first = client.accept("a");
        client.hang_up(first);
        if client.is_over(call) {
            assert!(matches!(unknown(client.outcome(call)), Reason::End(_)));
        } else {
            let second = client.accept("a");
            client.reply(second, "END\r\n");
            assert!(client.outcome(call).is_ok());
            answered += 1;
            client.hang_up(second);
        }
        assert!(answered <= 1, "call {n}");
    }
    assert_eq!(answered, 1);
}

#[test]
fn an_attempt_that_was_behind_on_a_connection_that_broke_is_not_sent() {
    let mut client = Client::new(ClusterOptions::default(), &["a"]);
    let first = client.submit(Call::write(set("k", "1")), ms(1000));
    let a = client.accept("a");
    client.full = true;
    let second = client.submit(Call::write(set("k", "2")), ms(1000));
    client.cluster.broke(a, None);
    client.full = false;
    client.settle();
    assert!(matches!(unknown(client.outcome(first)), Reason::End(End::Broken { os: None })));
    // It had not left: it goes on another connection.
    let again = client.accept("a");
    assert_eq!(client.wire(again), "set k 0 0 1\r\n2\r\n");
    client.reply(again, "STORED\r\n");
    assert!(client.outcome(second).is_ok());
}

#[test]
fn what_a_reply_brought_before_it_broke_off_is_told() {
    let mut client = Client::new(ClusterOptions::default(), &["a"]);
    let mut call = Call::read(get("k"));
    call.retry = Retry::IfNotSent;
    let call = client.submit(call, ms(1000));
    let a = client.accept("a");
    client.reply(a, "VALUE k 0 2\r\nhi\r\nEN");
    client.hang_up(a);
    match client.outcome(call) {
        Err(CallError::Unknown { found, .. }) => {
            assert_eq!(values(windhover_core::client::Answer::Items(found.into())), ["hi"]);
        }
        other => panic!("{other:?}"),
    }
}
