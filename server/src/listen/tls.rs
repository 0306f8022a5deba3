//! The certificate of listeners that speak TLS: `--tls-cert` and `--tls-key`.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use windhover_runtime::{Reload, Report, ServerTls, ServerTlsError};

use crate::private;

/// A listener of `serve`, for `--tls`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum TlsListener {
    /// The tracker's
    Http,
    /// The queue's
    Queue,
}

/// Why a certificate and its key cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsFileError {
    /// A file cannot be read.
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is in the two files cannot be used.
    Unusable {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        source: ServerTlsError,
    },
}

impl fmt::Display for TlsFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, .. } => write!(f, "cannot read {}", path.display()),
            Self::Unusable { certificate, key, .. } => {
                write!(f, "cannot use {} with {}", certificate.display(), key.display())
            }
        }
    }
}

impl std::error::Error for TlsFileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Unusable { source, .. } => Some(source),
        }
    }
}

/// The two files of a certificate.
#[derive(Clone, Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    /// Does something with what is in them.
    fn with<T>(
        &self,
        take: impl FnOnce(&[u8], &[u8]) -> Result<T, ServerTlsError>,
    ) -> Result<T, TlsFileError> {
        let read = |path: &Path| {
            fs::read(path).map_err(|source| TlsFileError::Io { path: path.to_owned(), source })
        };
        let (certificate, key) = (read(&self.certificate)?, read(&self.key)?);
        take(&certificate, &key).map_err(|source| TlsFileError::Unusable {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            source,
        })
    }
}

/// Reads a certificate and its key, now and whenever the process is asked to; what came of it is in the
/// log. One that cannot be used then replaces nothing.
pub(crate) fn open(
    certificate: &Path,
    key: &Path,
    reload: &Reload,
) -> Result<ServerTls, TlsFileError> {
    let files = Files { certificate: certificate.to_owned(), key: key.to_owned() };
    let tls = files.with(ServerTls::new)?;
    private::warn_of_readers(key, "other users may read the certificate's key");
    let replaced = tls.clone();
    reload.register(move || match files.with(|chain, key| replaced.replace(chain, key)) {
        Ok(()) => tracing::info!(
            certificate = %files.certificate.display(),
            "the certificate was read again: new connections are shown it"
        ),
        Err(error) => {
            tracing::error!(error = %Report::new(&error), "the certificate cannot be used; the one before is kept");
        }
    });
    Ok(tls)
}
