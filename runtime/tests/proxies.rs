//! Connections that proxies pass on, whose streams are in memory: what is said of them, in every split.

#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use windhover_core::Instant;
use windhover_runtime::{ConnectionEnd, Peer, ProxyProtocol, ServeOptions, Step};

use crate::wire::Server;
use crate::wire::tls::Identity;

mod wire;

const V1: &[u8] = b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 80\r\n";
const V2: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x09\xc0\x00\x02\x01\x12\x67\x00\x50";
const UNKNOWN: &[u8] = b"PROXY UNKNOWN\r\n";
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";

/// A proxy of one's own.
fn proxy() -> Peer {
    Peer::Tcp("10.0.0.1:4000".parse().unwrap())
}

/// Anybody.
fn stranger() -> Peer {
    Peer::Tcp("198.51.100.7:4000".parse().unwrap())
}

/// A listener that expects headers from its proxy, and what it says of failures.
fn behind_proxy() -> (ServeOptions, ProxyProtocol, Arc<Mutex<Vec<String>>>) {
    let failures = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&failures);
    let proxies = ProxyProtocol::new(|peer| peer == proxy())
        .on_failure(move |peer, why| told.lock().unwrap().push(format!("{peer}: {why}")));
    let mut options = ServeOptions::default();
    options.proxies = Some(proxies.clone());
    (options, proxies, failures)
}

impl Server {
    fn receives(&mut self, bytes: &[u8]) -> Step {
        self.wire.borrow_mut().to_server.extend(bytes);
        self.turn()
    }

    fn said(&self) -> String {
        let said: Vec<u8> = self.wire.borrow().to_client.iter().copied().collect();
        String::from_utf8(said).unwrap()
    }
}

/// `header` and `hi`, in two pieces: what comes back.
fn in_two_pieces(header: &[u8], at: usize, most: usize) -> String {
    let (options, proxies, _) = behind_proxy();
    let mut server = Server::accepted(proxy(), &options, most, false);
    let all = [header, b"hi"].concat();
    let (first, second) = all.split_at(at);
    for piece in [first, second] {
        let mut step = server.receives(piece);
        while step == Step::Again {
            step = server.turn();
        }
        assert!(matches!(step, Step::Wait(Some(_))), "{step:?}");
        if server.wire.borrow().to_server.is_empty() && at < header.len() && piece == first {
            assert_eq!(server.said(), "", "nothing is said before the header is whole");
        }
    }
    assert_eq!(proxies.failures(), 0);
    server.said()
}

#[test]
fn an_endpoint_is_told_whom_a_proxy_passes_on_in_every_split() {
    for (header, expected) in [
        (V1, "for 203.0.113.9:4711: hi"),
        (V2, "for 203.0.113.9:4711: hi"),
        (UNKNOWN, "hi"),
        (LOCAL, "hi"),
    ] {
        for at in 0..=header.len() + 2 {
            for most in [1, usize::MAX] {
                assert_eq!(in_two_pieces(header, at, most), expected, "{at}, {most} at a time");
            }
        }
    }
}

#[test]
fn a_header_of_a_stranger_is_its_own_bytes() {
    let (options, proxies, _) = behind_proxy();
    for peer in [stranger(), Peer::Unix, Peer::Unknown] {
        let mut server = Server::accepted(peer, &options, usize::MAX, false);
        assert!(matches!(server.receives(V1), Step::Wait(_)));
        assert_eq!(server.said().as_bytes(), V1);
    }
    // And nobody is believed where nobody is to be.
    let mut server = Server::accepted(proxy(), &ServeOptions::default(), usize::MAX, false);
    server.receives(V1);
    assert_eq!((server.said().as_bytes(), proxies.failures()), (V1, 0));
}

