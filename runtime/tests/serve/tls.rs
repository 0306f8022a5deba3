//! TLS, which lies above what an adapter gives: over its sockets, with its timers.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use windhover_runtime::{Peer, ServeOptions, ServerTls, listen_unix};

use super::server::{SOON, Server, eventually};
use crate::echo::Echo;

const HOST: &str = "echo.example";

/// A certificate and its key, in PEM, and for those who are to trust it.
struct Identity {
    pem: [String; 2],
    der: CertificateDer<'static>,
}

impl Identity {
    fn new() -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed([HOST.to_owned()]).unwrap();
        Self { pem: [cert.pem(), signing_key.serialize_pem()], der: cert.der().clone() }
    }

    fn tls(&self) -> ServerTls {
        let [chain, key] = self.pem.each_ref().map(String::as_bytes);
        ServerTls::new(chain, key).unwrap()
    }

    /// A peer that trusts it alone, behind the handshake.
    fn agree<S: Read + Write>(
        &self,
        mut stream: S,
    ) -> io::Result<StreamOwned<ClientConnection, S>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(HOST).unwrap();
        let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
        while client.is_handshaking() {
            client.complete_io(&mut stream)?;
        }
        Ok(StreamOwned::new(client, stream))
    }
}

fn options(tls: ServerTls) -> ServeOptions {
    let mut options = ServeOptions::default();
    options.tls = Some(tls);
    options
}

fn secured(tls: ServerTls) -> Server {
    Server::with(options(tls), 1, || Echo::new(&Arc::default()))
}

fn is_echoed(stream: &mut (impl Read + Write), message: &[u8]) -> bool {
    stream.write_all(message).unwrap();
    let mut answer = vec![0; message.len()];
    stream.read_exact(&mut answer).is_ok() && answer == message
}

/// What the hook is told.
fn failures(tls: ServerTls) -> (ServerTls, Receiver<(Peer, String)>) {
    let (sender, failures) = channel();
    let tls = tls.on_failure(move |peer, why| {
        let _ = sender.send((peer, why.to_owned()));
    });
    (tls, failures)
}

#[test]
fn what_is_sent_by_tls_comes_back() {
    let identity = Identity::new();
    let server = secured(identity.tls());
    let mut peer = identity.agree(server.connect().0).unwrap();
    for message in [&b"a"[..], b"hello", &vec![b'x'; 40_000]] {
        assert!(is_echoed(&mut peer, message));
    }
    assert_eq!(server.shut_down().cut, 0);
    // An end that TLS says, not one that somebody on the way may have made.
    assert_eq!(peer.read(&mut [0]).unwrap(), 0);
}

#[test]
fn megabytes_come_back_through_tls() {
    let identity = Identity::new();
    let server = secured(identity.tls());
    let StreamOwned { conn: mut client, sock: mut stream } =
        identity.agree(server.connect().0).unwrap();
    let sent: Vec<u8> = (b'#'..=b'~').cycle().take(2_000_000).collect();
    let mut received = Vec::new();
    let mut rest = &sent[..];
    // One thread for both ways: as much as the server takes, then what it has said.
    while received.len() < sent.len() {
        let n = rest.len().min(16_000);
        client.writer().write_all(&rest[..n]).unwrap();
        rest = &rest[n..];
        while client.wants_write() {
            client.write_tls(&mut stream).unwrap();
        }
        while received.len() < sent.len() - rest.len() {
            client.read_tls(&mut stream).unwrap();
            client.process_new_packets().unwrap();
            match client.reader().read_to_end(&mut received) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                ended => panic!("the connection ended: {ended:?}"),
            }
        }
    }
    assert!(received == sent);
}

#[test]
fn a_unix_socket_speaks_it_as_well() {
    let identity = Identity::new();
    let name = format!("windhover-tls-{}.sock", std::process::id());
    let path = std::env::temp_dir().join(name);
    let (listener, _file) = listen_unix(&path, 0o600).unwrap();
    let nowhere = "127.0.0.1:0".parse().unwrap();
    let accept = || Echo::new(&Arc::default());
    let server = Server::on(vec![listener.into()], nowhere, options(identity.tls()), accept);
    let stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let mut peer = identity.agree(stream).unwrap();
    assert!(is_echoed(&mut peer, b"hello"));
    assert_eq!(server.shut_down().cut, 0);
    assert_eq!(peer.read(&mut [0]).unwrap(), 0);
}

#[test]
fn who_speaks_no_tls_is_closed_and_named_and_others_are_served() {
    let identity = Identity::new();
    let (tls, failures) = failures(identity.tls());
    let server = secured(tls.clone());
    let mut plain = server.connect();
    plain.send(b"get key\r\n");
    let answer = plain.receive_to_end();
    assert!(!answer.windows(3).any(|bytes| bytes == b"get"), "it came back in the clear");
    let (peer, why) = failures.recv_timeout(SOON).unwrap();
    assert_eq!(peer, Peer::Tcp(plain.0.local_addr().unwrap()));
    assert!(!why.is_empty());
    assert_eq!(tls.failures(), 1);
    assert!(is_echoed(&mut identity.agree(server.connect().0).unwrap(), b"hello"));
}

#[test]
fn who_does_not_trust_the_certificate_is_named() {
    let (identity, other) = (Identity::new(), Identity::new());
    let (tls, failures) = failures(identity.tls());
    let server = secured(tls);
    assert!(other.agree(server.connect().0).is_err());
    let (_, why) = failures.recv_timeout(SOON).unwrap();
    assert!(why.contains("alert"), "{why}");
}

#[test]
fn who_does_not_agree_in_time_is_closed() {
    let identity = Identity::new();
    let timeout = Duration::from_millis(300);
    let (tls, failures) = failures(identity.tls().handshake_timeout(timeout));
    let server = secured(tls);
    let start = Instant::now();
    let mut silent = server.connect();
    assert_eq!(silent.receive_to_end(), b"");
    assert!(start.elapsed() >= timeout);
    let (peer, _) = failures.recv_timeout(SOON).unwrap();
    assert_eq!(peer, Peer::Tcp(silent.0.local_addr().unwrap()));
    server.until_active(0);
}

#[test]
fn a_shutdown_waits_for_no_peer_that_has_not_agreed() {
    let server = secured(Identity::new().tls());
    let _silent = server.connect();
    server.until_active(1);
    let start = Instant::now();
    server.shut_down();
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn a_certificate_is_replaced_while_peers_come() {
    let [old, new] = [(); 2].map(|()| Identity::new());
    let tls = old.tls();
    let server = secured(tls.clone());
    let address = server.address;
    let mut before = old.agree(server.connect().0).unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let come = thread::spawn(move || {
        // Until it is shown one that it does not trust.
        while let Ok(mut peer) = old.agree(TcpStream::connect(address).unwrap()) {
            assert!(is_echoed(&mut peer, b"old"));
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    eventually("some came", || count.load(Ordering::SeqCst) > 2);
    let [chain, key] = new.pem.each_ref().map(String::as_bytes);
    tls.replace(chain, key).unwrap();
    come.join().unwrap();
    assert!(is_echoed(&mut new.agree(server.connect().0).unwrap(), b"new"));
    assert!(is_echoed(&mut before, b"those who are in stay in"));
}
