//! Servers by their addresses.

use windhover_client::protocol::client::Server;
use windhover_client::{AddressFault, Client, Error, ErrorKind, Outcome};

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
