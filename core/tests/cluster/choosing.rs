//! Which server is asked.

use std::collections::BTreeMap;

use windhover_core::client::{Call, ClusterOptions, NotSent, Rotation, Server};
use windhover_core::memcache::kestrel::ReadMode;
use windhover_core::memcache::request::Request;
use windhover_core::memcache::response::Kind;
use windhover_core::memcache::{Dialect, Reason};

use crate::client::{Client, get, ms, not_sent, prepare, put, read, set, unknown, values};

#[test]
fn a_key_finds_its_owner() {
    let mut client = Client::new(ClusterOptions::default(), &["a", "b", "c"]);
    for server in ["a", "b", "c"] {
        let key = client.key_of(server);
        let call = client.submit(Call::read(get(&key)), ms(100));
        let connection = client.accept(server);
        assert_eq!(client.wire(connection), format!("get {key}\r\n"));
        client.reply(connection, &format!("VALUE {key} 0 2\r\nhi\r\nEND\r\n"));
        assert_eq!(values(client.outcome(call).unwrap()), ["hi"]);
    }
}

#[test]
fn queues_are_used_in_turn() {
    let mut client = Client::new(ClusterOptions::queues(), &["a", "b", "c"]);
    let calls: Vec<_> =
        (0..6).map(|n| client.submit(Call::enqueue(put(&n.to_string())), ms(100))).collect();
    for server in ["a", "b", "c"] {
        let connection = client.accept(server);
        assert_eq!(client.wire(connection).matches("set jobs").count(), 2);
        client.reply(connection, "STORED\r\nSTORED\r\n");
    }
    assert!(calls.into_iter().all(|call| client.outcome(call).is_ok()));
}

#[test]
fn at_random_the_neighbour_of_a_server_that_is_out_gets_no_double_share() {
    let mut options = ClusterOptions::queues();
    options.rotation = Rotation::Random;
    let mut client = Client::new(options, &["a", "b", "c", "d"]);
    let out = Server::new("b").weight(0);
    let servers = [Server::new("a"), out, Server::new("c"), Server::new("d")];
    client.cluster.set_servers(&servers, client.now).unwrap();
    let mut shares = BTreeMap::new();
    for n in 0..600 {
        client.submit(Call::enqueue(put(&n.to_string())), ms(100));
    }
    for it in client.cluster.statistics() {
        shares.insert(it.name.to_string(), it.waiting);
    }
    assert_eq!(shares["b"], 0);
    assert!(["a", "c", "d"].iter().all(|name| (150..250).contains(&shares[*name])), "{shares:?}");
}

#[test]
fn a_full_or_refusing_queue_moves_an_item_on_and_an_error_of_the_caller_does_not() {
    let mut client = Client::new(ClusterOptions::queues(), &["a", "b", "c"]);
    let call = client.submit(Call::enqueue(put("x")), ms(1000));
    let a = client.accept("a");
    client.reply(a, "SERVER_ERROR disk full\r\n");
    let b = client.accept("b");
    client.reply(b, "NOT_STORED\r\n");
    let c = client.accept("c");
    client.reply(c, "STORED\r\n");
    assert!(client.outcome(call).is_ok());

    let call = client.submit(Call::enqueue(put("x")), ms(1000));
    client.reply(a, "CLIENT_ERROR bad queue\r\n");
    assert!(client.outcome(call).unwrap_err().had_no_effect());
}

#[test]
fn where_every_queue_is_full_the_last_word_is_theirs() {
    let mut client = Client::new(ClusterOptions::queues(), &["a", "b"]);
    let call = client.submit(Call::enqueue(put("x")), ms(1000));
    for server in ["a", "b"] {
        let connection = client.accept(server);
        client.reply(connection, "NOT_STORED\r\n");
    }
    let answer = client.outcome(call).unwrap();
    assert!(matches!(answer, windhover_core::client::Answer::Word(Kind::NotStored)), "{answer:?}");
}

#[test]
fn a_command_to_one_server_goes_nowhere_else() {
    let mut client = Client::new(ClusterOptions::default(), &["a", "b"]);
    let version = prepare(&Request::Version, "", Dialect::Memcached);
    let gone = client.id("b");
    let call = client.submit(Call::to(version.clone(), gone), ms(100));
    client.refuse("b");
    assert!(matches!(not_sent(client.outcome(call)), NotSent::Connect(_)));
    assert_eq!(client.pending, []);
    client.cluster.set_servers(&[Server::new("a")], client.now).unwrap();
    let call = client.submit(Call::to(version, gone), ms(100));
    assert_eq!(not_sent(client.outcome(call)), NotSent::NoServer);
}

#[test]
fn without_servers_or_with_the_wrong_dialect_nothing_is_sent() {
    let mut client = Client::new(ClusterOptions::default(), &[]);
    let call = client.submit(Call::read(get("k")), ms(100));
    assert_eq!(not_sent(client.outcome(call)), NotSent::NoServer);

    let mut client = Client::new(ClusterOptions::default(), &["a"]);
    let call = client.submit(Call::reserve(read(ReadMode::Open, None)), ms(100));
    let a = client.accept("a");
    assert_eq!(not_sent(client.outcome(call)), NotSent::OtherDialect);
    assert_eq!(client.wire(a), "");
    assert_eq!(client.statistics("a").connections, 1, "it is kept for the next one");
}

#[test]
fn a_read_moves_to_another_server_only_where_the_caller_says_so() {
    for failover in [false, true] {
        let mut client = Client::new(ClusterOptions::default(), &["a", "b"]);
        let mut call = Call::read(get(&client.key_of("a")));
        call.failover = failover;
        let call = client.submit(call, ms(1000));
        client.refuse("a");
        if failover {
            let b = client.accept("b");
            client.reply(b, "END\r\n");
            assert!(client.outcome(call).unwrap().is_miss());
        } else {
            assert!(matches!(not_sent(client.outcome(call)), NotSent::Connect(_)));
        }
    }
}

#[test]
fn a_write_that_has_left_is_never_sent_again() {
    let mut client = Client::new(ClusterOptions::default(), &["a"]);
    let call = client.submit(Call::write(set("k", "v")), ms(1000));
    let a = client.accept("a");
    assert_eq!(client.wire(a), "set k 0 0 1\r\nv\r\n");
    client.hang_up(a);
    assert!(matches!(unknown(client.outcome(call)), Reason::End(_)));
    assert_eq!(client.pending, []);
}
