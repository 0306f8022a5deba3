//! Connections: made, shared, replaced, let in, and limited.

use windhover_core::client::{
    Call, ClusterError, ClusterOptions, ConnectFailure, Credentials, NotSent, ServerState,
};
use windhover_core::memcache::{Dialect, End, Reason};

use crate::client::{Client, get, ms, not_sent, set, unknown};

#[test]
fn calls_share_a_connection_and_leave_in_their_order() {
    let mut client = Client::new(ClusterOptions::default(), &["a"]);
    let calls = ["1", "2", "3"].map(|value| client.submit(Call::write(set("k", value)), ms(100)));
    assert_eq!(client.pending.len(), 1);
    let a = client.accept("a");
    assert_eq!(client.wire(a), "set k 0 0 1\r\n1\r\nset k 0 0 1\r\n2\r\nset k 0 0 1\r\n3\r\n");
    client.reply(a, "STORED\r\nSTO");
    assert_eq!(calls.map(|call| client.is_over(call)), [true, false, false]);
    client.reply(a, "RED\r\nSTORED\r\n");
    assert_eq!(calls.map(|call| client.is_over(call)), [true; 3]);
}

#[test]
fn more_connections_are_made_while_one_is_busy() {
    let mut options = ClusterOptions::default();
    options.connections = 2;
    let mut client = Client::new(options, &["a"]);
    client.submit(Call::read(get("k")), ms(1000));
    let first = client.accept("a");
    client.submit(Call::read(get("k")), ms(1000));
    let second = client.accept("a");
    client.submit(Call::read(get("k")), ms(1000));
    assert_eq!(client.pending, []);
    assert_eq!(client.wire(first).len() + client.wire(second).len(), 3 * "get k\r\n".len());
    assert_ne!(client.wire(second), "get k\r\nget k\r\nget k\r\n");
}

#[test]
fn a_full_pipeline_makes_calls_wait_and_late_replies_make_room() {
    let mut options = ClusterOptions::default();
    options.limits.pipeline = 2;
    let mut client = Client::new(options, &["a"]);
    let impatient = [(); 2].map(|()| client.submit(Call::read(get("k")), ms(10)));
    let a = client.accept("a");
    let third = client.submit(Call::read(get("k")), ms(1000));
    assert_eq!(client.statistics("a").waiting, 1);
    client.after(ms(10));
    assert_eq!(impatient.map(|call| client.is_over(call)), [true; 2]);
    client.wire(a);
    // Nobody waits for this reply; its place is free now all the same.
    client.reply(a, "END\r\n");
    assert_eq!(client.wire(a), "get k\r\n");
    client.reply(a, "END\r\nEND\r\n");
    assert!(client.outcome(third).is_ok());
    assert_eq!(client.statistics("a").waiting, 0);
}

#[test]
fn calls_that_gave_up_waiting_leave_the_line() {
    let mut client = Client::new(ClusterOptions::default(), &["a"]);
    for _ in 0..10 {
        client.submit(Call::read(get("k")), ms(5));
    }
    let patient = client.submit(Call::read(get("k")), ms(100));
    assert_eq!(client.statistics("a").waiting, 11);
    client.after(ms(5));
    assert_eq!(client.statistics("a").waiting, 1);
    let a = client.accept("a");
    assert_eq!(client.wire(a), "get k\r\n");
    client.reply(a, "END\r\n");
    assert!(client.outcome(patient).is_ok());
}

#[test]
fn connections_opened_in_advance_are_there_before_the_first_call() {
    let mut options = ClusterOptions::default();
    (options.opened_in_advance, options.connections) = (2, 2);
    let mut client = Client::new(options, &["a"]);
    assert_eq!(client.pending.len(), 2);
    let first = client.accept("a");
    client.accept("a");
    let call = client.submit(Call::read(get("k")), ms(100));
    client.reply(first, "END\r\n");
    assert!(client.outcome(call).is_ok());
    // One that was of use is made again when the server closes it.
    client.hang_up(first);
    assert_eq!(client.pending.len(), 1);
}

#[test]
fn a_server_that_closes_what_it_accepts_is_not_connected_to_in_a_loop() {
    let mut options = ClusterOptions::default();
    options.opened_in_advance = 1;
    let mut client = Client::new(options, &["a"]);
    let early = client.accept("a");
    client.hang_up(early);
    assert_eq!(client.pending, []);
}

#[test]
fn an_old_connection_serves_until_its_successor_is_there() {
    let mut options = ClusterOptions::default();
    options.max_age = Some(ms(1000));
    let mut client = Client::new(options, &["a"]);
    let call = client.submit(Call::read(get("k")), ms(100));
    let old = client.accept("a");
    client.reply(old, "END\r\n");
    client.outcome(call).unwrap();
    client.after(ms(899));
    assert_eq!(client.pending, []);
    client.after(ms(101));
    assert_eq!(client.pending.len(), 1);
    client.wire(old);
    let under_way = client.submit(Call::read(get("k")), ms(1000));
    assert_eq!(client.wire(old), "get k\r\n");
    let new = client.accept("a");
    let next = client.submit(Call::read(get("k")), ms(1000));
    assert_eq!(client.wire(new), "get k\r\n");
    client.reply(old, "END\r\n");
    assert!(client.outcome(under_way).is_ok());
    assert_eq!(client.closed, [old]);
    client.reply(new, "END\r\n");
    assert!(client.outcome(next).is_ok());
    assert_eq!(client.statistics("a").counters.broken, 0);
}

