//! A server's certificate, and a peer that speaks TLS with a [`Server`].

use std::io::Read;
use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};
use windhover_runtime::{ServerTls, Step};

use super::Server;

const HOST: &str = "cache.example";

/// A certificate with its key, in PEM.
pub(crate) struct Identity {
    pub(crate) chain: String,
    pub(crate) key: String,
    der: rustls::pki_types::CertificateDer<'static>,
}

impl Identity {
    pub(crate) fn new() -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed([HOST.to_owned()]).unwrap();
        Self { chain: cert.pem(), key: signing_key.serialize_pem(), der: cert.der().clone() }
    }

    pub(crate) fn server(&self) -> ServerTls {
        ServerTls::new(self.chain.as_bytes(), self.key.as_bytes()).unwrap()
    }

    /// A peer that trusts it alone.
    pub(crate) fn client(&self) -> ClientConnection {
        self.client_of(rustls::ALL_VERSIONS)
    }

    /// The same, which speaks no other versions than these.
    pub(crate) fn client_of(
        &self,
        versions: &[&'static SupportedProtocolVersion],
    ) -> ClientConnection {
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

impl Server {
    /// Carries bytes both ways once; what the client says is appended to `said`, and whether its peer
    /// has ended.
    pub(crate) fn exchange(
        &mut self,
        client: &mut ClientConnection,
        said: &mut Vec<u8>,
    ) -> (Step, bool) {
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
