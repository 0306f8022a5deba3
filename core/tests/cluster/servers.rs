//! Servers that are added, removed and changed while calls are under way.

use windhover_core::client::ring::Ring;
use windhover_core::client::{Call, ClusterOptions, NotSent, Retry, Server, ServerState};

use crate::client::{Client, get, ms, not_sent, put, set};

fn change(client: &mut Client, servers: &[&str]) {
    let servers: Vec<_> = servers.iter().map(|name| Server::new(name)).collect();
    client.cluster.set_servers(&servers, client.now).unwrap();
    client.settle();
}

#[test]
fn a_server_that_is_added_gets_its_keys() {
    let mut client = Client::new(ClusterOptions::default(), &["a"]);
    change(&mut client, &["a", "b"]);
    let key = client.key_of("b");
    let call = client.submit(Call::read(get(&key)), ms(100));
    let b = client.accept("b");
    client.reply(b, "END\r\n");
    assert!(client.outcome(call).is_ok());
}

#[test]
fn what_is_under_way_with_a_server_that_goes_is_still_answered() {
    let mut client = Client::new(ClusterOptions::default(), &["a", "b"]);
    let key = client.key_of("a");
    let call = client.submit(Call::write(set(&key, "v")), ms(100));
    let a = client.accept("a");
    change(&mut client, &["b"]);
    assert_eq!(client.closed, []);
    client.reply(a, "STORED\r\n");
    assert!(client.outcome(call).is_ok());
    assert_eq!(client.closed, [a]);
}

#[test]
fn what_waits_for_a_server_that_goes_is_sent_to_the_keys_new_owner_where_it_may() {
    for retry in [Retry::IfNotSent, Retry::Never] {
        let mut client = Client::new(ClusterOptions::default(), &["a", "b"]);
        let key = client.key_of("a");
        let mut call = Call::write(set(&key, "v"));
        call.retry = retry;
        let call = client.submit(call, ms(100));
        change(&mut client, &["b"]);
        if retry == Retry::Never {
            assert_eq!(not_sent(client.outcome(call)), NotSent::NoServer);
        } else {
            let b = client.accept("b");
            client.reply(b, "STORED\r\n");
            assert!(client.outcome(call).is_ok());
        }
        assert_eq!(client.pending, [], "the connection to `a` is not waited for");
    }
}

#[test]
fn a_connection_that_nobody_has_begun_to_make_is_never_asked_for() {
    let mut client = Client::new(ClusterOptions::default(), &["a", "b"]);
    let key = client.key_of("a");
    // No output is taken between the two.
    client.cluster.submit(Call::read(get(&key)), client.now + ms(100), client.now).unwrap();
    change(&mut client, &["b"]);
    assert!(client.pending.iter().all(|&(_, server)| server == client.id("b")));
    assert_eq!(client.closed, []);
}

#[test]
fn servers_that_stay_keep_their_connections_their_health_and_their_figures() {
    let mut client = Client::new(ClusterOptions::default(), &["a", "b", "c"]);
    client.eject("b");
    let key = client.key_of("a");
    let call = client.submit(Call::read(get(&key)), ms(100));
    let a = client.accept("a");
    client.reply(a, "END\r\n");
    client.outcome(call).unwrap();
    change(&mut client, &["b", "a"]);
    assert_eq!(client.cluster.state(client.id("b")), Some(ServerState::Ejected));
    let figures = client.statistics("a");
    assert_eq!((figures.connections, figures.counters.answered), (1, 1));
    assert_eq!(client.closed, []);
}

#[test]
fn a_server_that_is_replaced_under_its_name_is_another_one() {
    let mut client = Client::new(ClusterOptions::default(), &["a", "b"]);
    let (key, old) = (client.key_of("a"), client.id("a"));
    client.eject("a");
    let servers = [Server::new("elsewhere").named("a"), Server::new("b")];
    client.cluster.set_servers(&servers, client.now).unwrap();
    client.settle();
    assert_ne!(client.id("a"), old);
    assert_eq!(client.key_of("a"), key, "its name decides on its keys");
    let call = client.submit(Call::read(get(&key)), ms(100));
    let a = client.accept("a");
    client.reply(a, "END\r\n");
    assert!(client.outcome(call).is_ok());
    // The old one's probe is forgotten.
    client.after(ms(10_000));
    assert_eq!(client.pending, []);
}

#[test]
fn a_server_without_weight_is_drained() {
    let mut client = Client::new(ClusterOptions::queues(), &["a", "b"]);
    let call = client.submit(Call::enqueue(put("x")), ms(100));
    let servers = [Server::new("a").weight(0), Server::new("b")];
    client.cluster.set_servers(&servers, client.now).unwrap();
    client.settle();
    let a = client.accept("a");
    client.reply(a, "STORED\r\n");
    assert!(client.outcome(call).is_ok());
    for _ in 0..4 {
        client.submit(Call::enqueue(put("x")), ms(100));
    }
    assert_eq!(client.wire(a).matches("set").count(), 1);
    // A server that takes no items is no reason to take the last one that does out of use.
    for _ in 0..9 {
        client.submit(Call::enqueue(put("x")), ms(100));
        if !client.pending.is_empty() {
            client.refuse("b");
        }
    }
    assert_eq!(client.cluster.state(client.id("b")), Some(ServerState::Healthy));
}

#[test]
fn too_many_servers_change_nothing() {
    let mut client = Client::new(ClusterOptions::default(), &["a"]);
    let many: Vec<_> = (0..=Ring::MAX_MEMBERS).map(|n| Server::new(&n.to_string())).collect();
    client.cluster.set_servers(&many, client.now).unwrap_err();
    assert_eq!(client.cluster.servers().count(), 1);
    assert_eq!(client.cluster.owner(b"k"), Some(client.id("a")));
}

#[test]
fn all_servers_may_go_and_come_back() {
    let mut client = Client::new(ClusterOptions::queues(), &["a"]);
    let waiting = client.submit(Call::enqueue(put("x")), ms(100));
    change(&mut client, &[]);
    assert_eq!(not_sent(client.outcome(waiting)), NotSent::NoServer);
    change(&mut client, &["a"]);
    let call = client.submit(Call::enqueue(put("x")), ms(100));
    let a = client.accept("a");
    client.reply(a, "STORED\r\n");
    assert!(client.outcome(call).is_ok());
}
