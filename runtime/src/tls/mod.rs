//! TLS on the server's side, through rustls: certificates that can be replaced while connections come.

mod stream;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::Peer;

pub(crate) use self::stream::TlsStream;

/// How long a peer may take to agree upon keys, unless it is said otherwise.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Has the connections of a listener speak TLS 1.3 or 1.2; [`ServeOptions::tls`](crate::ServeOptions::tls)
/// takes it. Clones are handles to the same certificate.
///
/// Peers show no certificate. One that does not agree upon keys within ten seconds is closed; one that
/// speaks no TLS is told so, as TLS says it, and closed. Nothing is ever sent in the clear.
///
/// ```
/// use std::path::Path;
/// use windhover_runtime::{ServeOptions, ServerTls};
///
/// /// Options of a listener that speaks TLS with the certificate in that folder.
/// fn secured(folder: &Path) -> Result<ServeOptions, Box<dyn std::error::Error>> {
///     let (certificate, key) =
///         (std::fs::read(folder.join("tls.crt"))?, std::fs::read(folder.join("tls.key"))?);
///     let mut options = ServeOptions::default();
///     options.tls = Some(
///         ServerTls::new(&certificate, &key)?.on_failure(|peer, why| eprintln!("{peer}: {why}")),
///     );
///     Ok(options)
/// }
/// ```
#[derive(Clone)]
pub struct ServerTls {
    shared: Arc<Shared>,
    handshake_timeout: Duration,
    on_failure: Option<FailureHook>,
}

struct Shared {
    config: RwLock<Arc<ServerConfig>>,
    failures: AtomicU64,
}

/// Is told of a peer with which TLS failed, and why.
type FailureHook = Arc<dyn Fn(Peer, &str) + Send + Sync>;

/// Why a certificate and its key cannot be used.
///
/// ```
/// use windhover_runtime::{ServerTls, ServerTlsError};
///
/// let empty = ServerTls::new(b"", b"");
/// assert!(matches!(empty, Err(ServerTlsError::NoCertificate)));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum ServerTlsError {
    /// What was given for the certificate is no PEM.
    Certificate(pem::Error),
    /// There is no certificate in what was given for one.
    NoCertificate,
    /// There is no private key in what was given for one, or it is no PEM.
    Key(pem::Error),
    /// The key is another certificate's, or of a kind that is not known here.
    Unusable(rustls::Error),
}

impl fmt::Display for ServerTlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(_) => f.write_str("the certificate is no PEM"),
            Self::NoCertificate => f.write_str(
                "there is no certificate: expected PEM with `BEGIN CERTIFICATE`, the server's own first",
            ),
            Self::Key(pem::Error::NoItemsFound) => f.write_str(
                "there is no private key: expected PEM with `BEGIN PRIVATE KEY`, not encrypted",
            ),
            Self::Key(_) => f.write_str("the private key is no PEM"),
            Self::Unusable(_) => {
                f.write_str("certificate and private key cannot be used together")
            }
        }
    }
}

impl std::error::Error for ServerTlsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Key(pem::Error::NoItemsFound) | Self::NoCertificate => None,
            Self::Certificate(error) | Self::Key(error) => Some(error),
            Self::Unusable(error) => Some(error),
        }
    }
}

impl ServerTls {
    /// Shows the certificate in `chain`, with those that lead from it to an authority behind it, and
    /// proves by `key` that it is its own; both in PEM.
    ///
    /// # Errors
    ///
    /// [`ServerTlsError`] when something is missing, or they do not belong together.
    pub fn new(chain: &[u8], key: &[u8]) -> Result<Self, ServerTlsError> {
        let config = RwLock::new(config(chain, key)?);
        let shared = Arc::new(Shared { config, failures: AtomicU64::new(0) });
        Ok(Self { shared, handshake_timeout: HANDSHAKE_TIMEOUT, on_failure: None })
    }

    /// Gives peers so long to agree upon keys, in place of ten seconds.
    #[must_use]
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = timeout;
        self
    }

    /// Is told of a peer with which TLS failed, and why: it speaks something else, does not trust the
    /// certificate, took too long. It must not block.
    #[must_use]
    pub fn on_failure(mut self, hook: impl Fn(Peer, &str) + Send + Sync + 'static) -> Self {
        self.on_failure = Some(Arc::new(hook));
        self
    }

    /// Shows another certificate to the connections that come from now on; those that are open keep
    /// theirs.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new); the one before is kept then.
    pub fn replace(&self, chain: &[u8], key: &[u8]) -> Result<(), ServerTlsError> {
        let config = config(chain, key)?;
        *self.shared.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    /// How many connections failed for TLS.
    pub fn failures(&self) -> u64 {
        self.shared.failures.load(Ordering::Relaxed)
    }

    fn failed(&self, peer: Peer, why: &str) {
        self.shared.failures.fetch_add(1, Ordering::Relaxed);
        if let Some(on_failure) = &self.on_failure {
            on_failure(peer, why);
        }
    }

    fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.shared.config.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls")
            .field("handshake_timeout", &self.handshake_timeout)
            .field("failures", &self.failures())
            .finish_non_exhaustive()
    }
}

fn config(chain: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>, ServerTlsError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
    let chain = chain.map_err(ServerTlsError::Certificate)?;
    if chain.is_empty() {
        return Err(ServerTlsError::NoCertificate);
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(ServerTlsError::Key)?;
    // Named, so that it is no other part of the process that decides.
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(ServerTlsError::Unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(ServerTlsError::Unusable)?;
    Ok(Arc::new(config))
}
