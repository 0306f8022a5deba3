//! Reads that ask a second server while the first one is slow.

use windhover_core::client::{Call, CallId, ClusterOptions, ConnectionId, RetryLimit};
use windhover_core::memcache::Reason;

use crate::client::{Client, get, ms, unknown, values};

/// A hedged read that was sent to both servers, with the owner's and the other's connection.
fn hedged(failover: bool) -> (Client, CallId, String, ConnectionId, ConnectionId) {
    let mut options = ClusterOptions::default();
    options.hedge = Some(ms(20));
    let mut client = Client::new(options, &["a", "b"]);
    let key = client.key_of("a");
    let mut call = Call::read(get(&key));
    call.hedged = true;
    call.failover = failover;
    let call = client.submit(call, ms(200));
    let owner = client.accept("a");
    client.after(ms(19));
    assert_eq!(client.pending, []);
    client.after(ms(1));
    let other = client.accept("b");
    assert_eq!(client.wire(other), format!("get {key}\r\n"));
    (client, call, key, owner, other)
}

fn hit(key: &str, value: &str) -> String {
    format!("VALUE {key} 0 {}\r\n{value}\r\nEND\r\n", value.len())
}

#[test]
fn the_first_hit_wins_whoever_has_it() {
    for owner_first in [true, false] {
        let (mut client, call, key, owner, other) = hedged(false);
        let (first, second) = if owner_first { (owner, other) } else { (other, owner) };
        client.reply(first, &hit(&key, "first"));
        assert_eq!(values(client.outcome(call).unwrap()), ["first"]);
        // The other one's late reply is discarded.
        client.reply(second, &hit(&key, "second"));
        assert_eq!(client.closed, []);
        assert_eq!(client.statistics("b").counters.hedges, 1);
    }
}

#[test]
fn the_misses_of_others_do_not_beat_the_owner() {
    for failover in [false, true] {
        let (mut client, call, key, owner, other) = hedged(failover);
        client.reply(other, "END\r\n");
        assert!(!client.is_over(call));
        client.reply(owner, &hit(&key, "here"));
        assert_eq!(values(client.outcome(call).unwrap()), ["here"]);
    }
}

#[test]
fn the_owners_miss_is_an_answer() {
    let (mut client, call, _, owner, _) = hedged(false);
    client.reply(owner, "END\r\n");
    assert!(client.outcome(call).unwrap().is_miss());
}

#[test]
fn an_owner_that_fails_is_no_miss_unless_others_may_answer_for_it() {
    for failover in [false, true] {
        let (mut client, call, _, _, other) = hedged(failover);
        client.reply(other, "END\r\n");
        client.after(ms(200));
        if failover {
            assert!(client.outcome(call).unwrap().is_miss());
        } else {
            assert_eq!(unknown(client.outcome(call)), Reason::Deadline);
        }
    }
}

#[test]
fn an_owner_that_has_failed_before_the_others_miss_is_asked_again() {
    let (mut client, call, key, owner, other) = hedged(false);
    client.hang_up(owner);
    assert!(!client.is_over(call), "the hedge is under way");
    client.reply(other, "END\r\n");
    let owner = client.accept("a");
    client.reply(owner, &hit(&key, "still here"));
    assert_eq!(values(client.outcome(call).unwrap()), ["still here"]);
}

#[test]
fn an_owner_that_was_never_asked_is_no_miss_whoever_may_answer_for_it() {
    for (failover, other_first) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut options = ClusterOptions::default();
        options.hedge = Some(ms(20));
        let mut client = Client::new(options, &["a", "b"]);
        let mut call = Call::read(get(&client.key_of("a")));
        call.hedged = true;
        call.failover = failover;
        let call = client.submit(call, ms(200));
        client.after(ms(20));
        let other = client.accept("b");
        if other_first {
            client.reply(other, "END\r\n");
            assert!(!client.is_over(call));
            client.refuse("a");
        } else {
            client.refuse("a");
            assert!(!client.is_over(call));
            client.reply(other, "END\r\n");
        }
        let told = client.outcome(call);
        assert_eq!(unknown(told), Reason::NotTheOwner, "{failover} {other_first}");
    }
}

#[test]
fn a_quick_answer_a_spent_budget_and_a_lone_server_hedge_nothing() {
    let mut options = ClusterOptions::default();
    options.hedge = Some(ms(20));
    options.retries = RetryLimit::new(0, 0);
    let mut client = Client::new(options.clone(), &["a", "b"]);
    let mut read = Call::read(get(&client.key_of("a")));
    read.hedged = true;
    let call = client.submit(read.clone(), ms(200));
    let a = client.accept("a");
    client.after(ms(100));
    assert_eq!(client.pending, [], "the budget allows none");
    client.reply(a, "END\r\n");
    client.outcome(call).unwrap();

    options.retries = RetryLimit::default();
    let mut client = Client::new(options.clone(), &["a", "b"]);
    let call = client.submit(read.clone(), ms(200));
    let a = client.accept("a");
    client.reply(a, "END\r\n");
    client.after(ms(100));
    assert_eq!((client.is_over(call), client.pending.len()), (true, 0));

    let mut client = Client::new(options, &["a"]);
    client.submit(read, ms(200));
    client.accept("a");
    client.after(ms(100));
    assert_eq!(client.pending, []);
}
