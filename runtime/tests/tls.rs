//! TLS around a connection whose stream is in memory: every way in which bytes may come, and peers that
//! do not agree.

#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::version::{TLS12, TLS13};
use windhover_core::Instant;
use windhover_runtime::{ConnectionEnd, Peer, ServeOptions, ServerTls, ServerTlsError, Step};

use crate::wire::Server;
use crate::wire::tls::Identity;

mod wire;

/// A server that speaks TLS.
fn accepted(tls: &ServerTls, most: usize, waits: bool) -> Server {
    let mut options = ServeOptions::default();
    options.tls = Some(tls.clone());
    Server::accepted(Peer::Unknown, &options, most, waits)
}

#[test]
fn what_is_said_comes_back_however_bytes_come() {
    let identity = Identity::new();
    let tls = identity.server();
    let message: Vec<u8> = (0..100_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    for (version, most, waits, length) in [
        (&TLS13, 1, false, 300),
        (&TLS12, 1, false, 300),
        (&TLS13, 1, true, 300),
        (&TLS12, 7, true, 5_000),
        (&TLS13, 7, true, 5_000),
        (&TLS13, 1_000, true, 100_000),
        (&TLS12, usize::MAX, false, 100_000),
        (&TLS13, usize::MAX, false, 100_000),
        (&TLS13, usize::MAX, true, 100_000),
    ] {
        let mut server = accepted(&tls, most, waits);
        let mut client = identity.client_of(&[version]);
        let (mut sent, mut said) = (0, Vec::new());
        let message = &message[..length];
        for _ in 0..1_000_000 {
            if said.len() == length {
                break;
            }
            sent += client.writer().write(&message[sent..]).unwrap();
            server.exchange(&mut client, &mut said);
        }
        assert!(said == message, "{} of {length} bytes, {most} at a time", said.len());

        client.send_close_notify();
        let ended = (0..1000).find_map(|_| match server.exchange(&mut client, &mut said) {
            (Step::End(end), told) => Some((end, told)),
            _ => None,
        });
        assert_eq!(
            ended,
            Some((ConnectionEnd::Closed, true)),
            "{most} at a time: close_notify, then the end"
        );
    }
    assert_eq!(tls.failures(), 0);
}

#[test]
fn a_peer_that_closes_without_saying_so_has_its_answer() {
    let identity = Identity::new();
    let mut server = accepted(&identity.server(), usize::MAX, false);
    let (mut client, mut said) = (identity.client(), Vec::new());
    for _ in 0..4 {
        server.exchange(&mut client, &mut said);
    }
    client.writer().write_all(b"last words").unwrap();
    server.wire.borrow_mut().is_ended = true;
    let (step, told) = server.exchange(&mut client, &mut said);
    assert_eq!(
        (step, told, &said[..]),
        (Step::End(ConnectionEnd::Closed), true, &b"last words"[..])
    );
}

/// A server's certificate, and what it says of failures.
fn watched(identity: &Identity) -> (ServerTls, Arc<Mutex<Vec<String>>>) {
    let failures = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&failures);
    let hook = move |peer: Peer, why: &str| told.lock().unwrap().push(format!("{peer}: {why}"));
    (identity.server().on_failure(hook), failures)
}

#[test]
fn a_peer_that_speaks_no_tls_is_told_so_in_tls() {
    let (tls, failures) = watched(&Identity::new());
    let mut server = accepted(&tls, usize::MAX, false);
    server.wire.borrow_mut().to_server.extend(b"get k\r\n");
    assert_eq!(server.turn(), Step::End(ConnectionEnd::Broken));
    // A fatal alert: 21, the version, its length, 2, and what it is.
    let told: Vec<u8> = server.wire.borrow().to_client.iter().copied().collect();
    assert_eq!((told[0], told.len(), told[5]), (21, 7, 2), "{told:?}");
    assert_eq!(tls.failures(), 1);
    assert!(failures.lock().unwrap()[0].starts_with("unknown: received corrupt message"));
}

#[test]
fn a_peer_that_does_not_trust_the_certificate_fails() {
    let (tls, failures) = watched(&Identity::new());
    let mut server = accepted(&tls, usize::MAX, false);
    let mut client = Identity::new().client();
    client.write_tls(&mut server.wire.borrow_mut().to_server).unwrap();
    assert!(matches!(server.turn(), Step::Wait(_)));
    client.read_tls(&mut server.wire.borrow_mut().to_client).unwrap();
    assert!(client.process_new_packets().is_err());
    client.write_tls(&mut server.wire.borrow_mut().to_server).unwrap();
    assert_eq!(server.turn(), Step::End(ConnectionEnd::Broken));
    let failures = failures.lock().unwrap();
    assert!(failures[0].contains("alert"), "{failures:?}");
    assert_eq!(failures.len(), 1);
}

#[test]
fn a_peer_that_says_nothing_is_given_up_in_time() {
    let (tls, failures) = watched(&Identity::new());
    let mut server = accepted(&tls, usize::MAX, false);
    let agree_by = Instant::default() + Duration::from_secs(10);
    assert_eq!(server.turn(), Step::Wait(Some(agree_by)));
    server.now.instant = agree_by;
    assert_eq!(server.turn(), Step::End(ConnectionEnd::Broken));
    assert_eq!(*failures.lock().unwrap(), ["unknown: it did not agree upon keys in time"]);

    // Once it has agreed, the endpoint's own time holds.
    let identity = Identity::new();
    let mut server = accepted(&identity.server(), usize::MAX, false);
    let (mut client, mut said) = (identity.client(), Vec::new());
    for _ in 0..4 {
        server.exchange(&mut client, &mut said);
    }
    server.now.instant = agree_by;
    let idle = agree_by + Duration::from_secs(3600);
    assert_eq!(server.exchange(&mut client, &mut said).0, Step::Wait(Some(idle)));
}

#[test]
fn a_certificate_is_replaced_for_those_who_come_next() {
    let (old, new) = (Identity::new(), Identity::new());
    let tls = old.server();
    let (mut before, mut client) = (accepted(&tls, usize::MAX, false), old.client());
    let mut said = Vec::new();
    before.exchange(&mut client, &mut said);
    tls.replace(new.chain.as_bytes(), new.key.as_bytes()).unwrap();
    for (mut server, mut client) in
        [(before, client), (accepted(&tls, usize::MAX, false), new.client())]
    {
        let mut said = Vec::new();
        client.writer().write_all(b"hello").unwrap();
        for _ in 0..4 {
            server.exchange(&mut client, &mut said);
        }
        assert_eq!(said, b"hello");
    }
}

#[test]
fn what_cannot_be_used_is_refused_and_replaces_nothing() {
    let (one, other) = (Identity::new(), Identity::new());
    let tls = one.server();
    let (chain, key) = (one.chain.as_bytes(), one.key.as_bytes());
    for (chain, key, expected) in [
        (&b""[..], key, "there is no certificate"),
        (key, key, "there is no certificate"),
        (chain, &b""[..], "there is no private key"),
        (chain, chain, "there is no private key"),
        (chain, other.key.as_bytes(), "certificate and private key cannot be used together"),
        (&chain[..chain.len() / 2], key, "the certificate is no PEM"),
    ] {
        let error: ServerTlsError = tls.replace(chain, key).unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
    }
    let (mut server, mut client) = (accepted(&tls, usize::MAX, false), one.client());
    let mut said = Vec::new();
    client.writer().write_all(b"hello").unwrap();
    for _ in 0..4 {
        server.exchange(&mut client, &mut said);
    }
    assert_eq!(said, b"hello");
}
