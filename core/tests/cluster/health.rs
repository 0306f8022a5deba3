//! Servers that are taken out of use, and come back.

use windhover_core::client::{
    Backoff, Call, ClusterEvent, ClusterOptions, HealthOptions, NotSent, ServerState,
};
use windhover_core::memcache::Reason;
use windhover_core::memcache::kestrel::ReadMode;

use crate::client::{Client, get, ms, not_sent, put, read, unknown};

fn state(client: &Client, server: &str) -> ServerState {
    client.cluster.state(client.id(server)).unwrap()
}

#[test]
fn failures_in_a_row_take_a_server_out_and_a_probe_brings_it_back() {
    let mut client = Client::new(ClusterOptions::default(), &["a", "b"]);
    client.eject("a");
    assert_eq!(state(&client, "a"), ServerState::Ejected);
    let key = client.key_of("a");
    let call = client.submit(Call::read(get(&key)), ms(100));
    assert_eq!(not_sent(client.outcome(call)), NotSent::Ejected);

    client.after(ms(100));
    assert_eq!(state(&client, "a"), ServerState::Probing);
    let probe = client.accept("a");
    assert_eq!(client.wire(probe), "version\r\n");
    client.reply(probe, "VERSION 1.6\r\n");
    assert_eq!(client.events, [ClusterEvent::Restored { server: client.id("a") }]);
    let call = client.submit(Call::read(get(&key)), ms(100));
    client.reply(probe, "END\r\n");
    assert!(client.outcome(call).is_ok(), "the probe's connection goes on to serve");
}

#[test]
fn a_probe_that_fails_is_followed_by_another_later() {
    let mut options = ClusterOptions::default();
    options.health.backoff = Backoff::new(ms(100), ms(800));
    let mut client = Client::new(options, &["a", "b"]);
    client.eject("a");
    let mut waits = Vec::new();
    for probe in 0..40 {
        let since = client.now;
        while client.pending.is_empty() {
            client.after(ms(1));
        }
        waits.push(client.now.saturating_since(since));
        match probe % 3 {
            0 => client.refuse("a"),
            // It accepts and says nothing.
            1 => {
                client.accept("a");
                client.after(ms(250));
            }
            _ => {
                let probe = client.accept("a");
                client.hang_up(probe);
            }
        }
        assert_eq!(state(&client, "a"), ServerState::Ejected, "after probe {probe}");
    }
    assert!(waits.iter().all(|wait| *wait <= ms(800)), "{waits:?}");
    assert!(waits.iter().any(|wait| *wait > ms(400)), "it grows: {waits:?}");
    assert_eq!(client.statistics("a").counters.ejections, 1);
    assert_eq!(client.events, []);
}

#[test]
fn calls_from_before_neither_end_nor_pass_a_probe() {
    let mut client = Client::new(ClusterOptions::default(), &["a", "b"]);
    let key = client.key_of("a");
    let old = client.submit(Call::read(get(&key)), ms(5000));
    let late = client.submit(Call::read(get(&key)), ms(350));
    let a = client.accept("a");
    for _ in 0..3 {
        let call = client.submit(Call::read(get(&key)), ms(60));
        client.after(ms(60));
        client.outcome(call).unwrap_err();
    }
    assert_eq!(state(&client, "a"), ServerState::Ejected);
    client.after(ms(80));
    if state(&client, "a") == ServerState::Ejected {
        client.after(ms(40));
    }
    assert_eq!(state(&client, "a"), ServerState::Probing);
    client.after(ms(100));
    client.outcome(late).unwrap_err();
    assert_eq!(state(&client, "a"), ServerState::Probing, "an old call's end says nothing");
    client.reply(a, "END\r\n");
    assert!(client.outcome(old).is_ok());
    assert_eq!(state(&client, "a"), ServerState::Probing, "an old call's answer neither");
    let probe = client.accept("a");
    client.reply(probe, "VERSION 1\r\n");
    assert_eq!(state(&client, "a"), ServerState::Healthy);
    assert_eq!(client.events.last(), Some(&ClusterEvent::Restored { server: client.id("a") }));
}

