//! Why no connection was made, in the words of who tried.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

use windhover_core::client::ConnectFailure;

use crate::connect_failure;

/// Why no connection could be made: what it comes to for the client, and what whoever tried it said, which a
/// call's [`Error`](crate::Error) has as its source.
#[derive(Clone, Debug)]
pub struct ConnectError {
    failure: ConnectFailure,
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

impl ConnectError {
    /// A failure with its cause: the error of a name's lookup, of TLS.
    ///
    /// ```
    /// use windhover_client::{ConnectError, ConnectFailure};
    ///
    /// let error = ConnectError::new(ConnectFailure::NoAddress, "no such name");
    /// assert_eq!(error.failure(), ConnectFailure::NoAddress);
    /// ```
    pub fn new(failure: ConnectFailure, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { failure, cause: Some(Arc::from(cause.into())) }
    }

    /// What it comes to.
    pub const fn failure(&self) -> ConnectFailure {
        self.failure
    }

    pub(crate) fn into_cause(self) -> Option<Arc<dyn Error + Send + Sync>> {
        self.cause
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.failure.fmt(f)
    }
}

impl Error for ConnectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

impl From<ConnectFailure> for ConnectError {
    fn from(failure: ConnectFailure) -> Self {
        Self { failure, cause: None }
    }
}

impl From<io::Error> for ConnectError {
    /// Of a connect, as [`connect_failure`] tells.
    fn from(error: io::Error) -> Self {
        match connect_failure(&error) {
            failure @ (ConnectFailure::Other | ConnectFailure::NoAddress) => {
                Self::new(failure, error)
            }
            // It says it all.
            failure => failure.into(),
        }
    }
}
