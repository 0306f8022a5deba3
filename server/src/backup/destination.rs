//! Where backups go: a place of named, unchanging pieces of bytes.

use std::fmt;

/// What is at a destination under a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// The name, parts of it divided by `/`.
    pub name: String,
    /// Bytes.
    pub len: u64,
}

/// What became of a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutResult {
    /// The bytes are there now, all of them.
    Stored,
    /// Something is there already, and stays as it was.
    Exists,
}

/// Why a destination did not do what it was asked for.
#[derive(Debug)]
#[non_exhaustive]
pub enum DestinationError {
    /// There is nothing of that name.
    NotFound {
        /// The name.
        name: String,
    },
    /// It could not be reached, or it refused.
    Failed {
        /// What was asked for, as in `put objects/…`.
        what: String,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl DestinationError {
    /// A failure of that.
    pub fn failed(
        what: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Failed { what: what.into(), source: source.into() }
    }
}

impl fmt::Display for DestinationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { name } => write!(f, "{name} is not at the destination"),
            Self::Failed { what, .. } => write!(f, "the destination failed: {what}"),
        }
    }
}

impl std::error::Error for DestinationError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Failed { source, .. } => Some(&**source),
            Self::NotFound { .. } => None,
        }
    }
}

/// A place of named, unchanging pieces of bytes. What was stored is safe, and seen by every later call of anybody.
pub trait Destination: fmt::Debug + Send + Sync {
    /// Everything whose name begins so, in the order of names.
    ///
    /// # Errors
    /// [`DestinationError::Failed`].
    fn list(&self, prefix: &str) -> Result<Vec<Listed>, DestinationError>;

    /// What is there under a name.
    ///
    /// # Errors
    /// [`DestinationError`].
    fn get(&self, name: &str) -> Result<Vec<u8>, DestinationError>;

    /// Stores all of `bytes` under a name that nothing has, or nothing at all.
    ///
    /// # Errors
    /// [`DestinationError::Failed`]; whether they are there is not known then.
    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> Result<PutResult, DestinationError>;

    /// Deletes what is there under a name, if anything is.
    ///
    /// # Errors
    /// [`DestinationError::Failed`].
    fn delete(&self, name: &str) -> Result<(), DestinationError>;

    /// Removes what interrupted puts have left behind that has no name.
    ///
    /// # Errors
    /// [`DestinationError::Failed`].
    fn tidy(&self) -> Result<(), DestinationError> {
        Ok(())
    }
}