#[test]
fn a_server_that_accepts_and_says_nothing_is_taken_out() {
    let mut client = Client::new(ClusterOptions::default(), &["a", "b"]);
    let key = client.key_of("a");
    // The first call also waits for its connection: what counts is the silence after it.
    for n in 0..3 {
        let call = client.submit(Call::read(get(&key)), ms(100));
        if n == 0 {
            client.after(ms(10));
            client.accept("a");
        }
        client.after(ms(100));
        assert_eq!(unknown(client.outcome(call)), Reason::Deadline);
    }
    assert_eq!(state(&client, "a"), ServerState::Ejected);
}

#[test]
fn a_hung_queue_is_taken_out_by_reads_that_each_have_a_connection() {
    let mut options = ClusterOptions::queues();
    options.attempts = 1;
    let mut client = Client::new(options, &["a", "b"]);
    for _ in 0..6 {
        let call = client.submit(Call::reserve(read(ReadMode::Open, None)), ms(100));
        let (_, server) = client.pending[0];
        if server == client.id("a") {
            client.after(ms(1));
            client.accept("a");
            client.after(ms(100));
        } else {
            let b = client.accept("b");
            client.reply(b, "END\r\n");
            client.hang_up(b);
        }
        assert!(client.is_over(call));
    }
    assert_eq!(state(&client, "a"), ServerState::Ejected);
    assert_eq!(state(&client, "b"), ServerState::Healthy);
}

#[test]
fn a_blocking_read_that_finds_nothing_in_time_is_no_sign_of_a_fault() {
    let mut client = Client::new(ClusterOptions::queues(), &["a", "b"]);
    for _ in 0..8 {
        let blocking = read(ReadMode::Open, Some(ms(2000)));
        let call = client.submit(Call::reserve(blocking), ms(500));
        let server = if client.pending[0].1 == client.id("a") { "a" } else { "b" };
        client.accept(server);
        client.after(ms(500));
        assert_eq!(unknown(client.outcome(call)), Reason::Deadline);
    }
    assert_eq!([state(&client, "a"), state(&client, "b")], [ServerState::Healthy; 2]);
}

#[test]
fn an_impatient_caller_takes_no_server_out_and_fails_no_neighbour() {
    let mut client = Client::new(ClusterOptions::default(), &["a"]);
    let neighbour = client.submit(Call::read(get("k")), ms(1000));
    let a = client.accept("a");
    for _ in 0..20 {
        let call = client.submit(Call::read(get("k")), ms(1));
        client.after(ms(1));
        assert_eq!(unknown(client.outcome(call)), Reason::Deadline);
    }
    assert_eq!(state(&client, "a"), ServerState::Healthy);
    client.reply(a, "VALUE k 0 1\r\n0\r\nEND\r\n");
    assert!(client.outcome(neighbour).is_ok());
    let next = client.submit(Call::read(get("k")), ms(1000));
    // The late replies are discarded, each in its place.
    client.reply(a, &"END\r\n".repeat(20));
    assert!(!client.is_over(next));
    client.reply(a, "VALUE k 0 1\r\n1\r\nEND\r\n");
    assert_eq!(crate::client::values(client.outcome(next).unwrap()), ["1"]);
}

#[test]
fn a_busy_connection_that_hears_nothing_is_given_up() {
    let mut options = ClusterOptions::default();
    options.health = HealthOptions::default();
    let mut client = Client::new(options, &["a"]);
    let first = client.submit(Call::read(get("k")), ms(5000));
    let a = client.accept("a");
    // New requests are no word from the server.
    for _ in 0..30 {
        let call = client.submit(Call::read(get("k")), ms(20));
        client.after(ms(100));
        client.outcome(call).unwrap_err();
    }
    assert!(client.closed.contains(&a));
    client.cancel(first);
}

#[test]
fn the_last_queue_stays_in_use_and_is_tried_again_and_again() {
    let mut client = Client::new(ClusterOptions::queues(), &["a", "b"]);
    for _ in 0..20 {
        client.submit(Call::enqueue(put("x")), ms(50));
        while let Some(&(_, server)) = client.pending.first() {
            let name = client.cluster.server(server).unwrap().name.to_string();
            client.refuse(&name);
        }
        client.after(ms(50));
    }
    let states = ["a", "b"].map(|server| state(&client, server));
    assert_eq!(states.iter().filter(|it| **it == ServerState::Healthy).count(), 1, "{states:?}");
    // It is back: a call finds it within the longest wait, without any probe.
    client.after(ms(5000));
    while let Some(&(_, server)) = client.pending.first() {
        let name = client.cluster.server(server).unwrap().name.to_string();
        client.refuse(&name);
    }
    let healthy = if states[0] == ServerState::Healthy { "a" } else { "b" };
    client.after(ms(5000));
    let call = client.submit(Call::enqueue(put("y")), ms(1000));
    let connection = client.accept(healthy);
    let connection = if client.wire(connection).starts_with("version") {
        client.accept(healthy)
    } else {
        connection
    };
    client.reply(connection, "STORED\r\n");
    assert!(client.outcome(call).is_ok());
}

