//! TLS around a connection whose stream is in memory: every way in which bytes may come, and peers that
//! do not agree.

#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::BytesMut;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};
use windhover_core::buffer::{Incoming, Outgoing};
use windhover_core::endpoint::{Endpoint, Next};
use windhover_core::{Instant, Now};
use windhover_runtime::{
    Connection, ConnectionEnd, Peer, PollStream, ServeOptions, ServerTls, ServerTlsError, Step,
};

const HOST: &str = "cache.example";

/// A certificate with its key, in PEM.
struct Identity {
    chain: String,
    key: String,
    der: rustls::pki_types::CertificateDer<'static>,
}

impl Identity {
    fn new() -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed([HOST.to_owned()]).unwrap();
        Self { chain: cert.pem(), key: signing_key.serialize_pem(), der: cert.der().clone() }
    }

    fn server(&self) -> ServerTls {
        ServerTls::new(self.chain.as_bytes(), self.key.as_bytes()).unwrap()
    }

    /// A peer that trusts it alone.
    fn client(&self) -> ClientConnection {
        self.client_of(rustls::ALL_VERSIONS)
    }

    /// The same, which speaks no other versions than these.
    fn client_of(&self, versions: &[&'static SupportedProtocolVersion]) -> ClientConnection {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        ClientConnection::new(Arc::new(config), ServerName::try_from(HOST).unwrap()).unwrap()
    }
}

/// What is between the two sides.
#[derive(Default)]
struct Wire {
    to_server: VecDeque<u8>,
    to_client: VecDeque<u8>,
    /// The client will send no more.
    is_ended: bool,
    /// Most bytes of one read and of one write.
    most: usize,
    /// Every other call has to wait.
    waits: bool,
    turn: bool,
}

impl Wire {
    /// Whether this call has to wait.
    fn has_to_wait(&mut self) -> bool {
        self.turn = !self.turn;
        self.waits && self.turn
    }
}

struct Memory(Rc<RefCell<Wire>>);

impl PollStream for Memory {
    fn poll_read<'b>(
        &mut self,
        _: &mut Context<'_>,
        buffer: impl FnOnce() -> &'b mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        let mut wire = self.0.borrow_mut();
        if wire.to_server.is_empty() {
            return if wire.is_ended { Poll::Ready(Ok(0)) } else { Poll::Pending };
        }
        if wire.has_to_wait() {
            return Poll::Pending;
        }
        let n = wire.to_server.len().min(wire.most);
        let bytes: Vec<u8> = wire.to_server.drain(..n).collect();
        buffer().extend_from_slice(&bytes);
        Poll::Ready(Ok(n))
    }

    fn poll_write(
        &mut self,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        assert!(!slices.is_empty() && slices.iter().all(|slice| !slice.is_empty()));
        let mut wire = self.0.borrow_mut();
        if wire.has_to_wait() {
            return Poll::Pending;
        }
        let n = slices[0].len().min(wire.most);
        wire.to_client.extend(&slices[0][..n]);
        Poll::Ready(Ok(n))
    }

    fn poll_close_write(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Says what it is told, and ends with its peer.
#[derive(Default)]
struct Echo {
    incoming: Incoming,
    outgoing: Outgoing,
    ended: bool,
}

impl Endpoint for Echo {
    fn read_buffer(&mut self) -> &mut BytesMut {
        self.incoming.read_buffer(0)
    }
    fn wants_read(&self) -> bool {
        !self.ended && self.outgoing.is_empty()
    }
    fn end_of_stream(&mut self) {
        self.ended = true;
    }
    fn shut_down(&mut self) {
        self.ended = true;
    }
    fn poll_output(&mut self, now: Now, _: &mut Context<'_>) -> Next {
        self.outgoing.put_shared(self.incoming.take(usize::MAX));
        match (self.outgoing.is_empty(), self.ended) {
            (false, _) => Next::Write,
            (true, true) => Next::Close,
            (true, false) => Next::Idle(now.instant + Duration::from_secs(3600)),
        }
    }
    fn unsent<'a>(&'a self, into: &mut [&'a [u8]]) -> usize {
        self.outgoing.slices(into)
    }
    fn wrote(&mut self, n: usize) {
        self.outgoing.advance(n);
    }
    fn release(&mut self) {
        self.incoming.release();
    }
}

struct Server {
    wire: Rc<RefCell<Wire>>,
    connection: Connection<Memory, Echo>,
    now: Now,
}

impl Server {
    fn accepted(tls: &ServerTls, most: usize, waits: bool) -> Self {
        let wire = Rc::new(RefCell::new(Wire { most, waits, ..Wire::default() }));
        let mut options = ServeOptions::default();
        options.tls = Some(tls.clone());
        let (stream, now) = (Memory(Rc::clone(&wire)), Now::default());
        let connection =
            Connection::accepted(stream, Peer::Unknown, Echo::default(), &options, now.instant);
        Self { wire, connection: connection.unwrap(), now }
    }

    fn turn(&mut self) -> Step {
        self.connection.turn(self.now, &mut Context::from_waker(Waker::noop()))
    }

    /// Carries bytes both ways once; what the client says is appended to `said`, and whether its peer
    /// has ended.
    fn exchange(&mut self, client: &mut ClientConnection, said: &mut Vec<u8>) -> (Step, bool) {
        while client.wants_write() {
            client.write_tls(&mut self.wire.borrow_mut().to_server).unwrap();
        }
        let step = self.turn();
        let mut wire = self.wire.borrow_mut();
        let mut has_ended = false;
        while !wire.to_client.is_empty() {
            client.read_tls(&mut wire.to_client).unwrap();
            has_ended |= client.process_new_packets().unwrap().peer_has_closed();
            let mut plain = [0; 1 << 14];
            while let Ok(n @ 1..) = client.reader().read(&mut plain) {
                said.extend_from_slice(&plain[..n]);
            }
        }
        (step, has_ended)
    }
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
        let mut server = Server::accepted(&tls, most, waits);
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
    let mut server = Server::accepted(&identity.server(), usize::MAX, false);
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
    let mut server = Server::accepted(&tls, usize::MAX, false);
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
    let mut server = Server::accepted(&tls, usize::MAX, false);
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
    let mut server = Server::accepted(&tls, usize::MAX, false);
    let agree_by = Instant::default() + Duration::from_secs(10);
    assert_eq!(server.turn(), Step::Wait(Some(agree_by)));
    server.now.instant = agree_by;
    assert_eq!(server.turn(), Step::End(ConnectionEnd::Broken));
    assert_eq!(*failures.lock().unwrap(), ["unknown: it did not agree upon keys in time"]);

    // Once it has agreed, the endpoint's own time holds.
    let identity = Identity::new();
    let mut server = Server::accepted(&identity.server(), usize::MAX, false);
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
    let (mut before, mut client) = (Server::accepted(&tls, usize::MAX, false), old.client());
    let mut said = Vec::new();
    before.exchange(&mut client, &mut said);
    tls.replace(new.chain.as_bytes(), new.key.as_bytes()).unwrap();
    for (mut server, mut client) in
        [(before, client), (Server::accepted(&tls, usize::MAX, false), new.client())]
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
    let (mut server, mut client) = (Server::accepted(&tls, usize::MAX, false), one.client());
    let mut said = Vec::new();
    client.writer().write_all(b"hello").unwrap();
    for _ in 0..4 {
        server.exchange(&mut client, &mut said);
    }
    assert_eq!(said, b"hello");
}
