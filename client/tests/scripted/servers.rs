//! Servers by their addresses.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use windhover_client::protocol::client::Server;
use windhover_client::{AddressFault, Client, Error, ErrorKind, Outcome};

use crate::script::{Script, cache, script};

#[track_caller]
fn fault(outcome: Result<impl Sized, Error>) -> AddressFault {
    match outcome.map(drop).unwrap_err().into_kind() {
        ErrorKind::Address(error) => error.fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_address_that_cannot_be_meant_is_refused_when_the_client_is_built() {
    for address in
        ["", " a:1", "host:99999", "a:1,b:2", "memcached://h:1", "::1", "h:1:1", "u:p@h:1"]
    {
        for builder in [Client::builder(), Client::queue_builder()] {
            let Err(error) = builder.server("good:1").server(address).build() else {
                panic!("{address} is taken");
            };
            assert!(error.to_string().contains(&format!("'{address}'")), "{error}");
            assert_eq!(error.outcome(), Outcome::NotSent);
        }
    }
    let Err(error) = Client::builder().build() else { panic!("a client of nothing") };
    assert!(matches!(error.kind(), ErrorKind::NoServer), "{error}");
}

/// Two caches, of which the one that owns `k` answers with what `owner` says, and the other one with a value.
fn owner_says(owner: Option<&'static str>) -> (Client, Script<'static>) {
    let builder = cache().server("b:1").options(|options| {
        options.attempts = 2;
        options.hedge = Some(Duration::from_millis(1));
    });
    let owns = Rc::new(RefCell::new(String::new()));
    let (client, server) = script(builder, {
        let owns = Rc::clone(&owns);
        move |server, _| match owner {
            reply if server == *owns.borrow() => reply.map(Into::into),
            _ => Some(b"VALUE k 0 1\r\nv\r\nEND\r\n".to_vec()),
        }
    });
    *owns.borrow_mut() = client.owner("k").unwrap().1.address.to_string();
    (client, server)
}

#[test]
fn another_server_answers_where_that_is_allowed() {
    let (client, mut server) = owner_says(None);
    assert!(server.run(client.get("k")).is_err());
    let found = server.run(client.with_failover().get("k")).unwrap().unwrap();
    assert_eq!(found.text().unwrap(), "v");
}

#[test]
fn a_slow_server_is_not_waited_for_where_another_one_may_be_asked() {
    // It says nothing.
    let (client, mut server) = owner_says(Some(""));
    let begun = Instant::now();
    let found = server.run(client.with_hedging().get("k")).unwrap().unwrap();
    assert_eq!(found.text().unwrap(), "v");
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn an_item_is_waited_for_and_reserved() {
    let heard = RefCell::new(Vec::new());
    let builder = Client::queue_builder().server("a:1");
    let (client, mut server) = script(builder, |_, lines| {
        let mut heard = heard.borrow_mut();
        heard.push(lines.to_owned());
        let reply = if heard.len() < 3 { "END\r\n" } else { "VALUE q 0 1\r\nx\r\nEND\r\n" };
        Some(reply.into())
    });
    let queue = client.queue("q");
    let reserved = server.run(queue.reserve_within(Duration::from_secs(5))).unwrap();
    assert_eq!(reserved.unwrap().item(), "x");
    let heard = heard.borrow();
    assert_eq!(heard[0], "get q/open\r\n");
    assert!(
        heard[1..]
            .iter()
            .all(|line| line.starts_with("get q/t=4") || line.starts_with("get q/t=5"))
    );
}

#[test]
fn a_server_without_a_port_has_the_protocols_own() {
    let builder = Client::builder().server("127.0.0.1").server("[::1]").server("unix:/x");
    let (client, _driver) = builder.build().unwrap();
    let addresses = |client: &Client| -> Vec<String> {
        client.servers().into_iter().map(|(_, server)| server.address.into()).collect()
    };
    assert_eq!(addresses(&client), ["127.0.0.1:11211", "[::1]:11211", "/x"]);
    let (queues, _driver) = Client::queue_builder().server("q").build().unwrap();
    assert_eq!(addresses(&queues), ["q:22133"]);
    // The same server, whichever way it is written: its connections are kept.
    let before = client.servers()[0].0;
    client.set_servers(&[Server::new("127.0.0.1:11211")]).unwrap();
    assert_eq!(client.servers()[0].0, before);
    assert_eq!(fault(client.set_servers(&[Server::new("a b")])), AddressFault::Space);
    assert_eq!(client.servers().len(), 1, "the set is as it was");
}