#[test]
fn an_old_connection_stays_when_it_cannot_be_replaced() {
    let mut options = ClusterOptions::default();
    options.max_age = Some(ms(1000));
    let mut client = Client::new(options, &["a"]);
    let call = client.submit(Call::read(get("k")), ms(100));
    let old = client.accept("a");
    client.reply(old, "END\r\n");
    client.outcome(call).unwrap();
    client.after(ms(1000));
    client.refuse("a");
    let call = client.submit(Call::read(get("k")), ms(100));
    client.reply(old, "END\r\n");
    assert!(client.outcome(call).is_ok());
    client.after(ms(1000));
    client.accept("a");
    assert_eq!(client.closed, [old]);
}

#[test]
fn an_old_connection_that_was_never_used_is_closed() {
    let mut options = ClusterOptions::default();
    options.max_age = Some(ms(1000));
    let mut client = Client::new(options, &["a"]);
    let call = client.submit(Call::read(get("k")), ms(100));
    client.after(ms(100));
    client.outcome(call).unwrap_err();
    let unused = client.accept("a");
    client.after(ms(1000));
    assert_eq!((&client.closed[..], client.pending.len()), (&[unused][..], 0));
}

fn with_credentials() -> Client {
    let mut options = ClusterOptions::default();
    options.credentials = Some(Credentials { user: "me".into(), password: "secret".into() });
    Client::new(options, &["a", "b"])
}

#[test]
fn credentials_come_first_and_nothing_is_sent_before_they_are_accepted() {
    let mut client = with_credentials();
    let key = client.key_of("a");
    let call = client.submit(Call::read(get(&key)), ms(100));
    let a = client.accept("a");
    assert!(client.wire(a).ends_with("9\r\nme secret\r\n"));
    client.after(ms(10));
    assert_eq!(client.wire(a), "");
    client.reply(a, "STORED\r\n");
    assert_eq!(client.wire(a), format!("get {key}\r\n"));
    client.reply(a, "END\r\n");
    assert!(client.outcome(call).is_ok());
}

#[test]
fn credentials_that_are_refused_or_not_answered_are_a_failed_connect() {
    for why in [ConnectFailure::Unauthenticated, ConnectFailure::TimedOut, ConnectFailure::Other] {
        let mut client = with_credentials();
        let key = client.key_of("a");
        let call = client.submit(Call::read(get(&key)), ms(900));
        let a = client.accept("a");
        match why {
            ConnectFailure::Unauthenticated => {
                client.reply(a, "CLIENT_ERROR authentication failure\r\n");
            }
            ConnectFailure::TimedOut => client.after(ms(500)),
            _ => client.hang_up(a),
        }
        assert_eq!(not_sent(client.outcome(call)), NotSent::Connect(why));
        assert_eq!(client.closed, [a]);
        assert_eq!(client.statistics("a").counters.connect_failures, 1);
    }
}

#[test]
fn probes_need_credentials_too() {
    let mut client = with_credentials();
    client.eject("a");
    client.after(ms(100));
    let probe = client.accept("a");
    client.reply(probe, "STORED\r\n");
    assert!(client.wire(probe).ends_with("version\r\n"));
    // It says so and closes: nobody is there to ask again but the probe itself.
    client.hang_up(probe);
    assert_ne!(client.cluster.state(client.id("a")), Some(ServerState::Probing));
    client.after(ms(1000));
    assert_eq!(client.pending.len(), 1);
}

#[test]
fn a_probe_that_is_let_in_and_turned_out_at_once_has_failed() {
    let mut client = with_credentials();
    client.eject("a");
    client.after(ms(100));
    let probe = client.accept("a");
    // Both come before anything is looked at: nothing can be asked on it any more.
    client.cluster.receive(probe, b"STORED\r\n");
    client.hang_up(probe);
    assert_eq!(client.cluster.state(client.id("a")), Some(ServerState::Ejected));
    client.after(ms(1000));
    assert_eq!(client.pending.len(), 1, "it is probed again");
}

#[test]
fn credentials_that_cannot_be_sent_are_told_at_once() {
    let mut options = ClusterOptions::default();
    options.credentials = Some(Credentials { user: "m e".into(), password: "x".into() });
    let now = windhover_core::Instant::default();
    let made = windhover_core::client::Cluster::new(&[], options.clone(), 1, now);
    assert!(matches!(made, Err(ClusterError::Credentials(_))));
    options.dialect = Dialect::Kestrel;
    assert!(windhover_core::client::Cluster::new(&[], options, 1, now).is_err());
}

#[test]
fn a_reply_that_is_not_one_spends_the_connection_and_the_next_call_has_its_own() {
    let mut client = Client::new(ClusterOptions::default(), &["a"]);
    let write = client.submit(Call::write(set("k", "v")), ms(100));
    let a = client.accept("a");
    client.reply(a, "HTTP/1.1 400 Bad Request\r\n");
    assert!(matches!(unknown(client.outcome(write)), Reason::End(End::Malformed(_))));
    let next = client.submit(Call::write(set("k", "v")), ms(100));
    let b = client.accept("a");
    client.reply(b, "STORED\r\n");
    assert!(client.outcome(next).is_ok());
    assert_eq!(client.closed, [a]);
}