#[test]
fn connects_that_fail_leave_the_connections_that_work_in_use() {
    let mut options = ClusterOptions::queues();
    options.health.failures = 2;
    let mut client = Client::new(options, &["a"]);
    let call = client.submit(Call::enqueue(put("x")), ms(1000));
    let shared = client.accept("a");
    client.reply(shared, "STORED\r\n");
    client.outcome(call).unwrap();
    // The server has no more file descriptors, say.
    for _ in 0..4 {
        let call = client.submit(Call::reserve(read(ReadMode::Open, None)), ms(1000));
        if !client.pending.is_empty() {
            client.refuse("a");
        }
        client.outcome(call).unwrap_err();
    }
    let call = client.submit(Call::enqueue(put("y")), ms(1000));
    client.reply(shared, "STORED\r\n");
    assert!(client.outcome(call).is_ok());
}

#[test]
fn calls_that_run_late_together_count_once() {
    let mut options = ClusterOptions::default();
    options.attempts = 1;
    let mut client = Client::new(options, &["a"]);
    let first = client.submit(Call::read(get("k")), ms(1000));
    let a = client.accept("a");
    client.reply(a, "END\r\n");
    client.outcome(first).unwrap();
    let calls: Vec<_> = (0..10)
        .map(|_| {
            client.after(ms(5));
            client.submit(Call::read(get("k")), ms(100))
        })
        .collect();
    client.after(ms(100));
    for call in calls {
        assert_eq!(unknown(client.outcome(call)), Reason::Deadline);
    }
    assert_eq!(state(&client, "a"), ServerState::Healthy);
    // The connection ends for the same reason.
    client.after(ms(1800));
    assert!(!client.closed.contains(&a));
    client.after(ms(60));
    assert!(client.closed.contains(&a));
    assert_eq!(state(&client, "a"), ServerState::Healthy);
    // That was one failure: the second and the third one follow.
    for expected in [ServerState::Healthy, ServerState::Ejected] {
        let call = client.submit(Call::read(get("k")), ms(100));
        if !client.pending.is_empty() {
            client.accept("a");
        }
        client.after(ms(100));
        client.outcome(call).unwrap_err();
        assert_eq!(state(&client, "a"), expected);
    }
}

#[test]
fn an_answer_in_between_ends_a_row() {
    let mut options = ClusterOptions::default();
    options.attempts = 1;
    let mut client = Client::new(options, &["a"]);
    let mut a = None;
    for n in 0..9 {
        let late = client.submit(Call::read(get("k")), ms(100));
        let a = *a.get_or_insert_with(|| client.accept("a"));
        client.after(ms(100));
        client.outcome(late).unwrap_err();
        if n % 2 == 1 {
            let call = client.submit(Call::read(get("k")), ms(100));
            client.reply(a, "END\r\nEND\r\nEND\r\n");
            client.outcome(call).unwrap();
        }
    }
    assert_eq!(state(&client, "a"), ServerState::Healthy);
}

#[test]
fn a_server_that_trickles_is_taken_out_by_calls_that_nobody_answers() {
    let mut options = ClusterOptions::default();
    options.attempts = 1;
    let mut client = Client::new(options, &["a"]);
    let mut a = None;
    for _ in 0..3 {
        assert_eq!(state(&client, "a"), ServerState::Healthy);
        let call = client.submit(Call::read(get("k")), ms(1000));
        let a = *a.get_or_insert_with(|| {
            let a = client.accept("a");
            client.reply(a, "VALUE k 0 1000\r\n");
            a
        });
        for _ in 0..10 {
            client.reply(a, "x");
            client.after(ms(100));
        }
        assert_eq!(unknown(client.outcome(call)), Reason::Deadline);
    }
    assert_eq!(state(&client, "a"), ServerState::Ejected);
}
