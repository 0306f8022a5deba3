//! TLS, through rustls.

mod session;

use std::fmt;
use std::sync::Arc;

use rustls::client::WantsClientCert;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use windhover_core::client::{ConnectFailure, Server};

pub(crate) use self::session::Session;

/// Is told of a server with which TLS could not be agreed upon, and why.
type FailureHook = Arc<dyn Fn(&Server, &str) + Send + Sync>;

/// Has connections speak TLS 1.3 or 1.2; [`Builder::tls`](crate::Builder::tls) takes it.
///
/// A server has to show a certificate of its name: the host in its address, unless
/// [`server_name`](Self::server_name) says otherwise. A server that shows another one, or speaks no
/// TLS, fails with [`ConnectFailure::Tls`], and one that says nothing with
/// [`ConnectFailure::TimedOut`]; nothing is ever sent in the clear.
///
/// What more there is to choose in rustls is open to a stream of your own, where the adapter takes one.
///
/// ```no_run
/// use windhover_client::{Client, Tls};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let tls = Tls::trusting(&std::fs::read("authorities.pem")?)?
///     .on_failure(|server, why| eprintln!("{}: {why}", server.name));
/// let builder = Client::builder().server("cache.example.com:11211").tls(tls);
/// # drop(builder);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    name: Option<ServerName<'static>>,
    on_failure: Option<FailureHook>,
}

/// Why TLS cannot be used as asked.
///
/// ```
/// use windhover_client::{Tls, TlsError};
///
/// // The file is there, and is something else.
/// assert_eq!(Tls::trusting(b"not a certificate").err(), Some(TlsError::NoCertificate));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsError {
    /// There is no certificate in what was given for one, in PEM.
    NoCertificate,
    /// There is no key in what was given for one, in PEM.
    NoKey,
    /// It is no host's name and no IP address.
    ServerName(String),
    /// Certificate and key, or the whole, cannot be used: rustls says why.
    Unusable(String),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCertificate => f.write_str(
                "there is no usable certificate: expected PEM with `BEGIN CERTIFICATE` in it",
            ),
            Self::NoKey => {
                f.write_str("there is no usable key: expected PEM with `BEGIN PRIVATE KEY` in it")
            }
            Self::ServerName(name) => {
                write!(f, "`{name}` is no host's name and no IP address")
            }
            Self::Unusable(why) => write!(f, "TLS cannot be used like this: {why}"),
        }
    }
}

impl std::error::Error for TlsError {}

impl Tls {
    /// Trusts servers whose certificates are signed by one of the authorities in `pem`, such as the
    /// operating system's (`/etc/ssl/certs/ca-certificates.crt` with Debian) or your own.
    ///
    /// Authorities that cannot be used are left out, as long as there is another one.
    ///
    /// # Errors
    /// [`TlsError::NoCertificate`] where none can be used.
    pub fn trusting(pem: &[u8]) -> Result<Self, TlsError> {
        Ok(Self::new(builder(pem)?.with_no_client_auth()))
    }

    /// The same, and shows a certificate to servers that ask for one: `chain` is the certificate
    /// with those that lead from it to an authority, `key` its key, both in PEM.
    ///
    /// # Errors
    /// [`TlsError`] where something is missing or does not belong together.
    pub fn trusting_as(pem: &[u8], chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain = certificates(chain);
        if chain.is_empty() {
            return Err(TlsError::NoCertificate);
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::NoKey)?;
        let config = builder(pem)?.with_client_auth_cert(chain, key);
        Ok(Self::new(config.map_err(|error| TlsError::Unusable(error.to_string()))?))
    }

    fn new(config: ClientConfig) -> Self {
        Self { config: Arc::new(config), name: None, on_failure: None }
    }

    /// Expects every server to have a certificate of this name, whatever its address says: a host's
    /// name or an IP address. Unix sockets need it.
    ///
    /// # Errors
    /// [`TlsError::ServerName`].
    pub fn server_name(mut self, name: &str) -> Result<Self, TlsError> {
        let parsed = ServerName::try_from(name.to_owned());
        self.name = Some(parsed.map_err(|_| TlsError::ServerName(name.to_owned()))?);
        Ok(self)
    }

    /// Is told of a server with which TLS could not be agreed upon, and why (an expired certificate,
    /// an unknown authority, another name); it must not block. Calls say no more than
    /// [`ConnectFailure::Tls`].
    #[must_use]
    pub fn on_failure(mut self, hook: impl Fn(&Server, &str) + Send + Sync + 'static) -> Self {
        self.on_failure = Some(Arc::new(hook));
        self
    }

    fn name_of(&self, server: &Server) -> Result<ServerName<'static>, String> {
        if let Some(name) = &self.name {
            return Ok(name.clone());
        }
        let Some(host) = host(&server.address) else {
            return Err(format!("`{}` names no host: use `server_name`", server.address));
        };
        ServerName::try_from(host.to_owned())
            .map_err(|_| TlsError::ServerName(host.to_owned()).to_string())
    }

    pub(crate) fn failed(&self, server: &Server, why: &str) -> ConnectFailure {
        if let Some(on_failure) = &self.on_failure {
            on_failure(server, why);
        }
        ConnectFailure::Tls
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("name", &self.name).finish_non_exhaustive()
    }
}

fn builder(authorities: &[u8]) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, TlsError> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates(authorities));
    if added == 0 {
        return Err(TlsError::NoCertificate);
    }
    // Named, so that it is no other part of the process that decides.
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Unusable(error.to_string()))?;
    Ok(builder.with_root_certificates(roots))
}

fn certificates(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).collect()
}

/// The host of `HOST:PORT`; none of a path.
fn host(address: &str) -> Option<&str> {
    if address.contains('/') {
        return None;
    }
    let (host, _) = address.rsplit_once(':')?;
    Some(host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_the_host_of_the_address() {
        assert_eq!(host("cache.example.com:11211"), Some("cache.example.com"));
        assert_eq!(host("10.0.0.1:11211"), Some("10.0.0.1"));
        assert_eq!(host("[2001:db8::1]:11211"), Some("2001:db8::1"));
        assert_eq!(host("/run/memcached.sock"), None);
        assert_eq!(host("cache"), None);
    }

    #[test]
    fn what_is_no_pem_is_no_authority_and_no_key() {
        for pem in
            [&b""[..], b"cache", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
        {
            assert_eq!(Tls::trusting(pem).unwrap_err(), TlsError::NoCertificate);
        }
        let chain = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(Tls::trusting_as(b"", b"", b"").unwrap_err(), TlsError::NoCertificate);
        assert_eq!(Tls::trusting_as(b"", chain, b"").unwrap_err(), TlsError::NoKey);
    }
}
