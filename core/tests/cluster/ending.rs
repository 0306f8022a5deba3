//! Calls that are given up, and clients that shut down.

use windhover_core::client::{Call, CallError, ClusterOptions, NotSent};

use crate::client::{Client, get, ms, set, values};

#[test]
fn a_call_may_be_given_up_at_every_stage() {
    // Before its connection is made.
    let mut client = Client::new(ClusterOptions::default(), &["a"]);
    let call = client.submit(Call::read(get("one")), ms(1000));
    client.cancel(call);
    let a = client.accept("a");
    assert_eq!(client.wire(a), "");
    // Among the bytes that the socket does not take yet, and behind them.
    client.full = true;
    let unwritten = client.submit(Call::read(get("two")), ms(1000));
    let behind = client.submit(Call::read(get("three")), ms(1000));
    client.cancel(unwritten);
    client.cancel(behind);
    client.full = false;
    client.cluster.wrote(a, "get two\r\n".len());
    client.settle();
    let kept = client.submit(Call::read(get("four")), ms(1000));
    // After it was written, and in the middle of its reply.
    let sent = client.submit(Call::read(get("five")), ms(1000));
    let halfway = client.submit(Call::read(get("six")), ms(1000));
    client.cancel(sent);
    assert_eq!(client.wire(a), "get four\r\nget five\r\nget six\r\n");
    client.reply(a, "END\r\nVALUE four 0 1\r\n4\r\nEND\r\n");
    client.reply(a, "VALUE five 0 1\r\n5\r\nEND\r\nVALUE six 0 1\r\n");
    client.cancel(halfway);
    client.reply(a, "6\r\nEND\r\n");
    assert_eq!(values(client.outcome(kept).unwrap()), ["4"]);
    // When it is over.
    client.cancel(kept);
    for call in [call, unwritten, behind, sent, halfway, kept] {
        assert!(!client.is_over(call), "nothing is told of it");
    }
    let last = client.submit(Call::read(get("seven")), ms(1000));
    client.reply(a, "END\r\n");
    assert!(client.outcome(last).is_ok());
    assert_eq!(client.closed, []);
}

#[test]
fn an_old_id_gives_no_newer_call_up() {
    let mut client = Client::new(ClusterOptions::default(), &["a"]);
    let old = client.submit(Call::read(get("k")), ms(1000));
    client.cancel(old);
    let new = client.submit(Call::read(get("k")), ms(1000));
    client.cancel(old);
    let a = client.accept("a");
    client.reply(a, "END\r\n");
    assert!(client.outcome(new).is_ok());
}

#[test]
fn a_deadline_that_has_passed_already_sends_nothing() {
    let mut client = Client::new(ClusterOptions::default(), &["a"]);
    let call = client.submit(Call::write(set("k", "v")), ms(0));
    assert!(client.outcome(call).unwrap_err().had_no_effect());
    assert_eq!(client.pending, []);
}

#[test]
fn shutting_down_answers_what_is_under_way_and_takes_nothing_more() {
    let mut client = Client::new(ClusterOptions::default(), &["a"]);
    let call = client.submit(Call::write(set("k", "v")), ms(1000));
    let a = client.accept("a");
    client.cluster.shut_down();
    client.settle();
    let refused = client.cluster.submit(Call::read(get("k")), client.now + ms(100), client.now);
    let why = NotSent::ShuttingDown;
    assert!(matches!(refused, Err(CallError::NotSent { why: it, .. }) if it == why));
    assert!(client.idle_until.is_some());
    client.reply(a, "STORED\r\n");
    assert!(client.outcome(call).is_ok());
    assert_eq!((&client.closed[..], client.idle_until), (&[a][..], None));
}

#[test]
fn shutting_down_ends_with_the_last_deadline_whatever_the_servers_do() {
    let mut client = Client::new(ClusterOptions::default(), &["a", "b"]);
    client.eject("b");
    let call = client.submit(Call::write(set(&client.key_of("a"), "v")), ms(300));
    client.cluster.shut_down();
    client.after(ms(300));
    assert!(client.is_over(call));
    assert_eq!(client.idle_until, None);
    assert_eq!(client.pending, []);
}

#[test]
fn an_idle_client_is_closed_at_once() {
    let mut client = Client::new(ClusterOptions::default(), &["a"]);
    client.cluster.shut_down();
    client.settle();
    assert_eq!(client.idle_until, None);
}

#[test]
fn aborting_ends_every_call_with_what_is_known_of_it() {
    let mut client = Client::new(ClusterOptions::default(), &["a", "b"]);
    let (key_a, key_b) = (client.key_of("a"), client.key_of("b"));
    let sent = client.submit(Call::read(get(&key_a)), ms(1000));
    let a = client.accept("a");
    let waiting = client.submit(Call::read(get(&key_b)), ms(1000));
    client.cluster.abort(client.now);
    client.settle();
    assert!(!client.outcome(sent).unwrap_err().had_no_effect());
    assert!(client.outcome(waiting).unwrap_err().had_no_effect());
    assert!(client.closed.contains(&a));
    assert_eq!((client.idle_until, client.pending.len()), (None, 0));
}