#[test]
fn a_proxy_without_a_header_is_closed() {
    let (options, proxies, failures) = behind_proxy();
    let twice = [V1, b"PROXY UNKNOWN\r\n"].concat();
    for (sent, why) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], "expected a header of the PROXY protocol"),
        (b"PROXY TCP4 1.2.3.4\r\nhi", "expected two addresses"),
        (b"\r\n\r\n\0\r\nQUIT\n\x31", "version 3 of the PROXY protocol"),
    ] {
        let mut server = Server::accepted(proxy(), &options, usize::MAX, false);
        assert_eq!(server.receives(sent), Step::End(ConnectionEnd::Broken));
        assert_eq!(server.said(), "");
        let told = failures.lock().unwrap().pop().unwrap();
        assert!(told.starts_with(&format!("10.0.0.1:4000: {why}")), "{told}");
    }
    // One that ends before is closed too; one that says nothing at all only looked.
    for (sent, expected) in [(&b"PROXY"[..], 4), (b"", 4)] {
        let mut server = Server::accepted(proxy(), &options, usize::MAX, false);
        server.wire.borrow_mut().is_ended = true;
        assert_eq!(server.receives(sent), Step::End(ConnectionEnd::Broken));
        assert_eq!(proxies.failures(), expected);
    }
    // There is one header: a second one is what the peer says.
    let mut server = Server::accepted(proxy(), &options, usize::MAX, false);
    server.receives(&twice);
    assert_eq!(server.said(), "for 203.0.113.9:4711: PROXY UNKNOWN\r\n");
}

#[test]
fn a_header_that_does_not_come_is_given_up_in_time() {
    let (options, proxies, failures) = behind_proxy();
    let by = Instant::default() + Duration::from_secs(5);
    for sent in [&b""[..], b"PROXY TCP4 "] {
        let mut server = Server::accepted(proxy(), &options, usize::MAX, false);
        assert_eq!(server.receives(sent), Step::Wait(Some(by)));
        server.now.instant = by;
        assert_eq!(server.turn(), Step::End(ConnectionEnd::Broken));
        let told = failures.lock().unwrap().pop().unwrap();
        assert_eq!(told, "10.0.0.1:4000: its header of the PROXY protocol did not come in time");
    }
    assert_eq!(proxies.failures(), 2);

    // Behind the header the endpoint's own time holds.
    let mut server = Server::accepted(proxy(), &options, usize::MAX, false);
    server.receives(V1);
    server.now.instant = by;
    assert_eq!(server.turn(), Step::Wait(Some(by + Duration::from_secs(3600))));
}

#[test]
fn tls_begins_behind_the_header() {
    let identity = Identity::new();
    for most in [1, 7, usize::MAX] {
        let (mut options, proxies, _) = behind_proxy();
        options.tls = Some(identity.server());
        let mut server = Server::accepted(proxy(), &options, most, false);
        server.wire.borrow_mut().to_server.extend(V2);
        let (mut client, mut said) = (identity.client(), Vec::new());
        client.writer().write_all(b"hi").unwrap();
        let expected = b"for 203.0.113.9:4711: hi";
        for _ in 0..100_000 {
            server.exchange(&mut client, &mut said);
            if said.len() >= expected.len() {
                break;
            }
        }
        assert_eq!(said, expected, "{most} at a time");
        assert_eq!(proxies.failures(), 0);
    }
}

#[test]
fn what_fails_behind_a_header_failed_with_the_sender() {
    let (mut options, _, _) = behind_proxy();
    let failures = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&failures);
    let hook = move |peer: Peer, _: &str| told.lock().unwrap().push(peer.to_string());
    options.tls = Some(Identity::new().server().on_failure(hook));
    let mut server = Server::accepted(proxy(), &options, usize::MAX, false);
    assert_eq!(
        server.receives(&[V1, b"GET / HTTP/1.1\r\n\r\n"].concat()),
        Step::End(ConnectionEnd::Broken)
    );
    assert_eq!(*failures.lock().unwrap(), ["203.0.113.9:4711"]);
}
