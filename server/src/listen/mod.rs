//! What every listening command does at its start: the descriptor limit, and sockets.

mod auth;
mod bind;
mod budget;
mod tls;
mod trusted;
mod try_it;

use std::fmt;
use std::io;
use std::path::Path;

pub use windhover_runtime::{ListenAddress, ListenAddressError, ListenAddressFault};
use windhover_runtime::{Reload, ServerTls};

pub(crate) use self::auth::authenticated;
pub use self::auth::{AuthFile, AuthFileError};
pub(crate) use self::bind::{Bound, BoundAddress, Place, bind, note_handed_over};
pub(crate) use self::budget::connection_memory;
pub use self::tls::{TlsFileError, TlsListener};
pub(crate) use self::trusted::is_trusted;
pub use self::trusted::{TrustedProxy, TrustedProxyError};

/// Why a command cannot listen.
#[derive(Debug)]
#[non_exhaustive]
pub enum ListenError {
    /// An address cannot be listened on.
    Address {
        /// The address.
        address: ListenAddress,
        /// Why.
        source: io::Error,
    },
    /// The file of users cannot be used.
    AuthFile(AuthFileError),
    /// The certificate cannot be used.
    Tls(TlsFileError),
    /// The operating system refused something else.
    System {
        /// What was asked of it.
        what: &'static str,
        /// Why it was refused.
        source: io::Error,
    },
}

impl ListenError {
    /// For `map_err`: what was asked, and why it was refused.
    pub fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what, source }
    }
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { address, .. } => write!(f, "cannot listen on {address}"),
            Self::AuthFile(error) => write!(f, "--auth-file: {error}"),
            Self::Tls(error) => write!(f, "--tls-cert, --tls-key: {error}"),
            Self::System { what, .. } => write!(f, "cannot {what}"),
        }
    }
}

impl std::error::Error for ListenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Address { source, .. } | Self::System { source, .. } => Some(source),
            Self::AuthFile(error) => error.source(),
            Self::Tls(error) => error.source(),
        }
    }
}

/// What SIGHUP has read again. From now on it does not end the process.
pub(crate) fn reload_on_signal() -> Result<Reload, ListenError> {
    let reload = Reload::on_signal().map_err(ListenError::system("catch SIGHUP"))?;
    reload.register(|| tracing::info!("asked to read files again (SIGHUP)"));
    Ok(reload)
}

/// The users that may use a port, if a file of them was given.
pub(crate) fn auth_file(
    path: Option<&Path>,
    reload: &Reload,
) -> Result<Option<AuthFile>, ListenError> {
    let Some(path) = path else { return Ok(None) };
    let users = AuthFile::open(path).map_err(ListenError::AuthFile)?;
    users.reload_with(reload);
    Ok(Some(users))
}

/// The certificate to show, if one was given with its key.
pub(crate) fn certificate(
    certificate: Option<&Path>,
    key: Option<&Path>,
    reload: &Reload,
) -> Result<Option<ServerTls>, ListenError> {
    let (Some(certificate), Some(key)) = (certificate, key) else { return Ok(None) };
    tls::open(certificate, key, reload).map(Some).map_err(ListenError::Tls)
}

/// As many descriptors as the system allows: the usual soft limit is far below what a server with
/// many clients needs.
pub(crate) fn raise_descriptor_limit() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "the limit of open files could not be raised");
        }
    }
}
